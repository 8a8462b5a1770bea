"""A standby, a read-only server, a read-only file: inspection works, and nothing that writes is begun."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from psycopg import sql

from aishell.databases.base import SessionOptions
from aishell.databases.connections import parse_url
from aishell.databases.opening import open_database
from aishell.errors import DatabaseError
from tests.bloated import BloatedMariadb, BloatedPostgresql, BloatedSqlite
from tests.fix_aishell import Aishell, Ended
from tests.mariadb import MariadbServer
from tests.postgresql import PostgresqlDatabase
from tests.statement_log import StatementLog

READING = {"health", "corruption", "measure_orders", "report"}


def assert_only_looked(ended: Ended, why: str) -> None:
    """Every step that reads is done, every step that writes is refused for this reason."""
    ended.expect(5)
    statuses = ended.statuses()
    writing = set(statuses) - READING
    assert writing, "the plan has something to refuse"
    assert {name for name, status in statuses.items() if status == "rejected"} == writing
    assert all(statuses[name] == "done" for name in set(statuses) & READING)
    for action in ended.json["actions_taken"]:
        assert action["step_id"] in READING or why in action["reason"]
        assert action["attempts"] == 0 or action["step_id"] in READING


def test_a_standby_is_only_looked_at(pg_standby: Any, aishell: Aishell) -> None:
    BloatedPostgresql(pg_standby.primary)
    pg_standby.wait_for_replay(pg_standby.primary)
    aishell.url = pg_standby.url
    log = StatementLog(pg_standby)
    ended = aishell.maintenance("full", "--all-tables")
    assert_only_looked(ended, "the server is a standby")
    assert log.changing() == []
    dry = aishell.maintenance("full", "--all-tables", "--dry-run").expect(0)
    refused = [step for step in dry.json["plan"]["steps"] if step["verdict"]["decision"] == "deny"]
    assert refused, "the preview says so too"
    assert not any(step["verdict"]["safe"] for step in refused)


def test_a_read_only_mariadb_is_only_looked_at(
    mariadb_server_factory: Callable[..., MariadbServer], aishell: Aishell
) -> None:
    server = mariadb_server_factory()
    bloated = BloatedMariadb(server.create("first"))
    db = bloated.make()
    db.execute("SET GLOBAL read_only = ON")
    before = bloated.facts(db)
    aishell.url = db.url
    log = StatementLog(db)
    assert_only_looked(aishell.maintenance(), "the server is read-only")
    checks = [sql for sql in log.changing() if "CHECK TABLE" not in sql and not sql.endswith("GET_LOCK")]
    assert checks == []
    assert bloated.facts(db) == before


@pytest.mark.parametrize(
    "how",
    [
        "ALTER DATABASE {} SET default_transaction_read_only = on",
        "ALTER ROLE postgres IN DATABASE {} SET default_transaction_read_only = on",
    ],
    ids=["database", "role"],
)
def test_a_database_that_is_read_only_by_default_is_only_looked_at(
    pg: PostgresqlDatabase, aishell: Aishell, how: str
) -> None:
    BloatedPostgresql(pg)
    aishell.url = pg.url
    pg.execute(sql.SQL(how).format(sql.Identifier(pg.dbname)))
    log = StatementLog(pg)
    assert_only_looked(aishell.maintenance("full", "--all-tables"), "read-only (or this database by default)")
    assert log.changing() == []
    with closing(open_database(parse_url(pg.url))) as database:
        with pytest.raises(DatabaseError, match="read-only by default") as refused:
            database.session(SessionOptions(read_only=False))
        assert refused.value.kind == "read_only"
        # The role's own setting in the database goes before the database's: one that may write is told so there.
        writable = sql.SQL("ALTER ROLE postgres IN DATABASE {} SET default_transaction_read_only = off")
        with pg.connect() as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute(writable.format(sql.Identifier(pg.dbname)))
        database.session(SessionOptions(read_only=False)).close()
    steps = aishell.maintenance("full", "--all-tables", "--dry-run").expect(0).json["plan"]["steps"]
    assert all(step["verdict"]["safe"] for step in steps)


def test_a_mariadb_whose_transactions_read_by_default_is_only_looked_at(
    mariadb_server_factory: Callable[..., MariadbServer], aishell: Aishell
) -> None:
    server = mariadb_server_factory()
    db = BloatedMariadb(server.create("first")).make()
    db.execute("SET GLOBAL tx_read_only = ON")
    aishell.url = db.url
    assert_only_looked(aishell.maintenance(), "read-only (or this database by default)")


def test_a_file_without_write_permission_is_only_looked_at(bloated_sqlite: BloatedSqlite, aishell: Aishell) -> None:
    """Root may write any file: so this is a file of a filesystem that is mounted read-only."""
    db = bloated_sqlite.make()
    before = db.path.read_bytes()
    aishell.url = db.url
    mounted = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    running = aishell.start(*aishell.arguments(), within=("unshare", "-rm", "sh", "-c", mounted, str(db.path.parent)))
    ended = running.wait()
    assert "Traceback" not in ended.err
    assert ended.code in (1, 2, 5)
    assert db.path.read_bytes() == before
