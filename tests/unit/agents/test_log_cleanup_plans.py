"""The log_cleanup agent's plans: pure, from an inventory and the answers to its questions."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from aishell.agents.log_cleanup.agent import LogCleanupAgent
from aishell.engines import profile
from aishell.errors import ParameterError, UnknownNameError
from aishell.models import Inventory, Table, Task
from tests.unit.making import make_inventory, make_server

AGENT = LogCleanupAgent()
CUTOFF = {
    "utc": "2026-08-23T12:00:00+00:00",
    "local": "2026-08-23 14:00:00",
    "zone": "Europe/Berlin",
    "now": "2026-11-21T12:00:00+00:00",
}
LOG = Table("public", "app_log", "table", rows=2_000_000, bytes=600 << 20)


def column(
    name: str, declared: str, *, table: str = "app_log", indexed: bool = False, key: int | None = None
) -> dict[str, Any]:
    return {
        "schema": "public", "table": table, "column": name, "type": declared, "indexed": indexed, "key_position": key,
    }  # fmt: skip


COLUMNS = [
    column("id", "bigint", indexed=True, key=1),
    column("created_at", "timestamp with time zone", indexed=True),
    column("message", "text"),
]
AGE = {"oldest": "2026-05-25 12:00:00+00", "newest": "2026-11-21 12:00:00+00"}


def old_rows(age: dict[str, Any], rows: int | None, engine: str = "postgresql") -> dict[str, Any]:
    """What a database answers of a table whose dates are spread evenly."""
    ends = []
    for text in (age["oldest"], age["newest"]):
        try:
            ends.append(datetime.fromisoformat(text))
        except (TypeError, ValueError):
            return {"counted": [{"rows": 0}], "sample": []}
    bounds = [ends[0] + (ends[1] - ends[0]) * n / 100 for n in range(101)]
    cutoff = datetime.fromisoformat(CUTOFF["utc"] if ends[0].tzinfo else CUTOFF["local"])
    share = min(1.0, max(0.0, (cutoff - ends[0]) / ((ends[1] - ends[0]) or timedelta(1))))
    sample = [{"date": str(bound), "share": None} for bound in bounds]
    return {"counted": [{"rows": min(profile(engine).most_counted, round(share * (rows or 0)))}], "sample": sample}


def task(**inputs: Any) -> Task:
    return Task("log_cleanup", "shop", {"table": "app_log", "retention_days": 90, **inputs})


def inventory(
    *tables: Table,
    columns: list[dict[str, Any]] | None = None,
    age: dict[str, Any] | None = None,
    children: list[dict[str, Any]] | None = None,
    triggers: list[dict[str, Any]] | None = None,
    engine: str = "postgresql",
    days: int = 90,
) -> Inventory:
    tables = tables or (LOG,)
    facts = {"columns": COLUMNS if columns is None else columns, "children": children or [], "triggers": triggers or []}
    ages = {
        f"age of {t.schema}.{t.table}": {"age": [AGE if age is None else age], "size": [{"rows": t.rows}]}
        for t in tables
    }
    from dataclasses import replace

    known = {f"old rows of {t.schema}.{t.table}": old_rows(AGE if age is None else age, t.rows, engine) for t in tables}
    answers = {"tables": facts, f"cutoff {days}": {"cutoff": [CUTOFF]}, **ages, **known}
    return replace(make_inventory(*tables, server=make_server(engine)), answers=answers)


def steps(*args: Any, **kwargs: Any) -> dict[str, Any]:
    return {step.id: step for step in AGENT.draft(task(**kwargs.pop("inputs", {})), inventory(*args, **kwargs)).steps}


def child(on_delete: str) -> dict[str, Any]:
    return {
        "schema": "public", "table": "app_log", "child_schema": "public", "child_table": "details", "name": "fk",
        "on_delete": on_delete, "child_columns": '["log_id"]', "parent_columns": '["id"]', "indexed": True,
    }  # fmt: skip


def test_count_delete_vacuum_report():
    plan = steps()
    assert list(plan) == ["count_app_log", "delete_app_log", "vacuum_app_log", "report"]
    delete = plan["delete_app_log"]
    assert delete.params == {
        "schema": "public", "table": "app_log", "date_column": "created_at", "cutoff": "2026-08-23 12:00:00+00:00",
        "filters": [], "indexed": True,
    }  # fmt: skip
    assert {item.metric: item.value for item in delete.evidence}["old_rows"] == 1_000_000
    assert delete.estimate.seconds == pytest.approx(0.625)
    assert plan["vacuum_app_log"].when == "${steps.delete_app_log.output.rows_deleted} > 100000"
    assert plan["report"].always


def test_its_questions_end():
    asked: list[str] = []
    known = inventory()
    bare = Inventory(known.server, known.tables, (), known.measured_at)
    while fresh := [q for q in AGENT.questions(task(), bare) if q.name not in bare.answers]:
        asked += [question.name for question in fresh]
        bare = Inventory(
            known.server, known.tables, (), known.measured_at,
            answers={name: answer for name, answer in known.answers.items() if name in asked},
        )  # fmt: skip
    assert asked == ["tables", "cutoff 90", "age of public.app_log"]


def test_the_inputs_of_the_pace_reach_the_tool():
    delete = steps(inputs={"max_rows": 1000, "batch_target_ms": 20, "sleep": 0.5})["delete_app_log"]
    assert (delete.params["max_rows"], delete.params["batch_target_ms"], delete.params["sleep"]) == (1000, 20, 0.5)
    assert delete.estimate.seconds == pytest.approx(
        1000 / profile("postgresql").rows_deleted_per_second * 26, abs=0.001
    ), "25 of 26 parts are rest"


@pytest.mark.parametrize(
    "age", [{"oldest": None, "newest": None}, {"oldest": "2026-08-23 12:00:00+00", "newest": AGE["newest"]}]
)
def test_where_nothing_is_old_nothing_is_planned(age):
    draft = AGENT.draft(task(), inventory(age=age))
    assert [step.id for step in draft.steps] == ["report"]
    assert len(draft.warnings) == 1


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ([column("id", "bigint"), column("message", "text")], "no column that looks like a date"),
        (
            [column("sent_at", "timestamp without time zone"), column("seen_at", "timestamp without time zone")],
            "several",
        ),
    ],
)
def test_a_date_column_is_never_guessed(columns, message):
    with pytest.raises(ParameterError, match=message):
        steps(columns=columns)


def test_an_index_breaks_a_tie():
    columns = [
        column("seen_at", "timestamp without time zone", indexed=True),
        column("sent_at", "timestamp without time zone"),
    ]
    assert steps(columns=columns)["delete_app_log"].params["date_column"] == "seen_at"


def test_a_named_column_must_exist_and_be_a_time():
    with pytest.raises(UnknownNameError, match="created_ad"):
        steps(inputs={"date_column": "created_ad"})
    with pytest.raises(ParameterError, match="is not a date column"):
        steps(inputs={"date_column": "message"}, age={"oldest": "aaa", "newest": "zzz"})
    with pytest.raises(ParameterError, match="its type is json"):
        steps(columns=[column("created_at", "json")], inputs={"date_column": "created_at"})


def test_an_unknown_column_in_a_filter_is_refused():
    with pytest.raises(UnknownNameError, match="levle"):
        steps(inputs={"filters": [{"column": "levle", "operator": "=", "value": "debug"}]})


@pytest.mark.parametrize("kind", ["view", "matview", "foreign", "temporary", "virtual"])
def test_what_holds_no_rows_of_its_own_is_refused_by_name(kind):
    with pytest.raises(ParameterError, match=r"public\.app_log is a"):
        steps(Table("public", "app_log", kind, rows=5, bytes=8192))


def test_rows_that_others_refer_to_are_refused_with_their_names():
    with pytest.raises(ParameterError, match=r"public\.details \(log_id\)"):
        steps(children=[child("no action")])


def test_triggers_are_named():
    draft = AGENT.draft(
        task(), inventory(triggers=[{"schema": "public", "table": "app_log", "name": "audit_it", "calls": "f"}])
    )
    assert any("audit_it" in warning for warning in draft.warnings)


def test_without_a_table_the_rules_of_the_configuration_count():
    rules = [{"tables": "app_*", "retention_days": 90}, {"tables": "*", "retention_days": 30}]
    assert list(AGENT.tables(Task("log_cleanup", "shop", {"rules": rules}))) == ["app_*", "*"]
    plan = AGENT.draft(Task("log_cleanup", "shop", {"rules": rules}), inventory())
    assert "older than 90 days" in plan.steps[1].rationale


@pytest.mark.parametrize("inputs", [{}, {"table": "app_log"}, {"retention_days": 3}])
def test_a_table_and_a_retention_are_needed(inputs):
    with pytest.raises(ParameterError, match=r"no table given|retention_days is missing"):
        AGENT.tables(Task("log_cleanup", "shop", inputs))


@pytest.mark.parametrize(
    "inputs", [{"retention_days": 0}, {"retention_days": -1}, {"retention_days": 1.5}, {"max_rows": 0}]
)
def test_impossible_inputs_are_refused(inputs):
    with pytest.raises(ParameterError):
        AGENT.check_inputs(task(**inputs))
