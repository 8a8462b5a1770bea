"""Physical backups of a MariaDB server as a run makes them, and servers on what was restored."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import zstandard

from aishell.backups.create.making import Work
from aishell.backups.mariadb.files import STREAM
from aishell.backups.store.catalog import CatalogEntry
from aishell.backups.store.manifest import BackupManifest
from aishell.databases.base import SessionOptions
from aishell.running import dispatch
from aishell.running.context import Context
from tests.backups.mariadb_samples import Tried, content
from tests.fix_tools import registry
from tests.mariadb import MariadbDatabase, MariadbServer

#: Tables of all the ways that rows lie in files. `{db}` is the database.
LAYOUTS = """
CREATE TABLE {db}.old (id int PRIMARY KEY, note varchar(40), KEY (note)) ENGINE = MyISAM;
CREATE TABLE {db}.page (id int PRIMARY KEY, note varchar(40), KEY (note)) ENGINE = Aria;
CREATE TABLE {db}.loose (id int PRIMARY KEY, note varchar(40), KEY (note)) ENGINE = Aria TRANSACTIONAL = 0;
CREATE TABLE {db}.small (id int PRIMARY KEY, note varchar(40), KEY (note)) ENGINE = InnoDB ROW_FORMAT = COMPRESSED;
CREATE TABLE {db}.holes (id int PRIMARY KEY, note varchar(40), KEY (note)) ENGINE = InnoDB PAGE_COMPRESSED = 1;
CREATE TABLE {db}.listed (id int NOT NULL, note varchar(40) NOT NULL) ENGINE = CSV;
"""
LAID = ("old", "page", "loose", "small", "holes", "listed")


def lay(db: MariadbDatabase) -> None:
    """The tables of LAYOUTS, with rows."""
    for statement in filter(str.strip, LAYOUTS.format(db=db.dbname).split(";\n")):
        db.execute(statement)
    write(db, 0)


def write(db: MariadbDatabase, number: int) -> None:
    """Rows into each of them; and a database of its own, which goes again with the next."""
    for table in LAID:
        db.execute(f"INSERT INTO {table} SELECT seq, MD5(seq) FROM seq_{number * 500 + 1}_to_{number * 500 + 500}")
        db.execute(f"UPDATE {table} SET note = 'changed {number}' WHERE id % 50 = {number}")
    db.execute(f"DROP DATABASE IF EXISTS `beside_{number - 1}`")
    db.execute(f"CREATE DATABASE beside_{number}")
    db.execute(f"CREATE TABLE beside_{number}.own AS SELECT seq FROM seq_1_to_100")
    db.execute(f"CREATE USER person_{number} IDENTIFIED BY 'x'")


def whole(db: MariadbDatabase) -> dict[str, Any]:
    """Everything of a database and what there is beside it; nothing here can differ but by a mistake."""
    found = content(db)
    for table in LAID:
        if db.execute("SHOW TABLES LIKE %s", [table]):
            found[f"sum of {table}"] = db.execute(f"CHECKSUM TABLE {table}")[0][1]
    counters = (
        "SELECT TABLE_NAME, AUTO_INCREMENT FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() ORDER BY 1"
    )
    states = "SELECT EVENT_NAME, STATUS FROM information_schema.EVENTS ORDER BY 1"
    accounts = "SELECT User, Host, authentication_string FROM mysql.user ORDER BY 1, 2"
    for sql in (counters, states, accounts, "SHOW DATABASES"):
        found[sql] = db.execute(sql)
    return found


class Physical(Tried):
    """The tools on one server, and a folder of backups."""

    lock_timeout = 5.0

    def tool_context(self, run: str | None) -> Context:
        options = SessionOptions(False, self.lock_timeout, 60)
        return replace(self.context(), run_id=run or uuid.uuid4().hex, options=options)

    def step(self, name: str, run: str | None = None, /, **params: Any) -> dict[str, Any]:
        """What a step of a run returns."""
        context = self.tool_context(run)
        tool = registry().pick(name, context.facts["server"])
        result = dispatch.run(tool, tool.prepare(params), None, context)
        assert result.status == "done", result
        return result.output

    def full(self, **params: Any) -> CatalogEntry:
        return self.verified(self.step("backup_cluster", **params))

    def increment(self, **params: Any) -> CatalogEntry:
        return self.verified(self.step("backup_database_incremental", **params))

    def verified(self, made: dict[str, Any]) -> CatalogEntry:
        assert self.step("validate_backup", backup_id=made["backup_id"])["rung"] == "readable"
        return self.site.backup_store.catalog.find(made["backup_id"])

    def on(self, name: str) -> Work:
        """A work of a tool of its own, in the home."""
        context = self.tool_context(None)
        tool = registry().pick(name, context.facts["server"])
        return Work(tool, {}, context, self.home)

    @contextmanager
    def restored_server(self, entry: CatalogEntry) -> Iterator[MariadbDatabase]:
        """The same database on a server on what was restored."""
        server = Restored(self.db.server)
        try:
            self.step("restore_backup", backup_id=entry.backup_id, place=str(server.data))
            if server.as_user:
                server.own(server.data)
            server.start()
            yield server.database(self.db.dbname)
        finally:
            server.remove()

    def repacked(self, entry: CatalogEntry, damage: Callable[[Path], None]) -> BackupManifest:
        """As when a disk damaged it while it was made: what is written of it is right of the damage."""
        manifest, stream, files = self.manifest(entry), entry.folder / STREAM, self.home / "files"
        files.mkdir()
        packed = zstandard.ZstdDecompressor().stream_reader(stream.read_bytes()).read()
        subprocess.run(["mbstream", "-x", "-C", str(files)], input=packed, check=True)
        damage(files)
        names = [str(path.relative_to(files)) for path in sorted(files.rglob("*")) if path.is_file()]
        again = subprocess.run(["mbstream", "-c", *names], cwd=files, capture_output=True, check=True).stdout
        stream.write_bytes(zstandard.ZstdCompressor().compress(again))
        shutil.rmtree(files)
        return replace(manifest, details={**manifest.details, "stream_bytes": len(again)})


class Restored(MariadbServer):
    """A server on a data directory that somebody else made."""

    def __init__(self, source: MariadbServer) -> None:
        super().__init__(source.program, source.settings)
