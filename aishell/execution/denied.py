"""What the server did not let the role do while a step ran: with the statements that would allow it, where they are known."""

from __future__ import annotations

from dataclasses import replace

from aishell.errors import AishellError
from aishell.execution.target_context import Job
from aishell.models import Cause, Inventory, Step, StepResult
from aishell.planning.leaving_out import as_allowed
from aishell.planning.privileges import privileges_of


def explained(job: Job, step: Step, result: StepResult) -> StepResult:
    """A result with the grants that its step lacks, which the plan had counted on; any other as it is."""
    if result.cause is not Cause.PRIVILEGE:
        return result
    grants = _grants(job, replace(step, params=result.params))
    if not grants:
        return result
    return replace(result, error=f"{result.error}; an administrator can allow it: {' '.join(grants)}")


def _grants(job: Job, step: Step) -> list[str]:
    try:
        inventory = Inventory(job.known_server(), (), (), "", access=job.access())
    except AishellError:
        return []  # a server that is gone, or tells the role nothing any more: what it has said stands
    _, lacks = as_allowed(step, job.pick(step.tool).privileges, privileges_of(inventory))
    return list(dict.fromkeys(grant for one in lacks for grant in one.grants))
