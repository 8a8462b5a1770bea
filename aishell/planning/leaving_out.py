"""Leave out steps that the connected role may not run, and steps that are useless without them. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from aishell.models import Inventory, LeftOut, Step
from aishell.planning.privileges import Privileges, privileges_of
from aishell.planning.variables import blanked, in_texts, named_tables, references

_NUMBERED = re.compile(r"(?<!\$)\$\{step_(\d+)")


def leave_out(
    steps: Sequence[Step], serving: Collection[str], inventory: Inventory
) -> tuple[tuple[Step, ...], tuple[LeftOut, ...]]:
    """Return the steps that can run, renumbered, and what was left out.

    A step is left out with any step that it needs. A step of `serving` is left out with the last step that needs it.
    """
    ids = [step.id for step in steps]
    role = privileges_of(inventory)
    judged = [(step.id, *as_allowed(step, inventory.requires(step.tool), role)) for step in steps]
    left = [one for _, _, lacks in judged for one in lacks]
    if not left:
        return tuple(steps), ()
    kept = {name: allowed for name, allowed, _ in judged if allowed is not None}
    gone = set(ids) - kept.keys()
    left += _dropped(
        kept, gone, {step.id: {*step.needs, *referenced(step, ids)} for step in steps if not step.always}, serving
    )
    numbered = (by_ids(step, ids, gone) for step in kept.values())
    return tuple(replace(step, index=number) for number, step in enumerate(numbered)), tuple(left)


def _dropped(
    kept: dict[str, Step], gone: set[str], waiting: Mapping[str, set[str]], serving: Collection[str]
) -> Iterator[LeftOut]:
    """Move steps from `kept` to `gone` that are impossible or useless without those of `gone`. `waiting`: step -> its needs."""
    while more := [*_hindered(kept, waiting, gone), *_idle(kept, waiting, gone, serving)]:
        for step_id, need in more:
            step = kept.pop(step_id)
            gone.add(step_id)
            if need is not None:
                yield LeftOut(step.id, step.tool, _about(step), f"it needs {need}, which is left out")


def _hindered(
    kept: Mapping[str, Step], waiting: Mapping[str, set[str]], gone: set[str]
) -> list[tuple[str, str | None]]:
    """Return the steps that need a removed step, each with that step."""
    return [(name, min(waiting[name] & gone)) for name in kept if name in waiting and waiting[name] & gone]


def _idle(
    kept: Mapping[str, Step], waiting: Mapping[str, set[str]], gone: set[str], serving: Collection[str]
) -> Iterator[tuple[str, str | None]]:
    """Yield the serving steps that no remaining step needs."""
    hindered = {name for name, _ in _hindered(kept, waiting, gone)}
    for name in kept:
        served = [other for other, needed in waiting.items() if name in needed]
        if name in serving and name not in hindered and served and gone.issuperset(served):
            yield name, None


def as_allowed(step: Step, needed: Sequence[str], role: Privileges) -> tuple[Step | None, list[LeftOut]]:
    """Return the step without its unprivileged parts (None if nothing remains), and those parts."""
    if not needed:
        return step, []
    barred = role.barred(step.id, step.tool, needed)
    if barred is not None:
        return None, [barred]
    params = blanked(step.params)
    if step.found is not None:
        return _found(step, params, needed, role)
    if isinstance(params.get("tables"), list):
        return _tables(step, params, needed, role)
    named = named_tables(params)
    if not named and (step.params.get("table") is not None or step.params.get("tables") is not None):
        return step, []  # an earlier step determines the table
    one = role.refused(step.id, step.tool, next(iter(named), None), needed)
    return (None, [one]) if one is not None else (step, [])


def _tables(
    step: Step, params: Mapping[str, Any], needed: Sequence[str], role: Privileges
) -> tuple[Step | None, list[LeftOut]]:
    """Do the same for a list of tables."""
    lacks = {key: role.refused(step.id, step.tool, key, needed) for key in named_tables(params)}
    left = [one for one in lacks.values() if one is not None]
    if len(left) == len(lacks):
        return (None if left else step), left
    items = zip(step.params["tables"], params["tables"], strict=True)
    tables = [item for item, named in items if lacks[named["schema"], named["table"]] is None]
    return replace(step, params={**step.params, "tables": tables}), left


def _found(
    step: Step, params: Mapping[str, Any], needed: Sequence[str], role: Privileges
) -> tuple[Step | None, list[LeftOut]]:
    """Do the same for frozen objects, as partitions have their own owners."""
    base = next(iter(named_tables(params)), None)
    whole = role.refused(step.id, step.tool, base, needed)
    if whole is not None:
        return None, [whole]
    judged = [
        (row, role.refused(step.id, step.tool, (row["partition_schema"], row["partition"]), needed))
        if "partition_schema" in row
        else (row, None)
        for row in step.found or ()
    ]
    kept = tuple(row for row, one in judged if one is None)
    left = [one for _, one in judged if one is not None]
    return (replace(step, found=kept) if kept or not left else None), left


def referenced(step: Step, ids: Sequence[str]) -> Iterator[str]:
    """Yield the steps whose output a step references."""
    for named in (one.step for one in (*references(dict(step.params)), *references(step.when or ""))):
        if isinstance(named, str):
            yield named
        elif named is not None and named < len(ids):
            yield ids[named]


def _about(step: Step) -> str:
    named = named_tables(blanked(step.params))
    return ".".join(named[0]) if named else "the database"


def by_ids(step: Step, ids: Sequence[str], gone: Collection[str] = ()) -> Step:
    """Return the step with references by id, since numbers change, and without dependencies on removed steps."""

    def by_id(text: str) -> str:
        return _NUMBERED.sub(lambda m: f"${{steps.{ids[int(m[1])]}" if int(m[1]) < len(ids) else m[0], text)

    needs = tuple(need for need in step.needs if need not in gone)
    return replace(step, params=in_texts(step.params, by_id), when=in_texts(step.when, by_id), needs=needs)
