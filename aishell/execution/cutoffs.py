"""The cut-off of a step that was planned with `retention_days`: by the database's clock, frozen in the plan."""

from __future__ import annotations

from dataclasses import replace

from aishell.agents.log_cleanup.dates import Cutoff
from aishell.agents.log_cleanup.partitions import cutoff_of
from aishell.agents.log_cleanup.retention_rules import RetentionRule
from aishell.agents.log_cleanup.tables import aged, choose
from aishell.errors import ParameterError, UnknownNameError
from aishell.execution.target_context import Job
from aishell.models import Inventory, Step
from aishell.planning.variables import references, resolve


def frozen(job: Job, step: Step, inventory: Inventory) -> Step:
    """The step with `cutoff` as its date column writes it, in place of `retention_days`.

    Raises ParameterError where it has both, or days that are not known yet; UnknownNameError for a table that is not there.
    """
    tool, days = job.pick(step.tool), step.params["retention_days"]
    if step.params.get("cutoff") is not None:
        raise ParameterError(f"the step {step.id} has retention_days and cutoff: one of them says what goes")
    if any(references({name: step.params.get(name) for name in ("retention_days", "schema", "table", "date_column")})):
        raise ParameterError(f"the step {step.id} needs its table and retention_days when the plan is made")
    tool.prepare({**step.params, "cutoff": ""}, later=[name for name in tool.parameters if name not in step.params])
    given = resolve(dict(step.params), lambda reference: None)
    schema, name, column = (str(given.get(key, "")) for key in ("schema", "table", "date_column"))
    tables = {(table.schema, table.table): table for table in inventory.tables}
    if (schema, name) not in tables:
        raise UnknownNameError("table", f"{schema}.{name}", (".".join(key) for key in tables), "the inventory")
    named = {"schema": schema, "table": name}
    answer = job.read("inspect_log_tables", {"tables": [named]})
    rule = RetentionRule(name, days, column, tuple(given.get("filters") or ()))
    log = choose(tables[schema, name], rule, answer, job.database.engine)
    told = job.read("compute_cutoff", {"retention_days": days})["cutoff"][0]
    cutoff = Cutoff(told["utc"], told["local"], told["zone"], told["now"])
    log = aged(log, job.read("measure_log_age", {**named, "date_column": log.column}), cutoff, job.database.engine)
    before = cutoff_of(log)
    if before is None:
        raise ParameterError(f"no row of {log.name} shows how {column!r} writes its dates", hint="give cutoff instead")
    kept = {key: value for key, value in step.params.items() if key != "retention_days"}
    filters = {"filters": list(log.rule.filters)} if log.rule.filters else {}
    return replace(step, params={**kept, **filters, "cutoff": before})
