"""Constraints: each checks one step and returns a reason against it, or None. Pure; the facts are in the context."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, Protocol

from aishell.commands import command, on
from aishell.errors import SettingsError, UnknownNameError
from aishell.models import Decision, Reason, Risk, Server, Step, Table
from aishell.plugins import entry_points, load, refuse_taken
from aishell.registry.tool import STAGES, Tool
from aishell.safety.locks import wait_of
from aishell.settings.schemas import MOST_BYTES, number, whole
from aishell.settings.targets import PRODUCTION, Target
from aishell.settings.validation import Known, Schema, faults

#: What a constraint found: its rule, a sentence for people, and `confirm` (ask) or `deny` (block).
Violation = Reason


@dataclass(frozen=True)
class ConstraintContext:
    """The facts that constraints check. `tables` are those that the step names; sizes in bytes, ages in seconds."""

    tool: Tool
    target: Target
    server: Server
    tables: tuple[Table, ...] = ()
    busy_sessions: int = 0
    now: datetime = field(default_factory=datetime.now)  # in the target's time zone
    free_disk: int | None = None
    disk_seen: bool = False
    calls_last_minute: int = 0
    cascade_children: Mapping[str, int] = field(default_factory=dict)  # rows that go or change, by table
    cascade_changes: Mapping[str, int] = field(default_factory=dict)  # of these, those that stay
    model_proposed: bool = False
    worded: bool = False  # the task was read from plain language
    noted: tuple[Reason, ...] = ()  # what people have noted on its target, tables or tool, where that asks for more
    last_backup: datetime | None = None  # when the newest verified backup of this very database was begun


class Constraint(Protocol):
    """A custom constraint is a class like this, named in the entry point group `aishell.constraints`.

    It may say in `keys` what it takes, a schema for each; without, its fields may be anything.
    """

    type: ClassVar[str]

    def check(self, step: Step, context: ConstraintContext) -> Violation | None: ...


GROUP = "aishell.constraints"
_ALWAYS_BLOCKS = {"on_violation": {"enum": ["block"], "title": "on_violation"}}
_HOUR, _SECONDS = whole(0, 23), number(0, 7 * 86400)


def _some(items: Schema) -> Schema:
    return {"type": "array", "items": items, "unique": (), "minItems": 1}


@dataclass(frozen=True)
class _Base:
    type: ClassVar[str] = ""
    keys: ClassVar[Mapping[str, Schema]] = {}
    on_violation: str = "ask"  # ask | block
    where: str = "built-in"

    def violated(self, text: str) -> Violation:
        return Violation(self.type, text, Decision.DENY if self.on_violation == "block" else Decision.CONFIRM)


@dataclass(frozen=True)
class MaxTableSize(_Base):
    """Rewriting or deleting from a larger table needs approval. Default: 1,000,000 rows; callers sum partitions."""

    type: ClassVar[str] = "max_table_size"
    keys: ClassVar[Mapping[str, Schema]] = {"max_rows": whole(0, MOST_BYTES), "max_bytes": whole(0, MOST_BYTES)}
    max_rows: int | None = 1_000_000
    max_bytes: int | None = None

    def check(self, step: Step, context: ConstraintContext) -> Violation | None:
        if context.tool.risk_level.rank < Risk.MEDIUM.rank:
            return None
        for table in context.tables:
            name = f"{table.schema}.{table.table}"
            if self.max_rows is not None and (table.rows or 0) > self.max_rows:
                return self.violated(f"{name} has about {table.rows:,} rows, more than {self.max_rows:,}")
            if self.max_bytes is not None and (table.bytes or 0) > self.max_bytes:
                return self.violated(f"{name} has {table.bytes:,} bytes, more than {self.max_bytes:,}")
        return None


@dataclass(frozen=True)
class ProductionHours(_Base):
    """Work of medium or higher risk on a production target is confined to these hours of the target's time zone."""

    type: ClassVar[str] = "production_hours"
    keys: ClassVar[Mapping[str, Schema]] = {"allowed_hours": _some(_HOUR)}
    allowed_hours: tuple[int, ...] = (22, 23, 0, 1, 2, 3, 4, 5)

    def check(self, step: Step, context: ConstraintContext) -> Violation | None:
        if context.target.environment != PRODUCTION or context.tool.risk_level.rank < Risk.MEDIUM.rank:
            return None
        if context.now.hour in self.allowed_hours:
            return None
        return self.violated(
            f"it is {context.now:%H:%M} {context.target.time_zone}, outside the hours allowed for production"
        )


@dataclass(frozen=True)
class BusinessHours(_Base):
    """Critical work in business hours (Monday to Friday, 9 to 17) needs approval."""

    type: ClassVar[str] = "business_hours"
    keys: ClassVar[Mapping[str, Schema]] = {"first_hour": _HOUR, "last_hour": whole(1, 24)}
    first_hour: int = 9
    last_hour: int = 17

    @property
    def contradiction(self) -> str | None:
        """The conflict between its values, or None."""
        if self.first_hour < self.last_hour:
            return None
        return f"no hour lies from first_hour {self.first_hour} to last_hour {self.last_hour}"

    def check(self, step: Step, context: ConstraintContext) -> Violation | None:
        if context.tool.risk_level is not Risk.CRITICAL or context.now.weekday() > 4:
            return None
        if not self.first_hour <= context.now.hour < self.last_hour:
            return None
        return self.violated(f"critical work in business hours ({context.now:%a %H:%M} {context.target.time_zone})")


@dataclass(frozen=True)
class MaxReplicaLag(_Base):
    """Writing waits while a replica lags by more than this."""

    type: ClassVar[str] = "max_replica_lag"
    keys: ClassVar[Mapping[str, Schema]] = {"max_seconds": _SECONDS}
    max_seconds: float = 30
    on_violation: str = "block"

    def check(self, step: Step, context: ConstraintContext) -> Violation | None:
        lag = context.server.replica_lag_seconds
        if context.tool.read_only or lag is None or lag <= self.max_seconds:
            return None
        return self.violated(f"a replica lags by {lag:.0f} s, more than {self.max_seconds:.0f} s")


@dataclass(frozen=True)
class MaxLoad(_Base):
    """Writing waits while more sessions than this are active."""

    type: ClassVar[str] = "max_load"
    keys: ClassVar[Mapping[str, Schema]] = {"max_active_sessions": whole(0, 1_000_000)}
    max_active_sessions: int = 50
    on_violation: str = "block"

    def check(self, step: Step, context: ConstraintContext) -> Violation | None:
        active = context.server.active_sessions
        if context.tool.read_only or active is None or active <= self.max_active_sessions:
            return None
        return self.violated(f"{active} sessions are active, more than {self.max_active_sessions}")


@dataclass(frozen=True)
class FreeDisk(_Base):
    """A rewrite needs its estimated space plus a margin on the database's filesystem, a backup on that of the backups."""

    type: ClassVar[str] = "free_disk"
    keys: ClassVar[Mapping[str, Schema]] = {"margin": number(1, 100)}
    margin: float = 1.2
    on_violation: str = "block"

    def check(self, step: Step, context: ConstraintContext) -> Violation | None:
        needed = (step.estimate.bytes or 0) * self.margin
        if context.tool.read_only or not needed:
            return None
        if context.free_disk is None:
            text = f"needs about {needed:,.0f} bytes of disk; the server's disk cannot be seen from here"
            return Violation(self.type, text + " (set free_disk_bytes for the target)", Decision.CONFIRM)
        if context.free_disk < needed:
            return self.violated(f"needs about {needed:,.0f} bytes of disk, {context.free_disk:,} are free")
        return None


@dataclass(frozen=True)
class NoLongTransactions(_Base):
    """No exclusive lock or CONCURRENTLY build is started while an old transaction or snapshot is open: it would wait."""

    type: ClassVar[str] = "no_long_transactions"
    keys: ClassVar[Mapping[str, Schema]] = {"max_seconds": _SECONDS}
    max_seconds: float = 300
    on_violation: str = "block"

    def check(self, step: Step, context: ConstraintContext) -> Violation | None:
        sent = [context.tool.blocks[name].text.upper() for name in STAGES if name in context.tool.blocks]
        waits = wait_of(context.tool).sliced or any("CONCURRENTLY" in text for text in sent)
        age, who = context.server.oldest_transaction_seconds, context.server.oldest_transaction
        if waits and age is None and who is not None and not context.tool.read_only:
            return Violation(self.type, f"the age of the oldest transaction cannot be seen: {who}", Decision.CONFIRM)
        if not waits or age is None or age <= self.max_seconds or context.tool.read_only:
            return None
        return self.violated(
            f"a transaction is open for {age:.0f} s ({context.server.oldest_transaction}), this would wait for it"
        )


@dataclass(frozen=True)
class NoCascade(_Base):
    """A delete that cascades to other tables needs approval; the reason gives the rows of each table."""

    type: ClassVar[str] = "no_cascade"

    def check(self, step: Step, context: ConstraintContext) -> Violation | None:
        if not context.cascade_children:
            return None
        changes = context.cascade_changes
        goes = {name: rows - changes.get(name, 0) for name, rows in context.cascade_children.items()}
        reasons = [
            f"rows of other tables {what}: {', '.join(f'{name} ({n:,} rows)' for name, n in rows.items() if n)}"
            for what, rows in (("go too", goes), ("stay and are changed", changes))
            if any(rows.values())
        ]
        return self.violated("; ".join(reasons))


@dataclass(frozen=True)
class NotAStandby(_Base):
    """Nothing that writes is started on a standby or read-only server; a backup of it writes elsewhere."""

    type: ClassVar[str] = "not_a_standby"
    keys: ClassVar[Mapping[str, Schema]] = _ALWAYS_BLOCKS
    on_violation: str = "block"

    def check(self, step: Step, context: ConstraintContext) -> Violation | None:
        if context.tool.read_only or context.tool.category in ("report", "backup"):
            return None
        if context.server.standby or context.server.read_only:
            what = "a standby" if context.server.standby else "read-only (or this database by default)"
            return Violation(self.type, f"the server is {what}: {context.tool.name} writes", Decision.DENY)
        return None


@dataclass(frozen=True)
class RateLimit(_Base):
    """A tool is called no more often per minute than its file allows."""

    type: ClassVar[str] = "rate_limit"
    keys: ClassVar[Mapping[str, Schema]] = _ALWAYS_BLOCKS
    on_violation: str = "block"

    def check(self, step: Step, context: ConstraintContext) -> Violation | None:
        limit = context.tool.rate_limit
        if limit is None or context.calls_last_minute < limit:
            return None
        return Violation(self.type, f"{context.tool.name} ran {limit} times within a minute", Decision.DENY)


@dataclass(frozen=True)
class BackupRequired(_Base):
    """Before the named tools a verified backup of this very database must exist, no older than so many hours.

    By the server's identity, not by its name; one that was not read from beginning to end counts for nothing.
    """

    type: ClassVar[str] = "backup_required"
    keys: ClassVar[Mapping[str, Schema]] = {
        "before_operations": _some({"type": "string", "names": "tool"}),
        "max_age_hours": {"type": "number", "exclusiveMinimum": 0, "maximum": 24 * 366},
    }
    before_operations: tuple[str, ...] = ()
    max_age_hours: float = 24

    def check(self, step: Step, context: ConstraintContext) -> Violation | None:
        if step.tool not in self.before_operations:
            return None
        remedy = f"`{command('run', 'backup', *on(context.target.name))}` makes one"
        if context.last_backup is None:
            return self.violated(f"there is no verified backup of this database; {remedy}")
        hours = (context.now.astimezone(UTC) - context.last_backup.astimezone(UTC)).total_seconds() / 3600
        if 0 <= hours <= self.max_age_hours:
            return None
        when = f"is {hours:,.0f} hours old, more than {self.max_age_hours:g}" if hours > 0 else "is dated in the future"
        return self.violated(f"the last verified backup of this database {when}; {remedy}")


_BUILT_IN: dict[str, type[Any]] = {constraint.type: constraint for constraint in _Base.__subclasses__()}
#: Limits that can be taken away.
_CAN_BE_NONE = ("max_rows", "max_bytes")
#: In force whatever is configured; configured ones of the same type take the built-in's place.
_ALWAYS = (NotAStandby, RateLimit, BusinessHours, FreeDisk, NoLongTransactions, NoCascade, MaxTableSize)


def build(configured: tuple[Mapping[str, Any], ...], known: Known | None = None) -> list[Constraint]:
    """The constraints in force: every configured one, and the built-in ones of other types.

    `known`: what they can name (see `Known`). Raises SettingsError, with file and line, for an unknown type or key or a wrong
    value.
    """
    points = {point.name: point for point in entry_points(group=GROUP)}
    for name in points.keys() & _BUILT_IN.keys():
        refuse_taken(GROUP, name, "a constraint of that name comes with aishell")
    built = [_built(item, points, known or {}) for item in configured]
    configured_types = {str(item["type"]) for item in configured}
    return [*(constraint() for constraint in _ALWAYS if constraint.type not in configured_types), *built]


def _built(item: Mapping[str, Any], points: Mapping[str, Any], known: Known) -> Constraint:
    name, where = str(item["type"]), str(item.get("where", "built-in"))
    if name not in {*_BUILT_IN, *points}:
        error = UnknownNameError("constraint", name, {*_BUILT_IN, *points})
        raise SettingsError(f"{where}: {error.message}", hint=error.hint)
    factory = _BUILT_IN[name] if name in _BUILT_IN else load(points[name], "constraint")
    given = {key: value for key, value in item.items() if value is not None or key in _CAN_BE_NONE}
    given = {key: value for key, value in given.items() if key not in ("type", "where")}
    for fault in faults(given, schema_of(factory), known):
        raise SettingsError(f"{where}: the constraint {name}: {fault.message}", hint=fault.hint)
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    if "where" in getattr(factory, "__dataclass_fields__", {}):
        values["where"] = where
    constraint: Constraint = factory(**values)
    if (problem := getattr(constraint, "contradiction", None)) is not None:
        raise SettingsError(f"{where}: the constraint {name}: {problem}", hint="change one of them")
    return constraint


def schema_of(factory: type[Any]) -> Schema:
    """The keys that a constraint takes beside `type`; a third-party class declares them, or its fields are the keys."""
    fields = getattr(factory, "__dataclass_fields__", None)
    own = getattr(factory, "keys", {})
    if not own and fields is None:
        return {"type": "object"}
    others: dict[str, Any] = {key: {} for key in set(fields or ()) - own.keys() - {"where", "on_violation"}}
    ask = {"on_violation": {"enum": ["ask", "block"], "title": "on_violation"}}
    return {"type": "object", "properties": {**others, **ask, **own}, "additionalProperties": False}
