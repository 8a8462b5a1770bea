"""Dumps of a PostgreSQL database, as `aishell run backup` makes them and as its tools do."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from psycopg import sql

from aishell.backups.create.making import Work
from aishell.backups.postgresql.dump import PgDump
from aishell.backups.restore.restore import differences
from aishell.backups.store.backup_store import BackupStore
from aishell.backups.store.catalog import CatalogEntry
from aishell.backups.store.manifest import BackupManifest, Fingerprint
from aishell.databases.base import SessionOptions
from aishell.databases.connections import parse_url
from aishell.databases.opening import open_database
from aishell.models import Server
from aishell.running import dispatch
from aishell.running.context import Context
from aishell.site import Site
from tests.conftest import HOSTILE_NAMES
from tests.fix_aishell import Aishell, Ended
from tests.fix_tools import registry
from tests.postgresql import PostgresqlDatabase

EVERYTHING = Path(__file__).with_name("everything_postgresql.sql")
#: What older servers do not know of it, with what stands in its place: the version that began with it.
SINCE = (
    (14, "BEGIN ATOMIC SELECT n * 3; END", "AS 'SELECT n * 3'"),
    (14, "'-infinity', 'infinity', 'infinity', -1", "'-infinity', 'infinity', 'NaN', -1"),
    (14, "'-0', '-0', '-infinity'", "'-0', '-0', '-1'"),
    (13, "CREATE TRIGGER everywhere BEFORE", "CREATE TRIGGER everywhere AFTER"),
)
OWNER, READER = 'ow "ner', "rea der"
BIG = "CREATE TABLE big AS SELECT n AS id, md5(n::text) AS text FROM generate_series(1, {}) AS n"


def fill_with_everything(db: PostgresqlDatabase) -> None:
    """One of everything that a database can have, and tables in schemas of hostile names."""
    for role in (OWNER, READER):
        db.make_role(role)
    text = EVERYTHING.read_text()
    for version, new, old in SINCE:
        assert new in text
        text = text if db.server.major >= version else text.replace(new, old)
    for name, value in {"owner": OWNER, "reader": READER, "database": db.dbname}.items():
        text = text.replace(f"{{{name}}}", sql.Identifier(value).as_string())
    db.execute(text)
    for hostile in map(sql.Identifier, HOSTILE_NAMES):
        table = sql.SQL("{}.{}").format(hostile, hostile)
        db.execute(sql.SQL("CREATE SCHEMA {}").format(hostile))
        db.execute(sql.SQL("CREATE TABLE {} ({} serial PRIMARY KEY, other text)").format(table, hostile))
        db.execute(sql.SQL("INSERT INTO {} (other) SELECT 'x' FROM generate_series(1, 10)").format(table))


def let_read_everything(db: PostgresqlDatabase, role: str) -> None:
    """What a backup needs; before version 14 there is no role that has it."""
    if db.server.major >= 14:
        db.execute(f"GRANT pg_read_all_data TO {role}")
    else:
        db.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
        db.execute(f"GRANT SELECT ON pg_largeobject TO {role}")


def databases(db: PostgresqlDatabase) -> set[str]:
    return {name for (name,) in db.execute("SELECT datname FROM pg_database")}


class Logical:
    """The command line on one database, with the client programs of a server, its own unless said otherwise."""

    def __init__(self, aishell: Aishell, db: PostgresqlDatabase, programs: Path | None = None) -> None:
        self.aishell, self.db = aishell, db
        aishell.configure("aishell.yaml", f"programs: {programs or db.server.bin}\n")

    def arguments(self, *more: str, url: str | None = None) -> tuple[str, ...]:
        fixed = ("--url", url or self.db.url, "--environment", "test", "--yes", "--output", "json")
        return ("run", "backup", "--type", "full", *fixed, *more)

    def back_up(self, *more: str, url: str | None = None) -> Ended:
        return self.aishell(*self.arguments(*more, url=url))

    def made(self, *more: str, url: str | None = None) -> dict[str, Any]:
        return dict(self.back_up(*more, url=url).expect(0).json["output_data"])

    @property
    def root(self) -> Path:
        return self.aishell.site / "backups"

    def written(self) -> list[Path]:
        """Whatever lies in the folder of backups."""
        return sorted(self.root.rglob("*"))

    def restore(self, backup_id: str, place: str, *more: str) -> Ended:
        options = ("--to", place, "--url", self.db.url, "--environment", "test", "--yes", "--output", "json")
        return self.aishell("backups", "restore", backup_id, *options, *more)


class Tried:
    """The tools on one database without a run around them; `url` is who they connect as."""

    def __init__(
        self, db: PostgresqlDatabase, home: Path, *, url: str | None = None, programs: Path | None = None
    ) -> None:
        self.db, self.home, self.url = db, home, url or db.url
        (home / "config").mkdir(parents=True, exist_ok=True)
        (home / "config" / "aishell.yaml").write_text(f"programs: {programs or db.server.bin}\n")
        self.site = Site.open(home, state=home / "state.db")
        self.database = open_database(parse_url(self.url))
        self.lock_timeout = 5.0

    @property
    def backup_store(self) -> BackupStore:
        return self.site.backup_store

    def context(self) -> Context:
        facts = self.database
        with facts.session(SessionOptions()) as session:
            superuser = session._connection.info.parameter_status("is_superuser") == "on"  # type: ignore[attr-defined]
        server = Server(
            facts.engine,
            facts.product,
            facts.version,
            self.db.dbname,
            "this",
            facts.features,
            superuser=superuser,
            user="the role",
        )
        return Context(
            database=self.database,
            marker="aishell:test:0",
            options=SessionOptions(False, self.lock_timeout, 60),
            run_id=uuid.uuid4().hex,
            step_id="step",
            target="test",
            facts={"server": server},
            backups=self.backup_store,
        )

    def call(self, name: str, context: Context | None = None, /, **params: Any) -> dict[str, Any]:
        context = context or self.context()
        tool = registry().pick(name, context.facts["server"])
        return dispatch.run(tool, tool.prepare(params), None, context).output

    def backed_up(self, **params: Any) -> CatalogEntry:
        made = self.call("backup_database_full", **params)
        self.call("validate_backup", backup_id=made["backup_id"])
        return self.backup_store.catalog.find(made["backup_id"])

    def manifest(self, entry: CatalogEntry) -> BackupManifest:
        return self.backup_store.repository.manifest(entry.folder)

    def work(self) -> Work:
        """What `restore_test` works with."""
        context = self.context()
        tool = registry().pick("restore_test", context.facts["server"])
        return Work(tool, tool.prepare({"backup_id": "none"}), context, self.home)

    def fingerprints(self, place: str) -> tuple[Fingerprint, ...]:
        return PgDump().fingerprints(self.work(), place)

    def differences(self, entry: CatalogEntry, place: str) -> list[str]:
        """What is other in a database than the backup saw it."""
        return differences(self.manifest(entry).prints or (), self.fingerprints(place))

    @contextmanager
    def restored(self, entry: CatalogEntry, place: str, **params: Any) -> Iterator[PostgresqlDatabase]:
        self.call("restore_backup", backup_id=entry.backup_id, place=place, **params)
        database = self.db.server.database(place)
        try:
            yield database
        finally:
            database.drop()

    def close(self) -> None:
        self.database.close()
        self.site.close()
