"""One task on one target, with every part needed to plan and run it, put together by the site."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aishell.agents.base import Agent
from aishell.databases.base import Database, SessionOptions, Statement
from aishell.engines import profile
from aishell.errors import PlanError, UnknownNameError, UsageError
from aishell.execution.sending import Sending
from aishell.files import Stamp, stamp
from aishell.interrupts import uninterrupted
from aishell.models import (
    AgentConfig,
    Decision,
    Reason,
    Risk,
    Row,
    Sent,
    Server,
    Step,
    Subject,
    Table,
    Tally,
    Task,
    Verdict,
)
from aishell.planning.variables import blanked, named_tables
from aishell.plugins import load
from aishell.registry.hooks import Hooks
from aishell.registry.moved import current
from aishell.registry.registry import Registry
from aishell.registry.render import render
from aishell.registry.tool import UNDO, Tool
from aishell.running import dispatch
from aishell.running.context import Context
from aishell.safety import autonomy, gates
from aishell.safety.constraints import Constraint, ConstraintContext
from aishell.safety.locks import locks_elsewhere, wait_of
from aishell.settings.policy import Policy
from aishell.settings.targets import Target

if TYPE_CHECKING:
    from aishell.backups.store.backup_store import BackupStore
    from aishell.backups.store.catalog import CatalogEntry
    from aishell.state.autonomy import Autonomy
    from aishell.state.notes import Notes

#: The limits of inspection, in seconds.
INSPECTION = SessionOptions(read_only=True, lock_timeout=2.0, statement_timeout=60.0)
#: Columns of `inspect_server` that are taken as they are.
_FACTS = (
    "database_bytes", "data_directory", "oldest_transaction_seconds", "oldest_transaction", "replica_lag_seconds",
    "active_sessions", "freeze_age_percent", "free_bytes", "journal_mode", "auto_vacuum",
)  # fmt: skip
#: Columns of a table's row that some engines give as decimals.
_WHOLE_NUMBERS = ("rows", "bytes", "index_bytes", "dead_rows", "live_rows", "modified_rows", "free_bytes", "writes")
#: The tool that lists what a role may do.
PRIVILEGES = "inspect_privileges"


@dataclass(frozen=True)
class Rules:
    """The rules by which steps are judged."""

    policy: Policy
    constraints: Sequence[Constraint]


@dataclass
class Rereading:
    """The rules of a site as they are now. Changes during a run or an open prompt can only make it stricter.

    `files`: each with its stamp from before it was read. `read`: makes the rules from their present contents.
    """

    files: dict[Path, Stamp | None] = field(default_factory=dict)
    read: Callable[[], Rules | None] = lambda: None
    _known: Rules | None = None

    def newer(self) -> Rules | None:
        """The rules as changed since the run began, None where they are unchanged. Raises SettingsError and UntrustedError."""
        now = {path: stamp(path) for path in self.files}
        if now != self.files:
            self._known = self.read()
            self.files = now
        return self._known


@dataclass
class Job:
    """A task, its target and the parts that serve them. `server` is filled in by inspection."""

    task: Task
    target: Target
    database: Database
    registry: Registry
    agent: Agent
    config: AgentConfig
    policy: Policy
    constraints: Sequence[Constraint]
    level: str
    hooks: Hooks = field(default_factory=Hooks)
    inspector: Database | None = None  # the target through the role that may only look, where one is configured
    server: Server | None = None
    archives: Path | None = None  # the folder of archives
    open_backups: Callable[[], BackupStore] | None = None  # 9 ms of imports, which few plans need
    warnings: Sequence[str] = ()  # of every plan
    rereading: Rereading = field(default_factory=Rereading)
    autonomy: Autonomy | None = None  # earned autonomy, where a rule of the policy grants it
    sending: Sending = field(default_factory=Sending)
    notes: Notes | None = None  # of people, where there is a state store

    def __post_init__(self) -> None:
        for database in self.databases:
            database.hears = self.sending.hear

    @property
    def backups(self) -> BackupStore | None:
        """The store that backups are kept in."""
        return self.open_backups() if self.open_backups is not None else None

    @property
    def databases(self) -> list[Database]:
        """The target through the role that does the work, and through the one that may only inspect, if there is one."""
        return [self.database, *([self.inspector] if self.inspector is not None else [])]

    def close(self) -> None:
        """Close every connection; a later use connects again."""
        with uninterrupted():
            for database in self.databases:
                database.close()

    def named(self) -> dict[str, Any]:
        """The fields of a result that identify the job."""
        whose = {"agent_id": self.config.agent_id, "agent": self.agent.type}
        return {**whose, "target": self.target.name, "engine": self.database.engine}

    def known_server(self) -> Server:
        """Engine, product, version and features: enough to pick tools."""
        if self.server is None:
            database = self.database
            name = database.credentials.url.database or ""
            known = (database.engine, database.product, database.version, name)
            self.server = Server(*known, identity="", features=database.features)
        elif self.server.features != self.database.features:
            self.server = replace(self.server, features=self.database.features)
        return self.server

    def pick(self, name: str) -> Tool:
        return self.registry.pick(name, self.known_server())

    def read(
        self,
        name: str,
        params: Mapping[str, Any] | None = None,
        *,
        blocks: Collection[str] | None = None,
        working: bool = False,
        within: float | None = None,
    ) -> dict[str, list[Row]]:
        """The rows of every block of a `query` tool, or of some, by block; each `within` so many seconds.

        `working`: as the role that does the work. Raises PlanError for a tool that is not `safe`, since nobody approved it.
        """
        tool = self.pick(name)
        if not tool.way.reads or tool.risk_level is not Risk.SAFE:
            raise PlanError(f"{tool.source} cannot run while a plan is made: only queries of `risk: safe` can")
        values = tool.prepare(params or {})
        options = INSPECTION if within is None else replace(INSPECTION, statement_timeout=within)
        with (self.database if working else self.inspector or self.database).session(options) as session:
            session.mark(f"aishell:inspect {tool.source}")
            return {
                block.name: session.query(render(tool, block, values, self.database))
                for block in tool.blocks.values()
                if blocks is None or block.name in blocks
            }

    def access(self) -> dict[str, list[Row]]:
        """The privileges of the role that does the work, as `planning.privileges` reads them."""
        if self.writable is not None:
            return {"file": [{"path": str(getattr(self.database, "path", "")), "writable": self.writable}]}
        if not self.registry.has(PRIVILEGES, self.known_server()):
            return {}
        return self.read(PRIVILEGES, blocks=profile(self.database.engine).access, working=True)

    @property
    def writable(self) -> bool | None:
        """SQLite: whether the file and its folder can be written; None where there is no file."""
        path = getattr(self.database, "path", None)
        return None if path is None else os.access(path, os.W_OK) and os.access(Path(path).parent, os.W_OK)

    def refresh(self) -> Server:
        """Look at the server again: standby, lag, load and old transactions change while a run lasts."""
        known = self.known_server()
        row = next(iter(next(iter(self.read("inspect_server").values()))), {})
        facts: dict[str, Any] = {name: row.get(name) for name in _FACTS}
        self.server = replace(
            known,
            database=row.get("database") or known.database,
            identity=str(row.get("identity") or getattr(self.database, "identity", "")),
            user=row.get("user_name") or "",
            superuser=bool(row.get("superuser")),
            standby=bool(row.get("standby")),
            read_only=bool(row.get("read_only")),
            **facts,
            now=str(row.get("now") or ""),
        )
        return self.server

    def identify(self, tables: Sequence[tuple[str, str]]) -> list[Row]:
        """The named objects as they are now: kind, oid, size, sessions that use them."""
        if not tables:
            return []
        named = [{"schema": schema, "table": table} for schema, table in tables]
        return next(iter(self.read("identify_objects", {"tables": named}).values()))

    def subject(self, tool: Tool, undoes: str | None = None) -> Subject:
        """The subject of a tool's step, as in the audit log; `undoes`: the tool whose step it undoes."""
        takes_back = undoes or (tool.name.removeprefix(UNDO) if tool.undoing else None)
        identity = self.known_server().identity
        return Subject(tool.name, tool.version, self.target.name, identity, self.target.environment, takes_back)

    def judge(
        self, step: Step, tool: Tool, tables: Sequence[Row | Table], calls: int = 0, run_id: str | None = None
    ) -> Verdict:
        """The verdict on a step, given the objects that it names; `run_id`: the run that is about to run it."""
        seen = tuple(table if isinstance(table, Table) else table_of(table) for table in tables)
        busy = sum(int(row.get("busy_sessions") or 0) for row in tables if not isinstance(row, Table))
        free, visible = self.free_backup_disk() if tool.category == "backup" else self.free_disk()
        asked = self.task.metadata.get("asked") or {}
        context = ConstraintContext(
            tool=tool,
            target=self.target,
            server=self.known_server(),
            tables=seen,
            busy_sessions=busy,
            now=datetime.now(self.target.zone),
            free_disk=free,
            disk_seen=visible,
            calls_last_minute=calls,
            cascade_children=dict(step.params.get("cascades") or {}),
            cascade_changes=dict(step.params.get("changes") or {}),
            model_proposed=bool(self.task.metadata.get("model")) or asked.get("by") == "model",
            worded=bool(asked),
            last_backup=self._last_backup(step),
            noted=self._noted(step, tool),
        )
        objection = self.agent.validate_safety(step)
        if objection is None:
            return self._strictest(step, tool, context, self._counted(tool, run_id))
        verdict = self._strictest(step, tool, context)  # earned autonomy does not overrule an agent's objection
        return replace(
            verdict,
            decision=max(verdict.decision, objection.decision, key=lambda decision: decision.rank),
            safe=verdict.safe and objection.safe,
            reasons=(*verdict.reasons, *objection.reasons),
            risks=(*verdict.risks, *(reason.text for reason in objection.reasons)),
        )

    def _noted(self, step: Step, tool: Tool) -> tuple[Reason, ...]:
        """The notes that require a stricter decision on a step that changes something, read again each time."""
        if self.notes is None or tool.read_only:
            return ()
        tables = named_tables(blanked(step.params))
        return tuple(
            Reason(f"note {note.id}", note.text, Decision(note.decision))
            for note in self.notes.tightening(self.target.name)
            if note.decision is not None and note.tightens(tool.name, tables)
        )

    def _counted(self, tool: Tool, run_id: str | None) -> Tally | None:
        """The supervised runs of a tool, where a rule of the policy counts them."""
        if autonomy.rule_for(self.policy, tool, self.target) is None:
            return None
        return self.autonomy.tally(self.subject(tool), run_id) if self.autonomy is not None else Tally()

    def _strictest(self, step: Step, tool: Tool, context: ConstraintContext, tally: Tally | None = None) -> Verdict:
        """The stricter verdict of the rules that the run began with and of those as changed since."""

        def judged(rules: Rules) -> Verdict:
            return gates.judge(
                step,
                tool,
                context,
                config=self.config,
                constraints=rules.constraints,
                policy=rules.policy,
                level=self.level,
                tally=tally,
            )

        verdict = judged(Rules(self.policy, self.constraints))
        try:
            newer = self.rereading.newer()
        except UsageError as error:
            reason = Reason("rules", f"the rules were changed and cannot be read: {error.message}", Decision.DENY)
            return replace(verdict, decision=Decision.DENY, safe=False, reasons=(*verdict.reasons, reason))
        later = verdict if newer is None else judged(newer)
        return later if later.decision.rank > verdict.decision.rank else verdict

    def _last_backup(self, step: Step) -> datetime | None:
        """When the newest verified backup of this database was begun, where a constraint requires one for this step."""
        asks = any(step.tool in getattr(constraint, "before_operations", ()) for constraint in self.constraints)
        entry = self.newest_backup() if asks else None
        return None if entry is None else datetime.fromisoformat(entry.started_at)

    def newest_backup(self) -> CatalogEntry | None:
        """The newest verified backup of this database."""
        backups = self.backups
        if backups is None:
            return None
        names = {str(self.database.credentials.url.database), self.known_server().database}
        return backups.latest(self.known_server().identity, self.target.name, names)

    def free_backup_disk(self) -> tuple[int | None, bool]:
        """Free bytes where backups are kept, and whether they could be seen."""
        backups = self.backups
        if backups is None:
            return None, False
        root = backups.repository.root.absolute()
        return shutil.disk_usage(next(folder for folder in (root, *root.parents) if folder.exists())).free, True

    def free_disk(self) -> tuple[int | None, bool]:
        """Free bytes where the database's files are, and whether they could be seen from here."""
        if self.target.free_disk_bytes is not None:
            return self.target.free_disk_bytes, False
        path = getattr(self.database, "path", None)
        if path is None and self.database.credentials.url.local and self.known_server().data_directory:
            path = Path(str(self.known_server().data_directory))
        try:
            return (shutil.disk_usage(path).free, True) if path is not None and os.path.exists(path) else (None, False)  # noqa: PTH110
        except OSError:
            return None, False

    def options(self, tool: Tool) -> SessionOptions:
        """The limits of a tool's own session."""
        limit = tool.max_execution_time if tool.max_execution_time is not None else self.config.timeout_seconds
        return SessionOptions(tool.read_only, wait_of(tool).seconds, float(limit))

    def statements(self, tool: Tool, values: Mapping[str, Any], found: Sequence[Row] | None) -> list[Statement]:
        """The statements of a step; a tool with `foresees` works them out itself, and only reads."""
        if tool.foresees is None:
            return dispatch.statements(tool, values, found, self.database)
        context = Context(
            self.database,
            f"aishell:inspect {tool.source}",
            replace(INSPECTION, lock_timeout=self.options(tool).lock_timeout),
            target=self.target.name,
            facts={"server": self.known_server()},
            backups=self.backups,
        )
        return list(load(current(tool.foresees), f"foresees of {tool.name},")(tool, values, context))

    def sent(self, tool: Tool, values: Mapping[str, Any], found: Sequence[Row] | None) -> list[Sent]:
        """The statements of a step as people read them."""
        return [as_sent(tool, statement) for statement in self.statements(tool, values, found)]


def as_sent(tool: Tool, statement: Statement) -> Sent:
    """A statement of a tool as people read it."""
    return Sent(statement.text, tool.lock, tool.source, statement.shown, locks_elsewhere(tool), statement.note)


def choose(names: Sequence[str], tables: Sequence[Table]) -> tuple[Table, ...]:
    """The tables that globs or exact names choose, as `schema.table` or `table`; all tables without names.

    An exact match takes precedence, so that `we*ird` can be named. Raises UnknownNameError for a name that matches nothing.
    """
    if not names:
        return tuple(tables)
    chosen: dict[tuple[str, str], Table] = {}
    for name in names:
        exact = [t for t in tables if name in (t.table, f"{t.schema}.{t.table}")]
        found = exact or [t for t in tables if fnmatchcase(t.table, name) or fnmatchcase(f"{t.schema}.{t.table}", name)]
        if not found:
            raise UnknownNameError("table", name, {f"{t.schema}.{t.table}" for t in tables} | {t.table for t in tables})
        chosen.update({t.key: t for t in found})
    return tuple(chosen.values())


def table_of(row: Mapping[str, Any]) -> Table:
    """A row of `inspect_tables` or `identify_objects` as a value; columns it does not know are left out."""
    known = {name: row[name] for name in Table.__dataclass_fields__ if row.get(name) is not None}
    known |= {name: int(known[name]) for name in _WHOLE_NUMBERS if name in known}
    known |= {name: float(known[name]) for name in ("freeze_age_percent", "fragmentation_percent") if name in known}
    known |= {"oid": str(known.get("oid", "")), "has_primary_key": bool(row.get("has_primary_key", True))}
    return Table(**known)
