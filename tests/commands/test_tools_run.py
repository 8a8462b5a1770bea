"""`aishell tools run`: one tool by its name, through every gate, as a run."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from aishell.agents.one_tool import OneToolAgent
from aishell.errors import UsageError
from aishell.locations import built_in
from aishell.registry.registry import Registry
from tests.bloated import Bloated
from tests.fix_aishell import Aishell
from tests.scheduled import nightly

SCHEMA = {"postgresql": "public", "sqlite": "main"}


def tool(site: Aishell, name: str, *more: str, **params: Any) -> Any:
    pairs = (word for key, value in params.items() for word in ("--param", f"{key}={json.dumps(value)}"))
    return site("tools", "run", name, *pairs, "--url", site.url, "--environment", "test", *more)


@pytest.fixture
def orders(bloated: Bloated, aishell: Aishell) -> tuple[Aishell, dict[str, str], Bloated, Any]:
    """A site, the parameters that name the table `orders` of a database of its own, and both."""
    db = bloated.make()
    aishell.url = db.url
    schema = SCHEMA.get(bloated.engine) or db.execute("SELECT DATABASE()")[0][0]
    return aishell, {"schema": schema, "table": "orders"}, bloated, db


def test_what_a_tool_reads_is_the_runs_output(orders: Any) -> None:
    site, table, _, db = orders
    ((count,),) = db.execute("SELECT count(*) FROM orders")
    document = json.loads(tool(site, "count_table_rows", "--output", "json", **table, exact=True).expect(0).out)
    assert document["output_data"]["output"]["row_count"] == count
    assert [action["tool"] for action in document["actions_taken"]] == ["count_table_rows"]
    shown = tool(site, "inspect_tables").expect(0).out
    assert {"customers", "orders"} <= set(shown.split()), "rows are a table"


def test_what_a_tool_changes_is_asked_for_verified_and_in_the_audit(orders: Any) -> None:
    site, table, bloated, db = orders
    before = bloated.facts(db)
    waiting = tool(site, "optimize_table", "--non-interactive", "--safety-level", "strict", **table).expect(3)
    tool(site, "optimize_table", "--dry-run", **table).expect(0)
    assert bloated.facts(db) == before
    assert "continue with" in waiting.out
    tool(site, "optimize_table", "--yes", **table).expect(0)
    assert bloated.facts(db) != before
    assert site.rows(
        "SELECT tool, status FROM steps WHERE run_id = (SELECT id FROM runs WHERE state = 'completed')"
    ) == [("optimize_table", "done")]
    site("audit", "verify").expect(0)


def test_what_is_wrong_is_named_before_anything_is_begun(aishell: Aishell, bloated_sqlite: Bloated) -> None:
    aishell.url = bloated_sqlite.make().url
    assert "did you mean 'optimize_table'" in tool(aishell, "optimise_table").expect(2).err
    assert "did you mean 'table'" in tool(aishell, "optimize_table", schema="main", tabel="orders").expect(2).err
    assert "needs the parameter 'schema'" in tool(aishell, "optimize_table").expect(2).err
    assert "no_such" in tool(aishell, "optimize_table", schema="main", table="no_such").expect(2).err
    assert (
        "--param 'table' is not an assignment"
        in aishell("tools", "run", "optimize_table", "--param", "table").expect(2).err
    )
    assert not aishell.state.exists() or aishell.rows("SELECT id FROM runs") == []


def test_what_its_agent_may_not_do_is_refused(aishell: Aishell, bloated_sqlite: Bloated) -> None:
    db = bloated_sqlite.make()
    aishell.url, before = db.url, bloated_sqlite.facts(db)
    aishell.configure("agents/one_tool.yaml", "one_tool_agent: {capabilities: [database_read]}\n")
    ended = tool(aishell, "optimize_table", "--yes", schema="main", table="orders")
    assert "lacks the capability 'database_write'" in ended.expect(2).err
    assert bloated_sqlite.facts(db) == before


@pytest.mark.parametrize("agent", ["maintenance", "backup", "log_cleanup", "one_tool"])
def test_it_is_bound_to_the_constraints_of_every_agent(aishell: Aishell, bloated_sqlite: Bloated, agent: str) -> None:
    """Else it would be the way around what a site asks of its maintenance."""
    db = bloated_sqlite.make()
    aishell.url = db.url
    rule = f"{{type: production_hours, allowed_hours: [{(datetime.now(UTC).hour + 12) % 24}]}}"

    def asked() -> bool:
        words = ("--dry-run", "--output", "json", "--environment", "production")
        (step,) = tool(aishell, "optimize_table", *words, schema="main", table="orders").json["plan"]["steps"]
        return any("hours" in reason["rule"] for reason in step["verdict"]["reasons"])

    for name in ("maintenance", "backup", "log_cleanup"):
        aishell.configure(f"agents/{name}.yaml", f"{name}_agent: {{safety_constraints: [{{type: free_disk}}]}}\n")
    assert not asked()
    aishell.configure(f"agents/{agent}.yaml", f"{agent}_agent: {{safety_constraints: [{rule}]}}\n")
    assert asked()


def test_it_leaves_alone_what_any_agent_has_to(aishell: Aishell, bloated_sqlite: Bloated) -> None:
    aishell.url = bloated_sqlite.make().url
    aishell.configure("agents/log_cleanup.yaml", "log_cleanup_agent: {exclude: ['ord*']}\n")
    ended = tool(aishell, "optimize_table", "--yes", schema="main", table="orders").expect(2)
    assert "main.orders is excluded" in ended.err
    several = {"tables": [{"schema": "main", "table": name} for name in ("customers", "orders")]}
    assert "main.orders is excluded" in tool(aishell, "batch_update_statistics", "--yes", **several).expect(2).err
    tool(aishell, "update_table_statistics", "--yes", schema="main", table="customers").expect(0)


def test_rows_are_deleted_by_a_plan_alone(aishell: Aishell, sqlite: Any) -> None:
    """Which rows of other tables go with them nobody is told otherwise: those of `child` went unasked."""
    sqlite.execute("CREATE TABLE log (id INTEGER PRIMARY KEY, at TEXT)")
    sqlite.execute("CREATE TABLE child (log_id INTEGER REFERENCES log (id) ON DELETE CASCADE)")
    sqlite.execute("INSERT INTO log VALUES (1, '2020-01-01 00:00:00')")
    sqlite.execute("INSERT INTO child VALUES (1)")
    aishell.url = sqlite.url
    walk = {"schema": "main", "table": "log", "key": ["id"], "date_column": "at", "cutoff": "2025-01-01 00:00:00"}
    ended = tool(aishell, "delete_old_records", "--yes", **walk).expect(2)
    assert "delete_old_records cannot be run alone" in ended.err
    assert sqlite.execute("SELECT count(*) FROM child") == [(1,)]


def test_every_tool_that_deletes_or_moves_rows_is_refused() -> None:
    tools = Registry.load([built_in("tools")]).find_tools()
    refused, agent = set(), OneToolAgent()
    for one in tools:
        try:
            agent.check_tool(one)
        except UsageError:
            refused.add(one.name)
    assert refused == {one.name for one in tools if one.deletes or one.archives}
    assert refused >= {"delete_old_records", "drop_old_partitions", "load_archive", "restore_references"}
    assert not refused & {"optimize_table", "rebuild_table", "inspect_tables", "backup_database_full"}


def test_no_schedule_runs_a_tool(aishell: Aishell, bloated_sqlite: Bloated) -> None:
    """Its parameters are checked against the database alone, which would be at two in the morning."""
    path = nightly(aishell, bloated_sqlite.make().url)
    path.write_text(path.read_text().replace("agent: maintenance", "agent: one_tool"))
    assert "unknown agent 'one_tool'" in aishell("schedule", "list").expect(2).err


def test_a_list_that_is_cut_says_so(aishell: Aishell, bloated_sqlite: Bloated) -> None:
    aishell.url = bloated_sqlite.make().url
    for _ in range(2):
        tool(aishell, "inspect_tables").expect(0)
    assert aishell("runs", "list", "--limit", "1").expect(0).err == "the newest 1; use --limit for more\n"
    assert aishell("runs", "list", "--limit", "3").expect(0).err == ""
