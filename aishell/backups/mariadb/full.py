"""A dump of a MariaDB or MySQL database by its own program, with fingerprints of the same moment."""

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

#: Snapshots held at a time, each on its own connection; only one while nobody writes.
HELD = 10
#: Seconds between two snapshots, and during which they are taken.
PAUSE, LONGEST = 0.002, 10.0

Position = tuple[str, int]
DUMP = "dump.sql.zst"
BLOCK = 1 << 18
#: zstd's level and threads: compressing in parallel takes half as long on two cores, and the program waits less.
LEVEL, THREADS = 3, 2
#: Attempts to start a dump at the moment of one of our snapshots; each takes only its first lines.
ATTEMPTS = 30
POLL = 0.5

_Begun = Callable[[DumpWatch], None]


class OtherMomentError(BackupError):
    """None of our snapshots is of the dump's moment."""


@dataclass(frozen=True)
class Snapshot:
    """A session with a snapshot; `position`: in the binary log, None if the server does not report it."""

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
    """Take a snapshot. Raises DatabaseError, after closing the session."""
    session = work.context.reading()
    try:
        work.query(f"unlimited_{work.context.database.product}", session)
        work.query("isolation", session)
        work.query("snapshot", session)
        status = {row["Variable_name"].lower(): row["Value"] for row in work.query("moment", session)}
    except DatabaseError:
        with suppress(DatabaseError):  # the connection may be lost
            work.query("release", session)
        session.close()
        raise
    file, position = status.get("binlog_snapshot_file"), status.get("binlog_snapshot_position")
    return Snapshot(session, (file, int(position or 0)) if file else None, time.monotonic())


class Moments:
    """Takes snapshots until one is chosen. Use as a context manager, which releases all others."""

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
            with suppress(DatabaseError):  # the connection is lost, and the snapshot with it
                one.release(self.work)

    def chosen(self, position: Position | None) -> Snapshot:
        """The snapshot at this position, which the caller releases. Raises OtherMomentError if there is none."""
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
        with suppress(DatabaseError):  # no more connections: the present ones may do
            while not self._ended.wait(PAUSE) and time.monotonic() < deadline:
                taken = snapshot(self.work)
                if taken.position == self._held[-1].position:
                    taken.release(self.work)
                    continue
                self._held.append(taken)
                if len(self._held) > HELD:
                    self._thin()

    def _thin(self) -> None:
        """Release the one whose neighbours are closest, so that the others stay spread over the whole time."""
        held = self._held
        least = min(range(1, len(held) - 1), key=lambda n: held[n + 1].at - held[n - 1].at)
        held.pop(least).release(self.work)


@dataclass(frozen=True)
class Taken:
    """A finished dump. `prints`: the fingerprints of its moment, or None; `how`: how they were taken, or why not."""

    watch: DumpWatch
    as_of: str
    how: str
    prints: tuple[Fingerprint, ...] | None = None


class Counting:
    """Computes fingerprints of a snapshot in a thread. Use as a context manager, which stops it and releases the snapshot."""

    def __init__(self, work: Work, tables: Sequence[ComparedTable]) -> None:
        self.work, self.tables = work, tables
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="prints")
        self._stopped = Event()
        self._snapshot: Snapshot | None = None
        self._future: Future[tuple[Fingerprint, ...]] | None = None

    def __enter__(self) -> Counting:
        return self

    def start(self, seen: Snapshot) -> None:
        """Start with a snapshot, which is released at the end."""
        self._snapshot = seen
        self._future = self._pool.submit(fingerprint, self.work, seen.session, self.tables, self._stopped.is_set)

    def prints(self) -> tuple[Fingerprint, ...]:
        """Wait for the fingerprints. Raises DatabaseError (cancelled) when the run was interrupted."""
        assert self._future is not None  # noqa: S101  it was started
        while not self._future.done():
            with suppress(TimeoutError):
                return self._future.result(POLL)
            if self.work.context.cancelled():
                self._cancel()
        return self._future.result()

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._cancel()
        self._pool.shutdown()
        if self._snapshot is not None:
            with suppress(DatabaseError):  # the connection is lost, and the snapshot with it
                self._snapshot.release(self.work)

    def _cancel(self) -> None:
        if self._snapshot is not None and self._future is not None and not self._future.done():
            with suppress(DatabaseError):
                self._snapshot.session.cancel()


@dataclass
class Dump:
    """A full backup being made."""

    work: Work
    database: str
    settings: Mapping[str, Any]
    found: Structure
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, work: Work) -> Dump:
        """Raises BackupError for anything that would prevent the backup, before anything is written."""
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
            self.notes.append(f"not compared: {how.removeprefix('none: ')}")
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
            return self._run(values, descriptor, "none: not requested")
        if self.work.context.database.product == "mysql" or not self.settings["binary_log"]:
            return self._framed(values, descriptor)
        for _ in range(ATTEMPTS):
            try:
                return self._matched(values, descriptor)
            except OtherMomentError:
                self.work.clients.ran.pop()
        return self._run(values, descriptor, "none: others kept writing, and no snapshot was of the same moment")

    def _matched(self, values: Mapping[str, Any], descriptor: int) -> Taken:
        """Dump with fingerprints from a snapshot at the same position in the binary log."""
        how = "a snapshot at the same position in the binary log"
        with Moments(self.work) as moments, Counting(self.work, self.found.tables) as counting:
            taken = self._run(values, descriptor, how, lambda watch: counting.start(moments.chosen(watch.position)))
            return replace(taken, prints=counting.prints())

    def _framed(self, values: Mapping[str, Any], descriptor: int) -> Taken:
        """Dump with equal fingerprints from before and after its snapshot, where positions of snapshots are not known."""
        with Counting(self.work, self.found.tables) as before, Counting(self.work, self.found.tables) as after:
            before.start(snapshot(self.work))
            how = "equal snapshots before and after it"
            taken = self._run(values, descriptor, how, lambda watch: after.start(snapshot(self.work)))
            prints = before.prints()
            if prints == after.prints():
                return replace(taken, prints=prints)
        return replace(taken, how="none: others wrote while the dump began")

    def _run(self, values: Mapping[str, Any], descriptor: int, how: str, begun: _Begun = lambda watch: None) -> Taken:
        """Run the program; `begun` is called when it has its snapshot. `as_of` is the server's time then or just after."""
        target, watch, times = self.work.folder / DUMP, DumpWatch(), list[str]()

        def on_snapshot() -> None:
            times.append(str(self.work.query("settings")[0]["now"]))
            begun(watch)

        def drain(pipe: IO[bytes]) -> None:
            packer = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True, threads=THREADS)
            throttle = Throttle(self.work.params.get("max_rate"))
            most = throttle.most(BLOCK)
            with writing(target), target.open("wb") as file, packer.stream_writer(file) as packed:
                # Unbuffered: its first lines are waited for.
                for block in iter(lambda: os.read(pipe.fileno(), most), b""):
                    packed.write(block)
                    if watch.see(block):
                        on_snapshot()
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
            raise BackupError("the dump is truncated, though the program reported no error")
        if not times:
            on_snapshot()
        return Taken(watch, times[0], how)


def own_database(work: Work) -> str:
    """The database of the target. Raises BackupError if its URL names none."""
    database = work.context.database.credentials.url.database
    if not database:
        raise BackupError("the target's URL names no database", hint="write mysql://user@host/database")
    return database


def check_client(work: Work, program: str) -> None:
    """Raises BackupError for a client of another product, or of an older release series than the server."""
    product, server = work.context.database.product, work.context.database.version
    banner, version = work.clients.banner(program), work.clients.version(program)
    if ("mariadb" in banner.lower()) != (product == "mariadb"):
        how = "install the server's own client programs, or set `programs:` in config/aishell.yaml to their folder"
        raise BackupError(
            f"{work.clients.path(program)} is not a client of the server's product: {banner.strip()}", hint=how
        )
    if version[:2] < server[:2]:
        numbers = [".".join(map(str, one)) for one in (version, server)]
        how = "install a client as new as the server, or set `programs:` in config/aishell.yaml to its folder"
        raise BackupError(f"{work.clients.path(program)} is {numbers[0]}, but the server is {numbers[1]}", hint=how)


def gtid(work: Work, file: str, position: int) -> str | None:
    """The GTID state at this position, which tells binary logs with the same file names apart; None on MySQL."""
    if work.context.database.product != "mariadb":
        return None
    found = work.query("gtid", file=file, position=position)[0]["gtid"]
    return None if found is None else str(found)
