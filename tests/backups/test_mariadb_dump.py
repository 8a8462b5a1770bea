"""Dumps of MariaDB: what comes back is what was there at one moment, whoever writes meanwhile."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from aishell.backups.mariadb.dump import MariadbDump
from aishell.backups.restore.restore import differences
from aishell.databases.opening import open_database
from aishell.errors import BackupError
from tests.backups.mariadb_samples import (
    Backups,
    Tried,
    assert_consistent,
    content,
    databases,
    enabled_events,
    fill,
    still,
    writer,
)
from tests.fix_mysql import _program
from tests.mariadb import MariadbDatabase, MariadbServer, quoted
from tests.servers import wait_until

#: What somebody did, one after the other -> what is told of it.
TAMPERED = {
    "UPDATE kinds SET word = 'other' WHERE word = ''": "rows kinds differs",
    "UPDATE kinds SET body = NULL WHERE body = ''": "rows kinds differs",
    "UPDATE kinds SET one = NULL WHERE one = '' AND word = 'other'": "rows kinds differs",
    "UPDATE kinds SET data = x'00fe' WHERE data = x'00ff' OR bits IS NOT NULL": "rows kinds differs",
    "UPDATE kinds SET bits = b'111' WHERE bits = b'101'": "rows kinds differs",
    "UPDATE kinds SET moment = '2026-01-01' WHERE moment = 0": "rows kinds differs",
    "UPDATE kinds SET stamp = stamp + INTERVAL 1 HOUR WHERE stamp > '2026-10-01'": "rows kinds differs",
    "UPDATE kinds SET hidden = 8 WHERE id = 6": "rows kinds differs",
    "UPDATE kinds SET dbl = 0.1000000000000001 WHERE dbl = 0.1": "rows kinds differs",
    "DELETE FROM bare WHERE note = 'twice' LIMIT 1": "rows bare has 2 rows instead of 3",
    "UPDATE bare SET number = 3 WHERE note = 'twice'": "rows bare differs",
    "DELETE HISTORY FROM versioned": "rows versioned has 1 rows instead of 3",
    "DROP TABLE empty": "rows empty is missing",
    "CREATE TABLE more (id int)": "rows more is not in the backup",
    "ALTER TABLE kinds DROP KEY by_word": "table kinds differs",
    "ALTER TABLE kinds COMMENT 'AUTO_INCREMENT=5'": "table kinds differs",
    "ALTER TABLE child DROP FOREIGN KEY child_ibfk_1": "table child differs",
    "ALTER VIEW over_view AS SELECT 1 AS word": "view over_view differs",
    "DROP TRIGGER stamped": "trigger stamped is missing",
    "ALTER PROCEDURE spend COMMENT 'other'": "procedure spend differs",
    "ALTER EVENT tick ON SCHEDULE EVERY 2 SECOND": "event tick differs",
    "DROP EVENT sleeping": "event sleeping is missing",
    "ALTER SEQUENCE numbers INCREMENT BY 11": "sequence numbers differs",
    "ALTER DATABASE COLLATE utf8mb4_bin": "database defaults differs",
}
LEFT_ALONE = ("ALTER TABLE kinds AUTO_INCREMENT = 5000", "ALTER EVENT sleeping ENABLE", "SELECT nextval(numbers)")


def test_everything_comes_back_as_it_was(backups: Backups, shop: MariadbDatabase) -> None:
    fill(shop)
    before = content(shop)
    found = backups.made("full", "--restore-test")
    assert found["rung"] == "restored-and-compared"
    place = backups.restored(found["backup_id"], "back")
    assert content(place) == before
    assert content(shop) == before, "the source is untouched"


def test_events_come_back_disabled_and_are_told(tried: Tried, shop: MariadbDatabase) -> None:
    fill(shop)
    shop.execute("ALTER EVENT tick ENABLE")
    entry = tried.backed_up()
    place = tried.restored(entry, "back")
    rows = place.execute("SELECT COUNT(*) FROM bare")
    assert enabled_events(place) == []
    time.sleep(1.2)
    assert place.execute("SELECT COUNT(*) FROM bare") == rows
    assert enabled_events(shop) == ["tick"]
    assert tried.manifest(entry).details["enabled_events"] == ["tick"]


def test_nothing_of_the_restore_is_in_the_binary_log(tried: Tried, shop: MariadbDatabase) -> None:
    fill(shop)
    entry = tried.backed_up()
    before = shop.execute("SHOW MASTER STATUS")
    tried.restored(entry, "back")
    tried.call("restore_test", backup_id=entry.backup_id)
    assert shop.execute("SHOW MASTER STATUS") == before


def test_a_dump_and_its_fingerprints_are_of_one_moment(tried: Tried, shop: MariadbDatabase) -> None:
    fill(shop)
    shop.execute("CREATE TABLE filler AS SELECT seq AS id, MD5(seq) AS text FROM seq_1_to_100000")
    with writer(shop) as made:
        wait_until(lambda: made[0] > 10, "it writes")
        before = made[0]
        entry = tried.backed_up()
        assert made[0] > before + 10, "it wrote on meanwhile"
    assert tried.call("restore_test", backup_id=entry.backup_id)["rung"] == "restored-and-compared"
    assert tried.manifest(entry).details["comparison"] == "a snapshot at the same position in the binary log"
    place = tried.restored(entry, "back")
    assert before <= assert_consistent(place) < assert_consistent(shop)


@pytest.fixture
def unlogged(mariadb: MariadbDatabase, tmp_path: Path) -> Iterator[Tried]:
    """The tools on a server without a binary log."""
    fill(mariadb)
    made = Tried(mariadb, tmp_path / "unlogged")
    yield made
    made.close()


def test_without_a_binary_log_a_quiet_server_can_still_be_compared(unlogged: Tried) -> None:
    entry = unlogged.backed_up()
    manifest = unlogged.manifest(entry)
    assert manifest.details["comparison"] == "equal snapshots before and after it"
    assert manifest.position == {}
    assert unlogged.call("restore_test", backup_id=entry.backup_id)["rung"] == "restored-and-compared"


def test_without_a_binary_log_and_with_a_writer_it_says_that_nothing_can_be_compared(
    unlogged: Tried, mariadb: MariadbDatabase
) -> None:
    with writer(mariadb) as made:
        wait_until(lambda: made[0] > 10, "it writes")
        output = unlogged.call("backup_database_full")
    assert output["objects"] is None
    assert any("others wrote while the dump began" in text for text in output["warnings"])
    assert unlogged.call("restore_test", backup_id=output["backup_id"])["compared"] == 0


def test_what_was_tampered_with_is_told(tried: Tried, shop: MariadbDatabase) -> None:
    fill(shop)
    before = tried.fingerprints(str(shop.dbname))
    for statement, told in TAMPERED.items():
        with shop.connect(sql_mode="") as connection, connection.cursor() as cursor:
            cursor.execute("SET time_zone = '+00:00', foreign_key_checks = 0")
            cursor.execute(statement)
        after = tried.fingerprints(str(shop.dbname))
        assert told in differences(before, after), statement
        before = after


def test_what_means_nothing_is_not_told(tried: Tried, shop: MariadbDatabase) -> None:
    fill(shop)
    entry = tried.backed_up()
    place = tried.restored(entry, "copy")
    for statement in LEFT_ALONE:
        place.execute(statement)
    still(place)
    assert tried.differences(entry, "copy") == []


@pytest.mark.parametrize("name", ["we`ird \"x' %s :y; -- 50% \\", "--help", "two words", "Ünïcode象", "select"])
def test_a_database_of_a_hostile_name(tried: Tried, logging_server, shop: MariadbDatabase, name: str) -> None:
    """Into a place of a hostile name too, where that is allowed."""
    odd = logging_server.create(name)
    odd.execute("CREATE TABLE t (id int PRIMARY KEY)")
    odd.execute("INSERT INTO t VALUES (1)")
    odd.execute(f"CREATE TRIGGER {quoted(name)}.stamped BEFORE INSERT ON {quoted(name)}.t FOR EACH ROW SET NEW.id = 2")
    odd.execute(f"CREATE VIEW v AS SELECT {quoted(name)}.t.id FROM {quoted(name)}.t")
    credentials = tried.database.credentials
    tried.database.close()
    tried.database = open_database(replace(credentials, url=replace(credentials.url, database=name)))
    entry = tried.backed_up()
    odd.execute("CREATE TABLE more AS SELECT id FROM t")
    odd.execute("DELETE FROM t")
    entry = tried.backed_up("incremental", parent=entry.backup_id)
    assert tried.call("restore_test", backup_id=entry.backup_id)["rung"] == "restored-and-compared"
    place = tried.restored(entry, f"{name}2")
    assert place.execute("SELECT (SELECT COUNT(*) FROM t), (SELECT COUNT(*) FROM more)") == [(0, 1)]


def test_tables_without_transactions_are_named(tried: Tried, shop: MariadbDatabase) -> None:
    shop.execute("CREATE TABLE old (id int PRIMARY KEY, f float) ENGINE = MyISAM")
    shop.execute("CREATE TABLE aria (id int PRIMARY KEY) ENGINE = Aria")
    shop.execute("INSERT INTO old VALUES (1, 1.5)")
    entry = tried.backed_up()
    warnings = tried.manifest(entry).details["warnings"]
    assert any("aria (Aria), old (MyISAM)" in text for text in warnings)
    assert any("old.f" in text for text in warnings)
    assert tried.call("restore_test", backup_id=entry.backup_id)["rung"] == "restored-and-compared"


@pytest.mark.parametrize("missing", ["SELECT", "SHOW VIEW", "TRIGGER", "EVENT"])
def test_an_account_that_would_miss_something_is_refused(tried: Tried, shop: MariadbDatabase, missing: str) -> None:
    fill(shop)
    held = ", ".join({"SELECT", "SHOW VIEW", "TRIGGER", "EVENT", "EXECUTE"} - {missing})
    other = Tried(shop, tried.home / "other", url=shop.make_user(grants=held))
    with pytest.raises(BackupError, match=f"lacks {missing} on all of the database"):
        other.call("backup_database_full")
    assert not list(other.home.rglob(".partial-*"))
    other.close()


def test_an_account_that_sees_no_routines_is_refused(tried: Tried, shop: MariadbDatabase) -> None:
    fill(shop)
    grants = "SELECT, SHOW VIEW, TRIGGER, EVENT"
    for more, told in (("", "cannot see whether"), (", EXECUTE", "may not see what the (function|procedure)")):
        other = Tried(
            shop, tried.home / f"other{len(more)}", url=shop.make_user(f"app{len(more)}", grants=grants + more)
        )
        with pytest.raises(BackupError, match=told):
            other.call("backup_database_full")
        other.close()


def test_the_least_that_a_backup_takes(tried: Tried, shop: MariadbDatabase) -> None:
    fill(shop)
    other = Tried(shop, tried.home / "other", url=shop.make_user(grants="SELECT, SHOW VIEW, TRIGGER, EVENT"))
    shop.execute("GRANT SELECT ON mysql.proc TO app@'127.0.0.1'")
    entry = other.backed_up()
    assert {one.kind for one in other.manifest(entry).prints or ()} >= {"rows", "trigger", "event", "procedure", "view"}
    assert tried.differences(entry, str(shop.dbname)) == []
    other.close()


@pytest.mark.parametrize(
    ("version", "told"),
    [
        ("mariadb-dump  Ver 10.19 Distrib 10.5.1-MariaDB, for Linux", "is 10.5.1, but the server is 10.11"),
        ("mysqldump  Ver 8.0.36 for Linux on x86_64 (MySQL Community Server - GPL)", "is not a client of the server"),
        ("mysterious", "is not a client of the server"),
    ],
)
def test_a_client_that_does_not_fit_is_refused_before_anything_is_written(
    shop: MariadbDatabase, tmp_path: Path, version: str, told: str
) -> None:
    program = tmp_path / "bin" / "mariadb-dump"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n[ $1 = --version ] && echo '{version} 1.0'\n")
    program.chmod(0o755)
    tried = Tried(shop, tmp_path / "site", settings=f"programs: {program.parent}\n")
    with pytest.raises(BackupError, match=told):
        tried.call("backup_database_full")
    tried.close()


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo '-- MariaDB dump'; echo 'it broke' >&2; exit 2", "it broke"),
        ("echo '-- MariaDB dump'; echo 'CREATE TABLE x (a int)'", "is truncated"),
        ("exit 0", "is truncated"),
    ],
)
def test_a_dump_that_goes_wrong_leaves_nothing(shop: MariadbDatabase, tmp_path: Path, script: str, told: str) -> None:
    """Also where the program says that all is well."""
    program = tmp_path / "bin" / "mariadb-dump"
    program.parent.mkdir()
    banner = "mariadb-dump  Ver 10.19 Distrib 10.11.19-MariaDB"
    program.write_text(f"#!/bin/sh\nif [ $1 = --version ]; then echo '{banner}'; exit; fi\n{script}\n")
    program.chmod(0o755)
    tried = Tried(shop, tmp_path / "site", settings=f"programs: {program.parent}\n")
    with pytest.raises(BackupError, match=told):
        tried.call("backup_database_full", compare=False)
    assert not list(tried.home.rglob("*-full-*"))
    tried.close()


def test_a_url_without_a_database_is_refused(shop: MariadbDatabase, tmp_path: Path) -> None:
    tried = Tried(shop, tmp_path / "site", url=shop.url.rpartition("/")[0] + "/")
    with pytest.raises(BackupError, match="names no database"):
        tried.call("backup_database_full")
    tried.close()


def test_it_is_restored_into_a_new_place_only(tried: Tried, shop: MariadbDatabase) -> None:
    fill(shop)
    entry = tried.backed_up(compare=False)
    shop.execute("CREATE DATABASE there")
    for place in ("there", str(shop.dbname)):
        with pytest.raises(BackupError, match="already exists"):
            tried.restored(entry, place)
    with pytest.raises(BackupError, match="single tables cannot be restored"):
        tried.restored(entry, "back", only=["kinds"])
    work = tried.work()
    with pytest.raises(BackupError, match="not a scratch database"):
        MariadbDump().drop(work, str(shop.dbname))
    assert "back" not in databases(shop)


def test_a_restore_that_fails_leaves_nothing(tried: Tried, shop: MariadbDatabase) -> None:
    shop.execute("CREATE TABLE big (id int PRIMARY KEY, data longblob)")
    shop.execute("INSERT INTO big VALUES (1, REPEAT('x', 9000000))")
    entry = tried.backed_up()
    before = databases(shop)
    with pytest.raises(
        BackupError, match=r"max_allowed_packet|gone away"
    ) as told:  # in hexadecimal it is twice as long
        tried.restored(entry, "back")
    assert "max_allowed_packet" in str(told.value.hint)
    assert databases(shop) == before
    shop.execute("SET GLOBAL max_allowed_packet = 67108864")
    try:
        tried.database.close()
        place = tried.restored(entry, "back")
        assert place.execute("SELECT LENGTH(data) FROM big") == [(9000000,)]
    finally:
        shop.execute("SET GLOBAL max_allowed_packet = 16777216")


def test_a_change_of_the_schema_meanwhile_is_not_taken_for_damage(tried: Tried, shop: MariadbDatabase) -> None:
    fill(shop)
    stop = threading.Event()

    def alter() -> None:
        for number in range(10_000):
            if stop.wait(0.03):  # without a pause mariadb-dump itself gives up at some view (1684)
                return
            shop.execute(f"CREATE OR REPLACE VIEW some_kinds AS SELECT {number} AS id, 'w' AS word")

    thread = threading.Thread(target=alter)
    thread.start()
    try:
        entry = tried.backed_up()
    finally:
        stop.set()
        thread.join()
    manifest = tried.manifest(entry)
    assert manifest.prints is None
    assert any("not compared" in text for text in manifest.details["warnings"])
    assert manifest.details["comparison"] == "none: tables or routines were changed during the dump"


@pytest.fixture(scope="module")
def tls_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariadbServer]:
    """A server with a certificate of its own; `.folder / "ca.pem"` is what signed it."""
    server = MariadbServer(_program(request.config), {"log-bin": "binlog", "binlog-format": "ROW", "server-id": "9"})
    folder = server.folder
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key.pem", "-out", folder / "ca.pem"),
        ],
        check=True,
        capture_output=True,
    )
    if server.as_user:
        server.own(folder)
    server.settings |= {"ssl-cert": str(folder / "ca.pem"), "ssl-key": str(folder / "key.pem")}
    try:
        server.initialise()
        server.start()
        yield server
    finally:
        server.remove()


@pytest.mark.parametrize("verified", ["", "&ssl_mode=VERIFY_CA"])
def test_an_account_that_needs_tls(tls_server: MariadbServer, tmp_path: Path, verified: str) -> None:
    db = tls_server.create(f"shop{len(verified)}")
    fill(db)
    db.execute(f"CREATE USER IF NOT EXISTS safe{len(verified)}@'127.0.0.1' IDENTIFIED BY 'x' REQUIRE SSL")
    db.execute(f"GRANT ALL ON *.* TO safe{len(verified)}@'127.0.0.1'")
    url = f"{db.url_as(f'safe{len(verified)}', 'x')}?ssl_ca={tls_server.folder / 'ca.pem'}{verified}"
    tried = Tried(db, tmp_path / "site", url=url)
    tried.backed_up()
    db.execute("INSERT INTO empty VALUES (1)")
    entry = tried.backed_up("incremental")
    assert tried.call("restore_test", backup_id=entry.backup_id)["rung"] == "restored-and-compared"
    tried.close()


def test_over_a_socket(logging_server: MariadbServer, shop: MariadbDatabase, tmp_path: Path) -> None:
    fill(shop)
    url = f"mysql://root@localhost/{shop.dbname}?unix_socket={logging_server.socket}"
    shop.execute("CREATE USER IF NOT EXISTS root@localhost")
    shop.execute("GRANT ALL ON *.* TO root@localhost")
    tried = Tried(shop, tmp_path / "site", url=url)
    tried.backed_up()
    entry = tried.backed_up("incremental")
    assert tried.call("restore_test", backup_id=entry.backup_id)["rung"] == "restored-and-compared"
    tried.close()


def test_an_encrypted_chain(shop: MariadbDatabase, tmp_path: Path) -> None:
    pyrage = pytest.importorskip("pyrage")
    key = pyrage.x25519.Identity.generate()
    (tmp_path / "key").touch(0o600)
    (tmp_path / "key").write_text(str(key))
    settings = f"backup_recipients: ['{key.to_public()}']\nbackup_identity: {tmp_path / 'key'}\n"
    tried = Tried(shop, tmp_path / "site", settings=settings)
    fill(shop)
    tried.backed_up()
    shop.execute("INSERT INTO empty VALUES (1)")
    entry = tried.backed_up("incremental")
    assert all(path.suffix == ".age" for path in entry.folder.rglob("binlog.*"))
    assert tried.call("restore_test", backup_id=entry.backup_id)["rung"] == "restored-and-compared"
    tried.close()
