"""Reviews: a person sees the result of a stage on a target before the stages that need it begin, and may edit it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from aishell.agents.loading import load_agent
from aishell.codec import digest
from aishell.errors import ParameterError, UnknownNameError, UsageError
from aishell.models import Task
from aishell.planning.variables import Reference, references, walk
from aishell.site import Site
from aishell.site_files import SiteFiles
from aishell.state.approvals import STAGE, WHOLE, shown
from aishell.state.connection import Record
from aishell.workflows.workflows import Stage, Workflow

#: The answers that leave the stage done.
AGREED = ("approved", "modified")


def answer(site: Site, row: Record, workflow: Workflow) -> Record:
    """The review of a stage on a target whose run has ended, requested now if it was not before.

    Raises StateError for an answer that is not in the audit log.
    """
    result = json.loads(site.runs.find(row.run_id).result)
    bound = digest(result)
    known = site.approvals.latest(row.run_id, WHOLE, bound)
    if known is None:
        stage = workflow.stage(row.stage)
        request = {
            "tool": stage.agent,
            "risk": "none",
            "server": row.target,
            "statements": [],
            "reasons": [],
            "risks": [],
            "review": {
                "workflow_id": row.workflow_id,
                "workflow": workflow.name,
                "stage": stage.name,
                "status": result["status"],
                "reasoning": result["reasoning"],
                "output_data": result["output_data"],
                "referred": sorted(_referred(workflow, stage)),
            },
        }
        name = site.approvals.ask(row.run_id, WHOLE, stage.name, bound, STAGE, request, site.policy.approval_hours)
        return site.approvals.find(name)
    return known


def output(site: SiteFiles, workflow_id: str, stage: Stage, target: str) -> Mapping[str, Any] | None:
    """The output of a stage on a target for other stages, with a reviewer's edits; None without one."""
    found = site.workflow_runs.output(workflow_id, stage.name, target)
    known = of(site, workflow_id, stage, target)
    if found is None or known is None or known.status != "modified":
        return found
    return {**found, **json.loads(known.modifications)}


def of(site: SiteFiles, workflow_id: str, stage: Stage, target: str) -> Record | None:
    """The review of a stage on a target; None where none was requested."""
    if not stage.review:
        return None
    rows = site.workflow_runs.stages(workflow_id)
    row = next((one for one in rows if (one.stage, one.target) == (stage.name, target)), None)
    return None if row is None or row.run_id is None else site.approvals.latest(row.run_id, WHOLE)


def edited(site: SiteFiles, row: Record, values: Mapping[str, Any]) -> dict[str, Any]:
    """A reviewer's new values for a stage's output, checked.

    Raises UnknownNameError for a field that no other stage references, ParameterError for a value of another type or one that
    a stage does not accept, UsageError where nothing changes.
    """
    review = shown(row)["review"]
    given, before = dict(values), review["output_data"]
    head = site.workflow_runs.find(review["workflow_id"])
    workflow = Workflow.of(head.workflow, json.loads(head.definition))
    for name, value in given.items():
        if name not in review["referred"]:
            raise UnknownNameError("field", name, review["referred"], f"what other stages get of {review['stage']}")
        old = before.get(name)
        if old is not None and type(old) is not type(value) and not _numbers(old, value):
            raise ParameterError(f"{name} is {value!r}, which is not of the type of {old!r}")
    changed = {**before, **given}
    if changed == before:
        raise UsageError("the values do not change anything", hint="approve the review, or give other values")
    target = site.runs.find(row.run_id).target
    for other, key, reference in _whole_inputs(workflow, review["stage"]):
        if reference.path[0] in given:
            load_agent(other.agent).check_inputs(Task(other.agent, target, {key: walk(changed, reference)}))
    return given


def _whole_inputs(workflow: Workflow, stage: str) -> Iterator[tuple[Stage, str, Reference]]:
    """The inputs of other stages that consist of a single reference to a stage's output."""
    for other in workflow.stages:
        for key, value in other.input.items():
            for reference in references(value):
                source = workflow.source(reference)
                if source is not None and source.name == stage and value == f"${{{reference.text}}}":
                    yield other, key, reference


def _numbers(old: Any, new: Any) -> bool:
    return all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in (old, new))


def _referred(workflow: Workflow, stage: Stage) -> set[str]:
    """The fields of a stage's output that other stages refer to."""
    found = (one for other in workflow.stages for one in other.referred() if workflow.source(one) is stage)
    return {str(one.path[0]) for one in found if one.path}
