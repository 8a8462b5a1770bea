"""A MariaDB database with one of everything, and what is in one as a plain driver sees it."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pymysql

from aishell.backups.create.making import Work
from aishell.backups.mariadb.dump import MariadbDump
from aishell.backups.restore.restore import differences
from aishell.backups.store.catalog import CatalogEntry
from aishell.backups.store.manifest import BackupManifest, Fingerprint
from aishell.databases.base import SessionOptions
from aishell.databases.connections import parse_url
from aishell.databases.opening import open_database
from aishell.models import Server
from aishell.running import dispatch
from aishell.running.context import Context
from aishell.site import Site
from tests.conftest import HOSTILE_NAMES_MYSQL
from tests.fix_aishell import Aishell, Ended
from tests.fix_tools import registry
from tests.mariadb import MariadbDatabase, quoted

#: Statements in which `{db}` is the database's own quoted name.
EVERYTHING = (
    """CREATE TABLE kinds (
         id int PRIMARY KEY AUTO_INCREMENT, tiny tinyint unsigned, big bigint unsigned, amount decimal(30, 10), single float,
         dbl double, bits bit(12), flag boolean, word varchar(50), fixed char(10), latin varchar(20) CHARACTER SET latin1,
         cyrillic varchar(20) CHARACTER SET cp1251, body mediumtext, raw varbinary(20), fixed_raw binary(4), data blob,
         document json,
         one enum('x', 'y', ''), many set('p', 'q', 'r'), day date, clock time(3), moment datetime(6), stamp timestamp(6) NULL,
         born year, place point, unique_id uuid, address inet6,
         doubled int GENERATED ALWAYS AS (tiny * 2) VIRTUAL, stored varchar(60) AS (concat(word, '!')) PERSISTENT,
         hidden int INVISIBLE DEFAULT 7, CHECK (tiny < 250), KEY by_word (word(10)), FULLTEXT KEY words (body)
       ) AUTO_INCREMENT = 5 COMMENT = 'it''s; -- AUTO_INCREMENT=9 `x`'""",
    "CREATE TABLE bare (note varchar(20), number int)",
    "CREATE TABLE child (id int PRIMARY KEY, kind_id int, FOREIGN KEY (kind_id) REFERENCES kinds (id) ON DELETE CASCADE)",
    "CREATE TABLE empty (id int PRIMARY KEY)",
    """CREATE TABLE parted (id int, y int, PRIMARY KEY (id, y)) PARTITION BY RANGE (y)
         (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN MAXVALUE)""",
    "CREATE TABLE versioned (id int PRIMARY KEY, v int) WITH SYSTEM VERSIONING",
    """CREATE TABLE precise (id int PRIMARY KEY, v int, s timestamp(6) GENERATED ALWAYS AS ROW START,
         e timestamp(6) GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME (s, e)) WITH SYSTEM VERSIONING""",
    "CREATE TABLE ledger (id int PRIMARY KEY AUTO_INCREMENT, account int, amount int)",
    "CREATE TABLE accounts (id int PRIMARY KEY, balance int)",
    "INSERT INTO accounts VALUES (1, 0), (2, 0)",
    "CREATE SEQUENCE numbers START WITH 5 INCREMENT BY 10 CACHE 20",
    "SELECT nextval(numbers)",
    "CREATE TABLE numbered (id int PRIMARY KEY DEFAULT nextval(numbers), t text)",
    "INSERT INTO numbered (t) VALUES ('a'), ('DEFAULT nextval({db}.`numbers`)')",
    "CREATE VIEW some_kinds AS SELECT id, word, {plain}.kinds.tiny FROM {plain}.kinds WHERE word <> '{plain}.x'",
    "CREATE VIEW over_view AS SELECT k.word FROM some_kinds AS k",
    "CREATE TRIGGER {plain}.stamped BEFORE INSERT ON {plain}.bare FOR EACH ROW SET NEW.number = COALESCE(NEW.number, 0) + 1",
    """CREATE TRIGGER second BEFORE INSERT ON bare FOR EACH ROW FOLLOWS stamped
       BEGIN -- a comment; with `marks` and 'quotes'
         SET NEW.note = CONCAT(NEW.note, ''); END""",
    """CREATE PROCEDURE spend (IN x int, OUT y varchar(10) CHARACTER SET utf8mb4)
       COMMENT 'spends' READS SQL DATA
       BEGIN
         /* a comment that stays */ -- and this one
         # and this
         CREATE TEMPORARY TABLE {plain}.t (a int); DROP TEMPORARY TABLE {plain}.t;
         SELECT ';;' INTO y; END""",
    "CREATE FUNCTION twice (x int) RETURNS int DETERMINISTIC RETURN x * 2",
    """CREATE EVENT tick ON SCHEDULE EVERY 1 SECOND ON COMPLETION PRESERVE DISABLE COMMENT 'DO ENABLE' DO
       BEGIN INSERT INTO bare VALUES ('tick', 1); END""",
    "CREATE EVENT sleeping ON SCHEDULE EVERY 1 DAY DISABLE DO SELECT 1",
)
ROWS: tuple[tuple[str, tuple[Any, ...]], ...] = (
    (
        """INSERT INTO kinds (tiny, big, amount, single, dbl, bits, flag, word, fixed, latin, cyrillic, body, raw, fixed_raw,
             data, document, one, many, day, clock, moment, stamp, born, place, unique_id, address)
           VALUES (%s, 18446744073709551615, -12345678901234567890.0123456789, 1.5, 1e-300, b'101', 1, %s, 'pad', 'é', 'ж',
             %s, %s, x'00ff', %s, '{"a": [1, null]}', 'y', 'p,r', '2026-02-28', '-838:59:59.123', '9999-12-31 23:59:59.999999',
             '2026-10-25 01:30:00.5', 2026, ST_GeomFromText('POINT(1 2)'), uuid(), '::1')""",
        (
            7,
            "four 🐘 bytes",
            "line\nline\\ 'q' \"d\" `b` ; -- /*!40000 */ \0 \r\x1a",
            b"\x00\xff'\\\n",
            bytes(range(256)),
        ),
    ),
    ("INSERT INTO kinds (word, data, one, body) VALUES ('', '', '', '')", ()),
    ("INSERT INTO kinds (word) VALUES (NULL)", ()),
    ("INSERT INTO kinds (day, moment, stamp, born) VALUES (0, 0, 0, 0)", ()),
    ("INSERT INTO kinds (day, moment, stamp) VALUES ('2026-00-00', '0000-00-00 00:00:00', '2026-03-29 00:59:59')", ()),
    ("INSERT INTO kinds (tiny, dbl) VALUES (1, 0.1), (2, -0.0), (3, 1.7976931348623157e308)", ()),
    ("INSERT INTO bare VALUES ('twice', 1), ('twice', 1), (NULL, NULL)", ()),
    ("INSERT INTO child VALUES (1, 5), (2, 6)", ()),
    ("INSERT INTO parted VALUES (1, 1), (2, 20)", ()),
    ("INSERT INTO versioned VALUES (1, 1), (2, 2)", ()),
    ("UPDATE versioned SET v = 3 WHERE id = 1", ()),
    ("DELETE FROM versioned WHERE id = 2", ()),
    ("INSERT INTO precise (id, v) VALUES (1, 1)", ()),
    ("UPDATE precise SET v = 2", ()),
)


def fill(db: MariadbDatabase) -> None:
    """Everything, in tables of hostile names too. The database's name has to be one that needs no quotes; no event runs."""
    names = {"{db}": quoted(str(db.dbname)), "{plain}": str(db.dbname)}
    with db.connect(sql_mode="") as connection, connection.cursor() as cursor:
        cursor.execute("SET time_zone = '+00:00'")
        for text in EVERYTHING:
            for name, value in names.items():
                text = text.replace(name, value)
            cursor.execute(text)
        for statement, values in ROWS:
            cursor.execute(statement, values or None)
        for name in HOSTILE_NAMES_MYSQL:
            cursor.execute(f"CREATE TABLE {quoted(name)} ({quoted(name)} int PRIMARY KEY, other text)")
            cursor.execute(f"INSERT INTO {quoted(name).replace('%', '%%')} VALUES (1, %s)", (name,))


def change(db: MariadbDatabase, number: int) -> None:
    """What an application does from one backup to the next: rows, tables, routines."""
    with db.connect(sql_mode="") as connection, connection.cursor() as cursor:
        for statement in (
            f"INSERT INTO kinds (word, data, single, moment) VALUES ('row {number} 🐘', x'00{number:02x}', 0.25, 0)",
            f"UPDATE kinds SET word = CONCAT(word, '{number}'), bits = bits + 1 WHERE word IS NOT NULL",
            "DELETE FROM kinds WHERE id = 5",  # its child goes with it
            f"INSERT INTO bare VALUES ('new {number}', {number})",
            "DELETE FROM bare WHERE note = 'twice' LIMIT 1",
            f"CREATE TABLE {db.dbname}.made_{number} (id int PRIMARY KEY, b blob)",
            f"INSERT INTO made_{number} VALUES (1, 'a'), (2, NULL)",
            f"ALTER TABLE made_{number} ADD COLUMN c varchar(10) DEFAULT 'c', ADD KEY (c)",
            f"CREATE TABLE taken_{number} AS SELECT id, word FROM kinds",
            f"RENAME TABLE taken_{number} TO kept_{number}",
            f"CREATE TABLE gone_{number} (id int)",
            f"DROP TABLE {db.dbname}.gone_{number}",
            f"CREATE VIEW view_{number} AS SELECT c FROM {db.dbname}.made_{number}",
            f"CREATE TRIGGER {db.dbname}.more_{number} AFTER INSERT ON made_{number} FOR EACH ROW DELETE FROM empty",
            f"CREATE PROCEDURE {db.dbname}.p_{number} () BEGIN SELECT {number} /* stays */ ; END",
            f"CREATE EVENT e_{number} ON SCHEDULE EVERY 1 SECOND DO DELETE FROM {db.dbname}.empty",
            f"UPDATE {quoted(HOSTILE_NAMES_MYSQL[number])} SET other = 'changed'",
            f"UPDATE versioned SET v = v + {number}",
            "SELECT nextval(numbers)",
            "INSERT INTO numbered (t) VALUES ('b')",
            f"ALTER EVENT sleeping {'DISABLE' if number % 2 else 'ENABLE'}",
            "ANALYZE TABLE kinds",
            f"ALTER DATABASE {db.dbname} COLLATE utf8mb4_{'bin' if number % 2 else 'unicode_ci'}",
        ):
            cursor.execute(statement)


def still(db: MariadbDatabase) -> None:
    """No event of the database runs any more."""
    for (name,) in db.execute("SELECT EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = DATABASE()"):
        db.execute(f"ALTER EVENT {quoted(name)} DISABLE")


def content(db: MariadbDatabase) -> dict[str, Any]:
    """Everything in a database as a plain driver reads it; AUTO_INCREMENT, and whether events are enabled, left out."""
    found: dict[str, Any] = {}
    as_sent = {key: value for key, value in pymysql.converters.conversions.items() if isinstance(key, type)}
    with db.connect(sql_mode="", use_unicode=False, conv=as_sent) as connection, connection.cursor() as cursor:

        def rows(sql: str) -> list[Any]:
            cursor.execute(sql)
            return list(cursor.fetchall())

        rows("SET time_zone = '+00:00'")
        own = "_SCHEMA = DATABASE()"
        for name, kind in rows(f"SELECT TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES WHERE TABLE{own}"):
            table = quoted(name.decode())
            shown = rows(f"SHOW CREATE TABLE {table}")[0][1].decode().replace(f"`{db.dbname}`.", "")
            found[f"definition of {name.decode()}"] = "\n".join(
                line.split(" AUTO_INCREMENT=")[0] if line.startswith(")") else line for line in shown.split("\n")
            )
            if kind != b"SEQUENCE":
                everything = "*, ST_AsText(place), hidden" if name == b"kinds" else "*"
                found[f"rows of {name.decode()}"] = sorted(map(repr, rows(f"SELECT {everything} FROM {table}")))
        found["routines"] = sorted(
            rows(
                f"SELECT ROUTINE_NAME, ROUTINE_DEFINITION, SQL_MODE FROM information_schema.ROUTINES WHERE ROUTINE{own}"
            )
        )
        found["triggers"] = sorted(
            rows(
                "SELECT TRIGGER_NAME, EVENT_OBJECT_TABLE, ACTION_ORDER, ACTION_STATEMENT FROM information_schema.TRIGGERS"
                f" WHERE TRIGGER{own}"
            )
        )
        found["events"] = sorted(
            rows(f"SELECT EVENT_NAME, INTERVAL_VALUE, EVENT_DEFINITION FROM information_schema.EVENTS WHERE EVENT{own}")
        )
        found["defaults"] = rows("SELECT @@character_set_database, @@collation_database")
    return found


def enabled_events(db: MariadbDatabase) -> list[str]:
    sql = "SELECT EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = DATABASE() AND STATUS = 'ENABLED'"
    return [name for (name,) in db.execute(sql)]


@contextmanager
def writer(db: MariadbDatabase, pause: float = 0.0) -> Iterator[list[int]]:
    """An application that moves money from one account to the other, in transactions; it tells how many it has made."""
    stop, made = threading.Event(), [0]

    def write() -> None:
        with db.connect(autocommit=False) as connection, connection.cursor() as cursor:
            while not stop.is_set():
                cursor.execute("UPDATE accounts SET balance = balance - 1 WHERE id = 1")
                cursor.execute("INSERT INTO ledger (account, amount) VALUES (1, -1), (2, 1)")
                cursor.execute("UPDATE accounts SET balance = balance + 1 WHERE id = 2")
                connection.commit()
                made[0] += 1
                time.sleep(pause)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield made
    finally:
        stop.set()
        thread.join()


def assert_consistent(db: MariadbDatabase) -> int:
    """Of one moment: no transaction is half there. How many there are."""
    ((total, first),) = db.execute("SELECT SUM(balance), MIN(balance) FROM accounts")
    ((moved, count),) = db.execute("SELECT COALESCE(SUM(amount), 0), COUNT(*) FROM ledger")
    assert (int(total), int(moved)) == (0, 0)
    assert count == -2 * first
    return int(-first)


def databases(db: MariadbDatabase) -> set[str]:
    return {name for (name,) in db.execute("SHOW DATABASES")}


class Backups:
    """The command line on one database."""

    def __init__(self, aishell: Aishell, db: MariadbDatabase) -> None:
        self.aishell, self.db = aishell, db

    def arguments(self, kind: str, *more: str, url: str | None = None) -> tuple[str, ...]:
        fixed = ("--url", url or self.db.url, "--environment", "test", "--yes", "--output", "json")
        return ("run", "backup", "--type", kind, *fixed, *more)

    def back_up(self, kind: str, *more: str, url: str | None = None) -> Ended:
        return self.aishell(*self.arguments(kind, *more, url=url))

    def made(self, kind: str, *more: str, url: str | None = None) -> dict[str, Any]:
        return dict(self.back_up(kind, *more, url=url).expect(0).json["output_data"])

    def refused(self, kind: str, *more: str, url: str | None = None) -> str:
        """The message of one that cannot be made; nothing of it is left."""
        ended = self.back_up(kind, *more, url=url).expect(1)
        assert not list((self.aishell.site / "backups").rglob(".partial-*"))
        return str(ended.json["error"]["message"])

    def restore(self, backup_id: str, place: str, *more: str) -> Ended:
        fixed = ("--url", self.db.url, "--environment", "test", "--yes", "--output", "json")
        return self.aishell("backups", "restore", backup_id, "--to", place, *fixed, *more)

    def restored(self, backup_id: str, place: str, *more: str) -> MariadbDatabase:
        self.restore(backup_id, place, *more).expect(0)
        return self.db.server.database(place)

    def entry(self, backup_id: str) -> dict[str, Any]:
        listed = self.aishell("backups", "list", "--output", "json").expect(0).json
        return dict(next(entry for entry in listed if entry["backup_id"] == backup_id))

    def manifest(self, backup_id: str) -> dict[str, Any]:
        text = (Path(self.entry(backup_id)["path"]) / "manifest.json").read_text()
        return dict(json.loads(text.rstrip().rpartition("\n")[0]))


class Tried:
    """The tools on one database without a run around them; `url` is who they connect as."""

    def __init__(self, db: MariadbDatabase, home: Path, *, url: str | None = None, settings: str = "") -> None:
        self.db, self.home = db, home
        (home / "config").mkdir(parents=True, exist_ok=True)
        (home / "config" / "aishell.yaml").write_text(settings)
        self.site = Site.open(home, state=home / "state.db")
        self.database = open_database(parse_url(url or db.url))

    def context(self) -> Context:
        facts = self.database
        server = Server(facts.engine, facts.product, facts.version, str(self.db.dbname), "this", facts.features)
        return Context(
            database=self.database,
            marker="aishell:test:0",
            options=SessionOptions(False, 5.0, 60),
            run_id=uuid.uuid4().hex,
            step_id="step",
            target="test",
            facts={"server": server},
            backups=self.site.backup_store,
        )

    def call(self, name: str, /, **params: Any) -> dict[str, Any]:
        context = self.context()
        tool = registry().pick(name, context.facts["server"])
        return dispatch.run(tool, tool.prepare(params), None, context).output

    def backed_up(self, kind: str = "full", **params: Any) -> CatalogEntry:
        made = self.call(f"backup_database_{kind}", **params)
        self.call("validate_backup", backup_id=made["backup_id"])
        return self.site.backup_store.catalog.find(made["backup_id"])

    def manifest(self, entry: CatalogEntry) -> BackupManifest:
        return self.site.backup_store.repository.manifest(entry.folder)

    def work(self) -> Work:
        context = self.context()
        tool = registry().pick("restore_test", context.facts["server"])
        return Work(tool, tool.prepare({"backup_id": "none"}), context, self.home)

    def fingerprints(self, place: str) -> tuple[Fingerprint, ...]:
        return MariadbDump().fingerprints(self.work(), place)

    def differences(self, entry: CatalogEntry, place: str) -> list[str]:
        """What is other in a database than the backup saw it."""
        return differences(self.manifest(entry).prints or (), self.fingerprints(place))

    def restored(self, entry: CatalogEntry, place: str, **params: Any) -> MariadbDatabase:
        self.call("restore_backup", backup_id=entry.backup_id, place=place, **params)
        return self.db.server.database(place)

    def close(self) -> None:
        self.database.close()
        self.site.close()


def drop(db: MariadbDatabase, *names: str) -> None:
    for name in names:
        with pymysql_quiet(db) as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {quoted(name)}")


@contextmanager
def pymysql_quiet(db: MariadbDatabase) -> Iterator[pymysql.cursors.Cursor]:
    """A cursor whose changes are in no binary log."""
    with db.connect(database=None) as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION sql_log_bin = 0")
        yield cursor
