"""The backlog of work that windows left undone: what a step adds and removes, and how it orders a plan. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from aishell.models import BacklogSize, Cause, Evidence, Left, Shift, Step, StepResult, StepStatus
from aishell.moments import at
from aishell.planning.estimates import label_of
from aishell.planning.graph import Graph
from aishell.planning.leaving_out import by_ids
from aishell.planning.variables import blanked, named_tables
from aishell.reporting.units import about, duration

#: A tool and an object (`schema.table`; empty: the whole database), which identify an item in later plans.
Key = tuple[str, str]
#: Read-only tools that count as work. Every plan takes other measurements again.
CHECKS = frozenset({"check_table_corruption"})
#: Variants of one kind of work: the choice depends on the table's key, statistics and referencing tables that night.
_SAME = {
    "delete_old_records_by_date": "delete_old_records",
    "delete_old_records_without_key": "delete_old_records",
    "archive_related_records": "archive_old_records",
    "delete_related_records": "delete_archived_records",
    "optimize_offline_table": "optimize_table",
    "update_all_statistics": "batch_update_statistics",
}
#: The fields in which tools count the rows that they processed.
ROWS = ("rows_deleted", "rows_archived", "rows_loaded")


def keys_of(tool: str, params: Mapping[str, Any]) -> frozenset[Key]:
    """Return the backlog keys of a step: its work on its object, and on each table of its list."""
    tables = {f"{schema}.{table}" for schema, table in named_tables(params)}
    return frozenset((work_of(tool), name) for name in {label_of(params), *tables})


def work_of(tool: str) -> str:
    """Return the name under which the backlog lists the work of a tool."""
    return _SAME.get(tool, tool)


def called_for(steps: Sequence[Step]) -> dict[Key, float | None]:
    """Return the keys of a plan's work with their expected seconds; None for each table of a list, which only has a total."""
    return {
        key: step.estimate.seconds if key[1] == label_of(params) else None
        for step in steps
        if step.hook is None
        for params in (blanked(step.params),)
        for key in keys_of(step.tool, params)
    }


def shift(step: Step, result: StepResult, *, read_only: bool) -> Shift | None:
    """Return what a finished step removes from and adds to the backlog; None if nothing changes.

    A step that failed, was refused or waits does not show whether the work is needed; nor does the tool of a hook.
    """
    if (read_only and step.tool not in CHECKS) or step.hook is not None:
        return None
    own, work, keys = label_of(result.params), work_of(step.tool), keys_of(step.tool, result.params)
    left = {name if (work, name := item["object"]) in keys else own: str(item["reason"]) for item in result.deferred}
    if result.cause is Cause.DEFERRED and not left:
        left = {own: result.reason or ""}
    through = result.status is StepStatus.DONE or result.cause in (Cause.IDLE, Cause.CONDITION, Cause.DEFERRED)
    if not through:
        return None
    # A step that left some objects lists them: the others are done.
    gone = keys if result.cause is not Cause.DEFERRED or result.deferred else frozenset()
    items = tuple(
        Left(work, name, reason.removeprefix("deferred: "), seconds=forecast(step, result) if name == own else None)
        for name, reason in left.items()
    )
    return Shift(tuple(sorted(gone - {(work, name) for name in left})), items)


def forecast(step: Step, result: StepResult) -> float | None:
    """Return the seconds for the work that a step left: the remaining share of its estimate; None without a basis.

    The pace of one night is not used: the backlog would grow with every slow night.
    """
    done, expected = counted(result), step.estimate
    if not done or not expected.work or expected.unit != "rows" or expected.seconds is None:
        return expected.seconds
    return round(expected.seconds * max(0, expected.work - done) / expected.work, 3)


def counted(result: StepResult) -> int | None:
    """Return the rows that a step processed; None if it counts none."""
    return next((n for name in ROWS if isinstance(n := (result.output or {}).get(name), int)), None)


def first(steps: Sequence[Step], backlog: Collection[Left], urgent: Callable[[Step], bool]) -> tuple[Step, ...]:
    """Sort steps: urgent ones, then those of the backlog, the oldest first, then others; each after the steps that it needs.
    Steps of the backlog say why they come first."""
    known = {(item.tool, item.object): item for item in backlog}
    owed = {step.id: items for step in steps if (items := [known[k] for k in _keys(step) if k in known])}
    if not owed:
        return tuple(steps)
    needs = Graph(steps).needs
    ranks = {step.id: _rank(urgent(step), owed.get(step.id)) for step in steps}
    # What a step needs comes before it in `steps`, and takes over its rank.
    for name, need in ((one.id, need) for one in reversed(steps) if not one.always for need in needs[one.id]):
        ranks[need] = min(ranks[need], ranks[name])
    ids = [step.id for step in steps]
    explained = (_explain(step, owed[step.id]) if step.id in owed else step for step in steps)
    ordered = sorted((by_ids(step, ids) for step in explained), key=lambda step: (ranks[step.id], step.index))
    return tuple(replace(step, index=number) for number, step in enumerate(ordered))


def sentences(
    before: BacklogSize, after: BacklogSize, nights: Sequence[tuple[float, float]], window: float | None
) -> list[str]:
    """Return sentences on whether the backlog grows or shrinks, and whether the window is too small.

    `nights`: for each of the last nights, the seconds of work that arose and that was done; empty unless the window is too small.
    """
    if not before.items and not after.items:
        return []
    if not after.items:
        lines = [f"The backlog is empty again: {before.items} item(s) were in it."]
    elif after.items == before.items:
        lines = [f"The backlog stays at {_items(after)}."]
    else:
        way = "grew" if after.items > before.items else "shrank"
        lines = [f"The backlog {way} from {before.items} to {_items(after)}."]
    if window is not None and after.longest is not None and (after.longest.seconds or 0) > window:
        item = after.longest
        whole = f"more than the whole window of {duration(window)}"
        lines.append(f"{item.tool} of {item.object or 'the database'} alone takes {about(item.seconds)}, {whole}.")
    if nights:
        arose, done = (sum(column) / len(nights) for column in zip(*nights, strict=True))
        lines.append(
            f"The window is too short: over the last {len(nights)} nights {about(arose)} of work came up per night, "
            f"and {duration(done)} was done."
        )
    return lines


def _items(size: BacklogSize) -> str:
    unknown = f" and {size.unknown} of unknown length" if size.unknown and size.unknown < size.items else ""
    time = "time unknown" if size.unknown == size.items else about(size.seconds)
    return f"{size.items} item(s), {time}{unknown}"


def _rank(urgent: bool, items: Sequence[Left] | None) -> tuple[int, str]:
    since = min((item.since for item in items or ()), default="~")  # leftover work sorts before other work
    return 0 if urgent else 1 if items else 2, since


def _explain(step: Step, items: Sequence[Left]) -> Step:
    """Return the step with the reason why it comes first."""
    item = min(items, key=lambda one: (one.since, one.object))
    nights = max(one.nights for one in items)
    source = f"backlog, since {at(item.since)}: {item.reason}"
    why = Evidence("nights_left_undone", nights, source, item.since)
    return replace(
        step,
        rationale=f"Left over from an earlier window, so it comes first. {step.rationale}",
        evidence=(why, *step.evidence),
    )


def _keys(step: Step) -> list[Key]:
    return sorted(keys_of(step.tool, blanked(step.params)))
