"""Statement → lock: the table, and that every shipped tool declares a lock that is strong enough."""

from __future__ import annotations

import pytest

from aishell.locations import built_in
from aishell.registry.header import read_tool
from aishell.registry.registry import Registry
from aishell.safety.locks import (
    LOCKS,
    ROLES,
    SLICE,
    contradiction,
    lock_of,
    locks_of,
    taken_by,
    taken_elsewhere,
    wait_of,
)
from tests.unit.making import BLOCKS, VERIFY, make_tool, tool_text

BRIEF = "MDL SHARED UPGRADABLE, brief EXCLUSIVE"
COPY = "MDL SHARED NO WRITE, brief EXCLUSIVE"
VACUUM = "SHARE UPDATE EXCLUSIVE, brief ACCESS EXCLUSIVE"


@pytest.mark.parametrize(
    ("engine", "sql", "lock"),
    [
        ("postgresql", "VACUUM t", VACUUM),
        ("postgresql", "VACUUM (SKIP_LOCKED, ANALYZE) t", VACUUM),
        ("postgresql", "VACUUM FULL t", "ACCESS EXCLUSIVE"),
        ("postgresql", "vacuum (analyze, full) t", "ACCESS EXCLUSIVE"),
        ("postgresql", "VACUUM\n  (FULL)\n t", "ACCESS EXCLUSIVE"),
        ("postgresql", "ANALYZE t", "SHARE UPDATE EXCLUSIVE"),
        ("postgresql", "REINDEX INDEX CONCURRENTLY i", "SHARE UPDATE EXCLUSIVE"),
        ("postgresql", "REINDEX INDEX i", "ACCESS EXCLUSIVE"),
        ("postgresql", "DROP INDEX CONCURRENTLY i", "SHARE UPDATE EXCLUSIVE"),
        ("postgresql", "DROP INDEX i", "ACCESS EXCLUSIVE"),
        ("postgresql", "CREATE UNIQUE INDEX i ON t (a)", "SHARE"),
        ("postgresql", "CREATE INDEX CONCURRENTLY i ON t (a)", "SHARE UPDATE EXCLUSIVE"),
        ("postgresql", "TRUNCATE t", "ACCESS EXCLUSIVE"),
        ("postgresql", "CLUSTER t", "ACCESS EXCLUSIVE"),
        ("postgresql", "ALTER TABLE t ADD c int", "ACCESS EXCLUSIVE"),
        ("postgresql", "ALTER TABLE t VALIDATE CONSTRAINT c", "SHARE UPDATE EXCLUSIVE"),
        ("postgresql", "ALTER TABLE t DETACH PARTITION p CONCURRENTLY", "SHARE UPDATE EXCLUSIVE"),
        ("postgresql", "ALTER TABLE t DETACH PARTITION p FINALIZE", "SHARE UPDATE EXCLUSIVE"),
        ("postgresql", "ALTER TABLE t DETACH PARTITION p", "ACCESS EXCLUSIVE"),
        ("postgresql", "DELETE FROM t", "ROW EXCLUSIVE"),
        ("postgresql", "SELECT 1", "none"),
        ("postgresql", "WITH a AS (SELECT 1) SELECT * FROM a", "none"),
        ("postgresql", "WITH gone AS (DELETE FROM t RETURNING 1) SELECT count(*) FROM gone", "ROW EXCLUSIVE"),
        ("mysql", "OPTIMIZE TABLE t", BRIEF),
        ("mysql", "OPTIMIZE LOCAL TABLE t", BRIEF),
        ("mysql", "ALTER TABLE t FORCE, ALGORITHM=INPLACE, LOCK=NONE", BRIEF),
        ("mysql", "ALTER TABLE t FORCE", COPY),
        ("mysql", "ALTER TABLE t DROP PARTITION p", "MDL EXCLUSIVE"),
        ("mysql", "REPAIR TABLE t", COPY),
        ("mysql", "ANALYZE TABLE t", "MDL SHARED READ"),
        ("mysql", "CHECK TABLE t", "MDL SHARED READ"),
        ("mysql", "DROP TABLE t", "MDL EXCLUSIVE"),
        ("mysql", "SHOW INDEX FROM t", "none"),
        ("mysql", "WITH a AS (SELECT 1) DELETE FROM t", "MDL SHARED WRITE"),
        ("mysql", "DELETE FROM t WHERE i < 5", "MDL SHARED WRITE"),
        ("sqlite", "VACUUM main", "EXCLUSIVE"),
        ("sqlite", "REINDEX main.i", "RESERVED"),
        ("sqlite", "ANALYZE", "RESERVED"),
        ("sqlite", "PRAGMA {schema}.incremental_vacuum", "RESERVED"),
        ("sqlite", "PRAGMA {schema}.wal_checkpoint(TRUNCATE)", "RESERVED"),
        ("sqlite", "PRAGMA {schema}.integrity_check", "none"),
        ("sqlite", "WITH a AS (SELECT 1) UPDATE t SET i = 1", "RESERVED"),
        ("sqlite", "SELECT 1", "none"),
    ],
)
def test_a_statement_takes_the_lock_the_manuals_name(engine, sql, lock):
    taken = taken_by(sql, engine)
    assert taken is not None
    assert taken.name == lock


@pytest.mark.parametrize(
    ("engine", "sql", "locks"),
    [
        ("postgresql", "DROP TABLE t", {"referenced": "ACCESS EXCLUSIVE"}),
        (
            "postgresql",
            "ALTER TABLE t DETACH PARTITION p FINALIZE",
            {"partition": "ACCESS EXCLUSIVE", "referenced": "SHARE ROW EXCLUSIVE"},
        ),
        ("postgresql", "DROP INDEX CONCURRENTLY i", {"index": "ACCESS EXCLUSIVE"}),
        ("postgresql", "DELETE FROM t", {"referring": "ROW EXCLUSIVE"}),
        ("postgresql", "WITH gone AS (DELETE FROM t RETURNING 1) SELECT 1", {"referring": "ROW EXCLUSIVE"}),
        ("postgresql", "INSERT INTO t VALUES (1)", {"referenced": "ROW SHARE"}),
        ("postgresql", "VACUUM FULL t", {}),
    ],
)
def test_a_statement_takes_locks_on_other_tables_too(engine, sql, locks):
    assert {role: lock.name for role, lock in taken_elsewhere(sql, engine).items()} == locks


@pytest.mark.parametrize(
    ("engine", "sql"),
    [
        ("postgresql", "COPY t FROM PROGRAM 'x'"),
        ("postgresql", "DO $$ BEGIN END $$"),
        ("postgresql", "REFRESH MATERIALIZED VIEW v"),
        ("mysql", "CALL p()"),
        ("mysql", "SET GLOBAL x = 1"),
        ("sqlite", "ATTACH 'x' AS y"),
        ("sqlite", "PRAGMA journal_mode = DELETE"),
        ("sqlite", "PRAGMA writable_schema = ON"),
        ("sqlite", "PRAGMA {schema}.user_version = 5"),
    ],
)
def test_a_statement_the_table_does_not_know_is_refused(engine, sql):
    assert taken_by(sql, engine) is None


def test_every_shipped_tool_declares_a_lock_that_is_strong_enough():
    tools = [tool for tool in Registry.load([built_in("tools")]) if tool.engine != "common"]
    assert len(tools) > 50
    assert [(tool.source, problem) for tool in tools if (problem := contradiction(tool))] == []
    for tool in tools:
        assert lock_of(tool) is LOCKS[tool.engine][tool.lock]
        told = {role: lock.name for role, lock in locks_of(tool).items() if role}
        assert told == dict(tool.locks_too), f"{tool.source} states every lock that its statements take, and no other"


def test_what_a_file_does_not_state_is_what_its_statements_take():
    """A site's own tool that says nothing of other tables is shown with what is known of its statements."""
    tool = make_tool({"do": "DELETE FROM {table}", "verify": VERIFY}, "postgresql", lock="ROW EXCLUSIVE")
    assert {role: lock.name for role, lock in locks_of(tool).items()} == {
        "": "ROW EXCLUSIVE",
        "referring": "ROW EXCLUSIVE",
    }
    vacuum = make_tool({"do": "VACUUM {table}", "verify": VERIFY}, "postgresql", lock="SHARE UPDATE EXCLUSIVE")
    assert lock_of(vacuum).name == VACUUM


def test_readers_queue_for_a_slice_and_no_longer():
    tools = [tool for tool in Registry.load([built_in("tools")]) if not tool.read_only]
    sliced = {tool.name for tool in tools if wait_of(tool).sliced}
    assert {
        "drop_old_partitions",
        "drop_old_partitions_exclusively",
        "rebuild_table",
        "replace_database",
        "optimize_table",
    } <= sliced
    for tool in tools:
        wait = wait_of(tool)
        assert wait.seconds <= wait.patience
        if any(lock.queues for role, lock in locks_of(tool).items() if role != "index"):
            assert wait.seconds <= SLICE <= 1 < wait.patience, tool.source


@pytest.mark.parametrize(
    ("blocks", "keys", "said"),
    [
        (BLOCKS, {"lock": "SHARE UPDATE EXCLUSIVE"}, "unknown lock 'SHARE UPDATE EXCLUSIVE'; known: none, SHARED"),
        (BLOCKS, {"lock": None}, "`do` takes RESERVED, the file declares none"),
        ({"do": "VACUUM", "verify": VERIFY}, {"parameters": None}, "`do` takes EXCLUSIVE, the file declares RESERVED"),
        (BLOCKS, {"locks_too": "{referring: WRITE}"}, "unknown lock 'WRITE'"),
        (BLOCKS, {"locks_too": "{parents: RESERVED}"}, "unknown role 'parents' in locks_too; known: partition, index"),
        ({"do": "ATTACH {table} AS x", "verify": VERIFY}, {}, "does not know which lock `ATTACH {table} AS x"),
        (
            {**BLOCKS, "leftovers": "SELECT 1 AS rest", "cleanup": "VACUUM {rest}"},
            {},
            "`cleanup` takes EXCLUSIVE, the file declares RESERVED",
        ),
    ],
)
def test_a_lock_that_is_too_weak_or_unknown_contradicts(blocks, keys, said):
    tool = read_tool(tool_text(blocks, **keys), "tools/sqlite/touch.sql", "sqlite")
    assert (contradiction(tool) or "").startswith(said) or said in (contradiction(tool) or "")


def test_a_stronger_lock_than_needed_may_be_declared():
    assert contradiction(make_tool(lock="EXCLUSIVE")) is None


@pytest.mark.parametrize("engine", LOCKS)
def test_locks_grow_in_strength_and_readers_queue_for_what_excludes_them(engine):
    locks = list(LOCKS[engine].values())
    assert [lock.strength for lock in locks] == sorted(lock.strength for lock in locks)
    assert locks[0].name == "none"
    assert all(lock.queues for lock in locks if lock.exclusive)
    assert all(SLICE < lock.timeout <= 30 for lock in locks if lock.queues)
    assert all(lock.tries == 3 and lock.blocks for lock in locks)


def test_a_lock_on_another_table_that_is_stated_too_weak_contradicts():
    tool = make_tool(
        {"do": "DELETE FROM {table}", "verify": VERIFY},
        "postgresql",
        lock="ROW EXCLUSIVE",
        locks_too="{referring: ROW SHARE}",
    )
    assert contradiction(tool) == f"`do` takes ROW EXCLUSIVE on {ROLES['referring']}, the file declares ROW SHARE"
