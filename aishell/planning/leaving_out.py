"""Leaves out of a plan what the connected role may not do, and what would be for nothing without that. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from aishell.models import Inventory, LeftOut, Step
from aishell.planning.privileges import Key, Privileges, privileges_of
from aishell.planning.variables import Reference, named_tables, references, resolve

_NUMBERED = re.compile(r"(?<!\$)\$\{step_(\d+)")


def leave_out(
    steps: Sequence[Step], serving: Collection[str], inventory: Inventory
) -> tuple[tuple[Step, ...], tuple[LeftOut, ...]]:
    """The steps that can be done, numbered anew, and what was left out.

    A step goes with one that it needs. One of `serving`, which is there for those that need it alone, goes with the last of them.
    """
    ids = [step.id for step in steps]
    kept: dict[str, Step] = {}
    left: list[LeftOut] = []
    role = privileges_of(inventory)
    for step in steps:
        allowed, lacks = as_allowed(step, inventory.requires(step.tool), role)
        left += lacks
        if allowed is not None:
            kept[step.id] = allowed
    if not left:
        return tuple(steps), ()
    needs = {step.id: {*step.needs, *referenced(step, ids)} for step in steps}
    waiting = {step.id: needs[step.id] for step in steps if not step.always}
    gone = set(ids) - kept.keys()
    while more := [*_hindered(kept, waiting, gone), *_idle(kept, waiting, gone, serving)]:
        for step_id, need in more:
            step = kept.pop(step_id)
            gone.add(step_id)
            if need is not None:
                left.append(LeftOut(step.id, step.tool, _about(step), f"it needs {need}, which is left out"))
    numbered = (by_ids(step, ids, gone) for step in kept.values())
    return tuple(replace(step, index=number) for number, step in enumerate(numbered)), tuple(left)


def _hindered(
    kept: Mapping[str, Step], waiting: Mapping[str, set[str]], gone: set[str]
) -> list[tuple[str, str | None]]:
    """The steps that need one that is gone, with that one."""
    return [(name, min(waiting[name] & gone)) for name in kept if name in waiting and waiting[name] & gone]


def _idle(
    kept: Mapping[str, Step], waiting: Mapping[str, set[str]], gone: set[str], serving: Collection[str]
) -> Iterator[tuple[str, str | None]]:
    """The serving steps that nothing is left to need."""
    hindered = {name for name, _ in _hindered(kept, waiting, gone)}
    for name in kept:
        served = [other for other, needed in waiting.items() if name in needed]
        if name in serving and name not in hindered and served and gone.issuperset(served):
            yield name, None


def as_allowed(step: Step, needed: Sequence[str], role: Privileges) -> tuple[Step | None, list[LeftOut]]:
    """A step without what may not be done of it, or None, and that."""
    if not needed:
        return step, []
    barred = role.barred(step.id, step.tool, needed)
    if barred is not None:
        return None, [barred]
    params = resolve(dict(step.params), lambda reference: None)
    if step.found is not None:
        return _found(step, params, needed, role)
    if isinstance(params.get("tables"), list):
        lacks = {key: role.refused(step.id, step.tool, key, needed) for key in named_tables(params)}
        left = [one for one in lacks.values() if one is not None]
        if len(left) == len(lacks):
            return (None if left else step), left
        items = zip(step.params["tables"], params["tables"], strict=True)
        tables = [item for item, named in items if lacks[named["schema"], named["table"]] is None]
        return replace(step, params={**step.params, "tables": tables}), left
    named = named_tables(params)
    if not named and (step.params.get("table") is not None or step.params.get("tables") is not None):
        return step, []  # which table it is, a step before it tells
    one = role.refused(step.id, step.tool, next(iter(named), None), needed)
    return (None, [one]) if one is not None else (step, [])


def _found(
    step: Step, params: Mapping[str, Any], needed: Sequence[str], role: Privileges
) -> tuple[Step | None, list[LeftOut]]:
    """The same for frozen objects: partitions have owners of their own."""
    base = next(iter(named_tables(params)), None)
    whole = role.refused(step.id, step.tool, base, needed)
    if whole is not None:
        return None, [whole]
    kept, left = [], []
    for row in step.found or ():
        part: Key | None = (row["partition_schema"], row["partition"]) if "partition_schema" in row else None
        one = role.refused(step.id, step.tool, part, needed) if part is not None else None
        if one is None:
            kept.append(row)
        else:
            left.append(one)
    return (replace(step, found=tuple(kept)) if kept or not left else None), left


def referenced(step: Step, ids: Sequence[str]) -> Iterator[str]:
    """The steps whose output a step refers to."""
    for one in (*references(dict(step.params)), *references(step.when or "")):
        named = _step_of(one, ids)
        if named is not None:
            yield named


def _step_of(reference: Reference, ids: Sequence[str]) -> str | None:
    if isinstance(reference.step, int):
        return ids[reference.step] if reference.step < len(ids) else None
    return reference.step


def _about(step: Step) -> str:
    named = named_tables(resolve(dict(step.params), lambda reference: None))
    return ".".join(named[0]) if named else "the database"


def by_ids(step: Step, ids: Sequence[str], gone: Collection[str] = ()) -> Step:
    """A step that refers to others by their ids, since their numbers change, and needs none that is gone."""

    def by_id(value: Any) -> Any:
        if isinstance(value, str):
            return _NUMBERED.sub(lambda m: f"${{steps.{ids[int(m[1])]}" if int(m[1]) < len(ids) else m[0], value)
        if isinstance(value, Mapping):
            return {key: by_id(item) for key, item in value.items()}
        return [by_id(item) for item in value] if isinstance(value, (list, tuple)) else value

    needs = tuple(need for need in step.needs if need not in gone)
    return replace(step, params=by_id(step.params), when=by_id(step.when), needs=needs)
