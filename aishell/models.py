"""The values that flow through aishell. Frozen, without I/O; this module imports nothing of the package but the codec."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import uuid4

from aishell.codec import digest, plain

Params = Mapping[str, Any]
Row = dict[str, Any]
#: The step that makes the backup of what a restore in place is about to replace; the backup's id ends with it.
SAFETY_STEP = "safety"


class Risk(StrEnum):
    """How much a tool can hurt, as its file declares it; ordered by `rank`."""

    SAFE = "safe"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return list(Risk).index(self)


class Decision(StrEnum):
    """The decision of safety on a step; a higher `rank` is stricter and wins."""

    AUTO = "auto"
    NOTIFY = "notify"
    CONFIRM = "confirm"
    REVIEW = "review"
    DENY = "deny"

    @property
    def rank(self) -> int:
        return list(Decision).index(self)


class RunState(StrEnum):
    """The states of a run; the transitions between them are in `aishell.state.runs`."""

    IDLE = "idle"
    PLANNING = "planning"
    EXECUTING = "executing"
    CHECKPOINTING = "checkpointing"
    WAITING_APPROVAL = "waiting_approval"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class StepStatus(StrEnum):
    """The status of a step; recovery looks into those that are `started`."""

    PENDING = "pending"
    STARTED = "started"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    REJECTED = "rejected"
    IN_DOUBT = "in_doubt"


CATEGORIES = frozenset(
    "analysis maintenance database_read database_write database_ddl backup restore repair report".split()
)
CAPABILITIES = frozenset(
    """database_read database_write database_ddl file_read file_write backup_create backup_restore
    schema_analyze schema_modify query_optimize index_manage""".split()
)
SAFETY_LEVELS = ("permissive", "moderate", "strict")
#: What a step's failure means for the run (model.md, States).
ON_ERROR = ("fail", "continue", "rollback")


class Cause(StrEnum):
    """Why a step was not run. Recovery and exit codes go by it, never by the text beside it."""

    CONDITION = "condition"  # its `when` is false, or what it refers to gave no output
    STOPPED = "stopped"  # a step failed that stops all others
    NEED = "need"  # a step it needs failed or was refused
    DEFERRED = "deferred"  # left for another night
    IDLE = "idle"  # nothing calls for it now
    EXPIRED = "expired"  # it asked, and nobody answered in time: the step is rejected
    PRIVILEGE = "privilege"  # the connected role may not do it: the plan went without it, or it failed for that


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """An agent as `config/agents/<type>.yaml` sets it; `timeout_seconds` bounds a step whose tool names no limit."""

    agent_id: str
    agent_type: str
    capabilities: frozenset[str]
    safety_level: str = "moderate"
    max_retries: int = 3
    timeout_seconds: int = 300
    max_duration: int | None = None  # seconds; bounds the whole run
    constraints: tuple[Mapping[str, Any], ...] = ()
    llm_config: Mapping[str, Any] | None = None  # a language model (`settings.language_models`)
    monitoring: Mapping[str, Any] | None = None  # metrics and alerts: rules of notifications
    own: Mapping[str, Any] = field(default_factory=dict)  # the agent's own keys (`Agent.settings`)

    @property
    def exclude(self) -> tuple[str, ...]:
        """Globs of tables that are left alone."""
        return tuple(self.own.get("exclude") or ())


@dataclass(frozen=True, slots=True)
class Task:
    """A request: agent, target (a name or a URL) and inputs, by the names that the agent takes (`Agent.inputs`)."""

    agent: str
    target: str
    input_data: Mapping[str, Any] = field(default_factory=dict)
    task_id: str = ""
    description: str = ""
    workflow_id: str | None = None
    parent_task_id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Server:
    """The server behind a target, as inspection found it. Ages and lags in seconds, sizes in bytes; None: not known."""

    engine: str  # postgresql | mysql | sqlite
    product: str  # postgresql | mysql | mariadb | sqlite
    version: tuple[int, ...]
    database: str
    identity: str
    features: frozenset[str] = frozenset()
    user: str = ""
    superuser: bool = False
    standby: bool = False
    read_only: bool = False
    database_bytes: int | None = None
    data_directory: str | None = None
    oldest_transaction_seconds: float | None = None
    oldest_transaction: str | None = None
    replica_lag_seconds: float | None = None
    active_sessions: int | None = None
    freeze_age_percent: float | None = None
    free_bytes: int | None = None  # SQLite: pages on the freelist
    journal_mode: str | None = None
    auto_vacuum: str | None = None
    now: str = ""

    @property
    def version_text(self) -> str:
        return ".".join(map(str, self.version))


@dataclass(frozen=True, slots=True)
class Table:
    """One relation of the inventory. `oid` is whatever tells this very object from a later one of the same name."""

    schema: str
    table: str
    kind: str  # table | partitioned | partition | matview | view | foreign | temporary | virtual
    oid: str = ""
    storage: str = ""
    rows: int | None = None
    bytes: int | None = None
    index_bytes: int | None = None
    dead_rows: int | None = None
    live_rows: int | None = None  # beside dead_rows, of the same counters; `rows` may be of the last VACUUM
    modified_rows: int | None = None  # rows changed since the last ANALYZE
    last_analyze: str | None = None
    last_vacuum: str | None = None
    freeze_age_percent: float | None = None  # of autovacuum_freeze_max_age
    free_bytes: int | None = None
    fragmentation_percent: float | None = None
    fragmentation_method: str | None = None
    withheld: str | None = None  # why there is no trustworthy fragmentation figure
    statistics: str | None = None  # SQLite: missing | stale | present
    writes: int | None = None
    has_primary_key: bool = True

    @property
    def key(self) -> tuple[str, str]:
        return self.schema, self.table

    @property
    def row_bytes(self) -> float | None:
        """What a row takes, its share of the indexes included, which are taken to be as full as the table.

        None where it is not known how much of the table is free: half of what a clean-up left behind may be.
        """
        if not self.rows or self.bytes is None or self.fragmentation_percent is None:
            return None
        return (self.bytes + (self.index_bytes or 0)) * (1 - self.fragmentation_percent / 100) / self.rows

    @property
    def row_bytes_method(self) -> str:
        """`about`, or `at most`: InnoDB's statistics see the free pages, and not what is free in the others."""
        return "at most" if self.storage == "InnoDB" else "about"


@dataclass(frozen=True, slots=True)
class Index:
    """One index. `row` keeps every column its measurement returned: a step's frozen `find` rows are made of them."""

    schema: str
    table: str
    index_name: str
    bytes: int = 0
    valid: bool = True
    fragmentation_percent: float | None = None
    method: str | None = None
    reclaimable_bytes: int | None = None
    withheld: str | None = None
    row: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Took:
    """The time that one step took, and the amount of work; None where that was not known."""

    seconds: float
    work: int | None = None
    unit: str | None = None  # bytes | rows | partitions


@dataclass(frozen=True, slots=True)
class History:
    """The earlier cost and gain of a tool on one object, the newest run first."""

    took: tuple[Took, ...]
    idle_runs: int  # the last runs in a row that gained nothing
    based_on: str  # "this table's history" | "this tool's history on this target"


@dataclass(frozen=True, slots=True)
class Residue:
    """What a run that was killed has left. `tool`, called with `params`, removes it; `kept` says why it has to stay instead.

    `certain`: its name or mark proves that it is this site's own. `bytes`: what it takes, or keeps from being removed.
    """

    kind: str
    name: str
    run_id: str | None = None
    since: str | None = None
    bytes: int | None = None
    kept: str | None = None
    certain: bool = True
    tool: str = ""
    params: Params = field(default_factory=dict)

    @property
    def goes(self) -> bool:
        return self.kept is None


#: Levels of a finding.
OK, WARNING, PROBLEM = "ok", "warning", "problem"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: `level` is ok, warning or problem; `sql` is to be run by a DBA, a line each."""

    level: str
    subject: str
    text: str
    remedy: str | None = None
    sql: tuple[str, ...] = ()
    residue: Residue | None = None  # of what a killed run has left: what that is
    target: str | None = None  # where several are looked at: whose it is


@dataclass(frozen=True, slots=True)
class Left:
    """Work that a window left undone: what a tool was to do to an object (`schema.table`; empty: the whole database).

    `seconds`: what it is expected to take, None where nothing tells; `since`: when it was left first; `nights`: by so many runs.
    """

    tool: str
    object: str
    reason: str
    since: str = ""
    nights: int = 1
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Shift:
    """What a step that ended takes out of the backlog (tool, object), and what it puts there."""

    gone: tuple[tuple[str, str], ...] = ()
    left: tuple[Left, ...] = ()


@dataclass(frozen=True, slots=True)
class BacklogSize:
    """The size of a backlog: its items, of which `unknown` have no forecast; the others take `seconds` together."""

    items: int = 0
    seconds: float = 0.0
    unknown: int = 0
    oldest: str | None = None  # since when the oldest is there
    longest: Left | None = None


@dataclass(frozen=True, slots=True)
class Inventory:
    """What inspection found, in a fixed number of queries."""

    server: Server
    tables: tuple[Table, ...]
    indexes: tuple[Index, ...]
    measured_at: str
    tools: Container[str] = frozenset()  # names of the tools that exist for this server
    queries: int = 0
    warnings: tuple[str, ...] = ()
    backlog: tuple[Left, ...] = ()  # what windows of this agent left undone on this target
    absent: tuple[str, ...] = ()  # what the task names that is not there, where that is no error; a sentence each
    history: Mapping[tuple[str, str], History] = field(default_factory=dict)  # (tool, object) -> cost
    answers: Mapping[str, Mapping[str, list[Row]]] = field(default_factory=dict)  # by question: block -> rows
    guarded: frozenset[str] = frozenset()  # tools that a backup has to come before, for a task that wants one
    rebuilt: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)  # table -> indexes we rebuilt
    residue: tuple[Residue, ...] = ()  # what killed runs have left, for an agent that asks for it
    last_backup: Mapping[str, str] | None = None  # backup_id and started_at of the one that is young enough for them
    access: Mapping[str, Sequence[Row]] = field(default_factory=dict)  # what the connected role may do: block -> rows
    requires: Callable[[str], tuple[str, ...]] = field(default=lambda tool: (), compare=False)  # privileges of a tool

    @property
    def digest(self) -> str:
        return digest([self.server.identity, [(t.schema, t.table, t.oid) for t in self.tables]])


@dataclass(frozen=True, slots=True)
class Evidence:
    """A figure with its pedigree: how it was got, when, how far off it may be, or why it is withheld."""

    metric: str
    value: Any
    method: str
    measured_at: str
    error: str | None = None
    withheld: str | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """Expected cost: seconds, bytes of scratch space, and the basis of both (None seconds: no basis).

    `work` is how much there is to do, by which the next run learns from what this one took.
    """

    seconds: float | None = None
    bytes: int | None = None
    based_on: str = "no basis"
    work: int | None = None
    unit: str | None = None  # bytes | rows | partitions


@dataclass(frozen=True, slots=True)
class Step:
    """One tool call of a plan. `found` is the frozen list of objects a `runs: each` tool may work on."""

    id: str
    tool: str
    params: Params = field(default_factory=dict)
    index: int = 0
    rationale: str = ""
    evidence: tuple[Evidence, ...] = ()
    needs: tuple[str, ...] = ()
    when: str | None = None
    always: bool = False
    on_error: str = "fail"  # one of ON_ERROR
    estimate: Estimate = Estimate()
    found: tuple[Mapping[str, Any], ...] | None = None
    undoes: str | None = None  # the step that this one takes back when the run is rolled back; it runs then only
    hook: str | None = None  # the hook on errors whose tool it runs, by name; it runs only when a step has failed
    proposed: str | None = None  # why a language model chose it, in its own words, which are no fact


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Work that is left out of a plan for lack of privileges.

    `grants` are SQL for an administrator; `hint` says what to do where SQL does not help. With neither, it needs other such work.
    """

    step: str
    tool: str
    object: str  # schema.table, or the database
    reason: str
    privileges: tuple[str, ...] = ()
    grants: tuple[str, ...] = ()
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Ordered steps as data: printable, hashable, replayable. `tool_versions` is the digest of each tool's file, by its name."""

    task: Task
    steps: tuple[Step, ...]
    created_at: str
    inventory_digest: str = ""
    target_identity: str = ""
    tool_versions: Mapping[str, str] = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    objects: tuple[Mapping[str, Any], ...] = ()  # a saved plan: what its steps name, as it was then
    left_out: tuple[LeftOut, ...] = ()

    @property
    def digest(self) -> str:
        task = [self.task.agent, self.task.target, self.task.input_data, self.task.metadata]
        steps = [_digested(step) for step in self.steps]
        bound = [*task, self.target_identity, self.tool_versions, steps]
        return digest([*bound, self.objects] if self.objects else bound)

    def step(self, step_id: str) -> Step:
        return {step.id: step for step in self.steps}[step_id]


def _digested(step: Step) -> dict[str, Any]:
    """A step as its plan's digest covers it: fields that came later only where they are set, so that older plans keep theirs."""
    fields = {name: item for name, item in plain(step).items() if name not in ("undoes", "hook", "proposed") or item}
    later = ("work", "unit")
    fields["estimate"] = {
        name: item for name, item in fields["estimate"].items() if name not in later or item is not None
    }
    return fields


@dataclass(frozen=True, slots=True)
class Sent:
    """A statement as a person reads it, with the lock it takes and the file it comes from; `shown` is it on a screen.

    `note`: in which database it is sent, or that it is sent only where something fails.
    """

    sql: str
    lock: str
    source: str
    shown: str = ""
    locks_too: Mapping[str, str] = field(default_factory=dict)  # on other tables, in words
    note: str = ""


@dataclass(frozen=True, slots=True)
class StepResult:
    """The outcome of a step. `output` is what its tool returned, None for nothing; times are ISO 8601 in UTC."""

    step_index: int
    step_id: str
    tool: str
    params: Params
    status: StepStatus
    output: Mapping[str, Any] | None = None
    error: str | None = None
    reason: str | None = None
    attempts: int = 0
    started_at: str | None = None
    execution_time: float = 0.0  # seconds
    approved_by: str | None = None
    deferred: tuple[Mapping[str, Any], ...] = ()  # objects left for another night: {object, reason}
    cause: Cause | None = None  # of a step that was skipped

    @property
    def table(self) -> str:
        """The table that it was for, `schema.table`; empty where it was for none."""
        return f"{self.params.get('schema')}.{self.params['table']}" if self.params.get("table") else ""


@dataclass(frozen=True, slots=True)
class RunResult:
    """A run's result: the JSON contract of `--output json` (model.md), field for field."""

    run_id: str | None
    task_id: str
    agent_id: str
    agent: str
    target: str
    engine: str
    dry_run: bool
    status: str
    state: str
    plan: Mapping[str, Any]
    actions_taken: tuple[StepResult, ...]
    output_data: Mapping[str, Any]
    reasoning: str
    execution_time: float
    checkpoints: tuple[str, ...]
    error: Mapping[str, Any] | None = None
    exit_code: int = 0
    audit_head: str | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """One verdict of a gate, with the rule behind it."""

    rule: str
    text: str
    decision: Decision


@dataclass(frozen=True, slots=True)
class Earning:
    """How far a step's tool is from running unasked on a target: a rule of the policy, and the supervised runs counted for it."""

    after: int  # so many supervised runs are asked for
    count: int
    events: tuple[int, ...]  # of the audit log: those that are counted, the newest last
    granted: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict of the gates on a step."""

    risk_level: Risk
    decision: Decision
    safe: bool
    reasons: tuple[Reason, ...] = ()
    risks: tuple[str, ...] = ()
    mitigations: tuple[str, ...] = ()
    earned: Earning | None = None  # where a rule of `earned` fits and no more than its kind of confirmation is asked

    @property
    def requires_approval(self) -> bool:
        return self.decision in (Decision.CONFIRM, Decision.REVIEW)


@dataclass(frozen=True, slots=True)
class Subject:
    """What a step that may change something is of, as the audit log tells it: supervised runs are counted by it.

    `version` is the digest of the tool's file; `takes_back` the tool whose work the step undoes.
    """

    tool: str
    version: str
    target: str
    identity: str  # of the database; empty where it is not known
    environment: str
    takes_back: str | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """The supervised runs of a tool on a target that ended verified, each by the event that says so, the newest last.

    `problem`: why none of them counts, though there may have been some.
    """

    events: tuple[int, ...] = ()
    problem: str | None = None

    @property
    def count(self) -> int:
        return len(self.events)


def timestamp(moment: datetime) -> str:
    """A moment as documents and the store have it: UTC, ISO 8601 with microseconds. Texts compare as the moments do."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def now() -> str:
    """The time, as `timestamp` writes it."""
    return timestamp(datetime.now(UTC))


def new_id() -> str:
    """An id that nobody else has: 32 hexadecimal digits."""
    return uuid4().hex


def server_of(target: str) -> str:
    """The name of the whole server that a target's name says it is a database of; empty for a name without one."""
    return target.rpartition("/")[0]
