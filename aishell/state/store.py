"""`state.db`: opened safely, written in short immediate transactions by one process at a time, checked before each step.

Measured (bench/bench_step_overhead.py): a FULL-synchronous commit costs 0.15-1 ms; nothing is skipped to get below that.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aishell.commands import command
from aishell.errors import StateError
from aishell.interrupts import uninterrupted
from aishell.models import new_id
from aishell.moments import at
from aishell.sqlite_pool import Pool
from aishell.state import anchor
from aishell.state.connection import BUSY_TIMEOUT, AuditEvent, Connection, Record, connect, is_store
from aishell.state.schema import VERSION, migrate
from aishell.state.turns import turn
from aishell.telemetry.logs import INFO, log_detail

#: Seconds that a writer waits for its turn before relying on SQLite's own wait.
PATIENCE = 30.0


class Store:
    """The state store. One writer at a time; others wait for their turn, then for BUSY_TIMEOUT."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pool = Pool(lambda: connect(path))
        self._inode = _inode(path)
        self._writer = threading.RLock()
        #: Called with the audit events of each commit, after it; must not raise.
        self.hears: Callable[[Sequence[AuditEvent]], None] | None = None

    @classmethod
    def open(cls, path: Path) -> Store:
        """Open or create the store at `path` with mode 0600, migrated to this version.

        Raises StateError with a remedy if the file is empty, corrupt, newer, not a store, or cannot be written.
        """
        if not path.exists():
            _refuse_vanished(path)
            cls._make(path)
        if path.stat().st_size == 0:
            raise StateError(
                f"{path} is empty: the state store was truncated",
                hint="restore it from a copy, or move it away to start over",
            )
        store = cls(path)
        try:
            store._prepare()
        except StateError:
            store.close()
            raise
        return store

    @classmethod
    def _make(cls, path: Path) -> None:
        """Create a store under another name and link it into place, so that a kill leaves no partial one."""
        unfinished = path.with_name(f".{path.name}.{new_id()[:12]}")
        _make_private(unfinished)
        store = cls(unfinished)
        try:
            with store.write() as connection:
                migrate(connection, 0)
            store.close()
            with contextlib.closing(sqlite3.connect(unfinished)) as finished:
                finished.execute("PRAGMA journal_mode = WAL")  # stays with the file; this connection removes the WAL
            with contextlib.suppress(FileExistsError):  # another process was faster: its store is equivalent
                os.link(unfinished, path)
        except sqlite3.Error as error:
            raise _state_error(path, error) from error
        finally:
            store.close()
            for suffix in ("", "-wal", "-shm", "-turn"):
                unfinished.with_name(unfinished.name + suffix).unlink(missing_ok=True)

    def _prepare(self) -> None:
        with self.read() as connection:
            version = connection.value("PRAGMA user_version")
            if not is_store(connection):
                raise StateError(
                    f"{self.path} is not a state store of aishell",
                    hint="name another file with --state, or move this one away",
                )
            if version > VERSION:
                raise StateError(
                    f"{self.path} was written by a newer aishell (state version {version}, this one knows {VERSION})",
                    hint="update aishell, or name another state store",
                )
            if version == VERSION:
                return
        with turn(self.path, PATIENCE):
            with self.read() as connection:  # another process may have been faster
                version = connection.value("PRAGMA user_version")
            if version == VERSION:
                return
            self._copy(self.path.with_name(f"{self.path.name}.v{version}"))
            with self._transaction("BEGIN IMMEDIATE") as connection:
                migrate(connection, version)
                connection.commit()
            log_detail("state_migrated", level=INFO, file=str(self.path), version_before=version, version=VERSION)

    def _copy(self, copy: Path) -> None:
        """Copy the store through SQLite, since the last commits may still be in the write-ahead log."""
        copy.unlink(missing_ok=True)
        _make_private(copy)
        with self.read() as connection, contextlib.closing(sqlite3.connect(copy)) as target:
            connection.backup(target)
            problem = target.execute("PRAGMA quick_check(1)").fetchone()[0]
        if problem != "ok":
            raise StateError(
                f"{self.path} is damaged and was not migrated: {problem}", hint=f"restore it, or repair the copy {copy}"
            )

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One immediate transaction, durably committed at the end. Raises StateError if the store cannot be written."""
        hears, appended = self.hears, list[AuditEvent]()
        with uninterrupted():
            # A deferred transaction that becomes a writer fails at once, whatever the timeout.
            with self._writer, turn(self.path, PATIENCE), self._transaction("BEGIN IMMEDIATE") as connection:
                connection.appended = None if hears is None else appended
                yield connection
                connection.commit()
            if hears is not None and appended:
                hears(appended)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A read transaction."""
        with uninterrupted(), self._transaction("BEGIN") as connection:
            yield connection

    def all(self, sql: str, values: Mapping[str, Any] | None = None) -> list[Record]:
        """Return the rows of a query, in its own transaction."""
        with self.read() as connection:
            return connection.all(sql, values)

    def first(self, sql: str, values: Mapping[str, Any] | None = None) -> Record | None:
        """Return the first row of a query, None without one."""
        with self.read() as connection:
            return connection.first(sql, values)

    def value(self, sql: str, values: Mapping[str, Any] | None = None) -> Any:
        """Return the first column of the first row of a query, None without one."""
        with self.read() as connection:
            return connection.value(sql, values)

    def check(self) -> list[str]:
        """Return the problems that SQLite finds in the file, empty if it is intact."""
        with self.read() as connection:
            found = [row[0] for row in connection.all("PRAGMA integrity_check(20)") if row[0] != "ok"]
            lost = connection.all("PRAGMA foreign_key_check")
        return [*found, *(f"a row of {row[0]} references a missing row of {row[2]}" for row in lost[:20])]

    def compact(self, *, vacuum: bool) -> int:
        """Rewrite the file (`vacuum`) and empty the write-ahead log; return the size of the file after it, in bytes.

        Other writers wait. Raises StateError if there is no room.
        """
        with uninterrupted(), self._writer, turn(self.path, PATIENCE), self._transaction("") as connection:
            if vacuum:
                connection.execute("VACUUM")
            connection.all("PRAGMA wal_checkpoint(TRUNCATE)")  # a concurrent reader keeps it until next time
            return int(connection.value("PRAGMA page_count")) * int(connection.value("PRAGMA page_size"))

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Connection]:
        """A transaction, rolled back unless committed; `begin`: "" for none. Raises StateError for SQLite's errors."""
        self._still_there()
        try:
            lent = self._pool.connect()
            try:
                if begin:
                    lent.driver_connection.execute(begin)
                yield lent.driver_connection
            finally:
                lent.driver_connection.rollback()
                if lent.driver_connection.alone:
                    lent.driver_connection.close()  # nobody else can open the file until then
                else:
                    lent.close()
        except sqlite3.Error as error:
            raise _state_error(self.path, error) from error

    def _still_there(self) -> None:
        if _inode(self.path) != self._inode:
            raise StateError(
                f"{self.path} was deleted or replaced while aishell had it open; no further step was started",
                hint=f"restore the file; `{command('doctor')}` checks it",
            )

    def close(self) -> None:
        with uninterrupted():
            self._pool.dispose()


def _refuse_vanished(path: Path) -> None:
    """Raises StateError if the store is missing but its anchor is not: a new store would hide that."""
    left = anchor.read(anchor.path_of(path))
    if left is not None and left.events:
        raise StateError(
            f"{path} is missing: when the last run ended, on {at(left.at)}, its audit log had {left.events} events "
            f"(head {left.head[:16]})",
            hint=f"restore it from a copy; to start over without its runs and approvals, move {anchor.path_of(path)} away",
        )


def _make_private(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except OSError as error:
        raise StateError(
            f"no state store can be created in {path.parent}: {error.strerror}",
            hint="name a writable folder with --site or AISHELL_SITE",
        ) from error


def _state_error(path: Path, error: sqlite3.Error) -> StateError:
    text, name = str(error), error.sqlite_errorname
    message = f"{path} cannot be written: {text}"
    hint = "free disk space, then try again; a run that was cut off can be resumed"
    if "malformed" in text or "not a database" in text:
        message = f"{path} is damaged: {text}"
        hint = "restore it from a copy, or move it away to start over; it is never recreated silently"
    elif "locked" in text:
        message = f"{path} was locked for {BUSY_TIMEOUT // 1000} s by another process"
        hint = "see who has it open, then try again"
    elif "readonly" in text or "read-only" in text:
        hint = "give this user write permission on the file and its folder"
    elif name.startswith("SQLITE_IOERR_SHM"):  # the index of the write-ahead log, which readers need too
        message = f"{path} cannot be opened: there is no room for {path.name}-shm beside it ({text})"
        hint = "free 100 kB of disk space there, then try again; nothing is lost"
    elif name.startswith("SQLITE_CANTOPEN"):
        message, kept = f"{path} cannot be opened: {text}", f"{path.name}-wal and {path.name}-shm"
        hint = f"give this user write permission on its folder, where SQLite keeps {kept}"
    return StateError(message, hint=hint)


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
