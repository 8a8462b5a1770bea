"""A REINDEX CONCURRENTLY that ends early: what it leaves is ours to drop, and nothing else is."""

from __future__ import annotations

import threading

import psycopg
import pytest

from aishell.errors import DatabaseError
from aishell.execution.retry import retrying
from tests.servers import HANG, wait_until

INVALID = "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE NOT i.indisvalid ORDER BY 1"
WAITS = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'REINDEX%' AND wait_event_type = 'Lock'"


class Snapshot:
    """Another session's open transaction that reads the table: a rebuild has to wait for it, half-way done."""

    def __init__(self, engine, table):
        self.connection = engine.db.connect(autocommit=False)
        self.connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        self.connection.execute(f"SELECT count(*) FROM {table}")

    def end(self):
        self.connection.close()


def rebuild_cancelled(engine, table):
    """Start a rebuild that has to wait, and cancel it from another session; what came of it."""
    snapshot = Snapshot(engine, table)
    outcome = []

    def call():
        try:
            outcome.append(
                engine.call("rebuild_fragmented_indexes", schema=engine.schema, table=table, min_index_size=0)
            )
        except DatabaseError as error:
            outcome.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    try:
        wait_until(lambda: engine.db.execute(WAITS), "the rebuild waits")
        ((pid,),) = engine.db.execute(WAITS)
        assert engine.db.execute(INVALID) != [], "it waits with its copy half-built"
        engine.db.execute(f"SELECT pg_cancel_backend({pid})")
        wait_until(lambda: (pid,) not in engine.db.execute(WAITS), "it stops waiting")
    finally:
        snapshot.end()
        thread.join(HANG)
    assert not thread.is_alive()
    return outcome[0]


@pytest.fixture
def worn(pg_engine):
    return pg_engine.samples.bloated(rows=3000, index="worn")


def test_a_cancelled_rebuild_leaves_nothing(pg_engine, worn):
    outcome = rebuild_cancelled(pg_engine, worn)
    assert isinstance(outcome, DatabaseError)
    assert outcome.kind == "cancelled"
    assert pg_engine.db.execute(INVALID) == []
    pg_engine.db.execute("SELECT bt_index_check('worn', true)")


def test_a_retry_leaves_nothing(pg_engine, worn):
    """The first try is cancelled by its lock timeout, the second finds the way free."""
    pg_engine.lock_timeout = 0.5
    seen = []
    snapshot = Snapshot(pg_engine, worn)

    def told(number, error):
        seen.append((number, pg_engine.db.execute(INVALID)))
        snapshot.end()

    pg_engine.attempt = retrying(3, told)
    result = pg_engine.call("rebuild_fragmented_indexes", schema="public", table=worn, min_index_size=0)
    assert seen == [(1, [("worn_ccnew",)])]
    assert result.status == "done", result.reason
    assert pg_engine.db.execute(INVALID) == []


def test_no_retry_is_stacked_on_a_leftover(pg_engine, worn):
    """While the old transaction lasts, the leftover cannot be dropped either: six tries would leave six."""
    pg_engine.lock_timeout = 0.3
    tries = []
    pg_engine.attempt = retrying(3, lambda number, error: tries.append(number))
    snapshot = Snapshot(pg_engine, worn)
    result = pg_engine.call("rebuild_fragmented_indexes", schema="public", table=worn, min_index_size=0)
    assert (result.status, tries) == ("failed", [1, 1]), "one try for each of two indexes"
    assert "lock timeout" in result.reason
    assert pg_engine.db.execute(INVALID) == [("bloated_pkey_ccnew",), ("worn_ccnew",)]
    snapshot.end()
    recorded = ["worn", "bloated_pkey"]
    dropped = pg_engine.call("drop_invalid_indexes", schema="public", table=worn, recorded=recorded)
    assert dropped.output["indexes_dropped"] == 2
    assert pg_engine.db.execute(INVALID) == []


def test_an_index_of_a_long_name_leaves_nothing_either(pg_engine):
    """PostgreSQL cuts the name of the copy so that `_ccnew` fits into 63 bytes."""
    table = pg_engine.samples.bloated(rows=3000, index="é" * 31)
    rebuild_cancelled(pg_engine, table)
    assert pg_engine.db.execute(INVALID) == []


def leave_behind(engine, table, index, concurrently="REINDEX INDEX CONCURRENTLY {}"):
    """Let somebody's build fail half-way, outside aishell."""
    snapshot = Snapshot(engine, table)
    statement = concurrently.format(index)
    with engine.db.connect(options="-c statement_timeout=500") as other, pytest.raises(psycopg.errors.QueryCanceled):
        other.execute(statement)
    snapshot.end()


def test_somebody_elses_leftover_is_reported_and_kept(pg_engine, worn):
    leave_behind(pg_engine, worn, "worn")
    left = pg_engine.db.execute(INVALID)
    assert left == [("worn_ccnew",)]
    result = pg_engine.call("drop_invalid_indexes", schema="public", table=worn)
    assert (result.status, result.output["indexes_dropped"]) == ("skipped", 0)
    assert [row["index_name"] for row in result.output["reported"]] == ["worn_ccnew"]
    assert result.output["reported"][0]["reason"]
    assert pg_engine.db.execute(INVALID) == left


def test_our_recorded_leftovers_are_dropped(pg_engine, worn):
    for _ in range(2):
        leave_behind(pg_engine, worn, "worn")
    assert pg_engine.db.execute(INVALID) == [("worn_ccnew",), ("worn_ccnew1",)]
    result = pg_engine.call("drop_invalid_indexes", schema="public", table=worn, recorded=["worn"])
    assert (result.status, result.output["indexes_dropped"]) == ("done", 2)
    assert pg_engine.db.execute(INVALID) == []


def test_a_failed_create_index_is_reported_and_kept(pg_engine, worn):
    leave_behind(pg_engine, worn, "fresh ON bloated (n)", "CREATE INDEX CONCURRENTLY {}")
    result = pg_engine.call("drop_invalid_indexes", schema="public", table=worn, recorded=["worn", "fresh"])
    assert (result.status, result.output["indexes_dropped"]) == ("skipped", 0)
    assert [row["index_name"] for row in result.output["reported"]] == ["fresh"]
    assert pg_engine.db.execute(INVALID) == [("fresh",)]


def test_a_leftover_of_another_definition_is_not_ours(pg_engine, worn):
    leave_behind(pg_engine, worn, "worn_ccnew ON bloated (note)", "CREATE INDEX CONCURRENTLY {}")
    result = pg_engine.call("drop_invalid_indexes", schema="public", table=worn, recorded=["worn"])
    assert result.output["indexes_dropped"] == 0
    assert pg_engine.db.execute(INVALID) == [("worn_ccnew",)]


def test_a_parent_that_waits_for_its_partitions_is_kept(pg_engine):
    pg_engine.samples.partitioned()
    pg_engine.samples.do("CREATE INDEX waiting ON ONLY parts (n)")
    result = pg_engine.call("drop_invalid_indexes", schema="public", table="parts", recorded=["waiting"])
    assert result.output["indexes_dropped"] == 0
    assert [row["index_name"] for row in result.output["reported"]] == ["waiting"]
    assert pg_engine.db.execute(INVALID) == [("waiting",)]


def test_a_build_that_runs_keeps_its_index(pg_engine, worn):
    """Queued behind a running build, a DROP would remove the finished index."""
    snapshot = Snapshot(pg_engine, worn)
    builder = pg_engine.db.connect()
    thread = threading.Thread(target=builder.execute, args=["REINDEX INDEX CONCURRENTLY worn"])
    thread.start()
    try:
        wait_until(lambda: pg_engine.db.execute(WAITS), "the build waits")
        result = pg_engine.call("drop_invalid_indexes", schema="public", table=worn, recorded=["worn"])
        assert result.output["indexes_dropped"] == 0
        assert result.status == "skipped"
        deferred = pg_engine.call("rebuild_fragmented_indexes", schema="public", table=worn, min_index_size=0)
        assert {one.status for one in deferred.objects} == {"deferred"}
    finally:
        snapshot.end()
        thread.join(HANG)
    assert pg_engine.db.execute(INVALID) == []
    pg_engine.db.execute("SELECT bt_index_check('worn', true)")


def test_engines_without_invalid_indexes_report_none(engine):
    table = engine.samples.table()
    result = engine.call("drop_invalid_indexes", schema=engine.schema, table=table)
    assert (result.output["indexes_dropped"], result.output["reported"]) == (0, [])
