"""Restores in place on MariaDB: what is no table comes back whatever its kind, and a failure behind the exchange is undone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pymysql
import pytest

from aishell.backups.mariadb import replace
from aishell.errors import BackupError
from tests.backups.in_place import InPlace
from tests.backups.mariadb_samples import Tried, content, databases, enabled_events
from tests.fix_aishell import Aishell
from tests.mariadb import MariadbDatabase
from tests.servers import HOST, wait_until

PACKAGE = (
    """CREATE PACKAGE tools AS FUNCTION twice (x int) RETURN int; PROCEDURE note (t varchar(20)); END""",
    """CREATE PACKAGE BODY tools AS
         FUNCTION twice (x int) RETURN int AS BEGIN RETURN x * 2; END;
         PROCEDURE note (t varchar(20)) AS BEGIN INSERT INTO notes VALUES (t); END;
       END""",
    "CREATE PACKAGE bare AS PROCEDURE later; END",
    "CREATE PROCEDURE oracles (x IN int) AS BEGIN NULL; END",
)
PLAIN = (
    "CREATE TABLE notes (note varchar(20))",
    "CREATE SEQUENCE numbers",
    "CREATE TABLE counted (id int DEFAULT nextval(numbers), note text)",
    "INSERT INTO counted (note) VALUES ('a'), ('b')",
    "CREATE FUNCTION thrice (x int) RETURNS int DETERMINISTIC RETURN x * 3",
    "CREATE PROCEDURE slow (x int) DO SLEEP(x)",
    "CREATE VIEW z_view AS SELECT id, thrice(id) AS three FROM counted",
    "CREATE VIEW a_view AS SELECT three FROM z_view",
    "CREATE TRIGGER noted AFTER INSERT ON counted FOR EACH ROW INSERT INTO notes VALUES (NEW.note)",
    "CREATE EVENT daily ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01' DO DELETE FROM notes",
    "CREATE EVENT sleeping ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01' DISABLE DO DELETE FROM notes",
)
#: What a session can be in the midst of, so that it cannot be dropped.
BUSY = {
    "function": "SELECT thrice(1), SLEEP(60)",
    "package": "SELECT tools.twice(1), SLEEP(60)",
}


def fill(db: MariadbDatabase) -> None:
    for statement in PLAIN:
        db.execute(statement)
    with db.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_mode = 'ORACLE'")
        for statement in PACKAGE:
            cursor.execute(statement)


@pytest.fixture
def place(aishell: Aishell, shop: MariadbDatabase) -> InPlace:
    fill(shop)
    return InPlace(aishell, shop.url)


@contextmanager
def held(db: MariadbDatabase, statement: str) -> Iterator[None]:
    """A session in the midst of something, which cannot be dropped meanwhile."""

    def use() -> None:
        with suppress(pymysql.Error), db.connect(sql_mode="ORACLE") as connection, connection.cursor() as cursor:
            cursor.execute(statement)  # it ends when it is killed

    running = "SELECT ID FROM information_schema.PROCESSLIST WHERE STATE = 'User sleep'"
    thread = threading.Thread(target=use)
    thread.start()
    try:
        wait_until(lambda: db.execute(running), "the statement")
        yield
    finally:
        for (number,) in db.execute(running):
            db.execute(f"KILL QUERY {number}")
        thread.join()


def alter(db: MariadbDatabase) -> None:
    """Each routine is another one than in the backup, and so has to go."""
    db.execute("CREATE OR REPLACE FUNCTION thrice (x int) RETURNS int DETERMINISTIC RETURN x + x + x")
    db.execute("CREATE OR REPLACE PROCEDURE slow (x int) BEGIN DO SLEEP(x); END")
    with db.connect(sql_mode="ORACLE") as connection, connection.cursor() as cursor:
        cursor.execute(PACKAGE[1].replace("CREATE", "CREATE OR REPLACE").replace("x * 2", "x + x"))


def works(db: MariadbDatabase) -> None:
    """Everything is there, and does what it did."""
    with db.connect(sql_mode="ORACLE") as connection, connection.cursor() as cursor:
        cursor.execute("CALL tools.note('called')")
        cursor.execute("SELECT tools.twice(2), thrice(2)")
        assert cursor.fetchall() == ((4, 6),)
    db.execute("INSERT INTO counted (note) VALUES ('again')")
    assert {"called", "again"} <= {note for (note,) in db.execute("SELECT note FROM notes")}
    assert db.execute("SELECT max(three) FROM a_view")[0][0] > 6


def test_packages_and_all_else_come_back(place: InPlace, shop: MariadbDatabase) -> None:
    backup, expected, before = place.back_up("--restore-test"), content(shop), databases(shop)
    with shop.connect(sql_mode="ORACLE") as connection, connection.cursor() as cursor:
        cursor.execute("DROP PACKAGE tools")
    shop.execute("DELETE FROM counted")
    assert place.restored(backup)["compared"]
    assert content(shop) == expected
    assert enabled_events(shop) == ["daily"]
    assert len(databases(shop) - before) == 1
    works(shop)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("kind", BUSY)
def test_a_failure_behind_the_exchange_is_undone(place: InPlace, shop: MariadbDatabase, kind: str) -> None:
    backup, expected, before = place.back_up(), content(shop), databases(shop)
    shop.execute("DELETE FROM counted WHERE note = 'a'")
    alter(shop)
    lost = content(shop)
    waiting = place.restore(backup).expect(3)
    beside = databases(shop) - before
    with held(shop, BUSY[kind]):
        ended = place.approved(waiting).expect(1)
    assert "has its old content again" in ended.json["error"]["message"]
    assert "The exchange failed" in ended.json["reasoning"]
    assert content(shop) == lost
    assert enabled_events(shop) == ["daily"]
    assert databases(shop) - before == beside, "what was restored is there for another try"
    works(shop)
    place.finish(waiting.run_id)
    assert content(shop) == expected


@pytest.fixture
def beside(shop: MariadbDatabase, tmp_path: Path) -> Iterator[tuple[Tried, dict[str, Any]]]:
    """A backup that was restored beside the database, which is another one since; the tools, and what the exchange is told."""
    fill(shop)
    tried = Tried(shop, tmp_path / "tried")
    entry = tried.backed_up()
    names = {"database": str(shop.dbname), "place": f"{shop.dbname}_place", "kept": f"{shop.dbname}_kept"}
    tried.restored(entry, names["place"])
    shop.execute("DELETE FROM counted")
    alter(shop)
    yield tried, {"backup_id": entry.backup_id, **names}
    tried.close()


def failing(*_: object) -> None:
    raise BackupError("what comes behind the exchange has failed")


@pytest.mark.parametrize("where", ["_remake", "_require_definitions", "_enable_events"])
def test_wherever_it_fails_behind_the_exchange_all_is_as_it_was(
    shop: MariadbDatabase, beside: tuple[Tried, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    tried, given = beside
    lost, restored, before = content(shop), content(shop.server.database(given["place"])), databases(shop)
    monkeypatch.setattr(replace, where, failing)
    with pytest.raises(BackupError, match=r"has failed; nothing was replaced: .* has its old content again"):
        tried.call("replace_database", **given)
    assert content(shop) == lost
    assert content(shop.server.database(given["place"])) == restored
    assert enabled_events(shop) == ["daily"]
    assert databases(shop) == before
    works(shop)
    monkeypatch.undo()
    assert tried.call("replace_database", **given)["compared"]
    assert content(shop) == restored
    works(shop)


def test_what_cannot_be_made_again_is_named(
    shop: MariadbDatabase, beside: tuple[Tried, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A view that was broken already: nobody can make it again, neither before nor behind the exchange."""
    tried, given = beside
    shop.execute("CREATE TABLE short_lived (id int)")
    shop.execute("CREATE VIEW broken AS SELECT id FROM short_lived")
    shop.execute("DROP TABLE short_lived")
    monkeypatch.setattr(replace, "_require_definitions", failing)
    with pytest.raises(BackupError, match=r"the tables of .* are back, but not: view broken"):
        tried.call("replace_database", **given)
    works(shop)
    written = shop.execute(f"SELECT name FROM {given['kept']}.aishell_definitions WHERE origin = 'replaced'")
    assert ("broken",) in written


def test_what_the_server_does_not_make_again_is_known_before_anything_is_exchanged(
    shop: MariadbDatabase, beside: tuple[Tried, dict[str, Any]], tmp_path: Path
) -> None:
    """An account that may not make a function as somebody else's."""
    _, given = beside
    lost, url = content(shop), shop.make_user("limited")
    shop.execute(f"GRANT ALL ON `shop%`.* TO 'limited'@'{HOST}'")
    shop.execute(f"GRANT SELECT ON mysql.* TO 'limited'@'{HOST}'")
    limited = Tried(shop, tmp_path / "tried", url=url)
    with pytest.raises(BackupError, match=r"(?s)does not accept its own definitions.*nothing was replaced"):
        limited.call("replace_database", **given)
    limited.close()
    assert content(shop) == lost
    works(shop)
