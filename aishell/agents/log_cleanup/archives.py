"""What the steps that archive a log table's old rows need to know of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aishell.agents.log_cleanup.tables import LogTable
from aishell.engines import profile
from aishell.errors import ParameterError
from aishell.models import Row
from aishell.planning.variables import escaped

#: Types of MySQL and MariaDB whose values compare in the order of an index when they are sent back. ENUM and SET go by number
#: in an index and by name in a comparison, FLOAT is rounded on its way, TIMESTAMP is one hour twice a year.
WALKABLE = frozenset(
    "tinyint smallint mediumint int bigint decimal char varchar binary varbinary date datetime uuid inet4 inet6".split()
)


def columns_of(answer: Mapping[str, list[Row]]) -> list[dict[str, Any]]:
    """The archive's columns, as `archive_old_records` takes them."""
    return [{**row, "column": escaped(str(row["column"]))} for row in answer["columns"]]


def key_of(log: LogTable, answer: Mapping[str, list[Row]], engine: str) -> list[str]:
    """The key by which the table is walked; none on PostgreSQL, which goes by pages. Raises ParameterError without one."""
    along = profile(engine).walked_along
    if along == "pages":
        return []
    key = answer["key_columns"]
    if not key:
        raise ParameterError(
            f"{log.name} has no primary key: without one its rows cannot be archived",
            hint="add a primary key, or clean up without --archive",
        )
    for row in key:
        if along == "key" and row["type"] not in WALKABLE:
            raise ParameterError(
                f"{log.name} cannot be archived: its key column {row['column']!r} is of the type "
                f"{row['type']}, whose values do not compare in index order",
                hint="clean up without --archive",
            )
    return [escaped(str(row["column"])) for row in key]
