"""Choose the partitions of a log table that are dropped whole, and the tables in which other old rows are deleted. Pure.

The database decides whether a partition holds only old rows, since it knows the type of the bounds: `stays` of the tool
inspect_partitions, checked again when drop_old_partitions runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from aishell.agents.base import Question, is_excluded
from aishell.agents.log_cleanup.dates import kind_of_type
from aishell.agents.log_cleanup.tables import LogTable
from aishell.engines import profile
from aishell.errors import ParameterError
from aishell.models import Estimate, Evidence, Inventory, LeftOut, Row, Table
from aishell.planning.estimates import estimate
from aishell.planning.privileges import privileges_of
from aishell.reporting.deletions import CONCURRENTLY, EXCLUSIVELY

#: Seconds per partition (0.05 on PostgreSQL 15 and 18, 2 cores, 175,000 rows each, beside a writer and a reader that waited
#: 20 ms at most), and bytes per second if no index finds its newest row (cached: PostgreSQL 0.7e9 to 1.7e9, MariaDB 10.11
#: 0.4e9).
SECONDS, SCAN = 0.1, 0.5e9
#: The most partitions that a note names.
NAMED = 5


@dataclass(frozen=True)
class Partitions:
    """What happens to the partitions of one table. `tables`: those in which old rows are deleted; None: the table itself."""

    dropped: tuple[Row, ...] = ()  # as `find` of `tool` would return them
    tool: str = CONCURRENTLY
    tables: tuple[Table, ...] | None = None
    notes: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()  # tables that the role may not read

    @property
    def rows(self) -> int:
        """The rows in dropped partitions, as far as the statistics have them."""
        return self._sum("rows")

    def evidence(self, at: str) -> tuple[Evidence, ...]:
        """Return the rows and bytes of the dropped partitions."""
        unknown = sum(1 for row in self.dropped if row["rows"] is None)
        why = f"{unknown} partition(s) were never analysed: their rows are counted when they go"
        known = unknown < len(self.dropped)
        return (
            Evidence("rows", self.rows, "the partitions' statistics", at, f"a guess; {why}" if unknown else "a guess")
            if known
            else Evidence("rows", None, "the partitions' statistics", at, withheld=why),
            Evidence("bytes", self._sum("bytes"), "the size of the partitions and their indexes", at),
        )

    def estimate(self, log: LogTable, inventory: Inventory) -> Estimate:
        """Estimate how long the drops take."""
        reading = 0.0 if log.indexed else 2 * self._sum("bytes") / SCAN  # before the detach, and before the drop
        number = len(self.dropped)
        return estimate(inventory, self.tool, log.name, number, unit="partitions", rate=1 / SECONDS, more=reading)

    def _sum(self, name: str) -> int:
        return sum(int(row[name] or 0) for row in self.dropped)


def question(log: LogTable, inventory: Inventory) -> Question | None:
    """Return the question about a table's partitions; None if it has none, or its dates cannot be compared."""
    if "inspect_partitions" not in inventory.tools:
        return None
    if profile(inventory.server.engine).partitions_are_tables and log.table.kind != "partitioned":
        return None
    cutoff = cutoff_of(log)
    if cutoff is None:
        return None
    names = {"schema": log.table.schema, "table": log.table.table}
    return Question(_question_name(log), "inspect_partitions", {**names, "date_column": log.column, "cutoff": cutoff})


def cutoff_of(log: LogTable) -> str | int | None:
    """Return the cut-off in the column's format, which follows from its type if it has no rows; None if unknown."""
    kind = log.kind or kind_of_type(log.declared)
    return replace(log, kind=kind).before if kind else None


def decide(log: LogTable, inventory: Inventory, *, limited: bool = False) -> Partitions:
    """Decide what happens to the partitions of a table. `limited`: the number of rows to delete has a limit."""
    answer = inventory.answers.get(_question_name(log), {})
    rows = answer.get("partitions", [])
    if not rows:
        return Partitions(tables=() if log.table.kind == "partitioned" else None)
    _refuse_excluded(log, (*rows, *answer.get("leaves", [])))
    old = [row for row in rows if row["stays"] is None]
    kept = _kept(log, limited)
    leaves, foreign = _leaves(answer.get("leaves", []), old if kept else [])
    refused = _refused(leaves, inventory)
    notes = [
        *([f"no partition is dropped, {kept}"] if kept and old else ()),
        *_reasons(rows),
        *(f"{name} is a foreign table: clean it up on its own server" for name in foreign),
    ]
    return Partitions(
        () if kept else tuple(_found(log, row) for row in old),
        _tool(rows, inventory),
        tuple(leaf for leaf in leaves if leaf.key not in refused) if log.table.kind == "partitioned" else None,
        tuple(f"{log.name}: {note}" for note in notes),
        tuple(refused.values()),
    )


def _tool(partitions: Sequence[Row], inventory: Inventory) -> str:
    """Return the tool that drops partitions: beside a default partition, none can be detached concurrently."""
    has_default = any(row.get("is_default") for row in partitions)
    return EXCLUSIVELY if has_default or CONCURRENTLY not in inventory.tools else CONCURRENTLY


def _refused(leaves: Sequence[Table], inventory: Inventory) -> dict[tuple[str, str], LeftOut]:
    """Return the tables that the role may not read, by their keys."""
    role = privileges_of(inventory)
    refused = {leaf.key: role.refused("delete", "delete_old_records", leaf.key, ("SELECT",)) for leaf in leaves}
    return {key: reason for key, reason in refused.items() if reason is not None}


def _refuse_excluded(log: LogTable, rows: Sequence[Row]) -> None:
    """Raise ParameterError for a partition that is excluded, since its table is cleaned up as a whole."""
    for row in rows:
        schema, part = str(row.get("partition_schema", log.table.schema)), str(row.get("partition", row.get("table")))
        if is_excluded(schema, part, log.rule.exclude):
            raise ParameterError(
                f"{part} is excluded, and {log.name}, of which it is a partition, is not",
                hint="exclude the table: its partitions are cleaned up with it",
            )


def _kept(log: LogTable, limited: bool) -> str | None:
    """Return why no partition of a table may be dropped whole; None if one may."""
    if log.rule.filters:
        return "since not all of its old rows are to go (filters)"
    if log.rule.archive:
        return "since its rows are archived first"
    return "since no more than max_rows are to go" if limited else None


def _reasons(partitions: Sequence[Row]) -> list[str]:
    """Return why partitions that may hold old rows are not dropped; each reason once."""
    by_reason: dict[str, list[str]] = {}
    for row in partitions:
        if row["stays"] is not None and row["old"] not in (False, 0) and not row.get("is_default"):
            by_reason.setdefault(str(row["stays"]), []).append(str(row["partition"]))
    return [
        f"the old rows of {', '.join(names[:NAMED])}{f' and {len(names) - NAMED} more' if len(names) > NAMED else ''} "
        f"are deleted one by one: {reason}"
        for reason, names in by_reason.items()
    ]


def _leaves(leaves: Sequence[Row], kept: Sequence[Row]) -> tuple[tuple[Table, ...], list[str]]:
    """Return the tables in which old rows are deleted, and the names of foreign tables."""
    tables = [_table(row["partition_schema"], row["partition"], row) for row in kept if "partition_schema" in row]
    tables += [_table(row["schema"], row["table"], row) for row in leaves if row["kind"] != "foreign"]
    return tuple(tables), [f"{row['schema']}.{row['table']}" for row in leaves if row["kind"] == "foreign"]


def _table(schema: str, table: str, row: Mapping[str, object]) -> Table:
    rows, size = row["rows"], row["bytes"]
    return Table(
        schema,
        table,
        "partition",
        oid=str(row["oid"]),
        rows=None if rows is None else int(str(rows)),
        bytes=None if size is None else int(str(size)),
    )


def _found(log: LogTable, row: Row) -> Row:
    """Return a partition in the form that `find` returns."""
    found = {name: value for name, value in row.items() if name not in ("old", "stays", "is_default")}
    return found if "partition_schema" in found else {"schema": log.table.schema, "table": log.table.table, **found}


def _question_name(log: LogTable) -> str:
    return f"partitions of {log.name}"
