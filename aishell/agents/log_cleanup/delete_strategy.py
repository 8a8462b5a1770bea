"""The way in which a log table's old rows are found, and with it the tool that deletes them. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from aishell.agents.log_cleanup.archives import WALKABLE
from aishell.agents.log_cleanup.tables import LogTable
from aishell.engines import profile
from aishell.errors import ParameterError
from aishell.models import Inventory

#: Below this share of old rows, and with an index on the date, the index finds them faster than a walk over the table.
FEW = 0.2
ALONG, BY_DATE, WITHOUT_KEY = "delete_old_records", "delete_old_records_by_date", "delete_old_records_without_key"
#: Time zones in which no hour comes twice, so that a TIMESTAMP that is sent back as it was read means the same moment.
_FIXED = re.compile(r"UTC|Etc/UTC|[+-]\d\d:\d\d")


@dataclass(frozen=True)
class Way:
    """A tool that deletes, and the columns it goes by: none where it knows them itself. `note`: what it costs to go so."""

    tool: str = ALONG
    key: tuple[str, ...] = ()
    note: str | None = None

    @property
    def along_the_table(self) -> bool:
        return self.tool == ALONG


def way_of(log: LogTable, inventory: Inventory, *, limited: bool) -> Way:
    """Along the table, or along the index on the date where few rows are old. Raises ParameterError where there is no way.

    `limited`: to a number of rows, which a batch that ends behind a date, not between two rows of it, could exceed.
    """
    by_date = _is_worth_an_index(log) and BY_DATE in inventory.tools
    engine = profile(inventory.server.engine)
    if engine.walked_along == "pages":
        if by_date:
            return Way(BY_DATE, (log.column, "ctid"))
        ranges = engine.page_ranges is not None and inventory.server.version >= engine.page_ranges
        return Way() if ranges else Way(key=log.key or ("ctid",))
    if engine.walked_along == "row numbers":
        if not log.key:
            raise ParameterError(
                f"{log.name} hides its row ids: columns of its own are called rowid, _rowid_ and oid",
                hint="rename one of them, or clean up by hand",
            )
        if log.in_order and not limited and BY_DATE in inventory.tools:
            return Way(BY_DATE, (log.column,))
        return Way(BY_DATE, _dated(log)) if by_date else Way(key=log.key)
    if by_date and log.key and _walkable(log, _dated(log)):
        return Way(BY_DATE, _dated(log))
    if log.key and _walkable(log, log.key):
        return Way(key=log.key)
    return Way(
        WITHOUT_KEY, note=None if log.indexed else "no primary key leads the way either: every batch reads it anew"
    )


def _is_worth_an_index(log: LogTable) -> bool:
    return log.indexed and log.old_share is not None and log.old_share < FEW


def _dated(log: LogTable) -> tuple[str, ...]:
    return (log.column, *(column for column in log.key if column != log.column))


def _walkable(log: LogTable, columns: Sequence[str]) -> bool:
    """Whether MariaDB and MySQL compare these columns as they sort them (see WALKABLE)."""
    declared = {str(row["column"]): re.split(r"\W", str(row["type"]).lower())[0] for row in log.columns}
    fixed = {"timestamp"} if log.cutoff is not None and _FIXED.fullmatch(log.cutoff.zone) else set[str]()
    return all(declared[column] in WALKABLE | fixed for column in columns)
