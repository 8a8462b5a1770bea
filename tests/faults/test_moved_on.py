"""The database moves on between the approval and the execution: the approval is void, asked again, and nothing was sent."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests import logs
from tests.bloated import Bloated
from tests.fix_aishell import Aishell, Ended
from tests.servers import wait_until
from tests.statement_log import StatementLog


def asked(aishell: Aishell, *more: str) -> Ended:
    """A run on a production target, at the point where it waits."""
    return aishell.maintenance(
        "full", "--environment", "production", "--set", "update_stats=false", *more, yes=False
    ).expect(3)


def approve_all(aishell: Aishell) -> list[str]:
    waiting = [
        name for (name,) in aishell.rows("SELECT id FROM approvals WHERE status = 'pending' ORDER BY step_index")
    ]
    for name in waiting:
        aishell("approvals", "approve", name).expect(0)
    return waiting


def statuses(aishell: Aishell) -> list[str]:
    return [status for (status,) in aishell.rows("SELECT status FROM approvals ORDER BY requested_at, step_index")]


def recreate(db: Any) -> None:
    """The same name, the same rows, the same indexes: another table."""
    db.execute("CREATE TABLE copy AS SELECT * FROM orders")
    db.execute("DROP TABLE orders")
    db.execute("ALTER TABLE copy RENAME TO orders")
    db.execute("ALTER TABLE orders ADD PRIMARY KEY (id)")
    db.execute("CREATE INDEX orders_n ON orders (n)")


def grow(db: Any) -> None:
    """More than the tolerance of half as much again."""
    db.execute("INSERT INTO orders SELECT i, md5(i::text), repeat('x', 100) FROM generate_series(100001, 160000) AS i")


def index_more(db: Any) -> None:
    db.execute("CREATE INDEX orders_note ON orders (note)")


@pytest.mark.parametrize("change", [recreate, grow, index_more])
def test_an_approval_does_not_outlive_what_it_was_given_for(bloated_pg: Bloated, aishell: Aishell, change: Any) -> None:
    db = bloated_pg.make()
    aishell.url = db.url
    run = asked(aishell).run_id
    first = approve_all(aishell)
    assert len(first) == 2, "one for the vacuum, one for the rebuild"
    change(db)
    log = StatementLog(db)
    resumed = aishell.resume(run).expect(3)
    assert log.changing() == []
    assert "is void" in resumed.err
    assert statuses(aishell) == ["void", "void", "pending", "pending"]
    assert not set(first) & set(approve_all(aishell)), "asked again, under another id"


def test_an_approval_covers_what_has_not_changed_and_is_used_once(bloated_pg: Bloated, aishell: Aishell) -> None:
    """Rows come and go while a person thinks; that alone voids nothing."""
    db = bloated_pg.make()
    aishell.url = db.url
    run = asked(aishell).run_id
    approve_all(aishell)
    db.execute("UPDATE orders SET note = 'changed' WHERE id % 100 = 10")
    done = aishell.resume(run).expect(0)
    assert done.statuses()["optimize_orders"] == done.statuses()["rebuild_orders"] == "done"
    assert statuses(aishell) == ["consumed", "consumed"]
    by = {action["step_id"]: action["approved_by"] for action in done.json["actions_taken"]}
    assert "@" in by["optimize_orders"]
    aishell("audit", "verify").expect(0)


def test_an_approval_is_not_for_another_table_of_the_name(log_db: tuple[Any, str], aishell: Aishell) -> None:
    """Dropped and made anew with the very same words and rows, between the approval and the deletion."""
    db, engine = log_db
    logs.fill(db, engine, 2000)
    words = ("--retention-days", "90", "--set", "table=app_log", "--url", db.url, "--environment", "production")
    run = aishell("run", "log-cleanup", *words, "--output", "json").expect(3).run_id
    assert approve_all(aishell)
    db.execute("DROP TABLE app_log")
    logs.fill(db, engine, 2000)
    resumed = aishell.resume(run).expect(3)
    assert "is void" in resumed.err
    assert len(logs.left(db)) == 2000


CHILD = "CREATE TABLE child (id BIGINT PRIMARY KEY, log BIGINT, FOREIGN KEY (log) REFERENCES {} (id) ON DELETE CASCADE)"
TRIGGER = {
    "postgresql": """CREATE FUNCTION told() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM kept; RETURN OLD; END';
                     CREATE TRIGGER told BEFORE DELETE ON {} FOR EACH ROW EXECUTE FUNCTION told()""",
    "mysql": "CREATE TRIGGER told BEFORE DELETE ON {} FOR EACH ROW DELETE FROM kept",
    "sqlite": "CREATE TRIGGER told BEFORE DELETE ON {} BEGIN DELETE FROM kept; END",
}


@pytest.mark.parametrize("table", ["app_log", "items"])
@pytest.mark.parametrize("what", ["child", "trigger"])
def test_an_approval_is_not_for_what_a_deletion_sets_off_since(
    log_db: tuple[Any, str], aishell: Aishell, what: str, table: str
) -> None:
    """Of the table itself, or of one that rows go from with its own."""
    db, engine = log_db
    logs.fill(db, engine, 2000)
    db.execute(CHILD.replace("child", "items").format("app_log"))
    db.execute("CREATE INDEX items_log ON items (log)")
    db.execute("INSERT INTO items SELECT id, id FROM app_log")
    db.execute("CREATE TABLE kept AS SELECT id FROM app_log")
    words = ("--retention-days", "90", "--set", "table=app_log", "--url", db.url, "--environment", "production")
    run = aishell("run", "log-cleanup", *words, "--output", "json").expect(3).run_id
    assert approve_all(aishell)
    db.execute((CHILD if what == "child" else TRIGGER[engine]).format(table))
    resumed = aishell.resume(run).expect(3)
    assert "is void" in resumed.err
    assert len(logs.left(db)) == 2000
    assert db.execute("SELECT count(*) FROM kept") == [(2000,)]


def test_a_replaced_sqlite_file_is_another_database(bloated_sqlite: Bloated, aishell: Aishell) -> None:
    db = bloated_sqlite.make()
    aishell.url = db.url
    run = asked(aishell).run_id
    approve_all(aishell)
    copy = db.path.with_name("copy")
    copy.write_bytes(db.path.read_bytes())
    copy.rename(db.path)
    before = db.path.read_bytes()
    refused = aishell.resume(run).expect(1)
    assert "not the database the plan was made for" in refused.json["error"]["message"]
    assert db.path.read_bytes() == before


def test_an_expired_approval_is_not_asked_for_and_not_used(bloated_sqlite: Bloated, aishell: Aishell) -> None:
    """Both ends: a request nobody answered in time, and an answer nobody used in time."""
    aishell.configure("policy.yaml", "approval_hours: 0.0015\n")  # 5.4 s
    db = bloated_sqlite.make()
    aishell.url = db.url
    before = db.path.read_bytes()
    run = asked(aishell).run_id
    ((name, expires),) = aishell.rows("SELECT id, expires_at FROM approvals")
    aishell("approvals", "approve", name).expect(0)
    wait_until(lambda: datetime.now(UTC) > datetime.fromisoformat(expires), "the approval's end")
    aishell.resume(run).expect(3)
    assert db.path.read_bytes() == before, "nothing was sent on the word of an expired approval"
    ((second, expires),) = aishell.rows("SELECT id, expires_at FROM approvals WHERE status = 'pending'")
    wait_until(lambda: datetime.now(UTC) > datetime.fromisoformat(expires), "the request's end")
    late = aishell("approvals", "approve", second).expect(2)
    assert f"approval {second} has expired" in late.err
    assert aishell.resume(run).expect(5).json["status"] == "rejected"
    assert db.path.read_bytes() == before
    assert aishell.rows("SELECT count(*) FROM approvals WHERE status = 'consumed'") == [(0,)]


@pytest.mark.parametrize("answer", ["approve", "none"])
def test_a_target_that_has_become_production_asks_as_one(
    bloated_sqlite: Bloated, aishell: Aishell, answer: str
) -> None:
    """What a target is stands in targets.yaml: not in what the run was asked for, and not on the command line."""
    db = bloated_sqlite.make()
    targets = f"targets:\n  shop: {{url: '{db.url}', environment: %s}}\n"
    aishell.configure("targets.yaml", targets % "test")
    aishell.configure("policy.yaml", "rules: [{name: r, tool: optimize_table, decision: confirm}]\n")
    words = ("run", "maintenance", "--type", "full", "--target", "shop", "--set", "update_stats=false")
    run = aishell(*words, "--output", "json").expect(3).run_id
    if answer == "approve":
        approve_all(aishell)
    aishell.configure("policy.yaml", "rules: []\n")
    aishell.configure("targets.yaml", targets % "production")
    before = db.path.read_bytes()
    aishell.resume(run).expect(3)
    assert db.path.read_bytes() == before
    told = aishell(*words, "--environment", "test", "--output", "json").expect(2)
    assert "the target shop is production, not test" in told.err + told.out


def test_a_rejected_step_is_not_run_and_not_asked_for_again(bloated_sqlite: Bloated, aishell: Aishell) -> None:
    db = bloated_sqlite.make()
    aishell.url = db.url
    before = db.path.read_bytes()
    run = asked(aishell).run_id
    ((name,),) = aishell.rows("SELECT id FROM approvals")
    aishell("approvals", "reject", name, "--reason", "not in the season").expect(0)
    ended = aishell.resume(run).expect(5)
    (action,) = (action for action in ended.json["actions_taken"] if action["step_id"] == "optimize")
    assert action["status"] == "rejected"
    assert "not in the season" in action["reason"]
    assert db.path.read_bytes() == before
    aishell("approvals", "approve", name).expect(2)
