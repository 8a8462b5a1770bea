"""The files of a MariaDB server, where they are on this host: asked before any of them is copied."""

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

#: Where distributions put the server's program; not everybody has these folders on the path.
_PLACES = (None, Path("/usr/sbin"), Path("/usr/libexec"))
#: How a `struct flock` lies in memory; what is asked is whether anybody keeps us from writing to the whole file.
_FLOCK = "hhqqi"
#: How the name of a file ends that leads to a table outside of the data directory.
LINK = ".isl"
_LOCALLY = "back up on the server's own host, as its account or as root; or leave out --physical"
#: The stream of a backup, and the folder of what the program says of it, which is what a stream begins with too.
STREAM, TOLD = "cluster.mbstream.zst", "told"
#: Settings that it leaves in a backup, among them where the source has its undo tablespaces.
SETTINGS = "backup-my.cnf"
#: Where it says how far a backup reaches; the names of versions 10 and 11.
_CHECKPOINTS = ("xtrabackup_checkpoints", "mariadb_backup_checkpoints")
#: The last words of a program that has done all it should.
COMPLETED = "completed OK!"
BLOCK = 1 << 18
#: So many lines of what a program said are told.
_LINES = 4
#: How programs say that a disk is full: it says nothing of the backup.
_FULL = re.compile(r"No space left on device|error number 28\b")
#: Where the flags of a tablespace stand in its first file, in bytes: its further files do not hold them.
_FLAGS_AT = 54
#: The page that tells where writes are noted twice, where it does that, from its end, and the mark that it does.
_NOTED_PAGE, _NOTED_AT, _NOTED_MARK = 5, 190, 536853855


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
            (row,) = work.query("files", session)
            folder, root = Path(row["folder"]).resolve(), work.backup_store.repository.root.resolve()
            system = [Path(row["folder"]) / (row["home"] or "") / path for path in _named(row["system"])]
            require_own(Path(row["folder"]), system[0], row["thread"])
            if encrypting := [one["name"] for one in work.query("encrypting", session)]:
                why = f"the server encrypts its files by {', '.join(encrypting)}: such copies cannot be proven here"
                raise BackupError(why, hint="leave out --physical")
            foreign = [f"{one['tables']} table(s) of {one['engine']}" for one in work.query("foreign_engines", session)]
        if root.is_relative_to(folder):
            raise inside_data_directory(root, folder)
        seen = system[0].stat()
        return cls(
            folder,
            sum(path.stat().st_size for path in system) + _of_tables(folder),
            f"{seen.st_dev}:{seen.st_ino}",
            {
                "system": ";".join(part.rpartition("/")[2] for part in row["system"].split(";")),
                **{name: int(row[name]) for name in ("page_size", "undos", "fold")},
            },
            tuple(f"{tables}: mariadb-backup copies none of them" for tables in foreign),
        )


def use_own(work: Work, program: str, version: Sequence[int]) -> None:
    """Let `work` run the programs of the server's own line, such as 10.11: others do not know the format of its files.

    Raises NotAtHandError where they are not here. Where `programs:` is set that folder is used and no other.
    """
    line, programs = ".".join(map(str, version[:2])), work.backup_store.programs
    work.clients.choose(
        program,
        _PLACES if programs is None else (programs,),
        lambda found: tuple(found[:2]) == tuple(version[:2]),
        f"the files are of MariaDB {line}, and {work.tool.programs[program][0]} {line}",
        f"install the programs of MariaDB {line}, or set `programs:` in config/aishell.yaml to their folder",
    )


def _named(system: str) -> list[str]:
    """The paths in a value of innodb_data_file_path."""
    return [part.split(":")[0] for part in system.split(";")]


def require_own(folder: Path, system: Path, thread: int) -> None:
    """Raises BackupError unless the files are those of the server that `thread`, of the connection, runs in.

    Another host can have a server with the same paths, and of the same name. The kernel knows which process has the system
    tablespace locked, and which threads that has.
    """
    if not folder.is_dir():
        raise BackupError(f"the server's data directory {folder} is not on this host", hint=_LOCALLY)
    wanted = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    try:
        with system.open("rb") as file:
            kind, _, _, _, holder = struct.unpack(_FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, wanted))
    except OSError as error:
        raise BackupError(f"{system} may not be read here: {error.strerror}", hint=_LOCALLY) from error
    if kind == fcntl.F_UNLCK or not Path(f"/proc/{holder}/task/{thread}").is_dir():
        raise BackupError(f"the server that was reached does not run on {folder} of this host", hint=_LOCALLY)


def _of_tables(folder: Path) -> int:
    """Bytes of the files of all databases. Raises BackupError for one that is not in its place or may not be read."""
    size = 0
    for database in (path for path in folder.iterdir() if path.is_dir() and path.name != "lost+found"):
        if not os.access(database, os.R_OK | os.X_OK):
            raise BackupError(f"{database} may not be read here", hint=_LOCALLY)
        for path in database.iterdir():
            if path.suffix == LINK:
                why = f"{path.stem} in {database.name} lies outside of the data directory (DATA DIRECTORY)"
                raise BackupError(why, hint="leave out --physical: a copy would lead to the server's own file")
            if not os.access(path, os.R_OK) and path.exists():  # tables come and go meanwhile
                raise BackupError(f"{path} may not be read here", hint=_LOCALLY)
            size += total([path])
    return size


class Prepared:
    """A copy in the work folder, which goes with that at the end."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.folder = work.folder.resolve() / ".prepared"
        self._note = self.folder.with_suffix(".at")

    @property
    def at(self) -> tuple[str, int] | None:
        """The backup that it is now, and how far that reaches; None where it is none."""
        try:
            backup_id, lsn = json.loads(self._note.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return str(backup_id), int(lsn)

    def reach(self, chain: Chain) -> None:
        """Become the last of a chain; where that was just checked it is that already. Raises BackupError for a gap."""
        if self.at is None or self.at[0] != chain[-1][1].backup_id:
            for folder, manifest in chain:
                self.add(folder, manifest)

    def add(self, folder: Path, manifest: BackupManifest) -> None:
        """A full backup, or an increment on what it is now, read to its last page.

        Where the full one is not at hand, as when that is encrypted, an increment is unpacked and no more. Raises BackupError for
        one that is damaged or does not go on from here, NotAtHandError where programs or room are missing.
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
            # Not by the settings that lie in the backup: they name folders of the source.
            run(self.work, "prepare", {"folder": self.folder, "increment": increment, **manifest.details["settings"]})
            self._look_through(manifest, seen)
            with writing(self._note):
                self._note.write_text(json.dumps([manifest.backup_id, manifest.position["lsn"]]), encoding="utf-8")
        if increment is not None:
            shutil.rmtree(increment)

    def move(self, place: Path) -> None:
        """Give it another place, which is on the disk under its name when all of it is there."""
        unfinished = place.with_name(f".{place.name}.restoring")
        with writing(place):
            shutil.rmtree(unfinished, ignore_errors=True)  # of an attempt that was killed
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
        return [self.folder / path for path in _named(manifest.details["settings"]["system"])]

    def _tablespaces(self, manifest: BackupManifest) -> list[Path]:
        files = (path for pattern in ("undo[0-9]*", "*/*.ibd") for path in sorted(self.folder.glob(pattern)))
        return [*self._system(manifest), *files]

    def _look_through(self, manifest: BackupManifest, seen: Mapping[Path, int]) -> None:
        """Every page of what was written since, by its checksum: preparing takes a flipped bit as it is."""
        first, *parts = self._system(manifest)
        for path in self._tablespaces(manifest):
            if path.stat().st_mtime_ns == seen.get(path):
                continue
            flags = _numbers(first, _FLAGS_AT, 1)[0] if path in parts else None
            ranges = _ranges(first, manifest.details["settings"]["page_size"]) if path == first else [(0, None)]
            try:
                for begin, end in ranges:
                    self.work.clients.run("pages", {"file": path, "flags": flags, "begin": begin, "end": end})
                    self.work.clients.ran.pop()  # there may be thousands
            except NotAtHandError:
                raise
            except BackupError as error:
                name = path.relative_to(self.folder)
                raise BackupError(f"{name} in {manifest.backup_id} is damaged: {_last(error.message)}") from error


def checkpoints(folder: Path) -> tuple[int, int]:
    """From where to where in InnoDB's log a backup reaches, as the program tells. Raises BackupError where it does not."""
    for path in (folder / name for name in _CHECKPOINTS):
        if path.is_file():
            told = dict(line.split(" = ", 1) for line in path.read_text(encoding="utf-8").splitlines() if " = " in line)
            try:
                return int(told["from_lsn"]), int(told["to_lsn"])
            except (KeyError, ValueError) as error:
                raise BackupError(f"{path} does not say how far the backup reaches") from error
    raise BackupError(f"{folder} does not say how far the backup reaches")


def run(work: Work, program: str, values: Mapping[str, Any], **more: Any) -> None:
    """mariadb-backup to its last words. Raises BackupError with what it said before it failed."""
    said = _said(work, program, values, **more)
    if COMPLETED not in said.rstrip().rpartition("\n")[2]:
        raise BackupError(f"{work.tool.programs[program][0]} did not finish: {_last(said)}")


def _said(work: Work, program: str, values: Mapping[str, Any], **more: Any) -> str:
    """What a program said. Raises BackupError with its errors, NotAtHandError where it had no room to write."""
    try:
        return work.clients.run(program, values, **more)
    except BackupError as error:
        kind = NotAtHandError if _FULL.search(error.message) else type(error)
        raise kind(_last(error.message), hint=error.hint) from error


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
            raise  # what unpacks has ended, and tells why
        except (OSError, zstandard.ZstdError) as error:
            raise BackupError(f"{stream} cannot be read: {error}") from error
        if sent != size:
            raise BackupError(f"{stream} has {sent:,} bytes instead of {size:,} when it is unpacked")

    _said(work, "unpack", {"folder": into}, feed=feed, size=lambda: total(into.rglob("*")), expected=size)
    if links := sorted(str(path.relative_to(into)) for path in into.glob(f"*/*{LINK}")):
        raise BackupError(f"{links[0]} leads out of the data directory: {manifest.backup_id} cannot be restored")
    if checkpoints(into) != (manifest.details["from"], manifest.position["lsn"]):
        raise BackupError(f"{stream} is not of {manifest.backup_id}: it reaches from and to another place in the log")


def _ranges(first: Path, page_size: int) -> list[tuple[int, int | None]]:
    """The pages of the system tablespace that are to be right, from and to: all but those where writes are noted twice.

    These are copied while they are written to, and mean nothing once the log was applied.
    """
    mark, *blocks = _numbers(first, (_NOTED_PAGE + 1) * page_size - _NOTED_AT, 3)
    extent, begin, ranges = max(64, (1 << 20) // page_size), 0, list[tuple[int, int | None]]()
    for block in sorted(blocks) if mark == _NOTED_MARK else ():
        if begin < block:
            ranges.append((begin, block - 1))
        begin = block + extent
    return [*ranges, (begin, None)]


def _numbers(path: Path, at: int, count: int) -> tuple[int, ...]:
    """Big-endian 32-bit numbers, as InnoDB writes them."""
    with path.open("rb") as file:
        file.seek(at)
        return struct.unpack(f">{count}I", file.read(4 * count))


def _last(said: str) -> str:
    """The errors in what a program said, else the end of it: it tells every file that it goes through."""
    lines = [line.strip("\a ") for line in said.splitlines() if line.strip("\a ")]
    return "; ".join(([line for line in lines if "ERROR" in line] or lines)[-_LINES:])
