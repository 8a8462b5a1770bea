"""Archived rows: lossless in every type, checked, deleted only as they were archived, and put back."""

from __future__ import annotations

from pathlib import Path

import pytest

from aishell.archives import shelf
from aishell.errors import AishellError, ArchiveError, StepError

OLD = {"postgresql": "2020-01-01 00:00:00+00", "mysql": "2020-01-01 00:00:00", "sqlite": "2020-01-01 00:00:00"}
#: Column definitions and the values of rows, as SQL, that are hard to keep.
TYPES = {
    "postgresql": (
        "id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL, t text, n numeric, f float8, r real, "
        "b bytea, j json, jb jsonb, a int[], ta text[], d date, ts timestamp, tz timetz, i interval, u uuid, net inet, "
        "bo boolean, c char(5), rg int4range, m money, g int GENERATED ALWAYS AS (1) STORED",
        "at, t, n, f, r, b, j, jb, a, ta, d, ts, tz, i, u, net, bo, c, rg, m",
        [
            "'2010-03-01 10:00+02', '', 1.10, 0.1, 0.1, '', 'null', 'null', '{}', '{}', '2010-01-01', '2010-01-01 00:00:00.5', "
            "'10:00:00+05', '1 mon -1 day', '00000000-0000-0000-0000-000000000000', '10.0.0.0/8', true, 'a', '[1,5)', '1.5'",
            "'infinity'::timestamptz - interval '0', 'x', 'NaN', 'Infinity', '-Infinity', '\\x00ff0a', '{\"a\" : 1,\n\"b\":2}', "
            "'[1, null]', '[0:1]={1,2}', '{\"a,b\",NULL,\"NULL\",\"\\\"\"}', 'infinity', '-infinity', '00:00:00-12', '0', "
            "NULL, '::1', false, ' ', 'empty', NULL",
            "'2010-03-01', E'line\\nbreak\\ttab\\r\"quote\\\\', 123456789012345678901234567890.123456789, 1e-300, 3.4e38, "
            "'\\x5c', '\"\\u00e9\"', '\"😀\"', '{NULL,1}', '{{a,b},{c,d}}', '4713-01-01 BC', '9999-12-31 23:59:59.999999', "
            "NULL, 'P1Y2M3DT4H5M6.789S', NULL, NULL, NULL, NULL, '(,)', '-0.01'",
            "'1900-01-01', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, "
            "NULL, NULL",
            "'2019-06-01', '😀 ' || chr(1) || chr(127), 0, -0.0, 1.17549435e-38, '', 'true', '1.10', '{1}', '{\"\"}', "
            "'2000-02-29', '2000-02-29', '23:59:59.999999+00', '-1 year', 'ffffffff-ffff-ffff-ffff-ffffffffffff', "
            "'::1/64', true, 'abcde', '[1,2]', '0'",
        ],
    ),
    "mysql": (
        "id bigint unsigned AUTO_INCREMENT PRIMARY KEY, at datetime(6) NOT NULL, t text, n decimal(65,30), f double, r float, "
        "b longblob, j json, d date, ts timestamp(6) NULL, ti time(6), y year, e enum('a','b',''), s set('x','y'), bi bit(64), "
        "ub bigint unsigned, vb varbinary(20), c char(5), l text CHARACTER SET latin1, bo boolean, g int AS (1) STORED",
        "at, t, n, f, r, b, j, d, ts, ti, y, e, s, bi, ub, vb, c, l, bo",
        [
            "'2010-03-01', '', 1.1, 0.1, 0.1, '', 'null', '2010-01-01', '2019-10-27 00:30:00.123456', '-838:59:59', 2010, 'a', "
            "'x,y', b'1', 18446744073709551615, '', 'a', 'é', true",
            "'2010-03-01 10:00:00.000001', 'line\\nbreak\\ttab\\r\"q\\\\', "
            "12345678901234567890123456789012345.000000000000000001, "
            "1e-300, 3.4e38, x'00ff0a5c', '{\"a\" : 1,\\n \"b\": [1.10]}', '1000-01-01', NULL, '10:00:00.5', 1901, '', '', "
            "b'1111111111111111111111111111111111111111111111111111111111111111', 0, x'00', NULL, NULL, false",
            "'1900-01-01', '😀', NULL, 1.7976931348623157e308, 1.17549435e-38, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, "
            "NULL, NULL, NULL, NULL, NULL, NULL",
        ],
    ),
    "sqlite": (
        "id integer PRIMARY KEY, at text NOT NULL, v, t text, r real, g int GENERATED ALWAYS AS (1) STORED",
        "at, v, t, r",
        [
            "'2010-01-01 00:00:00', 1, '', 0.1",
            "'2010-01-02 00:00:00', '1', 'line' || char(10) || 'break\"\\', 1e300",
            "'2010-01-03 00:00:00', 1.0, NULL, 9e999",
            "'2010-01-04 00:00:00', x'00ff0a', '😀', -9e999",
            "'2010-01-05 00:00:00', NULL, '1', 1.7976931348623157e308",
            "'2010-01-06 00:00:00', 9223372036854775807, x'', -0.0",
            "'2010-01-07 00:00:00', '{\"hex\": \"00\"}', 'NULL', 5e-324",
        ],
    ),
}
WHOLE = {
    "postgresql": "SELECT t::text FROM {table} AS t ORDER BY id",
    "mysql": "SELECT * FROM {table} ORDER BY id",
    "sqlite": "SELECT *, typeof(v), typeof(t), typeof(r) FROM {table} ORDER BY id",
}


def fill(engine, table="hard"):
    definition, columns, rows = TYPES[engine.name]
    engine.db.execute(f"CREATE TABLE {table} ({definition})")
    for row in rows:
        engine.db.execute(f"INSERT INTO {table} ({columns}) VALUES ({row})")
    return engine.db.execute(WHOLE[engine.name].format(table=table))


def which(engine, table):
    known = engine.call("inspect_archive_columns", schema=engine.schema, table=table).output
    key = [row["column"] for row in known.get("key") or ()]
    columns = known["columns"]
    which = {"schema": engine.schema, "table": table, "date_column": "at", "cutoff": OLD[engine.name]}
    return which, {"columns": columns, **({"key": key} if key else {})}


def archived(engine, table, tmp_path, **more):
    engine.archives = tmp_path / "archives"
    rows, walk = which(engine, table)
    return engine.call("archive_old_records", **rows, **walk, **more)


def deleted(engine, table, archive):
    rows, walk = which(engine, table)
    walk = walk if engine.name != "postgresql" else {}
    return engine.call("delete_archived_records", **rows, **walk, archive=archive)


def loaded(engine, table, archive):
    manifest = shelf.read_manifest(Path(archive))
    columns = [dict(column) for column in manifest.columns]
    return engine.call("load_archive", schema=engine.schema, table=table, archive=archive, columns=columns)


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_every_type_comes_back_as_it_was(engine, tmp_path, kind):
    before = fill(engine)
    made = archived(engine, "hard", tmp_path, format=kind)
    assert made.status == "done", made.reason
    kept = engine.db.execute("SELECT count(*) FROM hard WHERE at >= '2020-01-01'")[0][0]
    assert made.output["rows_archived"] == len(before) - kept
    gone = deleted(engine, "hard", made.output["archive_path"])
    assert (gone.status, gone.output["rows_deleted"]) == ("done", len(before) - kept)
    assert engine.db.execute("SELECT count(*) FROM hard")[0][0] == kept
    back = loaded(engine, "hard", made.output["archive_path"])
    assert (back.status, back.output["rows_loaded"]) == ("done", len(before) - kept)
    assert engine.db.execute(WHOLE[engine.name].format(table="hard")) == before
    again = loaded(engine, "hard", made.output["archive_path"])
    assert again.output == {**again.output, "rows_loaded": 0, "rows_left": len(before) - kept}


#: Every character of a character set that takes one byte or two, those of a lead byte in one row; what it has not is left out.
CHARACTERS = """SET STATEMENT sql_mode = '' FOR
    INSERT INTO {table} (at, t, v, e)
    SELECT '2010-01-01', GROUP_CONCAT(c ORDER BY n SEPARATOR ''), LEFT(GROUP_CONCAT(c ORDER BY n SEPARATOR ''), 20), MIN(c)
    FROM (SELECT n, CONVERT(b USING {charset}) AS c
          FROM (SELECT seq AS n, UNHEX(LPAD(HEX(seq), IF(seq < 256, 2, 4), '0')) AS b FROM {numbers}) AS bytes
          WHERE HEX(CONVERT(b USING {charset})) = HEX(b)) AS characters
    GROUP BY n DIV 256"""


def test_the_text_of_every_character_set_comes_back(mariadb_engine, tmp_path):
    """All columns of a table in one character set, whichever it is: every character it has is archived, deleted and loaded."""
    db = mariadb_engine.db
    sets = db.execute("SELECT CHARACTER_SET_NAME, MAXLEN FROM information_schema.CHARACTER_SETS ORDER BY 1")
    assert {"latin1", "cp1251", "ucs2", "utf16", "sjis", "binary", "utf8mb4"} <= {name for name, _ in sets}
    wrong = {}
    for charset, length in sets:
        table = f"of_{charset}"
        db.execute(
            f"CREATE TABLE {table} (id int AUTO_INCREMENT PRIMARY KEY, at datetime NOT NULL, t mediumtext, v varchar(40), "
            f"e char(4)) CHARACTER SET {charset}"
        )
        numbers = "seq_0_to_255" if length == 1 else "seq_0_to_65535"
        db.execute(CHARACTERS.format(table=table, charset=charset, numbers=numbers))
        db.execute(f"INSERT INTO {table} (at, t, v, e) VALUES ('2010-01-01', 'a\"b', '', NULL)")
        wrong[charset] = unlike(mariadb_engine, table, tmp_path, "t, v, e")
    assert {charset: what for charset, what in wrong.items() if what} == {}


def test_columns_of_several_character_sets_stand_side_by_side(mariadb_engine, tmp_path):
    names = ["latin1", "cp1251", "greek", "sjis", "ucs2", "utf16", "binary", "utf8mb3", "utf8mb4"]
    columns = ", ".join(f"c{number} varchar(20) CHARACTER SET {name}" for number, name in enumerate(names))
    columns = columns.replace("varchar(20) CHARACTER SET binary", "varbinary(20)")
    columns += ", e enum('b', 'ж') CHARACTER SET cp1251, s set('日', 'b') CHARACTER SET sjis"
    mariadb_engine.db.execute(f"CREATE TABLE mixed (id int PRIMARY KEY, at datetime NOT NULL, {columns})")
    texts = ["é", "ж", "λ", "日", "日é", "😀", "é", "ж", "😀"]
    values = ", ".join(f"'{text}'" for text in [*texts, "ж", "日,b"])
    mariadb_engine.db.execute(f"INSERT INTO mixed VALUES (1, '2010-01-01', {values})")
    seen = [f"c{number}" for number in range(len(names))]
    assert unlike(mariadb_engine, "mixed", tmp_path, ", ".join([*seen, "e", "s"])) == ""


def test_texts_of_the_usual_character_sets_can_be_read_in_the_archive(mariadb_engine):
    for charset in ("latin1", "utf8mb3", "utf8mb4", "utf16"):
        mariadb_engine.db.execute(f"CREATE TABLE of_{charset} (id int PRIMARY KEY, t text) CHARACTER SET {charset}")
        names = {"schema": mariadb_engine.schema, "table": f"of_{charset}"}
        columns = mariadb_engine.call("inspect_archive_columns", **names).output["columns"]
        assert [column["form"] for column in columns] == ["plain", "text"], charset


def unlike(engine, table, tmp_path, columns):
    """What a table is not afterwards that it was before its rows were archived, deleted and loaded; nothing when all is well."""
    seen = ", ".join(f"HEX({column})" for column in columns.split(", "))
    whole = f"SELECT id, {seen} FROM {table} ORDER BY id"
    before = engine.db.execute(whole)
    try:
        made = archived(engine, table, tmp_path)
        gone = deleted(engine, table, made.output["archive_path"])
    except AishellError as error:
        return str(error)
    if (gone.status, engine.db.execute(f"SELECT count(*) FROM {table}")[0][0]) != ("done", 0):
        return str(gone.reason)
    loaded(engine, table, made.output["archive_path"])
    after = dict(enumerate(engine.db.execute(whole)))
    differ = [number for number, row in enumerate(before) if after.get(number) != row]
    return f"{len(differ)} of {len(before)} row(s) are not what they were" if differ else ""


TIMES = {"postgresql": "timestamptz", "mysql": "datetime", "sqlite": "text"}
#: Floating-point numbers at the edges, and those that are no numbers, of each type that has them.
FLOATS = {
    "postgresql": {
        "float8": [
            "'NaN'",
            "'Infinity'",
            "'-Infinity'",
            "'-0'",
            "0.1",
            "1e-300",
            "1.7976931348623157e308",
            "5e-324",
            "NULL",
        ],
        "real": ["'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "0.1", "3.4028235e38", "1.17549435e-38", "NULL"],
        "numeric": ["'NaN'", "'Infinity'", "'-Infinity'", "0.10", "1e-30", "NULL"],
        "float8[]": ["'{NaN,Infinity,-Infinity,NULL,0.1}'"],
    },
    "mysql": {
        "double": ["-0e0", "0.1", "1e-300", "1.7976931348623157e308", "2.2250738585072014e-308", "NULL"],
        "float": ["-0e0", "0.1", "3.4028234e38", "1.17549435e-38", "NULL"],
    },
    "sqlite": {
        "real": ["9e999", "-9e999", "-0.0", "0.1", "5e-324", "1.7976931348623157e308", "NULL"],
        "": ["9e999", "-9e999", "-0.0", "0.1", "NULL"],
    },
}


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_floating_point_numbers_of_every_kind_come_back(engine, tmp_path, kind):
    """Also those that are no numbers: they are archived, compared, deleted and loaded like any other."""
    older = engine.name == "postgresql" and engine.db.server.major < 14  # numeric has no infinity there
    for number, (declared, values) in enumerate(FLOATS[engine.name].items()):
        table = f"floats{number}"
        engine.db.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, at {TIMES[engine.name]} NOT NULL, x {declared})")
        for place, value in enumerate(values):
            if older and declared == "numeric" and "Inf" in value:
                continue
            engine.db.execute(f"INSERT INTO {table} VALUES ({place}, '2010-01-01 00:00:00', {value})")
        seen = {"postgresql": "x::text", "mysql": "x", "sqlite": "x, typeof(x)"}[engine.name]
        whole = f"SELECT id, {seen} FROM {table} ORDER BY id"
        rows = repr(engine.db.execute(whole))
        made = archived(engine, table, tmp_path, format=kind)
        assert made.status == "done", (declared, made.reason)
        gone = deleted(engine, table, made.output["archive_path"])
        assert (gone.status, engine.db.execute(f"SELECT count(*) FROM {table}")[0][0]) == ("done", 0), declared
        assert loaded(engine, table, made.output["archive_path"]).status == "done"
        assert repr(engine.db.execute(whole)) == rows, declared


@pytest.fixture
def far_east(mariadb, mariadb_engine):
    """A MariaDB server that keeps the time of Karachi."""
    mariadb.execute("SET GLOBAL time_zone = '+05:00'")
    yield mariadb_engine
    mariadb.execute("SET GLOBAL time_zone = '+00:00'")


def test_timestamps_are_archived_and_deleted_by_the_clock_of_the_server(far_east, tmp_path):
    engine = far_east
    engine.db.execute("CREATE TABLE hard (id int PRIMARY KEY, at timestamp(3) NULL, t text)")
    rows = [
        "(1, '2019-12-31 23:59:59.999', 'old')",
        "(2, '2020-01-01 00:00:00', 'new')",
        "(3, '2020-01-01 04:59:59', 'new')",
    ]
    rows += ["(4, NULL, 'no date')", "(5, '0000-00-00', 'zero')", "(6, '2018-06-01 12:00:00', 'old')"]
    with engine.db.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_mode = '', time_zone = '+05:00'")
        cursor.execute(f"INSERT INTO hard VALUES {', '.join(rows)}")
        cursor.execute("SELECT id, CAST(at AS CHAR), UNIX_TIMESTAMP(at) FROM hard ORDER BY id")
        before = cursor.fetchall()
    made = archived(engine, "hard", tmp_path)
    assert made.output["rows_archived"] == 2
    gone = deleted(engine, "hard", made.output["archive_path"])
    assert (gone.status, gone.output["rows_deleted"]) == ("done", 2)
    assert [row[0] for row in engine.db.execute("SELECT id FROM hard ORDER BY id")] == [2, 3, 4, 5]
    assert loaded(engine, "hard", made.output["archive_path"]).output["rows_loaded"] == 2
    with engine.db.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET time_zone = '+05:00'")
        cursor.execute("SELECT id, CAST(at AS CHAR), UNIX_TIMESTAMP(at) FROM hard ORDER BY id")
        assert cursor.fetchall() == before


def test_what_changed_since_it_was_archived_stays(engine, tmp_path):
    """A changed row, and one that came in with an old date; on PostgreSQL alone their neighbours go."""
    before = fill(engine)
    made = archived(engine, "hard", tmp_path)
    engine.db.execute("UPDATE hard SET t = 'changed' WHERE id = 1")
    columns = TYPES[engine.name][1].split(", ")[:1]
    engine.db.execute(f"INSERT INTO hard ({columns[0]}) VALUES ('2011-01-01 00:00:00')")
    gone = deleted(engine, "hard", made.output["archive_path"])
    left = [row[0] for row in engine.db.execute("SELECT id FROM hard WHERE at < '2019-12-31' ORDER BY id")]
    assert 1 in left
    assert max(left) > len(before)
    if engine.name == "postgresql":
        assert gone.status == "done"
        assert len(left) == 2 == gone.output["remaining"]
        assert "2 old row(s) remain" in gone.objects[0].reason
    else:
        assert gone.status == "skipped"
        assert gone.output["rows_left"] == len(before) + 1
        assert "changed since they were archived" in gone.reason
    kept = engine.db.execute("SELECT t FROM hard WHERE id = 1")
    assert kept[0][0] == "changed"


def test_a_table_that_was_rewritten_since_keeps_its_rows(engine, tmp_path):
    if engine.name != "postgresql":
        pytest.skip("only PostgreSQL is walked by pages")
    fill(engine)
    made = archived(engine, "hard", tmp_path)
    engine.db.execute("VACUUM FULL hard")
    gone = deleted(engine, "hard", made.output["archive_path"])
    assert (gone.status, gone.output["rows_deleted"]) == ("skipped", 0)
    assert "rewritten" in gone.reason


def test_an_archive_of_other_rows_is_refused(engine, tmp_path):
    fill(engine)
    made = archived(engine, "hard", tmp_path)
    rows, walk = which(engine, "hard")
    walk = walk if engine.name != "postgresql" else {}
    later = {**rows, "cutoff": OLD[engine.name].replace("2020", "2021")}
    with pytest.raises(ArchiveError, match="is of cutoff"):
        engine.call("delete_archived_records", **later, **walk, archive=made.output["archive_path"])


#: Definitions of a table whose rows a load can recognise by a key, and of such whose rows it cannot.
KEYED = {
    "primary key": "id integer NOT NULL PRIMARY KEY, at varchar(30)",
    "unique and not null": "id bigint NOT NULL UNIQUE, at varchar(30)",
    "of two columns": "id bigint NOT NULL, at varchar(30) NOT NULL, UNIQUE (id, at)",
    "beside one that may be null": "id integer NOT NULL PRIMARY KEY, at varchar(30) UNIQUE",
}
KEYLESS = {
    "none": "id bigint, at varchar(30)",
    "may be null": "id bigint UNIQUE, at varchar(30)",
    "may be null in part": "id bigint NOT NULL, at varchar(30), UNIQUE (id, at)",
    "made when loaded": {
        "postgresql": "id bigint, at varchar(30), own bigserial PRIMARY KEY",
        "mysql": "id bigint, at varchar(30), own bigint AUTO_INCREMENT PRIMARY KEY",
        "sqlite": "id bigint, at varchar(30), own integer PRIMARY KEY",
    },
    "of some rows": {
        "postgresql": ("id bigint NOT NULL, at varchar(30)", "CREATE UNIQUE INDEX part ON target (id) WHERE id > 1"),
        "sqlite": ("id bigint NOT NULL, at varchar(30)", "CREATE UNIQUE INDEX part ON target (id) WHERE id > 1"),
    },
    "of an expression": {
        "postgresql": ("id bigint NOT NULL, at varchar(30)", "CREATE UNIQUE INDEX made ON target (abs(id))"),
        "sqlite": ("id bigint NOT NULL, at varchar(30)", "CREATE UNIQUE INDEX made ON target (abs(id))"),
    },
    "another one than the number of the row": {"sqlite": "id bigint PRIMARY KEY, at varchar(30)"},
}


FORM = {"postgresql": "plain", "mysql": "plain", "sqlite": "any"}


def target(engine, definition):
    """The table `target`, and what `find` says of it."""
    if isinstance(definition, dict):
        definition = definition.get(engine.name) or pytest.skip(f"not on {engine.name}")
    columns, *more = (definition,) if isinstance(definition, str) else definition
    for statement in (f"CREATE TABLE target ({columns})", *more):
        engine.db.execute(statement)
    loaded = [{"column": name, "type": "text", "form": FORM[engine.name]} for name in ("id", "at")]
    (row,) = engine.find("load_archive", schema=engine.schema, table="target", archive="x", columns=loaded)
    return row


@pytest.mark.parametrize("key", KEYED)
def test_rows_that_a_key_tells_apart_are_loaded_in_chunks(engine, key):
    assert not target(engine, KEYED[key])["whole"]


@pytest.mark.parametrize("key", KEYLESS)
def test_rows_that_no_key_tells_apart_are_loaded_at_once(engine, key):
    row = target(engine, KEYLESS[key])
    assert row["whole"]
    assert row.get("obstacle") is None


def test_with_neither_a_key_nor_transactions_nothing_is_loaded(mariadb_engine, tmp_path):
    engine = mariadb_engine
    fill(engine)
    made = archived(engine, "hard", tmp_path)
    engine.db.execute("CREATE TABLE scratch ENGINE=Aria AS SELECT * FROM hard WHERE 1 = 0")
    with pytest.raises(StepError, match=r"scratch has neither a key of archived columns nor transactions \(Aria\)"):
        loaded(engine, "scratch", made.output["archive_path"])
    assert engine.db.execute("SELECT count(*) FROM scratch")[0][0] == 0
    engine.db.execute("ALTER TABLE scratch ADD PRIMARY KEY (id)")
    assert loaded(engine, "scratch", made.output["archive_path"]).output["rows_loaded"] == made.output["rows_archived"]
