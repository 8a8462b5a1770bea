"""A run that stands still in the middle of its long statement for as long as a test wants it to."""

from __future__ import annotations

from typing import Any

from tests.bloated import Bloated
from tests.fix_aishell import Aishell, Running
from tests.servers import wait_until

#: What stops the long statement of each engine and nothing before it: REINDEX CONCURRENTLY waits for writers,
#: OPTIMIZE for whoever has read the table, VACUUM of a file for its readers.
_IN_THE_WAY = {
    "postgresql": "LOCK TABLE orders IN ROW EXCLUSIVE MODE",
    "mysql": "SELECT id FROM orders LIMIT 1",
    "sqlite": "SELECT id FROM orders LIMIT 1",
}
LONG = {"postgresql": "rebuild_orders", "mysql": "optimize_orders", "sqlite": "optimize"}


class InTheWay:
    """An open transaction of somebody else's."""

    def __init__(self, bloated: Bloated, db: Any) -> None:
        self.engine, self.connection = bloated.engine, db.connect()
        self.send("BEGIN")
        self.send(_IN_THE_WAY[bloated.engine])

    def send(self, statement: str) -> None:
        if self.engine == "mysql":
            with self.connection.cursor() as cursor:
                cursor.execute(statement)
                cursor.fetchall()
        else:
            cursor = self.connection.execute(statement)
            if cursor.description:
                cursor.fetchone()

    def go(self) -> None:
        self.send("ROLLBACK")
        self.connection.close()


def slow_rebuild(db: Any) -> None:
    """Give `orders` on PostgreSQL a bloated index that takes a minute to rebuild, and no longer than others for the rest."""
    for statement in (
        """CREATE FUNCTION slow(i int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
           $$ BEGIN IF current_query() ~ 'REINDEX' THEN PERFORM pg_sleep(0.05); END IF; RETURN i; END $$""",
        "CREATE INDEX orders_slow ON orders (slow(id))",
        "INSERT INTO orders SELECT i, md5(i::text), '' FROM generate_series(100001, 120000) AS i",
        "DELETE FROM orders WHERE id > 100000",
        "VACUUM orders",
    ):
        db.execute(statement)


def waiting(engine: str, db: Any) -> list[Any]:
    """The sessions of aishell's steps that a server has at work now."""
    if engine == "postgresql":
        return db.execute(
            """SELECT pid FROM pg_stat_activity WHERE datname = %s AND application_name ~ '^aishell:[0-9a-f]{8}:[0-9]+$'
               AND state = 'active' AND query ~ '^REINDEX'""",
            [db.dbname],
        )
    return db.execute(
        "SELECT ID FROM information_schema.PROCESSLIST WHERE DB = %s AND INFO LIKE %s",
        [db.dbname, "/* aishell:% */ OPTIMIZE %"],
    )


def started(site: Aishell, step: str) -> bool:
    return (
        site.state.exists()
        and site.rows("SELECT 1 FROM runs JOIN steps ON run_id = id WHERE step_id = ? AND status = 'started'", step)
        != []
    )


def blocked_run(site: Aishell, bloated: Bloated, db: Any, *more: str) -> tuple[Running, InTheWay]:
    """A run of which the long statement is under way, and what is in its way."""
    in_the_way = InTheWay(bloated, db)
    running = site.start(*site.arguments("full", *more))
    wait_until_blocked(site, running, bloated.engine, db)
    return running, in_the_way


def wait_until_blocked(site: Aishell, running: Running, engine: str, db: Any) -> None:
    def there() -> bool:
        assert not running.ended, running.wait()
        return started(site, LONG[engine]) if engine == "sqlite" else waiting(engine, db) != []

    wait_until(there, "the long statement")
