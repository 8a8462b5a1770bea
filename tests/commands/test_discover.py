"""`aishell run log-cleanup --discover`: the tables that look like logs, how old they are, and how fast they grow."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aishell.engines import PROFILES
from aishell.models import Task
from aishell.services import log_discovery
from aishell.site import Site
from tests.fix_aishell import Aishell, Ended
from tests.fix_tools import ENGINES, label
from tests.servers import wait_until
from tests.statement_log import StatementLog

pytestmark = pytest.mark.versions

DAYS = 120
HOURLY = DAYS * 24
TYPES = {
    "postgresql": ("timestamptz", "bigserial"),
    "mysql": ("datetime", "bigint auto_increment"),
    "sqlite": ("text", "integer"),
}


@pytest.fixture(params=ENGINES, ids=label)
def db(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def engine_of(db: Any) -> str:
    return str(db.url).partition(":")[0]


def schema_of(db: Any) -> str:
    return {"postgresql": "public", "mysql": getattr(db, "dbname", ""), "sqlite": "main"}[engine_of(db)]


def make(
    db: Any, table: str, *, column: str = "created_at", index: bool = True, epoch: bool = False, days: int = DAYS
) -> None:
    """A table with a row for each hour of the last days."""
    date, key = TYPES[engine_of(db)]
    mark = "`" if engine_of(db) == "mysql" else '"'
    name, dated, by_date = (mark + text.replace(mark, 2 * mark) + mark for text in (table, column, f"{table[:50]}_i"))
    db.execute(
        f"CREATE TABLE {name} (id {key} PRIMARY KEY, {dated} {'bigint' if epoch else date} NOT NULL, note varchar(100))"
    )
    now = datetime.now(UTC)
    moments = [now - timedelta(hours=hours, minutes=30) for hours in reversed(range(days * 24))]
    texts = [str(int(at.timestamp() * 1000)) if epoch else f"'{at:%Y-%m-%d %H:%M:%S}'" for at in moments]
    for start in range(0, len(texts), 500):
        rows = ", ".join(f"({start + n + 1}, {text}, 'x')" for n, text in enumerate(texts[start : start + 500]))
        db.execute(f"INSERT INTO {name} VALUES {rows}")
    if index:
        db.execute(f"CREATE INDEX {by_date} ON {name} ({dated})")
    db.execute(f"ANALYZE {'TABLE ' if engine_of(db) == 'mysql' else ''}{name}")
    if engine_of(db) == "postgresql":  # before 15 its counters come by way of another process
        analysed = "SELECT pg_stat_get_last_analyze_time(t) IS NOT NULL AND pg_stat_get_mod_since_analyze(t) = 0 "
        analysed += "FROM CAST(to_regclass(%s) AS oid) AS t"

        def counted() -> bool:
            """What this session inserted may be counted after its ANALYZE: then it takes another."""
            db.execute(f"ANALYZE {name}")
            return bool(db.execute(analysed, [name]) == [(True,)])

        wait_until(counted, "the ANALYZE is counted")


def look(aishell: Aishell, db: Any, *more: str, output: str = "json", **environment: str) -> Ended:
    return aishell("run", "log-cleanup", "--discover", "--url", db.url, "--output", output, *more, **environment)


def by_name(ended: Ended) -> dict[str, Any]:
    return {one["table"]: one for one in ended.expect(0).json["candidates"]}


def test_a_log_with_its_age_its_growth_and_what_to_do_about_it(db: Any, aishell: Aishell) -> None:
    make(db, "app_log")
    db.execute("CREATE TABLE catalog (id integer PRIMARY KEY, created_at date, title varchar(10))")
    log = None if engine_of(db) == "sqlite" else StatementLog(db)
    ended = look(aishell, db)
    (one,) = by_name(ended).values()
    assert (one["schema"], one["table"], one["date_column"]) == (schema_of(db), "app_log", "created_at")
    assert (one["indexed"], one["appended"], one["unknown"]) == (True, True, {})
    assert one["score"] >= 90
    assert [reason.split(" (")[0] for reason in one["reasons"]] == [
        "named like a log", "date column created_at by type and name", "rows come in the order of their dates",
    ]  # fmt: skip
    assert one["rows"] == pytest.approx(HOURLY, rel=0.1)
    assert one["bytes"] > 8192
    now = datetime.now(UTC)
    assert one["oldest"] == f"{now - timedelta(days=DAYS, minutes=-30):%Y-%m-%dT%H}" + one["oldest"][13:]
    buckets = one["age_histogram"]
    assert [bucket["rows"] for bucket in buckets] == [pytest.approx(HOURLY / 12, abs=1)] * 12
    assert sum(bucket["rows"] for bucket in buckets) == HOURLY
    assert {bucket["method"] for bucket in buckets} == {"counted"}
    assert [bucket["begin"] for bucket in buckets[1:]] == [bucket["end"] for bucket in buckets[:-1]]
    assert (one["rows_per_day"], one["growth_method"]) == (pytest.approx(24, abs=0.2), "counted")
    assert one["bytes_per_day"] == pytest.approx(24 * one["bytes"] / one["rows"], rel=0.1)
    assert one["command"].startswith("aishell --site ")
    words = shlex.split(one["command"])
    assert words[words.index("run") :][:8] == [
        "run", "log-cleanup", "--table", f"{schema_of(db)}.app_log", "--date-column", "created_at",
        "--retention-days", "90",
    ]  # fmt: skip
    assert aishell(*shlex.split(one["command"])[1:], "--environment", "test").expect(0)
    assert not aishell.state.exists(), "nothing is recorded, for nothing was done"
    if log is not None:
        assert log.changing() == []


def test_days_until_the_disk_is_full(db: Any, aishell: Aishell) -> None:
    make(db, "app_log")
    make(db, "audit_events", column="at")
    (aishell.config / "targets.yaml").write_text(
        f"targets:\n  shop: {{url: '{db.url}', free_disk_bytes: 1000000000}}\n"
    )
    found = aishell("run", "log-cleanup", "--discover", "--target", "shop", "--output", "json").expect(0).json
    assert found["disk"]["free_bytes"] == 1_000_000_000
    growth = sum(one["bytes_per_day"] for one in found["candidates"])
    assert found["disk"]["growth_bytes_per_day"] == pytest.approx(growth)
    assert found["disk"]["days_until_full"] == pytest.approx(1e9 / growth, rel=0.01)
    for one in found["candidates"]:
        assert one["days_until_full"] == pytest.approx(1e9 / one["bytes_per_day"], rel=0.01)
        assert "--target shop" in one["command"]


def test_what_is_no_log_is_not_listed_and_what_is_asked_for_is(db: Any, aishell: Aishell) -> None:
    make(db, "orders")
    db.execute("CREATE TABLE session_data (id integer PRIMARY KEY, body varchar(10))")
    found = by_name(look(aishell, db))
    assert set(found) == {"session_data"}, "few rows and no name that says log: nobody is told of it"
    assert "no column that looks like a date" in found["session_data"]["unknown"]["date_column"]
    assert (found["session_data"]["command"], found["session_data"]["age_histogram"]) == (None, [])
    asked = by_name(look(aishell, db, "--table", "ord*", "--retention-days", "30"))
    assert set(asked) == {"orders"}
    assert "--retention-days 30" in asked["orders"]["command"]


def test_dates_written_as_numbers(db: Any, aishell: Aishell) -> None:
    make(db, "trace", column="ts", epoch=True)
    one = by_name(look(aishell, db))["trace"]
    assert sum(bucket["rows"] for bucket in one["age_histogram"]) == HOURLY
    assert one["newest"].startswith(f"{datetime.now(UTC) - timedelta(minutes=30):%Y-%m-%dT%H}")
    assert one["newest"].endswith("Z")
    assert one["rows_per_day"] == pytest.approx(24, abs=0.2)


def test_a_young_log_grows_by_what_came_in_its_own_days(db: Any, aishell: Aishell) -> None:
    make(db, "app_log", days=2)
    assert by_name(look(aishell, db))["app_log"]["rows_per_day"] == pytest.approx(24, abs=1)


def test_empty_and_hostile(db: Any, aishell: Aishell) -> None:
    make(db, 'we"ird`x %s :y; log', column="select", days=3)
    db.execute(f"CREATE TABLE history (id integer PRIMARY KEY, logged_at {TYPES[engine_of(db)][0]})")
    found = by_name(look(aishell, db))
    assert found["history"]["unknown"]["age_histogram"] == "no row has a date"
    assert found["history"]["command"] is None
    assert (
        by_name(look(aishell, db, "--table", 'we"ird*', "--date-column", "select"))['we"ird`x %s :y; log'][
            "rows_per_day"
        ]
        > 20
    )


def test_people_see_bars(db: Any, aishell: Aishell) -> None:
    make(db, "app_log")
    lines = look(aishell, db, output="table").expect(0).out.splitlines()
    assert lines[0].endswith("1 table(s) look like logs")
    assert sum("|████████████|" in line for line in lines) == 1
    assert any("a day (counted)" in line for line in lines)
    assert lines[-1].startswith("disk: ")
    plain = look(aishell, db, output="table", PYTHONIOENCODING="ascii").expect(0).out
    assert plain.isascii()
    assert "|############|" in plain.replace("@", "#")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--table", "ap_log"), "unknown table 'ap_log'"),
        (("--max-rows", "5"), "max_rows has no effect with --discover"),
        (("--where", "id=5"), "filters has no effect with --discover"),
        (("--retention-days", "0"), "0 is not in the range 1<=x<=36525"),
    ],
)
def test_what_cannot_be_meant_is_refused(sqlite: Any, aishell: Aishell, more: tuple[str, ...], said: str) -> None:
    make(sqlite, "app_log", days=1)
    ended = look(aishell, sqlite, *more).expect(2)
    assert said in ended.json["error"]["message"]


def test_a_file_that_is_not_there(aishell: Aishell) -> None:
    assert aishell("run", "log-cleanup", "--discover", "--url", "sqlite:////nowhere/x.db").expect(2).err


def test_partitions_are_told_as_their_table(pg: Any, aishell: Aishell) -> None:
    pg.execute("CREATE TABLE app_log (id bigint, created_at timestamptz NOT NULL) PARTITION BY RANGE (created_at)")
    for year in (2025, 2026):
        pg.execute(
            f"CREATE TABLE app_log_{year} PARTITION OF app_log FOR VALUES FROM ('{year}-01-01') TO ('{year + 1}-01-01')"
        )
        pg.execute(
            f"INSERT INTO app_log SELECT i, '{year}-01-01'::timestamptz + i * interval '1 hour' FROM generate_series(1, 5000) i"
        )
    pg.execute("CREATE INDEX ON app_log (created_at)")
    pg.execute("ANALYZE app_log")
    (one,) = by_name(look(aishell, pg)).values()
    assert (one["table"], one["kind"], one["rows"]) == ("app_log", "partitioned", 10_000)
    assert sum(bucket["rows"] for bucket in one["age_histogram"]) == 10_000
    assert set(by_name(look(aishell, pg, "--table", "app_log_2025"))) == {"app_log_2025"}


@pytest.fixture
def careful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every table counts as too large to be read, and to be counted far."""
    monkeypatch.setattr(log_discovery, "READ_ALL", -1)
    for engine in PROFILES.values():
        monkeypatch.setattr(type(engine), "most_counted", 50)


def discovered(aishell: Aishell, db: Any) -> Any:
    with Site.open(aishell.site) as site, site.job(Task("log_cleanup", db.url), look_only=True) as job:
        (one,) = log_discovery.discover(job, (), retention_days=90, place=()).candidates
        return one


@pytest.mark.usefixtures("careful")
def test_a_large_table_is_estimated(db: Any, aishell: Aishell) -> None:
    make(db, "app_log")
    one = discovered(aishell, db)
    methods = {bucket.method for bucket in one.age_histogram}
    if engine_of(db) == "sqlite":
        assert methods == {"at least"}
        assert {bucket.rows for bucket in one.age_histogram} == {50}
    else:
        assert methods == {"estimated"}
        assert [bucket.rows for bucket in one.age_histogram] == [pytest.approx(HOURLY / 12, rel=0.25)] * 12


@pytest.mark.usefixtures("careful")
def test_a_large_table_without_an_index_is_not_read(db: Any, aishell: Aishell) -> None:
    make(db, "app_log", index=False)
    one = discovered(aishell, db)
    if engine_of(db) == "postgresql":  # its statistics know
        assert {bucket.method for bucket in one.age_histogram} == {"estimated"}
        assert [bucket.rows for bucket in one.age_histogram] == [pytest.approx(HOURLY / 12, rel=0.25)] * 12
        assert one.rows_per_day == pytest.approx(24, rel=0.25)
    else:
        assert (one.age_histogram, one.rows_per_day, one.command) == ((), None, None)
        assert one.unknown["growth"].startswith("no index begins with created_at")


@pytest.mark.usefixtures("careful")
def test_a_table_that_was_never_analyzed_is_not_guessed_at(pg: Any, aishell: Aishell) -> None:
    pg.execute("CREATE TABLE app_log (id bigint PRIMARY KEY, created_at timestamptz)")
    pg.execute("INSERT INTO app_log SELECT i, now() - i * interval '1 hour' FROM generate_series(1, 1000) i")
    one = discovered(aishell, pg)
    assert (one.age_histogram, one.rows_per_day) == ((), None)


def test_a_locked_table_is_told_and_not_waited_for(pg: Any, aishell: Aishell) -> None:
    make(pg, "app_log", days=2)
    make(pg, "audit", days=2)
    with pg.connect(autocommit=False) as other:
        other.execute("LOCK TABLE audit IN ACCESS EXCLUSIVE MODE")
        found = by_name(look(aishell, pg))
    assert "lock timeout" in found["audit"]["unknown"]["growth"]
    assert found["app_log"]["rows_per_day"] > 20


def test_growth_that_is_unknown_is_not_called_none(sqlite: Any, aishell: Aishell) -> None:
    make(sqlite, "app_log")
    sqlite.execute("CREATE TABLE undated_log (id integer PRIMARY KEY, note text)")
    both = look(aishell, sqlite, "--table", "app_log", "--table", "undated_log", output="table").expect(0)
    assert "a day, without 1 of unknown growth" in both.out
    one = look(aishell, sqlite, "--table", "undated_log", output="table").expect(0)
    assert "growth of these tables unknown" in one.out
    assert "do not grow" not in one.out
    assert look(aishell, sqlite, "--table", "undated_log").expect(0).json["disk"]["growth_unknown"] == 1
