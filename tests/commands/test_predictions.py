"""What a plan predicts, beside what is there and what it took: old rows on every server, and times from one run to the next."""

from __future__ import annotations

import re
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from aishell.agents.log_cleanup import ages
from aishell.engines import PROFILES
from aishell.models import Evidence, Plan, Step, Task
from aishell.site import Site
from tests import logs
from tests.fix_aishell import Aishell
from tests.fix_tools import ENGINES, label

DAY = 86_400
ROWS = 20_000
#: How near a prediction is to what is there, as a share of the table: a bin of PostgreSQL's histogram is 0.01 of it, a sample of
#: 500 is good to a few of these, and InnoDB looks at ten pages of the index.
WITHIN = {"postgresql": 0.02, "mysql": 0.2, "sqlite": 0.06}
#: How many seconds ago the row `i` of ROWS was written.
SPREADS = {
    "even": f"i * {180 * DAY // ROWS}",
    "skewed": f"i * (i / {ROWS / (400 * DAY)} / {ROWS})",
    "all old": f"{91 * DAY} + i * 60",
    "most old": f"CASE WHEN i < 1000 THEN i ELSE {100 * DAY} + i * 60 END",
    "few old": f"CASE WHEN i < 600 THEN {100 * DAY} + i ELSE i * 300 END",
}
_SERIES = {
    "postgresql": "SELECT g AS i FROM generate_series(1, {rows}) AS g",
    "mysql": "SELECT seq AS i FROM seq_1_to_{rows}",
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) SELECT i FROM n",
}
#: Type and expression of a date that is given as seconds since 1970.
WAYS: dict[str, dict[str, tuple[str, str]]] = {
    "postgresql": {
        "time": ("timestamptz", "to_timestamp({at})"),
        "text": ("text", "to_char(to_timestamp({at}) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')"),
        "epoch": ("bigint", "CAST({at} AS bigint)"),
    },
    "mysql": {
        "time": ("datetime", "TIMESTAMPADD(SECOND, {at}, '1970-01-01')"),
        "text": ("varchar(30)", "DATE_FORMAT(TIMESTAMPADD(SECOND, {at}, '1970-01-01'), '%Y-%m-%d %H:%i:%s')"),
        "epoch": ("bigint", "CAST({at} AS SIGNED)"),
    },
    "sqlite": {
        "time": ("datetime", "datetime({at}, 'unixepoch')"),
        "text": ("text", "strftime('%Y-%m-%dT%H:%M:%SZ', {at}, 'unixepoch')"),
        "epoch": ("integer", "CAST({at} AS integer)"),
    },
}
#: 9999-12-30, and the first day of 1980. No whole number tells a time before that, or after 2200.
LATE, EARLY, LATEST = 253_402_128_000, 315_532_800, 7_258_000_000


@pytest.fixture(params=ENGINES, ids=label)
def db(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every table counts as too large to be read, and its old rows as too many to be counted."""
    monkeypatch.setattr(ages, "READ_ALL", -1)
    for engine in PROFILES.values():
        monkeypatch.setattr(type(engine), "most_counted", 50)


def engine_of(db: Any) -> str:
    return str(db.url).partition(":")[0]


def fill(
    db: Any, spread: str, way: str = "time", *strays: int, indexed: bool = True, analyzed: bool = True, rows: int = ROWS
) -> None:
    """`app_log`, whose keys tell nothing of its dates; `strays` are dates of rows of their own."""
    engine = engine_of(db)
    declared, form = WAYS[engine][way]
    db.execute(f"CREATE TABLE app_log (id integer PRIMARY KEY, at {declared})")
    at = form.format(at=f"({int(time.time())} - ({SPREADS[spread]}))")
    # 20011 is prime: each key comes once
    db.execute(f"INSERT INTO app_log SELECT i * 7919 % 20011, {at} FROM ({_SERIES[engine].format(rows=rows)}) AS r")
    for number, stray in enumerate(strays):
        at = form.format(at=min(stray, LATEST) if way == "epoch" else stray)
        db.execute(f"INSERT INTO app_log SELECT {20_011 + number}, {at}")
    if indexed:
        db.execute("CREATE INDEX app_log_at ON app_log (at)")
    if analyzed:
        db.execute("ANALYZE TABLE app_log" if engine == "mysql" else "ANALYZE app_log")


def planned(aishell: Aishell, db: Any, **inputs: Any) -> Plan:
    task = Task("log_cleanup", db.url, {"table": "app_log", "retention_days": 90, **inputs})
    with Site.open(aishell.site) as site, site.job(task, environment="test") as job:
        return site.plan(job).plan


def deletion(plan: Plan) -> Step:
    return next(step for step in plan.steps if step.id == "delete_app_log")


def old_rows(step: Step) -> Evidence:
    return next(one for one in step.evidence if one.metric == "old_rows")


def counted(db: Any, step: Step) -> int:
    cutoff = step.params["cutoff"]
    ((number,),) = db.execute(
        f"SELECT count(*) FROM app_log WHERE at < {cutoff if isinstance(cutoff, int) else repr(cutoff)}"
    )
    return int(number)


@pytest.mark.sampled
@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("indexed", [True, False], ids=["indexed", "bare"])
@pytest.mark.parametrize("strays", [(), (LATE,), (EARLY,), (LATE, EARLY)], ids=["none", "9999", "1980", "both"])
@pytest.mark.parametrize("way", ["time", "text", "epoch"])
@pytest.mark.parametrize("spread", list(SPREADS))
def test_old_rows_of_a_large_table_are_near_those_that_are_there(
    db: Any, aishell: Aishell, spread: str, way: str, strays: tuple[int, ...], indexed: bool
) -> None:
    fill(db, spread, way, *strays, indexed=indexed)
    step = deletion(planned(aishell, db))
    told, there = old_rows(step), counted(db, step)
    assert told.value == pytest.approx(there, abs=WITHIN[engine_of(db)] * ROWS), told
    # InnoDB does not know how many rows a table has.
    assert 0 < told.value <= (ROWS + len(strays)) * (1.1 if engine_of(db) == "mysql" else 1)
    days = next(one.value for one in step.evidence if one.metric == "old_days")
    assert days is None or days <= 400, "a stray date stretches the days over which rows came"


@pytest.mark.parametrize("strays", [(), (LATE, EARLY)], ids=["none", "both"])
def test_a_few_old_rows_are_counted(db: Any, aishell: Aishell, strays: tuple[int, ...]) -> None:
    """1,420 old rows beside a date of 9999 were told to be 177,072."""
    fill(db, "few old", "time", *strays)
    step = deletion(planned(aishell, db))
    assert (old_rows(step).value, old_rows(step).method) == (counted(db, step), "counted")


@pytest.mark.usefixtures("large")
def test_a_table_that_was_never_analyzed_is_unknown_and_no_zero(pg_current: Any, aishell: Aishell) -> None:
    fill(pg_current, "even", analyzed=False)
    step = deletion(planned(aishell, pg_current))
    assert (old_rows(step).value, step.estimate.seconds) == (None, None)
    assert str(old_rows(step).withheld).startswith("at least 50: ")


@pytest.mark.usefixtures("large")
def test_where_nothing_leads_to_a_date_it_is_unknown(mariadb: Any, aishell: Aishell) -> None:
    fill(mariadb, "even", indexed=False)
    mariadb.execute("ALTER TABLE app_log DROP PRIMARY KEY")
    step = deletion(planned(aishell, mariadb))
    assert (old_rows(step).value, step.estimate.seconds) == (None, None)


def test_a_server_that_takes_its_time_costs_a_figure_and_not_the_plan(
    db: Any, aishell: Aishell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ages, "PATIENCE", 0.001)
    fill(db, "even", indexed=False)
    told = old_rows(deletion(planned(aishell, db)))
    assert told.value is None or told.value > 0


def test_where_nothing_is_old_nothing_is_planned(db: Any, aishell: Aishell) -> None:
    fill(db, "even", rows=50, way="epoch")
    db.execute(f"UPDATE app_log SET at = {int(time.time())}")
    assert [step.id for step in planned(aishell, db).steps] == ["report"]


def cleaned(aishell: Aishell, db: Any, *more: str) -> Any:
    command = ("run", "log-cleanup", "--table", "app_log", "--url", db.url, "--environment", "test", "--yes", *more)
    return aishell(*command)


def estimates(document: Any) -> dict[str, dict[str, Any]]:
    return {step["id"]: step["estimate"] for step in document["plan"]["steps"]}


def test_the_next_run_is_predicted_by_what_this_one_took(log_db: tuple[Any, str], aishell: Aishell) -> None:
    """Text, report and JSON say alike what is known, and unknown where nothing is."""
    db, engine = log_db
    logs.fill(db, engine, 4000)
    preview = cleaned(aishell, db, "--retention-days", "90", "--max-rows", "1000", "--dry-run").expect(0).out
    assert "time unknown" in preview
    assert "0.0 s" not in preview
    first = cleaned(aishell, db, "--retention-days", "90", "--max-rows", "1000", "--output", "json").expect(0).json
    before = estimates(first)
    assert before["count_app_log"]["seconds"] is None
    unknown = sum(1 for one in before.values() if one["seconds"] is None)
    assert first["plan"]["estimate"]["steps_unknown"] == unknown
    took = {step["step_id"]: step["execution_time"] for step in first["actions_taken"] if step["status"] == "done"}
    report = next(step["output"]["report"] for step in first["actions_taken"] if step["step_id"] == "report")
    assert re.search(r"\| count_app_log \| done \|  \| unknown \|", report)

    again = (
        cleaned(aishell, db, "--retention-days", "90", "--max-rows", "1000", "--dry-run", "--output", "json")
        .expect(0)
        .json
    )
    after = estimates(again)
    for step in after.keys() & took.keys():
        assert after[step]["seconds"] == pytest.approx(took[step], rel=0.05, abs=0.001), step
        assert after[step]["based_on"].endswith("1 run"), step
    told = cleaned(aishell, db, "--retention-days", "90", "--max-rows", "1000", "--dry-run").expect(0).out
    assert "time unknown" not in told.split("count_app_log")[1].split("\n")[0]


def test_a_step_that_took_far_longer_than_predicted_is_predicted_so(
    pg_current: Any, aishell: Aishell, tmp_path: Path
) -> None:
    """amcheck was predicted at 0.4 s, took 20, and was predicted at 0.4 s the next time."""
    logs.fill(pg_current, "postgresql", 4000)
    check = (
        "run",
        "maintenance",
        "--type",
        "full",
        "--url",
        pg_current.url,
        "--environment",
        "test",
        "--yes",
        "--output",
        "json",
    )
    first = aishell(*check).expect(0).json
    taken = next(step["execution_time"] for step in first["actions_taken"] if step["step_id"] == "corruption")
    known = estimates(aishell(*check, "--dry-run").expect(0).json)["corruption"]
    assert known["seconds"] == pytest.approx(taken, rel=0.3)
    with sqlite3.connect(aishell.state) as state:  # as if it had taken so long
        state.execute("UPDATE step_costs SET seconds = 20 WHERE tool = 'check_table_corruption'")
    known = estimates(aishell(*check, "--dry-run").expect(0).json)["corruption"]
    assert known["seconds"] == pytest.approx(20, rel=0.3)
    assert known["based_on"] == "this tool's history on this target, 1 run"


def test_no_more_bytes_come_from_a_table_than_it_has(pg_current: Any, aishell: Aishell) -> None:
    """245 MB were to come from a table of 88: its statistics knew of a few of its rows."""
    logs.fill(pg_current, "postgresql", 50)
    pg_current.execute(
        "INSERT INTO app_log SELECT i, now() - interval '100 days', repeat('x', 180) FROM generate_series(100, 20000) AS i"
    )
    ((size,),) = pg_current.execute("SELECT pg_total_relation_size('app_log')")
    document = cleaned(aishell, pg_current, "--retention-days", "90", "--output", "json").expect(0).json
    report = next(step["output"]["report"] for step in document["actions_taken"] if step["step_id"] == "report")
    row = next(line for line in report.splitlines() if line.startswith("| public.app_log |"))
    told = row.split("|")[5].strip()
    known = re.fullmatch(r"about ([0-9.]+) (kB|MB)", told)
    assert told == "unknown" or (
        known and 0 < float(known[1]) * {"kB": 1 << 10, "MB": 1 << 20}[known[2]] <= size * 1.01
    )
