"""`log-cleanup --archive` of a table whose rows take others with them: all of it is in the archive, and comes back."""

from __future__ import annotations

import shlex
import sqlite3
from datetime import date

import psycopg
import pymysql
import pytest

from aishell.models import Task
from aishell.running.archive_delete import Deleting, DeletingRelated
from aishell.site import Site
from tests import families, logs
from tests.fix_tools import ENGINES, label

pytestmark = pytest.mark.versions


@pytest.fixture(params=ENGINES, ids=label)
def family(request):
    """A database with the tables of tests/families.py, and its engine."""
    db = request.getfixturevalue(request.param)
    engine = {"pg": "postgresql", "mariadb": "mysql", "sqlite": "sqlite"}[request.param.split("_")[0]]
    families.make(db, engine)
    return db, engine


def cleanup(aishell, db, *more, code=0, table="orders"):
    fixed = ("--url", db.url, "--environment", "test", "--yes", "--output", "json")
    days = () if "--retention-days" in more else ("--retention-days", "90")
    return aishell("run", "log-cleanup", "--table", table, *days, *more, *fixed).expect(code)


def archives_of(aishell):
    return aishell("archives", "list", "--output", "json").expect(0).json


def load(aishell, db, archive, *more, code=0):
    fixed = ("--url", db.url, "--environment", "test", "--yes", "--output", "json")
    return aishell("archives", "load", archive["archive_id"], *fixed, *more).expect(code)


@pytest.mark.sampled
@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_what_a_deletion_takes_along_comes_back(aishell, family, kind):
    db, engine = family
    before = families.prints(db, engine)
    result = cleanup(aishell, db, "--archive", "--archive-format", kind).json
    assert result["status"] == "success", result
    after = families.prints(db, engine)
    assert all(after[table] != before[table] for table in before), "each table lost rows, or had some changed"
    assert after["notes"][0] == before["notes"][0]
    (archive,) = archives_of(aishell)
    assert {one["table"] for one in archive["relatives"]} >= set(families.tables(engine)) - {"orders"}
    aishell("archives", "verify").expect(0)
    undo = ("runs", "undo", result["run_id"], "--url", db.url)
    hint = aishell(*undo).expect(2).err.rpartition("put back by ")[2]
    assert shlex.split(hint)[-3:] == ["archives", "load", archive["archive_id"]]
    loaded = load(aishell, db, archive).json
    assert loaded["status"] == "success"
    assert families.prints(db, engine) == before
    assert {"load_archive", "restore_references"} <= {action["tool"] for action in loaded["actions_taken"]}
    load(aishell, db, archive)
    assert families.prints(db, engine) == before, "loading it again changes nothing"


def in_process(aishell, db, table="orders"):
    """The same run in this process, where the test can come in between."""
    given = {"table": table, "retention_days": 90, "archive": True}
    with Site.open(aishell.site, state=aishell.state) as site:
        preview = site.plan(Task("log_cleanup", db.url, given), environment="test")
        return site.run(preview, yes=True)


def steps_of(result):
    return {step.step_id: step for step in result.steps}


LATE = "INSERT INTO items VALUES (9001, 1, 'came in')"
CHANGE = "UPDATE parts SET size = 0.5 WHERE item_id = 6 AND n = 0"


@pytest.mark.sampled
@pytest.mark.parametrize("statement", [LATE, CHANGE], ids=["a row came in", "a row was changed"])
def test_what_is_not_archived_as_it_is_now_stays_with_all_it_refers_to(aishell, family, statement, monkeypatch):
    """Between the two steps: order 1 and 3 stay, with what refers to them; what went is in the archive."""
    db, engine = family
    begin = DeletingRelated._begin

    def changed(self, row):
        db.execute(statement)
        return begin(self, row)

    monkeypatch.setattr(DeletingRelated, "_begin", changed)
    before = families.prints(db, engine)
    result = in_process(aishell, db)
    assert result.output_data["tables"], result
    told = result.output_data["deferred"]
    assert "changed since they were archived" in told[0]["reason"]
    (kept,) = db.execute("SELECT count(*) FROM orders WHERE id IN (1, 3)")[0]
    assert kept >= 1
    assert db.execute("SELECT count(*) FROM items WHERE id = 9001")[0][0] == (statement == LATE)
    if engine != "postgresql":  # what is deferred is a chunk, however many rows that are
        assert 0 < result.output_data["rows_deleted"] < families.ROWS // 2
    (archive,) = archives_of(aishell)
    load(aishell, db, archive)
    db.execute("DELETE FROM items WHERE id = 9001" if statement == LATE else CHANGE.replace("0.5", repr(6 / 7)))
    assert families.prints(db, engine) == before


def test_a_row_that_comes_in_between_the_look_and_the_deletion_is_not_taken_along(aishell, family, monkeypatch):
    """PostgreSQL lets it in and refuses the deletion; the others keep it out until the batch is over."""
    db, engine = family
    looked = DeletingRelated._looked
    kept_out = []

    def then_a_row_comes_in(self, session, values):
        rows = looked(self, session, values)
        if not kept_out:
            kept_out.append(refused(db, engine, LATE))
        return rows

    monkeypatch.setattr(DeletingRelated, "_looked", then_a_row_comes_in)
    result = in_process(aishell, db)
    assert kept_out == [engine != "postgresql"]
    assert db.execute("SELECT count(*) FROM items WHERE id = 9001")[0][0] == (engine == "postgresql")
    assert db.execute("SELECT count(*) FROM orders WHERE id = 1")[0][0] == (engine == "postgresql")
    assert result.output_data["rows_deleted"] > 0


def refused(db, engine, statement):
    """Whether a statement of somebody else has to wait for a lock, for longer than it would."""
    limits = {
        "mysql": "SET innodb_lock_wait_timeout = 1",
        "postgresql": "SET lock_timeout = 500",
        "sqlite": "PRAGMA busy_timeout = 200",
    }
    connection = db.connect()
    try:
        cursor = connection.cursor()
        cursor.execute(limits[engine])
        cursor.execute(statement)
        connection.commit()
    except (pymysql.err.OperationalError, sqlite3.OperationalError, psycopg.errors.LockNotAvailable):
        return True
    finally:
        connection.close()
    return False


@pytest.mark.sampled
@pytest.mark.parametrize("table", ["orders", "app_log"])
def test_a_foreign_key_that_was_made_since_stops_the_deletion(aishell, family, table, monkeypatch):
    db, engine = family
    if table == "app_log":
        logs.fill(db, engine, 100)
    begin = Deleting._begin

    def referred_to(self, row):
        key = f"FOREIGN KEY (p) REFERENCES {table} (id) ON DELETE CASCADE"
        db.execute(f"CREATE TABLE late (id bigint PRIMARY KEY, p bigint, {key})")
        return begin(self, row)

    monkeypatch.setattr(Deleting, "_begin", referred_to)
    result = in_process(aishell, db, table)
    assert "is referenced by other foreign keys than when this was planned" in str(result.error)
    assert result.output_data["rows_deleted"] == 0


LOG = "CREATE TABLE log (id bigint PRIMARY KEY, at {time} NOT NULL)"
CHILD = "CREATE TABLE child (id bigint PRIMARY KEY, p bigint NOT NULL, FOREIGN KEY (p) REFERENCES log (id) ON DELETE CASCADE)"
INDEX = "CREATE INDEX child_p ON child (p)"
GRAND = "CREATE TABLE grand (id bigint PRIMARY KEY, c bigint NOT NULL, FOREIGN KEY (c) REFERENCES child (id){more})"
TRIGGER = {
    "postgresql": (
        "CREATE FUNCTION take() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN /* x */ DELETE FROM other; RETURN OLD; END $$",
        "CREATE TRIGGER taking AFTER DELETE ON {} FOR EACH ROW EXECUTE FUNCTION take()",
    ),
    "mysql": ("CREATE TRIGGER taking AFTER DELETE ON {} FOR EACH ROW DELETE FROM other",),
    "sqlite": ("CREATE TRIGGER taking AFTER DELETE ON {} BEGIN DELETE FROM other; END",),
}
OTHER = "CREATE TABLE other (id bigint PRIMARY KEY)"
#: What is there -> what the refusal says; and on which engines, where not on all.
REFUSED = {
    "no primary key": ((CHILD.replace("id bigint PRIMARY KEY", "id bigint"), INDEX), "it has no primary key"),
    "no index": ((CHILD,), "without an index", "postgresql sqlite"),
    "a key that is not found again": (
        (CHILD.replace("id bigint PRIMARY KEY", "id float PRIMARY KEY"), INDEX), "do not compare as they are sent back", "mysql",
    ),
    "a trigger of the table": ((OTHER, "trigger log"), "the trigger taking of"),
    "a trigger of a relative": ((CHILD, INDEX, OTHER, "trigger child"), "the trigger taking of", "postgresql sqlite"),
    "a rule": (("CREATE RULE taking AS ON DELETE TO log DO ALSO SELECT 1",), "the rule taking of", "postgresql"),
    "referred to in two steps": (
        (CHILD, INDEX, GRAND.format(more="")), "the database refuses to delete them",
    ),
    "a circle without NULL": (
        (CHILD, INDEX, "ALTER TABLE child ADD own bigint NOT NULL DEFAULT 1", "own"), "could not be put back", "postgresql",
    ),
    "a default that is no constant": (
        (CHILD.replace("p bigint NOT NULL", "p bigint DEFAULT (1 + 1)").replace("CASCADE", "SET DEFAULT"), INDEX),
        "get the default", "postgresql sqlite",
    ),
}  # fmt: skip


@pytest.mark.sampled
@pytest.mark.parametrize("why", REFUSED)
def test_what_could_be_lost_is_refused_before_anything_is_touched(aishell, request, why, family_db):
    db, engine = family_db
    statements, message, *engines = REFUSED[why]
    if engines and engine not in engines[0]:
        pytest.skip(f"not on {engine}")
    typed = families.TYPES[engine]["time"]
    db.execute(LOG.format(time=typed))
    for statement in statements:
        if statement.startswith("trigger "):
            for part in TRIGGER[engine]:
                db.execute(part.format(statement.removeprefix("trigger ")))
        elif statement == "own":
            db.execute("ALTER TABLE child ADD FOREIGN KEY (own) REFERENCES child (id) ON DELETE CASCADE")
            db.execute("CREATE INDEX child_own ON child (own)")
        else:
            db.execute(statement)
    db.execute(f"INSERT INTO log VALUES (1, {families.AGO[engine].format(100)})")
    said = cleanup(aishell, db, "--archive", table="log", code=2)
    assert message in said.err
    assert any(way_out in said.err for way_out in ("without --archive", "create an index", "with --table too"))
    assert db.execute("SELECT count(*) FROM log")[0][0] == 1
    assert not (aishell.site / "archives").exists()


@pytest.fixture(params=ENGINES, ids=label)
def family_db(request):
    """An empty database on each server in turn, and its engine."""
    engine = {"pg": "postgresql", "mariadb": "mysql", "sqlite": "sqlite"}[request.param.split("_")[0]]
    return request.getfixturevalue(request.param), engine


def test_a_row_of_any_width_comes_back(aishell, family_db):
    db, engine = family_db
    width = 300
    columns = ", ".join(f"c{n} integer" for n in range(width))
    db.execute(f"CREATE TABLE wide (id integer PRIMARY KEY, at {families.TYPES[engine]['time']} NOT NULL, {columns})")
    values = ", ".join("NULL" if n % 3 == 0 else str(n) for n in range(width))
    for number in range(1, 4):
        db.execute(f"INSERT INTO wide VALUES ({number}, {families.AGO[engine].format(100)}, {values})")
    before = db.execute("SELECT * FROM wide ORDER BY id")
    assert cleanup(aishell, db, "--archive", table="wide").json["output_data"]["rows_deleted"] == 3
    assert db.execute("SELECT count(*) FROM wide")[0][0] == 0
    (archive,) = archives_of(aishell)
    load(aishell, db, archive)
    assert db.execute("SELECT * FROM wide ORDER BY id") == before


def test_the_rows_of_the_table_alone_go_into_another_one(aishell, family):
    db, _ = family
    cleanup(aishell, db, "--archive")
    (archive,) = archives_of(aishell)
    db.execute("CREATE TABLE scratch AS SELECT * FROM orders WHERE 1 = 0")
    loaded = load(aishell, db, archive, "--table", "scratch").json
    assert loaded["output_data"]["rows_loaded"] == archive["rows"] == families.ROWS // 2
    assert any("is not loaded: --table names another table" in text for text in loaded["output_data"]["warnings"])


def test_the_employees_come_back_with_all_they_had(aishell, family_db):
    """Those hired before 1993 go, with their departments, titles and salaries."""
    db, _ = family_db
    families.make_employees(db)
    before = families.prints_of_employees(db)
    days = (date.today() - date(1993, 1, 1)).days  # noqa: DTZ011  a day more or less is none of these
    gone = cleanup(
        aishell, db, "--archive", "--date-column", "hire_date", "--retention-days", str(days), table="employees"
    ).json
    after = families.prints_of_employees(db)
    assert gone["output_data"]["rows_deleted"] == before["employees"][0] - after["employees"][0] == 151
    tools = {action["tool"] for action in gone["actions_taken"]}
    assert {"archive_related_records", "delete_related_records"} <= tools
    assert gone["output_data"]["tables"][next(iter(gone["output_data"]["tables"]))]["relatives_deleted"] == sum(
        before[table][0] - after[table][0] for table in before if table != "employees"
    )
    (archive,) = archives_of(aishell)
    load(aishell, db, archive)
    assert families.prints_of_employees(db) == before


def test_texts_of_other_character_sets_come_back_with_all_their_rows(aishell, mariadb):
    """Keys and values of tables whose texts are all latin1, or cp1251, as many old databases have them."""
    for statement in (
        "CREATE TABLE orders (id varchar(9) PRIMARY KEY, created_at datetime NOT NULL, t text) CHARACTER SET latin1",
        "CREATE TABLE items (order_id varchar(9) CHARACTER SET latin1, n int, t text, PRIMARY KEY (order_id, n), "
        "FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE) CHARACTER SET cp1251",
        "INSERT INTO orders VALUES ('é1', NOW() - INTERVAL 100 DAY, 'naïve'), ('ü2', NOW() - INTERVAL 100 DAY, NULL)",
        "INSERT INTO items VALUES ('é1', 1, 'жук'), ('é1', 2, ''), ('ü2', 1, 'я')",
    ):
        mariadb.execute(statement)
    queries = (
        "SELECT id, HEX(id), HEX(t) FROM orders ORDER BY id",
        "SELECT HEX(order_id), n, HEX(t) FROM items ORDER BY 1, 2",
    )
    before = [mariadb.execute(query) for query in queries]
    assert cleanup(aishell, mariadb, "--archive").json["status"] == "success"
    assert not any(mariadb.execute(query) for query in queries)
    load(aishell, mariadb, *archives_of(aishell))
    assert [mariadb.execute(query) for query in queries] == before


def test_a_limit_is_refused_where_rows_of_the_table_itself_go_with_others(aishell, log_db):
    """A foreign key of the table on itself would take all that hang on one."""
    db, engine = log_db
    logs.fill(db, engine, 200)
    db.execute(
        "CREATE TABLE app_tree (id BIGINT PRIMARY KEY, created_at TIMESTAMP NULL, above BIGINT, "
        "FOREIGN KEY (above) REFERENCES app_tree (id) ON DELETE CASCADE)"
    )
    db.execute("CREATE INDEX tree_above ON app_tree (above)")
    db.execute("INSERT INTO app_tree SELECT id, created_at, NULL FROM app_log")
    words = ("run", "log-cleanup", "--table", "app_tree", "--retention-days", "90", "--max-rows", "10")
    refused = aishell(*words, "--url", db.url, "--environment", "test", "--yes").expect(2)
    assert "max_rows cannot limit what is deleted" in refused.err
    assert db.execute("SELECT count(*) FROM app_tree") == [(200,)]
