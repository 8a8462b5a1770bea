"""Saved plans: the tables that their steps name are saved with them, and compared before a plan is applied."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from aishell.errors import OutgrownError, UsageError
from aishell.execution.preview import Preview, present
from aishell.execution.target_context import Job, table_of
from aishell.files import write_whole
from aishell.models import Inventory, Plan, Row, Server, now
from aishell.planning.variables import blanked, named_tables, references
from aishell.safety.approval import GROWTH_TOLERANCE
from aishell.state.plans import dump_plan, read_plan

#: The kind of the entry that stands for the whole database, for steps that name no table.
_DATABASE = "database"


def freeze(planned: Preview) -> Preview:
    """A plan to be saved, with the tables that its steps name as they are now."""
    try:
        objects = tuple(_objects(planned.job, planned.plan, planned.inventory.server))
    finally:
        planned.job.close()
    return replace(planned, plan=replace(planned.plan, objects=objects))


def write(plan: Plan, path: Path) -> None:
    """Save a plan with mode 0600, atomically. An earlier plan is replaced; any other file is not.

    Raises UsageError when something else is at `path`, or nothing can be written there.
    """
    if path.exists():
        read(path)
    try:
        write_whole(path, dump_plan(plan) + "\n")
    except OSError as error:
        raise UsageError(f"the plan cannot be saved to {path}: {error.strerror}") from error


def read(path: Path) -> Plan:
    """A plan from a file. Raises UsageError when the file is not a plan or was edited."""
    try:
        return read_plan(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error


def present_saved(job: Job, plan: Plan) -> Preview:
    """A saved plan as it would run now. Raises OutgrownError when it no longer fits, naming everything that changed."""
    server = job.refresh()
    if plan.target_identity != server.identity:
        raise OutgrownError(
            f"the plan was made for another database (for {plan.target_identity}, not {server.identity})",
            hint="check the target, or plan again",
        )
    changed, found = list(_other_tools(job, plan)), list[Row]()
    if not changed:
        found = list(_objects(job, plan, server))
        changed = list(_changed(plan.objects, found))
    if changed:
        raise OutgrownError(f"the plan is out of date: {'; '.join(changed)}", hint="plan again")
    tables = tuple(table_of(row) for row in found if row["kind"] != _DATABASE)
    bound = replace(plan, task=replace(plan.task, target=job.target.name))
    return present(job, bound, Inventory(server, tables, (), now()))


def _objects(job: Job, plan: Plan, server: Server) -> Iterator[Row]:
    named: dict[tuple[str, str], None] = {}
    whole = False
    for step in plan.steps:
        if not any(references(dict(step.params))):
            tables = named_tables(blanked(step.params))
            named.update(dict.fromkeys(tables))
            whole = whole or not (tables or job.pick(step.tool).read_only)
    for row in job.identify(list(named)):
        yield {name: row.get(name) for name in ("schema", "table", "kind", "oid", "bytes")}
    if whole:
        yield {"schema": "", "table": server.database, "kind": _DATABASE, "oid": "", "bytes": server.database_bytes}


def _changed(before: tuple[Any, ...], after: list[Row]) -> Iterator[str]:
    there = {(row["schema"], row["table"], row["kind"] == _DATABASE): row for row in after}
    for old in before:
        name = f"{old['schema']}.{old['table']}" if old["kind"] != _DATABASE else "the database"
        new = there.get((old["schema"], old["table"], old["kind"] == _DATABASE))
        if new is None:
            yield f"{name} no longer exists"
        elif str(new["oid"]) != str(old["oid"]):
            yield f"{name} was replaced, altered or rebuilt"
        elif old["bytes"] and (new["bytes"] or 0) > old["bytes"] * GROWTH_TOLERANCE:
            yield f"{name} grew from {old['bytes']:,} to {new['bytes']:,} bytes"


def _other_tools(job: Job, plan: Plan) -> Iterator[str]:
    for name, version in plan.tool_versions.items():
        if not job.registry.has(name, job.known_server()):
            yield f"the tool {name} no longer exists"
        elif job.pick(name).version != version:
            yield f"the tool {name} was changed, or another variant of it fits the server now"
