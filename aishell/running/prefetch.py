"""Questions that are asked of the database while something else runs, each thread with a session of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from aishell.databases.base import Session, Statement
from aishell.errors import DatabaseError
from aishell.models import Row
from aishell.running.context import Context

#: The rows of a query, and the seconds it took.
Answer = tuple[list[Row], float]


class Asking:
    """Up to `sessions` read-only sessions, opened when they are needed. A query whose session was lost is sent again."""

    def __init__(self, context: Context, sessions: int) -> None:
        self.context = context
        self._pool = ThreadPoolExecutor(sessions, thread_name_prefix="asking")
        self._own = threading.local()
        self._sessions: list[Session] = []

    def ask(self, statement: Statement) -> Future[Answer]:
        return self.have(lambda session: session.query(statement))

    def have(self, look: Callable[[Session], list[Row]]) -> Future[Answer]:
        """The same of what takes several queries."""
        return self._pool.submit(self._answer, look)

    def _answer(self, look: Callable[[Session], list[Row]]) -> Answer:
        def send() -> list[Row]:
            if getattr(self._own, "session", None) is None:
                self._own.session = self.context.reading()
                self._sessions.append(self._own.session)
            try:
                session: Session = self._own.session
                return look(session)
            except DatabaseError as error:
                if error.kind == "connection_lost":  # nothing was changed: a new session asks again
                    self._own.session = None
                    raise DatabaseError(error.message, kind="connect", code=error.code) from error
                raise

        began = time.monotonic()
        rows: list[Row] = self.context.attempt(send, lambda: None)
        return rows, time.monotonic() - began

    def close(self, *, cancel: bool = False) -> None:
        """End the sessions; `cancel`: also what they still do."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for session in self._sessions if cancel else ():
            session.cancel()
        self._pool.shutdown(wait=True)
        for session in self._sessions:
            session.close()
