"""Somebody else holds the table: the work is put off or fails with the reason, what does not need it goes on."""

from __future__ import annotations

from typing import Any

from tests.bloated import Bloated
from tests.faults.blocked import InTheWay
from tests.fix_aishell import Aishell, Ended


def why(ended: Ended, step: str) -> str:
    (action,) = (action for action in ended.json["actions_taken"] if action["step_id"] == step)
    return str(action["reason"] or action["error"]).lower()


def test_a_table_at_work_is_put_off(bloated_pg: Bloated, aishell: Aishell) -> None:
    """Somebody's own VACUUM or CREATE INDEX CONCURRENTLY holds SHARE UPDATE EXCLUSIVE."""
    db = bloated_pg.make()
    aishell.url = db.url
    holder = db.connect()
    holder.execute("BEGIN")
    holder.execute("LOCK TABLE orders IN SHARE UPDATE EXCLUSIVE MODE")
    ended = aishell.maintenance().expect(4)
    assert ended.statuses() == {
        "health": "done",
        "corruption": "done",
        "measure_orders": "done",
        "optimize_orders": "skipped",
        "rebuild_orders": "skipped",
        "statistics": "done",
        "report": "done",
    }
    for step in ("optimize_orders", "rebuild_orders"):
        assert f"session {holder.info.backend_pid} (" in why(ended, step), "who has the lock"
        assert "idle in transaction for" in why(ended, step)
        assert "shareupdateexclusive" in why(ended, step)
    counted = "SELECT pg_stat_get_analyze_count('customers'::regclass), pg_stat_get_vacuum_count('orders'::regclass)"
    assert db.execute(counted) == [(1, 0)], "the other table was done"
    holder.execute("ROLLBACK")
    assert bloated_pg.left_behind(db) == []
    again = aishell.maintenance().expect(0)
    assert again.statuses()["optimize_orders"] == "done", "the next run does what this one left"


def test_one_locked_table_does_not_stop_the_others(bloated_pg: Bloated, aishell: Aishell) -> None:
    """ACCESS EXCLUSIVE keeps even readers out: inspection does not hang, and the locked table alone is left."""
    db = bloated_pg.make()
    aishell.url = db.url
    aishell.configure("agents/maintenance.yaml", "maintenance_agent: {default_config: {max_retries: 1}}\n")
    db.execute("CREATE TABLE held AS SELECT 1 AS n")
    holder = db.connect()
    holder.execute("BEGIN")
    holder.execute("LOCK TABLE held IN ACCESS EXCLUSIVE MODE")
    ended = aishell.maintenance().expect(4)
    statuses = ended.statuses()
    assert statuses["corruption"] == "done"
    left = {item["step_id"]: item for item in ended.json["output_data"]["deferred"]}
    assert {item["object"] for item in left.values()} == {"public.held"}, "the locked table comes first another night"
    assert left.keys() == {"corruption", "statistics"}
    assert all("lock" in item["reason"] for item in left.values())
    assert statuses["optimize_orders"] == statuses["rebuild_orders"] == "done"
    assert "held" in str(ended.json["actions_taken"][1]["output"]["not_checked"])
    assert db.execute("SELECT pg_stat_get_analyze_count('orders'::regclass) > 0") == [(True,)]
    assert bloated_pg.left_behind(db) == []


def test_what_is_put_off_is_named_and_exits_4(bloated_pg: Bloated, aishell: Aishell) -> None:
    db = bloated_pg.make()
    db.execute("VACUUM ANALYZE orders")
    aishell.url = db.url
    holder = db.connect()
    holder.execute("BEGIN")
    holder.execute("LOCK TABLE orders IN SHARE UPDATE EXCLUSIVE MODE")
    ended = aishell.maintenance("full", "--set", "update_stats=false").expect(4)
    left = ended.json["output_data"]["deferred"]
    assert {(item["tool"], item["object"]) for item in left} == {("rebuild_fragmented_indexes", "public.orders")}
    assert all("lock" in item["reason"] for item in left)
    assert len({item["reason"] for item in left}) == len(left), "each of its indexes by name"


def test_a_table_in_use_is_not_rewritten_and_nothing_is_left(
    bloated_mariadb: Bloated, bloated_sqlite: Bloated, aishell: Aishell
) -> None:
    """A transaction that has read the table, on MariaDB; a reader of the file, on SQLite: both at once, for each waits."""
    runs: list[tuple[Bloated, Any, Aishell, Any, InTheWay]] = []
    for bloated in (bloated_mariadb, bloated_sqlite):
        db = bloated.make()
        site = Aishell(aishell.home / bloated.engine, db.url)
        in_the_way = InTheWay(bloated, db)
        runs.append((bloated, db, site, site.start(*site.arguments("full", "--set", "update_stats=false")), in_the_way))
    for bloated, db, site, running, in_the_way in runs:
        before = bloated.facts(db)
        ended = running.wait().expect(1)
        step = "optimize_orders" if bloated.engine == "mysql" else "optimize"
        assert ended.statuses()[step] == "failed"
        assert "lock" in why(ended, step)
        if bloated.engine == "mysql":
            assert f"session {in_the_way.connection.thread_id()} (" in why(ended, step), "who has the lock"
        assert ended.statuses()["report"] == "done"
        retried = site.events("step_retried")
        tries = [event["try"] for event in retried]
        assert tries == list(range(1, len(tries) + 1)), "each slice of waiting is in the log"
        assert len(tries) > 2, "it was asked for again and again, with pauses"
        assert bloated.facts(db) == before
        in_the_way.go()
        assert bloated.left_behind(db) == []
        assert site.maintenance().expect(0).statuses()[step] == "done", "the next run does what this one could not"
        site("audit", "verify").expect(0)
