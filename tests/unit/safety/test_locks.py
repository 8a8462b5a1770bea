"""Statement → lock: the table, and that every shipped tool declares a lock that is strong enough."""

from __future__ import annotations

import pytest

from aishell.locations import built_in
from aishell.registry.header import read_tool
from aishell.registry.registry import Registry
from aishell.safety.locks import LOCKS, contradiction, lock_of, taken_by
from tests.unit.making import BLOCKS, VERIFY, make_tool, tool_text

BRIEF = "MDL SHARED UPGRADABLE, brief EXCLUSIVE"


@pytest.mark.parametrize(
    ("engine", "sql", "lock"),
    [
        ("postgresql", "VACUUM t", "SHARE UPDATE EXCLUSIVE"),
        ("postgresql", "VACUUM (SKIP_LOCKED, ANALYZE) t", "SHARE UPDATE EXCLUSIVE"),
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
        ("mysql", "ALTER TABLE t FORCE", "MDL SHARED NO WRITE"),
        ("mysql", "ALTER TABLE t DROP PARTITION p", "MDL EXCLUSIVE"),
        ("mysql", "REPAIR TABLE t", "MDL SHARED NO WRITE"),
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
        # What a file detaches from a table before it drops it is no part of that table any more.
        sent = ("detach", "finalize", "cleanup") if "detach" in tool.blocks else ("do", "cleanup")
        taken = [taken_by(tool.blocks[name].text, tool.engine) for name in sent if name in tool.blocks]
        assert all(lock is not None and lock.strength <= lock_of(tool).strength for lock in taken), tool.source


@pytest.mark.parametrize(
    ("blocks", "keys", "said"),
    [
        (BLOCKS, {"lock": "SHARE UPDATE EXCLUSIVE"}, "unknown lock 'SHARE UPDATE EXCLUSIVE'; known: none, SHARED"),
        (BLOCKS, {"lock": None}, "`do` takes RESERVED, the file declares none"),
        ({"do": "VACUUM", "verify": VERIFY}, {"parameters": None}, "`do` takes EXCLUSIVE, the file declares RESERVED"),
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
def test_locks_grow_in_strength_and_what_blocks_readers_is_not_waited_for_long(engine):
    locks = list(LOCKS[engine].values())
    assert [lock.strength for lock in locks] == sorted(lock.strength for lock in locks)
    assert locks[0].name == "none"
    assert all(1 <= lock.timeout <= 5 for lock in locks if lock.exclusive)
    assert all(lock.tries == 3 and lock.blocks for lock in locks)
