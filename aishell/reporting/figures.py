"""The figures of a report: plots with their tables, from the values of `reporting.night`. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from aishell.moments import at
from aishell.reporting.diagnosis import STALE
from aishell.reporting.night import Effect, NewestBackup, NightSum, SizeChange, ToolTime, Trend
from aishell.reporting.page import MAX_BARS, MAX_TRENDS, Bar, Bars, Figure, ReportTable, SmallPlot, SmallPlots
from aishell.reporting.units import DAY, age, duration, size

#: Metric of a trend -> its title, the format of its values, and when it was measured.
_TRENDS: dict[str, tuple[str, Callable[[float], str], str]] = {
    "database_bytes": ("Size of databases", size, "as a run found it, before it did anything"),
    "object_bytes": ("Size of tables and indexes", size, "after the steps that worked on them"),
    "fragmentation_percent": ("Bloat", lambda value: f"{value:.1f} %", "as a run found it, before it did anything"),
}


def given_back(effect: Effect) -> str:
    """Return the bytes that steps reclaimed: `24.2 MB`, `about -72.0 kB`; empty if not measured."""
    if effect.bytes_reclaimed is None:
        return ""
    return f"{'about ' if effect.bytes_method == 'statistics' else ''}{size(effect.bytes_reclaimed)}"


def deleted(effect: Effect) -> str:
    """Return the number of rows: `1,250`, `at least 1,250`; empty if none."""
    if not effect.rows_deleted and not effect.rows_at_least:
        return ""
    return f"{'at least ' if effect.rows_at_least else ''}{effect.rows_deleted:,}"


def place(target: str, name: str, several: bool = True) -> str:
    """Return an object's name, after its target's if there are several targets."""
    return f"{target}: {name}" if several and name else name or target


def sizes(found: Sequence[SizeChange], *, several: bool) -> Figure:
    """Return the figure of each object's size before and after."""
    rows = [
        (
            place(one.target, one.object, several),
            _about(one, one.bytes_before),
            _about(one, one.bytes_after),
            _about(one, one.bytes_before - one.bytes_after),
        )
        for one in found
    ]
    bars = tuple(
        Bar(row[0], (one.bytes_before, one.bytes_after)) for row, one in zip(rows, found[:MAX_BARS], strict=False)
    )
    return Figure(
        "Bytes before and after",
        f"{len(found)} object(s) that were worked on, those that changed most first{_drawn(len(found), MAX_BARS)}",
        Bars(bars, size, ("before", "after")),
        ReportTable.of("object|before|after|reclaimed", rows, 1, 2, 3),
    )


def _about(one: SizeChange, number: int) -> str:
    return f"{'about ' if one.bytes_method == 'statistics' else ''}{size(number)}"


def tools(found: Sequence[ToolTime]) -> Figure:
    """Return the figure of time by tool."""
    return Figure(
        "Time by step",
        f"what the steps of each tool took together, the longest first{_drawn(len(found), MAX_BARS)}",
        Bars(tuple(Bar(one.tool, (one.execution_time,)) for one in found[:MAX_BARS]), duration),
        ReportTable.of(
            "tool|steps|time", [(one.tool, str(one.steps), duration(one.execution_time)) for one in found], 1, 2
        ),
    )


def backups(found: Sequence[NewestBackup]) -> Figure:
    """Return the figure of the newest verified backups' ages: targets without one first, then oldest first."""
    ordered = sorted(found, key=lambda one: (one.age is not None, -(one.age or 0.0), one.target))
    rows = [
        (
            one.target,
            "none" if one.age is None else age(one.age),
            (one.rung or "").replace("-", " "),
            "" if one.bytes is None else size(one.bytes),
            one.backup_id or one.text,
        )
        for one in ordered
    ]
    return Figure(
        "Age of the newest verified backup",
        f"by target, with a line at {STALE // DAY} days{_drawn(len(found), MAX_BARS)}",
        Bars(
            tuple(Bar(one.target, (one.age,)) for one in ordered[:MAX_BARS]),
            age,
            limit=(float(STALE), f"{STALE // DAY} days"),
        ),
        ReportTable.of("target|age|proven|size|backup", rows, 1, 3),
    )


def nights(found: Sequence[NightSum]) -> Figure:
    """Return the figure of daily sums."""
    kinds: tuple[tuple[str, Callable[[NightSum], float], Callable[[float], str]], ...] = (
        ("reclaimed", lambda night: night.bytes_reclaimed, size),
        ("rows deleted", lambda night: night.rows_deleted, lambda value: f"{value:,.0f}"),
        ("time of steps", lambda night: night.execution_time, duration),
    )
    lines = [
        SmallPlot(name, tuple((night.until, of(night)) for night in found), show, True) for name, of, show in kinds
    ]
    rows = [
        (
            at(night.until),
            str(night.steps),
            str(night.failed),
            size(night.bytes_reclaimed),
            f"{night.rows_deleted:,}",
            duration(night.execution_time),
        )
        for night in reversed(found)
    ]
    return Figure(
        "Nights",
        f"the sums of the last {len(found)} days, each until the time that is named",
        SmallPlots(tuple(lines)),
        ReportTable.of("day until|steps|failed|reclaimed|rows deleted|time of steps", rows, 1, 2, 3, 4, 5),
    )


def trends(found: Sequence[Trend]) -> Iterator[Figure]:
    """Yield a figure for each metric, with the largest last value first."""
    for metric in _TRENDS:
        mine = sorted((one for one in found if one.metric == metric), key=lambda one: -one.points[-1][1])
        if mine:
            yield _trend(mine, *_TRENDS[metric])


def _trend(found: Sequence[Trend], title: str, show: Callable[[float], str], what: str) -> Figure:
    named = [(place(one.target, one.object), one.points) for one in found]
    shown = named[:MAX_TRENDS]
    ends = [(name, show(points[0][1]), show(points[-1][1]), str(len(points))) for name, points in named]
    measured = [(name, at(when), show(value)) for name, points in shown for when, value in points]
    return Figure(
        title,
        f"{what}; the last of each day{_drawn(len(found), MAX_TRENDS)}",
        SmallPlots(tuple(SmallPlot(name, points, show) for name, points in shown)),
        ReportTable.of("of|first|last|days measured", ends, 1, 2, 3),
        ReportTable.of("of|measured|value", measured, 2, most=MAX_TRENDS * 31),
    )


def _drawn(number: int, most: int) -> str:
    return f"; the first {most} are drawn" if number > most else ""
