"""Physical backups of a cluster as a run makes them, and servers on what was restored."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import sql

from aishell.backups.store.backup_store import BackupStore
from aishell.backups.store.manifest import BackupManifest
from aishell.backups.store.repository import Repository
from aishell.databases.base import SessionOptions
from aishell.databases.connections import parse_url
from aishell.databases.opening import open_database
from aishell.models import Server
from aishell.registry.tool import Tool
from aishell.running import dispatch
from aishell.running.context import Context
from aishell.state.store import Store
from tests.fix_tools import registry
from tests.postgresql import PostgresqlDatabase, PostgresqlServer

TABLES = """
SELECT n.nspname, c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2
"""
HASH = "SELECT count(*) || ':' || coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) FROM {} AS t"


def hashes(database: PostgresqlDatabase) -> dict[str, str]:
    """Every table of a database, row by row."""
    found = {}
    with database.connect() as connection:
        for schema, table in connection.execute(TABLES).fetchall():
            row = connection.execute(sql.SQL(HASH).format(sql.Identifier(schema, table))).fetchone()
            found[f"{schema}.{table}"] = row[0] if row else ""
    return found


@dataclass
class Physical:
    """The tools on one cluster, and a folder of backups."""

    database: PostgresqlDatabase
    home: Path
    url: str = ""
    recipients: tuple[str, ...] = ()
    identity: Path | None = None
    target: str = "test"
    kind: str = "wal"  # what increments are made of
    state: Path | None = None
    root: Path | None = None

    def __post_init__(self) -> None:
        self.home.mkdir(exist_ok=True)
        self.store = Store.open(self.state or self.home / "state.db")
        self.backup_store = BackupStore(
            Repository(self.root or self.home / "backups"),
            lambda: self.store,
            self.database.server.bin,
            recipients=self.recipients,
            identity=self.identity,
        )
        self.opened = open_database(parse_url(self.url or self.database.url))

    @property
    def server(self) -> Server:
        """As inspection tells it."""
        ((identity,),) = self.database.execute(
            "SELECT format('system %s at %s database %s %s', system_identifier, current_setting('data_directory'), oid, datname)"
            " FROM pg_control_system(), pg_database WHERE datname = current_database()"
        )
        facts = self.opened
        return Server(facts.engine, facts.product, facts.version, self.database.dbname, identity, facts.features)

    def tool(self, name: str) -> Tool:
        return registry().pick(name, self.server)

    def context(self, tool: Tool, run: str | None = None) -> Context:
        return Context(
            database=self.opened,
            marker="aishell:test:0",
            options=SessionOptions(False, 5, 60),
            run_id=run or uuid.uuid4().hex,
            step_id="backup",
            target=self.target,
            facts={"server": self.server},
            backups=self.backup_store,
        )

    def call(self, name: str, run: str | None = None, **params: Any) -> dict[str, Any]:
        """What a step of a run returns."""
        tool = self.tool(name)
        result = dispatch.run(tool, tool.prepare(params), None, self.context(tool, run))
        assert result.status == "done", result
        return result.output

    def full(self, **params: Any) -> BackupManifest:
        return self._verified(self.call("backup_cluster", **params))

    def increment(self, **params: Any) -> BackupManifest:
        return self._verified(self.call("backup_database_incremental", **params))

    def _verified(self, made: dict[str, Any]) -> BackupManifest:
        assert self.call("validate_backup", backup_id=made["backup_id"])["rung"] == "readable"
        return self.backup_store.repository.manifest(Path(made["backup_path"]))

    def folder(self, manifest: BackupManifest) -> Path:
        return self.backup_store.catalog.find(manifest.backup_id).folder

    def hashes(self) -> dict[str, str]:
        return hashes(self.database)

    def slots(self) -> list[tuple[str, str]]:
        rows = self.database.execute("SELECT slot_name, restart_lsn::text FROM pg_replication_slots ORDER BY 1")
        return [(slot, lsn) for slot, lsn in rows]

    @contextmanager
    def restored(self, manifest: BackupManifest, **params: Any) -> Iterator[PostgresqlDatabase]:
        """A server on what was restored; its hashes are those of the backup's moment, if all is well."""
        server = Restored(self.database.server)
        try:
            self.call("restore_backup", backup_id=manifest.backup_id, place=str(server.data), **params)
            server.start()
            yield server.database(self.database.dbname)
        finally:
            server.remove()

    def close(self) -> None:
        self.opened.close()
        for slot, _ in self.slots():
            self.database.execute("SELECT pg_drop_replication_slot(%s)", [slot])
        self.store.close()
        shutil.rmtree(self.home)


class Restored(PostgresqlServer):
    """A server on a data directory that somebody else made."""

    def __init__(self, source: PostgresqlServer) -> None:
        super().__init__(source.bin, source.settings | {"hot_standby": "off"})


def change(physical: Physical, number: int) -> None:
    execute = physical.database.execute
    execute(f"UPDATE plain SET note = 'changed {number}' WHERE id % 100 = {number}")
    execute(
        f"INSERT INTO plain (id, note) SELECT n, 'new' FROM generate_series({30_000 + number * 1000}, {30_500 + number * 1000}) n"
    )
    execute(f"CREATE TABLE made_{number} AS SELECT n FROM generate_series(1, 1000) n")
    execute(f"DELETE FROM plain WHERE id % 97 = {number}")


def cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def flip(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes((byte[0] ^ 1,)))
