"""Runs one stage on one target, in the process that has its lock: claims, runs or resumes, and closes it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from aishell.agents.configuration import configured
from aishell.agents.loading import load_agent
from aishell.codec import plain
from aishell.databases.urls import read_url
from aishell.errors import AishellError, HeldError, StateError, StepError
from aishell.execution import recovery, rollback
from aishell.execution.result import why
from aishell.execution.run import Observer
from aishell.models import Risk, RunResult, RunState, Task, new_id
from aishell.planning.conditions import described, holds
from aishell.planning.variables import Reference, resolve, walk
from aishell.safety.approval import StandingApproval
from aishell.site import Site
from aishell.state.connection import Record
from aishell.state.locks import soon
from aishell.state.plans import load_plan
from aishell.state.runs import ENDED, result_of
from aishell.workflows import reviewing
from aishell.workflows.deciding import Status, Why
from aishell.workflows.workflows import ROOTS, Stage, Workflow, fields_of

#: The exit code of a run that a signal ended; it is resumed with its workflow.
INTERRUPTED = 130
#: A run in one of these states is not resumed: the next attempt is a run of its own.
_OVER = frozenset({RunState.COMPLETED, RunState.CANCELLED})


def kept(row: Record) -> Workflow:
    """A workflow as it was when it began."""
    return Workflow.of(row.workflow, json.loads(row.definition))


def work(site: Site, number: int, observer: Observer | None = None) -> RunResult | None:
    """Run a stage on its target, or resume its run; None where another process does so, or there is nothing to do.

    Raises the error that kept the run from beginning.
    """
    lock = soon(site.stage_lock(number), f"stage {number}")
    if lock is None:
        return None
    try:
        row = site.workflow_runs.stage(number)
        if row.status not in (Status.PENDING, Status.RUNNING, Status.WAITING, Status.FAILED) or settled(site, row):
            return None
        run = site.runs.begun(row.run_id)
        anew = row.run_id is None or (run is not None and (run.state in _OVER or _rolled_back(site, run)))
        claimed = site.workflow_runs.claim(number, new_id() if anew else row.run_id)
        return None if claimed is None else _driven(site, claimed, observer)
    finally:
        lock.release()


def settled(site: Site, row: Record) -> bool:
    """Close a claimed row whose run has ended, if its process was killed or a person resumed the run; whether it was closed."""
    run = site.runs.begun(row.run_id) if row.status in (Status.RUNNING, Status.WAITING) else None
    if run is None or run.state not in ENDED:
        return False
    result = result_of(run)
    _close(site, row, result.get("exit_code", 1), result["status"], _why(result))
    return True


def _rolled_back(site: Site, run: Record) -> bool:
    """Whether a run that failed was rolled back whole: the next attempt is a run of its own."""
    if run.state != RunState.FAILED:
        return False
    plan = load_plan(run.plan)
    return rollback.over(plan, {step.step_id: recovery.result_of(plan, step) for step in site.runs.steps(run.id)})


def _why(document: Mapping[str, Any]) -> str:
    """Why a run failed or was refused, with its rollback if there was one."""
    message, data = why(document), document.get("output_data", {})
    if "rolled_back" not in data:
        return message
    undone = rollback.sentence(rollback.Rollback(tuple(data["rolled_back"]), tuple(data["not_rolled_back"])))
    return f"{message}. {undone}" if message else undone


def _driven(site: Site, row: Record, observer: Observer | None) -> RunResult:
    head = site.workflow_runs.find(row.workflow_id)
    workflow, options = kept(head), json.loads(head.options)
    stage = workflow.stage(row.stage)
    try:
        driven: dict[str, Any] = {
            "yes": bool(options.get("yes")),
            "jobs": options.get("jobs"),
            "deadline": None if stage.timeout is None else time.monotonic() + stage.timeout,
            "until": None if head.until is None else datetime.fromisoformat(head.until),
            "observer": observer,
            "standing": _standing_approval(options),
        }
        if site.runs.begun(row.run_id) is None:
            planned = site.plan(task(site, head, workflow, stage, row.target), safety_level=options.get("safety_level"))
            result = site.run(planned, run_id=row.run_id, **driven)
        else:
            result = site.resume(row.run_id, **driven)
    except HeldError as error:
        site.workflow_runs.close(row.id, Status.WAITING, reason=error.message, exit_code=4, outcome="partial")
        raise
    except StateError:
        raise  # the row cannot be closed either: a resume of the workflow takes it up
    except AishellError as error:
        reason = f"{error.message}; {error.hint}" if error.hint else error.message
        site.workflow_runs.close(row.id, Status.FAILED, reason=reason, exit_code=error.exit_code, outcome="failure")
        raise
    if result.exit_code == INTERRUPTED:
        return result
    if result.state in (RunState.WAITING_APPROVAL, RunState.PAUSED):
        reason = "; ".join(result.output_data.get("waiting", ())) or "paused"
        code, outcome = result.exit_code, result.status
        site.workflow_runs.close(row.id, Status.WAITING, reason=reason, exit_code=code, outcome=outcome)
    else:
        _close(site, row, result.exit_code, result.status, _why(plain(result)))
    return result


def _close(site: Site, row: Record, exit_code: int, outcome: str, reason: str = "") -> None:
    """Record the outcome of a run that has ended; a stage whose review is pending waits."""
    status = Status.DONE if exit_code in (0, 4) else Status.FAILED
    workflow = kept(site.workflow_runs.find(row.workflow_id))
    if status is Status.DONE and workflow.stage(row.stage).review:
        review = reviewing.answer(site, row, workflow)
        if review.status == "pending":
            waits = f"its result waits for the review {review.id}"
            if (row.status, row.reason) != (Status.WAITING, waits):
                outcome = "waiting_approval"
                site.workflow_runs.close(row.id, Status.WAITING, reason=waits, exit_code=3, outcome=outcome)
            return
        if review.status not in reviewing.AGREED:
            expired = review.status == "expired"
            why = f"expired: {review.reason}" if expired else f"rejected by {review.decided_by}: {review.reason}"
            site.workflow_runs.close(
                row.id, Status.FAILED, cause=Why.REVIEW, reason=why, exit_code=5, outcome="rejected"
            )
            return
    site.workflow_runs.close(row.id, status, exit_code=exit_code, outcome=outcome, reason=reason)


def _standing_approval(options: Mapping[str, Any]) -> StandingApproval | None:
    given = options.get("standing")
    return None if given is None else StandingApproval(given["by"], Risk(given["up_to"]))


def task(site: Site, head: Record, workflow: Workflow, stage: Stage, target: str) -> Task:
    """The task of a stage on a target, its references resolved. Raises StepError for a missing output."""
    return Task(
        stage.agent,
        target,
        resolve(stage.inputs, lambda reference: lookup(site, head.id, workflow, stage, target, reference)),
        workflow_id=head.id,
        parent_task_id=head.id,
        metadata={"workflow": workflow.name, "stage": stage.name, **_request_metadata(workflow)},
    )


def _request_metadata(workflow: Workflow) -> dict[str, Any]:
    """The task metadata of a workflow that was read from plain language."""
    return {} if workflow.asked is None else {"asked": workflow.asked}


class NotYetError(StepError):
    """The output of an earlier stage is not known until it has run."""


def foreseen(site: Site, workflow: Workflow, stage: Stage, target: str) -> Task | str:
    """The task of a stage on a target as known before anything runs, or a sentence that says why it is not known."""
    known = known_before(site, stage, target)

    def value(reference: Reference) -> Any:
        if reference.root not in known:
            raise NotYetError(f"not known before the stage {reference.step} has run: {reference.told}")
        return walk(known[reference.root], reference)

    with suppress(NotYetError):  # then it may run
        if stage.when is not None and not holds(stage.when, value):
            return f"left out: {described(stage.when, value)}"
    try:
        return Task(stage.agent, target, resolve(stage.inputs, value), metadata=_request_metadata(workflow))
    except NotYetError as later:
        return later.message


def lookup(site: Site, workflow_id: str, workflow: Workflow, stage: Stage, target: str, reference: Reference) -> Any:
    """The value of a reference of a stage. Raises StepError where there is none."""
    if reference.root in ROOTS:
        return walk(known_before(site, stage, target)[reference.root], reference)
    source = workflow.source(reference)
    found = None if source is None else reviewing.output(site, workflow_id, source, target)
    if found is None:
        raise StepError(f"{reference.told} is not known: the stage has no output on {target}")
    return walk(found, reference)


def known_before(site: Site, stage: Stage, target: str) -> Mapping[str, Mapping[str, Any]]:
    """The values that a stage can reference before anything runs: the fields of `workflows.ROOTS`."""
    config = configured(site.places.config, load_agent(stage.agent))
    known, retention = site.target(target), config.own.get("retention") or []
    return {
        "target": {
            "name": known.name,
            "engine": read_url(known.url).engine,
            "environment": known.environment,
            "labels": list(known.labels),
        },
        "agent": {
            **dict.fromkeys(fields_of("agent", stage.agent)),
            **config.own,
            "retention": retention if isinstance(retention, list) else [retention],
            "create_backup": bool(config.own.get("create_backup")),
            "exclude": list(config.exclude),
        },
    }
