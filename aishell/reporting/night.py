"""A night as values: what was done on which targets, its effect, what needs a person, and comparisons. Pure.

Times are ISO 8601 in UTC, sizes bytes, durations seconds. Names and messages are unchanged; renderers make them safe.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from aishell.codec import plain

#: Kinds of needs, most urgent first, with their words in the digest.
KINDS = {
    "damage": "damage",
    "audit": "audit log",
    "daemon": "no daemon",
    "in_doubt": "in doubt",
    "failure": "failed",
    "killed": "killed",
    "hold": "on hold",
    "incident": "incident",
    "approval": "waits for approval",
    "expired": "approval expired",
    "refused": "refused",
    "paused": "paused",
    "finding": "finding",
    "missed": "missed",
    "backup": "backup",
    "notification": "not delivered",
    "backlog": "backlog",
    "privileges": "privileges",
}


#: Figures of a step that count something other than rows, with their words.
COUNTS = {
    "indexes_rebuilt": "index(es) rebuilt",
    "statistics_updated": "table(s) analysed",
    "indexes_dropped": "left-over index(es) dropped",
    "partitions_dropped": "partition(s) dropped",
}


@dataclass(frozen=True)
class Need:
    """Something that a person has to look at. `remedy`: a command to paste. `kind`: one of KINDS."""

    kind: str
    target: str
    text: str
    at: str | None = None
    remedy: str | None = None
    run_id: str | None = None


@dataclass(frozen=True)
class Effect:
    """The effect of one or more steps.

    `bytes_method`: `statistics` if one of the sizes is the engine's estimate; None if none was measured.
    `rows_at_least`: batches may be missing from the count.
    """

    bytes_before: int | None = None
    bytes_after: int | None = None
    bytes_method: str | None = None
    rows_deleted: int = 0
    rows_at_least: bool = False
    counts: dict[str, int] = field(default_factory=dict)  # indexes_rebuilt, statistics_updated, …

    @property
    def bytes_reclaimed(self) -> int | None:
        """Negative if the objects have grown."""
        if self.bytes_before is None or self.bytes_after is None:
            return None
        return self.bytes_before - self.bytes_after

    @classmethod
    def total(cls, parts: Iterable[Effect]) -> Effect:
        """Return the total effect of several steps."""
        parts = list(parts)
        sized = [one for one in parts if one.bytes_reclaimed is not None]
        counts: Counter[str] = Counter()
        for one in parts:
            counts.update(one.counts)
        total = cls(
            rows_deleted=sum(one.rows_deleted for one in parts),
            rows_at_least=any(one.rows_at_least for one in parts),
            counts=dict(counts),
        )
        if not sized:
            return total
        before, after = (sum(getattr(one, name) for one in sized) for name in ("bytes_before", "bytes_after"))
        guessed = any(one.bytes_method == "statistics" for one in sized)
        method = "statistics" if guessed else "file size"
        return replace(total, bytes_before=before, bytes_after=after, bytes_method=method)


@dataclass(frozen=True)
class StepSummary:
    """A step of a run. `counted`: it ended in the reported period, so its effect belongs there."""

    run_id: str
    step_id: str
    tool: str
    table: str  # `schema.table`, empty if it worked on none
    status: str
    ended_at: str | None
    execution_time: float
    effect: Effect
    why: str | None = None  # the error, or the reason why it was not run
    approved_by: str | None = None
    counted: bool = True
    cause: str | None = None


@dataclass(frozen=True)
class RunSummary:
    """A run. `status` is its result's, None without a result: its process was killed, or still works on it."""

    run_id: str
    agent: str
    target: str
    engine: str
    state: str
    status: str | None
    requested_by: str
    schedule: str | None
    created_at: str
    ended_at: str | None
    execution_time: float | None
    reasoning: str
    steps: tuple[StepSummary, ...]
    running: bool = False
    workflow: str | None = None
    stage: str | None = None

    @property
    def effect(self) -> Effect:
        """The effect of the counted steps."""
        return Effect.total(step.effect for step in self.steps if step.counted)


@dataclass(frozen=True)
class SizeChange:
    """A table, index or file: its size before the first step that measured it, and after the last."""

    target: str
    object: str
    bytes_before: int
    bytes_after: int
    bytes_method: str | None = None


@dataclass(frozen=True)
class ToolTime:
    """The total time of one tool's steps."""

    tool: str
    steps: int
    execution_time: float


@dataclass(frozen=True)
class Postponed:
    """Work left for another night."""

    target: str
    run_id: str
    object: str
    reason: str


@dataclass(frozen=True)
class WorkflowSummary:
    """A workflow run in the period. `status`: running, interrupted (no process drives it), else its result's.

    `stages`: stage -> status -> number of targets.
    """

    workflow_id: str
    workflow: str
    status: str
    created_at: str
    ended_at: str | None
    targets: int
    stages: dict[str, dict[str, int]]


@dataclass(frozen=True)
class BacklogChange:
    """The work that an agent's windows left undone on a target: before the first run of the period, and now.

    Seconds are forecasts. `window`: the seconds of its last run's window. `text`: a summary.
    """

    target: str
    agent: str
    items_before: int
    items: int
    seconds_before: float
    seconds: float
    oldest: str | None
    window: float | None
    window_too_small: bool
    text: str


@dataclass(frozen=True)
class NewestBackup:
    """The newest verified backup of a target; `backup_id` is None without one. `ok`: as `aishell doctor` judges."""

    target: str
    ok: bool
    text: str
    backup_id: str | None = None
    rung: str | None = None
    started_at: str | None = None
    age: float | None = None
    bytes: int | None = None


@dataclass(frozen=True)
class Trend:
    """One metric over nights, the last value of each: `points` are (time, value)."""

    target: str
    object: str  # empty: the whole database
    metric: str  # database_bytes | object_bytes | fragmentation_percent
    points: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class NightSum:
    """The effect of the steps that ended on the day before `until`."""

    until: str
    steps: int = 0
    failed: int = 0
    execution_time: float = 0.0
    bytes_reclaimed: int = 0
    rows_deleted: int = 0


@dataclass(frozen=True)
class NightFinding:
    """A finding of a target's health check."""

    target: str
    severity: str
    finding: str
    object: str | None
    value: str
    detail: str


@dataclass(frozen=True)
class NightReport:
    """What was done after `since` until `until`, and what is open; `nights` and `trends` reach further back."""

    since: str
    until: str
    needs: tuple[Need, ...]
    runs: tuple[RunSummary, ...]
    sizes: tuple[SizeChange, ...]
    tools: tuple[ToolTime, ...]
    left: tuple[Postponed, ...]
    backups: tuple[NewestBackup, ...]
    nights: tuple[NightSum, ...]
    trends: tuple[Trend, ...]
    site: str = ""  # host:folder, to tell several sites apart
    workflows: tuple[WorkflowSummary, ...] = ()
    backlog: tuple[BacklogChange, ...] = ()
    day: str = ""  # of a scheduled digest: its local day

    @property
    def effect(self) -> Effect:
        return Effect.total(run.effect for run in self.runs)

    @property
    def execution_time(self) -> float:
        """The time of all steps, as if run one after the other."""
        return sum(tool.execution_time for tool in self.tools)

    @property
    def targets(self) -> tuple[str, ...]:
        """The targets that something ran on."""
        return tuple(dict.fromkeys(run.target for run in self.runs))


@dataclass(frozen=True)
class RunReport:
    """One complete run. `own_report` is the Markdown that it wrote itself, if it got that far."""

    run: RunSummary
    needs: tuple[Need, ...]
    sizes: tuple[SizeChange, ...]
    tools: tuple[ToolTime, ...]
    left: tuple[Postponed, ...]
    findings: tuple[NightFinding, ...]
    own_report: str | None = None


def document(report: NightReport | RunReport) -> dict[str, Any]:
    """Return the report as JSON types, with the sums that the pages show. Fields are added and never renamed."""
    found: dict[str, Any] = plain(report)
    if isinstance(report, RunReport):
        found["run"] |= _sums(report.run.effect)
        return found
    for one, run in zip(found["runs"], report.runs, strict=True):
        one |= _sums(run.effect)
    statuses = Counter(run.status or "none" for run in report.runs)
    found["totals"] = {
        "runs": len(report.runs),
        "targets": len(report.targets),
        "by_status": dict(statuses),
        "steps": sum(tool.steps for tool in report.tools),
        "execution_time": report.execution_time,
        **_sums(report.effect),
    }
    return found


def _sums(effect: Effect) -> dict[str, Any]:
    return {**plain(effect), "bytes_reclaimed": effect.bytes_reclaimed}
