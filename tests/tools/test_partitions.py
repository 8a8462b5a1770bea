"""Old partitions of PostgreSQL's tables: exactly those go that can hold nothing but old rows; what interrupts it is made good."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import psycopg
import pytest

from tests.conftest import HOSTILE_NAMES
from tests.fix_tools import Engine
from tests.tools.partitions import (
    CONCURRENTLY_SINCE,
    DROP,
    EXCLUSIVELY,
    drop,
    gone_and_kept,
    inspected,
    reasons,
    resumed,
    to_drop,
)

MONTHS = range(3, 9)  # March to August: what ends with June is old
OLD = ["log_03", "log_04", "log_05", "log_06"]
NEW = ["log_07", "log_08"]
CONCURRENTLY = DROP
TOOLS = pytest.mark.parametrize("tool", [CONCURRENTLY, EXCLUSIVELY])


def monthly(engine: Engine, table: str = "log", column: str = "at", months: Iterable[int] = MONTHS) -> None:
    """A table with a partition for each month, and ten rows in each."""
    q, ref = engine.samples.q, engine.samples.ref
    engine.samples.do(
        f"CREATE TABLE {ref(table)} (id bigint, {q(column)} timestamptz NOT NULL) PARTITION BY RANGE ({q(column)})"
    )
    for month in months:
        bounds = f"FROM ('2026-{month:02}-01 00:00+00') TO ('2026-{month + 1:02}-01 00:00+00')"
        engine.samples.do(f"CREATE TABLE {ref(part(table, month))} PARTITION OF {ref(table)} FOR VALUES {bounds}")
        days = ", ".join(f"({month * 100 + day}, '2026-{month:02}-{day:02} 12:00+00')" for day in range(1, 11))
        engine.samples.do(f"INSERT INTO {ref(table)} VALUES {days}")
    engine.samples.do(f"ANALYZE {ref(table)}")


def part(table: str, month: int) -> str:
    """The name of a month's partition, within 63 bytes."""
    return table.encode()[:60].decode(errors="ignore") + f"_{month:02}"


def tables(engine: Engine) -> list[str]:
    """The tables beside `log`: its partitions, and what was one."""
    query = "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p', 'f') AND relnamespace = %s::regnamespace"
    return sorted(name for (name,) in engine.db.execute(query, [engine.samples.q(engine.schema)]) if name != "log")


def attached(engine: Engine) -> dict[str, bool]:
    """The direct partitions of `log`, and whether they are half detached."""
    query = """SELECT c.relname, coalesce((to_jsonb(i) ->> 'inhdetachpending')::bool, false)
               FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'log'::regclass ORDER BY 1"""
    return dict(engine.db.execute(query))


def whole(*names: str) -> dict[str, bool]:
    return dict.fromkeys(names, False)


@contextlib.contextmanager
def reading(engine: Engine, table: str = "log") -> Iterator[psycopg.Connection[Any]]:
    """A transaction that has read a table and goes on."""
    with engine.db.connect(autocommit=False) as reader:
        reader.execute(f"SELECT count(*) FROM {engine.samples.ref(table)}")
        yield reader


def half_detach(engine: Engine, month: int = 3) -> None:
    """Begin to detach a partition and give up: what an interrupted DETACH … CONCURRENTLY leaves."""
    if engine.database.version < (14,):
        pytest.skip(CONCURRENTLY_SINCE)
    with reading(engine), engine.db.connect() as other:
        other.execute("SET lock_timeout = '200ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            other.execute(f"ALTER TABLE log DETACH PARTITION log_{month:02} CONCURRENTLY")
    assert attached(engine)[f"log_{month:02}"]


@TOOLS
def test_exactly_the_old_partitions_go(pg_engine, tool):
    monthly(pg_engine)
    result = drop(pg_engine, tool)
    assert (result.status, result.output["partitions_dropped"], result.output["rows_dropped"]) == ("done", 4, 40)
    assert result.output["bytes_before"] == 4 * 8192
    assert result.output["bytes_after"] == 0
    assert [row["partition"] for row in result.output["dropped"]] == OLD
    assert tables(pg_engine) == NEW
    assert attached(pg_engine) == whole(*NEW)
    assert pg_engine.samples.count("log") == 20


@TOOLS
def test_a_bound_past_the_cut_off_by_a_microsecond_keeps_the_partition(pg_engine, tool):
    monthly(pg_engine)
    params = {"cutoff": "2026-06-30 23:59:59.999999+00"}
    assert reasons(pg_engine, **params)["log_06"] == "it can contain rows that are not before the cut-off"
    assert drop(pg_engine, tool, **params).output["partitions_dropped"] == 3
    assert attached(pg_engine) == whole("log_06", *NEW)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kathmandu"])
def test_bounds_mean_the_same_in_every_time_zone(pg_engine, zone):
    monthly(pg_engine)
    pg_engine.samples.do(f"ALTER DATABASE {pg_engine.samples.q(pg_engine.db.dbname)} SET timezone = '{zone}'")
    assert gone_and_kept(pg_engine) == (OLD, NEW)


@pytest.mark.parametrize(
    ("declared", "bounds", "cutoff"),
    [
        ("timestamp", ["2026-05-01", "2026-06-01 10:30", "2026-07-01"], "2026-06-01 10:30:00"),
        ("timestamp", ["-infinity", "2026-03-29 02:30", "infinity"], "2026-03-29 02:30:00"),
        ("date", ["2026-05-01", "2026-06-01", "2026-07-01"], "2026-06-01"),
        ("bigint", ["1770000000000", "1780000000000", "1790000000000"], 1780000000000),
        ("integer", ["-5", "1780000000", "1790000000"], 1780000000),
        ("numeric", ["-5", "1780000000.5", "1790000000"], "1780000000.5"),
    ],
)
def test_every_type_of_date_is_compared_as_it_orders_itself(pg_engine, declared, bounds, cutoff):
    first, second, third = (bound if declared.startswith(("int", "big", "num")) else f"'{bound}'" for bound in bounds)
    pg_engine.samples.do(
        f"CREATE TABLE log (at {declared}) PARTITION BY RANGE (at)",
        f"CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM ({first}) TO ({second})",
        f"CREATE TABLE log_2 PARTITION OF log FOR VALUES FROM ({second}) TO ({third})",
    )
    assert gone_and_kept(pg_engine, cutoff=cutoff) == (["log_1"], ["log_2"])
    less = cutoff - 1 if isinstance(cutoff, int) else "1000000000" if declared == "numeric" else "2026-03-01"
    assert gone_and_kept(pg_engine, cutoff=less) == ([], ["log_1", "log_2"])
    assert drop(pg_engine, cutoff=cutoff).output["partitions_dropped"] == 1
    assert attached(pg_engine) == whole("log_2")


def test_the_newest_partition_stays_however_old(pg_engine):
    monthly(pg_engine)
    params = {"cutoff": "2030-01-01 00:00:00+00"}
    assert reasons(pg_engine, **params)["log_08"] == "it is the newest partition"
    assert drop(pg_engine, **params).output["partitions_dropped"] == 5
    assert attached(pg_engine) == whole("log_08")
    assert drop(pg_engine, **params).status == "skipped"
    pg_engine.samples.do("CREATE TABLE log_09 PARTITION OF log FOR VALUES FROM ('2026-09-01 00:00+00') TO (MAXVALUE)")
    assert drop(pg_engine, **params).output["partitions_dropped"] == 1
    assert attached(pg_engine) == whole("log_09")


DEFAULT = ("CREATE TABLE log_rest PARTITION OF log DEFAULT", "INSERT INTO log VALUES (1, '1999-01-01')")


def test_beside_a_default_partition_nothing_is_detached_concurrently(pg_engine):
    monthly(pg_engine)
    pg_engine.samples.do(*DEFAULT)
    result = drop(pg_engine, CONCURRENTLY)
    assert (result.status, result.reason) == ("skipped", "nothing to do")


def test_a_default_partition_stays_and_the_others_need_the_stronger_lock(pg_engine):
    monthly(pg_engine)
    pg_engine.samples.do(*DEFAULT)
    assert reasons(pg_engine)["log_rest"] == "it is the DEFAULT partition"
    assert drop(pg_engine, EXCLUSIVELY).output["partitions_dropped"] == 4
    assert attached(pg_engine) == whole(*NEW, "log_rest")
    assert pg_engine.samples.value("SELECT id FROM log_rest") == 1


def test_a_partition_with_partitions_of_its_own_stays(pg_engine):
    monthly(pg_engine, months=(5, 6, 7))
    pg_engine.samples.do(
        "CREATE TABLE log_04 PARTITION OF log FOR VALUES FROM ('2026-04-01 00:00+00') TO ('2026-05-01 00:00+00') "
        "PARTITION BY HASH (id)",
        "CREATE TABLE log_04_0 PARTITION OF log_04 FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
        "CREATE TABLE log_04_1 PARTITION OF log_04 FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
    )
    assert reasons(pg_engine)["log_04"] == "it has partitions of its own"
    leaves = inspected(pg_engine)["leaves"]
    assert [row["table"] for row in leaves] == ["log_04_0", "log_04_1"]
    assert drop(pg_engine).output["partitions_dropped"] == 2
    assert attached(pg_engine) == whole("log_04", "log_07")
    assert "log_04_0" in tables(pg_engine)


def test_where_old_rows_can_be_beside_whole_partitions(pg_engine):
    monthly(pg_engine)
    pg_engine.samples.do(*DEFAULT)
    leaves = inspected(pg_engine, cutoff="2026-07-05 00:00:00+00")["leaves"]
    assert [(row["table"], row["rows"]) for row in leaves] == [("log_07", 10), ("log_rest", None)]


OBSTACLES = {
    "the foreign key detail_id_at_fkey of detail references it": (
        "ALTER TABLE log ADD PRIMARY KEY (id, at)",
        "CREATE TABLE detail (id bigint, at timestamptz, FOREIGN KEY (id, at) REFERENCES log ON DELETE CASCADE)",
    ),
    "the trigger tell would not fire for its rows": (
        "CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN OLD; END$$",
        "CREATE TRIGGER tell AFTER DELETE ON log FOR EACH ROW EXECUTE FUNCTION tell()",
    ),
    "the table is not partitioned by ranges of this column alone": (
        "DROP TABLE log",
        "CREATE TABLE log (id bigint, at timestamptz) PARTITION BY RANGE (at, id)",
        "CREATE TABLE log_03 PARTITION OF log FOR VALUES FROM ('2020-01-01', 1) TO ('2020-02-01', 1)",
        "CREATE TABLE log_04 PARTITION OF log FOR VALUES FROM ('2021-01-01', 1) TO ('2021-02-01', 1)",
    ),
}
OTHER_KEYS = {
    "LIST (at)": ("IN ('2020-01-01')", "IN ('2021-01-01')"),
    "HASH (at)": ("WITH (MODULUS 2, REMAINDER 0)", "WITH (MODULUS 2, REMAINDER 1)"),
    "RANGE (id)": ("FROM (1) TO (2)", "FROM (2) TO (3)"),
    "RANGE ((at + interval '1 day'))": (
        "FROM ('2020-01-01') TO ('2020-02-01')",
        "FROM ('2021-01-01') TO ('2021-02-01')",
    ),
}


@pytest.mark.parametrize("reason", OBSTACLES)
def test_what_hangs_on_the_table_keeps_all_its_partitions(pg_engine, reason):
    monthly(pg_engine)
    pg_engine.samples.do(*OBSTACLES[reason])
    assert reasons(pg_engine)["log_03"] == reason
    for tool in (None, EXCLUSIVELY):
        assert drop(pg_engine, tool).reason == "nothing to do"


@pytest.mark.parametrize("key", OTHER_KEYS)
def test_only_ranges_of_the_date_tell_the_age(pg_engine, key):
    pg_engine.samples.do(f"CREATE TABLE log (id int, at timestamp) PARTITION BY {key}")
    for number, bounds in enumerate(OTHER_KEYS[key]):
        pg_engine.samples.do(f"CREATE TABLE log_{number} PARTITION OF log FOR VALUES {bounds}")
    why = "the table is not partitioned by ranges of this column alone"
    assert reasons(pg_engine) == {"log_0": why, "log_1": why}
    assert drop(pg_engine).reason == "nothing to do"


def test_bounds_of_a_type_that_tells_no_time_are_not_compared(pg_engine):
    pg_engine.samples.do(
        "CREATE TABLE log (at text) PARTITION BY RANGE (at)",
        "CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM ('2020') TO ('2021'') TO (''2030')",
        "CREATE TABLE log_2 PARTITION OF log FOR VALUES FROM ('2031') TO (MAXVALUE)",
    )
    assert "cannot be compared" in reasons(pg_engine)["log_1"]
    assert drop(pg_engine).reason == "nothing to do"


def test_a_partition_that_others_depend_on_stays(pg_engine):
    monthly(pg_engine)
    pg_engine.samples.do(
        "CREATE VIEW march AS SELECT * FROM log_03",
        # what is the partition's own does not keep it
        "CREATE INDEX ON log_04 (id)",
        "CREATE STATISTICS log_04_s ON id, at FROM log_04",
        "ALTER TABLE log_04 ADD CHECK (id > 0)",
        "ALTER TABLE log_04 ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY own ON log_04 USING (id > 0)",
    )
    stays = reasons(pg_engine)
    assert stays["log_03"] == "rule _RETURN on view march depends on it"
    assert stays["log_04"] is None
    assert drop(pg_engine).output["partitions_dropped"] == 3
    assert attached(pg_engine) == whole("log_03", *NEW)


@TOOLS
def test_a_half_detached_partition_is_finished_first(pg_engine, tool):
    monthly(pg_engine)
    half_detach(pg_engine, 5)
    (first, *_) = to_drop(pg_engine, tool)
    assert (first["partition"], first["next"]) == ("log_05", "finalize")
    assert drop(pg_engine, tool).output["partitions_dropped"] == 4
    assert attached(pg_engine) == whole(*NEW)
    assert tables(pg_engine) == NEW


def test_what_somebody_else_detaches_is_left_to_them(pg_engine):
    monthly(pg_engine)
    half_detach(pg_engine, 7)
    result = drop(pg_engine)
    assert (result.status, {one.status for one in result.objects}) == ("skipped", {"deferred"})
    assert "log_07 is half detached" in result.reason
    assert attached(pg_engine) == {**whole(*OLD, "log_08"), "log_07": True}


@TOOLS
def test_behind_a_reader_it_gives_up_and_the_next_time_goes_on(pg_engine, tool):
    monthly(pg_engine, months=(5, 6, 7))
    pg_engine.lock_timeout = 0.3
    with reading(pg_engine):
        result = drop(pg_engine, tool)
        # Attached or half detached: either way the next run finds it and ends it.
        assert (result.status, {one.status for one in result.objects}) == ("skipped", {"deferred"})
        assert result.reason.startswith("deferred: ")
        assert "lock timeout" in result.reason
        assert attached(pg_engine) == {**whole("log_06", "log_07"), "log_05": tool == CONCURRENTLY}
        assert tables(pg_engine) == ["log_05", "log_06", "log_07"]
    assert drop(pg_engine, tool).output["partitions_dropped"] == 2
    assert attached(pg_engine) == whole("log_07")


def test_maintenance_at_work_on_a_partition_defers_it_untouched(pg_engine):
    monthly(pg_engine, months=(5, 6, 7))
    with pg_engine.db.connect(autocommit=False) as other:
        other.execute("LOCK TABLE log_05 IN SHARE UPDATE EXCLUSIVE MODE")
        result = drop(pg_engine)
    assert [one.status for one in result.objects] == ["deferred", "ok"]
    said = "locked by another session" if pg_engine.database.version >= (14,) else "lock timeout"
    assert said in result.objects[0].reason
    assert attached(pg_engine) == whole("log_05", "log_07")


def test_a_locked_partition_keeps_nobody_from_looking(pg_engine):
    monthly(pg_engine)
    with pg_engine.db.connect(autocommit=False) as other:
        other.execute("LOCK TABLE log_03 IN ACCESS EXCLUSIVE MODE")
        assert gone_and_kept(pg_engine) == (OLD, NEW)


@TOOLS
@pytest.mark.parametrize("done", ["detached", "dropped"])
def test_it_goes_on_from_where_an_interruption_left_it(pg_engine, tool, done):
    monthly(pg_engine)
    found = to_drop(pg_engine, tool)
    pg_engine.samples.do("ALTER TABLE log DETACH PARTITION log_03")
    if done == "dropped":
        pg_engine.samples.do("DROP TABLE log_03")
    result = resumed(pg_engine, found, tool)
    assert (result.status, result.output["partitions_dropped"]) == ("done", 4)
    assert tables(pg_engine) == NEW


@pytest.mark.parametrize(
    ("row", "reason"), [("'2026-07-01 00:00+00'", "it contains a row of 2026-07-01"), ("NULL", "rows without a date")]
)
def test_a_table_that_got_new_rows_since_its_detach_is_not_dropped(pg_engine, row, reason):
    monthly(pg_engine)
    found = to_drop(pg_engine)
    pg_engine.samples.do(
        "ALTER TABLE log DETACH PARTITION log_03",
        "ALTER TABLE log_03 ALTER at DROP NOT NULL",
        f"INSERT INTO log_03 VALUES (1, {row})",
    )
    result = resumed(pg_engine, found)
    assert [one.status for one in result.objects] == ["deferred", "ok", "ok", "ok"]
    assert reason in result.objects[0].reason
    assert tables(pg_engine) == ["log_03", *NEW]


def test_another_table_of_the_same_name_is_not_dropped(pg_engine):
    monthly(pg_engine)
    found = to_drop(pg_engine)
    pg_engine.samples.do("ALTER TABLE log_03 RENAME TO renamed", "CREATE TABLE log_03 (id bigint, at timestamptz)")
    result = resumed(pg_engine, found)
    assert result.status == "failed"
    assert "is not the object that was approved" in str(result.objects[0].reason)
    assert tables(pg_engine) == ["log_03", *NEW, "renamed"]


def test_a_drop_that_finds_no_lock_is_a_failure_with_what_is_left_to_do(pg_engine):
    monthly(pg_engine)
    found = to_drop(pg_engine)[:1]
    pg_engine.samples.do("ALTER TABLE log DETACH PARTITION log_03")
    pg_engine.lock_timeout = 0.3
    with reading(pg_engine, "log_03"):
        result = resumed(pg_engine, found)
    assert (result.status, result.reason) == (
        "failed", "drop the detached partition: canceling statement due to lock timeout",
    )  # fmt: skip
    assert resumed(pg_engine, found).status == "done"


def test_what_belongs_to_another_role_is_left_and_its_owner_named(pg_engine):
    monthly(pg_engine)
    url = pg_engine.db.make_role("keeper", "secret")
    pg_engine.samples.do("GRANT SELECT ON ALL TABLES IN SCHEMA public TO keeper")
    result = drop(pg_engine.connected(url))
    assert {one.status for one in result.objects} == {"deferred"}
    assert "it belongs to postgres, and keeper is not a member of that role" in result.reason
    assert attached(pg_engine) == whole(*OLD, *NEW)


@pytest.mark.parametrize("number", range(len(HOSTILE_NAMES)), ids=[ascii(name) for name in HOSTILE_NAMES])
def test_hostile_names(pg_engine, number):
    name = HOSTILE_NAMES[number]
    inside = pg_engine.inside(name)
    monthly(inside, name, name)
    result = drop(inside, table=name, date_column=name)
    assert [row["partition"] for row in result.output["dropped"]] == [part(name, month) for month in range(3, 7)]
    assert inside.samples.count(name) == 20
