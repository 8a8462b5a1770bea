"""Find tables that look like logs: the age of their rows, their growth, and the days until the disk is full. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from aishell.agents.log_cleanup.dates import Cutoff, could_be_time, kind_of_type, seconds_of, written
from aishell.agents.log_cleanup.retention_rules import RetentionRule
from aishell.agents.log_cleanup.tables import LogTable, choose
from aishell.commands import command
from aishell.errors import UsageError
from aishell.models import Row, Table

#: Words in the names of append-only tables.
_WORDS = frozenset(
    """log logs logging logfile audit audits event events history histories session sessions trace traces journal journals
    activity activities access request requests visit visits click clicks metric metrics error errors""".split()
)
#: Words that end in `log` without naming a log.
_NO_LOGS = frozenset("catalog blog dialog backlog analog prolog".split())
#: Points for each sign of a log; 100 is certain.
NAMED, DATED, INDEXED, APPENDED, DIVIDED, LARGE = 40, 20, 10, 20, 20, 10
#: A date column that scores more than this (`could_be_time`) also has a fitting name.
SURE = 4
#: A table with fewer rows is not worth a clean-up, unless it is named like a log.
FEW_ROWS = 10_000
#: The most tables that are measured at a time.
MOST_TABLES = 20
BUCKETS = 12
#: The least bytes of a row of InnoDB, however it is compressed.
LEAST_ROW = 1
DAY = 86_400
#: The days over which growth is measured.
RECENT_DAYS = 7
#: The retention that is suggested by default, in days.
RETENTION_DAYS = 90
#: How far the dates of the first and last rows by key may be from the oldest and newest dates, as a share of the whole span.
APPEND_TOLERANCE = 0.02


@dataclass(frozen=True)
class Bucket:
    """The rows of a period. `method`: counted | estimated | at least | unknown."""

    begin: str
    end: str
    rows: int | None
    method: str


@dataclass(frozen=True)
class Candidate:
    """A table that looks like a log. Times are as in the column, with a `Z` if they are UTC.

    `appended`: rows are added in the order of their dates; `divided`: it is partitioned by ranges of dates;
    `unknown`: missing figure -> reason.
    """

    schema: str
    table: str
    kind: str
    score: int = 0
    reasons: tuple[str, ...] = ()
    date_column: str | None = None
    date_type: str | None = None
    indexed: bool = False
    appended: bool = False
    divided: bool = False
    rows: int | None = None
    bytes: int | None = None
    oldest: str | None = None
    newest: str | None = None
    age_histogram: tuple[Bucket, ...] = ()
    growth_method: str | None = None
    rows_per_day: float | None = None
    bytes_per_day: float | None = None
    bytes_method: str | None = None
    days_until_full: float | None = None
    unknown: Mapping[str, str] = field(default_factory=dict)
    command: str | None = None

    def without(self, why: str, *names: str) -> Candidate:
        """Return the candidate with the reason why these figures are missing."""
        return replace(self, unknown={**self.unknown, **dict.fromkeys(names, why)})


def looks_like_log(name: str) -> bool:
    """Return whether a table is named like a log: `app_log`, `AuditEvents`, `weblog_2026`."""
    words = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]
    return any(word in _WORDS or (word.endswith("log") and word not in _NO_LOGS) for word in words)


def candidates(
    tables: Sequence[Table],
    answers: Mapping[str, list[Row]],
    *,
    chosen: Collection[tuple[str, str]],
    named: bool,
    date_column: str | None,
) -> list[tuple[Candidate, LogTable | None]]:
    """Return the `chosen` tables that may be logs, the likeliest and largest first, with their date columns.

    `tables` are all tables, since a partitioned table is as large as its partitions. `named`: the user named the chosen ones.
    """
    found = []
    for table in _summed(tables, answers.get("parents", []), chosen):
        log, why = _dated(table, answers, date_column)
        sure = (
            log is not None
            and kind_of_type(log.declared) is not None
            and could_be_time(log.column, log.declared) > SURE
        )
        if named or looks_like_log(table.table) or (sure and (table.rows or 0) >= FEW_ROWS) or (log and log.divided):
            found.append((_begun(table, log, why), log))
    return sorted(found, key=lambda pair: _rank(pair[0]))


def ranked(found: Sequence[Candidate]) -> list[Candidate]:
    """Sort candidates, the likeliest first, then the largest."""
    return sorted(found, key=_rank)


def _rank(candidate: Candidate) -> tuple[int, int, str, str]:
    return -candidate.score, -(candidate.bytes or 0), candidate.schema, candidate.table


def is_log(candidate: Candidate) -> bool:
    """Return whether a measured table is a log: by its name, its partitions, or rows added in the order of their dates."""
    divided = candidate.kind == "partitioned" and candidate.oldest is not None
    return candidate.appended or candidate.divided or divided or looks_like_log(candidate.table)


def _summed(tables: Sequence[Table], parents: Sequence[Row], chosen: Collection[tuple[str, str]]) -> Iterator[Table]:
    """Return the chosen tables. A partitioned table stands for its partitions, and is as large as they are."""
    by_key = {table.key: table for table in tables}
    parts: set[tuple[str, str]] = set()
    leaves: dict[tuple[str, str], list[Table]] = {}
    for row in parents:
        key, above = (row["schema"], row["table"]), (row["parent_schema"], row["parent_table"])
        if key not in by_key or above not in by_key:
            continue
        if above in chosen:
            parts.add(key)
        if by_key[key].kind != "partitioned":
            leaves.setdefault(above, []).append(_seen(by_key[key]))
    for above, below in leaves.items():
        by_key[above] = replace(
            by_key[above],
            rows=_sum(leaf.rows for leaf in below),
            bytes=_sum(leaf.bytes for leaf in below),
            index_bytes=_sum(leaf.index_bytes for leaf in below),
            fragmentation_percent=_free_of(below),
        )
    kinds = ("table", "partitioned", "partition")
    return (by_key[key] for key in by_key if key in chosen and key not in parts and by_key[key].kind in kinds)


def _seen(leaf: Table) -> Table:
    """Return a partition, without figures if all are 0: PostgreSQL has no size yet, and its counters may have been reset."""
    if leaf.rows or leaf.bytes or leaf.last_analyze or leaf.last_vacuum:
        return leaf
    return replace(leaf, rows=None, bytes=None, index_bytes=None)


def _free_of(leaves: Sequence[Table]) -> float | None:
    """Return the free share of all partitions in percent; None if it is unknown for one that is not empty."""
    filled = [leaf for leaf in leaves if leaf.bytes]
    free = [(leaf.bytes or 0) * leaf.fragmentation_percent for leaf in filled if leaf.fragmentation_percent is not None]
    return sum(free) / sum(leaf.bytes or 0 for leaf in filled) if filled and len(free) == len(filled) else None


def _sum(sizes: Iterable[int | None]) -> int | None:
    """Return the sum; None if one size is unknown, since that partition may be the largest."""
    total = 0
    for size in sizes:
        if size is None:
            return None
        total += size
    return total


def _dated(
    table: Table, answers: Mapping[str, list[Row]], date_column: str | None
) -> tuple[LogTable | None, str | None]:
    """Return the table with its date column, or the reason why it has none."""
    try:
        return choose(table, RetentionRule(table.table, RETENTION_DAYS, date_column), answers), None
    except UsageError as error:
        return None, f"{error.message} ({error.hint})" if error.hint else error.message


def _begun(table: Table, log: LogTable | None, why: str | None) -> Candidate:
    """Return the candidate with what the catalog says of its table."""
    old = _is_of_before(table)
    size = None if table.bytes is None or old else table.bytes + (table.index_bytes or 0)
    made = Candidate(table.schema, table.table, table.kind, rows=table.rows, bytes=size)
    if old:
        made = made.without("the statistics are of before most of its rows were written or deleted", "bytes")
    if looks_like_log(table.table):
        made = _scored(made, NAMED, "named like a log")
    if log is not None and log.divided:
        made = replace(_scored(made, DIVIDED, f"partitioned by {log.column}"), divided=True)
    elif table.kind == "partitioned":
        made = _scored(made, DIVIDED, "partitioned")
    if size:
        made = replace(made, score=made.score + min(LARGE, max(0, round(3 * math.log10(size / 1e6 + 1)))))
    if log is None:
        return made.without(str(why), "date_column", "age_histogram", "growth")
    how = "indexed" if log.indexed else "no index begins with it"
    made = replace(made, date_column=log.column, date_type=log.declared, indexed=log.indexed)
    return _scored(
        made, DATED + INDEXED * log.indexed, f"date column {log.column} by type and name ({log.declared}, {how})"
    )


def _is_of_before(table: Table) -> bool:
    """Return whether InnoDB's size is older than much of the table. Only ANALYZE updates it, which a server thread runs some
    seconds after a load; row counts are updated at once."""
    if table.storage != "InnoDB" or not table.rows or table.bytes is None:
        return False
    return (table.modified_rows or 0) > 1000 + table.rows / 2 or table.bytes < table.rows * LEAST_ROW


def _scored(candidate: Candidate, points: int, reason: str) -> Candidate:
    return replace(candidate, score=min(100, candidate.score + points), reasons=(*candidate.reasons, reason))


def with_ends(candidate: Candidate, log: LogTable, kind: str, ends: Row) -> Candidate:
    """Return the candidate with its oldest and newest dates, and whether rows are added in the order of their dates."""
    first, last = seconds_of(kind, str(ends["oldest"])), seconds_of(kind, str(ends["newest"]))
    if first is None or last is None:
        why = f"its dates cannot be read: {ends['oldest']!r} to {ends['newest']!r}"
        return candidate.without(why, "oldest", "age_histogram", "growth")
    found = replace(candidate, oldest=_iso(kind, first), newest=_iso(kind, last))
    span = max(last - first, 1.0)
    keyed = [seconds_of(kind, str(ends[name])) for name in ("first", "last") if ends.get(name) is not None]
    near = [
        at is not None and abs(at - end) <= APPEND_TOLERANCE * span
        for at, end in zip(keyed, (first, last), strict=False)
    ]
    if len(log.key) == 1 and log.key[0] != log.column and len(near) == 2 and all(near) and last - first >= DAY:
        reason = f"rows come in the order of their dates (key {log.key[0]})"
        found = replace(_scored(found, APPENDED, reason), appended=True)
    return found


def edges(kind: str, oldest: str, newest: str) -> list[tuple[str | int, str]]:
    """Return the bounds of the histogram's buckets, the last past the newest row, in the column's format and in ISO 8601."""
    first, last = seconds_of(kind, oldest), seconds_of(kind, newest)
    assert first is not None  # noqa: S101  with_ends has read them
    assert last is not None  # noqa: S101
    unit = DAY if kind in ("date", "text:") else 1
    number = max(1, min(BUCKETS, int((last - first) // unit)))
    points = [first + (last - first) * bucket / number for bucket in range(number)]
    return [(_written(kind, point), _iso(kind, point)) for point in (*points, last + unit)]


def _written(kind: str, seconds: float) -> str | int:
    """Return a moment in the column's format. Dates without a zone were read as UTC, so they are written as UTC."""
    moment = datetime.fromtimestamp(math.floor(seconds), UTC)
    return written(kind, Cutoff(moment.isoformat(), f"{moment:%Y-%m-%d %H:%M:%S}", ""))


def _iso(kind: str, seconds: float) -> str:
    zone = "" if kind in ("local", "date", "text:", "text: ", "text:T") else "Z"
    return f"{datetime.fromtimestamp(math.floor(seconds), UTC):%Y-%m-%dT%H:%M:%S}{zone}"


def with_growth(
    candidate: Candidate, table: Table, kind: str, oldest: str, week: Cutoff, recent: tuple[int, str], free: int | None
) -> Candidate:
    """Return the candidate with its growth: the rows of the last days, or of all its days if it is younger, times the row size.

    Free space does not count towards the row size, since deleted rows left it.
    """
    start, first = seconds_of(kind, str(written(kind, week))), seconds_of(kind, oldest)
    assert start is not None  # noqa: S101  written by us
    assert first is not None  # noqa: S101  with_ends has read it
    days = min(RECENT_DAYS, max(1.0, (start + RECENT_DAYS * DAY - first) / DAY))
    rows = recent[0] / days
    candidate = replace(candidate, rows_per_day=round(rows, 1), growth_method=recent[1])
    if not candidate.rows or candidate.bytes is None:
        return candidate.without("its size is not known yet", "bytes_per_day")
    if table.row_bytes is None:
        why = f"how much of its size is free is not known: {table.withheld or 'there are no statistics of it'}"
        return candidate.without(why, "bytes_per_day")
    # Outdated statistics may count too few rows: recent rows take no more space than the whole table.
    size = min(rows * table.row_bytes, candidate.bytes / days)
    days_ = days_left(free, size)
    return replace(candidate, bytes_per_day=round(size, 1), bytes_method=table.row_bytes_method, days_until_full=days_)


def days_left(free: int | None, per_day: float) -> float | None:
    """Return the days until the free bytes are used up; None if unknown or never."""
    return None if free is None or per_day <= 0 else round(free / per_day, 1)


def estimated(answer: Mapping[str, list[Row]]) -> int | None:
    """Return the rows that the database expects between two dates (tool count_log_rows); None if it can only guess."""
    plan = answer.get("estimated")
    if not plan:
        return None
    if "QUERY PLAN" in plan[0]:
        return int(plan[0]["QUERY PLAN"][0]["Plan"]["Plan Rows"]) if answer["statistics"][0]["known"] else None
    # Only for a range of an index are `rows` those of the range; otherwise they are those of the whole table.
    return int(plan[0]["rows"]) if plan[0].get("type") == "range" else None


def suggested(candidate: Candidate, place: Sequence[str], retention_days: int) -> str:
    """Return the command that cleans the table up, as a dry run."""
    table, column, days = f"{candidate.schema}.{candidate.table}", str(candidate.date_column), str(retention_days)
    options = ("--table", table, "--date-column", column, "--retention-days", days)
    return command("run", "log-cleanup", *options, *place, "--dry-run")


def looking(names: Sequence[str], place: Sequence[str]) -> str:
    """Return the command that measures the remaining tables."""
    tables = [word for name in names for word in ("--table", name)]
    return command("run", "log-cleanup", "--discover", *tables, *place)
