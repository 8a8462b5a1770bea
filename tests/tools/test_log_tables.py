"""What is looked up before a log table is cleaned up: cut-off, ages, columns, keys, what depends on it, and who waits."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime, timedelta

import pymysql
import pytest

from aishell.agents.log_cleanup.dates import Cutoff, method_class, written
from aishell.databases.base import SessionOptions, Statement
from tests.fix_tools import Engine, registry
from tests.servers import wait_until

PARENT = {
    "postgresql": "id bigint PRIMARY KEY, at timestamptz NOT NULL, note text, twice bigint GENERATED ALWAYS AS (id * 2) STORED",
    "mysql": "id bigint PRIMARY KEY, at datetime NOT NULL, note varchar(200), twice bigint GENERATED ALWAYS AS (id * 2) STORED",
    "sqlite": "id integer PRIMARY KEY, at text NOT NULL, note text, twice integer GENERATED ALWAYS AS (id * 2) STORED",
}
TRIGGERS = {
    "postgresql": (
        "CREATE FUNCTION note_it() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
        "CREATE TRIGGER gone AFTER DELETE ON parent FOR EACH ROW EXECUTE FUNCTION note_it()",
        "CREATE TRIGGER changed AFTER UPDATE ON parent FOR EACH ROW EXECUTE FUNCTION note_it()",
    ),
    "mysql": (
        "CREATE TRIGGER gone AFTER DELETE ON parent FOR EACH ROW SET @deleted = OLD.id",
        "CREATE TRIGGER changed AFTER UPDATE ON parent FOR EACH ROW SET @deleted = OLD.id",
    ),
    "sqlite": (
        "CREATE TRIGGER gone AFTER DELETE ON parent BEGIN SELECT 1; END",
        "CREATE TRIGGER changed AFTER UPDATE ON parent BEGIN DELETE FROM other; END",
    ),
}


def age(engine: Engine, table: str = "log") -> dict:
    return engine.call("measure_log_age", schema=engine.schema, table=table, date_column="at").output


def looked_up(engine: Engine, *tables: str) -> dict:
    return engine.call("inspect_log_tables", tables=engine.named(*tables)).output


def test_columns_and_what_depends_on_their_rows(engine):
    s = engine.samples
    s.do(f"CREATE TABLE parent ({PARENT[engine.name]})", "CREATE TABLE other (id integer PRIMARY KEY, at varchar(20))")
    s.index("parent", "at", "parent_at")
    s.do("CREATE INDEX note_at ON parent (note, at)")
    for number, rule in enumerate(("CASCADE", "SET NULL", "RESTRICT", "NO ACTION")):
        s.do(
            f"CREATE TABLE child{number} (a integer PRIMARY KEY, p bigint, "
            f"FOREIGN KEY (p) REFERENCES parent (id) ON DELETE {rule})"
        )
    s.do(
        "CREATE TABLE tree (a integer, b integer, up_a integer, up_b integer, PRIMARY KEY (a, b), "
        "FOREIGN KEY (up_a, up_b) REFERENCES tree (a, b) ON DELETE CASCADE)"
    )
    s.do(*TRIGGERS[engine.name])
    found = looked_up(engine, "parent", "tree")
    columns = {(row["table"], row["column"]): row for row in found["columns"]}
    assert [name for table, name in columns if table == "parent"] == ["id", "at", "note", "twice"]
    assert all(row["schema"] == engine.schema for rows in found.values() for row in rows)
    indexed = {name for table, name in columns if table == "parent" and columns[table, name]["indexed"]}
    assert indexed == {"id", "at", "note"}
    assert [bool(columns["parent", name]["nullable"]) for name in ("id", "at", "note")] == [False, False, True]
    assert [bool(columns["parent", name]["generated"]) for name in ("id", "note", "twice")] == [False, False, True]
    assert [columns["tree", name]["key_position"] for name in ("a", "b", "up_a")] == [1, 2, None]
    children = {row["child_table"]: row for row in found["children"]}
    assert {name: row["on_delete"] for name, row in children.items()} == {
        "child0": "cascade", "child1": "set null", "child2": "no action", "child3": "no action", "tree": "cascade",
    }  # fmt: skip
    own = children["tree"]
    assert (own["schema"], own["table"], own["child_schema"]) == (engine.schema, "tree", engine.schema)
    assert (json.loads(own["child_columns"]), json.loads(own["parent_columns"])) == (["up_a", "up_b"], ["a", "b"])
    assert {bool(row["indexed"]) for name, row in children.items()} == {engine.name == "mysql"}
    assert [(row["table"], row["name"]) for row in found["triggers"]] == [("parent", "gone")]


def test_an_index_on_the_referring_column_is_seen(engine):
    s = engine.samples
    s.do(f"CREATE TABLE parent ({PARENT[engine.name]})", "CREATE TABLE child (p bigint, q integer)")
    if engine.name == "sqlite":
        s.do("DROP TABLE child", "CREATE TABLE child (p bigint, q integer, FOREIGN KEY (p) REFERENCES parent)")
    else:
        s.do("ALTER TABLE child ADD FOREIGN KEY (p) REFERENCES parent (id)")
    s.index("child", "p", "child_p")
    (row,) = looked_up(engine, "parent")["children"]
    assert (bool(row["indexed"]), json.loads(row["parent_columns"])) == (True, ["id"])


def referring(engine: Engine, table: str, columns: tuple[str, ...], *keys: list[list[str]], **more: object) -> int:
    """How many rows of `child` refer to old rows of a table, as the tool counts them: by keys of [its column, theirs] pairs."""
    listed = [{"column": column, "form": "any"} for column in columns]
    child = {"schema": engine.schema, "table": "child", "columns": listed, "key": []}
    edges = [{"parent": 0, "child": 1, "pairs": key} for key in keys]
    names = {"schema": engine.schema, "child_schema": engine.schema, "table": table, "child_table": "child"}
    relatives = {"tables": [child], "edges": edges}
    dates = {"date_column": "at", "cutoff": "2026-05-01"}
    return engine.call("count_referring_rows", **names, **dates, relatives=relatives, **more).output["rows"]


def test_rows_that_go_along_are_counted(engine):
    s = engine.samples
    s.do(f"CREATE TABLE parent ({PARENT[engine.name]})", "CREATE TABLE child (p integer, q integer)")
    s.do(
        "INSERT INTO parent (id, at, note) VALUES (1, '2026-01-01', 'a'), (2, '2026-01-01', 'b'), (3, '2026-10-01', 'a')"
    )
    s.do("INSERT INTO child VALUES (1, 1), (1, 3), (2, 3), (3, 2), (4, 3), (NULL, 2), (NULL, NULL)")
    first, second = [["p", "id"]], [["q", "id"]]
    assert referring(engine, "parent", ("p",), first) == 3
    assert referring(engine, "parent", ("q",), second) == 3
    assert referring(engine, "parent", ("p", "q"), first, second) == 5, "a row that refers to two is one row"
    only = [{"column": "note", "operator": "=", "value": "a"}]
    assert referring(engine, "parent", ("p",), first, filters=only) == 2
    assert referring(engine, "parent", ("p", "q"), first, second, filters=only) == 2


def test_a_key_of_several_columns_refers_by_all_of_them(engine):
    s = engine.samples
    s.do("CREATE TABLE log (a integer, b integer, at varchar(20), PRIMARY KEY (a, b))")
    s.do("CREATE TABLE child (x integer, y integer)")
    s.do(
        "INSERT INTO log VALUES (1, 1, '2026-01-01'), (1, 2, '2026-10-01')",
        "INSERT INTO child VALUES (1, 1), (1, 2), (1, NULL)",
    )
    assert referring(engine, "log", ("x", "y"), [["x", "a"], ["y", "b"]]) == 1


def test_the_ends_of_the_dates(engine):
    kind = {"postgresql": "timestamp", "mysql": "datetime", "sqlite": "text"}[engine.name]
    engine.samples.do(f"CREATE TABLE log (id integer PRIMARY KEY, at {kind})")
    assert (age(engine)["oldest"], age(engine)["newest"]) == (None, None)
    engine.samples.do("INSERT INTO log VALUES (1, NULL), (2, '2026-03-01 10:00:00'), (3, '2026-09-01 10:00:00')")
    found = age(engine)
    assert (found["oldest"], found["newest"]) == ("2026-03-01 10:00:00", "2026-09-01 10:00:00")
    engine.samples.index("log", "at", "log_at")
    assert {**age(engine), "rows": None} == {**found, "rows": None}


def test_the_cutoff_is_so_many_calendar_days_back(engine):
    found = engine.call("compute_cutoff", retention_days=90).output["cutoff"]
    cutoff = Cutoff(found["utc"], found["local"], found["zone"], found["now"])
    assert abs(datetime.fromisoformat(cutoff.now) - datetime.now(UTC)) < timedelta(minutes=1)
    assert datetime.fromisoformat(cutoff.now) - cutoff.moment == timedelta(days=90)
    assert (cutoff.local, cutoff.zone) == (
        cutoff.utc[:19].replace("T", " "),
        "UTC" if engine.name != "mysql" else "+00:00",
    )


@pytest.mark.parametrize("kind", ["timestamp", "datetime"])
def test_the_zone_of_the_server_is_that_of_the_cutoff(mariadb_engine, kind):
    """TIMESTAMP is compared in the session's zone, DATETIME was written in it; the cut-off is to the second."""
    s = mariadb_engine.samples
    s.do("SET GLOBAL time_zone = '+05:30'")
    try:
        s.do(f"CREATE TABLE log (id bigint PRIMARY KEY, at {kind} NOT NULL, KEY (at))")
        found = mariadb_engine.call("compute_cutoff", retention_days=90).output["cutoff"]
        cutoff = Cutoff(found["utc"], found["local"], found["zone"])
        assert cutoff.zone == "+05:30"
        assert datetime.fromisoformat(f"{cutoff.local}+05:30") == cutoff.moment
        before = written(method_class("mysql", kind, "", "", ""), cutoff)
        s.do(
            f"INSERT INTO log VALUES (1, '{before}' - INTERVAL 1 SECOND), (2, '{before}'), (3, '{before}' + INTERVAL 1 SECOND)"
        )
        where = {"schema": mariadb_engine.schema, "table": "log", "date_column": "at", "cutoff": before}
        for tool, key in (
            ("delete_old_records_by_date", {"key": ["at", "id"]}),
            ("delete_old_records", {"key": ["id"]}),
        ):
            assert mariadb_engine.call(tool, **where, **key).output["remaining"] == 0
            assert s.db.execute("SELECT id FROM log ORDER BY id") == [(2,), (3,)]
    finally:
        s.do("SET GLOBAL time_zone = DEFAULT")


@pytest.mark.parametrize(
    ("dates", "shapes"),
    [
        (["2026-01-01", "2026-02-01"], 1),
        (["2026-01-01 10:00:00", "2026-02-01 10:00:00.123"], 1),
        (["2026-01-01T10:00:00Z", "2026-02-01T10:00Z"], 1),
        (["2026-01-01T10:00:00+02:00", "2026-02-01T10:00:00.5+02:00"], 1),
        (["2026-01-01T10:00:00+02:00", "2026-12-01T10:00:00+01:00", "2026-02-01T10:00:00+0100"], 3),
        (["2026-01-01 10:00:00", "2026-02-01T10:00:00", "2026-03-01 10:00:00"], 2),
        (["2026-01-01 10:00:00", "2026-02-01", "yesterday", "2026-01-01T10:00:00Z"], 4),
        ([1777593600, None], 0),
        ([], 0),
    ],
)
def test_the_ways_in_which_sqlites_texts_are_written(sqlite_engine, dates, shapes):
    sqlite_engine.samples.do("CREATE TABLE log (at)")
    for date in dates:
        sqlite_engine.db.execute("INSERT INTO log VALUES (?)", (date,))
    found = age(sqlite_engine)
    assert (found["shapes"], found["rows"]) == (shapes, len(dates))


def test_sqlite_sorts_numbers_before_texts_before_blobs(sqlite_engine):
    sqlite_engine.samples.do("CREATE TABLE log (at)", "INSERT INTO log VALUES (X'c3a9'), ('2026-01-01'), (5), (2.5)")
    found = age(sqlite_engine)
    assert (found["oldest"], found["newest"]) == ("2.5", "C3A9")


TRIGGER_TEXTS = {
    "deleted": 'CREATE TRIGGER IF NOT EXISTS main."{}"\n  AFTER\tDELETE ON log BEGIN SELECT 1; END',
    "bare": "CREATE TRIGGER bare DELETE ON log BEGIN SELECT 1; END",
    "com'ment": "CREATE TRIGGER 'com''ment' AFTER /* not INSERT */ DELETE ON log BEGIN SELECT 1; END",
    'after "insert': 'CREATE TRIGGER "after ""insert" BEFORE DELETE ON log BEGIN INSERT INTO other VALUES (1); END',
}
OTHER_TEXTS = (
    'CREATE TRIGGER "x DELETE" AFTER INSERT ON log BEGIN DELETE FROM log; END',
    "CREATE TRIGGER [delete] BEFORE\nUPDATE OF at ON log WHEN 1 BEGIN DELETE FROM log; END",
    "CREATE TRIGGER `q``delete on` INSERT ON log BEGIN DELETE FROM log; END",
    "CREATE TRIGGER elsewhere AFTER DELETE ON other BEGIN DELETE FROM log; END",
)


def test_the_triggers_of_sqlite_are_told_by_their_definition(sqlite_engine):
    sqlite_engine.samples.do("CREATE TABLE log (at)", "CREATE TABLE other (a)")
    for name, text in TRIGGER_TEXTS.items():
        sqlite_engine.samples.do(text.replace("{}", name))
    sqlite_engine.samples.do(*OTHER_TEXTS)
    assert {row["name"] for row in looked_up(sqlite_engine, "log")["triggers"]} == set(TRIGGER_TEXTS)


def test_who_waits_for_a_lock_is_counted(server_engine):
    s = server_engine.samples
    s.do("CREATE TABLE log (id integer PRIMARY KEY)", "INSERT INTO log VALUES (1)")
    holder, waiter = s.db.connect(), s.db.connect()

    def waiting() -> int:
        time.sleep(0.2)  # InnoDB looks again only when nobody has asked for a tenth of a second
        return server_engine.call("show_waiters", session=session).output["waiting"]

    with holder.cursor() as cursor:
        cursor.execute("SELECT CONNECTION_ID()" if server_engine.name == "mysql" else "SELECT pg_backend_pid()")
        session = str(cursor.fetchone()[0])
        assert waiting() == 0
        cursor.execute("BEGIN")
        cursor.execute("DELETE FROM log")
        thread = threading.Thread(target=lambda: waiter.cursor().execute("DELETE FROM log"))
        thread.start()
        try:
            wait_until(waiting, "the waiter is seen")
            assert waiting() == 1
        finally:
            cursor.execute("ROLLBACK")
            thread.join()
    assert server_engine.call("show_waiters", session="").output == {"waiting": 0}


def test_without_process_there_is_nobody_to_be_seen(mariadb_engine):
    mariadb_engine.hidden = {"process"}
    assert not registry().has("show_waiters", mariadb_engine.server())


def writing(engine: Engine) -> str:
    with engine.database.session(SessionOptions(read_only=False)) as session:
        sql = "SELECT @@tx_isolation AS level"
        return str(session.query(Statement(sql, {}, sql))[0]["level"])


def test_others_insert_between_the_rows_that_a_batch_deletes(mariadb_engine):
    assert writing(mariadb_engine) == "READ-COMMITTED"
    mariadb_engine.samples.do("CREATE TABLE log (id integer PRIMARY KEY, at datetime)")
    mariadb_engine.samples.do("INSERT INTO log VALUES (10, '2026-01-01'), (20, '2026-10-01'), (30, '2026-01-01')")
    other = mariadb_engine.db.connect()
    with mariadb_engine.database.session(SessionOptions(read_only=False)) as session, session.transaction():
        sql = "DELETE FROM log WHERE id > 5 AND id <= 40 AND at < '2026-05-01'"
        assert session.execute(Statement(sql, {}, sql)).count == 2
        with other.cursor() as cursor:
            cursor.execute("SET innodb_lock_wait_timeout = 1")
            cursor.execute("INSERT INTO log VALUES (15, '2026-10-01'), (35, '2026-10-01')")
            cursor.execute("UPDATE log SET at = '2026-10-02' WHERE id = 20")
            with pytest.raises(pymysql.OperationalError, match="Lock wait timeout"):
                cursor.execute("INSERT INTO log VALUES (10, '2026-10-01')")
    assert mariadb_engine.db.execute("SELECT id FROM log ORDER BY id") == [(15,), (20,), (35,)]


def test_a_binary_log_of_statements_keeps_its_isolation(mariadb_server_factory):
    """There READ COMMITTED lets nothing be changed (error 1665)."""
    server = mariadb_server_factory({"log-bin": "binlog", "binlog-format": "STATEMENT", "server-id": "7"})
    engine = Engine(server.create("logs"))
    try:
        assert writing(engine) == "REPEATABLE-READ"
        engine.samples.do("CREATE TABLE log (id integer PRIMARY KEY, at datetime)")
        engine.samples.do("INSERT INTO log VALUES (1, '2026-01-01'), (2, '2026-10-01')")
        where = {"schema": "logs", "table": "log", "date_column": "at", "cutoff": "2026-05-01", "key": ["id"]}
        assert engine.call("delete_old_records", **where).output["rows_deleted"] == 1
    finally:
        engine.close()


def test_what_has_to_be_known_of_a_table_whose_rows_take_others_along(engine):
    s = engine.samples
    s.do(f"CREATE TABLE parent ({PARENT[engine.name]})")
    for number, rule in enumerate(("CASCADE", "SET NULL", "NO ACTION")):
        s.do(
            f"CREATE TABLE child{number} (a integer PRIMARY KEY, p bigint, "
            f"FOREIGN KEY (p) REFERENCES parent (id) ON DELETE {rule})"
        )
    for trigger in TRIGGERS[engine.name]:
        s.do(trigger)
    told = engine.call("inspect_relatives", schema=engine.schema, table="parent").output
    assert {row["column"] for row in told["columns"] if row["key_position"]} == {"id"}
    assert {row["column"] for row in told["columns"] if row["generated"]} == {"twice"}
    assert {row["child_table"]: row["on_delete"] for row in told["children"]} == {
        "child0": "cascade",
        "child1": "set null",
        "child2": "no action",
    }
    assert {row["name"] for row in told["effects"]} >= {"gone", "changed"}
