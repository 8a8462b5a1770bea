"""Find the rows that a deletion would reach, one foreign key at a time, for servers that need one statement per key."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from aishell.archives.writer import checksum
from aishell.databases.base import Session, Statement
from aishell.errors import DatabaseError
from aishell.models import Row

#: Rows that one statement looks up.
LOT = 200
#: Maximum bytes of lines of one chunk that are kept in memory.
MOST_BYTES = 64 << 20

Key = tuple[Any, ...]
#: Renders a block of the tool with its values as a statement.
Render = Callable[[str, Mapping[str, Any]], Statement]


class Following:
    """The rows of a chunk, and the rows that are deleted or changed with them.

    A tool with a block `follow` returns each row as its key, its `line`, and the MD5 `sum` of the line, computed by the server.
    Each row is followed once, even if several foreign keys lead to it.
    """

    def __init__(self, edges: Sequence[Mapping[str, Any]], render: Render) -> None:
        self.edges, self.render = edges, render

    def look(self, session: Session, first: Statement, values: Mapping[str, Any]) -> list[Row]:
        """Return `part`, `rows`, `lines`, `checksum` and `sums` of each part, as other tools do; above MOST_BYTES, only one
        part, whose `lines` are None.
        """
        found = {0: _by_key(session.query(first))}
        held = sum(len(row["line"]) for row in found[0].values())
        for part, rows in self._reached(session, values, found):
            held += sum(len(row["line"]) for row in rows)
            if held > MOST_BYTES:
                return [{"part": part, "rows": len(found[part]), "lines": None, "checksum": ""}]
        return [_whole(part, list(rows.values())) for part, rows in found.items() if rows]

    def _reached(
        self, session: Session, values: Mapping[str, Any], found: dict[int, dict[Key, Row]]
    ) -> Iterator[tuple[int, list[Row]]]:
        """Add to `found` what references its rows, one foreign key at a time; yield each lot of rows with its part."""
        ahead = [(0, list(found[0]))]
        while ahead:
            part, keys = ahead.pop()
            for number, child in self._foreign_keys_to(part):
                known = set(found.setdefault(child, {}))
                for rows in self._referencing(session, {**values, "edge": number}, keys):
                    found[child] |= {key: row for key, row in _by_key(rows).items() if key not in known}
                    yield child, rows
                if new := [key for key in found[child] if key not in known]:
                    ahead.append((child, new))

    def _foreign_keys_to(self, part: int) -> list[tuple[int, int]]:
        """Return the number and the child of each foreign key whose parent is `part`."""
        return [(number, int(edge["child"])) for number, edge in enumerate(self.edges) if edge["parent"] == part]

    def _referencing(self, session: Session, values: Mapping[str, Any], keys: Sequence[Key]) -> Iterator[list[Row]]:
        """Yield the rows that reference those of `keys` through the foreign key `edge` of `values`, a lot at a time."""
        for first in range(0, len(keys), LOT):
            yield session.query(self.render("follow", {**values, "keys": keys[first : first + LOT]}))


def _by_key(rows: Sequence[Row]) -> dict[Key, Row]:
    return {tuple(value for name, value in row.items() if name not in ("line", "sum")): row for row in rows}


def _whole(part: int, rows: Sequence[Row]) -> Row:
    """Return the lines of a part with their checksum. Raises DatabaseError where a line differs from the server's checksum."""
    lines = [str(row["line"]).encode() for row in rows]
    sums = [str(row["sum"]) for row in rows]
    if sums != list(map(checksum, lines)):
        raise DatabaseError("a row differs from the checksum that the server made of it", kind="corruption")
    text = b"\n".join(lines)
    return {"part": part, "rows": len(rows), "lines": text, "checksum": checksum(text), "sums": ",".join(sums)}
