"""`archives load` puts back what the run deleted, as it was: not what changed in between, and not what triggers make of it."""

from __future__ import annotations

import pytest

from aishell.archives.fates import NOTES
from aishell.models import Task
from aishell.running.archive_delete import Deleting
from aishell.site import Site
from tests import families, logs
from tests.faults.killed import Fault
from tests.faults.killing import KILLED
from tests.fix_tools import ENGINES, label

pytestmark = pytest.mark.versions


@pytest.fixture(params=ENGINES, ids=label)
def database(request):
    """An empty database on each server in turn, and its engine."""
    engine = {"pg": "postgresql", "mariadb": "mysql", "sqlite": "sqlite"}[request.param.split("_")[0]]
    return request.getfixturevalue(request.param), engine


def fixed(db):
    return ("--url", db.url, "--environment", "test", "--yes", "--output", "json")


def words(db, table, *more):
    small = ("--set", "batch_target_ms=1")
    return ("run", "log-cleanup", "--table", table, "--retention-days", "90", "--archive", *small, *more, *fixed(db))


def archives_of(aishell):
    """The oldest first; two of the same second are listed by their names."""
    return sorted(aishell("archives", "list", "--output", "json").expect(0).json, key=lambda row: row["created_at"])


def load(aishell, db, archive, *more):
    return aishell("archives", "load", archive["archive_id"], *fixed(db), *more).expect(0).json


#: Table -> what others do between archive and deletion: a row is corrected, and one is deleted.
MEANWHILE = {
    "app_log": ("UPDATE app_log SET message = 'corrected' WHERE id = 1999", "DELETE FROM app_log WHERE id = 1997"),
    "orders": ("UPDATE orders SET note = 'corrected' WHERE id = 239", "DELETE FROM parts WHERE item_id = 474"),
}


def made(db, engine, table):
    """The table, filled; what tells all of its rows, and those of its family."""
    if table == "orders":
        families.make(db, engine)
        return lambda: families.prints(db, engine)
    logs.fill(db, engine, 2000)
    return lambda: db.execute("SELECT id, message FROM app_log ORDER BY id")


def interfered(aishell, db, table, statements, monkeypatch):
    """A clean-up in this process; what others do comes in before its first deletion."""
    begin = Deleting._begin

    def then_others_write(self, row):
        for statement in statements:
            db.execute(statement)
        return begin(self, row)

    given = {"table": table, "retention_days": 90, "archive": True, "batch_target_ms": 1}
    with monkeypatch.context() as patch, Site.open(aishell.site, state=aishell.state) as site:
        patch.setattr(Deleting, "_begin", then_others_write)
        return site.run(site.plan(Task("log_cleanup", db.url, given), environment="test"), yes=True)


@pytest.mark.sampled
@pytest.mark.parametrize("table", MEANWHILE)
def test_loaded_in_whatever_order_no_older_version_of_a_row_comes_back(aishell, database, table, monkeypatch):
    db, engine = database
    seen = made(db, engine, table)
    interfered(aishell, db, table, MEANWHILE[table], monkeypatch)
    aishell(*words(db, table)).expect(0)
    for statement in MEANWHILE[table]:  # as it is without any clean-up
        db.execute(statement)
    first, second = archives_of(aishell)
    assert first["rows_left_out"] > 0
    assert first["rows_in_doubt"] == second["rows_in_doubt"] == 0
    loaded = aishell("archives", "load", first["archive_id"], *fixed(db))
    told = loaded.json["output_data"]
    assert told["rows_left_out"] > 0
    assert any(second["archive_id"] in warning for warning in told["warnings"]), "the newer one is named before"
    load(aishell, db, second)
    if loaded.code:  # rows of it refer to such that went later: those have to be there
        assert table == "orders"
        load(aishell, db, first)
    after = seen()
    if table == "app_log":
        assert [row[0] for row in after] == [n for n in range(1, 2001) if n != 1997]
        assert dict(after)[1999] == "corrected"
    else:
        assert db.execute("SELECT note FROM orders WHERE id = 239") == [("corrected",)]
        assert db.execute("SELECT count(*) FROM orders") == [(families.ROWS + 1,)]
        assert db.execute("SELECT count(*) FROM parts WHERE item_id = 474") == [(0,)]
        assert db.execute("SELECT count(*) FROM items") == [(families.ROWS * 2,)]
    checked = aishell("archives", "verify", first["archive_id"]).expect(0)
    assert "not to be loaded" in checked.out
    assert "not to be loaded" in aishell("archives", "list").expect(0).out


def test_what_an_older_aishell_archived_is_loaded_whole_and_said_to_be_unknown(aishell, database):
    db, engine = database
    seen = made(db, engine, "orders")
    before = seen()
    aishell(*words(db, "orders")).expect(0)
    (notes,) = (aishell.site / "archives").rglob(NOTES)
    notes.unlink()
    (archive,) = archives_of(aishell)
    assert archive["rows_left_out"] is archive["rows_in_doubt"] is None
    for told in ("list", "verify"):
        assert "(deletion not recorded)" in aishell("archives", told).expect(0).out
    loaded = load(aishell, db, archive)
    assert any("does not record which rows" in warning for warning in loaded["output_data"]["warnings"])
    assert seen() == before
    assert load(aishell, db, archive)["output_data"]["rows_loaded"] == 0


@pytest.mark.sampled
@pytest.mark.parametrize("table", MEANWHILE)
def test_killed_between_a_deletion_and_its_note_the_rows_are_loaded_and_said_to_be_in_doubt(aishell, database, table):
    db, engine = database
    seen = made(db, engine, table)
    before = seen()
    assert aishell(*words(db, table), fault=Fault(2, "before", "note")).code == KILLED
    aishell("runs", "resume", aishell.only_run(), "--output", "json").expect(0)
    (archive,) = archives_of(aishell)
    assert archive["rows_in_doubt"] > 0
    loaded = load(aishell, db, archive)
    assert "whether the clean-up deleted them" in loaded["reasoning"]
    assert any("may not have been deleted" in warning for warning in loaded["output_data"]["warnings"])
    assert seen() == before


#: A table that refers to itself, and one that refers to it, whose rows tell when they were changed.
TREE = (
    "CREATE TABLE ev (id bigint PRIMARY KEY, created_at {time} NOT NULL, up bigint, root bigint, touched {time} NOT NULL, "
    "FOREIGN KEY (up) REFERENCES ev (id) ON DELETE CASCADE, FOREIGN KEY (root) REFERENCES ev (id) ON DELETE CASCADE)",
    "CREATE TABLE memo (id bigint PRIMARY KEY, ev bigint, touched {time} NOT NULL, "
    "FOREIGN KEY (ev) REFERENCES ev (id) ON DELETE SET NULL)",
    "CREATE INDEX ev_up ON ev (up)",
    "CREATE INDEX ev_root ON ev (root)",
    "CREATE INDEX memo_ev ON memo (ev)",
)
TOUCH = {
    "postgresql": (
        "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.touched := now(); RETURN NEW; END'",
        "CREATE TRIGGER touch_{0} BEFORE UPDATE ON {0} FOR EACH ROW EXECUTE FUNCTION touch()",
    ),
    "mysql": ("CREATE TRIGGER touch_{0} BEFORE UPDATE ON {0} FOR EACH ROW SET NEW.touched = NOW()",),
    "sqlite": (
        "CREATE TRIGGER touch_{0} AFTER UPDATE ON {0} BEGIN UPDATE {0} SET touched = datetime('now') WHERE id = NEW.id; END",
    ),
}
THEN = "'2024-01-01 00:00:00'"


def grown(db, engine, circle, rows=600):
    """Chains that lie forwards, backwards and across, most of them old; memos of which a third refers to nothing."""
    for statement in TREE:
        db.execute(statement.format(**families.TYPES[engine]))
    ago = families.AGO[engine]
    events = ", ".join(f"({n}, {ago.format(100 if n % 7 else 10)}, NULL, NULL, {THEN})" for n in range(1, rows + 1))
    db.execute(f"INSERT INTO ev VALUES {events}")
    db.execute("UPDATE ev SET up = CASE WHEN id BETWEEN 301 AND 500 THEN id - 300 WHEN id < 50 THEN id + 1 END")
    db.execute("UPDATE ev SET root = 600 WHERE id = 100")
    if circle:
        db.execute("UPDATE ev SET up = CASE WHEN id = 590 THEN 592 ELSE 590 END WHERE id IN (590, 592)")
    memos = ", ".join(f"({n}, {n if n % 3 else 'NULL'}, {THEN})" for n in range(1, rows + 1))
    db.execute(f"INSERT INTO memo VALUES {memos}")
    for number, table in enumerate(("ev", "memo")):
        for statement in TOUCH[engine][-1 if number else 0 :]:
            db.execute(statement.format(table))
        db.execute(f"ANALYZE {'TABLE ' if engine == 'mysql' else ''}{table}")


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
@pytest.mark.sampled
def test_rows_that_refer_to_their_own_table_come_back_untouched_by_its_triggers(aishell, database, kind):
    db, engine = database
    grown(db, engine, circle=False)
    ev, memo = "SELECT * FROM ev ORDER BY id", "SELECT id, ev FROM memo ORDER BY id"
    before = db.execute(ev), db.execute(memo)
    aishell(*words(db, "ev", "--archive-format", kind)).expect(0)
    gone, unset = (
        len(before[0]) - len(db.execute(ev)),
        sum(a != b for a, b in zip(before[1], db.execute(memo), strict=True)),
    )
    assert gone > 514
    (archive,) = archives_of(aishell)
    first = load(aishell, db, archive)
    assert first["status"] == "success"
    assert (db.execute(ev), db.execute(memo)) == before
    told = first["output_data"]
    assert (told["rows_loaded"], told["rows_left"], told["rows_restored"]) == (gone, 0, unset)
    touched = db.execute("SELECT id, touched FROM memo ORDER BY id")
    again = load(aishell, db, archive)
    assert again["status"] == "success"
    told = again["output_data"]
    assert (told["rows_loaded"], told["rows_left"], told["rows_restored"]) == (0, gone, 0)
    assert "None" not in again["reasoning"]
    assert db.execute("SELECT id, touched FROM memo ORDER BY id") == touched
    assert (db.execute(ev), db.execute(memo)) == before


def test_a_circle_is_closed_afterwards_and_what_that_sets_off_is_named_before(aishell, database):
    db, engine = database
    grown(db, engine, circle=True)
    seen = "SELECT id, created_at, up, root FROM ev ORDER BY id"
    untouched = f"SELECT count(*) FROM ev WHERE touched = {THEN}"
    before, (rows,) = db.execute(seen), db.execute(untouched)
    aishell(*words(db, "ev")).expect(0)
    (archive,) = archives_of(aishell)
    preview = aishell("archives", "load", archive["archive_id"], *fixed(db), "--dry-run").expect(0).json
    warnings = "; ".join(preview["output_data"]["warnings"])
    assert "ev: each row that refers to others in a circle fires touch_ev" in warnings
    assert "memo: each row that gets back what it held fires touch_memo" in warnings
    loaded = load(aishell, db, archive)
    assert loaded["status"] == "success"
    assert db.execute(seen) == before
    assert db.execute(untouched) == [(rows[0] - 2,)], "the two of the circle, and no other"
    assert load(aishell, db, archive)["output_data"]["rows_restored"] == 0


def test_a_load_that_does_not_bring_all_rows_says_how_many_there_are(aishell, sqlite):
    """Here a trigger takes rows away again. The advice names no command that does not exist."""
    logs.fill(sqlite, "sqlite", 2000)
    aishell(*words(sqlite, "app_log")).expect(0)
    sqlite.execute("DELETE FROM app_log")
    sqlite.execute("CREATE TRIGGER no BEFORE INSERT ON app_log WHEN NEW.id < 10 BEGIN SELECT RAISE(IGNORE); END")
    (archive,) = archives_of(aishell)
    where = ("--url", sqlite.url, "--environment", "test", "--yes")
    said = aishell("archives", "load", archive["archive_id"], *where).expect(4)
    assert "the table has 995 row(s), the archive 1,000" in said.out + said.err
    assert "None" not in said.out
    assert "archive-load" not in said.out
