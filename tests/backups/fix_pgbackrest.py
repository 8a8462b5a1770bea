"""Fixtures for backups by pgbackrest: a server that archives through it, and a repository that is new for every test."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from aishell.backups.store.manifest import BackupManifest
from tests.backups.fix_physical import FILL
from tests.backups.physical import Physical
from tests.postgresql import PostgresqlServer

CONFIGURATION = """
[global]
repo1-path={folder}/repo
repo1-bundle=y
log-path={folder}/log
lock-path={folder}/lock
spool-path={folder}/spool
log-level-file=off
compress-type=lz4
process-max=2
archive-timeout=20

[main]
pg1-path={data}
pg1-port={port}
pg1-socket-path={folder}
pg1-user=postgres
"""


class ArchivingServer(PostgresqlServer):
    """A server whose WAL goes into a repository beside its data. What says so is restored with its data."""

    @property
    def conf(self) -> Path:
        return self.folder / "pgbackrest.conf"

    @property
    def repository(self) -> Path:
        return self.folder / "repo"

    def initialise(self) -> None:
        super().initialise()
        command = f"pgbackrest --config={self.conf} --stanza=main archive-push %p"
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(f"archive_mode = on\narchive_command = '{command}'\n")
        self.conf.write_text(CONFIGURATION.format(folder=self.folder, data=self.data, port=self.port))

    def renew(self) -> None:
        """An empty repository."""
        for name in ("repo", "log", "lock", "spool"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
            (self.folder / name).mkdir()
            if self.as_user:
                self.own(self.folder / name)
        self.pgbackrest("stanza-create")

    def pgbackrest(self, *arguments: str) -> str:
        return self.run("pgbackrest", f"--config={self.conf}", "--stanza=main", *arguments)


@dataclass
class Rested(Physical):
    """The tools, and the repository of the server."""

    reach: dict[str, Any] = field(default_factory=dict)

    @property
    def archiving(self) -> ArchivingServer:
        assert isinstance(self.database.server, ArchivingServer)
        return self.database.server

    def full(self, **params: Any) -> BackupManifest:
        return self._verified(self.call("backup_pgbackrest", **{**self.reach, **params}))

    def increment(self, **params: Any) -> BackupManifest:
        return self.full(type="incr", **params)

    def of(self, manifest: BackupManifest) -> Path:
        """Where its set lies in the repository."""
        return self.archiving.repository / "backup" / "main" / str(manifest.position["label"])


@pytest.fixture(scope="session")
def archiving_server(request: pytest.FixtureRequest) -> Iterator[ArchivingServer]:
    from tests.fix_postgresql import DISTRIBUTION_ONLY, DOES_WITHOUT, _programs

    server_programs = _programs(request.config, "distribution")
    if DOES_WITHOUT and shutil.which("pgbackrest") is None:
        pytest.skip(DISTRIBUTION_ONLY)
    server = ArchivingServer(server_programs)
    try:
        server.initialise()
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def rested(archiving_server: ArchivingServer, tmp_path: Path) -> Iterator[Rested]:
    """A fresh database on it, and a repository without a backup."""
    archiving_server.renew()
    database = archiving_server.create(f"test_{time.monotonic_ns()}")
    for statement in filter(str.strip, FILL.replace("%%", "%").split(";\n")):
        database.execute(statement)
    made = Rested(database, tmp_path / "vault", reach={"stanza": "main", "config": str(archiving_server.conf)})
    yield made
    made.close()
    database.drop()
