"""Figures of a clean-up's text, report and document against what the database itself says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.fix_aishell import Aishell, Ended
from tests.fix_tools import ENGINES, label

#: A row a minute, MINUTES of them, so that those of before DAYS days are old.
MINUTES, DAYS = 40_000, 10
A_DAY = 1440
OLD = MINUTES - DAYS * A_DAY
_TABLE = {
    "postgresql": "CREATE TABLE app_log (id bigint PRIMARY KEY, at timestamptz NOT NULL, level text, note text)",
    "mysql": "CREATE TABLE app_log (id bigint, at datetime NOT NULL, level varchar(9), note varchar(200),"
    " PRIMARY KEY (id{})){}",
    "sqlite": "CREATE TABLE app_log (id integer PRIMARY KEY, at text NOT NULL, level text, note text)",
}
_ROWS = {
    "postgresql": "SELECT n, now() - ({last} - n) * interval '1 minute', CASE WHEN n % 3 = 0 THEN 'debug' ELSE 'info' END,"
    " repeat('x', 160) FROM generate_series(1, {last}) AS n",
    "mysql": "SELECT seq, NOW() - INTERVAL ({last} - seq) MINUTE, IF(seq % 3, 'info', 'debug'), REPEAT('x', 160)"
    " FROM seq_1_to_{last}",
    "sqlite": "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {last}) SELECT n,"
    " datetime('now', (n - {last}) || ' minutes'), iif(n % 3, 'info', 'debug'), printf('%.160c', 'x') FROM s",
}


@pytest.fixture(params=ENGINES, ids=label)
def db(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def engine_of(db: Any) -> str:
    return str(db.url).partition(":")[0]


def fill(db: Any, *, divided: str = "", indexed: bool = True, last: int = MINUTES) -> None:
    engine = engine_of(db)
    db.execute(_TABLE[engine].format(", at" if divided else "", divided))
    db.execute(f"INSERT INTO app_log {_ROWS[engine].format(last=last)}")
    if indexed:
        db.execute("CREATE INDEX app_log_at ON app_log (at)")
    analyse(db)


def analyse(db: Any) -> None:
    db.execute(f"ANALYZE {'TABLE ' if engine_of(db) == 'mysql' else ''}app_log")


def rows(db: Any) -> int:
    return int(db.execute("SELECT count(*) FROM app_log")[0][0])


def clean(aishell: Aishell, db: Any, *more: str, code: int = 0) -> Ended:
    fixed = ("--table", "app_log", "--retention-days", str(DAYS), "--url", db.url, "--environment", "test", "--yes")
    return aishell("run", "log-cleanup", *fixed, "--output", "json", *more).expect(code)


def cells(ended: Ended, table: str = "app_log") -> dict[str, str]:
    """What the report's table of logs says of one, by the heads of its columns."""
    report = next(a["output"]["report"] for a in ended.json["actions_taken"] if "report" in (a["output"] or {}))
    lines = report.split("## Log tables")[1].split("\n")
    split = [
        [cell.strip().replace("\\", "") for cell in line.strip("|").split("|")]
        for line in lines
        if line.startswith("|")
    ]
    return next(dict(zip(split[0], line, strict=True)) for line in split if line[0].endswith(f".{table}"))


def number(text: str) -> float:
    """`about 1.2 MB` in bytes, `about 1,440` as it is."""
    found = re.fullmatch(r"(?:about |at least |at most )?([\d,.]+)(?: (bytes|kB|MB))?", text)
    assert found, text
    return float(found[1].replace(",", "")) * {"kB": 1024, "MB": 1024**2}.get(found[2] or "", 1)


def packed(db: Any) -> float:
    """Bytes of a row and its share of the indexes, in a table of the same rows that was just made."""
    made = fresh(db)
    return made / rows(db)


def fresh(db: Any) -> int:
    engine = engine_of(db)
    if engine == "postgresql":
        db.execute("CREATE TABLE packed (LIKE app_log INCLUDING INDEXES)")
        db.execute("INSERT INTO packed SELECT * FROM app_log ORDER BY id")
        return int(db.execute("SELECT pg_total_relation_size('packed')")[0][0])
    db.execute("CREATE TABLE packed LIKE app_log")
    db.execute("INSERT INTO packed SELECT * FROM app_log ORDER BY id")
    return (Path(db.server.data) / db.dbname / "packed.ibd").stat().st_size


def test_a_limited_run_says_what_is_left_and_what_comes_in_a_day(db: Any, aishell: Aishell) -> None:
    fill(db)
    ended = clean(aishell, db, "--max-rows", "5000")
    assert rows(db) == MINUTES - 5000, "it is taken in full"
    (table,) = ended.json["output_data"]["tables"].values()
    assert table["remaining"] == pytest.approx(OLD - 5000, abs=5)
    left = f"{table['remaining']:,}"
    assert f"{left} old row(s) of" in ended.json["reasoning"]
    assert re.search(rf"\b{left} old row\(s\) of \S+ are left: max_rows is reached\.", ended.json["reasoning"])
    told = cells(ended)
    assert (told["deleted"], told["left"]) == ("5,000", left)
    assert number(told["rows a day"]) == pytest.approx(A_DAY, rel=0.1)
    whole = clean(aishell, db)
    assert cells(whole)["left"] == "0"
    assert "are left" not in whole.json["reasoning"]
    assert number(cells(whole)["rows a day"]) == pytest.approx(A_DAY, rel=0.1)


def test_one_limited_run_after_the_other_tells_the_same_rate(db: Any, aishell: Aishell) -> None:
    """Between them the statistics stay as they were: they know of dates that have gone."""
    fill(db)
    if engine_of(db) == "postgresql":
        db.execute("ALTER TABLE app_log SET (autovacuum_enabled = off)")
    analyse(db)
    for run in range(4):
        ended = clean(aishell, db, "--max-rows", "1900")
        assert rows(db) == MINUTES - 1900 * (run + 1)
        assert number(cells(ended)["rows a day"]) == pytest.approx(A_DAY, rel=0.06), run
        assert "1,900" in cells(ended)["deleted"]


def test_rows_that_a_filter_chooses_have_no_rate(db: Any, aishell: Aishell) -> None:
    """How long they have been coming is not what the dates of all rows tell: those of yesterday's clean-up are gone."""
    fill(db)
    ended = clean(aishell, db, "--where", "level=debug", "--max-rows", "500")
    assert rows(db) == MINUTES - 500
    (table,) = ended.json["output_data"]["tables"].values()
    assert table["remaining"] == pytest.approx(OLD / 3 - 500, abs=5)
    told = cells(ended)
    assert (told["deleted"], told["rows a day"], told["bytes a day"]) == ("500", "unknown", "unknown")


def test_an_archive_that_was_limited_does_not_call_the_rest_nothing(db: Any, aishell: Aishell) -> None:
    fill(db)
    ended = clean(aishell, db, "--archive", "--max-rows", "5000")
    (table,) = ended.json["output_data"]["tables"].values()
    gone = MINUTES - rows(db)
    # An archive of PostgreSQL is of whole pages: one that has more rows than are left of the limit is not begun.
    assert 5000 - (100 if engine_of(db) == "postgresql" else 0) <= gone <= 5000
    assert (table["rows_deleted"], table["rows_archived"], table["remaining"]) == (gone, gone, None)
    assert "are left was not counted: no more than 5,000 were to go" in ended.json["reasoning"]
    told = cells(ended)
    assert (told["left"], told["rows a day"]) == ("not counted", "unknown")


@pytest.mark.parametrize("fixture", ["pg_current", "mariadb"], ids=label)
def test_free_space_is_part_of_no_row(request: pytest.FixtureRequest, fixture: str, aishell: Aishell) -> None:
    """After a clean-up of most rows the file is as large as before: what a row takes, and what comes in a day, is not."""
    db = request.getfixturevalue(fixture)
    told_as = (
        "at most" if engine_of(db) == "mysql" else "about"
    )  # InnoDB's statistics see pages that are free as a whole alone

    def right(told: float, true: float) -> bool:
        return told > 0.7 * true and (told_as == "at most" or told < 1.3 * true)

    fill(db, last=4 * MINUTES)
    db.execute(f"DELETE FROM app_log WHERE id <= {3 * MINUTES}")
    if engine_of(db) == "postgresql":
        db.execute("VACUUM app_log")
    analyse(db)
    if engine_of(db) == "postgresql":
        db.collected()
    words = ("run", "log-cleanup", "--discover", "--url", db.url, "--output", "json")
    (one,) = aishell(*words).expect(0).json["candidates"]
    assert one["rows_per_day"] == pytest.approx(A_DAY, rel=0.05)
    assert one["bytes"] / one["rows"] > 2 * packed(db), "it is mostly free"
    if one["bytes_per_day"] is None:
        assert "free is not known" in one["unknown"]["bytes_per_day"]
    else:
        assert one["bytes_method"] == told_as
        assert right(one["bytes_per_day"], A_DAY * packed_before(db))
    told = cells(clean(aishell, db))
    for column, true in (("bytes", OLD), ("bytes a day", A_DAY)):
        if told[column] != "unknown":
            assert told[column].startswith(told_as)
            assert right(number(told[column]), true * packed_before(db))


def packed_before(db: Any) -> float:
    """The same of the copy that `packed` has made."""
    many = int(db.execute("SELECT count(*) FROM packed")[0][0])
    if engine_of(db) == "postgresql":
        return int(db.execute("SELECT pg_total_relation_size('packed')")[0][0]) / many
    return (Path(db.server.data) / db.dbname / "packed.ibd").stat().st_size / many


def test_rows_of_dropped_partitions_came_in_the_same_days(mariadb: Any, aishell: Aishell) -> None:
    """What is deleted one by one behind a dropped partition did not come in the partition's days as well."""
    bounds = mariadb.execute(f"SELECT DATE(NOW() - INTERVAL {DAYS + 5} DAY), DATE(NOW() - INTERVAL 3 DAY)")[0]
    parts = zip("abc", (f"'{bounds[0]}'", f"'{bounds[1]}'", "MAXVALUE"), strict=True)
    divided = ", ".join(f"PARTITION {name} VALUES LESS THAN ({bound})" for name, bound in parts)
    fill(mariadb, divided=f" PARTITION BY RANGE COLUMNS (at) ({divided})")
    aishell.configure("policy.yaml", "preapprove_max_risk: high\n")
    folder = Path(mariadb.server.data) / mariadb.dbname
    ((in_a,),) = mariadb.execute("SELECT count(*) FROM app_log PARTITION (a)")
    held = sum(path.stat().st_size for path in folder.glob("app_log#*a.ibd"))
    ended = clean(aishell, mariadb)
    (table,) = ended.json["output_data"]["tables"].values()
    assert (table["rows_dropped"], table["bytes_dropped"], table["bytes_method"]) == (in_a, held, "file size")
    assert ended.json["output_data"]["bytes_reclaimed"] == held
    told = cells(ended)
    assert number(told["deleted"]) == MINUTES - in_a - rows(mariadb)
    if (
        told["rows a day"] != "unknown"
    ):  # no whole number alone is the key of a partitioned table, to sample its dates by
        assert number(told["rows a day"]) == pytest.approx(A_DAY, rel=0.1)


def test_optimize_after_a_deletion_gave_back_what_the_file_did(mariadb: Any, aishell: Aishell) -> None:
    fill(mariadb, last=2 * MINUTES)
    file = Path(mariadb.server.data) / mariadb.dbname / "app_log.ibd"
    before = file.stat().st_size
    ended = clean(aishell, mariadb, "--shrink")
    given = before - file.stat().st_size
    assert ended.statuses()["optimize_app_log"] == "done"
    shrunk = next(a["output"] for a in ended.json["actions_taken"] if a["tool"] == "optimize_table")
    assert (shrunk["bytes_before"], shrunk["bytes_after"]) == (before, file.stat().st_size)
    report = next(a["output"]["report"] for a in ended.json["actions_taken"] if "report" in (a["output"] or {}))
    said = re.search(r"Worked on ([\d.]+ MB), now ([\d.]+ MB): ([\d.]+ MB) reclaimed\. ", report.replace("\n", " "))
    assert said, report
    assert [number(part) for part in said.groups()] == [
        pytest.approx(figure, rel=0.01) for figure in (before, file.stat().st_size, given)
    ]
    (whole,) = re.findall(r"The size of the database was ([\d.]+ [kM]B) when last measured", report)
    assert number(whole) == pytest.approx(file.stat().st_size, rel=0.01), "after the work"


def test_without_the_files_it_is_about(mariadb: Any, aishell: Aishell) -> None:
    """An account without PROCESS sees statistics alone."""
    fill(mariadb)
    url = mariadb.make_user("small", "x", "SELECT, INSERT, DELETE, ALTER, CREATE, DROP, LOCK TABLES")
    ended = aishell(
        "run", "log-cleanup", "--table", "app_log", "--retention-days", str(DAYS), "--url", url, "--environment", "test",
        "--yes", "--shrink", "--output", "json",
    ).expect(0)  # fmt: skip
    report = next(a["output"]["report"] for a in ended.json["actions_taken"] if "report" in (a["output"] or {}))
    assert re.search(r"Worked on about [\d.]+ MB, now about [\d.]+ MB: about [\d.]+ MB reclaimed\.", report)
    assert re.search(r"\| about [\d.]+ MB → [\d.]+ MB", report)
    assert "The size of the database was about " in report


def test_a_run_that_changed_nothing_had_no_last_change(db: Any, aishell: Aishell) -> None:
    fill(db, last=50)
    words = ("run", "maintenance", "--type", "emergency", "--url", db.url, "--environment", "test", "--yes")
    ended = aishell(*words, "--output", "json").expect(0)
    report = next(a["output"]["report"] for a in ended.json["actions_taken"] if "report" in (a["output"] or {}))
    assert "last change" not in report
    assert "rewritten" not in report
    size = re.search(r"The size of the database was ([\d.]+ [kM]B|\d+ bytes) when last measured\.", report)
    assert size, report
    if engine_of(db) == "mysql":
        files = (Path(db.server.data) / db.dbname).glob("*.ibd")
        assert number(size[1]) == pytest.approx(sum(path.stat().st_size for path in files), rel=0.05)


def test_a_vacuum_rewrites_nothing(pg_current: Any, aishell: Aishell) -> None:
    """It may make the table larger by its maps."""
    fill(pg_current, last=3000)
    pg_current.execute("DELETE FROM app_log WHERE id <= 2000")
    pg_current.collected()
    before = pg_current.execute("SELECT pg_table_size('app_log')")[0][0]
    words = (
        "run",
        "maintenance",
        "--type",
        "full",
        "--table",
        "app_log",
        "--url",
        pg_current.url,
        "--environment",
        "test",
    )
    ended = aishell(*words, "--yes", "--output", "json").expect(0)
    assert "optimize_table" in {a["tool"] for a in ended.json["actions_taken"]}
    grew = pg_current.execute("SELECT pg_table_size('app_log')")[0][0] - before
    assert "rewritten" not in ended.json["reasoning"]
    if grew > 0:
        assert f"The objects worked on grew by {grew:,} bytes" in ended.json["reasoning"]


@pytest.mark.parametrize("more", [(), ("--archive",)], ids=["deleted", "archived"])
@pytest.mark.parametrize("fixture", [name for name in ENGINES if name.startswith("pg")], ids=label)
def test_a_vacuum_tells_the_rows_that_were_just_deleted(
    request: pytest.FixtureRequest, fixture: str, aishell: Aishell, more: tuple[str, ...]
) -> None:
    """The session that deleted them would have kept their number to itself for a while."""
    db = request.getfixturevalue(fixture)
    if db.server.major < 15:
        pytest.skip("its counters cannot be asked to be up to date")
    fill(db)
    db.execute("ALTER TABLE app_log SET (autovacuum_enabled = off)")
    ended = clean(aishell, db, *more)
    gone = MINUTES - rows(db)
    (vacuumed,) = (a["output"] for a in ended.json["actions_taken"] if a["tool"] == "optimize_table")
    assert (vacuumed["dead_rows_before"], vacuumed["dead_rows_after"]) == (gone, 0)
    told = db.execute("SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'app_log'")[0][0]
    assert told == 0, "and none of them is counted behind it"


def test_what_the_run_has_read_is_not_advised_to_be_read(mariadb: Any, aishell: Aishell) -> None:
    fill(mariadb, last=50)
    words = ("run", "maintenance", "--type", "emergency", "--url", mariadb.url, "--environment", "test", "--yes")
    ended = aishell(*words, "--output", "json").expect(0)
    report = next(a["output"]["report"] for a in ended.json["actions_taken"] if "report" in (a["output"] or {}))
    assert "No damage was found" in report
    (line,) = (
        one for one in report.split("\n") if "corruption\\_not\\_visible" in one or "corruption_not_visible" in one
    )
    assert "the tables were checked" in line
    assert "--type emergency" not in line


def test_a_run_that_finds_no_residue_says_so(db: Any, aishell: Aishell) -> None:
    planned = aishell("run", "residue", "--url", db.url, "--dry-run").expect(0)
    assert "note: killed runs have left nothing behind here" in planned.out
