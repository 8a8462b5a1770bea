"""Circuit breakers for connections to targets, shared by all processes: after several failures in a row, none is tried.

`Breaker` decides, without I/O; `Breakers` stores. The first process to try after the rest postpones the next try, in
one transaction. If it is killed, nothing has to be undone: another process may try at that time.
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
#: How long no connection is then tried.
REST = timedelta(seconds=60)
#: Failures older than this do not count.
FORGOTTEN = timedelta(hours=1)
#: The time allowed for a try beyond its own limit.
SPARE = timedelta(seconds=20)

CLOSED, HALF_OPEN, OPEN = "closed", "half_open", "open"


@dataclass(frozen=True)
class Breaker:
    """Connections to a target that failed in a row. `at`: the time of the last failure or try.

    `next_at`: when the next may be tried, if open; `trying`: one is being tried.
    """

    target: str
    failures: int
    at: datetime
    reason: str
    opened_at: datetime | None = None
    next_at: datetime | None = None
    trying: bool = False

    def state(self, now: datetime) -> str:
        """Return CLOSED, HALF_OPEN (one connection is being tried, or may be) or OPEN."""
        if self.opened_at is None:
            return CLOSED
        return HALF_OPEN if self.trying or self._rested(now) else OPEN

    def refuses(self, now: datetime) -> bool:
        """Whether no connection may be tried now."""
        return self.opened_at is not None and not self._rested(now)

    def _rested(self, now: datetime) -> bool:
        # A clock set back must not prolong the rest: no failure is in the future.
        return self.next_at is None or self.next_at <= now or self.at > now

    def tried(self, now: datetime, limit: timedelta) -> Breaker:
        """Return the breaker while one connection is tried, which takes at most `limit`."""
        return replace(self, trying=True, at=now, next_at=now + max(REST, limit + SPARE))

    def failed(self, now: datetime, reason: str) -> Breaker:
        """Return the breaker after another failure."""
        if self.opened_at is not None:  # connections begun before it opened do not prolong the rest
            return replace(self, trying=False, at=now, reason=reason, next_at=now + REST) if self.trying else self
        failures = self.failures + 1 if abs(now - self.at) <= FORGOTTEN else 1
        counted = replace(self, failures=failures, at=now, reason=reason)
        return counted if failures < MOST_FAILURES else replace(counted, opened_at=now, next_at=now + REST)

    @property
    def tried_after(self) -> str:
        """When the next connection may be tried, as text; empty if now."""
        return at(self.next_at, seconds=True) if self.next_at is not None else ""

    @property
    def text(self) -> str:
        """A sentence for people."""
        since = at(self.opened_at, seconds=True) if self.opened_at else ""
        return (
            f"connections to {self.target} are suspended since {since}, after {self.failures} failures: {self.reason}"
        )


class Breakers:
    """The breakers of targets in a store. A subclass for other servers has its own table and events."""

    table: ClassVar[str] = "breakers"
    #: Names in the audit log: the target's key, and the events of a first failure, an opening and a closing.
    subject: ClassVar[str] = "target"
    unreachable: ClassVar[str] = "target_unreachable"
    opened: ClassVar[str] = "breaker_opened"
    closed: ClassVar[str] = "breaker_closed"

    def __init__(self, store: Store) -> None:
        self.store = store

    def of(self, target: str, limit: float) -> Watch:
        """Return the breaker for connections to a target. `limit`: the most seconds that a connection may take."""
        return Watch(self, target, timedelta(seconds=limit))

    def find(self, target: str) -> Breaker | None:
        """Return the breaker of a target, None if its last connection succeeded."""
        with self.store.read() as connection:
            return self._known(connection, target)

    def all(self) -> list[Breaker]:
        """Return the breakers of all targets whose last connection failed."""
        with self.store.read() as connection:
            return every(connection)

    def take(self, target: str, limit: timedelta) -> bool:
        """Return whether a connection may be tried. If the breaker is open and has rested, this reserves the try."""
        with self.store.write() as connection:
            known, now = self._known(connection, target), datetime.now(UTC)
            if known is None or known.opened_at is None:
                return True
            if known.refuses(now):
                return False
            _put(connection, self.table, known.tried(now, limit))
            return True

    def failed(self, target: str, reason: str) -> Breaker:
        """Record a connection that was not answered; return the breaker after it."""
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
        """Remove the breaker of a target; return it as it was, None without one."""
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
    """The breakers of language models' servers, by address. They notify nobody: every caller works without a model."""

    table = "model_breakers"
    subject = "server"
    unreachable = "model_unreachable"
    opened = "model_breaker_opened"
    closed = "model_breaker_closed"


@dataclass
class Watch:
    """The breaker of one target for code that connects to it (`databases.connections.ConnectionBreaker`)."""

    breakers: Breakers
    target: str
    limit: timedelta

    def ask(self) -> bool:
        """Return whether connections failed before; costs one read if none did. Raises BreakerOpenError."""
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
        """Record that a server answered, after connections had failed."""
        self.breakers.close(self.target, "a connection was answered")

    def failed(self, error: DatabaseError) -> None:
        """Record a connection that was not answered."""
        self.breakers.failed(self.target, error.message)


def every(connection: Connection) -> list[Breaker]:
    """Return the breakers of all targets whose last connection failed."""
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
