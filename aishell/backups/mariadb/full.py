"""A dump of a MariaDB or MySQL database by its own program, and the fingerprints of the same moment."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from threading import Event, Thread
from typing import IO, Any

import zstandard

from aishell.backups.create.making import Work, Written, expected_bytes, require
from aishell.backups.mariadb.dump_text import DumpWatch
from aishell.backups.mariadb.fingerprints import ComparedTable, Structure, fingerprint, structure
from aishell.backups.mariadb.login import account, login
from aishell.backups.store.manifest import Fingerprint
from aishell.clients.clients import Throttle, writing
from aishell.databases.base import Session
from aishell.errors import BackupError, DatabaseError
from aishell.planning.backup_rights import lines, of_dump

#: Snapshots held at a time, each on a connection of its own; as long as nobody writes it is one.
HELD = 10
#: Seconds between two snapshots, and for which they are taken at all.
PAUSE, LONGEST = 0.002, 10.0

Position = tuple[str, int]
DUMP = "dump.sql.zst"
BLOCK = 1 << 18
#: Compressed beside the reading: on two cores that takes half as long, and the program waits less with its output.
LEVEL, THREADS = 3, 2
#: So often a dump is begun anew to be of a moment that one of our snapshots is of; it takes its first lines only.
ATTEMPTS = 30
LOOK = 0.5

_Begun = Callable[[DumpWatch], None]


class OtherMomentError(BackupError):
    """The dump is of a moment that no snapshot of ours is of."""


@dataclass(frozen=True)
class Snapshot:
    """A session that sees one moment; `position` is None where the server does not tell."""

    session: Session
    position: Position | None
    at: float

    def release(self, work: Work) -> None:
        """End the snapshot and its session."""
        try:
            work.query("release", self.session)
        finally:
            self.session.close()


def snapshot(work: Work) -> Snapshot:
    """A snapshot of the present. Raises DatabaseError, and leaves no session behind."""
    session = work.context.reading()
    try:
        work.query(f"unlimited_{work.context.database.product}", session)
        work.query("isolation", session)
        work.query("snapshot", session)
        told = {row["Variable_name"].lower(): row["Value"] for row in work.query("moment", session)}
    except DatabaseError:
        with suppress(DatabaseError):  # what has failed may have lost the connection
            work.query("release", session)
        session.close()
        raise
    file, position = told.get("binlog_snapshot_file"), told.get("binlog_snapshot_position")
    return Snapshot(session, (file, int(position or 0)) if file else None, time.monotonic())


class Moments:
    """Takes snapshots from its beginning until one is chosen. Use as a context manager: all others are let go."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self._held: list[Snapshot] = []
        self._ended = Event()
        self._thread = Thread(target=self._take, name="moments")

    def __enter__(self) -> Moments:
        self._held.append(snapshot(self.work))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        for one in self._held:
            with suppress(DatabaseError):  # its connection is gone, and the snapshot with it
                one.release(self.work)

    def chosen(self, position: Position | None) -> Snapshot:
        """The snapshot of this moment, which the caller lets go. Raises OtherMomentError where there is none."""
        self._end()
        found = next((one for one in self._held if one.position == position and position is not None), None)
        if found is None:
            raise OtherMomentError("others wrote while the dump began")
        self._held.remove(found)
        return found

    def _end(self) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _take(self) -> None:
        deadline = time.monotonic() + LONGEST
        with suppress(DatabaseError):  # no more connections: those that are there may do
            while not self._ended.wait(PAUSE) and time.monotonic() < deadline:
                taken = snapshot(self.work)
                if taken.position == self._held[-1].position:
                    taken.release(self.work)
                    continue
                self._held.append(taken)
                if len(self._held) > HELD:
                    self._thin()

    def _thin(self) -> None:
        """Let go the one whose neighbours are closest together: those that stay are spread over the whole time."""
        held = self._held
        least = min(range(1, len(held) - 1), key=lambda n: held[n + 1].at - held[n - 1].at)
        held.pop(least).release(self.work)


@dataclass(frozen=True)
class Taken:
    """What a dump says of itself. `prints` are of its moment, None where there are none of it; `how` says why."""

    watch: DumpWatch
    as_of: str
    how: str
    prints: tuple[Fingerprint, ...] | None = None


class Counting:
    """Fingerprints of one snapshot, taken in a thread. Use as a context manager: it is stopped, and the snapshot let go."""

    def __init__(self, work: Work, tables: Sequence[ComparedTable]) -> None:
        self.work, self.tables = work, tables
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="prints")
        self._stopped = Event()
        self._snapshot: Snapshot | None = None
        self._future: Future[tuple[Fingerprint, ...]] | None = None

    def __enter__(self) -> Counting:
        return self

    def start(self, seen: Snapshot) -> None:
        """Begin with a snapshot, which is released at the end."""
        self._snapshot = seen
        self._future = self._pool.submit(fingerprint, self.work, seen.session, self.tables, self._stopped.is_set)

    def prints(self) -> tuple[Fingerprint, ...]:
        """Wait for them. Raises DatabaseError (cancelled) when the run was interrupted."""
        assert self._future is not None  # noqa: S101  it was begun
        while not self._future.done():
            with suppress(TimeoutError):
                return self._future.result(LOOK)
            if self.work.context.cancelled():
                self._cancel()
        return self._future.result()

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._cancel()
        self._pool.shutdown()
        if self._snapshot is not None:
            with suppress(DatabaseError):  # its connection is gone, and the snapshot with it
                self._snapshot.release(self.work)

    def _cancel(self) -> None:
        if self._snapshot is not None and self._future is not None and not self._future.done():
            with suppress(DatabaseError):
                self._snapshot.session.cancel()


@dataclass
class Dump:
    """One full backup in the making."""

    work: Work
    database: str
    settings: Mapping[str, Any]
    found: Structure
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, work: Work) -> Dump:
        """Raises BackupError for whatever would be in the way, before anything is written."""
        database = own_database(work)
        check_client(work, "dump")
        with work.context.reading() as session:
            (settings,) = work.query("settings", session)
            require(of_dump(lines(work.query("grants", session)), database, account(work, session)))
            found = structure(work, session)
        return cls(work, database, settings, found, list(found.warnings))

    def write(self) -> Written:
        with login(self.work) as (options, descriptor):
            taken = self._taken(self._values(options), descriptor)
        how, prints = taken.how, None
        if taken.prints is not None:
            with self.work.context.reading() as session:
                same = structure(self.work, session).prints == self.found.prints
            prints = (*self.found.prints, *taken.prints) if same else None
            how = how if same else "none: tables or routines were changed during the dump"
        if prints is None and self.work.params.get("compare"):
            self.notes.append(f"not compared, {how}")
        file, position = taken.watch.position or (None, 0)
        return Written(
            self.database,
            self.work.server.database_bytes,
            {"file": file, "position": position, "gtid": gtid(self.work, file, position)} if file else {},
            {
                "client": ".".join(map(str, self.work.clients.version("dump"))),
                "charset": self.found.charset,
                "collation": self.found.collation,
                "as_of": taken.as_of,
                "comparison": how,
                "enabled_events": sorted(name for name, status in self.found.events.items() if status == "ENABLED"),
                "warnings": self.notes,
            },
            prints,
        )

    def _values(self, options: str) -> Mapping[str, Any]:
        mysql, logged = self.work.context.database.product == "mysql", bool(self.settings["binary_log"])
        return {
            "options": options,
            "database": self.database,
            "master_data": "2" if logged and not mysql else None,
            "source_data": "2" if logged and mysql else None,
            "gtid_purged": "OFF" if mysql else None,
            "column_statistics": "0" if mysql else None,
            "history": "1" if self.found.history else None,
        }

    def _taken(self, values: Mapping[str, Any], descriptor: int) -> Taken:
        if not self.work.params.get("compare"):
            return self._run(values, descriptor, "none: not asked for")
        if self.work.context.database.product == "mysql" or not self.settings["binary_log"]:
            return self._framed(values, descriptor)
        for _ in range(ATTEMPTS):
            try:
                return self._matched(values, descriptor)
            except OtherMomentError:
                self.work.clients.ran.pop()
        return self._run(values, descriptor, "none: others kept writing, and no snapshot was of the same moment")

    def _matched(self, values: Mapping[str, Any], descriptor: int) -> Taken:
        """With a snapshot that lies where the dump does in the binary log."""
        how = "a snapshot at the same place in the binary log"
        with Moments(self.work) as moments, Counting(self.work, self.found.tables) as counting:
            taken = self._run(values, descriptor, how, lambda watch: counting.start(moments.chosen(watch.position)))
            return replace(taken, prints=counting.prints())

    def _framed(self, values: Mapping[str, Any], descriptor: int) -> Taken:
        """Where nobody tells which moment a snapshot is of: if one before and one after are the same, so is all in between."""
        with Counting(self.work, self.found.tables) as before, Counting(self.work, self.found.tables) as after:
            before.start(snapshot(self.work))
            how = "snapshots before and after it, which are the same"
            taken = self._run(values, descriptor, how, lambda watch: after.start(snapshot(self.work)))
            prints = before.prints()
            if prints == after.prints():
                return replace(taken, prints=prints)
        return replace(taken, how="none: others wrote while the dump began")

    def _run(self, values: Mapping[str, Any], descriptor: int, how: str, begun: _Begun = lambda watch: None) -> Taken:
        """Run the program; `begun` is called once it has its snapshot. `as_of` is a time by the server not before that."""
        target, watch, times = self.work.folder / DUMP, DumpWatch(), list[str]()

        def told() -> None:
            times.append(str(self.work.query("settings")[0]["now"]))
            begun(watch)

        def drain(pipe: IO[bytes]) -> None:
            packer = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True, threads=THREADS)
            throttle = Throttle(self.work.params.get("max_rate"))
            most = throttle.most(BLOCK)
            with writing(target), target.open("wb") as file, packer.stream_writer(file) as packed:
                # As it comes: its first lines are waited for.
                for block in iter(lambda: os.read(pipe.fileno(), most), b""):
                    packed.write(block)
                    if watch.see(block):
                        told()
                    throttle.passed(len(block))

        self.work.clients.run(
            "dump",
            values,
            secrets=[descriptor],
            drain=drain,
            size=lambda: target.stat().st_size if target.exists() else 0,
            expected=expected_bytes(self.work.params),
        )
        if not watch.complete:
            raise BackupError("the dump ends before its last line, though the program reported no error")
        if not times:
            told()
        return Taken(watch, times[0], how)


def own_database(work: Work) -> str:
    """The database of the target. Raises BackupError where its URL names none."""
    database = work.context.database.credentials.url.database
    if not database:
        raise BackupError("the target's URL names no database", hint="write mysql://user@host/database")
    return database


def check_client(work: Work, program: str) -> None:
    """Raises BackupError for a client of another product, or of an older line than the server."""
    product, server = work.context.database.product, work.context.database.version
    said, version = work.clients.banner(program), work.clients.version(program)
    if ("mariadb" in said.lower()) != (product == "mariadb"):
        how = "install the server's own client programs, or set `programs:` in config/aishell.yaml to their folder"
        raise BackupError(
            f"{work.clients.path(program)} is not a client of the server's product: {said.strip()}", hint=how
        )
    if version[:2] < server[:2]:
        numbers = [".".join(map(str, one)) for one in (version, server)]
        how = "use a client that is as new as the server; `programs:` in config/aishell.yaml names its folder"
        raise BackupError(f"{work.clients.path(program)} is {numbers[0]}, and the server {numbers[1]}", hint=how)


def gtid(work: Work, file: str, position: int) -> str | None:
    """What the binary log held before this place: the same place in another one does not. None on MySQL, which has no such."""
    if work.context.database.product != "mariadb":
        return None
    told = work.query("gtid", file=file, position=position)[0]["gtid"]
    return None if told is None else str(told)
