"""The interface to a database: sessions that send one statement at a time and return its rows, messages and count."""

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
    """A statement ready to be sent: `sql` with `params` for the driver, and `text` with the values filled in.

    `shown` is the text for a screen: its only line breaks are those of the tool's file, and names and values are exact.
    """

    sql: str
    params: Mapping[str, Any]
    text: str
    shown: str = ""
    #: The tool's file and the block in it; empty for statements that sessions send by themselves (docs/audit.md).
    source: str = ""
    block: str = ""
    reads: bool = False
    #: Checks the statement in the transaction in which it is sent next; raises if it must not be sent (registry/touched.py).
    guard: Callable[[Session, Statement], None] | None = field(default=None, compare=False, repr=False)
    #: A note for people, shown before it is sent: the database that it runs in, or that it is sent only on failure.
    note: str = ""

    @classmethod
    def of(cls, sql: str) -> Statement:
        """Return a statement without values; its text is the same for the driver and for people."""
        return cls(sql, {}, sql)


@dataclass(frozen=True, slots=True)
class ServerMessage:
    """A message that a server sent beside its result. `level`: note | warning | locked | unsupported | error | corrupt."""

    level: str
    text: str


@dataclass(frozen=True, slots=True)
class StatementResult:
    """The result of a statement: its rows, the server's messages, and the number of rows changed."""

    rows: list[Row] = field(default_factory=list)
    messages: tuple[ServerMessage, ...] = ()
    count: int = 0

    def worst(self, *levels: str) -> str | None:
        """Return the joined texts of the messages of these levels, None if there are none."""
        return "; ".join(m.text for m in self.messages if m.level in levels) or None


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """Limits that a session starts with, so that no RESET can undo them. Seconds; None means no limit."""

    read_only: bool = True
    lock_timeout: float | None = 5.0
    statement_timeout: float | None = 60.0


class Session(ABC):
    """One connection, used by one thread at a time; only `cancel` may be called from another."""

    #: Identifies this connection as long as the server runs: backend pid and start, or connection id.
    server_session: str = ""
    marker = ""
    #: The statement that begins a transaction of this session.
    begin = "BEGIN"
    #: The statements that begin a transaction in which all statements see the same rows, and can change no others.
    steady: ClassVar[tuple[str, ...]]
    #: Whether other sessions retry for a lock that this session holds, instead of queueing for it.
    polled = False

    def __init__(self, database: Database, pooled: Any, options: SessionOptions) -> None:
        self._database, self._pooled, self._options = database, pooled, options
        self._connection = pooled.driver_connection
        self.hears, self.traces, self.author = database.hears, database.traces, database.author
        self.read_only = options.read_only

    def _reconnect(self) -> None:
        """Replace a pooled connection that died while it was idle; nothing of ours was sent on it."""
        self._pooled.invalidate()
        self._pooled = self._database.pools.get(self._options)
        self._connection = self._pooled.driver_connection

    def tell(self, statement: Statement) -> None:
        """Report a tool's statement to the listener (`hears`) before it is sent."""
        if self.hears is not None and (statement.source or self.author):
            self.hears(replace(statement, source=statement.source or self.author), self)

    def check(self, statement: Statement) -> None:
        """Run the statement's guard, if it has one."""
        if statement.guard is not None:
            statement.guard(self, statement)

    @abstractmethod
    def mark(self, marker: str) -> None:
        """Label the statements that this session sends from now on, so that they can be found on the server."""

    @abstractmethod
    def query(self, statement: Statement) -> list[Row]:
        """Return the rows of a statement in a read-only transaction, even if the session may write.

        Inside a transaction that was begun before, the statement is part of that transaction.
        """

    def analysed(self, statement: Statement) -> str:
        """Return the server's tree of a statement, without running it. Only PostgreSQL reports one, see there."""
        raise NotImplementedError

    @abstractmethod
    def execute(self, statement: Statement) -> StatementResult:
        """Send one statement in autocommit; in a read-only session it may only read, as in `query`."""

    @abstractmethod
    def send(self, statement: Statement) -> list[Row]:
        """Send one statement as it is and return its rows: for transaction control, and for our own code inside transactions."""

    @abstractmethod
    def execute_many(self, statement: Statement, rows: Sequence[Mapping[str, Any]]) -> int:
        """Send one statement for each row of values, and return the total number of rows changed."""

    def others_wrote(self) -> bool:
        """Whether another connection has changed the database since the last call; only where locks are polled for."""
        return False

    @property
    def encryption(self) -> Encryption | None:
        """The encryption of the connection; None for a local file."""
        return None

    @abstractmethod
    def cancel(self) -> None:
        """Cancel the session's running statement, on the server. Safe from any thread."""

    @property
    def _lost(self) -> bool:
        """Whether the connection is closed."""
        return False

    def close(self) -> None:
        """Return the connection to the pool."""
        if not self._lost:
            self._pooled.close()
        elif self._pooled.is_valid:  # else it was invalidated already, and reconnecting failed
            self._pooled.invalidate()

    @contextmanager
    def transaction(self, *, steady: bool = False) -> Iterator[None]:
        """Run the statements inside as one transaction: all of them are committed, or none.

        With `steady`, rows that others insert after the first statement are not changed: a statement that would change them
        fails, foreign keys' actions included, or their insertion waits until the transaction ends.
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
            with suppress(DatabaseError):  # SQLite leaves it open if readers block the commit; elsewhere it has ended
                self._roll_back()
            raise

    def _roll_back(self) -> None:
        self._say("ROLLBACK")

    @contextmanager
    def holding(self, lock: Statement) -> Iterator[None]:
        """Hold the lock that `lock` takes for the statements inside, which are one transaction."""
        with self.transaction():
            self.execute(lock)
            yield

    def probe(self, statement: Statement) -> None:
        """Take a lock at once or raise, and release it by rolling back the transaction around it."""
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
    """Decorate a method that sends a statement: a tool's statement is reported to the listener before it, and traced."""

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
    """The run that holds a target's lock."""

    run_id: str
    host: str
    since: str
    session: str = ""

    def __str__(self) -> str:
        return f"run {self.run_id} on {self.host}, since {self.since}"


class Database(ABC):
    """A target's database: facts that do not change during a run, and a source of sessions."""

    engine: str
    placeholder: str  # how the driver writes a bound value, e.g. "%({})s"
    escape_percent: bool  # whether the driver interprets % in the statement's text

    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials
        #: Called with every statement of a tool, before it is sent.
        self.hears: Callable[[Statement, Session], None] | None = None
        #: The context in which each statement of a tool is sent, if statements are traced.
        self.traces: Callable[[Statement, Session], AbstractContextManager[None]] | None = None
        self.author = ""  # the file of the tool whose Python code sends statements that are in no block
        self.may_write = True  # False: nothing is written, and a crashed writer's journal is not rolled back
        self.pools = Pools(self._connect, self._pool, credentials.display)
        self._facts: tuple[str, tuple[int, ...], frozenset[str]] | None = None
        self._guard = threading.Lock()

    def _pool(self, connect: Callable[[], Any]) -> Any:
        return server_pool(connect)

    @abstractmethod
    def _connect(self, options: SessionOptions) -> Any:
        """Return a new driver connection in autocommit, with `options` in force."""

    @abstractmethod
    def session(self, options: SessionOptions) -> Session:
        """Return a session from the pool."""

    @abstractmethod
    def _probe(self, session: Session) -> tuple[str, tuple[int, ...], frozenset[str]]:
        """Return product, version and features, using SELECT only."""

    @property
    def here(self) -> Credentials:
        """The credentials for the server that the first connection reached, if the URL names several."""
        return self.credentials

    def stay(self) -> None:
        """Raise DatabaseError (moved) if that server or its role has changed; called before each step."""
        return

    @abstractmethod
    def hold(self, run_id: str) -> TargetLock:
        """Take the target's lock for a run, without waiting. Raises TargetLockHeldError."""

    @abstractmethod
    def running(self, marker: str) -> list[str]:
        """Return the server sessions that still run a statement with this marker."""

    @abstractmethod
    def stop(self, server_session: str) -> None:
        """Cancel the statement of another session on the server, and end that session."""

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
    """A lock in the target, held by a connection that does nothing else and has no transaction open."""

    @abstractmethod
    def alive(self) -> bool:
        """Whether the lock is still held; called before each step."""

    @abstractmethod
    def release(self) -> None: ...


class TargetLockHeldError(DatabaseError):
    """The target's lock is held by another session."""

    def __init__(self, holder: Holder) -> None:
        self.holder = holder
        super().__init__(f"the target is held by {holder}", kind="busy")


class FileLockOnly(TargetLock):
    """The lock of engines whose only lock is the file lock beside the database."""

    def alive(self) -> bool:
        return True

    def release(self) -> None:
        return None


def lock_label(run_id: str) -> str:
    """Return the name of a lock's connection: the run and this host. PostgreSQL truncates application_name to 63 bytes."""
    host = socket.gethostname().encode("ascii", "replace").decode()
    return f"aishell:{run_id[:8]}:lock@{host}:{os.getpid()}"[:63]


class Watchdog(threading.Timer):
    """A timer that cancels a statement. `fired` is set first: the statement may fail before the cancellation has ended."""

    fired = False

    def run(self) -> None:
        self.finished.wait(self.interval)
        self.fired = not self.finished.is_set()
        if self.fired:
            self.function()


def watchdog(seconds: float | None, cancel: Callable[[], None]) -> Watchdog | None:
    """Start a timer that cancels a statement after `seconds`; the caller cancels the timer. Without a limit, return None."""
    if seconds is None:
        return None
    timer = Watchdog(seconds, cancel)
    timer.daemon = True
    timer.start()
    return timer
