"""What is done next with each stage on each target: started, left out with its reason, or waited for. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol, TypeVar

from aishell.errors import worst
from aishell.workflows.workflows import Stage, Workflow

#: Before the first retry; twice as long before each further one, up to LONGEST (durability.md, Retries).
FIRST, LONGEST = timedelta(seconds=1), timedelta(seconds=60)
#: Exit codes of what may go well another time: it failed, its target could not be reached, its target was in use.
_AGAIN = (1, 2, 6)


class Status(StrEnum):
    """Of a stage on a target."""

    PENDING = "pending"
    RUNNING = "running"  # claimed; its process may be gone
    WAITING = "waiting"  # its run waits for a person, or was paused
    DONE = "done"  # its run ended: exit code 0, or 4 where work was deferred
    FAILED = "failed"
    SKIPPED = "skipped"


class Why(StrEnum):
    """Why a stage was left out on a target."""

    NEED = "need"  # what it needs did not do its work
    CONDITION = "condition"  # its `when` is false
    DEFERRED = "deferred"  # the window has closed


class Row(Protocol):
    """A stage on a target, as the store has it."""

    @property
    def id(self) -> int: ...
    @property
    def stage(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def cause(self) -> str | None: ...
    @property
    def attempts(self) -> int: ...
    @property
    def exit_code(self) -> int | None: ...
    @property
    def ended_at(self) -> str | None: ...


R = TypeVar("R", bound=Row)


@dataclass(frozen=True)
class Limits:
    """How many at a time, and where each target is. `seconds`: what an agent took on a target; None: nobody knows."""

    total: int
    per_host: int
    host: Callable[[str], str]
    seconds: Callable[[str, str], float | None] = lambda agent, target: None


def retry_at(row: Row, stage: Stage) -> datetime | None:
    """When a stage that failed is tried again; None where it is not."""
    if row.status != Status.FAILED or row.exit_code not in _AGAIN or not 0 < row.attempts <= stage.retries:
        return None
    assert row.ended_at is not None  # noqa: S101  what failed has ended
    pause: timedelta = min(LONGEST, FIRST * 2 ** (row.attempts - 1))
    return datetime.fromisoformat(row.ended_at) + pause


def is_over(row: Row, stage: Stage) -> bool:
    """Whether nothing more becomes of a stage on a target."""
    return row.status in (Status.DONE, Status.FAILED, Status.SKIPPED) and retry_at(row, stage) is None


def needed(row: Row, workflow: Workflow, rows: Sequence[Row]) -> list[Row]:
    """What has to be over before: the stages it needs on its target; one that does not run there, on all of its targets."""
    found: list[Row] = []
    for name in workflow.stage(row.stage).needs:
        others = [one for one in rows if one.stage == name]
        found += [one for one in others if one.target == row.target] or others
    return found


def hindered(row: Row, workflow: Workflow, rows: Sequence[Row]) -> str | None:
    """Why a stage is not run on a target, where what it needs did not do its work; in the words of its `reason`."""
    for need in needed(row, workflow, rows):
        stage = workflow.stage(need.stage)
        place = need.stage if need.target == row.target else f"{need.stage} on {need.target}"
        if need.status == Status.SKIPPED and need.cause != Why.CONDITION:
            return f"needs {place}, which was not run"
        if need.status in (Status.DONE, Status.FAILED) and need.exit_code and stage.on_failure != "continue":
            became = "left work for later" if need.exit_code == 4 else f"failed (exit {need.exit_code})"
            return f"needs {place}, which {became}"
    return None


def ready(workflow: Workflow, rows: Sequence[R], now: datetime) -> list[R]:
    """What all needs of are over, and that is to be started, looked after or left out."""
    found = []
    for row in rows:
        again = retry_at(row, workflow.stage(row.stage))
        wanted = again <= now if again is not None else row.status in (Status.PENDING, Status.RUNNING, Status.WAITING)
        if wanted and all(is_over(one, workflow.stage(one.stage)) for one in needed(row, workflow, rows)):
            found.append(row)
    return found


def next_retry(workflow: Workflow, rows: Sequence[Row]) -> datetime | None:
    """When the next of those that failed is tried again."""
    return min((at for row in rows if (at := retry_at(row, workflow.stage(row.stage)))), default=None)


def startable(
    candidates: Sequence[R], workflow: Workflow, rows: Sequence[R], working: Collection[int], limits: Limits
) -> list[R]:
    """Which of the candidates begin now, beside those that are `working`: never two on a target, and within all limits.

    First the target with the most work left, by what each of its stages took before; what has never run counts as the longest.
    """
    busy = [row for row in rows if row.id in working]
    left = _left(workflow, rows, limits)
    chosen: list[R] = []
    for row in sorted(candidates, key=lambda one: -left[one.target]):
        taken = [*busy, *chosen]
        hosts, stages = Counter(limits.host(one.target) for one in taken), Counter(one.stage for one in taken)
        most = workflow.stage(row.stage).limit
        free = len(taken) < limits.total and hosts[limits.host(row.target)] < limits.per_host
        if free and (most is None or stages[row.stage] < most) and row.target not in {one.target for one in taken}:
            chosen.append(row)
    return chosen


def _left(workflow: Workflow, rows: Sequence[Row], limits: Limits) -> Mapping[str, float]:
    """Seconds of work that each target has left, infinite where nobody knows."""
    left: dict[str, float] = {row.target: 0.0 for row in rows}
    for row in rows:
        if not is_over(row, workflow.stage(row.stage)):
            took = limits.seconds(workflow.stage(row.stage).agent, row.target)
            left[row.target] += float("inf") if took is None else took
    return left


def concluded(rows: Sequence[Row], *, interrupted: bool = False) -> tuple[str, int]:
    """Status and exit code of a workflow of which nothing is driven any more; the words are those of a run's result.

    A row that is still `running` was interrupted; one that is `pending` waits for it or for a person.
    """
    codes = [130 if interrupted else 0]
    for row in rows:
        if row.status == Status.RUNNING:
            codes.append(130)
        elif row.status == Status.WAITING:
            codes.append(row.exit_code if row.exit_code is not None else 3)
        elif row.status == Status.SKIPPED:
            codes.append(4 if row.cause == Why.DEFERRED else 0)
        elif row.exit_code is not None:
            codes.append(row.exit_code)
    code = worst(codes)
    if code in (1, 3, 4, 5) and any(row.status == Status.WAITING for row in rows):
        return "waiting_approval", code
    if code in (1, 2, 6):
        return ("partial" if any(row.status == Status.DONE for row in rows) else "failure"), code
    return {130: "cancelled", 5: "rejected", 4: "partial", 0: "success"}[code], code
