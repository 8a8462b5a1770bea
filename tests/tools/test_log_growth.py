"""What is told of a log without reading it: its ends, their order, and how many rows lie between two dates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aishell.databases.base import SessionOptions
from aishell.registry.render import render
from tests import logs
from tests.fix_tools import Engine

ROWS = 3000
DATE = {"postgresql": "timestamptz", "mysql": "datetime(6)", "sqlite": "text"}


@pytest.fixture
def dated(engine: Engine) -> Engine:
    """`log` has a row for each minute of two days, with a key that counts them; the statistics know of it."""
    engine.samples.do(f"CREATE TABLE log (id integer PRIMARY KEY, at {DATE[engine.name]})")
    moments = [f"2026-05-{1 + m // 1440:02} {m % 1440 // 60:02}:{m % 60:02}:00" for m in range(ROWS)]
    zone = "+00" if engine.name == "postgresql" else ""
    for start in range(0, ROWS, 500):
        rows = ", ".join(f"({start + n}, '{at}{zone}')" for n, at in enumerate(moments[start : start + 500]))
        engine.samples.do(f"INSERT INTO log VALUES {rows}")
    engine.samples.do("CREATE INDEX log_at ON log (at)")
    engine.samples.do("ANALYZE TABLE log" if engine.name == "mysql" else "ANALYZE log")
    return engine


def ask(engine: Engine, tool: str, **params: Any) -> dict[str, Any]:
    return engine.call(tool, schema=engine.schema, table="log", date_column="at", **params).output


def between(engine: Engine, start: str, finish: str, **params: Any) -> dict[str, Any]:
    return ask(engine, "count_log_rows", start=start, finish=finish, **params)


def test_rows_are_counted_from_the_first_date_to_before_the_last(dated):
    day = {"start": "2026-05-01 00:00:00", "finish": "2026-05-02 00:00:00"}
    assert between(dated, **day)["counted"] == 1440
    assert between(dated, **day, most=1440)["counted"] == 1440
    assert between(dated, **day, most=100)["counted"] == 100
    assert between(dated, **day, most=0)["counted"] == 0


def test_where_many_are_the_database_estimates(dated):
    answer = between(dated, "2026-05-01 00:00:00", "2026-05-02 00:00:00", most=0)
    if dated.name == "postgresql":
        assert answer["known"] is True
        assert answer["estimated"][0]["QUERY PLAN"][0]["Plan"]["Plan Rows"] == pytest.approx(1440, rel=0.1)
    elif dated.name == "mysql":
        assert (answer["estimated"][0]["type"], int(answer["estimated"][0]["rows"])) == (
            "range",
            pytest.approx(1440, rel=0.3),
        )
    else:
        assert set(answer) == {"counted"}


def old(engine: Engine, **params: Any) -> dict[str, Any]:
    places = {} if engine.name == "postgresql" else {"key": "id", "points": 500}
    return ask(engine, "measure_old_rows", cutoff="2026-05-02 00:00:00", **{**places, **params})


def test_old_rows_are_counted_as_far_as_wanted_and_as_they_would_be_deleted(dated):
    assert [old(dated, most=most)["counted"] for most in (0, 100, 1440, 1441, 10**6)] == [0, 100, 1440, 1440, 1440]
    narrow = [{"column": "id", "operator": "<", "value": 10}]
    assert old(dated, filters=narrow, most=10**6)["counted"] == 10
    if dated.name == "mysql":  # a zero date is none, as for the deletion
        dated.samples.do("SET sql_mode = ''", "INSERT INTO log VALUES (9000, '0000-00-00')")
        assert old(dated, most=10**6)["counted"] == 1440


def test_the_dates_of_a_sample_are_spread_as_those_of_the_table(dated):
    rows = old(dated, most=0)["sample"]
    bounds = [row["date"] for row in rows if row.get("share") is None]
    assert len(bounds) >= 100
    assert sum(date < "2026-05-02" for date in bounds) / len(bounds) == pytest.approx(1440 / ROWS, abs=0.02)


def test_a_sample_tells_common_dates_and_rows_without_one(dated):
    dated.samples.do("UPDATE log SET at = NULL WHERE id < 1500", "UPDATE log SET at = '2026-01-01' WHERE id >= 2000")
    dated.samples.do("ANALYZE TABLE log" if dated.name == "mysql" else "ANALYZE log")
    rows = old(dated, most=0)["sample"]
    if dated.name == "postgresql":
        shares = {row["date"] and row["date"][:10]: row["share"] for row in rows if row["share"] is not None}
        assert (shares[None], shares["2026-01-01"]) == (pytest.approx(0.5, abs=0.01), pytest.approx(1 / 3, abs=0.01))
    else:
        assert sum(row["date"] is None for row in rows) / len(rows) == pytest.approx(0.5, abs=0.02)
        assert sum(str(row["date"])[:10] == "2026-01-01" for row in rows) / len(rows) == pytest.approx(1 / 3, abs=0.02)


def test_there_is_no_sample_of_what_there_is_nothing_to_sample_by(engine):
    engine.samples.do(f"CREATE TABLE log (id integer PRIMARY KEY, at {DATE[engine.name]})")
    assert old(engine)["sample"] == []  # no rows, and never analyzed
    if engine.name != "postgresql":
        engine.samples.do("INSERT INTO log VALUES (1, '2026-05-01 00:00:00')")
        assert len(old(engine)["sample"]) == 1
        assert old(engine, key="at", points=0)["sample"] == []


def plan_of(engine: Engine, tool: str, **values: Any) -> str:
    """How the server runs a tool's first block, with what each part of the plan really did."""
    block = next(iter(engine.pick(tool).blocks.values()))
    names = {"schema": "public", "table": "app_log", "date_column": "created_at", "key": "id"}
    texts = {"text": str, "paste": lambda name: f'"{names[name]}"', "bind": lambda name: f"'{values[name]}'"}
    sql = "".join(texts[kind](piece) for kind, piece in block.pieces)
    return str(engine.db.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + sql))


def test_the_places_of_a_sample_are_looked_up_by_the_key(mariadb_engine):
    logs.fill(mariadb_engine.db, "mysql", 20_000)
    tool = mariadb_engine.pick("measure_old_rows")
    params = {"schema": mariadb_engine.schema, "table": "app_log", "date_column": "created_at", "cutoff": "2026-01-01"}
    values = tool.prepare({**params, "key": "id", "points": 500})
    sample = render(tool, tool.blocks["sample"], values, mariadb_engine.database)
    with mariadb_engine.database.session(SessionOptions(read_only=True)) as session:
        plan = session.query(replace(sample, sql=f"EXPLAIN {sample.sql}"))
    assert [row["type"] for row in plan if row["table"] == "t" and row["select_type"] == "PRIMARY"] == ["eq_ref"]


def test_a_limit_of_nothing_reads_nothing(pg_engine):
    logs.fill(pg_engine.db, "postgresql", 100, indexed=False)
    plan = plan_of(pg_engine, "count_log_rows", start="2020-01-01", finish="2030-01-01", most=0)
    assert "Seq Scan" in plan
    assert "'Actual Rows': 100" not in plan
    assert "'Actual Loops': 0" in plan


def test_a_column_without_statistics_is_said_to_have_none(pg_engine):
    pg_engine.samples.do(
        "CREATE TABLE log (id int, at timestamptz)", "INSERT INTO log SELECT i, now() FROM generate_series(1, 99) i"
    )
    assert between(pg_engine, "2020-01-01", "2030-01-01")["known"] is False
    pg_engine.samples.do("ANALYZE log")
    assert between(pg_engine, "2020-01-01", "2030-01-01")["known"] is True


def test_the_ends_and_the_rows_at_the_ends_of_the_key(dated):
    first, last = "2026-05-01 00:00:00", "2026-05-03 01:59:00"
    ends = ask(dated, "measure_log_order", key="id")["ends"]
    assert [ends[name][:19] for name in ("oldest", "newest", "first", "last")] == [first, last, first, last]
    dated.samples.do("UPDATE log SET at = '2026-05-02 00:00:00' WHERE id IN (0, 2999)")
    ends = ask(dated, "measure_log_order", key="id")["ends"]
    assert [ends[name][11:16] for name in ("oldest", "newest", "first", "last")] == ["00:01", "01:58", "00:00", "00:00"]


def test_an_empty_table_has_no_ends(dated):
    dated.samples.do("DELETE FROM log")
    assert set(ask(dated, "measure_log_order", key="id")["ends"].values()) == {None}


def test_whether_a_sqlite_table_lies_in_the_order_of_its_dates(sqlite_engine):
    s = sqlite_engine.samples
    sample = lambda: ask(sqlite_engine, "sample_log_order", key="id")  # noqa: E731
    s.do("CREATE TABLE log (id integer PRIMARY KEY, at text)", "CREATE INDEX log_at ON log (at)")
    assert sample() == {"in_order": None, "same_date": None}
    s.do("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)"
         " INSERT INTO log SELECT i * 1000000000000, datetime('2026-01-01', (i / 3) || ' minutes') FROM n")  # fmt: skip
    assert sample() == {"in_order": 1.0, "same_date": 3}
    s.do("UPDATE log SET at = datetime('2026-01-01', (id / 1000000000000 * 49 % 5000) || ' minutes')")
    assert 0.3 < sample()["in_order"] < 0.7
    s.do("UPDATE log SET at = '2026-01-01'")
    assert sample() == {"in_order": 1.0, "same_date": 1001}


@pytest.mark.parametrize("tool", ["measure_log_order", "measure_log_age"])
def test_numbers_are_ordered_as_numbers(engine, tool):
    """A cast bears the name of its column: ordered by that name, 10 would come before 9."""
    engine.samples.do(
        "CREATE TABLE log (id integer PRIMARY KEY, at bigint)", "INSERT INTO log VALUES (1, 9), (2, 10), (3, 100)"
    )
    params = {"key": "id"} if tool == "measure_log_order" else {}
    output = ask(engine, tool, **params)
    ends = output.get("ends", output)
    assert (ends["oldest"], ends["newest"]) == ("9", "100")


@pytest.mark.parametrize("tool", ["measure_log_order", "measure_log_age"])
def test_the_ends_are_looked_up_in_the_index(pg_engine, tool):
    logs.fill(pg_engine.db, "postgresql", 20_000)
    plan = plan_of(pg_engine, tool)
    assert "Seq Scan" not in plan
    assert plan.count("Index") >= 2


def test_the_statistics_know_the_ends_of_a_table(pg_engine):
    logs.fill(pg_engine.db, "postgresql", 5000, indexed=False)
    params = {"schema": "public", "table": "app_log", "date_column": "created_at"}
    ends = pg_engine.call("estimate_log_age", **params).output["ends"]
    exact = pg_engine.call("measure_log_age", **params).output
    assert (ends["oldest"][:13], ends["newest"][:13]) == (exact["oldest"][:13], exact["newest"][:13])
    pg_engine.samples.do("DELETE FROM pg_statistic WHERE starelid = 'app_log'::regclass")
    assert pg_engine.call("estimate_log_age", **params).output["ends"] is None
