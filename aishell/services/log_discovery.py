"""Find tables that are logs, and measure them. Reads only, and never all of a large table."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from aishell.agents.base import is_excluded
from aishell.agents.log_cleanup import discovery as log_discovery
from aishell.agents.log_cleanup.ages import READ_ALL
from aishell.agents.log_cleanup.dates import Cutoff, method_class, written
from aishell.agents.log_cleanup.discovery import Bucket, Candidate
from aishell.agents.log_cleanup.tables import LogTable
from aishell.engines import profile
from aishell.errors import DatabaseError, ParameterError
from aishell.execution.target_context import Job, choose, table_of
from aishell.models import Row, now

#: How many times more rows of the last days are counted before the database's estimate is used.
CLOSER = 10
#: Seconds after which no further table is measured.
PATIENCE = 60.0
#: Errors that concern only one table.
_PASSING = ("lock_timeout", "permission", "statement_timeout", "missing_object", "unsupported", "corruption")


@dataclass(frozen=True)
class Disk:
    """The disk with the database's files. `growth_bytes_per_day` is the total of the candidates, except the
    `growth_unknown` whose growth is not known."""

    free_bytes: int | None
    growth_bytes_per_day: float
    days_until_full: float | None
    unknown: str | None = None
    growth_unknown: int = 0


@dataclass(frozen=True)
class Discovery:
    """The logs of one target. `not_measured`: how many other tables look like logs; `next_command` examines them."""

    target: str
    engine: str
    measured_at: str
    disk: Disk
    candidates: tuple[Candidate, ...]
    not_measured: int = 0
    next_command: str | None = None


def discover(
    job: Job, names: Sequence[str], *, date_column: str | None = None, retention_days: int, place: Sequence[str]
) -> Discovery:
    """Return the tables that look like logs, all or those in `names`. `place`: the words that name the target.

    Raises UnknownNameError for a name without a match.
    """
    ends = time.monotonic() + PATIENCE
    job.refresh()
    every = [table_of(row) for row in _rows(job, "inspect_tables")]
    excluded = job.task.input_data.get("exclude") or ()
    chosen = {table.key for table in choose(names, every) if not is_excluded(table.schema, table.table, excluded)}
    asked = [{"schema": table.schema, "table": table.table} for table in every]
    answers = job.read("inspect_log_tables", {"tables": asked})
    row = _rows(job, "compute_cutoff", {"retention_days": log_discovery.RECENT_DAYS})[0]
    week = Cutoff(row["utc"], row["local"], row["zone"], row["now"])
    free, _ = job.free_disk()
    known = log_discovery.candidates(every, answers, chosen=chosen, named=bool(names), date_column=date_column)
    measured = list[Candidate]()
    for candidate, log in known[: log_discovery.MOST_TABLES]:
        if time.monotonic() > ends:
            break
        measured.append(candidate if log is None else _measured(job, candidate, log, week, free))
    found = [
        replace(one, command=log_discovery.suggested(one, place, retention_days) if one.oldest or one.divided else None)
        for one in measured
        if names or log_discovery.is_log(one)
    ]
    left = known[len(measured) :]
    more = [f"{one.schema}.{one.table}" for one, _ in left[: log_discovery.MOST_TABLES]]
    return Discovery(
        job.target.name,
        job.database.engine,
        now(),
        _disk(free, found),
        tuple(log_discovery.ranked(found)),
        len(left),
        log_discovery.looking(more, place) if more else None,
    )


def _disk(free: int | None, found: Sequence[Candidate]) -> Disk:
    growth = sum(one.bytes_per_day or 0 for one in found)
    unseen = "the server's disk cannot be seen from here (set free_disk_bytes for the target)" if free is None else None
    not_known = sum(1 for one in found if one.bytes_per_day is None)
    return Disk(free, growth, log_discovery.days_left(free, growth), unseen, not_known)


def _measured(job: Job, candidate: Candidate, log: LogTable, week: Cutoff, free: int | None) -> Candidate:
    """Return the candidate with its age and growth, or with the reason why they are unknown."""
    engine = job.database.engine
    readable = log.indexed or (candidate.bytes is not None and candidate.bytes <= READ_ALL)
    unindexed = f"no index begins with {log.column}, and there are no statistics of it"
    try:
        ends = _ends(job, log, readable)
        if ends is None:
            why = f"{unindexed}: the whole table would be read"
            return candidate.without(why, "oldest", "age_histogram", "growth")
        if ends["oldest"] is None or ends["newest"] is None:
            return candidate.without("no row has a date", "oldest", "age_histogram", "growth")
        oldest, newest = str(ends["oldest"]), str(ends["newest"])
        kind = method_class(engine, log.declared, oldest, newest, f"the column {log.column!r} of {log.name}")
        found = log_discovery.with_ends(candidate, log, kind, ends)
        if found.oldest is None:
            return found
        points = log_discovery.edges(kind, oldest, newest)
        buckets = tuple(
            Bucket(begin, end, *_rows_between(job, log, start, finish, readable))
            for (start, begin), (finish, end) in pairwise(points)
        )
        found = replace(found, age_histogram=buckets)
        if any(bucket.rows is None for bucket in buckets):
            found = found.without(unindexed, "age_histogram")
        rows, method = _rows_between(job, log, written(kind, week), points[-1][0], readable, CLOSER)
        if rows is None:
            return found.without(unindexed, "growth")
        return log_discovery.with_growth(found, log.table, kind, oldest, week, (rows, method), free)
    except (ParameterError, DatabaseError) as error:
        if isinstance(error, DatabaseError) and error.kind not in _PASSING:
            raise
        return candidate.without(error.message, "oldest", "age_histogram", "growth")


def _ends(job: Job, log: LogTable, readable: bool) -> Row | None:
    """Return the oldest and the newest date, None if that required reading the whole table."""
    params = {"schema": log.table.schema, "table": log.table.table, "date_column": log.column}
    if readable:
        key = log.key[0] if len(log.key) == 1 else log.column
        return _rows(job, "measure_log_order", {**params, "key": key})[0]
    if not job.registry.has("estimate_log_age", job.known_server()):
        return None
    return next(iter(_rows(job, "estimate_log_age", params)), None)


def _rows_between(
    job: Job, log: LogTable, start: str | int, finish: str | int, readable: bool, closer: int = 1
) -> tuple[int | None, str]:
    """Return rows and method: counted up to a limit, estimated beyond it, or `at least` without an estimate."""
    most = profile(job.database.engine).most_counted * closer if readable else 0
    names = {"schema": log.table.schema, "table": log.table.table, "date_column": log.column}
    answer = job.read("count_log_rows", {**names, "start": start, "finish": finish, "most": most})
    counted = int(answer["counted"][0]["rows"])
    if counted < most:
        return counted, "counted"
    expected = log_discovery.estimated(answer)
    if expected is not None:
        return max(expected, counted), "estimated"
    return (counted, "at least") if most else (None, "unknown")


def _rows(job: Job, name: str, params: Mapping[str, Any] | None = None) -> list[Row]:
    return next(iter(job.read(name, params).values()))
