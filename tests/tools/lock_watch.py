"""What a tool's own sessions hold or wait for, as another session sees it while the tool runs.

Others have every table open meanwhile, for reading and for writing: what waits for them is seen waiting, then they let go.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Collection
from typing import Any

from tests.fix_tools import Engine

#: Seen modes -> the names of safety/locks.py, weakest first.
POSTGRESQL = {
    "AccessShareLock": "ACCESS SHARE",
    "RowShareLock": "ROW SHARE",
    "RowExclusiveLock": "ROW EXCLUSIVE",
    "ShareUpdateExclusiveLock": "SHARE UPDATE EXCLUSIVE",
    "ShareLock": "SHARE",
    "ShareRowExclusiveLock": "SHARE ROW EXCLUSIVE",
    "ExclusiveLock": "EXCLUSIVE",
    "AccessExclusiveLock": "ACCESS EXCLUSIVE",
}
METADATA = {
    "SHARED_READ": "MDL SHARED READ",
    "SHARED_WRITE": "MDL SHARED WRITE",
    "SHARED_UPGRADABLE": "MDL SHARED UPGRADABLE",
    "SHARED_READ_ONLY": "MDL SHARED READ ONLY",
    "SHARED_NO_WRITE": "MDL SHARED NO WRITE",
    "SHARED_NO_READ_WRITE": "MDL SHARED NO READ WRITE",
    "EXCLUSIVE": "MDL EXCLUSIVE",
}
LOOK = 0.003  # seconds
#: InnoDB shows what it showed before to whoever asks again within 0.1 s (trx0i_s.cc, CACHE_MIN_IDLE_TIME_NS).
INNODB = 0.15
#: Whatever waits for so long does not get it until somebody lets go.
SETTLED = 0.05

#: What was seen: table -> names of locks. An index is `index of TABLE`.
Seen = dict[str, set[str]]


class Watch(ABC):
    """Runs a tool with others in its way, and sees what it locks."""

    def __init__(self, engine: Engine, tables: Collection[str], alone: str | None = None) -> None:
        """`alone`: the one table that somebody has for himself, so that even who only reads is seen waiting."""
        self.engine, self.tables, self.exclusively = engine, tables, alone is not None
        self.occupied = tables if alone is None else [alone]
        self.seen: Seen = defaultdict(set)
        self.blockers: dict[int, Any] = {}

    def during(self, call: Callable[[], Any]) -> Seen:
        """What was seen while `call` ran; raises what it raised."""
        raised: list[BaseException] = []

        def run() -> None:
            try:
                call()
            except BaseException as error:
                raised.append(error)

        self.occupy()
        thread = threading.Thread(target=run)
        thread.start()
        while thread.is_alive():
            for number in self.look():
                if number in self.blockers:
                    self.let_go(self.blockers.pop(number))
            time.sleep(LOOK)
        thread.join()
        for blocker in self.blockers.values():
            self.let_go(blocker)
        if raised:
            raise raised[0]
        return self.seen

    def let_go(self, blocker: Any) -> None:
        blocker.rollback()
        blocker.close()

    @abstractmethod
    def occupy(self) -> None:
        """Have each table open, in sessions of others."""

    @abstractmethod
    def look(self) -> Collection[int]:
        """Note what is locked now; whom the tool waits for."""


class PostgresqlWatch(Watch):
    """By pg_locks. `hold` makes statements in transactions last until they were seen."""

    def occupy(self) -> None:
        self.eye = self.engine.db.connect()
        for table in self.occupied:
            for how in ("EXCLUSIVE",) if self.exclusively else ("SHARE", "ROW EXCLUSIVE"):
                blocker = self.engine.db.connect(autocommit=False)
                blocker.execute(f"LOCK TABLE ONLY {table} IN {'ACCESS ' if how != 'ROW EXCLUSIVE' else ''}{how} MODE")
                self.blockers[blocker.info.backend_pid] = blocker
        self.own = [self.eye.info.backend_pid, *self.blockers]
        rows = self.eye.execute(
            """SELECT c.oid, coalesce('index of ' || i.indrelid::regclass, c.oid::regclass::text) FROM pg_class c
               LEFT JOIN pg_index i ON i.indexrelid = c.oid WHERE c.relnamespace = 'public'::regnamespace"""
        )
        self.names = dict(rows.fetchall())

    def look(self) -> Collection[int]:
        rows = self.eye.execute(
            """SELECT l.relation, l.mode, CASE WHEN l.granted THEN '{}' ELSE pg_blocking_pids(l.pid) END
               FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
               WHERE a.datname = current_database() AND a.backend_type = 'client backend' AND a.pid <> ALL(%s)
                 AND (l.locktype = 'relation' OR NOT l.granted)""",
            [self.own],
        ).fetchall()
        for relation, mode, _ in rows:
            if relation in self.names:  # what it makes itself nobody else can see
                self.seen[self.names[relation]].add(POSTGRESQL[mode])
        return {pid for _, _, blocking in rows for pid in blocking}

    HOLD = """
        CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.05); RETURN NULL; END';
        CREATE CONSTRAINT TRIGGER hold AFTER INSERT OR DELETE ON log DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION hold();
        CREATE CONSTRAINT TRIGGER hold AFTER UPDATE ON line DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION hold();
        CREATE FUNCTION hold_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.1); END';
        CREATE EVENT TRIGGER hold ON ddl_command_end EXECUTE FUNCTION hold_ddl()"""


#: What others do with a table on MariaDB. Who has locked it lets go when its connection ends.
READ_AND_WRITTEN, HELD = ("SELECT * FROM {} LIMIT 1", "SELECT * FROM {} FOR UPDATE"), ("LOCK TABLES {} WRITE",)


class MariadbWatch(Watch):
    """By performance_schema.metadata_locks."""

    def occupy(self) -> None:
        self.eye = self.engine.db.connect()
        for table in self.occupied:
            for how in HELD if self.exclusively else READ_AND_WRITTEN:
                blocker = self.engine.db.connect(autocommit=False)
                blocker.begin()  # said aloud: else MyISAM's tables are let go with the statement
                with blocker.cursor() as cursor:
                    cursor.execute(how.format(table))
                self.blockers[blocker.thread_id()] = blocker
        self.own = {self.eye.thread_id(), *self.blockers}
        self.asked = time.monotonic()
        self.pending: dict[tuple[str, str], float] = {}

    def _rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.eye.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def look(self) -> Collection[int]:
        rows = self._rows(
            f"""SELECT m.OBJECT_NAME, m.LOCK_TYPE, m.LOCK_STATUS, t.PROCESSLIST_ID FROM performance_schema.metadata_locks m
                JOIN performance_schema.threads t ON t.THREAD_ID = m.OWNER_THREAD_ID
                WHERE m.OBJECT_TYPE = 'TABLE' AND m.OBJECT_SCHEMA = '{self.engine.schema}'"""
        )
        wanted = set()
        for name, mode, status, owner in rows:
            if owner not in self.own:
                if name in self.tables and mode in METADATA:
                    self.seen[name].add(METADATA[mode])
                if status == "PENDING":
                    wanted.add((name, mode))
        self.pending = {one: since for one, since in self.pending.items() if one in wanted}
        for one in wanted:
            since = self.pending.setdefault(one, time.monotonic())
            holding = [(mode, owner) for name, mode, _, owner in rows if name == one[0] and owner in self.blockers]
            if holding and time.monotonic() > since + SETTLED:
                self.pending.clear()
                return {max(holding)[1]}  # who writes before who reads: it is seen what waits for either
        if time.monotonic() < self.asked + INNODB:
            return set()
        self.asked = time.monotonic()
        waits = self._rows(
            """SELECT b.trx_mysql_thread_id FROM information_schema.INNODB_LOCK_WAITS w
               JOIN information_schema.INNODB_TRX b ON b.trx_id = w.blocking_trx_id"""
        )
        return {pid for (pid,) in waits}


def watch_of(engine: Engine, tables: Collection[str], alone: str | None = None) -> Watch:
    return (PostgresqlWatch if engine.name == "postgresql" else MariadbWatch)(engine, tables, alone)
