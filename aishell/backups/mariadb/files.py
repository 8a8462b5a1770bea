"""The files of a MariaDB server on this host: checked before they are copied, and prepared for a restore."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import zstandard

from aishell.backups.create.making import Work, inside_data_directory, require, require_room, total
from aishell.backups.mariadb.full import check_client
from aishell.backups.mariadb.login import account
from aishell.backups.methods import Chain
from aishell.backups.store.manifest import INCREMENTAL, BackupManifest
from aishell.clients.clients import writing
from aishell.errors import BackupError, NotAtHandError
from aishell.planning.backup_rights import lines, of_files

#: Where distributions install the server's program; the search path may lack these folders.
_PLACES = (None, Path("/usr/sbin"), Path("/usr/libexec"))
#: The layout of `struct flock`, for the question who holds a lock on the whole file.
_FLOCK = "hhqqi"
#: The suffix of a file that links to a table outside the data directory.
LINK = ".isl"
_LOCALLY = "back up on the server's own host, as its account or as root; or leave out --physical"
#: The stream of a backup, and the folder of the program's information about it.
STREAM, MESSAGES = "cluster.mbstream.zst", "told"
#: The file of the source's settings in a backup.
SETTINGS = "backup-my.cnf"
#: The file with the log positions of a backup, as named by versions 10 and 11.
_CHECKPOINTS = ("xtrabackup_checkpoints", "mariadb_backup_checkpoints")
#: The last message of a program that succeeded.
COMPLETED = "completed OK!"
BLOCK = 1 << 18
#: How many lines of a program's messages are shown.
_LINES = 4
#: Messages of programs for a full disk, which says nothing about the backup.
_FULL = re.compile(r"No space left on device|error number 28\b")
#: The offset in bytes of a tablespace's flags in its first file; its other files do not have them.
_FLAGS_AT = 54
#: The page with the position of the doublewrite buffer, the offset from its end, and the magic number before it.
_DOUBLEWRITE_PAGE, _DOUBLEWRITE_AT, _DOUBLEWRITE_MAGIC = 5, 190, 536853855


@dataclass(frozen=True)
class Files:
    """The data directory of the target's server.

    `bytes`: the size of all tables. `incarnation` differs after the directory is replaced, as by a restore. `settings`: those
    that a server on a copy of it requires.
    """

    folder: Path
    bytes: int
    incarnation: str
    settings: Mapping[str, Any]
    warnings: tuple[str, ...]

    @classmethod
    def of(cls, work: Work) -> Files:
        """Raises BackupError for anything that would prevent copying them, before anything is written."""
        check_client(work, "backup")
        use_own(work, "backup", work.context.database.version)
        require(of_files(lines(work.query("grants")), account(work)))
        with work.context.reading() as session:
            (row,) = work.query("files", session)
            folder, root = Path(row["folder"]).resolve(), work.backup_store.repository.root.resolve()
            system = [Path(row["folder"]) / (row["home"] or "") / path for path in _system_paths(row["system"])]
            require_own(Path(row["folder"]), system[0], row["thread"])
            if encrypting := [one["name"] for one in work.query("encrypting", session)]:
                why = f"the server encrypts its files by {', '.join(encrypting)}: such copies cannot be tested here"
                raise BackupError(why, hint="leave out --physical")
            foreign = [f"{one['tables']} table(s) of {one['engine']}" for one in work.query("foreign_engines", session)]
        if root.is_relative_to(folder):
            raise inside_data_directory(root, folder)
        seen = system[0].stat()
        return cls(
            folder,
            sum(path.stat().st_size for path in system) + _table_bytes(folder),
            f"{seen.st_dev}:{seen.st_ino}",
            {
                "system": ";".join(part.rpartition("/")[2] for part in row["system"].split(";")),
                **{name: int(row[name]) for name in ("page_size", "undos", "fold")},
            },
            tuple(f"{tables}: mariadb-backup copies none of them" for tables in foreign),
        )


def use_own(work: Work, program: str, version: Sequence[int]) -> None:
    """Let `work` run the programs of the server's release series, such as 10.11, which know the format of its files.

    If `programs:` is set, only that folder is used. Raises NotAtHandError without such programs.
    """
    line, programs = ".".join(map(str, version[:2])), work.backup_store.programs
    work.clients.choose(
        program,
        _PLACES if programs is None else (programs,),
        lambda found: tuple(found[:2]) == tuple(version[:2]),
        f"the files are of MariaDB {line}, and {work.tool.programs[program][0]} {line}",
        f"install the programs of MariaDB {line}, or set `programs:` in config/aishell.yaml to their folder",
    )


def _system_paths(system: str) -> list[str]:
    """The paths in a value of innodb_data_file_path."""
    return [part.split(":")[0] for part in system.split(";")]


def require_own(folder: Path, system: Path, thread: int) -> None:
    """Raises BackupError unless the files belong to the server process that has `thread`, the connection's.

    A server on another host may have the same paths and name. The kernel knows which process locks the system tablespace, and
    its threads.
    """
    if not folder.is_dir():
        raise BackupError(f"the server's data directory {folder} is not on this host", hint=_LOCALLY)
    wanted = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    try:
        with system.open("rb") as file:
            kind, _, _, _, holder = struct.unpack(_FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, wanted))
    except OSError as error:
        raise BackupError(f"{system} cannot be read: {error.strerror}", hint=_LOCALLY) from error
    if kind == fcntl.F_UNLCK or not Path(f"/proc/{holder}/task/{thread}").is_dir():
        raise BackupError(f"the target's server does not use {folder} of this host", hint=_LOCALLY)


def _table_bytes(folder: Path) -> int:
    """The size of all databases' files in bytes. Raises BackupError for one that is elsewhere or cannot be read."""
    size = 0
    for database in (path for path in folder.iterdir() if path.is_dir() and path.name != "lost+found"):
        if not os.access(database, os.R_OK | os.X_OK):
            raise BackupError(f"{database} cannot be read: permission denied", hint=_LOCALLY)
        for path in database.iterdir():
            if path.suffix == LINK:
                why = f"{path.stem} in {database.name} is outside the data directory (DATA DIRECTORY)"
                raise BackupError(why, hint="leave out --physical: a copy would link to the server's own file")
            if not os.access(path, os.R_OK) and path.exists():  # unless dropped meanwhile
                raise BackupError(f"{path} cannot be read: permission denied", hint=_LOCALLY)
            size += total([path])
    return size


class Prepared:
    """A prepared copy of a backup in the work folder, which is removed at the end."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.folder = work.folder.resolve() / ".prepared"
        self._note = self.folder.with_suffix(".at")

    @property
    def at(self) -> tuple[str, int] | None:
        """The backup that it is a copy of, and its end in the log; None if it is not one."""
        try:
            backup_id, lsn = json.loads(self._note.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return str(backup_id), int(lsn)

    def reach(self, chain: Chain) -> None:
        """Prepare a copy of the last of a chain, unless it is that already. Raises BackupError for a gap."""
        if self.at is None or self.at[0] != chain[-1][1].backup_id:
            for folder, manifest in chain:
                self.add(folder, manifest)

    def add(self, folder: Path, manifest: BackupManifest) -> None:
        """Prepare a full backup, or apply an increment to the present copy, and verify all pages.

        Without the full backup, as when that is encrypted, an increment is only unpacked. Raises BackupError if it is damaged or
        does not continue the copy, NotAtHandError without the programs or the space.
        """
        use_own(self.work, "prepare", [int(part) for part in manifest.server_version.split(".")])
        increment = self.folder.with_name(".increment") if manifest.kind == INCREMENTAL else None
        into, before = increment or self.folder, self.at
        if increment is None:
            self._note.unlink(missing_ok=True)
        _unpack(self.work, folder, manifest, into)
        if increment is not None and self.folder.is_dir():
            if before != (manifest.parent, manifest.details["from"]):
                raise BackupError(
                    f"{manifest.backup_id} does not continue {before[0] if before else 'what was unpacked'}"
                )
            self._note.unlink()
        if self.folder.is_dir():
            seen = {path: path.stat().st_mtime_ns for path in self._tablespaces(manifest)} if increment else {}
            # Not with the settings in the backup, which name folders of the source.
            run(self.work, "prepare", {"folder": self.folder, "increment": increment, **manifest.details["settings"]})
            self._verify_pages(manifest, seen)
            with writing(self._note):
                self._note.write_text(json.dumps([manifest.backup_id, manifest.position["lsn"]]), encoding="utf-8")
        if increment is not None:
            shutil.rmtree(increment)

    def move(self, place: Path) -> None:
        """Move it to another place, which has its name only when complete."""
        unfinished = place.with_name(f".{place.name}.restoring")
        with writing(place):
            shutil.rmtree(unfinished, ignore_errors=True)  # of a killed attempt
            try:
                self._note.unlink()
                (self.folder / SETTINGS).unlink(missing_ok=True)
                shutil.move(self.folder, unfinished)
                unfinished.rename(place)
            except BaseException:
                shutil.rmtree(unfinished, ignore_errors=True)
                raise

    def remove(self) -> None:
        self._note.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _system(self, manifest: BackupManifest) -> list[Path]:
        return [self.folder / path for path in _system_paths(manifest.details["settings"]["system"])]

    def _tablespaces(self, manifest: BackupManifest) -> list[Path]:
        files = (path for pattern in ("undo[0-9]*", "*/*.ibd") for path in sorted(self.folder.glob(pattern)))
        return [*self._system(manifest), *files]

    def _verify_pages(self, manifest: BackupManifest, seen: Mapping[Path, int]) -> None:
        """Verify the checksums of all pages in files written since `seen`; preparing does not check them."""
        first, *parts = self._system(manifest)
        for path in self._tablespaces(manifest):
            if path.stat().st_mtime_ns == seen.get(path):
                continue
            flags = _numbers(first, _FLAGS_AT, 1)[0] if path in parts else None
            ranges = _ranges(first, manifest.details["settings"]["page_size"]) if path == first else [(0, None)]
            try:
                for begin, end in ranges:
                    self.work.clients.run("pages", {"file": path, "flags": flags, "begin": begin, "end": end})
                    self.work.clients.ran.pop()  # not recorded: there may be thousands
            except NotAtHandError:
                raise
            except BackupError as error:
                name = path.relative_to(self.folder)
                raise BackupError(f"{name} in {manifest.backup_id} is damaged: {_errors(error.message)}") from error


def checkpoints(folder: Path) -> tuple[int, int]:
    """The positions in InnoDB's log that a backup covers, from and to. Raises BackupError if they are missing."""
    for path in (folder / name for name in _CHECKPOINTS):
        if path.is_file():
            values = dict(
                line.split(" = ", 1) for line in path.read_text(encoding="utf-8").splitlines() if " = " in line
            )
            try:
                return int(values["from_lsn"]), int(values["to_lsn"])
            except (KeyError, ValueError) as error:
                raise BackupError(f"{path} does not have the backup's log positions") from error
    raise BackupError(f"{folder} does not have the backup's log positions")


def run(work: Work, program: str, values: Mapping[str, Any], **more: Any) -> None:
    """Run mariadb-backup. Raises BackupError with its errors unless it reports success."""
    messages = _run(work, program, values, **more)
    if COMPLETED not in messages.rstrip().rpartition("\n")[2]:
        raise BackupError(f"{work.tool.programs[program][0]} did not finish: {_errors(messages)}")


def _run(work: Work, program: str, values: Mapping[str, Any], **more: Any) -> str:
    """Run a program; returns its messages. Raises BackupError with its errors, NotAtHandError for a full disk."""
    try:
        return work.clients.run(program, values, **more)
    except BackupError as error:
        kind = NotAtHandError if _FULL.search(error.message) else type(error)
        raise kind(_errors(error.message), hint=error.hint) from error


def _unpack(work: Work, folder: Path, manifest: BackupManifest, into: Path) -> None:
    """Unpack a backup into a new folder."""
    stream, size = folder / STREAM, int(manifest.details["stream_bytes"])
    with writing(into):
        shutil.rmtree(into, ignore_errors=True)
        into.mkdir(mode=0o700)
    require_room(into, size, f"read {manifest.backup_id}")

    def feed(pipe: IO[bytes]) -> None:
        sent = 0
        try:
            with stream.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as text:
                while block := text.read(BLOCK):
                    pipe.write(block)
                    sent += len(block)
        except BrokenPipeError:
            raise  # the other program has ended and reports why
        except (OSError, zstandard.ZstdError) as error:
            raise BackupError(f"{stream} cannot be read: {error}") from error
        if sent != size:
            raise BackupError(f"{stream} has {sent:,} bytes instead of {size:,} when unpacked")

    _run(work, "unpack", {"folder": into}, feed=feed, size=lambda: total(into.rglob("*")), expected=size)
    if links := sorted(str(path.relative_to(into)) for path in into.glob(f"*/*{LINK}")):
        raise BackupError(f"{manifest.backup_id} cannot be restored: {links[0]} leads outside the data directory")
    if checkpoints(into) != (manifest.details["from"], manifest.position["lsn"]):
        raise BackupError(f"{stream} does not belong to {manifest.backup_id}: it covers another part of the log")


def _ranges(first: Path, page_size: int) -> list[tuple[int, int | None]]:
    """The ranges of pages of the system tablespace to verify, first and last: all but the doublewrite buffer's.

    These are written to while they are copied, and are unused once the log was applied.
    """
    mark, *blocks = _numbers(first, (_DOUBLEWRITE_PAGE + 1) * page_size - _DOUBLEWRITE_AT, 3)
    extent, begin, ranges = max(64, (1 << 20) // page_size), 0, list[tuple[int, int | None]]()
    for block in sorted(blocks) if mark == _DOUBLEWRITE_MAGIC else ():
        if begin < block:
            ranges.append((begin, block - 1))
        begin = block + extent
    return [*ranges, (begin, None)]


def _numbers(path: Path, at: int, count: int) -> tuple[int, ...]:
    """Big-endian 32-bit numbers, as InnoDB writes them."""
    with path.open("rb") as file:
        file.seek(at)
        return struct.unpack(f">{count}I", file.read(4 * count))


def _errors(messages: str) -> str:
    """The errors in a program's messages, else the last of them."""
    lines = [line.strip("\a ") for line in messages.splitlines() if line.strip("\a ")]
    return "; ".join(([line for line in lines if "ERROR" in line] or lines)[-_LINES:])
