"""The deletion of old rows, each way on each engine: what is old goes and nothing else, whatever the key and the dates are."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from aishell.running.batch_checkpoint import BatchCheckpoint
from tests.conftest import HOSTILE_NAMES, HOSTILE_NAMES_MYSQL
from tests.fix_tools import Engine, make_engine
from tests.tools.cleaner import CUTOFF, EVERY, NEW, OLD, TYPES, WAYS, Cleaner, Raw


@pytest.fixture(params=EVERY)
def cleaner(request: pytest.FixtureRequest) -> Iterator[Cleaner]:
    fixture, way = request.param
    for engine in make_engine(request, fixture):
        yield Cleaner(engine, way)


@pytest.fixture
def sqlite_cleaner(sqlite_engine: Engine) -> Cleaner:
    return Cleaner(sqlite_engine, WAYS["sqlite"][0])


@pytest.fixture(params=WAYS["mysql"], ids=lambda way: way.tool)
def mariadb_cleaner(request: pytest.FixtureRequest, mariadb_engine: Engine) -> Cleaner:
    return Cleaner(mariadb_engine, request.param)


def test_exactly_the_old_rows_go_in_batches(cleaner):
    cleaner.log()
    cleaner.many(6000)
    cleaner.rows((6001, None), (6002, CUTOFF), (6003, "2026-04-30 23:59:59"))
    result = cleaner.delete()
    assert (result.status, result.reason) == ("done", None)
    assert (result.output["rows_deleted"], result.output["remaining"]) == (3001, 0)
    assert result.output["batches"] > 2
    assert result.output["uncounted_batches"] == 0
    assert result.output["longest_batch_ms"] > 0
    assert cleaner.left() == [*range(2, 6001, 2), 6001, 6002]


@pytest.mark.parametrize("cleaner", [one for one in EVERY if one.values[0][1].indexed], indirect=True)
def test_rows_behind_the_newest_old_one_are_not_gone_through(cleaner):
    cleaner.log()
    cleaner.rows(*((number, OLD if number <= 1000 else NEW) for number in range(1, 9001)))
    seen: list[BatchCheckpoint] = []
    cleaner.on_batch = lambda checkpoint: seen.append(checkpoint)
    result = cleaner.delete(
        batch_target_ms=10_000
    )  # each batch has twice the size of the one before, whatever the machine
    assert (result.output["rows_deleted"], result.output["remaining"]) == (1000, 0)
    assert cleaner.left() == list(range(1001, 9001))
    position = seen[-1].position
    assert position[0] < 4500 if isinstance(position, list) else position < result.objects[0].before["finish"] / 2


def test_old_rows_far_behind_the_newest_one_go_all_the_same(cleaner):
    """The newest old row is the first of the table: its place says nothing of where the others are."""
    cleaner.log()
    cleaner.rows((1, "2026-04-30 00:00:00"), *((number, OLD if number > 8990 else NEW) for number in range(2, 9001)))
    result = cleaner.delete()
    assert (result.status, result.output["rows_deleted"], result.output["remaining"]) == ("done", 11, 0)
    assert cleaner.left() == list(range(2, 8991))


def test_a_second_time_there_is_nothing_to_do(cleaner):
    cleaner.log()
    cleaner.many(10)
    cleaner.delete()
    again = cleaner.delete()
    assert (again.status, again.output["rows_deleted"], again.output["remaining"]) == ("done", 0, 0)


def test_an_empty_table(cleaner):
    cleaner.log()
    result = cleaner.delete()
    assert (result.status, result.output["rows_deleted"], result.output["remaining"]) == ("done", 0, 0)


@pytest.mark.sampled
@pytest.mark.parametrize("most", [1, 7, 1200])
def test_no_more_than_max_rows_go(cleaner, most):
    cleaner.log()
    cleaner.many(3000)
    result = cleaner.delete(max_rows=most)
    assert result.output["rows_deleted"] == most
    assert (result.status, result.output["remaining"]) == ("done", 1500 - most)
    assert len(cleaner.left()) == 3000 - most


#: The ways that go by ranges of pages, which stay when their rows go.
BY_PAGES = [one for one in EVERY if one.values[0][1].since == 14]


@pytest.mark.parametrize("cleaner", BY_PAGES, indirect=True)
@pytest.mark.parametrize("filtered", [False, True], ids=["old", "filtered"])
def test_a_limit_is_reached_quickly_behind_pages_that_have_nothing(cleaner, filtered):
    """Emptied by earlier nights, or full of rows that another condition keeps."""
    cleaner.log(extra=", note text")
    db = cleaner.engine.samples.db
    db.execute(
        "INSERT INTO log SELECT n, CASE WHEN n % 2 = 1 THEN timestamp '2026-01-01' ELSE '2026-10-01' END,"
        " repeat(CASE WHEN n > 80000 THEN 'x' ELSE 'y' END, 300) FROM generate_series(1, 100000) AS n"
    )
    if not filtered:
        db.execute("DELETE FROM log WHERE id <= 80000")
    for statement in ("VACUUM log", "ANALYZE log"):
        db.execute(statement)
    filters = [{"column": "note", "operator": "like", "value": "x%"}] if filtered else []
    result = cleaner.delete(max_rows=2345, filters=filters)
    assert (result.output["rows_deleted"], result.output["remaining"]) == (2345, 10_000 - 2345)
    assert db.execute("SELECT count(*) FROM log WHERE at < '2026-05-01' AND id > 80000") == [(10_000 - 2345,)]
    assert result.output["batches"] < 60


FILTERS = (
    ("=", "debug", {1, 3}),
    ("!=", "debug", {2, 4}),
    ("<", 3, {1, 2}),
    ("<=", 3, {1, 2, 3}),
    (">", 3, {4, 5}),
    (">=", 3, {3, 4, 5}),
    ("like", "%r%", {4}),
    ("in", ["debug", "it's"], {1, 2, 3}),
    ("not in", ["debug", "it's"], {4}),
    ("is null", None, {5}),
    ("is not null", None, {1, 2, 3, 4}),
)


def test_filters_are_kept(cleaner):
    cleaner.log(extra=", level varchar(20), n integer")
    levels = ("debug", "it's", "debug", "error", None)
    for operator, value, gone in FILTERS:
        cleaner.engine.samples.do("DELETE FROM log")
        cleaner.rows(*((number, OLD, level, number) for number, level in enumerate(levels, 1)))
        cleaner.rows(*((number, NEW, level, number - 10) for number, level in enumerate(levels, 11)))
        column = "n" if isinstance(value, int) else "level"
        condition = {"column": column, "operator": operator} | ({} if value is None else {"value": value})
        result = cleaner.delete(filters=[condition])
        assert (result.output["rows_deleted"], result.output["remaining"]) == (len(gone), 0), operator
        assert cleaner.left() == sorted({1, 2, 3, 4, 5, 11, 12, 13, 14, 15} - gone), operator
    both = [{"column": "level", "operator": "=", "value": "debug"}, {"column": "n", "operator": ">", "value": 1}]
    assert cleaner.delete(cutoff="2027-01-01", filters=both).output["rows_deleted"] == 1


@pytest.mark.sampled
@pytest.mark.parametrize("number", range(len(HOSTILE_NAMES)), ids=[ascii(name) for name in HOSTILE_NAMES])
def test_hostile_names(cleaner, number):
    name = (HOSTILE_NAMES_MYSQL if cleaner.engine.name == "mysql" else HOSTILE_NAMES)[number]
    inside = Cleaner(cleaner.engine.inside(name), cleaner.way)
    key = name.swapcase() if name.swapcase().lower() != name.lower() else f"k{name}"[:60]
    inside.log(
        name,
        name,
        f", {inside.engine.samples.q('f' + name[:60])} varchar(99)",
        inside.engine.samples.q(key) + " integer PRIMARY KEY",
    )
    inside.rows((1, OLD, name), (2, NEW, name), (3, OLD, "other"), table=name)
    filters = [{"column": "f" + name[:60], "operator": "=", "value": name}]
    result = inside.delete(name, name, [key], filters=filters)
    assert (result.status, result.output["rows_deleted"]) == ("done", 1), result.reason
    assert inside.left(name, key) == [2, 3]


def test_what_comes_in_behind_the_position_is_taken_by_another_sweep(cleaner):
    cleaner.log()
    cleaner.many(4000)
    written: list[int] = []

    def write(checkpoint: BatchCheckpoint) -> None:
        if checkpoint.batches in (2, 3) and -checkpoint.batches not in written:
            written.append(-checkpoint.batches)
            if cleaner.engine.name == "postgresql":
                cleaner.engine.samples.do("VACUUM log")  # makes room in the pages that were gone through
            cleaner.rows((-checkpoint.batches, "2025-01-01 00:00:00"))

    cleaner.on_batch = write
    result = cleaner.delete()
    assert written == [-2, -3]
    assert (result.status, result.output["rows_deleted"], result.output["remaining"]) == ("done", 2002, 0)
    assert cleaner.left() == list(range(2, 4001, 2))


def test_it_stops_where_it_is_told_to_and_goes_on_from_there(cleaner):
    cleaner.log()
    cleaner.many(4000)
    stopped: list[BatchCheckpoint] = []

    def stop(checkpoint: BatchCheckpoint) -> str:
        stopped.append(checkpoint)
        return "the window has closed"

    cleaner.on_batch = stop
    result = cleaner.delete()
    assert len(stopped) == 2  # a batch is written down while the next one runs
    assert result.output["rows_deleted"] == 4000 - len(cleaner.left()) < 2000
    assert "the window has closed" in (result.objects[0].reason or "")
    assert BatchCheckpoint.of(stopped[0].text()) == stopped[0]
    cleaner.on_batch = lambda checkpoint: None
    assert cleaner.delete().output["remaining"] == 0
    assert cleaner.left() == list(range(2, 4001, 2))


def test_no_batch_begins_that_the_window_does_not_hold_with_the_pause_before_it(cleaner):
    cleaner.log()
    cleaner.many(4000)
    asked: list[float] = []
    written: list[BatchCheckpoint] = []

    def closes(seconds: float) -> str | None:
        asked.append(seconds)
        return "the window has closed" if len(asked) == 3 else None

    cleaner.closes, cleaner.on_batch = closes, written.append
    result = cleaner.delete(sleep=0.05)
    assert written[-1].batches == len(asked) - 1 == 2  # asked before the first, and behind each
    assert asked[0] == 0
    assert asked[1:] == [0.05 + one.longest for one in written]
    assert 0 < result.output["rows_deleted"] == 4000 - len(cleaner.left()) < 2000
    assert result.objects[0].status == "deferred"
    cleaner.closes = lambda seconds: None
    assert cleaner.delete().output["remaining"] == 0


KEYS = {
    "text": ("varchar(40)", lambda n: f"k'{n % 7}%s:{n}"),
    "uuid": ("uuid", lambda n: str(uuid.UUID(int=n * 7919 << 90))),
    "decimal": ("decimal(30,10)", lambda n: Raw(f"{n - 300}.{n:010d}")),
    "datetime": ("datetime(6)", lambda n: f"2020-01-01 00:00:00.{n:06d}"),
    "binary": ("binary(16)", lambda n: Raw(f"X'{n * 7919:032x}'")),
    "unsigned": ("bigint unsigned", lambda n: 2**64 - 1 - n),
    "negative": ("bigint", lambda n: n - 300),
}


@pytest.mark.parametrize("kind", KEYS)
def test_keys_of_any_type_on_mariadb(mariadb_cleaner, kind):
    declared, made = KEYS[kind]
    collation = " COLLATE utf8mb4_swedish_ci" if kind == "text" else ""
    mariadb_cleaner.log(key=f"id {declared}{collation} PRIMARY KEY")
    mariadb_cleaner.rows(*((made(n), OLD if n % 2 else NEW) for n in range(600)))
    stops: list[BatchCheckpoint] = []
    mariadb_cleaner.on_batch = lambda checkpoint: stops.append(checkpoint)
    result = mariadb_cleaner.delete()
    assert (result.output["rows_deleted"], result.output["remaining"]) == (300, 0)
    assert all(BatchCheckpoint.of(one.text()) == one for one in stops)
    new = mariadb_cleaner.engine.samples.value(f"SELECT COUNT(*) FROM log WHERE at = '{NEW}'")
    assert (new, len(mariadb_cleaner.left())) == (300, 300)


def test_a_key_of_several_columns(cleaner):
    """Many rows with the same first column; batches end in the middle of them."""
    s = cleaner.engine.samples
    tail = " WITHOUT ROWID" if cleaner.engine.name == "sqlite" else ""
    kind = TYPES[cleaner.engine.name]
    s.do(f"CREATE TABLE log (tenant varchar(20), id integer, at {kind}, PRIMARY KEY (tenant, id)){tail}")
    if cleaner.way.dated:
        cleaner.index("log")
    cleaner.rows(*((f"t{n % 2}", n, OLD if n % 3 else NEW) for n in range(3000)))
    result = cleaner.delete(key=["tenant", "id"])
    assert (result.output["rows_deleted"], result.output["remaining"]) == (2000, 0)
    assert result.output["batches"] > 1
    assert cleaner.left() == list(range(0, 3000, 3))
    limited = cleaner.delete(key=["tenant", "id"], cutoff="2027-01-01", max_rows=333)
    assert limited.output["rows_deleted"] == 333 or not cleaner.way.key("at", ["id"])


@pytest.mark.parametrize(
    ("columns", "tail", "key", "row_id"),
    [
        ("id integer PRIMARY KEY, at text", "", ["id"], "id"),
        ("at text, id integer", "", ["rowid"], "rowid"),
        ("id integer, rowid text, at text", "", ["_rowid_"], "_rowid_"),
        ("RowID text, _ROWID_ blob, id integer, at text", "", ["oid"], "oid"),
        ("rowid text, _rowid_ text, oid text, id integer PRIMARY KEY, at text", "", ["id"], "id"),
        ("id integer PRIMARY KEY DESC, at text", "", ["rowid"], "rowid"),
        ("id text PRIMARY KEY, at text", "", ["rowid"], "rowid"),
        ("a text, id, at text, PRIMARY KEY (a, id)", " WITHOUT ROWID", ["a", "id"], None),
        ("rowid text, _rowid_ text, oid text, id integer, at text", "", [], None),
    ],
)
def test_the_row_ids_of_sqlite(sqlite_cleaner, columns, tail, key, row_id):
    """Whatever the columns are called, the table is walked by what it is stored by."""
    engine = sqlite_cleaner.engine
    engine.samples.do(f"CREATE TABLE log ({columns}){tail}")
    names, values = ("id, at, a", ", i % 3") if tail else ("id, at", "")
    engine.samples.do(
        "WITH RECURSIVE n(i) AS (SELECT -1500 UNION ALL SELECT i + 1 FROM n WHERE i < 1499) "
        f"INSERT INTO log ({names}) SELECT i, CASE WHEN i % 2 THEN '{OLD}' ELSE '{NEW}' END{values} FROM n"
    )
    found = engine.call("inspect_log_tables", tables=engine.named("log")).output["columns"]
    assert {row["row_id"] for row in found} == {row_id}
    if key:
        result = sqlite_cleaner.delete(key=key)
        assert (result.output["rows_deleted"], result.output["remaining"]) == (1500, 0)
        assert [int(n) for n in sorted(sqlite_cleaner.left(), key=int)] == list(range(-1500, 1500, 2))


def test_sqlite_keys_of_mixed_types(sqlite_cleaner):
    sqlite_cleaner.engine.samples.do("CREATE TABLE log (id PRIMARY KEY, at text) WITHOUT ROWID")
    keys = (-(2**63), 2**63 - 1, 1.5, "'a'", "''", "X'00'", "X'ff00'", "1e300")
    for number, key in enumerate(keys):
        sqlite_cleaner.rows((Raw(str(key)), OLD if number % 2 else NEW))
    seen: list[BatchCheckpoint] = []
    sqlite_cleaner.on_batch = lambda checkpoint: seen.append(checkpoint)
    result = sqlite_cleaner.delete(max_rows=2)
    assert result.output["rows_deleted"] == 2
    assert [BatchCheckpoint.of(one.text()) for one in seen] == seen
    assert sqlite_cleaner.delete().output["remaining"] == 0
    assert len(sqlite_cleaner.left()) == 4


def test_sqlite_numbers_among_text_dates_stay(sqlite_cleaner):
    """Every number is less than any text: without care all of them were old."""
    sqlite_cleaner.engine.samples.do("CREATE TABLE log (id integer PRIMARY KEY, at)")
    sqlite_cleaner.rows((1, OLD), (2, NEW), (3, 0), (4, 20990101), (5, Raw("9e9")), (6, Raw("X'00'")))
    assert sqlite_cleaner.delete().output == {
        "rows_deleted": 1, "remaining": 0, "batches": 1, "uncounted_batches": 0, "rows_uncounted": 0,
        "longest_batch_ms": pytest.approx(50, abs=50), "deleting_seconds": pytest.approx(0.5, abs=0.5),
    }  # fmt: skip
    assert sqlite_cleaner.left() == [2, 3, 4, 5, 6]
    assert sqlite_cleaner.delete(cutoff=10).output["rows_deleted"] == 1  # by numbers: only numbers
    assert sqlite_cleaner.left() == [2, 4, 5, 6]


def test_zero_dates_are_no_dates(mariadb_cleaner):
    mariadb_cleaner.engine.samples.do("SET GLOBAL sql_mode = ''")
    try:
        for kind in ("datetime NOT NULL", "date NOT NULL", "timestamp NOT NULL"):
            mariadb_cleaner.engine.samples.do(
                "DROP TABLE IF EXISTS log", f"CREATE TABLE log (id bigint PRIMARY KEY, at {kind})"
            )
            mariadb_cleaner.index("log")
            mariadb_cleaner.rows((1, OLD), (2, NEW), (3, "0000-00-00 00:00:00"))
            age = mariadb_cleaner.engine.call(
                "measure_log_age", schema=mariadb_cleaner.engine.schema, table="log", date_column="at"
            )
            assert age.output["oldest"][:10] == OLD[:10]
            result = mariadb_cleaner.delete()
            assert (result.output["rows_deleted"], result.output["remaining"]) == (1, 0), kind
            assert mariadb_cleaner.left() == [2, 3], kind
    finally:
        mariadb_cleaner.engine.samples.do("SET GLOBAL sql_mode = DEFAULT")


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("declared", "cutoff", "old", "new"),
    [
        ("bigint", 1_777_593_600, 1_777_593_599, 1_777_593_600),
        ("date", "2026-05-01", "2026-04-30", "2026-05-01"),
        ("varchar(40)", "2026-05-01T00:00:00", "2026-04-30T23:59:59.999Z", "2026-05-01T00:00:00Z"),
        ("varchar(40)", "01KQG5GA000000000000000000", "01KQG5G9ZZZZZZZZZZZZZZZZZZ", "01KQG5GA000000000000000001"),
    ],
)
def test_dates_of_other_types(cleaner, declared, cutoff, old, new):
    cleaner.engine.samples.do(f"CREATE TABLE log (id integer PRIMARY KEY, at {declared})")
    if cleaner.way.dated:
        cleaner.index("log")
    cleaner.rows(*((number, old if number % 2 else new) for number in range(10)), (10, None))
    assert cleaner.delete(cutoff=cutoff).output["rows_deleted"] == 5
    assert cleaner.left() == [0, 2, 4, 6, 8, 10]
