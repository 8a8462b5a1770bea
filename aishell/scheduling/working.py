"""One row of the ledger, by the process that has its lock: claimed, run or gone on with, and closed."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from aishell.commands import command
from aishell.errors import AishellError, HeldError, StateError, TargetBusyError, UnknownNameError
from aishell.execution.run import Observer
from aishell.models import RunResult, RunState, Task
from aishell.safety.approval import Standing
from aishell.scheduling.schedules import Schedule
from aishell.site import Site
from aishell.state.connection import Record
from aishell.state.locks import FileLock, FileLockHeldError
from aishell.state.schedule_runs import MOST_ATTEMPTS

#: A run that a signal ended, as at a shutdown, is gone on with by whoever looks next.
_INTERRUPTED = 130
#: The run of a row is over: what became of it is the row's outcome.
_OVER = frozenset({RunState.COMPLETED, RunState.CANCELLED, RunState.FAILED})


def wall_clock() -> datetime:
    """What the host's clock says, in UTC."""
    return datetime.now(UTC)


def work(
    site: Site, number: int, observer: Observer | None = None, clock: Callable[[], datetime] = wall_clock
) -> RunResult | None:
    """Run what a row of the ledger stands for, or go on with its run; None where another process does, or it is not its turn.

    Raises whatever kept the run from beginning.
    """
    lock = _lock(site.schedule_lock(number), number)
    if lock is None:
        return None
    try:
        row = site.ledger.row(number)
        if row.status not in ("due", "running", "waiting") or _ended(site, row):
            return None
        claimed = site.ledger.claim(number, uuid.uuid4().hex, clock(), site.schedules.max_concurrent)
        if claimed is None:
            _give_up(site, row, clock())
            return None
        return _driven(site, claimed, observer, clock)
    finally:
        lock.release()


def _lock(path: Path, number: int) -> FileLock | None:
    """The lock of a row. Who looks whether it is held holds it for a moment: so it is tried for a while."""
    for _ in range(40):
        with suppress(FileLockHeldError):
            return FileLock(path, f"schedule {number}")
        time.sleep(0.05)
    return None


def _run_of(site: Site, row: Record) -> Record | None:
    """The run that has the row's id, None where it was never begun."""
    try:
        return site.runs.find(row.run_id) if row.run_id else None
    except UnknownNameError:
        return None


def _ended(site: Site, row: Record) -> bool:
    """Whether the run of a row is over already: its process ended before it could say so here, or a person went on with it."""
    run = _run_of(site, row)
    if run is None or RunState(run.state) not in _OVER:
        return False
    # What is written of a run that was cancelled where no process drove it is how it stood before.
    cancelled = run.state == RunState.CANCELLED
    result = json.loads(run.result) if run.result and not cancelled else {}
    outcome = "cancelled" if cancelled else result.get("status", "failure")
    site.ledger.close(row.id, "done", exit_code=result.get("exit_code"), outcome=outcome)
    return True


def _give_up(site: Site, row: Record, now: datetime) -> None:
    """Close a row whose process was killed and that cannot be taken up again; one whose turn will come is left as it is."""
    over = row.until is not None and datetime.fromisoformat(row.until) <= now
    if row.status == "due" or not (over or row.attempts >= MOST_ATTEMPTS):
        return
    why = "the window has closed" if over else f"that was attempt {row.attempts}"
    if _run_of(site, row) is None:
        site.ledger.close(row.id, "missed", reason=f"its process was killed before the run began, and {why}")
    elif row.status == "running":
        hint = f"go on with `{command('runs', 'resume', row.run_id[:8])}`"
        site.ledger.close(row.id, "failed", reason=f"its process was killed, and {why}; {hint}", outcome="failure")


def _driven(site: Site, row: Record, observer: Observer | None, clock: Callable[[], datetime]) -> RunResult:
    try:
        schedule = site.schedules.named(row.schedule)
        deadline = None
        if row.until is not None:
            deadline = time.monotonic() + (datetime.fromisoformat(row.until) - clock()).total_seconds()
        if _run_of(site, row) is None:
            task = Task(schedule.agent, row.target, dict(schedule.input), metadata={"schedule": row.schedule})
            planned = site.plan(task)
            result = site.run(
                planned, deadline=deadline, observer=observer, standing=standing(schedule), run_id=row.run_id
            )
        else:
            result = site.resume(row.run_id, deadline=deadline, observer=observer, standing=standing(schedule))
    except (TargetBusyError, HeldError) as error:
        site.ledger.put_back(row.id, error.message)
        raise
    except StateError:
        raise  # what cannot be written is not closed either: the next process takes it up
    except AishellError as error:
        site.ledger.close(row.id, "failed", reason=error.message, exit_code=error.exit_code, outcome="failure")
        raise
    if result.exit_code != _INTERRUPTED:
        held = "; ".join(map(str, result.output_data["waiting"])) if result.output_data.get("held") else ""
        status = "waiting" if held or result.state == RunState.WAITING_APPROVAL else "done"
        site.ledger.close(row.id, status, reason=held, exit_code=result.exit_code, outcome=result.status)
    return result


def standing(schedule: Schedule) -> Standing | None:
    """What a schedule's file approves beforehand."""
    if schedule.approve_up_to is None:
        return None
    return Standing(f"schedule {schedule.name} (schedules.yaml {schedule.digest[:23]})", schedule.approve_up_to)
