"""Choose the tool that deletes a log table's old rows, and the key that it and an archive walk along. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aishell.agents.log_cleanup.tables import LogTable
from aishell.engines import profile
from aishell.errors import ParameterError
from aishell.models import Inventory, Row
from aishell.planning.variables import escaped

#: Below this share of old rows, an index on the date finds them faster than a walk along the table.
FEW = 0.2
ALONG, BY_DATE, WITHOUT_KEY = "delete_old_records", "delete_old_records_by_date", "delete_old_records_without_key"
#: Types of MySQL and MariaDB whose values, when sent back, compare in index order. ENUM and SET sort by number in an index but
#: by name in a comparison, FLOAT is rounded in transfer, and TIMESTAMP repeats one hour a year.
WALKABLE = frozenset(
    "tinyint smallint mediumint int bigint decimal char varchar binary varbinary date datetime uuid inet4 inet6".split()
)
#: Time zones in which no hour is repeated, so that a TIMESTAMP sent back as it was read is the same moment.
_FIXED = re.compile(r"UTC|Etc/UTC|[+-]\d\d:\d\d")


@dataclass(frozen=True)
class Way:
    """A tool that deletes, and the columns it walks along; none if it knows them itself. `note`: why this is slow."""

    tool: str = ALONG
    key: tuple[str, ...] = ()
    note: str | None = None

    @property
    def along_the_table(self) -> bool:
        return self.tool == ALONG


def way_of(log: LogTable, inventory: Inventory, *, limited: bool) -> Way:
    """Choose a walk along the table, or along the index on the date if few rows are old. Raises ParameterError if neither works.

    `limited`: the number of rows has a limit, which a batch that ends after all rows of a date could exceed.
    """
    by_date = _is_worth_an_index(log) and BY_DATE in inventory.tools
    engine = profile(inventory.server.engine)
    if engine.walked_along == "pages":
        ranges = engine.page_ranges is not None and inventory.server.version >= engine.page_ranges
        along = Way() if ranges else Way(key=log.key or ("ctid",))
        return Way(BY_DATE, (log.column, "ctid")) if by_date else along
    if engine.walked_along == "row numbers":
        return _by_row_numbers(log, by_date, in_order=log.in_order and not limited and BY_DATE in inventory.tools)
    if by_date and log.key and _walkable(log, _dated(log)):
        return Way(BY_DATE, _dated(log))
    if log.key and _walkable(log, log.key):
        return Way(key=log.key)
    note = "without a usable primary key every batch reads the table from its start"
    return Way(WITHOUT_KEY, note=None if log.indexed else note)


def _by_row_numbers(log: LogTable, by_date: bool, *, in_order: bool) -> Way:
    if not log.key:
        raise ParameterError(
            f"{log.name} hides its row ids: columns of its own are called rowid, _rowid_ and oid",
            hint="rename one of them, or clean up by hand",
        )
    if in_order:
        return Way(BY_DATE, (log.column,))
    return Way(BY_DATE, _dated(log)) if by_date else Way(key=log.key)


def _is_worth_an_index(log: LogTable) -> bool:
    return log.indexed and log.old_share is not None and log.old_share < FEW


def _dated(log: LogTable) -> tuple[str, ...]:
    return (log.column, *(column for column in log.key if column != log.column))


def _walkable(log: LogTable, columns: Sequence[str]) -> bool:
    """Return whether MariaDB and MySQL compare these columns as they sort them (see WALKABLE)."""
    declared = {str(row["column"]): re.split(r"\W", str(row["type"]).lower())[0] for row in log.columns}
    fixed = {"timestamp"} if log.cutoff is not None and _FIXED.fullmatch(log.cutoff.zone) else set[str]()
    return all(declared[column] in WALKABLE | fixed for column in columns)


def archive_columns(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return columns with escaped names, for the archive tools."""
    return [{**row, "column": escaped(str(row["column"]))} for row in rows]


def archive_key(log: LogTable, answer: Mapping[str, list[Row]], engine: str) -> list[str]:
    """Return the key for a walk along the table; empty on PostgreSQL, which walks pages. Raises ParameterError without one."""
    along = profile(engine).walked_along
    if along == "pages":
        return []
    key = answer["key_columns"]
    if not key:
        raise ParameterError(
            f"{log.name} has no primary key: without one its rows cannot be archived",
            hint="add a primary key, or clean up without --archive",
        )
    odd = next((row for row in key if row["type"] not in WALKABLE), None) if along == "key" else None
    if odd is not None:
        raise ParameterError(
            f"{log.name} cannot be archived: its key column {odd['column']!r} is of the type "
            f"{odd['type']}, whose values do not compare in index order",
            hint="clean up without --archive",
        )
    return [escaped(str(row["column"])) for row in key]
