"""Decides what to do next with each stage on each target: start it, skip it for a reason, or wait. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from aishell.errors import worst
from aishell.state.connection import Record
from aishell.workflows.workflows import Stage, Workflow

#: Before the first retry; twice as long before each further one, up to LONGEST (durability.md, Retries).
FIRST, LONGEST = timedelta(seconds=1), timedelta(seconds=60)
#: Exit codes worth a retry: failed, target unreachable, target in use.
_AGAIN = (1, 2, 6)


class Status(StrEnum):
    """The status of a stage on a target."""

    PENDING = "pending"
    RUNNING = "running"  # claimed; its process may be gone
    WAITING = "waiting"  # its run waits for a person, or was paused; or what it came to waits for a review
    DONE = "done"  # its run ended: exit code 0, or 4 where work was deferred
    FAILED = "failed"
    SKIPPED = "skipped"


class Why(StrEnum):
    """Why a stage was skipped on a target, or failed although its run did not."""

    NEED = "need"  # what it needs did not do its work
    CONDITION = "condition"  # its `when` is false
    DEFERRED = "deferred"  # the window has closed
    REVIEW = "review"  # a person has rejected what it came to, or nobody has answered


@dataclass(frozen=True)
class Limits:
    """Limits on concurrent stages, and the host of each target. `seconds`: the time of an agent on a target; None: unknown."""

    total: int
    per_host: int
    host: Callable[[str], str]
    seconds: Callable[[str, str], float | None] = lambda agent, target: None


def retry_at(row: Record, stage: Stage) -> datetime | None:
    """When a stage that failed is tried again; None where it is not."""
    if row.status != Status.FAILED or row.exit_code not in _AGAIN or not 0 < row.attempts <= stage.retries:
        return None
    assert row.ended_at is not None  # noqa: S101  what failed has ended
    pause: timedelta = min(LONGEST, FIRST * 2 ** (row.attempts - 1))
    return datetime.fromisoformat(row.ended_at) + pause


def is_over(row: Record, stage: Stage) -> bool:
    """Whether a stage on a target has ended and is not retried."""
    return row.status in (Status.DONE, Status.FAILED, Status.SKIPPED) and retry_at(row, stage) is None


class Board:
    """All stages on all targets at one moment, and what may be done with each."""

    def __init__(self, workflow: Workflow, rows: Sequence[Record]) -> None:
        self.workflow, self.rows = workflow, rows
        self._stages = {stage.name: stage for stage in workflow.stages}
        self._places = {(row.stage, row.target): row for row in rows}
        self._of: dict[str, list[Record]] = {name: [] for name in self._stages}
        for row in rows:
            self._of[row.stage].append(row)

    def needed(self, row: Record) -> list[Record]:
        """The rows that have to end first: its needs on the same target, or on all targets where they do not run on this one."""
        found: list[Record] = []
        for name in self._stages[row.stage].needs:
            there = self._places.get((name, row.target))
            found += self._of[name] if there is None else [there]
        return found

    def hindered(self, row: Record) -> str | None:
        """Why a stage cannot run on a target because of its needs, as its `reason`; None where it can."""
        for need in self.needed(row):
            place = need.stage if need.target == row.target else f"{need.stage} on {need.target}"
            if need.status == Status.SKIPPED and need.cause != Why.CONDITION:
                return f"needs {place}, which was not run"
            if need.cause == Why.REVIEW and need.status == Status.FAILED:
                return f"needs {place}, which was rejected"  # whatever its `on_failure` says
            ended = need.status in (Status.DONE, Status.FAILED)
            if ended and need.exit_code and self._stages[need.stage].on_failure != "continue":
                outcome = "left work for later" if need.exit_code == 4 else f"failed (exit {need.exit_code})"
                return f"needs {place}, which {outcome}"
        return None

    def ready(self, now: datetime) -> list[Record]:
        """The rows whose needs have ended and that have not, to be started, checked or skipped."""
        found = []
        for row in self.rows:
            again = retry_at(row, self._stages[row.stage])
            wanted = row.status in (Status.PENDING, Status.RUNNING, Status.WAITING) if again is None else again <= now
            if wanted and all(is_over(one, self._stages[one.stage]) for one in self.needed(row)):
                found.append(row)
        return found

    def next_retry(self, after: datetime) -> datetime | None:
        """When the next failed row is retried after `after`."""
        moments = (retry_at(row, self._stages[row.stage]) for row in self.rows)
        return min((at for at in moments if at is not None and at > after), default=None)

    def startable(self, candidates: Sequence[Record], working: Collection[int], limits: Limits) -> list[Record]:
        """The candidates that begin now, beside the `working` rows: at most one on a target, and within all limits.

        The target with the most work left comes first, by the last times of its stages; unknown times count as the longest.
        """
        taken = [row for row in self.rows if row.id in working]
        targets, stages = {row.target for row in taken}, Counter(row.stage for row in taken)
        hosts, chosen, left = Counter(limits.host(row.target) for row in taken), list[Record](), self._left(limits)
        for row in sorted(candidates, key=lambda one: -left[one.target]):
            host, most = limits.host(row.target), self._stages[row.stage].limit
            free = len(taken) + len(chosen) < limits.total and hosts[host] < limits.per_host
            if free and row.target not in targets and (most is None or stages[row.stage] < most):
                chosen.append(row)
                targets.add(row.target)
                hosts[host] += 1
                stages[row.stage] += 1
        return chosen

    def _left(self, limits: Limits) -> Mapping[str, float]:
        """The seconds of work left on each target, infinite where unknown."""
        left: dict[str, float] = {row.target: 0.0 for row in self.rows}
        for row in self.rows:
            if not is_over(row, self._stages[row.stage]):
                took = limits.seconds(self._stages[row.stage].agent, row.target)
                left[row.target] += float("inf") if took is None else took
        return left


def concluded(rows: Sequence[Record], *, interrupted: bool = False) -> tuple[str, int]:
    """Status and exit code of a workflow that is no longer driven; the statuses are those of a run's result.

    A row that is still `running` was interrupted; one that is `pending` waits for it or for a person.
    """
    code = worst([130 if interrupted else 0, *map(_code, rows)])
    if code in (1, 3, 4, 5) and any(row.status == Status.WAITING and row.exit_code != 4 for row in rows):
        return "waiting_approval", code
    if code in (1, 2, 6):
        return ("partial" if any(row.status == Status.DONE for row in rows) else "failure"), code
    return {130: "cancelled", 5: "rejected", 4: "partial", 0: "success"}[code], code


def _code(row: Record) -> int:
    """The exit code that a stage on a target counts as, also where it has no run that ended."""
    if row.status == Status.RUNNING:
        return 130
    if row.status == Status.SKIPPED:
        return 4 if row.cause == Why.DEFERRED else 0
    if row.exit_code is None:
        return 3 if row.status == Status.WAITING else 0
    return int(row.exit_code)
