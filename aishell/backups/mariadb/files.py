"""The files of a MariaDB server, where they are on this host: asked before any of them is copied."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aishell.backups.create.making import Work, require
from aishell.backups.mariadb.full import check_client
from aishell.backups.mariadb.login import account
from aishell.errors import BackupError, NotAtHandError
from aishell.models import Row
from aishell.planning.backup_rights import lines, of_files

#: Where distributions put the server's program; not everybody has these folders on the path.
_PLACES = (None, Path("/usr/sbin"), Path("/usr/libexec"))
#: How a `struct flock` lies in memory; what is asked is whether anybody keeps us from writing to the whole file.
_FLOCK = "hhqqi"
#: How the name of a file ends that leads to a table outside of the data directory.
LINK = ".isl"
_LOCALLY = "back up on the server's own host, as its account or as root; or leave out --physical"


@dataclass(frozen=True)
class Files:
    """The data directory of the server that was reached.

    `bytes`: of all its tables. `incarnation` tells it from one that is put in its place, as after a restore. `settings` are what
    a server on a copy of it has to be told.
    """

    folder: Path
    bytes: int
    incarnation: str
    settings: Mapping[str, Any]
    warnings: tuple[str, ...]

    @classmethod
    def of(cls, work: Work) -> Files:
        """Raises BackupError for whatever would be in the way of copying them, before anything is written."""
        check_client(work, "backup")
        use_own(work, "backup", work.context.database.version)
        require(of_files(lines(work.query("grants")), account(work)))
        with work.context.reading() as session:
            (told,) = work.query("files", session)
            system = _system(told)
            require_own(Path(told["folder"]), system[0], told["thread"])
            if encrypting := [row["name"] for row in work.query("encrypting", session)]:
                raise BackupError(
                    f"the server encrypts its files by {', '.join(encrypting)}: such copies cannot be proven here",
                    hint="leave out --physical",
                )
            foreign = [f"{row['tables']} table(s) of {row['engine']}" for row in work.query("foreign_engines", session)]
        folder, root = Path(told["folder"]).resolve(), work.backup_store.repository.root.resolve()
        if root.is_relative_to(folder):
            raise BackupError(
                f"{root} lies in the server's data directory: it would be lost with it",
                hint="set `backups:` in config/aishell.yaml to another disk",
            )
        seen = system[0].stat()
        return cls(
            folder,
            sum(path.stat().st_size for path in system) + _of_tables(folder),
            f"{seen.st_dev}:{seen.st_ino}",
            {
                "system": ";".join(part.rpartition("/")[2] for part in told["system"].split(";")),
                **{name: int(told[name]) for name in ("page_size", "undos", "fold")},
            },
            tuple(f"{what}: mariadb-backup copies none of them" for what in foreign),
        )


def use_own(work: Work, program: str, version: Sequence[int]) -> None:
    """Let `work` run the programs of the server's own line, such as 10.11: others do not know the format of its files.

    Raises NotAtHandError where they are not here. Where `programs:` is set that folder is used and no other.
    """
    clients, tried = work.clients, []
    for folder in _PLACES if work.backup_store.programs is None else (work.backup_store.programs,):
        clients.bin_folder = folder
        try:
            found = clients.version(program)
        except NotAtHandError:
            continue
        if tuple(found[:2]) == tuple(version[:2]):
            return
        tried.append(f"{clients.path(program)} of version {'.'.join(map(str, found))}")
    line = ".".join(map(str, version[:2]))
    raise NotAtHandError(
        f"the files are of MariaDB {line}, and {work.tool.programs[program][0]} {line} was not found: "
        f"{', '.join(tried) or 'there is none'}",
        hint=f"install the programs of MariaDB {line}, or set `programs:` in config/aishell.yaml to their folder",
    )


def _system(told: Row) -> list[Path]:
    """The files of InnoDB's system tablespace."""
    home = Path(told["folder"]) / (told["home"] or "")
    return [home / part.split(":")[0] for part in told["system"].split(";")]


def require_own(folder: Path, system: Path, thread: int) -> None:
    """Raises BackupError unless the files are those of the server that `thread`, of the connection, runs in.

    Another host can have a server with the same paths, and of the same name. The kernel knows which process has the system
    tablespace locked, and which threads that has.
    """
    if not folder.is_dir():
        raise BackupError(f"the server's data directory {folder} is not on this host", hint=_LOCALLY)
    try:
        holder = _holder(system)
    except OSError as error:
        raise BackupError(f"{system} may not be read here: {error.strerror}", hint=_LOCALLY) from error
    if holder is None or not Path(f"/proc/{holder}/task/{thread}").is_dir():
        raise BackupError(f"the server that was reached does not run on {folder} of this host", hint=_LOCALLY)


def _holder(path: Path) -> int | None:
    """The process that has a file locked for itself; None where there is none."""
    asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    with path.open("rb") as file:
        kind, _, _, _, holder = struct.unpack(_FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, asked))
    return None if kind == fcntl.F_UNLCK else int(holder)


def _of_tables(folder: Path) -> int:
    """Bytes of the files of all databases. Raises BackupError for one that is not in its place or may not be read."""
    size = 0
    for database in (path for path in folder.iterdir() if path.is_dir() and path.name != "lost+found"):
        if not os.access(database, os.R_OK | os.X_OK):
            raise BackupError(f"{database} may not be read here", hint=_LOCALLY)
        for path in database.iterdir():
            if path.suffix == LINK:
                raise BackupError(
                    f"{path.stem} in {database.name} lies outside of the data directory (DATA DIRECTORY)",
                    hint="a copy would lead to the server's own file; leave out --physical",
                )
            if not os.access(path, os.R_OK) and path.exists():  # tables come and go meanwhile
                raise BackupError(f"{path} may not be read here", hint=_LOCALLY)
            size += _size(path)
    return size


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
