"""An INSERT of many rows at once, as PyMySQL's executemany makes it; that one knows no `SET STATEMENT … FOR INSERT`. Other
statements are sent row by row."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from aishell.databases.base import Statement

#: INSERT … VALUES (…) with placeholders: what stands before the row, and the row.
_INSERT = re.compile(r"(.*\bVALUES )(\(.*\))", re.DOTALL)
#: Bytes of one statement; servers refuse more than 16 MB as they come.
BYTES = 1 << 20


def many_rows(
    statement: Statement, rows: Sequence[Mapping[str, Any]], written: Callable[[str, Mapping[str, Any]], str]
) -> Iterator[str]:
    """Statements for all the rows, an INSERT with as many as it may hold. `written`: the driver's way to put values into SQL."""
    match = _INSERT.fullmatch(statement.sql)
    if match is None:
        yield from (written(statement.sql, {**statement.params, **row}) for row in rows)
        return
    template = match[2]
    head = written(match[1], {})  # a % of a name stands doubled there
    lot: list[str] = []
    size = 0
    for row in rows:
        value = written(template, {**statement.params, **row})
        if lot and size + len(value) > BYTES:
            yield f"{head}{','.join(lot)}"
            lot, size = [], 0
        lot.append(value)
        size += len(value)
    if lot:
        yield f"{head}{','.join(lot)}"
