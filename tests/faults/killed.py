"""What can become of a command in the midst of it: killed at a commit or a statement, a full disk, a Ctrl-C. Done in its fork."""

from __future__ import annotations

import functools
import itertools
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aishell.databases.mysql
import aishell.databases.postgresql
from aishell.archives.fates import Notes
from aishell.execution.orchestrator import Orchestrator
from aishell.running.archive_load import Loading
from aishell.running.per_object import Objects
from aishell.state.store import Store

#: Sends the fault's signal to this process.
Die = Callable[[], None]
#: What others have put onto the disk, in the folder of backups.
BALLAST = ".ballast"
#: What a statement begins with that changes a server's databases.
CHANGES = re.compile(r"ALTER|ANALYZE|COMMIT|CREATE|DO\b|DROP|EXECUTE|INSERT|RENAME")


@dataclass(frozen=True)
class Fault:
    """What a command meets, and when.

    It is killed, or sent another `signal`, `before` or `after` the N-th commit to state.db, changing `statement` of a tool,
    `change` of the target by any statement, chunk of `rows` that is loaded, or `note` of a chunk that was deleted; or at the
    `begin` of a backup. Of `room`: N kilobytes are left for a backup. Of a `line`: a Ctrl-C comes N lines of Python behind the
    last step. Of `patience`: others who hold state.db are waited for N seconds.
    """

    at: int
    when: str = "before"
    of: str = "commit"
    signal: int = signal.SIGKILL

    def __str__(self) -> str:
        return f"{self.when} {self.of} {self.at}"

    def prepare(self) -> None:
        """Arrange for it in this process."""
        KILLS[self.of](self.at, self.when, functools.partial(os.kill, os.getpid(), self.signal))


def kill_at(wanted: int, when: str, die: Die) -> None:
    """Make the store end this process at its commit number `wanted`: just before it is durable, or just after."""
    original = Store.write
    numbers = itertools.count(1)

    @contextmanager
    def write(self: Store) -> Iterator[Any]:
        with original(self) as connection:
            yield connection
            number = next(numbers)
            if number == wanted and when == "before":
                die()
        if number == wanted and when == "after":
            die()

    Store.write = write  # type: ignore[method-assign]


def kill_at_statement(wanted: int, when: str, die: Die) -> None:
    """Make the changing statement number `wanted` the last: just before it is sent, or just after it has taken effect."""
    original = Objects._send
    numbers = itertools.count(1)

    def send(self: Objects, *arguments: Any) -> Any:
        number = next(numbers)
        if number == wanted and when == "before":
            die()
        outcome = original(self, *arguments)
        if number == wanted:
            die()
        return outcome

    Objects._send = send  # type: ignore[method-assign]


def kill_at_rows(wanted: int, when: str, die: Die) -> None:
    """Make the chunk number `wanted` the last that is loaded: just before its rows are sent, or just after."""
    original = Loading._insert
    numbers = itertools.count(1)

    def insert(self: Loading, *arguments: Any, **named: Any) -> int:
        number = next(numbers)
        if number == wanted and when == "before":
            die()
        count = original(self, *arguments, **named)
        if number == wanted:
            die()
        return count

    Loading._insert = insert  # type: ignore[method-assign]


def kill_at_note(wanted: int, when: str, die: Die) -> None:
    """Make the chunk number `wanted` the last of an archive that is deleted: just before that is written down, or just after."""
    original = Notes.add
    numbers = itertools.count(1)

    def add(self: Notes, *arguments: Any) -> None:
        number = next(numbers)
        if number == wanted and when == "before":
            die()
        original(self, *arguments)
        if number == wanted:
            die()

    Notes.add = add  # type: ignore[method-assign]


def take(ballast: Path, left: int) -> None:
    """A file that takes all of its disk but so many kilobytes."""
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, shutil.disk_usage(ballast.parent).free - left * 1024))


def waiting(left: int, when: str, die: Die) -> None:
    """Make others fill the disk of the backups but for `left` kilobytes, as soon as aishell has looked how much room there is."""
    from aishell.backups.create import making

    def fill(folder: Path, expected: int) -> None:
        take(folder.parents[1] / BALLAST, left)

    making._check_room = fill


def kill_at_begin(wanted: int, when: str, die: Die) -> None:
    """Make a backup end this process as soon as its partial folder is there."""
    from aishell.backups.create import making

    original = making._check_room

    def check(folder: Path, expected: int) -> None:
        original(folder, expected)
        die()

    making._check_room = check


def interrupt_at_line(wanted: int, when: str, die: Die) -> None:
    """Make a Ctrl-C come at the line number `wanted` of Python that is run when all steps are through."""
    original = Orchestrator.walk
    numbers = itertools.count(1)

    def trace(frame: Any, event: str, argument: Any) -> Any:
        if event == "line" and next(numbers) == wanted:
            sys.settrace(None)
            signal.raise_signal(signal.SIGINT)
        return trace

    def walk(self: Orchestrator) -> Any:
        outcome = original(self)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.settrace(trace)
        return outcome

    Orchestrator.walk = walk  # type: ignore[method-assign]


def kill_at_change(wanted: int, when: str, die: Die) -> None:
    """Make what changes the target, whoever sends it, end this process: just before its change number `wanted`, or just after."""
    from aishell.backups.sqlite import replace as sqlite_replace

    numbers = itertools.count(1)

    def counted(original: Callable[..., Any], changes: Callable[..., bool]) -> Callable[..., Any]:
        def send(*arguments: Any, **named: Any) -> Any:
            number = next(numbers) if changes(*arguments) else 0
            if number == wanted and when == "before":
                die()
            outcome = original(*arguments, **named)
            if number == wanted:
                die()
            return outcome

        return send

    def changes(session: Any, statement: Any) -> bool:
        return bool(CHANGES.match(statement.text))

    mysql, postgresql = aishell.databases.mysql.MySQLSession, aishell.databases.postgresql.PostgreSQLSession
    mysql._sent = counted(mysql._sent, changes)  # type: ignore[method-assign]
    postgresql.execute = counted(postgresql.execute, changes)  # type: ignore[method-assign]
    postgresql.send = counted(postgresql.send, changes)  # type: ignore[method-assign]
    for name in ("_keep", "_write"):
        setattr(sqlite_replace, name, counted(getattr(sqlite_replace, name), lambda *_: True))


def hurry(seconds: int, when: str, die: Die) -> None:
    """Make a state store that others hold be waited for so long only."""
    from aishell.state import connection, store

    connection.BUSY_TIMEOUT = store.BUSY_TIMEOUT = seconds * 1000


KILLS = {
    "commit": kill_at,
    "statement": kill_at_statement,
    "change": kill_at_change,
    "rows": kill_at_rows,
    "note": kill_at_note,
    "begin": kill_at_begin,
    "room": waiting,
    "patience": hurry,
    "line": interrupt_at_line,
}
