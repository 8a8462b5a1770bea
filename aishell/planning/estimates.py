"""Estimate the duration of steps, from earlier runs or else from the engine's default speeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aishell.engines import profile
from aishell.models import Estimate, Inventory, Step, Took
from aishell.reporting.units import size

#: The newest runs that count: a run of a year ago says little.
RUNS = 5
#: Runs with less work give no rate: their time is overhead of the statement, not of bytes or rows.
TELLING = {"bytes": 1 << 20, "rows": 10_000, "partitions": 1}
#: Up to this multiple of the largest such run, work is assumed to take as long.
REACH = 10
#: The least estimate, in seconds: a step has to be sent.
LEAST = 0.001


@dataclass(frozen=True)
class TotalTime:
    """The total time of steps: at least `seconds`, as `unknown` of them have no estimate; None if none has one."""

    seconds: float | None
    unknown: int


def estimate(
    inventory: Inventory,
    tool: str,
    label: str,
    work: int | None,
    scratch: int | None = None,
    *,
    unit: str = "bytes",
    rate: float | None = None,
    more: float = 0.0,
) -> Estimate:
    """Return the seconds for `work` on an object, and the scratch space it needs.

    The basis is this object's history, else the tool's on this target, else the engine's default (`rate`: units per second,
    plus `more` seconds). Without a basis, the seconds are None.
    """
    blank = Estimate(None, scratch, work=work, unit=None if work is None else unit)
    for key in dict.fromkeys(((tool, label), (tool, ""))):
        known = inventory.history.get(key)
        # Without a measure of the work, the time of one table says nothing about another.
        seconds = predicted(known.took, work, unit) if known and (work is not None or key[1] == label) else None
        if known is not None and seconds is not None:
            runs = min(len(known.took), RUNS)
            return replace(blank, seconds=seconds, based_on=f"{known.based_on}, {runs} run{'s' if runs > 1 else ''}")
    speed = rate if rate is not None else profile(inventory.server.engine).bytes_per_second.get(tool)
    if speed is None or work is None:
        return blank
    basis = f"engine default, {size(speed) if unit == 'bytes' else f'{speed:,.0f} {unit}'} a second"
    return replace(blank, seconds=_rounded(work / speed + more), based_on=basis)


def predicted(took: Sequence[Took], work: int | None, unit: str) -> float | None:
    """Return the seconds for `work`, from earlier runs, the newest first; None if they give no basis.

    More work never takes less: small runs give the fixed overhead, larger ones the rate.
    """
    if work is None:
        same = [one.seconds for one in took if one.work is None][:RUNS]
        return _rounded(_median(same)) if same else None
    known = [(one.work, one.seconds) for one in took if one.work is not None and one.unit == unit]
    small = [(done, seconds) for done, seconds in known if done < TELLING[unit]][:RUNS]
    large = [(done, seconds) for done, seconds in known if done >= TELLING[unit]][:RUNS]
    base = _median(seconds for _, seconds in small) if small else 0.0
    if large:
        return _rounded(base + work * _median(max(0.0, seconds - base) / done for done, seconds in large))
    if not small:
        return None
    return _rounded(base) if work <= REACH * max(done for done, _ in small) else None


def remembered(step: Step, inventory: Inventory) -> Step:
    """Return the step, with an estimate from earlier runs on the same object if its plan has none."""
    if step.estimate.seconds is not None or step.estimate.work is not None:
        return step
    return replace(step, estimate=estimate(inventory, step.tool, label_of(step.params), None, step.estimate.bytes))


def label_of(params: Mapping[str, Any]) -> str:
    """Return the object that identifies a step in the history: its table; empty for the whole database."""
    schema, table = params.get("schema"), params.get("table")
    return f"{schema}.{table}" if isinstance(schema, str) and isinstance(table, str) else ""


def total(steps: Iterable[Step]) -> TotalTime:
    """Return the total time of these steps, without those that undo others or run on errors."""
    seconds = [step.estimate.seconds for step in steps if step.undoes is None and step.hook is None]
    known = [one for one in seconds if one is not None]
    return TotalTime(round(sum(known), 3) if known or not seconds else None, len(seconds) - len(known))


def _median(values: Iterable[float]) -> float:
    """Return the lower median: importing `statistics` takes longer than all estimates of a plan."""
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) // 2]


def _rounded(seconds: float) -> float:
    """Round to three significant digits: rounding to milliseconds would make short times zero."""
    return max(LEAST, float(f"{seconds:.3g}"))
