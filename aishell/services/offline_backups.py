"""Operations on backups without their database: read, restore to a file, remove. They pass the gates of steps."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aishell.backups.create.making import Work
from aishell.backups.leftovers import BY_HAND
from aishell.backups.store.backup_store import BackupStore
from aishell.backups.store.catalog import CatalogEntry
from aishell.backups.store.manifest import BackupManifest
from aishell.backups.verify.checking import working
from aishell.databases.base import Database, Session, SessionOptions, TargetLock
from aishell.databases.connections import Credentials
from aishell.databases.urls import URL
from aishell.errors import DatabaseError
from aishell.models import AgentConfig, Estimate, Server, Step, Verdict, new_id
from aishell.registry.registry import Registry
from aishell.registry.tool import Tool
from aishell.running import dispatch
from aishell.running.context import Context
from aishell.safety import constraints, gates
from aishell.settings.policy import Policy
from aishell.settings.targets import Target

#: The tools that accept a backup whose own manifest is damaged or missing.
_WITHOUT_MANIFEST = ("cleanup_old_backups", "verify_copies")
#: The name of a step that is called without a run; its folder is named after this process instead of a run.
STEP = BY_HAND


class Absent(Database):
    """A database that is never connected to; its facts come from a backup."""

    def __init__(self, server: Server) -> None:
        super().__init__(Credentials(URL(server.engine, server.engine)))
        self.engine = server.engine
        self._facts = server.product, server.version, frozenset()

    def _connect(self, options: SessionOptions) -> Any:
        raise DatabaseError("no connection is made to the database of a backup here", kind="connect")

    def session(self, options: SessionOptions) -> Session:
        raise DatabaseError("no connection is made to the database of a backup here", kind="connect")

    def _probe(self, session: Session) -> tuple[str, tuple[int, ...], frozenset[str]]:
        return self.facts

    def hold(self, run_id: str) -> TargetLock:
        raise DatabaseError("no lock is taken in the database of a backup here", kind="connect")

    def running(self, marker: str) -> list[str]:
        return []

    def stop(self, server_session: str) -> None:
        return None


@dataclass(frozen=True)
class Keeper:
    """The backups of a site, and the gates for operations on them. `target` returns a target by name."""

    backup_store: BackupStore
    registry: Callable[[str], Registry]
    config: AgentConfig
    policy: Policy
    level: str
    target: Callable[[str], Target]

    def judge(self, name: str, params: Mapping[str, Any], entry: CatalogEntry) -> tuple[Tool, Verdict]:
        """Return a tool for the backup's engine, and the gates' verdict on calling it.

        Raises BackupError if the backup's manifest is damaged, UsageError for parameters that the tool does not take.
        """
        server = self._server(name, entry)
        tool, target = self.registry(entry.engine).pick(name, server), self.target(entry.target)
        step = Step("by_hand", tool.name, tool.prepare(params), estimate=Estimate(0.0, None, "not estimated"))
        seen = constraints.ConstraintContext(tool, target, server, now=datetime.now(target.zone))
        in_force: Sequence[constraints.Constraint] = constraints.build(
            (*self.policy.constraints, *self.config.constraints)
        )
        return tool, gates.judge(
            step, tool, seen, config=self.config, constraints=in_force, policy=self.policy, level=self.level
        )

    def call(self, name: str, params: Mapping[str, Any], entry: CatalogEntry) -> dict[str, Any]:
        """Call a tool that needs no connection to the database. Raises BackupError, among others."""
        server = self._server(name, entry)
        tool = self.registry(entry.engine).pick(name, server)
        return dispatch.run(tool, tool.prepare(params), None, self._context(server, entry.target)).output

    def removing(self, manifest: BackupManifest) -> AbstractContextManager[Work]:
        """Return the context for running the programs of the tool that removes backups, for a manifest's engine."""
        server = _server(manifest)
        tool = self.registry(manifest.engine).pick("cleanup_old_backups", server)
        return working(tool, {}, self._context(server, manifest.target))

    def _context(self, server: Server, target: str) -> Context:
        return Context(
            database=Absent(server),
            marker="",
            options=SessionOptions(),
            run_id=f"{os.getpid():08x}{new_id()[8:]}",  # unique, although a later process may have the same number
            step_id=STEP,
            agent_id=self.config.agent_id,
            target=target,
            facts={"server": server},
            backups=self.backup_store,
        )

    def _server(self, tool: str, entry: CatalogEntry) -> Server:
        """Return a backup's server from its manifest or, for tools that work without one, from the catalog."""
        if tool in _WITHOUT_MANIFEST:
            return Server(entry.engine, entry.engine, (), entry.database, entry.identity)
        return _server(self.backup_store.manifest(entry))


def _server(manifest: BackupManifest) -> Server:
    """Return a backup's server from its manifest."""
    version = tuple(int(part) for part in manifest.server_version.split("."))
    return Server(manifest.engine, manifest.product, version, manifest.database, manifest.identity)
