"""What a database is to the rest of aishell: sessions that send one statement at a time and report all that came back."""

from __future__ import annotations

import os
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, ParamSpec, TypeVar

from aishell.databases.connections import Credentials, Pools, server_pool
from aishell.errors import DatabaseError
from aishell.models import Row

if TYPE_CHECKING:
    from aishell.databases.tls import Encryption


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement ready to be sent: `sql` for the driver with `params`, and `text` with the values in it.

    `shown` is the text on a screen: its only line breaks are those of the tool's file, and names and values are exact.
    """

    sql: str
    params: Mapping[str, Any]
    text: str
    shown: str = ""
    #: The tool's file and the block it comes from; empty for what sessions say by themselves (docs/audit.md).
    source: str = ""
    block: str = ""
    reads: bool = False
    #: Looks at it in the transaction in which it is sent next, and raises where it must not be (registry/touched.py).
    guard: Callable[[Session, Statement], None] | None = field(default=None, compare=False, repr=False)
    #: What people are told of it before it is sent: in which database, or only where something fails.
    note: str = ""

    @classmethod
    def of(cls, sql: str) -> Statement:
        """A statement without values, for the driver and for people alike."""
        return cls(sql, {}, sql)


@dataclass(frozen=True, slots=True)
class ServerMessage:
    """What a server said beside its result. `level`: note | warning | locked | unsupported | error | corrupt."""

    level: str
    text: str


@dataclass(frozen=True, slots=True)
class StatementResult:
    """What came back of a statement."""

    rows: list[Row] = field(default_factory=list)
    messages: tuple[ServerMessage, ...] = ()
    count: int = 0  # rows changed

    def worst(self, *levels: str) -> str | None:
        """The text of the messages of these levels, None when there is none."""
        return "; ".join(m.text for m in self.messages if m.level in levels) or None


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """Limits a session is born with, so that no RESET can undo them. Seconds; None means no limit."""

    read_only: bool = True
    lock_timeout: float | None = 5.0
    statement_timeout: float | None = 60.0


class Session(ABC):
    """One connection, used by one thread at a time; only `cancel` may be called from another."""

    #: Tells this connection from any other of the server's life: backend pid and start, or connection id.
    server_session: str = ""
    marker = ""  # what it is marked with
    #: How a transaction of this session begins.
    begin = "BEGIN"
    #: How a transaction begins in which every statement sees the same rows, and can change no others.
    steady: ClassVar[tuple[str, ...]]
    #: Whether others that want what a session has locked retry instead of queueing for it.
    polled = False

    def __init__(self, database: Database, pooled: Any, options: SessionOptions) -> None:
        self._database, self._pooled, self._options = database, pooled, options
        self._connection = pooled.driver_connection
        self.hears, self.traces, self.author = database.hears, database.traces, database.author
        self.read_only = options.read_only

    def _reconnect(self) -> None:
        """Take another connection for a pooled one that died while it was idle: nothing of ours was sent."""
        self._pooled.invalidate()
        self._pooled = self._database.pools.get(self._options)
        self._connection = self._pooled.driver_connection

    def tell(self, statement: Statement) -> None:
        """Let the one who listens know of a tool's statement, before it is sent."""
        if self.hears is not None and (statement.source or self.author):
            self.hears(replace(statement, source=statement.source or self.author), self)

    def check(self, statement: Statement) -> None:
        """Let the statement's guard look at it, if it has one."""
        if statement.guard is not None:
            statement.guard(self, statement)

    @abstractmethod
    def mark(self, marker: str) -> None:
        """Label what this session does from now on, so that its statements can be found on the server."""

    @abstractmethod
    def query(self, statement: Statement) -> list[Row]:
        """Rows of one reading statement, which the server is told to let write nothing, whatever kind of session this is.

        Within a transaction that was begun before it is a part of that one.
        """

    def analysed(self, statement: Statement) -> str:
        """What the server makes of a statement, which it does not run: only PostgreSQL tells, see there."""
        raise NotImplementedError

    @abstractmethod
    def execute(self, statement: Statement) -> StatementResult:
        """Send one statement in autocommit; in a reading session it is held to reading as by `query`."""

    @abstractmethod
    def send(self, statement: Statement) -> list[Row]:
        """Rows of one statement, sent as it is: what begins and ends transactions, and what a program of ours does in them."""

    @abstractmethod
    def execute_many(self, statement: Statement, rows: Sequence[Mapping[str, Any]]) -> int:
        """Send one statement for each row of values; how many rows it changed altogether."""

    def others_wrote(self) -> bool:
        """Whether another connection has changed the database since this was asked last; only where locks are polled for."""
        return False

    @property
    def encryption(self) -> Encryption | None:
        """How it is protected on its way; None where there is none to protect."""
        return None

    @abstractmethod
    def cancel(self) -> None:
        """Cancel what the session runs, on the server. Safe from any thread."""

    @property
    def _lost(self) -> bool:
        """Whether the connection is closed."""
        return False

    def close(self) -> None:
        """Give the connection back."""
        if not self._lost:
            self._pooled.close()
        elif self._pooled.is_valid:  # else it was given up already, and no other could be had
            self._pooled.invalidate()

    @contextmanager
    def transaction(self, *, steady: bool = False) -> Iterator[None]:
        """Statements inside are committed together, or not at all.

        In a `steady` one a row that came in after the first statement fails a statement that would change it, foreign keys'
        actions included, or waits until the transaction is over.
        """
        for words in self.steady if steady else (self.begin,):
            self._say(words)
        try:
            yield
        except BaseException:
            self._roll_back()
            raise
        try:
            self._say("COMMIT")
        except DatabaseError:
            with suppress(DatabaseError):  # SQLite leaves it open when readers are in the way; elsewhere it is over
                self._roll_back()
            raise

    def _roll_back(self) -> None:
        self._say("ROLLBACK")

    @contextmanager
    def holding(self, lock: Statement) -> Iterator[None]:
        """What `lock` takes is held for the statements inside, which are one transaction."""
        with self.transaction():
            self.execute(lock)
            yield

    def probe(self, statement: Statement) -> None:
        """Take a lock at once or raise, and let it go again: a transaction of its own that is rolled back."""
        self._say(self.begin)
        try:
            self.execute(statement)
        finally:
            self._say("ROLLBACK")

    def _say(self, words: str) -> None:
        self.send(Statement.of(words))

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


S = TypeVar("S", bound=Session)
P = ParamSpec("P")
R = TypeVar("R")


def sending(method: Callable[Concatenate[S, Statement, P], R]) -> Callable[Concatenate[S, Statement, P], R]:
    """A method that sends a statement: who listens knows of a tool's one before, who traces how long it took and how it ended."""

    @wraps(method)
    def sends(self: S, statement: Statement, /, *given: P.args, **named: P.kwargs) -> R:
        self.tell(statement)
        source = statement.source or self.author
        if self.traces is None or not source:
            return method(self, statement, *given, **named)
        with self.traces(replace(statement, source=source), self):
            return method(self, statement, *given, **named)

    return sends


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a target's lock."""

    run_id: str
    host: str
    since: str
    session: str = ""

    def __str__(self) -> str:
        return f"run {self.run_id} on {self.host}, since {self.since}"


class Database(ABC):
    """A target's database: facts that do not change while a run lasts, and a source of sessions."""

    engine: str
    placeholder: str  # how the driver spells a bound value, e.g. "%({})s"
    escape_percent: bool  # whether the driver reads % in the statement's text

    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials
        #: Told of every statement of a tool, before it is sent.
        self.hears: Callable[[Statement, Session], None] | None = None
        #: What each statement of a tool is sent within, where that is traced.
        self.traces: Callable[[Statement, Session], AbstractContextManager[None]] | None = None
        self.author = ""  # the file of the tool whose own Python sends what comes from no block
        self.may_write = True  # False: nothing at all is written, not even what a crashed writer left to be rolled back
        self.pools = Pools(self._connect, self._pool, credentials.display)
        self._facts: tuple[str, tuple[int, ...], frozenset[str]] | None = None
        self._guard = threading.Lock()

    def _pool(self, connect: Callable[[], Any]) -> Any:
        return server_pool(connect)

    @abstractmethod
    def _connect(self, options: SessionOptions) -> Any:
        """A new driver connection in autocommit with `options` in force."""

    @abstractmethod
    def session(self, options: SessionOptions) -> Session:
        """A session from the pool."""

    @abstractmethod
    def _probe(self, session: Session) -> tuple[str, tuple[int, ...], frozenset[str]]:
        """Product, version and features, by SELECT only."""

    @property
    def here(self) -> Credentials:
        """How to reach the very server that the first connection has reached, where the URL names several."""
        return self.credentials

    def stay(self) -> None:
        """Raise DatabaseError (moved) where that server is no longer what it was; asked before each step."""
        return

    @abstractmethod
    def hold(self, run_id: str) -> TargetLock:
        """Take the lock in the target for a run, without waiting. Raises TargetLockHeldError."""

    @abstractmethod
    def running(self, marker: str) -> list[str]:
        """Server sessions that still run a statement with this marker."""

    @abstractmethod
    def stop(self, server_session: str) -> None:
        """Cancel the statement of another session on the server, and end the session."""

    @property
    def facts(self) -> tuple[str, tuple[int, ...], frozenset[str]]:
        with self._guard:
            if self._facts is None:
                with self.session(SessionOptions(read_only=True)) as session:
                    self._facts = self._probe(session)
            return self._facts

    @property
    def product(self) -> str:
        return self.facts[0]

    @property
    def version(self) -> tuple[int, ...]:
        return self.facts[1]

    @property
    def features(self) -> frozenset[str]:
        return self.facts[2]

    def close(self) -> None:
        self.pools.close()


class TargetLock(ABC):
    """A lock in the target, held by one connection that does nothing else and holds no transaction."""

    @abstractmethod
    def alive(self) -> bool:
        """Whether the lock is still held; asked before each step."""

    @abstractmethod
    def release(self) -> None: ...


class TargetLockHeldError(DatabaseError):
    """The target's lock is held by another session."""

    def __init__(self, holder: Holder) -> None:
        self.holder = holder
        super().__init__(f"the target is held by {holder}", kind="busy")


class FileLockOnly(TargetLock):
    """For engines whose only lock is the file lock beside the database."""

    def alive(self) -> bool:
        return True

    def release(self) -> None:
        return None


def lock_label(run_id: str) -> str:
    """What a lock's connection calls itself: the run and this host. PostgreSQL cuts application_name at 63 bytes."""
    host = socket.gethostname().encode("ascii", "replace").decode()
    return f"aishell:{run_id[:8]}:lock@{host}:{os.getpid()}"[:63]


class Watchdog(threading.Timer):
    """Cancels a statement. `fired` is set before that: the statement's error comes back sooner than the cancelling ends."""

    fired = False

    def run(self) -> None:
        self.finished.wait(self.interval)
        self.fired = not self.finished.is_set()
        if self.fired:
            self.function()


def watchdog(seconds: float | None, cancel: Callable[[], None]) -> Watchdog | None:
    """A started timer that cancels a statement after `seconds`; the caller cancels the timer."""
    if seconds is None:
        return None
    timer = Watchdog(seconds, cancel)
    timer.daemon = True
    timer.start()
    return timer
