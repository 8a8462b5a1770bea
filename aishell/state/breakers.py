"""Circuit breakers for connections to targets, shared by all processes: after several failures in a row none is tried a while.

The decisions are pure (`Breaker`); `Breakers` stores them. The first process to try after the rest moves the time of the next
try on, in one transaction. If it is killed, nothing has to be undone: another process may try at that time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from aishell.errors import BreakerOpenError, DatabaseError
from aishell.moments import at
from aishell.state import audit
from aishell.state.connection import Connection, Record
from aishell.state.store import Store

#: Failed connections in a row that open a breaker.
MOST_FAILURES = 3
#: How long no connection is tried after that.
REST = timedelta(seconds=60)
#: Older failures do not count.
FORGOTTEN = timedelta(hours=1)
#: A try may take this much longer than its own time limit.
SPARE = timedelta(seconds=20)

CLOSED, HALF_OPEN, OPEN = "closed", "half_open", "open"


@dataclass(frozen=True)
class Breaker:
    """Connections to a target that failed in a row. `at`: the time of the last failure or try.

    `next_at`: when the next may be tried, if it is open; `trying`: one is being tried.
    """

    target: str
    failures: int
    at: datetime
    reason: str
    opened_at: datetime | None = None
    next_at: datetime | None = None
    trying: bool = False

    def state(self, now: datetime) -> str:
        """One of CLOSED, HALF_OPEN (one connection is or may be tried) and OPEN."""
        if self.opened_at is None:
            return CLOSED
        return HALF_OPEN if self.trying or self._rested(now) else OPEN

    def refuses(self, now: datetime) -> bool:
        """Whether a connection is not to be tried."""
        return self.opened_at is not None and not self._rested(now)

    def _rested(self, now: datetime) -> bool:
        # A clock that was set back does not prolong the rest: failures are never in the future.
        return self.next_at is None or self.next_at <= now or self.at > now

    def tried(self, now: datetime, limit: timedelta) -> Breaker:
        """The breaker while one connection is tried, which takes at most `limit`."""
        return replace(self, trying=True, at=now, next_at=now + max(REST, limit + SPARE))

    def failed(self, now: datetime, reason: str) -> Breaker:
        """The breaker after one more failure."""
        if self.opened_at is not None:  # connections that were begun before it opened do not prolong the rest
            return replace(self, trying=False, at=now, reason=reason, next_at=now + REST) if self.trying else self
        failures = self.failures + 1 if abs(now - self.at) <= FORGOTTEN else 1
        counted = replace(self, failures=failures, at=now, reason=reason)
        return counted if failures < MOST_FAILURES else replace(counted, opened_at=now, next_at=now + REST)

    @property
    def tried_after(self) -> str:
        """When the next connection may be tried, as text; empty where that is any time."""
        return at(self.next_at, seconds=True) if self.next_at is not None else ""

    @property
    def text(self) -> str:
        """One sentence."""
        since = at(self.opened_at, seconds=True) if self.opened_at else ""
        return (
            f"connections to {self.target} are suspended since {since}, after {self.failures} failures: {self.reason}"
        )


class Breakers:
    """The breakers of targets in a store. Those of other servers have a table and events of their own."""

    table: ClassVar[str] = "breakers"
    #: Names in the audit log: the key of the target, and the events of a first failure, an opening and a closing.
    subject: ClassVar[str] = "target"
    unreachable: ClassVar[str] = "target_unreachable"
    opened: ClassVar[str] = "breaker_opened"
    closed: ClassVar[str] = "breaker_closed"

    def __init__(self, store: Store) -> None:
        self.store = store

    def of(self, target: str, limit: float) -> Watch:
        """The breaker of a target for its connections; `limit`: how long a connection may take, in seconds."""
        return Watch(self, target, timedelta(seconds=limit))

    def find(self, target: str) -> Breaker | None:
        """The breaker of a target; None where its last connection succeeded."""
        with self.store.read() as connection:
            return self._known(connection, target)

    def all(self) -> list[Breaker]:
        """Every target whose last connection failed."""
        with self.store.read() as connection:
            return every(connection)

    def take(self, target: str, limit: timedelta) -> bool:
        """Whether a connection may be tried; where a breaker is open and has rested, that try is taken by this."""
        with self.store.write() as connection:
            known, now = self._known(connection, target), datetime.now(UTC)
            if known is None or known.opened_at is None:
                return True
            if known.refuses(now):
                return False
            _put(connection, self.table, known.tried(now, limit))
            return True

    def failed(self, target: str, reason: str) -> Breaker:
        """Nobody answered a connection; what is known of the target then."""
        shown = str(audit.redact(reason))
        with self.store.write() as connection:
            now = datetime.now(UTC)
            before = self._known(connection, target) or Breaker(target, 0, now, shown)
            after = before.failed(now, shown)
            if after != before:
                _put(connection, self.table, after)
            if after.failures == 1 and before.opened_at is None:
                audit.append(connection, self.unreachable, {self.subject: target, "reason": shown})
            if after.opened_at is not None and before.opened_at is None:
                data = {self.subject: target, "failures": after.failures, "reason": shown}
                audit.append(connection, self.opened, data)
        return after

    def close(self, target: str, why: str) -> Breaker | None:
        """Forget the failures of a target; what was known of it."""
        with self.store.write() as connection:
            row = connection.first(
                f"DELETE FROM {self.table} WHERE target = :target RETURNING *",  # noqa: S608  ours
                {"target": target},
            )
            if row is not None and row.opened_at is not None:
                data = {self.subject: target, "reason": why, "opened_at": row.opened_at}
                audit.append(connection, self.closed, data)
        return _made(row) if row is not None else None

    def _known(self, connection: Connection, target: str) -> Breaker | None:
        row = connection.first(f"SELECT * FROM {self.table} WHERE target = :target", {"target": target})  # noqa: S608  ours
        return _made(row) if row is not None else None


class ModelBreakers(Breakers):
    """Those of language models' servers, by their addresses. Nobody is woken for one: what asks a model goes on without."""

    table = "model_breakers"
    subject = "server"
    unreachable = "model_unreachable"
    opened = "model_breaker_opened"
    closed = "model_breaker_closed"


@dataclass
class Watch:
    """The breaker of one target, as whoever connects to it sees it (`databases.connections.ConnectionBreaker`)."""

    breakers: Breakers
    target: str
    limit: timedelta

    def ask(self) -> bool:
        """Whether any connection failed before; costs one read where none did. Raises BreakerOpenError."""
        known = self.breakers.find(self.target)
        if known is None:
            return False
        if known.opened_at is not None and not self.breakers.take(self.target, self.limit):
            known = self.breakers.find(self.target) or known
            raise BreakerOpenError(
                known.text,
                kind="connect",
                hint=f"check the server; the next connection is tried after {known.tried_after}",
            )
        return True

    def answered(self) -> None:
        """A server answered, after connections had failed."""
        self.breakers.close(self.target, "a connection was answered")

    def failed(self, error: DatabaseError) -> None:
        """Nobody answered."""
        self.breakers.failed(self.target, error.message)


def every(connection: Connection) -> list[Breaker]:
    """Every target whose last connection failed."""
    return [_made(row) for row in connection.all("SELECT * FROM breakers ORDER BY target")]


def _made(row: Record) -> Breaker:
    opened, following = (datetime.fromisoformat(text) if text else None for text in (row.opened_at, row.next_at))
    failed = datetime.fromisoformat(row.at)
    return Breaker(row.target, row.failures, failed, row.reason, opened, following, bool(row.trying))


def _put(connection: Connection, table: str, one: Breaker) -> None:
    times = {"at": one.at, "opened_at": one.opened_at, "next_at": one.next_at}
    row: dict[str, object] = {name: moment.isoformat() if moment else None for name, moment in times.items()}
    row |= {"target": one.target, "failures": one.failures, "reason": one.reason, "trying": int(one.trying)}
    again = ", ".join(f"{name} = excluded.{name}" for name in row if name != "target")
    connection.insert(table, row, known=f"ON CONFLICT (target) DO UPDATE SET {again}")
