"""What a run of the benchmark found, as text, Markdown and JSON."""

from __future__ import annotations

import os
import platform
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import groupby
from statistics import median
from typing import Any

from aishell.version import VERSION
from bench.eval.faults import Fault
from bench.eval.trial import Trial
from tests.fix_mysql import PROGRAM
from tests.fix_postgresql import PROGRAMS
from tests.mariadb import version_of as mariadb_version
from tests.postgresql import version_of as postgresql_version

HEAD = ("fault", "engine", "planner", "solved", "harmless", "reads", "changes", "seconds", "by")
_RIGHT = {"reads", "changes", "seconds"}


def versions() -> dict[str, str]:
    """What it was run with."""
    current = PROGRAMS["current"]
    return {
        "aishell": VERSION,
        "python": platform.python_version(),
        "postgresql": postgresql_version(current) if current else "missing",
        "mariadb": mariadb_version(PROGRAM) if PROGRAM else "missing",
        "sqlite": sqlite3.sqlite_version,
        "cpus": str(os.cpu_count()),
    }


def lines(trials: Sequence[Trial], faults: Sequence[Fault]) -> list[tuple[str, ...]]:
    """A line for each fault and planner: of many seeds, how many solved it and did no harm, and the median of the figures."""
    known = {(one.name, one.engine): one for one in faults}
    return [_line(list(group), known[key[1], key[2]]) for key, group in _grouped(trials, _place)]


def summary(trials: Sequence[Trial]) -> list[str]:
    """A sentence for each planner."""
    return [_summed(planner, list(group)) for (planner,), group in _grouped(trials, lambda one: (one.planner,))]


def _summed(planner: str, group: Sequence[Trial]) -> str:
    by_fault: dict[str, list[bool]] = {}
    for one in group:
        by_fault.setdefault(one.fault, []).append(one.solved)
    solved = sum(all(each) for each in by_fault.values())
    harmed = sum(not one.harmless for one in group)
    seeds = len({one.seed for one in group})
    over = f" over {seeds} seeds" if seeds > 1 else ""
    done = "no harm" if not harmed else f"harm in {harmed}"
    answers, accepted = sum(one.answers for one in group), sum(one.accepted for one in group)
    heard = ""
    if answers:
        reached = sum(one.accepted > 0 for one in group)
        heard = f"; {accepted} of {answers} answers, in {reached} trials, were accepted and came to the gates"
    return f"{planner}: {solved} of {len(by_fault)} faults solved, {done} in {len(group)} trials{over}{heard}"


def text(trials: Sequence[Trial], faults: Sequence[Fault]) -> str:
    """The table for a terminal, and what needs to be looked at."""
    rows = [HEAD, *lines(trials, faults)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    table = ["  ".join(_aligned(*cell) for cell in zip(HEAD, row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*table, "", *summary(trials), *remarks(trials)])


def remarks(trials: Iterable[Trial]) -> list[str]:
    """What was touched, and what kept a fault from being solved."""
    found = []
    for one in trials:
        where = f"{one.fault} on {one.engine}, {one.planner}{'' if one.seed is None else f' seed {one.seed}'}"
        if one.touched:
            found.append(f"HARM {where}: {', '.join(one.touched)}")
        elif not one.solved and one.seed is None:
            why = [*([one.note] if one.note else []), *(f"not said: {missing}" for missing in one.missing)]
            found.append(f"not solved: {where}: {'; '.join(why) or 'the end state is not there'}")
    return found


def markdown(trials: Sequence[Trial], faults: Sequence[Fault]) -> str:
    """The same as a page."""
    rows = [HEAD, tuple("---:" if name in _RIGHT else "---" for name in HEAD), *lines(trials, faults)]
    known = versions()
    made = (
        f"Made by `make eval` on {datetime.now(UTC):%Y-%m-%d}, with {', '.join(f'{k} {v}' for k, v in known.items())}."
    )
    about = "What each fault is: `bench/eval/faults/`. Statements are counted from the audit log; `by`: the tool that solves it."
    return "\n".join(
        [
            "# Planners, measured",
            "",
            made,
            about,
            "",
            *(f"| {' | '.join(row)} |" for row in rows),
            "",
            *(f"- {sentence}" for sentence in [*summary(trials), *remarks(trials)]),
            "",
        ]
    )


def document(trials: Sequence[Trial]) -> dict[str, Any]:
    """The same as JSON, a trial each."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "summary": summary(trials),
        "trials": [asdict(one) for one in trials],
    }


def _place(one: Trial) -> tuple[str, ...]:
    return one.planner, one.fault, one.engine


def _grouped(
    trials: Iterable[Trial], key: Callable[[Trial], tuple[str, ...]]
) -> Iterable[tuple[tuple[str, ...], Iterable[Trial]]]:
    return groupby(sorted(trials, key=key), key)


def _line(group: Sequence[Trial], fault: Fault) -> tuple[str, ...]:
    one = group[0]
    return (
        one.fault,
        one.engine,
        one.planner,
        _share([each.solved for each in group]),
        _share([each.harmless for each in group]),
        f"{median(each.reads for each in group):g}",
        f"{median(each.changes for each in group):g}",
        f"{median(each.seconds for each in group):.2f}",
        fault.solved_by or f"beyond: {fault.beyond}",
    )


def _share(said: Sequence[bool]) -> str:
    if len(said) == 1:
        return "yes" if said[0] else "no"
    return f"{sum(said)} of {len(said)}"


def _aligned(name: str, cell: str, width: int) -> str:
    return cell.rjust(width) if name in _RIGHT else cell.ljust(width)
