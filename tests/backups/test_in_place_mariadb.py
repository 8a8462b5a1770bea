"""Restores in place on MariaDB: all tables change hands in one statement, all else is made again, and what was there is kept."""

from __future__ import annotations

import subprocess
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pymysql
import pytest

from tests.backups.in_place import HALVES, STEPS, InPlace
from tests.backups.mariadb_samples import change, content, databases, drop, enabled_events, fill, still
from tests.faults.killing import SWEEPS, Sweep
from tests.fix_aishell import Aishell
from tests.mariadb import MariadbDatabase, quoted
from tests.servers import wait_until

SMALL = (
    "CREATE TABLE parent (id int PRIMARY KEY, note text)",
    "CREATE TABLE child (id int PRIMARY KEY, parent int, CONSTRAINT of FOREIGN KEY (parent) REFERENCES parent (id))",
    "CREATE SEQUENCE numbers",
    "CREATE TABLE counted (id int DEFAULT nextval(numbers), note text)",
    "INSERT INTO parent VALUES (1, 'a'), (2, 'b')",
    "INSERT INTO child VALUES (1, 1), (2, 2)",
    "CREATE TRIGGER noted BEFORE INSERT ON parent FOR EACH ROW SET NEW.note = CONCAT('noted ', NEW.note)",
    "CREATE FUNCTION twice (x int) RETURNS int DETERMINISTIC RETURN x * 2",
    "CREATE VIEW z_view AS SELECT note, twice(id) AS two FROM parent",
    "CREATE VIEW a_view AS SELECT note FROM z_view",  # by its name it comes before what it rests on
    "CREATE EVENT daily ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01' DO DELETE FROM counted",
)


def fill_small(db: MariadbDatabase) -> None:
    for statement in SMALL:
        db.execute(statement)


@pytest.fixture
def place(aishell: Aishell, shop: MariadbDatabase) -> InPlace:
    return InPlace(aishell, shop.url)


def kept_of(told: dict[str, Any], db: MariadbDatabase) -> MariadbDatabase:
    return db.server.database(str(told["kept"]))


def test_everything_comes_back_as_of_the_backup_and_what_was_there_is_kept(
    place: InPlace, shop: MariadbDatabase
) -> None:
    fill(shop)
    shop.execute("CREATE EVENT awake ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01' DO DELETE FROM empty")
    before, backup, expected = databases(shop), place.back_up(), content(shop)
    change(shop, 1)
    still(shop)
    shop.execute("DROP TABLE bare")
    lost = content(shop)
    with shop.connect() as application, application.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM kinds")
        told = place.restored(backup)
        cursor.execute("SELECT count(*) FROM bare")
        assert cursor.fetchone() == (3,)
    assert told["replaced"]
    assert told["compared"]
    assert content(shop) == expected
    assert enabled_events(shop) == ["awake"]
    assert databases(shop) - before == {told["kept"]}
    tables = [
        name.removeprefix("definition of ") for name, text in lost.items() if str(text).startswith("CREATE TABLE")
    ]
    rows = {f"rows of {name}": lost[f"rows of {name}"] for name in tables if f"rows of {name}" in lost}
    kept = kept_of(told, shop)
    found = content(kept)
    assert {name: found[name] for name in rows} == rows
    written = kept.execute("SELECT kind, name FROM aishell_definitions WHERE origin = 'replaced'")
    assert ("trigger", "more_1") in written
    assert ("view", "view_1") in written
    shop.execute("SELECT nextval(numbers)")
    shop.execute("INSERT INTO numbered (t) VALUES ('after')")
    place.run("audit", "verify").expect(0)


def test_increments_and_a_moment_between_them(place: InPlace, shop: MariadbDatabase) -> None:
    fill_small(shop)
    place.back_up("--type", "full")
    shop.execute("INSERT INTO counted (note) VALUES ('first')")
    time.sleep(1.1)  # the binary log tells seconds
    moment = datetime.now(UTC).replace(microsecond=0).isoformat()
    time.sleep(1.1)
    shop.execute("INSERT INTO counted (note) VALUES ('second')")
    shop.execute("CREATE VIEW later AS SELECT 1 AS one")
    increment = place.back_up("--type", "incremental")
    expected = content(shop)
    shop.execute("DELETE FROM counted")
    assert place.restored(increment)["compared"]
    assert content(shop) == expected
    refused = place.run(
        "run",
        "backup",
        "--type",
        "incremental",
        "--url",
        shop.url,
        "--environment",
        "test",
        "--yes",
        "--output",
        "json",
    ).expect(1)
    assert "make a full backup" in refused.out, "no increment goes on across a replacement"
    told = place.restored(increment, "--point-in-time", moment)
    assert told["compared"] is False
    assert [note for (note,) in shop.execute("SELECT note FROM counted")] == ["first"]


def test_foreign_keys_of_another_database_and_a_change_of_the_place_replace_nothing(
    place: InPlace, shop: MariadbDatabase
) -> None:
    fill_small(shop)
    backup = place.back_up()
    shop.execute("DELETE FROM child")
    waiting = place.restore(backup).expect(3)
    beside = waiting.json["output_data"]["place"]
    other = f"{shop.dbname}_other"
    shop.execute(f"CREATE DATABASE {other}")
    shop.execute(f"CREATE TABLE {other}.t (p int, FOREIGN KEY (p) REFERENCES {shop.dbname}.parent (id))")
    refused = place.approved(waiting).expect(1)
    assert f"{other}.t references parent" in refused.json["error"]["message"]
    shop.execute(f"DROP DATABASE {other}")
    shop.execute(f"DELETE FROM {quoted(beside)}.child")
    ended = place.resume(waiting.run_id)
    if ended.code == 3:
        ended = place.approved(ended)
    assert "differs from the backup, and nothing was replaced" in ended.expect(1).json["error"]["message"]
    assert shop.execute("SELECT count(*) FROM child") == [(0,)]
    assert shop.execute("SELECT count(*) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE()") == [(1,)]


def test_while_a_replica_is_connected_nothing_is_replaced(
    place: InPlace, shop: MariadbDatabase, tmp_path: Path
) -> None:
    fill_small(shop)
    backup = place.back_up()
    shop.execute("DELETE FROM child")
    waiting = place.restore(backup).expect(3)
    ((log, _),) = shop.execute("SHOW BINARY LOGS")[-1:]
    server = ("--host=127.0.0.1", f"--port={shop.server.port}", "--user=root", "--skip-ssl")
    follow = ("mariadb-binlog", "--read-from-remote-server", "--stop-never", "--raw", f"--result-file={tmp_path}/")
    reads = "SELECT 1 FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%'"
    with subprocess.Popen([*follow, *server, log]) as replica:
        try:
            wait_until(lambda: shop.execute(reads), "the reader of the binary log")
            refused = place.approved(waiting).expect(1)
        finally:
            replica.kill()
    assert "a replica is connected" in refused.json["error"]["message"]
    assert shop.execute("SELECT count(*) FROM child") == [(0,)]


def test_an_open_transaction_is_waited_for_and_then_all_is_as_it_was(place: InPlace, shop: MariadbDatabase) -> None:
    fill_small(shop)
    backup, expected = place.back_up(), content(shop)
    shop.execute("DELETE FROM child")
    lost = content(shop)
    waiting = place.restore(backup).expect(3)
    with shop.connect(autocommit=False) as application, application.cursor() as cursor:
        cursor.execute("SELECT * FROM parent")
        held = place.approved(waiting).expect(1)
    assert "ock wait timeout" in held.json["error"]["message"]
    assert content(shop) == lost, "its trigger came back"
    place.finish(waiting.run_id)
    assert content(shop) == expected


def test_a_dry_run_shows_all_and_touches_nothing(place: InPlace, shop: MariadbDatabase) -> None:
    fill_small(shop)
    backup, before = place.back_up(), databases(shop)
    preview = place.restore(backup, "--dry-run").expect(0).json
    assert [step["tool"] for step in preview["plan"]["steps"]] == STEPS
    assert databases(shop) == before


def test_another_database_is_refused(place: InPlace, shop: MariadbDatabase) -> None:
    fill_small(shop)
    backup = place.back_up()
    other = shop.server.create(f"{shop.dbname}_other")
    place.url = other.url
    assert "is of another database" in place.restore(backup).expect(2).json["error"]["message"]


@SWEEPS
@pytest.mark.parametrize("half", HALVES)
def test_killed_at_any_commit_the_resumed_run_ends_in_the_restored_state(
    place: InPlace, shop: MariadbDatabase, half: str, sweep: Sweep
) -> None:
    fill_small(shop)
    backup, expected, before = place.back_up(), content(shop), databases(shop)
    for fault in sweep.faults(HALVES[half]):
        shop.execute("INSERT INTO child VALUES (3, 1)")
        killed = getattr(place, half)(backup, fault)
        assert content(shop) == expected, fault
        (kept,) = databases(shop) - before
        assert shop.server.database(kept).execute("SELECT count(*) FROM child") == [(3,)], fault
        place.assert_sound()
        drop(shop, kept)
        if not killed:
            assert fault.at > HALVES[half]
            break


@SWEEPS
def test_killed_at_any_statement_neither_the_old_nor_the_new_is_lost(
    place: InPlace, shop: MariadbDatabase, sweep: Sweep
) -> None:
    fill_small(shop)
    backup, expected, before = place.back_up(), content(shop), databases(shop)
    shop.execute("INSERT INTO child VALUES (3, 1)")

    def rows() -> set[int]:
        """Of the table, wherever it is now."""
        query = "SELECT TABLE_SCHEMA FROM information_schema.TABLES WHERE TABLE_NAME = 'child'"
        return {shop.execute(f"SELECT count(*) FROM {quoted(name)}.child")[0][0] for (name,) in shop.execute(query)}

    def look() -> object:
        assert rows() == {2, 3}
        noted = 0
        for name in (name for name in databases(shop) if "_replaced_" in name):
            with suppress(pymysql.err.ProgrammingError):  # it has no such table yet
                noted = shop.execute(f"SELECT count(*) FROM {quoted(name)}.aishell_definitions")[0][0]
        return noted, shop.execute("SELECT count(*) FROM child") if noted else None

    place.killed_at_every_change(backup, sweep, look, known=16)
    assert content(shop) == expected
    assert rows() == {2, 3}
    (kept,) = databases(shop) - before
    assert "_replaced_" in kept
    place.assert_sound()
