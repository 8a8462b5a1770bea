"""A plan with all that a person needs to see before it runs: exact statements, locks and verdicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from aishell.errors import ParameterError, UnknownNameError
from aishell.execution.inspection import inspect
from aishell.execution.target_context import INSPECTION, Job, as_sent
from aishell.models import History, Inventory, Left, Plan, Row, RunResult, RunState, Sent, Step, Table, Verdict
from aishell.planning import checks
from aishell.planning.estimates import remembered, total
from aishell.planning.hooking import on_errors, with_hooks
from aishell.planning.undoing import with_undos
from aishell.planning.variables import Reference, blanked, named_tables, references, resolve
from aishell.registry.tool import FROZEN, Tool
from aishell.running import dispatch
from aishell.running.context import label_of
from aishell.running.per_object import undoable, why_not_undone
from aishell.settings.hooks import Hook
from aishell.settings.schemas import ON_ERROR

if TYPE_CHECKING:
    from aishell.execution.proposing import Proposer


@dataclass(frozen=True)
class StepPreview:
    """A step as it would run. `unseen` says why its statements cannot be shown."""

    step: Step
    tool: Tool
    statements: tuple[Sent, ...]
    verdict: Verdict
    unseen: str | None = None


@dataclass(frozen=True)
class Preview:
    """A plan, judged and rendered, with the inventory that it is based on."""

    job: Job
    plan: Plan
    inventory: Inventory
    steps: tuple[StepPreview, ...]

    @property
    def called(self) -> list[Hook]:
        """The hook programs that a run of the plan calls."""
        target = self.job.target
        return [one for one in self.job.hooks.programs if one.tool is None and one.chooses(target.name, target.labels)]


def not_called(hooks: Sequence[Hook]) -> str:
    """The sentence of a dry run about hooks."""
    return f"A dry run does not call these hooks: {', '.join(one.name for one in hooks)}."


def preview(
    job: Job,
    *,
    history: Mapping[tuple[str, str], History] | None = None,
    backlog: Sequence[Left] = (),
    proposer: Proposer | None = None,
) -> Preview:
    """Inspect the target, plan, check and judge. Writes nothing to the target. `proposer`: a model that may choose the steps."""
    job.agent.check_inputs(job.task)
    inventory = inspect(job, history=history, backlog=backlog)
    if proposer is None:
        plan = job.agent.plan(job.task, inventory)
    else:
        draft = proposer.propose(job, job.agent.draft(job.task, inventory), inventory)
        plan = job.agent.bound(job.task, inventory, draft)
    hooks, left_out = on_errors(job.hooks.of(ON_ERROR, job.target), _tool_of(job), job.config)
    return present(job, replace(plan, warnings=(*plan.warnings, *left_out)), inventory, hooks)


def _tool_of(job: Job) -> Callable[[str], Tool | None]:
    server = job.known_server()
    return lambda name: job.registry.pick(name, server) if job.registry.has(name, server) else None


def present(job: Job, plan: Plan, inventory: Inventory, hooks: Sequence[Hook] = ()) -> Preview:
    """Check a plan statically, bind it to its tools' versions, judge and render every step.

    `hooks`: those that run a tool on errors. A saved plan already contains them.
    """
    checks.check_failures(plan)
    whole = with_hooks(with_undos(plan.steps, job.pick, inventory.server.identity), hooks)
    tools = {step.tool: job.pick(step.tool) for step in whole}
    steps = [_bound(job, step, tools[step.tool], inventory) for step in whole]
    steps = [remembered(step, inventory) if step.hook is not None else step for step in steps]
    plan = replace(
        plan,
        steps=tuple(replace(step, index=number) for number, step in enumerate(steps)),
        tool_versions={name: tool.version for name, tool in sorted(tools.items())},
        target_identity=inventory.server.identity,
        warnings=tuple(dict.fromkeys((*job.warnings, *plan.warnings))),
    )
    checks.check(plan, job.config, job.pick)
    for step in plan.steps:
        job.agent.check_tool(tools[step.tool])
    by_key = {table.key: table for table in inventory.tables}
    seen = tuple(_step(job, step, tools[step.tool], by_key, plan.steps) for step in plan.steps)
    return Preview(job, plan, inventory, seen)


def _bound(job: Job, step: Step, tool: Tool, inventory: Inventory) -> Step:
    """A step with `retention_days` replaced by `cutoff`, in the format of its date column and by the database's clock.

    Raises ParameterError for a step that has both, or whose days are not known yet, and UnknownNameError for a table that does
    not exist.
    """
    days = step.params.get("retention_days")
    if days is None or not tool.parameters.keys() >= FROZEN:
        return step
    from aishell.agents.log_cleanup.dates import Cutoff  # agents' own plans have the cutoff already
    from aishell.agents.log_cleanup.partitions import cutoff_of
    from aishell.agents.log_cleanup.retention_rules import RetentionRule
    from aishell.agents.log_cleanup.tables import aged, choose

    if step.params.get("cutoff") is not None:
        raise ParameterError(f"the step {step.id} has both retention_days and cutoff", hint="give one of them")
    if any(references({name: step.params.get(name) for name in ("retention_days", "schema", "table", "date_column")})):
        raise ParameterError(f"the step {step.id} needs its table and retention_days when the plan is made")
    tool.prepare({**step.params, "cutoff": ""}, later=[name for name in tool.parameters if name not in step.params])
    given = blanked(step.params)
    schema, name, column = (str(given.get(key, "")) for key in ("schema", "table", "date_column"))
    tables = {(table.schema, table.table): table for table in inventory.tables}
    if (schema, name) not in tables:
        raise UnknownNameError("table", f"{schema}.{name}", (".".join(key) for key in tables), "the inventory")
    named = {"schema": schema, "table": name}
    answer = job.read("inspect_log_tables", {"tables": [named]})
    rule = RetentionRule(name, days, column, tuple(given.get("filters") or ()))
    log = choose(tables[schema, name], rule, answer, job.database.engine)
    row = job.read("compute_cutoff", {"retention_days": days})["cutoff"][0]
    cutoff = Cutoff(row["utc"], row["local"], row["zone"], row["now"])
    log = aged(log, job.read("measure_log_age", {**named, "date_column": log.column}), cutoff, job.database.engine)
    before = cutoff_of(log)
    if before is None:
        raise ParameterError(
            f"the date format of {column!r} cannot be told from {log.name}", hint="give cutoff instead"
        )
    kept = {key: value for key, value in step.params.items() if key != "retention_days"}
    filters = {"filters": list(log.rule.filters)} if log.rule.filters else {}
    return replace(step, params={**kept, **filters, "cutoff": before})


def _step(
    job: Job, step: Step, tool: Tool, tables: Mapping[tuple[str, str], Table], steps: Sequence[Step]
) -> StepPreview:
    statements, unseen = foreseen(job, step, tool, steps)
    params = step.params if any(references(dict(step.params))) else blanked(step.params)
    named = [tables[key] for key in named_tables(params) if key in tables]
    return StepPreview(step, tool, statements, job.judge(step, tool, named), unseen)


def foreseen(job: Job, step: Step, tool: Tool, before: Sequence[Step] = ()) -> tuple[tuple[Sent, ...], str | None]:
    """The statements of a step that has not begun, and why they are not exact (None: they are).

    `before`: the steps of its plan, from which some of its parameters are known.
    """
    open_references = [r.told for r in references(dict(step.params))]
    way = dispatch.runner(tool)
    if open_references:
        sent = way.statements_without(tool, lambda: known_values(tool, step, before), job.database)
        return tuple(as_sent(tool, statement) for statement in sent), f"depends on {open_references[0]}"
    values = tool.prepare(blanked(step.params))
    found = way.planned(tool, values, step.found)
    if tool.undoing and found:
        return _foreseen_undo(job, tool, values, found)
    unseen = "the objects are looked up when the step runs" if found is None else None
    return tuple(job.sent(tool, values, found)), unseen


def _foreseen_undo(
    job: Job, tool: Tool, values: dict[str, Any], found: list[Row]
) -> tuple[tuple[Sent, ...], str | None]:
    """The same for an undo step: for those of its objects that have changed."""
    with job.database.session(INSPECTION) as session:
        left, lost = undoable(tool, values, found, job.database, session)
    if not lost:
        return tuple(job.sent(tool, values, left)), None
    can = [row for row in left if label_of(tool, values, row) not in lost]
    return tuple(job.sent(tool, values, can) if can else ()), f"cannot be undone: {why_not_undone(lost, len(left))}"


def known_values(tool: Tool, step: Step, steps: Sequence[Step]) -> dict[str, Any]:
    """The parameters known before a step runs; an output named like a parameter of its step is taken to be that parameter."""
    by_id = {one.id: one for one in steps}

    def given(reference: Reference) -> Any:
        earlier = by_id.get(str(reference.step))
        value = earlier.params.get(str(reference.path[0])) if earlier and len(reference.path) == 1 else None
        return value if value is not None and not any(references(value)) else reference

    params = {name: resolve(value, given) if _whole(value) else value for name, value in step.params.items()}
    later = {name for name, value in params.items() if isinstance(value, Reference) or any(references(value))}
    known = {name: value for name, value in params.items() if name not in later}
    return tool.prepare(blanked(known), later)


def _whole(value: object) -> bool:
    """Whether a value is one reference and nothing else."""
    found = list(references(value)) if isinstance(value, str) else []
    return len(found) == 1 and value == f"${{{found[0].text}}}"


def as_result(planned: Preview) -> RunResult:
    """A plan as the result of a run in which nothing ran."""
    job, hooks = planned.job, planned.called
    return RunResult(
        **job.named(),
        run_id=None,
        task_id=planned.plan.task.task_id,
        dry_run=True,
        status="preview",
        state=RunState.IDLE,
        plan=as_contract(planned),
        actions_taken=(),
        output_data={
            "actions_count": 0,
            "deferred": [],
            "warnings": list(planned.plan.warnings),
            "left_out": list(planned.plan.left_out),
            **({"hooks": [{"on": one.on, "name": one.name} for one in hooks]} if hooks else {}),
            **planned.plan.summary,
        },
        reasoning=f"{len(planned.steps)} steps would run; nothing was changed."
        + (f" {len(planned.plan.left_out)} steps cannot run and are left out." if planned.plan.left_out else "")
        + (f" {not_called(hooks)}" if hooks else ""),
        execution_time=0.0,
        checkpoints=(),
    )


#: Fields of a step that the JSON contract has under their own names.
_OF_STEP = (
    "id", "index", "tool", "params", "needs", "when", "always", "on_error", "undoes", "hook", "rationale", "evidence",
    "estimate", "found",
)  # fmt: skip


def as_contract(preview: Preview) -> dict[str, Any]:
    """The `plan` of the JSON contract (model.md)."""
    time = total(preview.plan.steps)
    return {
        "digest": preview.plan.digest,
        "estimate": {"seconds": time.seconds, "steps_unknown": time.unknown},
        "steps": [
            {
                **{name: getattr(item.step, name) for name in _OF_STEP},
                **({"proposed": item.step.proposed} if item.step.proposed is not None else {}),
                "undo": item.tool.undo.how if item.tool.undo else None,
                "statements": [
                    {name: getattr(sent, name) for name in ("sql", "lock", "source", "locks_too", "note")}
                    for sent in item.statements
                ],
                "unseen": item.unseen,
                "verdict": verdict_contract(item.verdict),
            }
            for item in preview.steps
        ],
    }


def verdict_contract(verdict: Verdict) -> dict[str, Any]:
    """The `verdict` of the JSON contract."""
    names = ("risk_level", "decision", "requires_approval", "safe", "risks", "mitigations", "reasons")
    earned = {"earned": verdict.earned} if verdict.earned is not None else {}
    return {name: getattr(verdict, name) for name in names} | earned
