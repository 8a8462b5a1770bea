"""How many rows are old, from what a database answers: bounded by the table, blind to a single stray date, or unknown."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aishell.agents.log_cleanup import ages
from aishell.agents.log_cleanup.agent import LogCleanupAgent
from aishell.agents.log_cleanup.dates import Cutoff
from aishell.agents.log_cleanup.retention_rules import RetentionRule
from aishell.agents.log_cleanup.tables import LogTable, Old
from aishell.engines import profile
from aishell.models import Inventory, Step, Table
from tests.unit.agents.test_log_cleanup_plans import inventory, task
from tests.unit.making import make_inventory, make_server

ROWS = 2_000_000
CUTOFF = Cutoff("2026-08-23T12:00:00+00:00", "2026-08-23 12:00:00", "UTC")
TYPES = {"postgresql": "timestamp without time zone", "mysql": "datetime", "sqlite": "text"}
ENGINES = sorted(TYPES)
GB = 1 << 30
DATES = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31)).map(str)  # noqa: DTZ001


def log(engine: str = "postgresql", **facts: Any) -> LogTable:
    table = Table("public", "app_log", "table", rows=facts.pop("rows", ROWS), bytes=facts.pop("bytes", GB))
    columns = ({"column": "id", "type": "bigint"}, {"column": "at", "type": TYPES[engine]})
    known: dict[str, Any] = {
        "indexed": True,
        "key": ("id",),
        "kind": "local",
        "oldest": "1970-01-01 00:00:00",
        "newest": "9999-12-31 00:00:00",
    }
    rule = RetentionRule("app_log", 90, None, filters=facts.pop("filters", ()))
    return LogTable(table, rule, "at", TYPES[engine], cutoff=CUTOFF, columns=columns, **{**known, **facts})


def known(engine: str, one: LogTable, **answers: Any) -> Inventory:
    named = {f"{side} rows of {one.name}": answer for side, answer in answers.items()}
    made = make_inventory(one.table, server=make_server(engine), tools=frozenset({ages.TOOL}))
    return replace(made, answers=named)


def sample(engine: str, dates: list[str]) -> list[dict[str, Any]]:
    """Dates as the engine's tool returns them."""
    return [{"date": date, "share": None} if engine == "postgresql" else {"date": date} for date in dates]


def answer(engine: str, counted: int, dates: list[str], **more: Any) -> dict[str, Any]:
    return {"counted": [{"rows": counted}], "sample": sample(engine, dates), **more}


def even(number: int = 500, *stray: str) -> list[str]:
    """Dates of two years, of which the middle one is the cut-off."""
    begin, end = (datetime(year, 8, 23, 12, tzinfo=UTC).timestamp() for year in (2025, 2027))
    spread = (begin + (end - begin) * n / number for n in range(number))
    return [*(f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}" for at in spread), *stray]


def old(engine: str, given_: dict[str, Any], one: LogTable | None = None, **sides: Any) -> Old:
    one = one or log(engine)
    return ages.measured(one, known(engine, one, old=given_, **sides)).old


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("stray", [(), ("9999-12-31 00:00:00",), ("1970-01-01 00:00:00",)])
def test_a_stray_date_stretches_nothing(engine, stray):
    found = old(engine, answer(engine, profile(engine).most_counted, even(500, *stray)))
    assert found.rows == pytest.approx(ROWS / 2, rel=0.01)
    assert found.days == pytest.approx(365, rel=0.03)
    assert not found.exact


@pytest.mark.parametrize("gone", [0, 1, 40, 150, 230])
@pytest.mark.parametrize("bounds", [100, 101, 137, 500])
def test_the_days_are_those_of_the_rows_that_are_there(gone, bounds):
    """The sample may have been taken before so many of its old dates went, and its bounds lie days apart."""
    dates = even(bounds)
    first = datetime.fromisoformat(even(500)[gone])
    found = old("postgresql", answer("postgresql", profile("postgresql").most_counted, dates), log(oldest=str(first)))
    true = (datetime.fromisoformat(CUTOFF.local) - first).days
    assert found.days == pytest.approx(true, abs=1.5)
    assert found.days <= true + 1


@given(
    st.sampled_from(ENGINES), st.lists(DATES, min_size=ages.FEWEST, max_size=150), st.integers(1, ROWS),
    st.integers(0, 5 * ROWS), st.booleans(),
)  # fmt: skip
def test_no_more_rows_are_old_than_the_table_has(engine, dates, rows, counted, indexed):
    most = profile(engine).most_counted if indexed else 0
    given_ = answer(engine, min(counted, most), dates)
    found = old(engine, given_, log(engine, rows=rows, indexed=indexed))
    if found.exact:
        assert found.rows == counted
    else:
        assert found.rows is not None
        assert 0 < found.rows <= rows


def test_few_are_counted():
    found = old("postgresql", answer("postgresql", 1420, even()))
    assert (found.rows, found.method, found.exact) == (1420, "counted", True)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("counted", [0, 20_000])
def test_without_statistics_or_a_sample_it_is_unknown(engine, counted):
    one = log(engine, indexed=counted > 0) if engine != "sqlite" else log(engine, indexed=False)
    found = old(engine, answer(engine, counted, []), one)
    assert (found.rows, found.least, found.days) == (None, counted, None)
    given_ = answer(engine, 0, even()[: ages.FEWEST - 1])
    if engine != "postgresql":
        assert old(engine, given_, log(engine, indexed=False)).rows is None


def test_a_table_that_was_never_analyzed_has_no_share():
    assert old("postgresql", answer("postgresql", 20_000, even()), log(rows=None)).rows is None
    dense = answer("postgresql", 20_000, even(), size=[{"rows": 3 * ROWS}])
    assert old("postgresql", dense).rows == pytest.approx(1.5 * ROWS, rel=0.01)


def dive(rows: int, kind: str = "range") -> dict[str, Any]:
    return {"counted": [{"rows": 0}], "estimated": [{"type": kind, "rows": rows}]}


@pytest.mark.parametrize(
    ("older", "newer", "expected"),
    [
        (dive(300_000), dive(ROWS // 2), 300_000),
        (dive(ROWS // 2), dive(300_000), ROWS - 300_000),  # InnoDB never expects more than the half
        (dive(100_000), dive(5 * ROWS, "index"), 100_000),
        (dive(5 * ROWS, "ALL"), dive(100_000), ROWS - 100_000),
        (dive(5 * ROWS, "ALL"), dive(5 * ROWS, "ALL"), ROWS // 2),  # then the sample counts
        (dive(0), dive(0), 20_000),  # no fewer than were counted
    ],
)
def test_on_mariadb_the_smaller_side_of_the_index_counts(older, newer, expected):
    found = old("mysql", answer("mysql", 20_000, even()), older=older, newer=newer)
    assert found.rows == pytest.approx(expected, rel=0.01)


def test_more_that_were_counted_than_the_statistics_have_are_a_least():
    """Rows came since the last ANALYZE: what was counted up to its limit is no estimate of all of them."""
    after_it = [date for date in even(4000) if date > "2026-08-24"]
    found = old("postgresql", answer("postgresql", 20_000, after_it))
    assert (found.rows, found.least, found.exact) == (20_000, 20_000, False)
    assert found.method.startswith("at least: so many were counted")
    assert old("postgresql", answer("postgresql", 20_000, even())).method == "the histogram of the last ANALYZE"


def test_filters_leave_fewer_and_it_is_said():
    one = log(filters=({"column": "level", "operator": "=", "value": "debug"},))
    found = old("postgresql", answer("postgresql", 0, even()), one)
    assert found.method.startswith("before the filters, which leave fewer")


def test_common_dates_and_rows_without_one_count():
    given_ = answer("postgresql", 20_000, [])
    given_["sample"] = [
        {"date": "2026-01-01 00:00:00", "share": 0.25}, {"date": "2026-12-01 00:00:00", "share": 0.25},
        {"date": None, "share": 0.5},
    ]  # fmt: skip
    assert old("postgresql", given_).rows == ROWS // 4


@pytest.mark.parametrize(
    ("engine", "facts", "most", "places"),
    [
        ("postgresql", {}, 20_000, {}),
        ("postgresql", {"indexed": False}, 0, {}),
        ("postgresql", {"indexed": False, "bytes": 1 << 20}, ages.EVERY, {}),
        ("postgresql", {"rows": None, "bytes": 1 << 20}, ages.EVERY, {}),
        ("mysql", {}, 20_000, {"key": "id", "points": ages.POINTS}),
        ("mysql", {"key": ("at", "id")}, 20_000, {"key": "at", "points": 0}),
        ("mysql", {"key": ()}, 20_000, {"key": "at", "points": 0}),
        ("sqlite", {}, 1_000_000, {"key": "id", "points": ages.POINTS}),
        ("sqlite", {"indexed": False}, 0, {"key": "id", "points": ages.POINTS}),
        ("sqlite", {"filters": ({"column": "id", "operator": "=", "value": 1},)}, 0, {"key": "id", "points": 500}),
    ],
)
def test_what_is_asked_takes_no_longer_where_a_table_is_large(engine, facts, most, places):
    one = log(engine, **facts)
    (asked,) = ages.questions(one, known(engine, one))
    assert asked.params["most"] == most
    assert {name: asked.params[name] for name in ("key", "points") if name in asked.params} == places


def test_both_sides_of_an_index_are_asked_for_where_counting_came_to_no_end():
    one = log("mysql")
    asked = ages.questions(one, known("mysql", one, old=answer("mysql", 20_000, [])))
    assert [question.name for question in asked[1:]] == ["older rows of public.app_log", "newer rows of public.app_log"]
    assert len(ages.questions(one, known("mysql", one, old=answer("mysql", 19_999, [])))) == 1
    plain = log("mysql", indexed=False)
    assert len(ages.questions(plain, known("mysql", plain, old=answer("mysql", 20_000, [])))) == 1


def test_where_nothing_is_old_nothing_is_asked():
    young = log(oldest="2026-10-01 00:00:00")
    assert ages.questions(young, known("postgresql", young)) == []
    assert ages.measured(young, known("postgresql", young)).old_rows == 0


def steps(**answers: Any) -> dict[str, Step]:
    made = inventory()
    made.answers["old rows of public.app_log"].update(answers)
    return {step.id: step for step in LogCleanupAgent().draft(task(), made).steps}


def test_what_nobody_knows_is_unknown_in_the_plan_and_no_0():
    delete = steps(sample=[])["delete_app_log"]
    (evidence,) = (one for one in delete.evidence if one.metric == "old_rows")
    assert (evidence.value, evidence.method) == (None, "unknown")
    assert str(evidence.withheld).startswith("at least 20,000: the table was never analyzed")
    assert delete.estimate.seconds is None
    assert all(step.estimate.seconds != 0.0 for step in steps().values())


def test_what_takes_too_long_to_count_is_sampled_and_else_unknown():
    one = log()
    slow = known("postgresql", one, old={})
    again = ages.questions(one, slow)[1]
    assert (again.name, again.params["most"], again.patience) == (
        "sampled rows of public.app_log",
        0,
        ages.PATIENCE,
    )
    found = old("postgresql", {}, sampled=answer("postgresql", 0, even()))
    assert (found.rows, found.exact) == (pytest.approx(ROWS / 2, rel=0.01), False)
    nothing = old("postgresql", {}, sampled={})
    assert (nothing.rows, nothing.method) == (None, "no answer within 3 s")
    mysql = log("mysql")
    asked = ages.questions(mysql, known("mysql", mysql, old={}, sampled=answer("mysql", 0, [])))
    assert [question.name.split()[0] for question in asked] == ["old", "sampled", "older", "newer"]
