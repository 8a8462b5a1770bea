"""Partitioned logs: found by `--discover`, however they are divided, with a command that works; and what goes is counted."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from tests.fix_aishell import Aishell
from tests.fix_tools import POSTGRESQL, label

ROWS = 1000
POLICY = "preapprove_max_risk: high\n"
OLD = datetime.now(UTC) - timedelta(days=400)
CLEAN = ("run", "log-cleanup", "--table", "readings", "--retention-days", "300", "--environment", "test")
#: How a table of no telling name, with two dates, is divided by one of them. `{old}`, `{end}`: where the old partition lies.
DIVIDED = {
    "postgresql": {
        "range": (
            "CREATE TABLE readings (id bigint, at timestamp NOT NULL, changed_at timestamp) PARTITION BY RANGE (at)",
            "CREATE TABLE readings_old PARTITION OF readings FOR VALUES FROM (MINVALUE) TO ('{end}')",
            "CREATE TABLE readings_new PARTITION OF readings FOR VALUES FROM ('{end}') TO (MAXVALUE)",
        ),
        "two levels": (
            "CREATE TABLE readings (id bigint, at timestamp NOT NULL, changed_at timestamp) PARTITION BY LIST (id)",
            # The names of leaves come before and after that of the table they are partitions of.
            "CREATE TABLE r_all PARTITION OF readings DEFAULT PARTITION BY RANGE (at)",
            "CREATE TABLE a_old PARTITION OF r_all FOR VALUES FROM (MINVALUE) TO ('{end}')",
            "CREATE TABLE z_new PARTITION OF r_all FOR VALUES FROM ('{end}') TO (MAXVALUE)",
        ),
    },
    "mysql": {
        kind: (
            f"CREATE TABLE readings (id bigint, at {declared} NOT NULL, changed_at datetime) PARTITION BY {method} "
            f"(PARTITION old VALUES LESS THAN ({bound}), PARTITION new VALUES LESS THAN {last})",
        )
        for kind, declared, method, bound, last in (
            ("to_days", "datetime", "RANGE (TO_DAYS(at))", "TO_DAYS('{end}')", "MAXVALUE"),
            ("columns", "datetime", "RANGE COLUMNS (at)", "'{end}'", "(MAXVALUE)"),
            (
                "unix_timestamp",
                "timestamp",
                "RANGE (UNIX_TIMESTAMP(at))",
                "UNIX_TIMESTAMP('{end} 00:00:00')",
                "MAXVALUE",
            ),
        )
    },
}
WAYS = [
    pytest.param(fixture, engine, way, id=f"{label(fixture)}-{way}")
    for engine, fixtures in (("postgresql", POSTGRESQL), ("mysql", ("mariadb",)))
    for fixture in fixtures
    for way in DIVIDED[engine]
]


def make(db: Any, engine: str, way: str, *, analysed: bool = False) -> None:
    """ROWS old rows in the one partition, half as many of now in the other; never analysed, as far as a test can say so."""
    end = f"{OLD + timedelta(days=30):%Y-%m-%d}"
    for statement in DIVIDED[engine][way]:
        db.execute(statement.replace("{end}", end))
    now = datetime.now(UTC)
    for rows, at in ((ROWS, OLD), (ROWS // 2, now)):
        many = f"generate_series(1, {rows}) AS n" if engine == "postgresql" else f"seq_1_to_{rows}"
        number = "n" if engine == "postgresql" else "seq"
        db.execute(f"INSERT INTO readings SELECT {number}, '{at:%Y-%m-%d %H:%M:%S}', NULL FROM {many}")
    if analysed:
        db.execute("ANALYZE readings" if engine == "postgresql" else "ANALYZE TABLE readings")
    elif engine == "postgresql":
        db.execute("SELECT pg_stat_reset()")


def schema_of(db: Any, engine: str) -> str:
    return "public" if engine == "postgresql" else str(db.dbname)


@pytest.mark.parametrize(("fixture", "engine", "way"), WAYS)
def test_they_are_found_and_the_command_works(
    fixture: str, engine: str, way: str, request: pytest.FixtureRequest, aishell: Aishell
) -> None:
    db = request.getfixturevalue(fixture)
    make(db, engine, way)
    found = aishell("run", "log-cleanup", "--discover", "--url", db.url, "--output", "json").expect(0).json
    (one,) = found["candidates"]
    assert (one["table"], one["date_column"], one["divided"]) == ("readings", "at", True)
    assert one["rows"] != 0, "what is not known is not none"
    assert "partitioned by at" in one["reasons"]
    words = shlex.split(one["command"])
    assert words[0] == "aishell"
    shown = aishell(*words[1:], "--environment", "test", "--output", "json").expect(0).json
    assert shown["plan"]["steps"][1]["tool"].startswith(("drop_old_partitions", "delete_old_records"))
    # Without --dry-run it does what it showed.
    aishell.configure("policy.yaml", POLICY)
    run = [word for word in words[1:] if word != "--dry-run"]
    done = aishell(*run, "--environment", "test", "--yes", "--output", "json").expect(0).json
    assert db.execute("SELECT count(*) FROM readings") == [(ROWS // 2,)]
    table = done["output_data"]["tables"].get(f"{schema_of(db, engine)}.readings", {})
    assert (table.get("rows_dropped") or 0) + done["output_data"]["rows_deleted"] == ROWS


def test_the_sizes_of_several_levels_are_summed_once(pg_current: Any, aishell: Aishell) -> None:
    make(pg_current, "postgresql", "two levels", analysed=True)
    found = aishell("run", "log-cleanup", "--discover", "--url", pg_current.url, "--output", "json").expect(0).json
    (one,) = found["candidates"]
    assert one["rows"] == pg_current.execute("SELECT count(*) FROM readings")[0][0]
    sizes = "SELECT sum(pg_table_size(c)) FROM unnest(ARRAY['a_old', 'z_new']::regclass[]) AS c"
    assert one["bytes"] == pytest.approx(int(pg_current.execute(sizes)[0][0]), rel=0.5)


@pytest.mark.sampled
@pytest.mark.parametrize("analysed", [False, True], ids=["never analysed", "analysed"])
@pytest.mark.parametrize("fixture", [*POSTGRESQL, "mariadb"], ids=label)
def test_the_rows_of_a_dropped_partition_are_counted(
    fixture: str, analysed: bool, request: pytest.FixtureRequest, aishell: Aishell
) -> None:
    db, engine = request.getfixturevalue(fixture), "mysql" if fixture == "mariadb" else "postgresql"
    make(db, engine, "to_days" if engine == "mysql" else "range", analysed=analysed)
    aishell.configure("policy.yaml", POLICY)
    words = (*CLEAN, "--url", db.url)
    planned = aishell(*words, "--dry-run", "--output", "json").expect(0).json
    (drop,) = (step for step in planned["plan"]["steps"] if step["tool"].startswith("drop_old_partitions"))
    (rows,) = (item for item in drop["evidence"] if item["metric"] == "rows")
    assert rows["value"] == (pytest.approx(ROWS, rel=0.2) if analysed or engine == "mysql" else None)
    if rows["value"] is None:
        assert "never analysed" in rows["withheld"]
    shown = aishell(*words, "--dry-run").expect(0).out
    assert "· rows 0 " not in shown
    done = aishell(*words, "--yes", "--output", "json").expect(0).json
    table = done["output_data"]["tables"][f"{schema_of(db, engine)}.readings"]
    assert table["rows_dropped"] == ROWS
    assert [(part["rows"], part["rows_method"]) for part in table["partitions"]] == [(ROWS, "counted")]
    assert f"were dropped ({ROWS:,} rows" in done["reasoning"]
    assert db.execute("SELECT count(*) FROM readings") == [(ROWS // 2,)]


def test_a_referring_table_is_named_in_words_that_work(pg_current: Any, aishell: Aishell) -> None:
    pg = pg_current
    make(pg, "postgresql", "range")
    pg.execute("ALTER TABLE readings ADD PRIMARY KEY (id, at)")
    pg.execute(
        'CREATE TABLE "odd notes" (reading bigint, at timestamp, note text, FOREIGN KEY (reading, at) REFERENCES readings)'
    )
    pg.execute('CREATE INDEX ON "odd notes" (reading, at)')
    pg.execute("""INSERT INTO "odd notes" SELECT id, at, 'x' FROM readings WHERE id <= 10""")
    words = (*CLEAN, "--url", pg.url)
    refused = aishell(*words, "--output", "json").expect(2).json["error"]
    assert "public.odd notes (reading, at)" in refused["message"]
    more = shlex.split(refused["hint"].partition("by adding ")[2].partition(";")[0])
    assert more == ["--table", "public.odd notes"]
    done = aishell(*words, *more, "--yes", "--output", "json").expect(0).json
    assert done["output_data"]["rows_deleted"] == ROWS + 10
    assert pg.execute("SELECT count(*) FROM readings") == [(ROWS // 2,)]
    assert pg.execute('SELECT count(*) FROM "odd notes"') == [(10,)]


def test_what_was_not_measured_is_named_in_a_command(pg_current: Any, aishell: Aishell) -> None:
    for number in range(22):
        pg_current.execute(f"CREATE TABLE log_{number:02} (id bigint PRIMARY KEY, at timestamp NOT NULL)")
    found = aishell("run", "log-cleanup", "--discover", "--url", pg_current.url, "--output", "json").expect(0).json
    assert found["not_measured"] == 2
    shown = aishell("run", "log-cleanup", "--discover", "--url", pg_current.url).expect(0).out
    assert found["next_command"] in shown
    again = aishell(*shlex.split(found["next_command"])[1:], "--output", "json").expect(0).json
    assert {one["table"] for one in again["candidates"]} == {"log_20", "log_21"}


def test_the_command_shows_no_password_and_no_stars_for_it(pg_current: Any, aishell: Aishell) -> None:
    make(pg_current, "postgresql", "range")
    app = pg_current.make_role("app", "secret")
    pg_current.execute("GRANT SELECT ON readings TO app")
    found = aishell("run", "log-cleanup", "--discover", "--url", app, "--output", "json").expect(0).json
    words = shlex.split(found["candidates"][0]["command"])
    assert pg_current.url_as("app") in words
    aishell(*words[1:], "--environment", "test", PGPASSWORD="secret").expect(0)


def test_an_undo_shows_what_can_be_taken_back_and_names_what_cannot(pg: Any, aishell: Aishell) -> None:
    """Seven partitions were dropped: none can be attached again, and all seven are told of."""
    first = OLD.replace(day=1) - timedelta(days=400)
    edges = [f"{first + timedelta(days=30 * n):%Y-%m-%d}" for n in range(8)]
    pg.execute("CREATE TABLE readings (id bigint, at timestamp NOT NULL) PARTITION BY RANGE (at)")
    for n, (begin, end) in enumerate(pairwise(edges)):
        pg.execute(f"CREATE TABLE r{n} PARTITION OF readings FOR VALUES FROM ('{begin}') TO ('{end}')")
    pg.execute(f"CREATE TABLE now PARTITION OF readings FOR VALUES FROM ('{edges[-1]}') TO (MAXVALUE)")
    pg.execute(
        f"INSERT INTO readings SELECT n, timestamp '{edges[0]}' + n * interval '1 day' FROM generate_series(0, 200) AS n"
    )
    aishell.configure("policy.yaml", POLICY)
    run = aishell(*CLEAN, "--url", pg.url, "--yes", "--output", "json").expect(0).json["run_id"]
    undo = ("runs", "undo", run, "--url", pg.url, "--environment", "test")
    shown = aishell(*undo, "--dry-run").expect(0).out
    assert "ATTACH PARTITION" not in shown
    assert "cannot be undone: it was dropped: " in shown
    failed = aishell(*undo, "--yes", "--output", "json").expect(1).json["error"]["message"]
    for text in (shown, failed):
        assert text.count("public.r") == 5
        assert "and 2 more" in text


@pytest.mark.parametrize("what", ["gone with its partition", "one by one", "both", "not allowed"])
def test_what_keeps_its_size_is_what_rows_are_deleted_from(mariadb: Any, aishell: Aishell, what: str) -> None:
    """The files of dropped partitions go, and a deletion that is left out frees nothing."""
    make(mariadb, "mysql", "columns", analysed=True)
    url = mariadb.url
    if what != "gone with its partition":
        many = f"SELECT seq, NOW() - INTERVAL 350 DAY, NULL FROM seq_1_to_{2 * ROWS}"
        mariadb.execute(f"INSERT INTO readings {many}")
    if what == "one by one":
        mariadb.execute("ALTER TABLE readings DROP PARTITION old")
    if what == "not allowed":
        url = mariadb.make_user("looks", "x", "SELECT, DROP")
    mariadb.execute("ALTER TABLE readings ADD KEY (at)")
    mariadb.execute("ANALYZE TABLE readings")
    planned = aishell(*CLEAN, "--url", url, "--dry-run", "--output", "json").expect(0).json
    steps = {step["tool"] for step in planned["plan"]["steps"]}
    assert any(tool.startswith("delete_old") for tool in steps) == (what != "not allowed")
    said = [note for note in planned["output_data"]["warnings"] if "its size" in note]
    assert [note.split(",")[0].replace(mariadb.dbname, "it") for note in said] == {
        "one by one": ["it.readings keeps its size"], "both": ["what stays of it.readings keeps its size"],
    }.get(what, [])  # fmt: skip
