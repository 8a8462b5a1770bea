"""Which tables look like logs, how old their rows are, how fast they grow, and how long the disk lasts. Pure."""

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

#: Words in the names of tables that are only ever added to.
_WORDS = frozenset(
    """log logs logging logfile audit audits event events history histories session sessions trace traces journal journals
    activity activities access request requests visit visits click clicks metric metrics error errors""".split()
)
#: Words that end like `applog` and are none.
_NO_LOGS = frozenset("catalog blog dialog backlog analog prolog".split())
#: What speaks for a log, in points: 100 is as sure as it gets.
NAMED, DATED, INDEXED, APPENDED, DIVIDED, LARGE = 40, 20, 10, 20, 20, 10
#: A column of time scores more than this (log_dates.could_be_time) by its name too.
SURE = 4
#: Fewer rows are no log worth a clean-up, unless the name says that it is one.
FEW_ROWS = 10_000
#: So many tables are measured; the others are counted.
MOST_TABLES = 20
BUCKETS = 12
#: Bytes that no row of InnoDB is smaller than, however it is compressed.
LEAST_ROW = 1
DAY = 86_400
#: Growth is that of the last so many days.
RECENT_DAYS = 7
#: What is suggested where nothing is asked for.
RETENTION_DAYS = 90
#: How far the first and the last row by key may lie from the oldest and the newest one, as a share of all the time.
APPEND_TOLERANCE = 0.02


@dataclass(frozen=True)
class Bucket:
    """The rows of a stretch of time. `method`: counted | estimated | at least | unknown."""

    begin: str
    end: str
    rows: int | None
    method: str


@dataclass(frozen=True)
class Candidate:
    """A table that looks like a log. Times as the column tells them, with a `Z` where that is UTC.

    `appended`: rows come in the order of their dates; `divided`: it is partitioned by ranges of them;
    `unknown`: what is not known -> why.
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
        """The candidate, with the reason why these figures are not there."""
        return replace(self, unknown={**self.unknown, **dict.fromkeys(names, why)})


def looks_like_log(name: str) -> bool:
    """Whether a table's name says that it is a log: `app_log`, `AuditEvents`, `weblog_2026`."""
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
    """The `chosen` tables worth a look, the likeliest and largest first, with their date columns.

    `tables` are all there are: a partitioned table is as large as its partitions. `named`: somebody asked for the chosen ones.
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
    """The likeliest first, the larger ones of the likely."""
    return sorted(found, key=_rank)


def _rank(candidate: Candidate) -> tuple[int, int, str, str]:
    return -candidate.score, -(candidate.bytes or 0), candidate.schema, candidate.table


def is_log(candidate: Candidate) -> bool:
    """Whether a measured table is one: by its name, by its partitions, or since its rows come in the order of their dates."""
    divided = candidate.kind == "partitioned" and candidate.oldest is not None
    return candidate.appended or candidate.divided or divided or looks_like_log(candidate.table)


def _summed(tables: Sequence[Table], parents: Sequence[Row], chosen: Collection[tuple[str, str]]) -> Iterator[Table]:
    """The chosen tables; one with partitions stands for them, and is as large as they are."""
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
    """A partition that nobody has looked at yet: PostgreSQL knows no size of it, and its counters may have been reset."""
    if leaf.rows or leaf.bytes or leaf.last_analyze or leaf.last_vacuum:
        return leaf
    return replace(leaf, rows=None, bytes=None, index_bytes=None)


def _free_of(leaves: Sequence[Table]) -> float | None:
    """The share of all partitions that is free, in percent; None where that of one which has rows is not known."""
    filled = [leaf for leaf in leaves if leaf.bytes]
    free = [(leaf.bytes or 0) * leaf.fragmentation_percent for leaf in filled if leaf.fragmentation_percent is not None]
    return sum(free) / sum(leaf.bytes or 0 for leaf in filled) if filled and len(free) == len(filled) else None


def _sum(sizes: Iterable[int | None]) -> int | None:
    """None where one of them is not known: such a partition may be the largest."""
    total = 0
    for size in sizes:
        if size is None:
            return None
        total += size
    return total


def _dated(
    table: Table, answers: Mapping[str, list[Row]], date_column: str | None
) -> tuple[LogTable | None, str | None]:
    """The table with its date column, or why it has none."""
    try:
        return choose(table, RetentionRule(table.table, RETENTION_DAYS, date_column), answers), None
    except UsageError as error:
        return None, f"{error.message} ({error.hint})" if error.hint else error.message


def _begun(table: Table, log: LogTable | None, why: str | None) -> Candidate:
    """What the catalog tells of a table."""
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
    """Whether InnoDB's size is of before much of the table was written: it is told anew by ANALYZE alone, which a server thread
    does some seconds after a load; rows are counted as they come."""
    if table.storage != "InnoDB" or not table.rows or table.bytes is None:
        return False
    return (table.modified_rows or 0) > 1000 + table.rows / 2 or table.bytes < table.rows * LEAST_ROW


def _scored(candidate: Candidate, points: int, reason: str) -> Candidate:
    return replace(candidate, score=min(100, candidate.score + points), reasons=(*candidate.reasons, reason))


def with_ends(candidate: Candidate, log: LogTable, kind: str, ends: Row) -> Candidate:
    """The candidate with its oldest and newest dates, and whether rows come in the order of their dates."""
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
    """Where the histogram's buckets begin, and the end of the last, past the newest row: as the column writes it, and as ISO."""
    first, last = seconds_of(kind, oldest), seconds_of(kind, newest)
    assert first is not None  # noqa: S101  with_ends has read them
    assert last is not None  # noqa: S101
    unit = DAY if kind in ("date", "text:") else 1
    number = max(1, min(BUCKETS, int((last - first) // unit)))
    points = [first + (last - first) * bucket / number for bucket in range(number)]
    return [(_written(kind, point), _iso(kind, point)) for point in (*points, last + unit)]


def _written(kind: str, seconds: float) -> str | int:
    """A moment as the column writes it; what it writes without a zone was read as UTC, so it is written back as that."""
    moment = datetime.fromtimestamp(math.floor(seconds), UTC)
    return written(kind, Cutoff(moment.isoformat(), f"{moment:%Y-%m-%d %H:%M:%S}", ""))


def _iso(kind: str, seconds: float) -> str:
    zone = "" if kind in ("local", "date", "text:", "text: ", "text:T") else "Z"
    return f"{datetime.fromtimestamp(math.floor(seconds), UTC):%Y-%m-%dT%H:%M:%S}{zone}"


def with_growth(
    candidate: Candidate, table: Table, kind: str, oldest: str, week: Cutoff, recent: tuple[int, str], free: int | None
) -> Candidate:
    """The candidate with its growth: the rows of the last days, or of all its days where it is younger, at the size of its rows.

    What is free in the table takes part in no row: it is what earlier rows have left.
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
    # The statistics may know of fewer rows than came in these days: all of them take no more than the table.
    size = min(rows * table.row_bytes, candidate.bytes / days)
    days_ = days_left(free, size)
    return replace(candidate, bytes_per_day=round(size, 1), bytes_method=table.row_bytes_method, days_until_full=days_)


def days_left(free: int | None, per_day: float) -> float | None:
    """Days until so many free bytes are full; None where that is not known, or never."""
    return None if free is None or per_day <= 0 else round(free / per_day, 1)


def estimated(answer: Mapping[str, list[Row]]) -> int | None:
    """The rows that the database expects between two dates (tool count_log_rows); None where it can only guess."""
    plan = answer.get("estimated")
    if not plan:
        return None
    if "QUERY PLAN" in plan[0]:
        return int(plan[0]["QUERY PLAN"][0]["Plan"]["Plan Rows"]) if answer["statistics"][0]["known"] else None
    # Only a range of an index was dived into: else `rows` are those of the whole table.
    return int(plan[0]["rows"]) if plan[0].get("type") == "range" else None


def suggested(candidate: Candidate, place: Sequence[str], retention_days: int) -> str:
    """The command that would clean it up, shown and not yet run."""
    table, column, days = f"{candidate.schema}.{candidate.table}", str(candidate.date_column), str(retention_days)
    options = ("--table", table, "--date-column", column, "--retention-days", days)
    return command("run", "log-cleanup", *options, *place, "--dry-run")


def looking(names: Sequence[str], place: Sequence[str]) -> str:
    """The command that looks at tables which were not measured."""
    tables = [word for name in names for word in ("--table", name)]
    return command("run", "log-cleanup", "--discover", *tables, *place)
