"""What a fault needs beside SQL: sessions, standbys, runs of aishell before it. Each is named by `actions:` of fault.yaml.

An action gets the scene, and what fault.yaml gives it; it leaves to `scene.exits` what has to end with the scene, and to
`scene.held` the end of sessions, which is before: a lock that they hold would be in the way of looking.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.postgresql import PostgresqlServer
from tests.servers import wait_until

if TYPE_CHECKING:
    from bench.eval.scenes import Scene


class Session:
    """A session that a fault holds open on the server."""

    def __init__(self, scene: Scene, name: str) -> None:
        self.db, self.engine = scene.db, scene.fault.engine
        options = {"application_name": name} if self.engine == "postgresql" else {}
        self.connection = self.db.connect(**options)
        own = {"postgresql": "SELECT pg_backend_pid()", "mariadb": "SELECT CONNECTION_ID()"}[self.engine]
        self.execute(own)
        self.number = self.fetched[0][0]
        scene.sessions[name] = self

    def execute(self, statement: str) -> None:
        cursor = self.connection.cursor()
        cursor.execute(statement)
        self.fetched = cursor.fetchall() if cursor.description else []

    def alive(self) -> bool:
        """Whether the server still has it."""
        known = {
            "postgresql": "SELECT 1 FROM pg_stat_activity WHERE pid = %s",
            "mariadb": "SELECT 1 FROM information_schema.PROCESSLIST WHERE ID = %s",
        }[self.engine]
        return bool(self.db.execute(known, [self.number]))

    def waits(self) -> bool:
        """Whether it waits for a lock."""
        known = {
            "postgresql": "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'",
            "mariadb": "SELECT 1 FROM information_schema.PROCESSLIST WHERE ID = %s AND STATE LIKE 'Waiting%%'",
        }[self.engine]
        return bool(self.db.execute(known, [self.number]))

    def close(self) -> None:
        """End it, whatever it does, and wait until the server has: one that waits does not hear its own client."""
        ended = {"postgresql": "SELECT pg_terminate_backend(%s)", "mariadb": "KILL %s"}[self.engine]
        with contextlib.suppress(Exception):  # it is gone
            self.db.execute(ended, [self.number])
        wait_until(lambda: not self.alive(), "the session's end", 60)


def hold_transaction(scene: Scene, *, statement: str, session: str = "reporting") -> None:
    """A session begins a transaction, runs a statement in it, and stays."""
    held = Session(scene, session)
    held.execute("BEGIN")
    held.execute(scene.filled(statement))
    scene.held.callback(held.close)


def queue(scene: Scene, *, statement: str, session: str = "waiting") -> None:
    """A session runs a statement that has to wait for a lock."""
    waiting = Session(scene, session)

    def run() -> None:
        with contextlib.suppress(Exception):  # it ends when the scene does
            waiting.execute(scene.filled(statement))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    wait_until(waiting.waits, f"{session} waits", 60)
    scene.held.callback(waiting.close)


def lag_behind(scene: Scene, *, seconds: float = 3) -> None:
    """A standby that streams, and stops replaying while the primary writes on, into a table `written (at timestamptz)`."""
    standby = PostgresqlServer(scene.db.server.bin, {"wal_receiver_status_interval": "1s"})
    scene.exits.callback(standby.remove)
    standby.copy_of(scene.db.server)
    standby.start()
    copy = standby.database(scene.db.dbname)
    copy.wait_for_replay(scene.db)
    copy.execute("SELECT pg_wal_replay_pause()")
    lag = "SELECT coalesce(max(extract(epoch FROM replay_lag)), 0) >= %s FROM pg_stat_replication"

    def lags() -> bool:
        scene.db.execute("INSERT INTO written VALUES (now())")
        return bool(scene.db.execute(lag, [seconds])[0][0])

    wait_until(lags, "the standby lags", 120)


def run_aishell(scene: Scene, *, arguments: list[str], exit: int = 0) -> None:
    """A run of aishell before the fault is seen: a backup, for example."""
    scene.site(*(scene.filled(word) for word in arguments)).expect(exit)


def wait_for(scene: Scene, *, query: str) -> None:
    """Until a query returns true: counters that the server reports late, for example."""
    wait_until(lambda: scene.db.execute(scene.filled(query))[0][0], query, 60)


def leave(scene: Scene, *, statement: str) -> None:
    """Run a statement when the scene is left, so that the server can be used again: it drops a slot, for example."""
    scene.exits.callback(lambda: scene.db.execute(scene.filled(statement)))


ACTIONS: dict[str, Callable[..., None]] = {
    action.__name__: action for action in (hold_transaction, queue, lag_behind, run_aishell, wait_for, leave)
}
#: Those that hold sessions open.
HOLDING = frozenset({"hold_transaction", "queue"})
