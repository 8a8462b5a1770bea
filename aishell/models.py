"""The values that flow through aishell: frozen, without I/O. Of the package, this module imports only the codec."""

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
#: The step that backs up what a restore in place will replace; the backup's id ends with it.
SAFETY_STEP = "safety"


class Risk(StrEnum):
    """How much harm a tool can do, as declared in its file; ordered by `rank`."""

    SAFE = "safe"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return list(Risk).index(self)


class Decision(StrEnum):
    """What the gates decide on a step; a higher `rank` is stricter and wins."""

    AUTO = "auto"
    NOTIFY = "notify"
    CONFIRM = "confirm"
    REVIEW = "review"
    DENY = "deny"

    @property
    def rank(self) -> int:
        return list(Decision).index(self)


class RunState(StrEnum):
    """The states of a run; `aishell.state.runs` has the transitions."""

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
    """The status of a step; recovery examines those that are `started`."""

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
#: How a step's failure affects the run (model.md, States).
ON_ERROR = ("fail", "continue", "rollback")


class Cause(StrEnum):
    """Why a step was not run. Recovery and exit codes depend on it, never on the text beside it."""

    CONDITION = "condition"  # its `when` is false, or a step that it references has no output
    STOPPED = "stopped"  # a step failed that stops all others
    NEED = "need"  # a step that it needs failed or was rejected
    DEFERRED = "deferred"  # postponed to another night
    IDLE = "idle"  # there is nothing to do now
    EXPIRED = "expired"  # nobody answered its approval request in time: the step is rejected
    PRIVILEGE = "privilege"  # the connected role lacks privileges: the plan left it out, or it failed


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """An agent's configuration, `config/agents/<type>.yaml`. `timeout_seconds` limits steps whose tool has no limit."""

    agent_id: str
    agent_type: str
    capabilities: frozenset[str]
    safety_level: str = "moderate"
    max_retries: int = 3
    timeout_seconds: int = 300
    max_duration: int | None = None  # seconds; limits the whole run
    constraints: tuple[Mapping[str, Any], ...] = ()
    llm_config: Mapping[str, Any] | None = None  # a language model (`settings.language_models`)
    monitoring: Mapping[str, Any] | None = None  # metrics and alerts: notification rules
    own: Mapping[str, Any] = field(default_factory=dict)  # the agent's own keys (`Agent.settings`)

    @property
    def exclude(self) -> tuple[str, ...]:
        """Globs of tables to leave alone."""
        return tuple(self.own.get("exclude") or ())


@dataclass(frozen=True, slots=True)
class Task:
    """A request: agent, target (a name or a URL) and inputs, by the names in `Agent.inputs`."""

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
    """The server behind a target, as inspected. Ages and lags are in seconds, sizes in bytes; None: unknown."""

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
    """One relation of the inventory. `oid` distinguishes this object from a later one of the same name."""

    schema: str
    table: str
    kind: str  # table | partitioned | partition | matview | view | foreign | temporary | virtual
    oid: str = ""
    storage: str = ""
    rows: int | None = None
    bytes: int | None = None
    index_bytes: int | None = None
    dead_rows: int | None = None
    live_rows: int | None = None  # from the same counters as dead_rows; `rows` may date from the last VACUUM
    modified_rows: int | None = None  # rows changed since the last ANALYZE
    last_analyze: str | None = None
    last_vacuum: str | None = None
    freeze_age_percent: float | None = None  # of autovacuum_freeze_max_age
    free_bytes: int | None = None
    fragmentation_percent: float | None = None
    fragmentation_method: str | None = None
    withheld: str | None = None  # why there is no reliable fragmentation figure
    statistics: str | None = None  # SQLite: missing | stale | present
    writes: int | None = None
    has_primary_key: bool = True

    @property
    def key(self) -> tuple[str, str]:
        return self.schema, self.table

    @property
    def row_bytes(self) -> float | None:
        """Bytes per row, with its share of the indexes, which are assumed to be as full as the table.

        None if the free space in the table is unknown: after a clean-up, half of the table may be free.
        """
        if not self.rows or self.bytes is None or self.fragmentation_percent is None:
            return None
        return (self.bytes + (self.index_bytes or 0)) * (1 - self.fragmentation_percent / 100) / self.rows

    @property
    def row_bytes_method(self) -> str:
        """`about` or `at most`: InnoDB's statistics count free pages, but not the free space in other pages."""
        return "at most" if self.storage == "InnoDB" else "about"


@dataclass(frozen=True, slots=True)
class Index:
    """One index. `row` has every column that its measurement returned; a step's frozen `find` rows are made from it."""

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
    """The time that one step took, and its amount of work; None if unknown."""

    seconds: float
    work: int | None = None
    unit: str | None = None  # bytes | rows | partitions


@dataclass(frozen=True, slots=True)
class History:
    """The past costs and gains of a tool on one object, newest run first."""

    took: tuple[Took, ...]
    idle_runs: int  # consecutive runs, up to the last, that gained nothing
    based_on: str  # "this table's history" | "this tool's history on this target"


@dataclass(frozen=True, slots=True)
class Residue:
    """Something that a killed run left. `tool`, called with `params`, removes it; `kept` says why it must stay instead.

    `certain`: its name or mark proves that it is this site's. `bytes`: its size, or what it keeps from being freed.
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
    """One result of a check. `level` is ok, warning or problem; `sql` is for a DBA to run, one statement per line."""

    level: str
    subject: str
    text: str
    remedy: str | None = None
    sql: tuple[str, ...] = ()
    residue: Residue | None = None  # what a killed run left, if the finding is about that
    target: str | None = None  # its target, if several are checked


@dataclass(frozen=True, slots=True)
class Left:
    """Work that a window left undone: a tool, and the object (`schema.table`; empty: the whole database).

    `seconds`: its expected duration, None if unknown; `since`: when it was first left; `nights`: by how many runs.
    """

    tool: str
    object: str
    reason: str
    since: str = ""
    nights: int = 1
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Shift:
    """What a completed step removes from the backlog (tool, object), and what it adds."""

    gone: tuple[tuple[str, str], ...] = ()
    left: tuple[Left, ...] = ()


@dataclass(frozen=True, slots=True)
class BacklogSize:
    """The size of a backlog. `unknown` of its items have no forecast; the others take `seconds` together."""

    items: int = 0
    seconds: float = 0.0
    unknown: int = 0
    oldest: str | None = None  # when the oldest item was left
    longest: Left | None = None


@dataclass(frozen=True, slots=True)
class Inventory:
    """The result of inspection, in a fixed number of queries."""

    server: Server
    tables: tuple[Table, ...]
    indexes: tuple[Index, ...]
    measured_at: str
    tools: Container[str] = frozenset()  # names of the tools that exist for this server
    queries: int = 0
    warnings: tuple[str, ...] = ()
    backlog: tuple[Left, ...] = ()  # work of this agent that windows left undone on this target
    absent: tuple[str, ...] = ()  # what the task names and does not exist, if that is not an error; one sentence each
    history: Mapping[tuple[str, str], History] = field(default_factory=dict)  # (tool, object) -> cost
    answers: Mapping[str, Mapping[str, list[Row]]] = field(default_factory=dict)  # by question: block -> rows
    guarded: frozenset[str] = frozenset()  # tools that need a backup first, for a task that requires one
    rebuilt: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)  # table -> indexes rebuilt
    residue: tuple[Residue, ...] = ()  # what killed runs left, for an agent that declares it
    last_backup: Mapping[str, str] | None = None  # backup_id and started_at of the one recent enough for `guarded`
    access: Mapping[str, Sequence[Row]] = field(default_factory=dict)  # privileges of the connected role: block -> rows
    requires: Callable[[str], tuple[str, ...]] = field(default=lambda tool: (), compare=False)  # a tool's privileges

    @property
    def digest(self) -> str:
        return digest([self.server.identity, [(t.schema, t.table, t.oid) for t in self.tables]])


@dataclass(frozen=True, slots=True)
class Evidence:
    """A figure with its source: method, time, margin of error, or why it is withheld."""

    metric: str
    value: Any
    method: str
    measured_at: str
    error: str | None = None
    withheld: str | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """The expected cost: seconds, bytes of scratch space, and the basis of both (seconds None: no basis).

    `work` is the amount of work; the next run learns from how long it took.
    """

    seconds: float | None = None
    bytes: int | None = None
    based_on: str = "no basis"
    work: int | None = None
    unit: str | None = None  # bytes | rows | partitions


@dataclass(frozen=True, slots=True)
class Step:
    """One tool call of a plan. `found` is the frozen list of objects that a `runs: each` tool may work on."""

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
    undoes: str | None = None  # the step that this one undoes; it runs only on rollback
    hook: str | None = None  # the name of the hook on errors whose tool it runs; it runs only after a step has failed
    proposed: str | None = None  # why a language model chose it, in the model's words; not a fact


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Work left out of a plan for lack of privileges.

    `grants` are SQL for an administrator; `hint` says what to do if SQL does not help. Neither: it depends on others.
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
    """Ordered steps as data: printable, hashable, replayable. `tool_versions`: tool -> digest of its file."""

    task: Task
    steps: tuple[Step, ...]
    created_at: str
    inventory_digest: str = ""
    target_identity: str = ""
    tool_versions: Mapping[str, str] = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    objects: tuple[Mapping[str, Any], ...] = ()  # in a saved plan: the objects that its steps name, as they were then
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
    """Return a step as in its plan's digest: later fields only if set, so that older plans keep their digests."""
    fields = {name: item for name, item in plain(step).items() if name not in ("undoes", "hook", "proposed") or item}
    later = ("work", "unit")
    fields["estimate"] = {
        name: item for name, item in fields["estimate"].items() if name not in later or item is not None
    }
    return fields


@dataclass(frozen=True, slots=True)
class Sent:
    """A statement as people read it, with its lock and its source file; `shown` is its form on a screen.

    `note`: the database that it is sent to, or that it is sent only after a failure.
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
    cause: Cause | None = None  # why a step was skipped

    @property
    def table(self) -> str:
        """The table that the step worked on, `schema.table`; empty if none."""
        return f"{self.params.get('schema')}.{self.params['table']}" if self.params.get("table") else ""


@dataclass(frozen=True, slots=True)
class RunResult:
    """The result of a run: the JSON contract of `--output json` (model.md), field for field."""

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
    """Progress of a tool towards running without approval on a target: the rule, and the supervised runs counted."""

    after: int  # supervised runs that the rule requires
    count: int
    events: tuple[int, ...]  # ids in the audit log of the counted runs, newest last
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
    earned: Earning | None = None  # set if a rule of `earned` matches and only its kind of confirmation is required

    @property
    def requires_approval(self) -> bool:
        return self.decision in (Decision.CONFIRM, Decision.REVIEW)


@dataclass(frozen=True, slots=True)
class Subject:
    """The subject of a step that may change something, as in the audit log; supervised runs are counted by it.

    `version`: the digest of the tool's file; `takes_back`: the tool whose work the step undoes.
    """

    tool: str
    version: str
    target: str
    identity: str  # of the database; empty if unknown
    environment: str
    takes_back: str | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """The verified supervised runs of a tool on a target: the ids of their audit events, newest last.

    `problem`: why none of them counts, although there may be some.
    """

    events: tuple[int, ...] = ()
    problem: str | None = None

    @property
    def count(self) -> int:
        return len(self.events)


def timestamp(moment: datetime) -> str:
    """Return a time as in documents and the store: UTC, ISO 8601 with microseconds, so that it sorts as text."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def now() -> str:
    """Return the current time, formatted by `timestamp`."""
    return timestamp(datetime.now(UTC))


def new_id() -> str:
    """Return a unique id: 32 hexadecimal digits."""
    return uuid4().hex


def server_of(target: str) -> str:
    """Return the name of the whole server in the name of a database's target; empty for any other target."""
    return target.rpartition("/")[0]
