"""What a step will take, from what it took before; failing that, from what was measured on this kind of engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aishell.engines import profile
from aishell.models import Estimate, Inventory, Step, Took
from aishell.reporting.units import size

#: Runs that count, the newest: what a table took a year ago tells little.
RUNS = 5
#: Less work says nothing of more: its time is that of the statement, not of its bytes or rows.
TELLING = {"bytes": 1 << 20, "rows": 10_000, "partitions": 1}
#: So many times the work of the largest of such runs is still believed to take as long.
REACH = 10
#: Seconds: no step takes less, it has to be sent.
LEAST = 0.001


@dataclass(frozen=True)
class TotalTime:
    """What steps take together: at least `seconds`, where of `unknown` of them nobody knows; None where of all."""

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
    """Seconds for `work` on an object, and the scratch space it needs.

    By this object's history, else the tool's on this target, else the engine's default (`rate`: so much of the unit a second,
    and `more` seconds besides); without one of them there is no basis, and None.
    """
    blank = Estimate(None, scratch, work=work, unit=None if work is None else unit)
    for key in dict.fromkeys(((tool, label), (tool, ""))):
        known = inventory.history.get(key)
        # Without a measure of the work, what one table took tells nothing of another.
        seconds = predicted(known.took, work, unit) if known and (work is not None or key[1] == label) else None
        if known is not None and seconds is not None:
            runs = min(len(known.took), RUNS)
            return replace(blank, seconds=seconds, based_on=f"{known.based_on}, {runs} run{'s' if runs > 1 else ''}")
    speed = rate if rate is not None else profile(inventory.server.engine).bytes_per_second.get(tool)
    if speed is None or work is None:
        return blank
    told = f"engine default, {size(speed) if unit == 'bytes' else f'{speed:,.0f} {unit}'} a second"
    return replace(blank, seconds=_rounded(work / speed + more), based_on=told)


def predicted(took: Sequence[Took], work: int | None, unit: str) -> float | None:
    """Seconds for so much work by what earlier runs took, the newest first; None where they tell nothing of it.

    More work never takes less: a run has what it takes for nothing (as small runs show), and a rate (as larger ones do).
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
    """The step, with what its tool took on the same object before, where its plan knows no better."""
    if step.estimate.seconds is not None or step.estimate.work is not None:
        return step
    return replace(step, estimate=estimate(inventory, step.tool, label_of(step.params), None, step.estimate.bytes))


def label_of(params: Mapping[str, Any]) -> str:
    """The object by which a step is remembered: its table; empty for what is about the whole database."""
    schema, table = params.get("schema"), params.get("table")
    return f"{schema}.{table}" if isinstance(schema, str) and isinstance(table, str) else ""


def total(steps: Iterable[Step]) -> TotalTime:
    """What these steps take together, those that only take others back, or run on errors, left out."""
    seconds = [step.estimate.seconds for step in steps if step.undoes is None and step.hook is None]
    known = [one for one in seconds if one is not None]
    return TotalTime(round(sum(known), 3) if known or not seconds else None, len(seconds) - len(known))


def _median(values: Iterable[float]) -> float:
    """The middle one, the lower of two: importing `statistics` takes longer than all estimates of a plan."""
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) // 2]


def _rounded(seconds: float) -> float:
    """Three digits that count: rounded to milliseconds, much less would be nothing."""
    return max(LEAST, float(f"{seconds:.3g}"))
