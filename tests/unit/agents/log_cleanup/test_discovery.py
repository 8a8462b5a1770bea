"""Which tables look like logs, and what their figures come to: pure."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from aishell.agents.log_cleanup import discovery as log_discovery
from aishell.agents.log_cleanup.dates import Cutoff, seconds_of
from aishell.agents.log_cleanup.discovery import Bucket, Candidate
from aishell.cli.discovery import histogram
from aishell.models import Table
from tests.unit.agents.test_log_cleanup_plans import column

DATED = [column("id", "bigint", indexed=True, key=1), column("created_at", "timestamp with time zone", indexed=True)]
WEEK = Cutoff("2026-11-14T12:00:00+00:00", "2026-11-14 12:00:00", "UTC", "2026-11-21T12:00:00+00:00")


@pytest.mark.parametrize(
    "name", ["log", "app_log", "AppLog", "weblog", "audit_2026", "AUDIT", "UserSessions", "job-history", "x.trace"]
)
def test_names_of_logs(name):
    assert log_discovery.looks_like_log(name)


@pytest.mark.parametrize(
    "name", ["catalog", "blog", "dialog_texts", "login", "orders", "logistics", "prevention", "", "backlog"]
)
def test_names_of_others(name):
    assert not log_discovery.looks_like_log(name)


def table(name: str = "app_log", kind: str = "table", **facts: Any) -> Table:
    return Table("public", name, kind, **{"rows": 20_000, "bytes": 8 << 20, "index_bytes": 1 << 20, **facts})


def found(
    *tables: Table, columns: Any = DATED, parents: Any = (), named: bool = False, chosen: Any = None
) -> dict[str, Candidate]:
    answers = {
        "columns": [{**one, "table": t.table} for t in tables for one in columns],
        "children": [], "triggers": [], "parents": list(parents),
    }  # fmt: skip
    keys = {t.key for t in tables} if chosen is None else {("public", name) for name in chosen}
    pairs = log_discovery.candidates(tables, answers, chosen=keys, named=named, date_column=None)
    return {candidate.table: candidate for candidate, _ in pairs}


def test_the_likeliest_come_first():
    listed = found(table("orders"), table("small_log", bytes=8192), table("app_log"), table("few", rows=9_999))
    assert list(listed) == ["app_log", "small_log", "orders"]
    assert listed["app_log"].bytes == 9 << 20


def test_views_and_the_like_are_no_logs():
    assert found(*(table(f"log_{kind}", kind) for kind in ("view", "matview", "foreign", "virtual", "temporary"))) == {}


def test_a_log_without_a_date_is_listed_with_the_reason():
    (one,) = found(table(), columns=[column("id", "bigint")]).values()
    assert one.date_column is None
    assert set(one.unknown) == {"date_column", "age_histogram", "growth"}


def test_a_partitioned_table_is_as_large_as_its_partitions_and_stands_for_them():
    whole, parts = (
        table("log", "partitioned", rows=None, bytes=None, index_bytes=None),
        [table(f"log_{n}", "partition") for n in (1, 2)],
    )
    parents = [
        {"schema": "public", "table": part.table, "parent_schema": "public", "parent_table": "log"} for part in parts
    ]
    listed = found(whole, *parts, parents=parents)
    assert {name: (one.rows, one.bytes) for name, one in listed.items()} == {"log": (40_000, 18 << 20)}
    assert set(found(whole, *parts, parents=parents, chosen=["log_1"], named=True)) == {"log_1"}


def candidate(**facts: Any) -> Candidate:
    return Candidate(
        "public", "app_log", "table", **{"rows": 1000, "bytes": 1_000_000, "date_column": "created_at", **facts}
    )


def log_of(columns: Any = DATED) -> Any:
    answers = {"columns": columns, "children": [], "triggers": []}
    ((_, log),) = log_discovery.candidates(
        [table()], answers, chosen={("public", "app_log")}, named=True, date_column=None
    )
    return log


ENDS = {"oldest": "2026-01-01 00:00:00+00", "newest": "2026-11-21 00:00:00+00"}


@pytest.mark.parametrize(
    ("first", "last", "appended"),
    [
        ("2026-01-01 00:00:00+00", "2026-11-21 00:00:00+00", True),
        ("2026-01-03 00:00:00+00", "2026-11-20 00:00:00+00", True),
        ("2026-03-01 00:00:00+00", "2026-11-21 00:00:00+00", False),
        ("2026-11-21 00:00:00+00", "2026-01-01 00:00:00+00", False),
        ("2026-01-01 00:00:00+00", None, False),
    ],
)
def test_rows_in_the_order_of_their_dates_are_appended(first, last, appended):
    one = log_discovery.with_ends(candidate(), log_of(), "instant", {**ENDS, "first": first, "last": last})
    assert one.appended is appended
    assert (one.oldest, one.newest) == ("2026-01-01T00:00:00Z", "2026-11-21T00:00:00Z")


def test_dates_that_cannot_be_read_are_said():
    one = log_discovery.with_ends(candidate(), log_of(), "instant", {"oldest": "-infinity", "newest": "infinity"})
    assert one.oldest is None
    assert "'-infinity' to 'infinity'" in one.unknown["age_histogram"]


@pytest.mark.parametrize(
    ("kind", "oldest", "newest", "begin", "behind"),
    [
        ("instant", "2026-01-01 00:00:00.5+00", "2026-12-27 00:00:00+00", "2026-01-01 00:00:00+00:00",
         "2026-12-27 00:00:01+00:00"),
        ("local", "2026-01-01 00:00:00", "2026-12-27 00:00:00", "2026-01-01 00:00:00", "2026-12-27 00:00:01"),
        ("date", "2026-01-01", "2026-12-27", "2026-01-01", "2026-12-28"),
        ("text:", "2026-01-01", "2026-12-27", "2026-01-01", "2026-12-28"),
        ("text:T+02:00", "2026-01-01T00:00:00+02:00", "2026-12-27T00:00:00+02:00", "2026-01-01T00:00:00", "2026-12-27T00:00:01"),
        ("epoch_ms", "1770000000123", "1780000000456", 1770000000000, 1780000001000),
    ],
)  # fmt: skip
def test_buckets_have_every_row_in_one_of_them(kind, oldest, newest, begin, behind):
    points = log_discovery.edges(kind, oldest, newest)
    assert len(points) == 13
    assert (points[0][0], points[-1][0]) == (begin, behind)
    values = [value for value, _ in points]
    assert values == sorted(set(values))
    spans = {round(seconds_of(kind, str(b)) - seconds_of(kind, str(a))) for a, b in pairwise(values[:-1])}
    assert max(spans) - min(spans) <= (86_400 if kind in ("date", "text:") else 1)


def test_a_short_span_has_fewer_buckets():
    assert len(log_discovery.edges("date", "2026-01-01", "2026-01-04")) == 4
    assert len(log_discovery.edges("local", "2026-01-01 00:00:00", "2026-01-01 00:00:00")) == 2


#: 1,000 bytes a row, and 3,000 bytes for each of them in the table that a clean-up left half empty.
PACKED = table(rows=1000, bytes=900_000, index_bytes=100_000, fragmentation_percent=0.0)


def test_what_is_free_in_a_table_is_part_of_no_row():
    worn = replace(PACKED, bytes=2_700_000, index_bytes=300_000, fragmentation_percent=200 / 3)
    one = log_discovery.with_growth(
        candidate(bytes=3_000_000), worn, "instant", ENDS["oldest"], WEEK, (700, "counted"), None
    )
    assert one.bytes_per_day == 100_000.0
    unknown = replace(worn, fragmentation_percent=None, withheld="stale statistics")
    one = log_discovery.with_growth(candidate(), unknown, "instant", ENDS["oldest"], WEEK, (700, "counted"), 10_000_000)
    assert (one.rows_per_day, one.bytes_per_day, one.days_until_full) == (100.0, None, None)
    assert one.unknown["bytes_per_day"] == "how much of its size is free is not known: stale statistics"


@pytest.mark.parametrize(
    ("facts", "known"),
    [
        ({"modified_rows": 0}, True),
        ({"modified_rows": 10_000}, True),
        ({"modified_rows": 15_000}, False),  # loaded, or emptied, since the statistics were made
        ({"bytes": 16_384, "index_bytes": 0, "modified_rows": None}, False),  # 20,000 rows on a page
    ],
)
def test_a_size_from_before_the_rows_is_withheld(facts, known):
    for storage in ("InnoDB", "heap"):
        (one,) = found(table(storage=storage, **facts)).values()
        assert (one.bytes is not None) == (known or storage == "heap")
        assert ("bytes" in one.unknown) == (one.bytes is None)


def test_growth_is_that_of_the_last_days():
    one = log_discovery.with_growth(candidate(), PACKED, "instant", ENDS["oldest"], WEEK, (700, "counted"), 10_000_000)
    assert (one.rows_per_day, one.bytes_per_day, one.days_until_full) == (100.0, 100_000.0, 100.0)
    assert one.growth_method == "counted"


def test_a_log_younger_than_a_week_grows_by_all_it_has():
    one = log_discovery.with_growth(
        candidate(), PACKED, "instant", "2026-11-19 12:00:00+00", WEEK, (200, "counted"), None
    )
    assert (one.rows_per_day, one.days_until_full) == (100.0, None)


def test_what_does_not_grow_fills_no_disk():
    one = log_discovery.with_growth(candidate(), PACKED, "instant", ENDS["oldest"], WEEK, (0, "counted"), 10)
    assert (one.rows_per_day, one.days_until_full) == (0.0, None)
    unsized = log_discovery.with_growth(
        candidate(rows=None), PACKED, "instant", ENDS["oldest"], WEEK, (7, "counted"), 10
    )
    assert (unsized.rows_per_day, unsized.bytes_per_day) == (1.0, None)
    assert "size" in unsized.unknown["bytes_per_day"]


PLAN = [{"QUERY PLAN": [{"Plan": {"Plan Rows": 77}}]}]


@pytest.mark.parametrize(
    ("answer", "rows"),
    [
        ({}, None),
        ({"estimated": PLAN, "statistics": [{"known": True}]}, 77),
        ({"estimated": PLAN, "statistics": [{"known": False}]}, None),
        ({"estimated": [{"type": "range", "rows": "77"}]}, 77),
        ({"estimated": [{"type": "index", "rows": 77}]}, None),
        ({"estimated": [{"type": "ALL", "rows": 77}]}, None),
    ],
)
def test_an_estimate_is_one_that_rests_on_something(answer, rows):
    assert log_discovery.estimated(answer) == rows


def test_the_suggested_command_can_be_pasted():
    one = replace(candidate(), table="we ird'")
    assert log_discovery.suggested(one, ("--target", "shop"), 30) == (
        "aishell run log-cleanup --table 'public.we ird'\"'\"'' --date-column created_at --retention-days 30 --target shop "
        "--dry-run"
    )


@pytest.mark.parametrize(
    ("rows", "draws", "bars"),
    [
        ([0, 1, 50, 100], True, " ▁▄█"),
        ([0, 1, 50, 100], False, " .=@"),
        ([0, 0], True, "  "),
        ([7], True, "█"),
        ([], True, ""),
    ],
)
def test_bars_are_as_high_as_their_rows(rows, draws, bars):
    assert histogram([Bucket("", "", number, "counted") for number in rows], draws) == bars
