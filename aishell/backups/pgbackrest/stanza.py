"""Access to pgbackrest: configuration, stanza, repository and account; and its output, parsed."""

from __future__ import annotations

import json
import os
import pwd
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aishell.backups.create.making import Work
from aishell.errors import BackupError, NotAtHandError

#: Codes of `info`: ok, and a stanza without backups.
OK, EMPTY = 0, 2
#: Codes of `info` for a missing stanza: its folder, its files.
MISSING = (1, 3)
_PERCENT = re.compile(r", ([\d.]+)%\)")
_WARNING = re.compile(r"^WARN: (.+)$", re.MULTILINE)
_BACKUP = re.compile(
    r"^\s*backup: (\S+), status: ([^,]+), total files checked: (\d+), total valid files: (\d+)", re.MULTILINE
)
_BAD = re.compile(r"(invalid checksum|invalid size|invalid result|file missing) (?:'([^']+)'|(\S+?):)")
#: Length of a segment's name in the name of a WAL file; a digest follows.
_SEGMENT = 24
#: The oldest version with annotations of sets.
OLDEST = (2, 41)


@dataclass(frozen=True, slots=True)
class Set:
    """One backup in the repository. Sizes in bytes, times in UTC (ISO 8601).

    `error`: whether pages had wrong checksums, None if they were not checked. `marks`: its annotations. `tablespaces`: oids,
    only known if `info` was limited to this set.
    """

    label: str
    kind: str  # full | diff | incr
    prior: str | None
    reference: frozenset[str]
    database: int
    lsn: tuple[str, str]
    archive: tuple[str, str]
    started_at: str
    stopped_at: str
    size: int
    stored: int
    error: bool | None
    marks: Mapping[str, str] = field(default_factory=dict)
    tablespaces: frozenset[str] = frozenset()

    @property
    def timeline(self) -> int:
        return int(self.archive[1][:8], 16)


@dataclass(frozen=True, slots=True)
class Stanza:
    """One stanza in one repository. `systems`: pgbackrest's number of a cluster -> its system identifier.

    `archives`: number -> the folder of its WAL.
    """

    code: int
    message: str
    cipher: str
    systems: Mapping[int, str]
    archives: Mapping[int, str]
    sets: tuple[Set, ...]

    @property
    def system(self) -> str | None:
        """The system identifier of its current cluster."""
        return self.systems[max(self.systems)] if self.systems else None

    @property
    def newest(self) -> Set | None:
        """The set that an increment would build on."""
        return next((one for one in reversed(self.sets) if one.database == max(self.systems, default=0)), None)

    def find(self, label: str) -> Set | None:
        return next((one for one in self.sets if one.label == label), None)

    def made_by(self, name: str, mark: str) -> Set | None:
        """The set with this annotation."""
        return next((one for one in self.sets if one.marks.get(name) == mark), None)

    def dependents(self, label: str) -> list[str]:
        """The labels of the sets that depend on this one."""
        return [one.label for one in self.sets if label in one.reference or one.prior == label]


def stanza_of(text: str, name: str, repo: int) -> Stanza:
    """Parse the output of `info --output=json`. Raises NotAtHandError if it cannot be parsed, or reports an error."""
    try:
        data = next((one for one in json.loads(text) if one["name"] == name), None)
        if data is None:
            return Stanza(MISSING[0], "it does not exist", "none", {}, {}, ())
        state = next(one for one in data["repo"] if one["key"] == repo)
        code, message = int(state["status"]["code"]), str(state["status"]["message"])
        stanza = Stanza(
            code,
            message,
            str(state.get("cipher", "none")),
            {int(one["id"]): str(one["system-id"]) for one in data["db"] if one["repo-key"] == repo},
            {
                int(one["database"]["id"]): str(one["id"])
                for one in data["archive"]
                if one["database"]["repo-key"] == repo
            },
            tuple(_set(one) for one in data["backup"] if one["database"]["repo-key"] == repo),
        )
    except (ValueError, LookupError, TypeError, StopIteration) as error:
        raise NotAtHandError(f"unreadable output of pgbackrest about {name}: {text.strip()[:200]!r}") from error
    if code not in (OK, EMPTY, *MISSING):
        raise NotAtHandError(f"the stanza {name} in repository {repo}: {message}")
    return stanza


def _set(data: Mapping[str, Any]) -> Set:
    info, repository = data["info"], data["info"]["repository"]
    return Set(
        label=str(data["label"]),
        kind=str(data["type"]),
        prior=data.get("prior"),
        reference=frozenset(data.get("reference") or ()),
        database=int(data["database"]["id"]),
        lsn=(str(data["lsn"]["start"]), str(data["lsn"]["stop"])),
        archive=(str(data["archive"]["start"]), str(data["archive"]["stop"])),
        started_at=_moment(data["timestamp"]["start"]),
        stopped_at=_moment(data["timestamp"]["stop"]),
        size=int(info["size"]),
        stored=int(repository.get("delta", 0)),
        error=data.get("error"),
        marks=data.get("annotation") or {},
        tablespaces=frozenset(str(one["oid"]) for one in data.get("tablespace") or ()),
    )


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")


def percent(text: str) -> float:
    """The progress of a backup in percent, from the last line that has it; 0 if none does."""
    found = _PERCENT.findall(text)
    return float(found[-1]) if found else 0.0


def warnings(text: str) -> list[str]:
    """Its warnings, without the hints after them."""
    return _WARNING.findall(text)


def damage(text: str, made: Set, segments: Collection[str]) -> list[str]:
    """The damage that `verify` found in a set, in those it references, and in the WAL that makes it consistent."""
    labels = {made.label, *made.reference}
    problems = []
    for problem, quoted, plain in _BAD.findall(text):
        folder, _, name = (quoted or plain).partition("/")
        if folder in labels or name.rpartition("/")[2][:_SEGMENT] in segments:
            problems.append(f"{problem}: {folder}/{name}")
    seen = {label: (status, int(checked) - int(valid)) for label, status, checked, valid in _BACKUP.findall(text)}
    if made.label not in seen:
        problems.append("pgbackrest finds none of its files")
    elif seen[made.label] != ("valid", 0) and not problems:
        problems.append(f"{seen[made.label][1]} of its files are not valid ({seen[made.label][0]})")
    return problems


def missing_segments(text: str, segments: Collection[str]) -> list[str]:
    """The segments that are missing in an archive, from the output of `repo-ls`, as texts."""
    there = {name.rpartition("/")[2][:_SEGMENT] for name in text.split()}
    return [f"the segment {name} is not in the archive" for name in sorted(set(segments) - there)]


@dataclass(frozen=True)
class Access:
    """A stanza in one of its repositories. `config` None: pgbackrest's default; `account`: the owner of the server's files."""

    stanza: str
    config: str | None
    repo: int
    account: str

    @classmethod
    def of(cls, values: Mapping[str, Any], account: str | None = None) -> Access:
        """From the parameters of a tool, or the details of a manifest."""
        return cls(values["stanza"], values["config"], values["repo"], account or values["account"])

    @property
    def named(self) -> str:
        return f"the stanza {self.stanza} in repository {self.repo}"

    def run(self, work: Work, program: str, **more: Any) -> str:
        """Run a program of the tool; returns the end of its messages. `size` and `expected` as in `Clients.run`."""
        watched = {name: more.pop(name) for name in ("size", "expected", "drain") if name in more}
        values = {"config": self.config, "stanza": self.stanza, "repo": self.repo, "label": None, **more}
        user = self.user()
        work.clients.bin_folder = None  # it is not among PostgreSQL's own programs
        home = {} if user is None else {"HOME": user.pw_dir}  # where libpq looks for the password file
        return work.clients.run(program, values, account=user, env=home, folder=Path("/"), **watched)

    def ask(self, work: Work, program: str, **values: Any) -> tuple[str, str]:
        """The output and the messages of a program. Raises NotAtHandError if it fails."""
        output: list[bytes] = []
        try:
            messages = self.run(work, program, drain=lambda pipe: output.append(pipe.read()), **values)
        except NotAtHandError:
            raise
        except BackupError as error:
            raise NotAtHandError(f"{self.named} cannot be read: {error.message}") from error
        return b"".join(output).decode(errors="replace"), messages

    def read(self, work: Work, label: str | None = None) -> tuple[Stanza, str]:
        """The stanza, with all sets or the details of one, and the text it was parsed from. Raises NotAtHandError."""
        text, _ = self.ask(work, "info", label=label)
        return stanza_of(text, self.stanza, self.repo), text

    def user(self) -> pwd.struct_passwd | None:
        """The account that root runs it as, so that the server can write to the repository; None if we are not root."""
        if os.geteuid() != 0:
            return None
        try:
            return pwd.getpwnam(self.account)
        except KeyError as error:
            raise NotAtHandError(f"the account {self.account}, which ran pgbackrest, does not exist here") from error


def account_of(data: str | None) -> str:
    """The account to run pgbackrest as: the owner of the server's files. Raises BackupError if we cannot run as it."""
    if data is None:
        how = "GRANT pg_read_all_settings, or pg_monitor, to it"
        raise BackupError("the role is not permitted to see the server's data directory", hint=how)
    ours = pwd.getpwuid(os.geteuid()).pw_name
    try:
        owner = pwd.getpwuid(Path(data).stat().st_uid).pw_name
    except FileNotFoundError as error:
        if os.geteuid() != 0:
            return ours  # the server is on another host, which pgbackrest connects to
        raise BackupError(f"{data} is not on this host", hint="run aishell as the owner of the repository") from error
    except (PermissionError, KeyError):
        owner = "another account"
    if os.geteuid() != 0 and not os.access(data, os.R_OK | os.X_OK):
        how = "run aishell as the server's own account, e.g. sudo -u postgres aishell …"
        raise BackupError(f"pgbackrest must read {data}, which {owner} owns, but {ours} has no permission", hint=how)
    return owner if os.geteuid() == 0 else ours


def version_of(access: Access, work: Work) -> str:
    """The version of pgbackrest. Raises BackupError if it is too old, NotAtHandError if it is not installed."""
    output, _ = access.ask(work, "version")
    found = re.search(r"(\d+)\.(\d+)\S*", output)
    if found is None or (int(found[1]), int(found[2])) < OLDEST:
        raise BackupError(f"pgbackrest {OLDEST[0]}.{OLDEST[1]} or newer is needed, not {output.strip()!r}")
    return found[0]
