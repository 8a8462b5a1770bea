"""A table that another session has locked: deferred, skipped or refused at once, never waited for."""

from __future__ import annotations

import threading
import time

import pytest

from aishell.databases.base import SessionOptions, Statement
from aishell.errors import DatabaseError
from tests.servers import HANG, wait_until

PATIENCE = HANG / 2  # seconds; what waits for ever is ended at HANG
#: What a server says of the limits that a session was born with, in milliseconds: of a lock, of a statement.
LIMITS = {
    "postgresql": """SELECT max(setting) FILTER (WHERE name = 'lock_timeout') AS lock,
                            max(setting) FILTER (WHERE name = 'statement_timeout') AS statement
                     FROM pg_settings WHERE name IN ('lock_timeout', 'statement_timeout')""",
    "mysql": """SELECT greatest(@@lock_wait_timeout, @@innodb_lock_wait_timeout) * 1000 AS `lock`,
                       @@max_statement_time * 1000 AS statement""",
}
CHANGES = ("update_table_statistics", "optimize_table", "rebuild_table", "rebuild_fragmented_indexes")


@pytest.fixture
def held(server_engine):
    """The tools, with one table that another session has locked against everything."""
    server_engine.samples.bloated("taken", rows=2000)
    server_engine.samples.table("spare")
    other = server_engine.db.connect()
    cursor = other.cursor()
    if server_engine.name == "mysql":
        cursor.execute("LOCK TABLES taken WRITE")
        server_engine.lock_timeout = 1
    else:
        cursor.execute("BEGIN")
        cursor.execute("LOCK TABLE taken IN ACCESS EXCLUSIVE MODE")
    return server_engine


def timed(call):
    started = time.monotonic()
    result = call()
    assert time.monotonic() - started < PATIENCE
    return result


def test_no_change_waits(held):
    for tool in CHANGES:
        params = {"schema": held.schema, "table": "taken"}
        if tool == "rebuild_fragmented_indexes":
            params |= {"min_index_size": 0, "fragmentation_threshold": 0}
        result = timed(lambda tool=tool, params=params: held.call(tool, **params))
        assert result.status in ("skipped", "failed"), (tool, "never done")
        assert {one.status for one in result.objects} <= {"deferred", "skipped", "failed"}, tool
        if held.name == "postgresql":
            assert result.status == "skipped", (tool, result.reason)
        for one in result.objects:
            assert "lock" in one.reason.lower(), tool


def test_a_locked_table_stops_no_other_of_its_group(held):
    result = timed(lambda: held.call("batch_update_statistics", tables=held.named("taken", "spare")))
    assert result.output["statistics_updated"] == 1
    by_name = {one.label.rpartition(".")[2]: one.status for one in result.objects}
    assert by_name == {"spare": "ok", "taken": "deferred"}


def test_inspection_does_not_wait(held):
    for name in ("inspect_server", "inspect_tables", "inspect_indexes"):
        assert timed(lambda name=name: held.call(name)).status == "done"
    named = held.named("taken", "spare")
    identified = timed(lambda: held.rows("identify_objects", tables=named))
    assert [row["table"] for row in identified] == ["spare", "taken"]


def test_health_does_not_wait(held):
    assert timed(lambda: held.call("analyze_database_health", check_corruption=True)).status == "done"


def test_measuring_says_that_the_table_is_locked(pg_engine):
    pg_engine.samples.bloated("taken", rows=2000)
    other = pg_engine.db.connect()
    other.execute("BEGIN")
    other.execute("LOCK TABLE taken IN ACCESS EXCLUSIVE MODE")
    for hidden in (set(), {"pgstattuple"}):
        pg_engine.hidden = hidden
        row = timed(lambda: pg_engine.row("measure_tables", "taken", tables=pg_engine.named("taken")))
        assert (row["fragmentation_percent"], row["withheld"]) == (None, "locked by another session")
        output = timed(lambda: pg_engine.call("analyze_table_fragmentation", schema="public", table="taken")).output
        assert (output["fragmentation_percent"], output["withheld"]) == (None, "locked by another session")


def test_the_number_of_busy_sessions_is_seen(pg_engine):
    pg_engine.samples.table()
    other = pg_engine.db.connect(autocommit=False)
    other.execute("SELECT * FROM plain")
    (row,) = pg_engine.rows("identify_objects", tables=pg_engine.named("plain"))
    assert row["busy_sessions"] == 1


def test_a_rewrite_gives_up_behind_a_reader(server_engine):
    """Everybody else would queue behind it: it waits for its short lock timeout only."""
    server_engine.samples.table()
    server_engine.lock_timeout = 1
    other = server_engine.db.connect()
    cursor = other.cursor()
    cursor.execute("BEGIN")
    cursor.execute(f"SELECT * FROM {server_engine.samples.ref('plain')} LIMIT 1")
    result = timed(lambda: server_engine.call("rebuild_table", schema=server_engine.schema, table="plain"))
    assert result.status == "failed"
    assert "lock" in result.reason.lower()


def test_a_writer_of_the_file_is_not_waited_for(sqlite_engine):
    sqlite_engine.samples.table()
    sqlite_engine.lock_timeout = 0.3
    writer = sqlite_engine.db.connect()
    writer.execute("BEGIN IMMEDIATE")
    for tool in ("update_table_statistics", "optimize_table", "rebuild_table"):
        result = timed(lambda tool=tool: sqlite_engine.call(tool, schema="main", table="plain"))
        assert (result.status, result.reason) == ("failed", "database is locked")
    writer.execute("ROLLBACK")
    assert sqlite_engine.call("optimize_table", schema="main", table="plain").status == "done"


def test_a_reader_stops_vacuum_and_is_named(sqlite_engine):
    sqlite_engine.samples.bloated(rows=2000)
    sqlite_engine.lock_timeout = 0.3
    reader = sqlite_engine.db.connect()
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM bloated").fetchone()
    result = timed(lambda: sqlite_engine.call("optimize_table", schema="main", table="bloated"))
    assert (result.status, result.reason) == ("failed", "database is locked")


def test_a_cancelled_rewrite_leaves_the_table_as_it_was(pg_engine):
    pg_engine.samples.table()
    pg_engine.lock_timeout = 60
    other = pg_engine.db.connect(autocommit=False)
    other.execute("SELECT * FROM plain")
    node = "SELECT pg_relation_filenode('plain')"
    before = pg_engine.samples.value(node)
    seen = []

    def call():
        with pytest.raises(DatabaseError) as error:
            pg_engine.call("rebuild_table", schema="public", table="plain")
        seen.append(error.value.kind)

    thread = threading.Thread(target=call)
    thread.start()
    waiting = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'VACUUM (FULL%' AND wait_event_type = 'Lock'"
    wait_until(lambda: pg_engine.db.execute(waiting), "VACUUM FULL waits")
    pg_engine.db.execute(f"SELECT pg_cancel_backend(({waiting}))")
    thread.join(HANG)
    assert seen == ["cancelled"]
    assert pg_engine.samples.value(node) == before
    assert pg_engine.samples.count("plain") == 100


@pytest.mark.parametrize("read_only", [True, False])
def test_the_server_knows_the_limits_of_a_session(server_engine, read_only):
    if read_only and server_engine.name == "mysql":
        pytest.skip("a reading session is watched from here: MySQL's own limit is for SELECT alone")
    sql = LIMITS[server_engine.name]
    with server_engine.database.session(SessionOptions(read_only, 3, 7)) as session:
        (row,) = session.query(Statement(sql, {}, sql))
    assert [float(row[name]) for name in ("lock", "statement")] == [3000, 7000]
