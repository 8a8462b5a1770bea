"""What is known of a log table before the deletion: its date column, the age of its rows, what depends on it. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any

from aishell.agents.log_cleanup.dates import Cutoff, could_be_time, method_class, refuse_type, seconds_of, written
from aishell.agents.log_cleanup.filters import fitted
from aishell.agents.log_cleanup.retention_rules import RetentionRule
from aishell.agents.planner import full_size
from aishell.errors import ParameterError, UnknownNameError
from aishell.models import Evidence, Inventory, Row, Table

_TEXTS = re.compile(r"char|text|clob", re.IGNORECASE)
#: Kinds of relations that cannot be cleaned up, and why.
_REFUSED = {
    "view": "is a view: clean up the table it reads",
    "matview": "is a materialized view: clean up the table it reads and refresh it",
    "foreign": "is a foreign table: clean it up where it lives",
    "temporary": "is a temporary table of another session",
    "virtual": "is a virtual table: its module decides what can be deleted",
}
#: Points for the partition key, more than for any name or index.
DIVIDED = 100


@dataclass(frozen=True)
class Old:
    """How many rows of a table are old, before they are deleted.

    `rows`: None if unknown; `method`: the source of the figure, or why there is none; `least`: how many were counted;
    `days`: over which the old rows were added, without a few early outliers.
    """

    rows: int | None
    method: str
    least: int = 0
    days: float | None = None
    exact: bool = True


@dataclass(frozen=True)
class LogTable:
    """A log table, with or without old rows. `kind` is the format of its dates; shares are between 0 and 1."""

    table: Table
    rule: RetentionRule
    column: str
    declared: str
    indexed: bool
    kind: str = ""
    oldest: str | None = None
    newest: str | None = None
    cutoff: Cutoff | None = None
    key: tuple[str, ...] = ()
    children: tuple[Row, ...] = ()
    triggers: tuple[Row, ...] = ()
    columns: tuple[Row, ...] = field(default=(), repr=False)
    elsewhere: int = 0  # old rows in partitions that are dropped whole
    old: Old = Old(None, "not requested")
    in_order: bool = False  # whether sampled rows are in the order of their dates, few of them per date

    @property
    def name(self) -> str:
        return f"{self.table.schema}.{self.table.table}"

    @property
    def divided(self) -> bool:
        """Whether the table is partitioned by ranges of its date."""
        return any(row["column"] == self.column and row.get("partition_key") for row in self.columns)

    @property
    def before(self) -> str | int:
        """The cut-off in the format of the date column."""
        assert self.cutoff is not None  # noqa: S101  set with the kind
        value = written(self.kind, self.cutoff)
        # Seconds in a text column are texts: PostgreSQL does not compare them to a number, MariaDB only without an index.
        return str(value) if _TEXTS.search(self.declared) else value

    @property
    def has_old(self) -> bool:
        """Whether a row may be old: not if the oldest one is younger than the cut-off, or no row has a date."""
        if self.oldest is None or self.newest is None or self.cutoff is None:
            return False
        # The cut-off is read back from the column's format like the dates, so their time zone does not matter.
        first, moment = (seconds_of(self.kind, str(text)) for text in (self.oldest, self.before))
        return first is None or moment is None or moment > first

    @property
    def old_share(self) -> float | None:
        """The share of old rows; None if unknown."""
        if not self.has_old:
            return 0.0
        if self.old.rows is None or not self.table.rows:
            return None
        return min(1.0, self.old.rows / self.table.rows)

    @property
    def share_by_rows(self) -> float | None:
        """The share of rows to delete one by one among those outside dropped partitions; None if unknown."""
        stay = (self.table.rows or 0) - self.elsewhere
        return None if self.old_rows is None or stay <= 0 else min(1.0, self.old_rows / stay)

    @property
    def blockers(self) -> list[Row]:
        """Foreign keys that keep rows of this table from being deleted."""
        return [row for row in self.children if row["on_delete"] == "no action"]

    @property
    def cascading(self) -> list[Row]:
        """Foreign keys whose rows are deleted or changed with those of this table."""
        return [row for row in self.children if row["on_delete"] != "no action"]

    @property
    def old_rows(self) -> int | None:
        """The number of rows to delete one by one; None if unknown."""
        return None if self.old.rows is None else max(0, self.old.rows - self.elsewhere)

    def evidence(self, at: str) -> tuple[Evidence, ...]:
        """Return the figures behind its steps: the age of its rows, how many of them are old, and their size."""
        rule, size = self.rule, full_size(self.table)
        return (
            Evidence("oldest", self.oldest, f"least {self.column}", at),
            Evidence("newest", self.newest, f"greatest {self.column}", at),
            Evidence("cutoff", str(self.cutoff), f"{rule.retention_days} days before the database's clock", at),
            Evidence("retention_days", rule.retention_days, "as requested", at),
            self._old_rows(at),
            self._old_days(at),
            self._row_bytes(at),
            Evidence("table_bytes", size, "size of the table and its indexes", at),
        )

    def _old_rows(self, at: str) -> Evidence:
        old = self.old
        if old.rows is None:
            least = f"at least {old.least:,}: " if old.least else ""
            return Evidence("old_rows", None, "unknown", at, withheld=f"{least}{old.method}")
        return Evidence("old_rows", self.old_rows, old.method, at, None if old.exact else "an estimate")

    def _old_days(self, at: str) -> Evidence:
        """Return the days over which the old rows were added, or why they are unknown."""
        method = "by the dates of old rows, without a few early outliers"
        why = None if self.old.days is not None else "there is no sample of its dates, or too few of them are old"
        return Evidence("old_days", self.old.days, method, at, withheld=why)

    def _row_bytes(self, at: str) -> Evidence:
        """Return the bytes per row, or why they are unknown."""
        size, method = self.table.row_bytes, "size of the table less what is free, by its rows"
        if size is None:
            why = self.table.withheld or "how much is free was not looked at"
            return Evidence("bytes_per_row", None, method, at, withheld=why)
        return Evidence("bytes_per_row", round(size), method, at, self.table.row_bytes_method)


def choose(table: Table, rule: RetentionRule, answer: Mapping[str, list[Row]], engine: str = "") -> LogTable:
    """Return the table with its date column, and the values of the rule's filters converted to the types of their columns.

    `engine` says what its types mean, and is needed for filters. Raises UnknownNameError or ParameterError, with suggestions.
    """
    if table.kind in _REFUSED:
        raise ParameterError(f"{table.schema}.{table.table} {_REFUSED[table.kind]}")
    mine = {
        block: [row for row in rows if (row["schema"], row["table"]) == table.key] for block, rows in answer.items()
    }
    columns = {str(row["column"]): row for row in mine["columns"]}
    types = {name: str(row["type"] or "") for name, row in columns.items()}
    where = f"{table.schema}.{table.table}"
    column = rule.date_column or _likeliest(columns.values(), where)
    _require_known([column], types, where)
    declared = types[column]
    refuse_type(declared, f"the column {column!r} of {where}")
    _require_known([condition["column"] for condition in rule.filters], types, f"a filter on {where}")
    filters = tuple(fitted(one, types[one["column"]], engine, where) for one in rule.filters)
    key = sorted((row for row in columns.values() if row.get("key_position")), key=lambda row: row["key_position"])
    # SQLite stores a table in the order of its row ids, whatever its primary key is.
    row_id = columns[column].get("row_id")
    return LogTable(
        table,
        replace(rule, filters=filters),
        column,
        declared,
        bool(columns[column]["indexed"]),
        key=(str(row_id),) if row_id else tuple(str(row["column"]) for row in key),
        children=tuple(mine["children"]),
        triggers=tuple(mine["triggers"]),
        columns=tuple(mine["columns"]),
    )


def _require_known(names: Iterable[str], columns: Collection[str], where: str) -> None:
    if unknown := [name for name in names if name not in columns]:
        raise UnknownNameError("column", unknown[0], columns, where)


def aged(log: LogTable, answer: Mapping[str, list[Row]], cutoff: Cutoff, engine: str) -> LogTable:
    """Return the table with its age and cut-off. Raises ParameterError for a column whose values are not dates."""
    row = answer["age"][0]
    oldest, newest = row["oldest"], row["newest"]
    where = f"the column {log.column!r} of {log.name}"
    if log.table.rows is None and answer.get("size"):
        log = replace(log, table=replace(log.table, rows=answer["size"][0]["rows"]))
    if oldest is None or newest is None:
        return replace(log, cutoff=cutoff)
    kind = method_class(engine, log.declared, str(oldest), str(newest), where)
    if kind.startswith("text:") and row.get("shapes") not in (None, 1):
        raise ParameterError(
            f"{where} writes its dates in {row['shapes']} formats, so they cannot be compared",
            hint="convert the column to one format, or name another with --date-column",
        )
    return replace(log, kind=kind, oldest=str(oldest), newest=str(newest), cutoff=cutoff)


def _likeliest(columns: Any, where: str) -> str:
    """Return the likeliest date column by type, name and index. Raises ParameterError for none or a tie."""
    scored = sorted(
        (
            (
                likely * 2 + bool(row["indexed"]) + DIVIDED * bool(likely and row.get("partition_key")),
                str(row["column"]),
            )
            for row in columns
            for likely in [could_be_time(str(row["column"]), str(row["type"] or ""))]
        ),
        reverse=True,
    )
    good = [(score, name) for score, name in scored if score >= 2]
    if not good:
        raise ParameterError(f"{where} has no column that looks like a date", hint="name one with --date-column")
    best = [name for score, name in good if score == good[0][0]]
    if len(best) > 1:
        shown = ", ".join(repr(name) for name in sorted(best))
        raise ParameterError(
            f"{where} has several columns that may hold a row's date: {shown}", hint="name one with --date-column"
        )
    return best[0]


def sorted_by_references(logs: Sequence[LogTable]) -> list[LogTable]:
    """Sort tables, referencing ones first. Raises ParameterError for a cycle."""
    by_name = {log.name: log for log in logs}
    needs = {log.name: {child_name(c) for c in log.blockers} & by_name.keys() - {log.name} for log in logs}
    try:
        return [by_name[name] for name in TopologicalSorter(needs).static_order()]
    except CycleError as error:
        circle = " → ".join(error.args[1])
        raise ParameterError(
            f"these tables reference each other in a cycle: {circle}", hint="clean one of them up by hand"
        ) from error


def child_name(child: Row) -> str:
    """Return the name of the referencing table."""
    return f"{child['child_schema']}.{child['child_table']}"


def references(child: Row) -> str:
    """Return a foreign key in words: table and columns."""
    return f"{child_name(child)} ({', '.join(json.loads(child['child_columns']))})"


def answers_of(inventory: Inventory) -> Mapping[str, list[Row]]:
    """Return the catalog facts of all chosen tables."""
    return inventory.answers.get("tables", {})
