"""Earned autonomy during a run: the subjects in its events, the last check of the count, and what a failure takes away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aishell.codec import plain
from aishell.errors import StepError
from aishell.models import Earning, Step, StepStatus, Subject
from aishell.registry.tool import Tool
from aishell.safety import autonomy

if TYPE_CHECKING:
    from aishell.execution.run import Run
    from aishell.state.connection import Connection

Happened = list[tuple[str, Mapping[str, Any]]]


class NoLongerEarnedError(StepError):
    """The count in the audit log has changed between the verdict on a step and its start."""


def begun(run: Run, step: Step, tool: Tool) -> Subject | None:
    """The subject of a step that starts; None for a step that only reads."""
    if tool.read_only:
        return None
    return run.job.subject(tool, run.plan.step(step.undoes).tool if step.undoes else None)


def failed(run: Run, step: Step, status: StepStatus) -> Subject | None:
    """The subject of a step that failed. Needs neither the tool's file nor the server: either may be what failed."""
    if status not in (StepStatus.FAILED, StepStatus.IN_DOUBT):
        return None
    job = run.job
    identity = job.server.identity if job.server is not None else ""
    return Subject(step.tool, "", job.target.name, identity, job.target.environment)


def lost(run: Run, subject: Subject | None, because: str) -> Happened:
    """`autonomy_reset` events for all that a step takes away, to be committed together with its outcome."""
    job = run.job
    tool = (subject.takes_back or subject.tool) if subject is not None else ""
    if subject is None or job.autonomy is None or not autonomy.rules_for(job.policy, tool, job.target):
        return []
    from aishell.state.autonomy import reset

    return [reset(one, tally, because) for one, tally in job.autonomy.at_stake(tool, subject)]


def used(run: Run, tool: Tool, earned: Earning, connection: Connection) -> Happened:
    """The event `autonomy_used`, by the count inside the transaction that begins the step.

    Raises NoLongerEarnedError when another run or an answer has taken the autonomy away since the step was judged.
    """
    subject = run.job.subject(tool)
    tally = run.job.autonomy.tally(subject, run.id, connection) if run.job.autonomy is not None else None
    if tally is None or tally.problem is not None or tally.count < earned.after:
        raise NoLongerEarnedError(f"{tool.name} may no longer run without approval on {run.job.target.name}")
    data = {"subject": plain(subject), "count": tally.count, "after": earned.after, "events": list(tally.events)}
    return [("autonomy_used", data)]
