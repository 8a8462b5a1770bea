"""Trust in files: a site is code, so whoever can write its files controls what aishell runs. Nobody else may.

A file is safe if it belongs to the caller or root and nobody else can write it, and the same is true of every folder in
its path, including the targets of symbolic links (as in OpenSSH's StrictModes). Under sudo, the invoking user counts as
the caller. A folder can be trusted by name in the user's own list (as in git's safe.directory).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from aishell.errors import SettingsError, UntrustedError

#: The list of trusted folders in the user's configuration folder, one absolute path per line.
LIST = "trusted-sites"
#: The most symbolic links followed in one path; the kernel has the same limit.
_MOST_LINKS = 40


class Trust:
    """The paths found safe so far.

    `everything`: nothing is refused (`--trust-site`); `once`: that option is available, and hints name it.
    """

    def __init__(self, *, everything: bool = False, once: bool = False) -> None:
        self.everything, self.once = everything, once
        self._callers = _callers()
        self._passed: set[Path] = set()
        self._listed: tuple[Path, ...] | None = None

    def check(self, path: str | Path, *, below: bool = False) -> None:
        """Raise UntrustedError, with the remedy, if others can change a path; `below`: or anything in that folder.

        A path that does not exist is safe if its parent folders are.
        """
        if self.everything:
            return
        paths = [Path(path)]
        while paths:
            one = paths.pop()
            if self._safe(one) and below and one.is_dir():
                try:
                    paths += one.iterdir()
                except OSError as error:
                    raise UntrustedError(f"{one} cannot be looked into: {error.strerror}") from error

    def _safe(self, path: Path) -> bool:
        """Whether a path exists. Raises UntrustedError if it or a folder on its path is unsafe."""
        way = list(_way(path))
        for at, found in way[:-1]:
            if at not in self._passed:
                self._judge(path, at, found, passing=True)
                self._passed.add(at)
        at, found = way[-1]
        if found is None:
            return False
        self._judge(path, at, found, passing=False)
        return True

    def _judge(self, path: Path, at: Path, found: os.stat_result | None, *, passing: bool) -> None:
        """`passing`: a sticky folder that others can write is safe to pass: they cannot replace our files in it."""
        if found is None:
            return
        link, sticky = stat.S_ISLNK(found.st_mode), passing and bool(found.st_mode & stat.S_ISVTX)
        writers = None if link or sticky else _other_writers(at, found)
        if found.st_uid in self._callers and writers is None:
            return
        if self._is_listed(path):
            return
        what = "" if at == path else f"{path} cannot be trusted: "
        option = "--trust-site for one command, " if self.once else ""
        remedy = f"or trust it: {option}a line with its folder in {_list()} for good"
        if writers is not None:
            raise UntrustedError(
                f"{what}{at} can be written by {writers}, and what stands there is run",
                hint=f"chmod go-w {at}; {remedy}",
            )
        raise UntrustedError(
            f"{what}{at} belongs to {_user(found.st_uid)}, and what stands there is run as {_user(os.geteuid())}",
            hint=f"look at it and chown it, {remedy}",
        )

    def _is_listed(self, path: Path) -> bool:
        if self._listed is None:
            self._listed = tuple(self._read_list())
        return any(path.resolve().is_relative_to(folder) for folder in self._listed)

    def _read_list(self) -> Iterator[Path]:
        path = _list()
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return
        except (OSError, UnicodeDecodeError) as error:
            raise UntrustedError(f"the list of trusted folders {path} cannot be read: {error}") from error
        self._listed = ()  # the list does not trust itself
        self.check(path)
        for number, line in enumerate(lines, 1):
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            folder = Path(text).expanduser()
            if not folder.is_absolute():
                raise UntrustedError(f"{path}:{number}: {text!r} is not an absolute path", hint="write a folder a line")
            yield folder.resolve()


def secret_text(path: Path, what: str) -> str:
    """Return the text of a secret file without trailing newlines. Raises OSError, and UntrustedError as `check_secret`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with os.fdopen(descriptor, encoding="utf-8") as file:
        check_secret(os.fstat(descriptor), path, what)
        return file.read().rstrip("\n")


def configured_secret(
    where: str, *, variable: str | None, file: str | None, what: str, may_be_empty: bool = False
) -> str | None:
    """Return the secret in the configured environment variable or file; None if neither is configured.

    `where` and `what` are for errors: whose secret it is, what the file is. Raises SettingsError and UntrustedError.
    """
    if variable is not None:
        value = os.environ.get(variable)
        if value is None or not (value or may_be_empty):
            raise SettingsError(f"{where}: the environment variable {variable} is not set")
        return value
    if file is None:
        return None
    path = Path(file).expanduser()
    try:
        return secret_text(path, f"{where}: {what}")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{where}: {path} cannot be read: {error}") from error


def check_secret(found: os.stat_result, path: Path, what: str) -> None:
    """Raise UntrustedError for a file that others can access, as libpq ignores such a password file."""
    if not stat.S_ISREG(found.st_mode):
        raise UntrustedError(f"{what} {path} is not a regular file")
    if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UntrustedError(
            f"{what} {path} has the mode {stat.S_IMODE(found.st_mode):04o}: others than its owner can get at it",
            hint=f"chmod 600 {path}",
        )


def _callers() -> frozenset[int]:
    """Return root, the current user, and under sudo its caller. Like git, trust SUDO_UID only when running as root."""
    ours = os.geteuid()
    sudo = os.environ.get("SUDO_UID", "") if ours == 0 else ""
    return frozenset({0, ours, *([int(sudo)] if sudo.isdecimal() else [])})


def _way(path: Path) -> Iterator[tuple[Path, os.stat_result | None]]:
    """Yield every name looked up in resolving a path, a link before its target, and the path itself last.

    The last is None if the file does not exist. Raises UntrustedError if the path cannot be resolved.
    """
    todo = [*reversed((path if path.is_absolute() else Path.cwd() / path).parts)]
    at, links = Path("/"), 0
    while todo:
        name = todo.pop()
        if name == "..":
            at = at.parent
            continue
        here = at / name  # an absolute name starts again at the root
        try:
            found = here.lstat()
        except (FileNotFoundError, NotADirectoryError):
            yield here, None
            return
        except OSError as error:
            raise UntrustedError(f"{here} cannot be looked at: {error.strerror}") from error
        yield here, found
        if not stat.S_ISLNK(found.st_mode):
            at = here
            continue
        links += 1
        if links > _MOST_LINKS:
            raise UntrustedError(f"{path} cannot be followed: {os.strerror(errno.ELOOP)}")
        todo += reversed(here.readlink().parts)


def _other_writers(path: Path, found: os.stat_result) -> str | None:
    """Return who besides its owner can write a file, None for nobody. The owner's private group does not count."""
    if found.st_mode & stat.S_IWOTH:
        return "everybody"
    if not found.st_mode & stat.S_IWGRP:
        return None  # the group's bits are the upper limit of an access list
    import grp
    import pwd

    try:
        owner, group = pwd.getpwuid(found.st_uid), grp.getgrgid(found.st_gid)
    except KeyError:
        return f"the group {found.st_gid}"
    if group.gr_gid != owner.pw_gid or group.gr_name != owner.pw_name or {*group.gr_mem} - {owner.pw_name}:
        return f"the group {group.gr_name}"
    try:
        os.getxattr(path, "system.posix_acl_access")
    except (OSError, AttributeError):  # no access list, or none supported
        return None
    return "whom its access list names"


def _user(number: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"the user {number}"


def _list() -> Path:
    import platformdirs

    return Path(platformdirs.user_config_dir("aishell")) / LIST
