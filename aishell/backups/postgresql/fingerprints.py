"""The fingerprints of a PostgreSQL database: of every table's rows, and of all definitions."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress

from aishell.backups.create.making import Work
from aishell.backups.store.manifest import Fingerprint
from aishell.databases.base import Session
from aishell.errors import DatabaseError
from aishell.models import Row

#: Seconds between two checks for cancellation.
POLL = 0.5
#: The block and kinds of fingerprints that only a superuser can restore fully: owners and privileges, database settings.
PRIVILEGES, GRANTED = "privileges", frozenset({"privileges", "setting"})
_DEFINED = ("definitions", PRIVILEGES, "comments")
#: Kinds of fingerprints of data.
ROWS, VALUE, LARGE_OBJECTS = "rows", "value", "large objects"

#: Schema and name of a sequence -> its value, and whether it was called (see setval).
Values = Mapping[tuple[str, str], tuple[int, bool]]
_Task = Callable[[Session], Sequence[Fingerprint]]


@contextmanager
def snapshot(work: Work, session: Session, *, workers: int = 0) -> Iterator[None]:
    """A transaction with one snapshot for all statements, and fixed output formats.

    `workers`: its parallel workers on the server.
    """
    with session.transaction():
        session.execute(work.statement("isolation"))
        work.query("forms", session, workers=str(workers))
        yield


def fingerprint(
    work: Work,
    sessions: Sequence[Session],
    *,
    privileges: bool,
    stopped: Callable[[], bool],
    values: Values | None = None,
) -> tuple[Fingerprint, ...]:
    """The fingerprints of a database, computed by `sessions` in parallel, each within a `snapshot`.

    `values`: the sequences' values, if known, since they are not part of a snapshot. Raises DatabaseError (cancelled) when
    `stopped` returns true.
    """
    for session in sessions:
        session.execute(work.statement("savepoint"))
    tasks: deque[_Task] = deque(_tasks(work, sessions[0], privileges, values))
    total, prints = len(tasks), list[Fingerprint]()

    def drain(session: Session) -> None:
        while True:
            try:
                task = tasks.popleft()
            except IndexError:
                return
            prints.extend(task(session))
            # This releases locks: those of 10,000 tables do not fit into the server's lock table.
            session.execute(work.statement("rollback"))

    with ThreadPoolExecutor(len(sessions), thread_name_prefix="fingerprint") as pool:
        futures = [pool.submit(drain, session) for session in sessions]
        _await(work, futures, sessions, tasks, total, stopped)
    return tuple(sorted(prints, key=lambda one: (one.kind, one.name)))


def set_values(work: Work, session: Session, values: Values) -> tuple[Fingerprint, ...]:
    """The fingerprints of the sequences in a dump, from the values that it sets."""
    known = {(row["schema"], row["sequence"]): row["name"] for row in work.query("sequences", session)}
    return tuple(_value(known[key], *value) for key, value in values.items() if key in known)


def _tasks(work: Work, session: Session, privileges: bool, values: Values | None) -> Iterator[_Task]:
    """The tasks, the longest first."""
    for row in work.query("tables", session):
        yield lambda session, row=row: (_table(work, session, row),)  # type: ignore[misc]
    if work.query("large_objects", session)[0]["rows"]:
        yield lambda session: (_large_objects(work, session),)
    for block in _DEFINED:
        if block != PRIVILEGES or privileges:
            yield lambda session, block=block: [  # type: ignore[misc]
                Fingerprint(row["kind"], row["name"], None, row["hash"]) for row in work.query(block, session)
            ]
    if values is None:
        for row in work.query("sequences", session):
            yield lambda session, row=row: (_sequence(work, session, row),)  # type: ignore[misc]
    session.execute(work.statement("rollback"))


def _table(work: Work, session: Session, row: Row) -> Fingerprint:
    if row["empty"]:
        return Fingerprint(ROWS, row["name"], 0, "0")
    names = {"schema": row["schema"], "table": row["table"], "columns": row["columns"]}
    found = work.query("rows", session, **names)[0]
    return Fingerprint(ROWS, row["name"], found["rows"], found["hash"])


def _large_objects(work: Work, session: Session) -> Fingerprint:
    found = work.query("large_objects", session)[0]["rows"]
    return Fingerprint(LARGE_OBJECTS, "all", found, work.query("large_object_pages", session)[0]["hash"])


def _sequence(work: Work, session: Session, row: Row) -> Fingerprint:
    found = work.query("sequence_value", session, schema=row["schema"], sequence=row["sequence"])[0]
    return _value(row["name"], found["value"], found["called"])


def _value(name: str, value: int, called: bool) -> Fingerprint:
    return Fingerprint(VALUE, name, None, hashlib.sha256(f"{value} {called}".encode()).hexdigest())


def _await(
    work: Work,
    futures: Sequence[Future[None]],
    sessions: Sequence[Session],
    tasks: deque[_Task],
    total: int,
    stopped: Callable[[], bool],
) -> None:
    """Wait until all tasks are done; to stop, no more are started and running queries are cancelled on the server."""
    left: set[Future[None]] = set(futures)
    while left:
        done, left = wait(left, POLL, FIRST_EXCEPTION)
        failed = any(future.exception() for future in done)
        if left and (failed or stopped() or work.context.cancelled()):
            tasks.clear()
            for session in sessions:
                with suppress(DatabaseError):
                    session.cancel()
        work.context.progress(total - len(tasks), total, "objects read")
    for future in futures:
        future.result()
    if stopped() or work.context.cancelled():
        raise DatabaseError("reading the database was stopped", kind="cancelled")
