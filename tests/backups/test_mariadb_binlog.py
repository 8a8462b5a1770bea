"""Increments of MariaDB, which are its binary logs: each point of a chain comes back, and no other database is touched."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from aishell.errors import BackupError, ParameterError
from tests.backups.mariadb_samples import (
    Backups,
    Tried,
    assert_consistent,
    change,
    content,
    databases,
    enabled_events,
    fill,
    still,
    writer,
)
from tests.mariadb import MariadbDatabase, quoted
from tests.servers import wait_until


def everywhere(db: MariadbDatabase, *but: str) -> dict[str, dict[str, Any]]:
    """What is in every database of the server but the system's and these."""
    names = databases(db) - {"information_schema", "performance_schema", "mysql", "sys", *but}
    return {name: content(db.server.database(name)) for name in sorted(names)}


def users(db: MariadbDatabase) -> list[Any]:
    return db.execute("SELECT User, Host, Priv FROM mysql.global_priv ORDER BY 1, 2")


def test_a_chain_comes_back_as_it_was_at_each_point(backups: Backups, shop: MariadbDatabase) -> None:
    fill(shop)
    points = {}
    for number, kind in enumerate(("full", "incremental", "incremental")):
        found = backups.made(kind, "--restore-test")
        assert found["rung"] == "restored-and-compared"
        points[found["backup_id"]] = content(shop)
        change(shop, number)
        still(shop)
    before = everywhere(shop)
    for number, (backup_id, expected) in enumerate(points.items()):
        place = backups.restored(backup_id, f"back_{number}")
        assert content(place) == expected
        assert enabled_events(place) == []
    backs = {f"back_{number}" for number in range(3)}
    assert everywhere(shop, *backs) == before, "nothing else was touched"


def test_a_chain_is_of_whole_transactions_while_a_writer_runs(tried: Tried, shop: MariadbDatabase) -> None:
    fill(shop)
    told = []
    with writer(shop):
        entry = tried.backed_up()
        for number in range(3):
            time.sleep(0.3)
            change(shop, number)
            entry = tried.backed_up("incremental", parent=entry.backup_id)
            assert tried.manifest(entry).prints is not None
            told.append(entry)
    for number, entry in enumerate(told):
        assert tried.call("restore_test", backup_id=entry.backup_id)["rung"] == "restored-and-compared"
        place = tried.restored(entry, f"back_{number}")
        seen = assert_consistent(place)
        assert seen > 0
    assert seen < assert_consistent(shop)


def test_it_is_restored_as_of_a_second(backups: Backups, shop: MariadbDatabase) -> None:
    fill(shop)
    backups.made("full")
    moments: list[tuple[datetime, dict[str, Any]]] = []
    for number in range(3):
        if number == 2:
            backups.made("incremental", "--no-compare")
        change(shop, number)
        still(shop)
        ((end,),) = shop.execute("SELECT UTC_TIMESTAMP() + INTERVAL 1 SECOND")
        moments.append((end.replace(tzinfo=UTC), content(shop)))
        time.sleep(2.1)  # so that the next change is later than that
    last = backups.made("incremental", "--no-compare")["backup_id"]
    for number, (end, expected) in enumerate(moments):
        zoned = end.astimezone(timezone(timedelta(hours=number, minutes=30)))
        place = backups.restored(last, f"back_{number}", "--point-in-time", zoned.isoformat())
        assert content(place) == expected, number


@pytest.mark.parametrize(
    ("until", "error", "told"),
    [
        ("2026-11-21T03:15:00", ParameterError, "names no time zone"),
        ("yesterday", ParameterError, "invalid timestamp"),
        ("2100-01-01T00:00:00Z", BackupError, "reaches to"),
        ("2020-01-01T00:00:00+01:00", BackupError, "was made at .*, after 2020"),
    ],
)
def test_a_moment_that_the_chain_does_not_have(
    tried: Tried, shop: MariadbDatabase, until: str, error: type[Exception], told: str
) -> None:
    tried.backed_up()
    entry = tried.backed_up("incremental")
    with pytest.raises(error, match=told):
        tried.restored(entry, "back", until=until)
    assert "back" not in databases(shop)


def test_a_full_backup_is_of_its_own_moment_only(tried: Tried, shop: MariadbDatabase) -> None:
    entry = tried.backed_up()
    with pytest.raises(BackupError, match="reaches to"):
        tried.restored(entry, "back", until="2100-01-01T00:00:00Z")


def test_what_else_happened_on_the_server_is_not_repeated(tried: Tried, shop: MariadbDatabase) -> None:
    """The binary log has it all: statements about accounts and about other databases, and rows of both in one statement."""
    fill(shop)
    name, other = str(shop.dbname), "elsewhere"
    shop.execute(f"CREATE DATABASE {other}")
    there = shop.server.database(other)
    there.execute("CREATE TABLE notes (id int PRIMARY KEY, note text)")
    there.execute("CREATE TABLE counted (n int)")
    there.execute("INSERT INTO counted VALUES (0)")
    entry = tried.backed_up()
    shop.execute(
        f"CREATE TRIGGER audits AFTER INSERT ON empty FOR EACH ROW INSERT INTO {other}.notes VALUES (NEW.id, 'x')"
    )
    shop.execute("INSERT INTO empty VALUES (1), (2)")
    shop.execute(f"UPDATE empty AS e JOIN {other}.counted AS c SET e.id = e.id + 10, c.n = c.n + 1")
    there.execute(f"CREATE TABLE {name}.from_there (id int PRIMARY KEY)")
    there.execute(f"INSERT INTO {name}.from_there VALUES (5)")
    shop.execute(f"CREATE TABLE {other}.from_here (id int)")
    shop.execute(f"INSERT INTO {other}.from_here VALUES (1)")
    shop.execute(f"DROP TABLE {other}.from_here")
    shop.execute("CREATE USER passing@localhost")
    shop.execute(f"GRANT SELECT ON {name}.* TO passing@localhost")
    shop.execute("DROP USER passing@localhost")
    shop.execute(f"RENAME TABLE {name}.from_there TO {name}.renamed")
    shop.execute(f"TRUNCATE TABLE {name}.child")
    shop.execute(f"ALTER TABLE {name}.renamed ADD COLUMN note text DEFAULT '{name}.x'")
    shop.execute(f"CREATE INDEX i ON {name}.renamed (note(5))")
    shop.execute("SET STATEMENT max_statement_time = 0 FOR ALTER TABLE renamed ADD COLUMN more int")
    shop.execute(f"CREATE EVENT {name}.soon ON SCHEDULE EVERY 1 SECOND DO DELETE FROM {name}.renamed")
    shop.execute("ALTER EVENT soon DISABLE")
    shop.execute(f"DROP TABLE IF EXISTS {name}.bare, {name}.nosuch")
    there.execute("DROP TABLE notes")
    shop.execute("INSERT INTO renamed (id) VALUES (7)")
    entry = tried.backed_up("incremental", parent=entry.backup_id)
    shop.execute("CREATE USER passing@localhost")  # what the log would drop
    there.execute("CREATE TABLE notes (id int PRIMARY KEY, note text)")
    before, accounts = everywhere(shop), users(shop)
    place = tried.restored(entry, "back")
    assert everywhere(shop, "back") == before
    assert users(shop) == accounts
    shop.execute("DROP USER passing@localhost")
    expected = content(shop)
    assert content(place) == expected
    assert place.execute("SELECT id FROM empty") == [(11,), (12,)]
    assert enabled_events(place) == []


def test_a_transaction_that_is_larger_than_a_packet(tried: Tried, shop: MariadbDatabase) -> None:
    shop.execute("CREATE TABLE big (id int PRIMARY KEY AUTO_INCREMENT, data varchar(4000))")
    tried.backed_up()
    shop.execute("INSERT INTO big (data) SELECT REPEAT('x', 4000) FROM seq_1_to_6000")
    shop.execute("UPDATE big SET data = CONCAT(LEFT(data, 3999), 'y') WHERE id % 2")
    entry = tried.backed_up("incremental")
    assert entry.bytes > 2 * 16 << 20
    assert tried.call("restore_test", backup_id=entry.backup_id)["rung"] == "restored-and-compared"


def test_compressed_events(tried: Tried, shop: MariadbDatabase) -> None:
    fill(shop)
    tried.backed_up()
    with shop.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET GLOBAL log_bin_compress = 1")
        try:
            cursor.execute("UPDATE kinds SET body = REPEAT('long', 5000)")
            cursor.execute(f"CREATE TABLE made (id int COMMENT '{'long ' * 100}')")
            cursor.execute("INSERT INTO made VALUES (1)")
        finally:
            cursor.execute("SET GLOBAL log_bin_compress = 0")
    entry = tried.backed_up("incremental")
    assert tried.call("restore_test", backup_id=entry.backup_id)["rung"] == "restored-and-compared"


@pytest.mark.parametrize("charset", ["latin1", "utf8mb3", "utf8mb4", "cp1251"])
def test_statements_in_other_character_sets(tried: Tried, shop: MariadbDatabase, charset: str) -> None:
    tried.backed_up()
    with shop.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"SET NAMES {charset}")
        text = {"latin1": "é", "cp1251": "ж"}.get(charset, "é象ж").encode(
            {"latin1": "latin-1", "cp1251": "cp1251"}.get(charset, "utf-8")
        )
        cursor.execute(b"CREATE TABLE `n" + text + b"` (`" + text + b"` int DEFAULT 1 COMMENT '" + text + b"')")
        cursor.execute(b"CREATE TABLE " + str(shop.dbname).encode() + b".`q" + text + b"` (id int)")
    entry = tried.backed_up("incremental")
    assert tried.call("restore_test", backup_id=entry.backup_id)["rung"] == "restored-and-compared"


#: What somebody did since the parent -> why no increment can be made of it.
NOT_CARRIED = {
    "SET STATEMENT binlog_format = 'STATEMENT' FOR INSERT INTO bare VALUES ('x', 1)": "it is a statement where rows are needed",
    "DROP DATABASE {db}": "the whole database was dropped",
    "RENAME TABLE parted TO elsewhere.parted": "it affects several databases",
    "ALTER TABLE parted RENAME elsewhere.parted": "it names a table of another database",
    "CREATE TABLE liked LIKE elsewhere.notes": "it names a table of another database",
    "XA": r"prepared \(XA\) transaction",
}


@pytest.mark.parametrize("statement", NOT_CARRIED)
def test_what_could_not_be_restored_is_told_when_the_increment_is_made(
    tried: Tried, shop: MariadbDatabase, statement: str
) -> None:
    fill(shop)
    shop.execute("CREATE DATABASE elsewhere")
    shop.server.database("elsewhere").execute("CREATE TABLE notes (id int PRIMARY KEY)")
    tried.backed_up()
    if statement == "XA":
        with shop.connect() as connection, connection.cursor() as cursor:
            for sql in (
                "XA START 'x'",
                "INSERT INTO empty VALUES (1)",
                "XA END 'x'",
                "XA PREPARE 'x'",
                "XA COMMIT 'x'",
            ):
                cursor.execute(sql)
    else:
        shop.execute(statement.replace("{db}", quoted(str(shop.dbname))))
    if statement.startswith("DROP"):
        shop.server.create(str(shop.dbname))
    with pytest.raises(BackupError, match=NOT_CARRIED[statement]) as told:
        tried.call("backup_database_incremental")
    assert "full backup" in str(told.value.hint)
    assert not list(tried.home.rglob("*-incremental-*"))
    tried.backed_up()
    assert tried.backed_up("incremental").verified


def test_rows_that_a_dump_rounds_and_that_have_no_key(tried: Tried, shop: MariadbDatabase) -> None:
    """They are inserted and dropped as others are; what is changed would not be found in a copy."""
    shop.execute("CREATE TABLE loose (f float, n int)")
    shop.execute("CREATE TABLE keyed (id int PRIMARY KEY, f float)")
    shop.execute("INSERT INTO loose VALUES (1/3, 1)")
    shop.execute("INSERT INTO keyed VALUES (1, 1/3)")
    tried.backed_up()
    shop.execute("INSERT INTO loose VALUES (2/3, 2)")
    shop.execute("UPDATE keyed SET f = f + 1")
    entry = tried.backed_up("incremental")
    assert tried.call("restore_test", backup_id=entry.backup_id)["rung"] == "restored-and-compared"
    shop.execute("DELETE FROM loose WHERE n = 1")
    with pytest.raises(BackupError, match="rows of loose were changed") as told:
        tried.call("backup_database_incremental")
    assert "full backups" in str(told.value.hint)


def test_a_log_that_was_purged_asks_for_a_full_backup(tried: Tried, shop: MariadbDatabase) -> None:
    entry = tried.backed_up()
    needed = tried.manifest(entry).position["file"]
    shop.execute("FLUSH BINARY LOGS")
    ((current, *_),) = shop.execute("SHOW MASTER STATUS")

    def purged() -> bool:
        shop.execute(f"PURGE BINARY LOGS TO '{current}'")  # which the server puts off while it still needs one itself
        return needed not in {name for name, _ in shop.execute("SHOW BINARY LOGS")}

    wait_until(purged, f"{needed} is purged")
    with pytest.raises(BackupError, match=f"no longer has the binary log {needed}") as told:
        tried.call("backup_database_incremental")
    assert "full backup" in str(told.value.hint)


def test_a_log_that_was_begun_anew_is_not_taken_for_the_old_one(tried: Tried, shop: MariadbDatabase) -> None:
    shop.execute("RESET MASTER")
    shop.execute("CREATE TABLE t (id int)")
    tried.backed_up()
    shop.execute("RESET MASTER")
    shop.execute("CREATE TABLE other (id int)")
    with pytest.raises(BackupError, match="binary log was reset after"):
        tried.call("backup_database_incremental")


def test_only_rows_make_increments(tried: Tried, shop: MariadbDatabase) -> None:
    tried.backed_up()
    for format_ in ("MIXED", "STATEMENT"):
        shop.execute(f"SET GLOBAL binlog_format = '{format_}'")
        try:
            with pytest.raises(BackupError, match=f"binlog_format is {format_}"):
                tried.call("backup_database_incremental")
        finally:
            shop.execute("SET GLOBAL binlog_format = 'ROW'")


def test_without_a_binary_log_there_are_no_increments(mariadb: MariadbDatabase, tmp_path) -> None:
    tried = Tried(mariadb, tmp_path / "site")
    tried.backed_up()
    with pytest.raises(BackupError, match="has no binary log"):
        tried.call("backup_database_incremental")
    tried.close()


def test_an_increment_on_nothing_and_on_another_database(tried: Tried, shop: MariadbDatabase, logging_server) -> None:
    with pytest.raises(BackupError, match="no verified mariadb-dump backup"):
        tried.call("backup_database_incremental")
    tried.backed_up()
    entry = tried.backed_up("incremental")  # nothing happened since
    assert tried.call("restore_test", backup_id=entry.backup_id)["rung"] == "restored-and-compared"


def test_a_memory_table_that_was_emptied_by_a_restart(mariadb_server_factory, tmp_path) -> None:
    server = mariadb_server_factory({"log-bin": "binlog", "binlog-format": "ROW", "server-id": "8"})
    db = server.create("shop")
    db.execute("CREATE TABLE quick (id int PRIMARY KEY) ENGINE = MEMORY")
    db.execute("INSERT INTO quick VALUES (1)")
    db.execute("CREATE TABLE slow (id int PRIMARY KEY)")
    tried = Tried(db, tmp_path / "site")
    tried.backed_up()
    tried.database.close()
    server.close_connections()
    server.restart()
    assert db.execute("SELECT * FROM quick") == []
    db.execute("INSERT INTO slow VALUES (1)")
    entry = tried.backed_up("incremental")
    place = tried.restored(entry, "back")
    assert place.execute("SELECT (SELECT COUNT(*) FROM quick), (SELECT COUNT(*) FROM slow)") == [(0, 1)]
    tried.close()


def test_an_account_with_what_increments_take(tried: Tried, shop: MariadbDatabase) -> None:
    fill(shop)
    url = shop.make_user(grants="SELECT, SHOW VIEW, TRIGGER, EVENT, EXECUTE")
    shop.execute("GRANT SELECT ON mysql.proc TO app@'127.0.0.1'")
    other = Tried(shop, tried.home / "other", url=url)
    other.backed_up()
    with pytest.raises(Exception, match=r"BINLOG MONITOR|RELOAD"):
        other.call("backup_database_incremental")
    shop.execute("GRANT RELOAD, REPLICATION SLAVE, BINLOG MONITOR ON *.* TO app@'127.0.0.1'")
    other.database.close()
    change(shop, 1)
    entry = other.backed_up("incremental")
    with pytest.raises(Exception, match=r"[Dd]enied"):
        other.restored(entry, "back")
    assert "back" not in databases(shop)
    other.close()
    assert not list(other.home.rglob(".work-*"))
