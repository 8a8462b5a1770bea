"""Judges a step again just before it runs and gets the approval it needs. Nothing is held on the target while waiting."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from aishell.codec import canonical, plain
from aishell.commands import command
from aishell.errors import DatabaseError, OutgrownError, StateError, StepError, WaitingError
from aishell.execution import hooking
from aishell.execution.earning import lost
from aishell.execution.preview import foreseen
from aishell.execution.run import Run
from aishell.execution.target_context import table_of
from aishell.models import Cause, Decision, Reason, Risk, Row, Step, StepStatus, Verdict
from aishell.planning.variables import named_tables
from aishell.registry.tool import Tool
from aishell.running import dispatch
from aishell.running.context import Context
from aishell.safety import approval
from aishell.safety.autonomy import RULE, rules_for
from aishell.safety.gates import preapproved, standing_for
from aishell.state.calls import within_a_minute
from aishell.state.connection import Record
from aishell.state.runs import requesters, who

#: How long to wait for replicas and load before the step is deferred, and how often to look; seconds.
WAIT_FOR_CALM, CALM_POLL = 120.0, 5.0
#: The tool that lists what a deletion sets off; MySQL has none.
RELATIVES = "inspect_relatives"
#: Fields of a request that are recorded as they are.
_OF_REQUEST = ("params", "parameters", "edits", "busy_sessions", "statements", "server")
_PASSING = {"max_replica_lag", "max_load", "no_long_transactions"}


@dataclass(frozen=True)
class Authorized:
    """What the gates let through: `status` is None when the step may run."""

    values: dict[str, Any]
    found: list[Row] | None
    verdict: Verdict
    digest: str | None = None
    approved_by: str | None = None
    status: StepStatus | None = None
    reason: str | None = None
    cause: Cause | None = None
    edits: tuple[approval.Edited, ...] = ()


def authorize(
    run: Run,
    step: Step,
    tool: Tool,
    values: dict[str, Any],
    found: list[Row] | None,
    *,
    approved_by: str | None = None,
    again: bool = False,
    edits: tuple[approval.Edited, ...] = (),
) -> Authorized:
    """Judge a step on the facts of this moment and get the approval it needs.

    `again`: the parameters are those of the previous request, and `edits` lists the changes made to them so far. `approved_by`
    is set when an earlier attempt of the step was approved: one approval covers all attempts. Raises WaitingError when the
    step has to wait for a person, StepError when a table it names no longer exists.
    """
    objects = _facts(run, tool, values)
    verdict = _verdict(run, step, tool, objects)
    authorized = Authorized(values, found, verdict, edits=edits)
    if verdict.decision is Decision.DENY:
        return _denied(run, step, authorized)
    if verdict.earned is not None and verdict.earned.granted:
        by = f"{RULE}: {verdict.earned.count} supervised runs"
        run.observer.notice(f"{step.id}: {tool.name} runs without approval, {by}")
        return replace(authorized, approved_by=by, digest=_binding(run, tool, authorized, objects))
    if verdict.decision is Decision.NOTIFY:
        run.observer.notice(f"{step.id}: {tool.name} runs without approval: the policy only notifies")
    if not verdict.requires_approval:
        return authorized
    if approved_by is not None and not approved_by.startswith(RULE):  # earned autonomy is counted again each time
        return replace(authorized, approved_by=approved_by)
    if again:
        return _approved(run, step, tool, authorized, objects)
    hooking.guard(run, "before_approval", step)
    authorized = _approved(run, step, tool, _with_edits(run, step, tool, authorized), objects)
    status = authorized.status if authorized.status is not None else "approved"
    hooking.tell(run, "after_approval", step, status=status, error=authorized.reason or "")
    return authorized


def _denials(verdict: Verdict) -> list[Reason]:
    return [reason for reason in verdict.reasons if reason.decision is Decision.DENY]


def _denied(run: Run, step: Step, authorized: Authorized) -> Authorized:
    """A step that must not run: rejected, or deferred where every reason is temporary."""
    denials = _denials(authorized.verdict)
    # The policy and the agent may both have the rule.
    reasons = "; ".join(dict.fromkeys(f"{r.text} ({r.rule})" for r in denials))
    run.event("policy_decided", step, decision="deny", reasons=plain(authorized.verdict.reasons))
    if all(r.rule in _PASSING for r in denials):
        return replace(authorized, status=StepStatus.SKIPPED, cause=Cause.DEFERRED, reason=f"deferred: {reasons}")
    return replace(authorized, status=StepStatus.REJECTED, reason=f"refused: {reasons}")


def _with_edits(run: Run, step: Step, tool: Tool, authorized: Authorized) -> Authorized:
    """The step with the parameters that people edited elsewhere: approval is requested for these, under a new digest."""
    values, edits = authorized.values, list[approval.Edited]()
    for edit in run.approvals.edits(run.id, step.index):
        after = approval.edited(tool, values, edit["params"])
        who_ = {name: edit[name] for name in ("by", "uid", "reason")}
        edits.append(approval.Edited.between(values, after, **who_))
        values = after
    authorized = replace(authorized, edits=tuple(edits))
    if values == authorized.values:
        return authorized
    return replace(authorized, values=values, found=_found(run, step, tool, values, authorized.found))


def _facts(run: Run, tool: Tool, values: Mapping[str, Any]) -> list[Row]:
    """The named objects as they are now, with the server looked at again; tools that only read need neither, except reports."""
    if tool.category == "report":
        with suppress(DatabaseError):  # a report on a server that is gone shows it as it was last seen
            run.job.refresh()
    if tool.read_only or tool.way.unseen:
        return []
    run.job.refresh()
    if tool.risk_level.rank < Risk.MEDIUM.rank:
        return []
    named = named_tables(values)
    objects = run.job.identify(named)
    gone = set(named) - {(row["schema"], row["table"]) for row in objects}
    if gone:
        raise StepError(f"{'.'.join(min(gone))} no longer exists")
    if not tool.deletes or not run.job.registry.has(RELATIVES, run.job.known_server()):
        return objects
    # Once for all tables, with the first: related tables lead to each other.
    return [{**row, "effects": _set_off(run, named)} if row is objects[0] else row for row in objects]


def _set_off(run: Run, tables: Sequence[tuple[str, str]]) -> list[Row]:
    """The foreign keys, triggers and rules that a deletion from these tables sets off, those of cascaded tables included."""
    found, seen, left = list[Row](), set(tables), list(tables)
    while left:
        schema, table = left.pop()
        facts = run.job.read(RELATIVES, {"schema": schema, "table": table})
        for row in (*facts["children"], *facts["effects"]):
            found.append({"of": f"{schema}.{table}", **{name: row[name] for name in row if name != "indexed"}})
        acting = [row for row in facts["children"] if row["on_delete"] != "no action"]
        following = {(row["child_schema"], row["child_table"]) for row in acting}
        left += sorted(following - seen)
        seen |= following
    return sorted(found, key=canonical)


def _verdict(run: Run, step: Step, tool: Tool, objects: Sequence[Row]) -> Verdict:
    """The verdict, after waiting up to WAIT_FOR_CALM for a lagging replica, load or an old transaction to pass."""
    deadline = time.monotonic() + WAIT_FOR_CALM
    announced = False
    while True:
        made = 0 if tool.rate_limit is None else within_a_minute(run.runs.store, tool.name)
        verdict = run.job.judge(step, tool, objects, made, run.id)
        denials = _denials(verdict)
        passing = denials and {r.rule for r in denials} <= (_PASSING | {"rate_limit"})
        if not passing or time.monotonic() > deadline or run.options.left < 0 or run.cancelled.is_set():
            return verdict
        if not announced:
            run.observer.notice(f"{step.id}: waiting: {'; '.join(r.text for r in denials)}")
            announced = True
        run.cancelled.wait(CALM_POLL)
        run.job.refresh()


def calm(run: Run, step: Step, tool: Tool) -> str | None:
    """Wait between two batches while replicas lag or the server is busy; the reason to stop when that does not pass."""
    run.job.refresh()
    denials = _denials(_verdict(run, step, tool, []))
    return "; ".join(r.text for r in denials if r.rule in _PASSING) or None


def _approved(run: Run, step: Step, tool: Tool, authorized: Authorized, objects: list[Row]) -> Authorized:
    """Approval from `--yes`, a schedule, a decision bound to this digest, or the person at the prompt."""
    bound = _binding(run, tool, authorized, objects)
    authorized = replace(authorized, digest=bound)
    verdict = authorized.verdict
    facts = [reason.text for reason in verdict.reasons if reason.decision.rank >= Decision.CONFIRM.rank]
    if preapproved(verdict, run.options.yes, run.job.policy):
        return _by(run, step, authorized, f"{who()} (--yes)", f"pre-approved by --yes: {'; '.join(facts)}")
    standing = run.options.standing
    if standing is not None and standing_for(verdict, standing, run.job.policy):
        return _by(run, step, authorized, standing.by, f"pre-approved up to {standing.up_to}: {'; '.join(facts)}")
    decided = _decided(run, step, tool, authorized, objects)
    if decided is not None:
        return decided
    if not run.options.interactive or _people(run, verdict) > 1:
        return _wait(run, step, tool, authorized, objects)
    return _prompted(run, step, tool, authorized, objects)


def _prompted(run: Run, step: Step, tool: Tool, authorized: Authorized, objects: list[Row]) -> Authorized:
    """The step after the person at the prompt has answered."""
    identity = run.job.known_server().identity
    answer = run.ask(_request(run, step, tool, authorized, objects))
    stop_request = run.runs.requested(run.id)
    if stop_request == "pause":
        return _wait(run, step, tool, authorized, objects)
    if stop_request is not None:
        why = "the run was cancelled while the prompt was open"
        return replace(authorized, status=StepStatus.SKIPPED, reason=why)
    if run.job.refresh().identity != identity:
        raise OutgrownError(
            f"the target is now a different database (was {identity}, is {run.job.known_server().identity})",
            hint="check the target, and plan again",
        )
    if isinstance(answer, approval.Approve):
        if _binding(run, tool, authorized, _facts(run, tool, authorized.values)) != authorized.digest:
            run.observer.notice(f"{step.id}: the step has changed since it was approved; asking again")
            found = _found(run, step, tool, authorized.values, authorized.found)
            return authorize(run, step, tool, authorized.values, found, again=True, edits=authorized.edits)
        now = run.job.judge(step, tool, objects, run_id=run.id)
        if now.decision.rank > authorized.verdict.decision.rank:
            run.observer.notice(f"{step.id}: the rules have become stricter since the step was approved; asking again")
            return authorize(run, step, tool, authorized.values, authorized.found, again=True, edits=authorized.edits)
        return _by(run, step, authorized, answer.by, answer.reason or "approved at the prompt", answer.terminal)
    if isinstance(answer, approval.Edit):
        values = approval.edited(tool, authorized.values, answer.params)
        run.event("approval_decided", step, status="modified", by=answer.by, params=plain(answer.params))
        edit = approval.Edited.between(authorized.values, values, by=answer.by, uid=os.getuid())
        found = _found(run, step, tool, values, authorized.found)
        return authorize(run, step, tool, values, found, again=True, edits=(*authorized.edits, edit))
    if isinstance(answer, approval.Skip):
        return replace(authorized, status=StepStatus.SKIPPED, reason=f"skipped by {answer.by}")
    if isinstance(answer, approval.Reject):
        facts = {"status": "rejected", "by": answer.by, "reason": answer.reason, "digest": authorized.digest}
        subject = run.job.subject(tool)
        decided = ("approval_decided", facts | {"subject": plain(subject)})
        run.runs.add_events(run.id, step.index, [decided, *lost(run, subject, f"rejected by {answer.by}")])
        return replace(authorized, status=StepStatus.REJECTED, reason=f"rejected by {answer.by}: {answer.reason}")
    return _wait(run, step, tool, authorized, objects)


def _found(run: Run, step: Step, tool: Tool, values: Mapping[str, Any], before: list[Row] | None) -> list[Row] | None:
    """The objects that the tool would work on now; an undo step keeps those of the step that it undoes."""
    if tool.undoing:
        return before
    return dispatch.find(tool, values, Context(run.job.database, run.marker(step), run.job.options(tool)))


def _people(run: Run, verdict: Verdict) -> int:
    """How many people have to approve: two, neither the requester, to review a critical step at the strict level."""
    reviewed = verdict.decision is Decision.REVIEW and verdict.risk_level is Risk.CRITICAL
    return 2 if reviewed and run.job.level == "strict" else 1


def _wait(run: Run, step: Step, tool: Tool, authorized: Authorized, objects: list[Row]) -> Authorized:
    """Record the request and leave the step to a person; reject it where the policy's mode is unattended."""
    request = _request(run, step, tool, authorized, objects)
    if run.job.policy.mode == "unattended":
        why = "refused: the step needs approval, and the policy's mode is unattended"
        return replace(authorized, status=StepStatus.REJECTED, reason=why)
    earlier = json.loads(run.runs.find(run.id).request).get("requesters", ())
    # A person who edited the step may not approve it either.
    editors = {edit.uid for edit in authorized.edits if edit.uid is not None}
    shown = {
        **{name: getattr(request, name) for name in _OF_REQUEST},
        **{name: getattr(step, name) for name in ("rationale", "evidence", "estimate")},
        "environment": run.job.target.environment,
        "found": authorized.found,
        "tool": tool.name,
        "risk": tool.risk_level,
        "reasons": authorized.verdict.reasons,
        "risks": authorized.verdict.risks,
        "undo": tool.undo_text,
        "objects": objects,
        "people": _people(run, authorized.verdict),
        "requesters": sorted({*requesters(), *earlier, *editors}),
        "earned": bool(rules_for(run.job.policy, tool.name, run.job.target)),
    }
    recorded = (run.id, step.index, step.id, request.digest, request.level, plain(shown))
    name = run.approvals.ask(*recorded, run.job.policy.approval_hours, subject=run.job.subject(tool))
    raise WaitingError(
        f"step {step.id!r} ({tool.name}) is waiting for approval {name}",
        hint="; ".join(decide(name, request.level, run.job.target.name, run.id)),
    )


def decide(approval_: str, level: str, target: str, run_id: str) -> tuple[str, str, str]:
    """The commands that show a request, approve it, and resume the run. A review is approved with the target's name."""
    named = ("--confirm-target", target) if level == "review" else ()
    approve = command("approvals", "approve", approval_, *named)
    return command("approvals", "show", approval_), approve, command("runs", "resume", run_id[:8])


def _decided(run: Run, step: Step, tool: Tool, authorized: Authorized, objects: list[Row]) -> Authorized | None:
    """The step by an answer given elsewhere, which is consumed if it still fits and void if the database has changed since."""
    row = run.approvals.decided(run.id, step.index)
    if row is None:
        return None
    if row.status in ("rejected", "expired"):
        reason, cause = _refused(run, row)
        return replace(authorized, status=StepStatus.REJECTED, reason=reason, cause=cause)
    if row.status == "modified":  # `_with_edits` has applied its parameters, and nobody has seen their effect yet
        run.approvals.close(row.id, "consumed")
        return None
    shown = json.loads(row.request)
    frozen = shown["found"]
    now_found, moved = _approved_ones(tool, frozen, authorized.found)
    authorized = replace(authorized, found=now_found)
    bound = _binding(run, tool, replace(authorized, found=frozen if frozen is not None else authorized.found), objects)
    grown = moved or approval.outgrown(shown["objects"], objects)
    if bound != row.digest or grown:
        run.approvals.close(row.id, "void")
        why = grown or "the step or its objects have changed"
        run.observer.notice(f"{step.id}: approval {row.id} is void: {why}; asking again")
        return None
    run.approvals.close(row.id, "consumed")
    return replace(authorized, approved_by=row.decided_by, digest=bound)


def _approved_ones(
    tool: Tool, frozen: list[Row] | None, found: list[Row] | None
) -> tuple[list[Row] | None, str | None]:
    """The objects of `found` that were approved, for new ones wait for another run; and why the approval is void, if it is."""
    if frozen is None or found is None:
        return found, None
    same = tool.among(frozen, found)
    named = tool.among([{name: row.get(name) for name in tool.key} for row in frozen], found)
    return same, "an object was replaced by another of its name" if len(same) < len(named) else None


def refusal(run: Run, step: Step) -> tuple[str, Cause | None] | None:
    """Why a step is not run whose approval was rejected or has expired; None otherwise.

    An answer that is not in the audit log is left to the step's own turn, which reports it.
    """
    with suppress(StateError):
        row = run.approvals.decided(run.id, step.index)
        if row is not None and row.status in ("rejected", "expired"):
            return _refused(run, row)
    return None


def _refused(run: Run, row: Record) -> tuple[str, Cause | None]:
    if row.status == "expired":
        return f"expired: {row.reason}", Cause.EXPIRED
    run.approvals.close(row.id, "consumed")
    return f"rejected by {row.decided_by}: {row.reason}", None


def _by(run: Run, step: Step, authorized: Authorized, by: str, reason: str, terminal: str | None = None) -> Authorized:
    facts = {"by": by, "reason": reason, "digest": authorized.digest, "terminal": terminal}
    run.event("approval_decided", step, status="approved", **facts)
    return replace(authorized, approved_by=by)


def _binding(run: Run, tool: Tool, authorized: Authorized, objects: Sequence[Row]) -> str:
    """The digest that binds an approval to the objects' names and definitions, not to sizes, which change meanwhile."""
    job = run.job
    texts = [s.text for s in job.statements(tool, authorized.values, authorized.found)]
    rules = approval.governing(job.policy, job.config, job.target, job.level)
    return approval.binding(tool, plain(authorized.values), texts, job.known_server().identity, plain(objects), rules)


def _request(run: Run, step: Step, tool: Tool, authorized: Authorized, objects: Sequence[Row]) -> approval.Request:
    server = run.job.known_server()
    credentials = run.job.database.credentials
    return approval.Request(
        run_id=run.id,
        step=step,
        tool=tool,
        params=authorized.values,
        target=run.job.target,
        server=f"{server.product} {server.version_text} at {credentials.display}, database {server.database}",
        statements=run.job.sent(tool, authorized.values, authorized.found),
        verdict=authorized.verdict,
        digest=authorized.digest or "",
        tables=tuple(table_of(row) for row in objects),
        busy_sessions=sum(int(row.get("busy_sessions") or 0) for row in objects),
        blockers=server.oldest_transaction,
        others=_others(run, step, tool) if authorized.verdict.decision is Decision.CONFIRM else (),
        edits=authorized.edits,
    )


def _others(run: Run, step: Step, tool: Tool) -> tuple[approval.Covered, ...]:
    """The steps of the same tool that are still to come and whose statements are known now."""
    later = (s for s in run.plan.steps if s.tool == tool.name and s.id != step.id and s.id not in run.results)
    foreseen_ = ((s.id, *foreseen(run.job, s, tool)) for s in later)
    return tuple(approval.Covered(name, sent) for name, sent, unseen in foreseen_ if sent and unseen is None)
