"""A program, not a test: runs the command line once per request, each in a child that ends itself at the N-th commit.

Reads a JSON object a line from standard input: `arguments`, `out`, `err`, `at` (0: never), `of` and `when`, `before` or `after`
the N-th commit to state.db, changing statement of a tool, `change` of the target (by any statement), or chunk of `rows` that is
loaded; or, where it is of `room`, N kilobytes that are left for a backup; or, of a `line`, after how many lines behind the last
step a Ctrl-C comes. Answers with the child's exit code, -9 when it was killed. The modules are imported once, then every run is
a fork: hundreds of them fit into the time that importing would take.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aishell.cli.main
import aishell.cli.run
import aishell.databases.mysql
import aishell.databases.postgresql
import aishell.databases.sqlite
import aishell.site
from aishell.execution.orchestrator import Orchestrator
from aishell.registry.archive_loads import Loading
from aishell.registry.objects import Objects
from aishell.state.store import Store

#: What others have put onto the disk, in the folder of backups.
BALLAST = ".ballast"


#: What a statement begins with that changes a server's databases.
CHANGES = re.compile(r"ALTER|ANALYZE|COMMIT|CREATE|DO\b|DROP|EXECUTE|INSERT|RENAME")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at(wanted: int, when: str) -> None:
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


def kill_at_statement(wanted: int, when: str) -> None:
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


def kill_at_rows(wanted: int, when: str) -> None:
    """Make the chunk number `wanted` the last that is loaded: just before its rows are sent, or just after."""
    original = Loading._insert
    numbers = itertools.count(1)

    def insert(self: Loading, *arguments: Any) -> int:
        number = next(numbers)
        if number == wanted and when == "before":
            die()
        count = original(self, *arguments)
        if number == wanted:
            die()
        return count

    Loading._insert = insert  # type: ignore[method-assign]


def take(ballast: Path, left: int) -> None:
    """A file that takes all of its disk but so many kilobytes."""
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, shutil.disk_usage(ballast.parent).free - left * 1024))


def crowd(left: int, when: str) -> None:
    """Make others fill the disk of the backups but for `left` kilobytes, as soon as aishell has looked how much room there is."""
    from aishell.backups import making

    def fill(folder: Path, expected: int) -> None:
        take(folder.parents[1] / BALLAST, left)

    making._check_room = fill


def interrupt_at_line(wanted: int, when: str) -> None:
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


def kill_at_change(wanted: int, when: str) -> None:
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
    for name in ("_keep", "_write"):
        setattr(sqlite_replace, name, counted(getattr(sqlite_replace, name), lambda *_: True))


KILLS = {
    "commit": kill_at,
    "statement": kill_at_statement,
    "change": kill_at_change,
    "rows": kill_at_rows,
    "room": crowd,
    "line": interrupt_at_line,
}


def run(request: dict[str, Any]) -> int:
    """The exit code of one run in a child."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    for number, name in ((0, os.devnull), (1, request["out"]), (2, request["err"])):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC), number)
    code = 1
    try:
        sys.argv = ["aishell", *request["arguments"]]
        if request["at"]:
            KILLS[request["of"]](request["at"], request["when"])
        aishell.cli.main.main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    for line in sys.stdin:
        print(run(json.loads(line)), flush=True)
