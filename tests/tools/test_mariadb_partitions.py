"""Old partitions of MariaDB's tables: exactly those go that can hold nothing but old rows, each other says why it stays."""

from __future__ import annotations

import pytest

from tests.conftest import HOSTILE_NAMES_MYSQL
from tests.fix_tools import Engine
from tests.tools.partitions import drop, gone_and_kept, reasons, resumed, to_drop

BOUNDS = ("2026-05-01", "2026-06-01", "2026-07-01")
#: How a table can be partitioned by its date: column type, RANGE …, how a bound is written.
RULES = {
    "to_days": ("datetime", "RANGE (TO_DAYS(`at`))", "(TO_DAYS('{}'))"),
    "unix_timestamp": ("timestamp", "RANGE (UNIX_TIMESTAMP(at))", "(UNIX_TIMESTAMP('{} 00:00:00'))"),
    "columns of datetime": ("datetime(6)", "RANGE COLUMNS (at)", "('{} 00:00:00')"),
    "columns of date": ("date", "RANGE COLUMNS (AT)", "('{}')"),
}


def ranged(
    engine: Engine,
    rule: str = "to_days",
    *,
    last: str = "MAXVALUE",
    more: str = "",
    table: str = "log",
    column: str = "at",
) -> None:
    """A table with a partition up to each of BOUNDS and a last one, with a row in each."""
    declared, method, bound = RULES[rule]
    q, ref = engine.samples.q, engine.samples.ref
    method = method.replace("`at`", q(column))
    bounds = [bound.format(day) for day in BOUNDS] + [last]
    names = [f"p{number}" for number in range(1, 5)] if table == "log" else [f"{table[:60]}{n}" for n in range(1, 5)]
    parts = ", ".join(f"PARTITION {q(n)} VALUES LESS THAN {b}" for n, b in zip(names, bounds, strict=True))
    engine.samples.do(
        f"CREATE TABLE {ref(table)} (id int, {q(column)} {declared} NOT NULL) PARTITION BY {method} {more} ({parts})",
        f"INSERT INTO {ref(table)} VALUES (1, '2026-04-30'), (2, '2026-05-31'), (3, '2026-06-01'), (4, '2026-07-01')",
        f"ANALYZE TABLE {ref(table)}",
    )


def partitions(engine: Engine, table: str = "log") -> list[str]:
    query = """SELECT DISTINCT partition_name, partition_ordinal_position FROM information_schema.partitions
               WHERE table_schema = %s AND table_name = %s ORDER BY 2"""
    return [name for name, _ in engine.db.execute(query, [engine.schema, table])]


@pytest.mark.parametrize("rule", RULES)
def test_exactly_the_old_ranges_go(mariadb_engine, rule):
    ranged(mariadb_engine, rule)
    result = drop(mariadb_engine)
    assert (result.status, result.output["partitions_dropped"]) == ("done", 2), result.reason
    assert result.output["bytes_before"] >= 2 * 16384
    assert [row["partition"] for row in result.output["dropped"]] == ["p1", "p2"]
    assert partitions(mariadb_engine) == ["p3", "p4"]
    assert mariadb_engine.samples.value("SELECT group_concat(id ORDER BY id) FROM log") == "3,4"


@pytest.mark.parametrize("rule", RULES)
def test_a_range_that_ends_past_the_cut_off_stays(mariadb_engine, rule):
    ranged(mariadb_engine, rule)
    assert gone_and_kept(mariadb_engine, cutoff="2026-05-31 23:59:59") == (["p1"], ["p2", "p3", "p4"])


@pytest.mark.parametrize("cutoff", ["2026-01-01 00:00:00", "2026-12-31 23:59:59"])
def test_whole_years(mariadb_engine, cutoff):
    mariadb_engine.samples.do(
        "CREATE TABLE log (at datetime NOT NULL) PARTITION BY RANGE (YEAR(at)) (PARTITION p1 VALUES LESS THAN (2026), "
        "PARTITION p2 VALUES LESS THAN (2027), PARTITION p3 VALUES LESS THAN (2028))"
    )
    assert gone_and_kept(mariadb_engine, cutoff=cutoff) == (["p1"], ["p2", "p3"])


@pytest.mark.parametrize(("method", "most"), [("RANGE (at)", "MAXVALUE"), ("RANGE COLUMNS (at)", "(MAXVALUE)")])
def test_whole_numbers(mariadb_engine, method, most):
    mariadb_engine.samples.do(
        f"CREATE TABLE log (at bigint NOT NULL) PARTITION BY {method} "
        f"(PARTITION p1 VALUES LESS THAN (1780000000000), PARTITION p2 VALUES LESS THAN {most})"
    )
    assert gone_and_kept(mariadb_engine, cutoff=1779999999999) == ([], ["p1", "p2"])
    assert gone_and_kept(mariadb_engine, cutoff=1780000000000) == (["p1"], ["p2"])


@pytest.mark.parametrize("last", ["MAXVALUE", "(TO_DAYS('2026-08-01'))"])
def test_the_last_range_stays_however_old(mariadb_engine, last):
    ranged(mariadb_engine, last=last)
    assert drop(mariadb_engine, cutoff="2030-01-01").output["partitions_dropped"] == 3
    assert partitions(mariadb_engine) == ["p4"]
    assert drop(mariadb_engine, cutoff="2030-01-01").reason == "nothing to do"


def test_rows_without_a_date_keep_the_first_range(mariadb_engine):
    ranged(mariadb_engine)
    mariadb_engine.samples.do("ALTER TABLE log MODIFY at datetime NULL", "INSERT INTO log VALUES (5, NULL)")
    assert reasons(mariadb_engine)["p1"] == "it contains the rows without a date"
    assert drop(mariadb_engine).output["partitions_dropped"] == 1
    assert partitions(mariadb_engine) == ["p1", "p3", "p4"]


def test_sub_partitions_go_with_their_range(mariadb_engine):
    ranged(mariadb_engine, more="SUBPARTITION BY HASH (id) SUBPARTITIONS 3")
    assert drop(mariadb_engine).output["partitions_dropped"] == 2
    assert partitions(mariadb_engine) == ["p3", "p4"]


OTHER_RULES = (
    "RANGE (TO_SECONDS(at)) (PARTITION p1 VALUES LESS THAN (1000), PARTITION p2 VALUES LESS THAN MAXVALUE)",
    "RANGE (TO_DAYS(other)) (PARTITION p1 VALUES LESS THAN (1000), PARTITION p2 VALUES LESS THAN MAXVALUE)",
    "RANGE (YEAR(at) * 100 + MONTH(at)) (PARTITION p1 VALUES LESS THAN (1000), PARTITION p2 VALUES LESS THAN MAXVALUE)",
    "RANGE COLUMNS (at, other) (PARTITION p1 VALUES LESS THAN ('2000-01-01', '2000-01-01'), "
    "PARTITION p2 VALUES LESS THAN (MAXVALUE, MAXVALUE))",
    "LIST (YEAR(at)) (PARTITION p1 VALUES IN (2000), PARTITION p2 VALUES IN (2001))",
    "HASH (YEAR(at)) PARTITIONS 2",
)


@pytest.mark.parametrize("rule", OTHER_RULES)
def test_other_rules_do_not_tell_the_age(mariadb_engine, rule):
    mariadb_engine.samples.do(f"CREATE TABLE log (at datetime NOT NULL, other datetime NOT NULL) PARTITION BY {rule}")
    why = set(reasons(mariadb_engine).values())
    assert len(why) == 1
    assert why.pop().endswith("which does not tell the age of its rows")
    assert drop(mariadb_engine).reason == "nothing to do"


def test_a_trigger_that_would_miss_rows_keeps_all_ranges(mariadb_engine):
    ranged(mariadb_engine)
    mariadb_engine.samples.do("CREATE TRIGGER tell AFTER DELETE ON log FOR EACH ROW SET @gone = OLD.id")
    assert reasons(mariadb_engine)["p1"] == "the trigger tell would not fire for its rows"


def test_a_range_that_holds_a_newer_row_than_it_should_is_not_dropped(mariadb_engine):
    ranged(mariadb_engine)
    result = resumed(mariadb_engine, to_drop(mariadb_engine), cutoff="2026-05-31 00:00:00")
    assert [one.status for one in result.objects] == ["ok", "deferred"]
    assert "it contains a row of 2026-05-31 00:00:00" in result.objects[1].reason
    assert partitions(mariadb_engine) == ["p2", "p3", "p4"]


def test_a_range_that_is_gone_counts_as_dropped(mariadb_engine):
    ranged(mariadb_engine)
    found = to_drop(mariadb_engine)
    mariadb_engine.samples.do("ALTER TABLE log DROP PARTITION p1")
    result = resumed(mariadb_engine, found)
    assert (result.status, result.output["partitions_dropped"]) == ("done", 2)


def test_ranges_of_a_table_in_use_are_left_for_later(mariadb_engine):
    ranged(mariadb_engine)
    mariadb_engine.lock_timeout = 1
    with mariadb_engine.db.connect(autocommit=False) as other, other.cursor() as cursor:
        cursor.execute("SELECT * FROM log")
        result = drop(mariadb_engine)
        assert {one.status for one in result.objects} == {"deferred"}
        assert "lock wait timeout" in result.reason.lower()
    assert partitions(mariadb_engine) == ["p1", "p2", "p3", "p4"]
    assert drop(mariadb_engine).status == "done"


@pytest.mark.sampled(4)
@pytest.mark.parametrize("number", range(len(HOSTILE_NAMES_MYSQL)), ids=[ascii(name) for name in HOSTILE_NAMES_MYSQL])
def test_hostile_names_of_ranges(mariadb_engine, number):
    name = HOSTILE_NAMES_MYSQL[number]
    inside = mariadb_engine.inside(name)
    ranged(inside, table=name, column=name)
    result = drop(inside, table=name, date_column=name)
    assert result.output["partitions_dropped"] == 2, result.reason
    assert partitions(inside, name) == [f"{name[:60]}{number}" for number in (3, 4)]
