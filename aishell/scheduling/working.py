"""One row of the ledger, by the process that has its lock: claimed, run or resumed, and closed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from aishell.codec import plain
from aishell.commands import command
from aishell.errors import AishellError, HeldError, NotTriedError, StateError, TargetBusyError
from aishell.execution.result import why
from aishell.execution.run import Observer
from aishell.models import RunResult, RunState, Task, new_id
from aishell.safety.approval import StandingApproval
from aishell.scheduling.schedules import Schedule
from aishell.scheduling.times import wall_clock
from aishell.settings.targets import Target
from aishell.site import Site
from aishell.state.connection import Record
from aishell.state.holds import stopped
from aishell.state.locks import soon
from aishell.state.runs import ENDED, result_of
from aishell.state.schedule_runs import MOST_ATTEMPTS, SHUTDOWN
from aishell.workflows.driving import WorkflowDriver
from aishell.workflows.driving import result_of as document_of
from aishell.workflows.working import INTERRUPTED


def work(
    site: Site,
    number: int,
    observer: Observer | None = None,
    clock: Callable[[], datetime] = wall_clock,
    options: Collection[str] = (),
) -> RunResult | Mapping[str, Any] | list[str] | None:
    """Run a row of the ledger, or resume its run; None if another process does, or if it has to wait.

    The result of a run, the document of a workflow, whose stages are processes that get `options`, or the databases of a whole
    server, which are rows of their own then.
    Raises whatever kept the run from starting.
    """
    lock = soon(site.schedule_lock(number), f"schedule {number}")
    if lock is None:
        return None
    try:
        row = site.ledger.row(number)
        if row.status not in ("due", "running", "waiting") or _ended(site, row):
            return None
        claimed = site.ledger.claim(number, new_id(), clock(), site.schedules.max_concurrent)
        if claimed is None:
            _give_up(site, row, clock())
            return None
        return _driven(site, claimed, observer, options)
    finally:
        lock.release()


def _ended(site: Site, row: Record) -> bool:
    """Whether the run of a row has ended, which closes the row: its process was killed, or a person resumed the run."""
    run = site.runs.begun(row.run_id)
    if run is None or run.state not in ENDED:
        return False
    result = result_of(run)
    site.ledger.close(row.id, "done", exit_code=result.get("exit_code"), outcome=result["status"])
    return True


def _give_up(site: Site, row: Record, now: datetime) -> None:
    """Close a row whose process was killed and that cannot be resumed; one that can run later is left unchanged."""
    over = row.until is not None and datetime.fromisoformat(row.until) <= now
    if row.status == "due" or not (over or row.attempts >= MOST_ATTEMPTS):
        return
    why = "the window has closed" if over else f"that was attempt {row.attempts}"
    of_workflow = row.run_id is not None and site.workflow_runs.there(row.run_id)
    if site.runs.begun(row.run_id) is None and not of_workflow:
        site.ledger.close(row.id, "missed", reason=f"its process was killed before the run began, and {why}")
    elif row.status == "running":
        run = row.run_id[:8]
        again = command("run", "workflow", "--resume", run) if of_workflow else command("runs", "resume", run)
        hint = f"continue with `{again}`"
        site.ledger.close(row.id, "failed", reason=f"its process was killed, and {why}; {hint}", outcome="failure")


def _driven(
    site: Site, row: Record, observer: Observer | None, options: Collection[str]
) -> RunResult | Mapping[str, Any] | list[str]:
    try:
        schedule = site.schedules.named(row.schedule)
        server = site.settings.targets.get(row.target)
        if server is not None and server.databases:
            return _expanded(site, row, schedule, server)
        if schedule.workflow is not None:
            return _night(site, row, schedule, schedule.workflow, options)
        return _run(site, row, schedule, observer)
    except (TargetBusyError, HeldError, NotTriedError) as error:
        site.ledger.put_back(row.id, error.message)
        raise
    except StateError:
        raise  # the row cannot be closed either: the next process resumes it
    except AishellError as error:
        site.ledger.close(row.id, "failed", reason=error.message, exit_code=error.exit_code, outcome="failure")
        raise


def _run(site: Site, row: Record, schedule: Schedule, observer: Observer | None) -> RunResult:
    """Start or resume the run of a row; its id was chosen with the claim."""
    until = None if row.until is None else datetime.fromisoformat(row.until)
    if site.runs.begun(row.run_id) is None:
        task = Task(schedule.agent, row.target, dict(schedule.input), metadata={"schedule": row.schedule})
        planned = site.plan(task)
        result = site.run(planned, until=until, observer=observer, standing=standing(schedule), run_id=row.run_id)
    else:
        result = site.resume(row.run_id, until=until, observer=observer, standing=standing(schedule))
    held = "; ".join(map(str, result.output_data["waiting"])) if result.output_data.get("held") else ""
    waits = bool(held) or result.state == RunState.WAITING_APPROVAL
    paused, reason = result.state == RunState.PAUSED, held or why(plain(result))
    _close(site, row, paused=paused, waits=waits, reason=reason, exit_code=result.exit_code, outcome=result.status)
    return result


def _close(site: Site, row: Record, *, paused: bool, waits: bool, reason: str, exit_code: int, outcome: str) -> None:
    """Record the outcome of a row. One paused by a shutdown is due again; one ended by a signal stays open."""
    if paused and site.ledger.row(row.id).reason == SHUTDOWN:
        site.ledger.put_back(row.id, SHUTDOWN)
    elif exit_code != INTERRUPTED:
        status = "waiting" if waits else "done"
        site.ledger.close(row.id, status, reason=reason, exit_code=exit_code, outcome=outcome)


def _expanded(site: Site, row: Record, schedule: Schedule, server: Target) -> list[str]:
    """Add a row for each database that the server has now, which completes the server's row; the new targets."""
    targets = site.servers.databases(server, schedule.on(site.settings))
    site.ledger.expand(row.id, targets)
    return targets


def _night(site: Site, row: Record, schedule: Schedule, name: str, options: Collection[str]) -> Mapping[str, Any]:
    """Start or resume the workflow of a row; its id was chosen with the claim."""
    runs, given = site.workflow_runs, standing(schedule)
    approved = {} if given is None else {"standing": {"by": given.by, "up_to": str(given.up_to)}}

    def resumed() -> None:
        runs.take_up(row.run_id, until=row.until, options=approved)

    known = runs.there(row.run_id)
    if not known:
        chosen = site.workflow(name)
        runs.begin(row.run_id, name, chosen.data, chosen.placed([row.target], site.settings), approved, row.until)
    status, code = WorkflowDriver(site, row.run_id, options).drive(resumed if known else lambda: None)
    stages = runs.stages(row.run_id)
    waiting = [stage for stage in stages if stage.status == "waiting"]
    waits = any(_goes_on(site, stage) for stage in waiting)
    _close(site, row, paused=bool(waiting), waits=waits, reason=_failed(stages), exit_code=code, outcome=status)
    return document_of(site, row.run_id)


def _failed(stages: Sequence[Record]) -> str:
    """The first stage that failed, with its reason, and how many more."""
    failed = [f"stage {one.stage}: {one.reason or one.outcome}" for one in stages if one.status == "failed"]
    more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    return f"{failed[0]}{more}" if failed else ""


def _goes_on(site: Site, stage: Record) -> bool:
    """Whether a waiting stage continues by itself, after an answer or the release of a hold; not where a person paused it."""
    run = site.runs.begun(stage.run_id)
    reviewed = run is not None and run.state == RunState.COMPLETED
    return run is None or reviewed or run.state == RunState.WAITING_APPROVAL or stopped(run)


def standing(schedule: Schedule) -> StandingApproval | None:
    """The schedule's approval in advance, None without one."""
    if schedule.approve_up_to is None:
        return None
    return StandingApproval(f"schedule {schedule.name} (schedules.yaml {schedule.digest[:23]})", schedule.approve_up_to)
