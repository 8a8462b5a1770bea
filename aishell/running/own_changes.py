"""Track what a deletion has done to rows that it reaches again: to tell its changes from others', and count each row once.

A row can be reached several times: by its date and through a row that it references, or through two foreign keys. Each of
these ways is a part of the archive; the parts of one table are combined here. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aishell.archives.reader import ArchivedRow, Key, changed_line
from aishell.archives.writer import checksum

#: Maximum number of deleted rows remembered; any beyond it count as missing for an unknown reason.
MOST_GONE = 1_000_000
#: Maximum number of rows named in one statement, since PostgreSQL takes 65,535 values; any beyond it wait for the next run.
MOST_MOVED = 10_000


@dataclass(frozen=True)
class Member:
    """A part. `table`: the number of the first part of its table; `sets`: new values by column, None where rows are deleted."""

    table: int
    sets: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Figures:
    """The outcome of deleting a chunk: rows of the table itself, how many of these only because rows that they reference are
    deleted, rows of other tables, and the increase in changed rows that stay (negative where such rows are deleted).
    """

    rows: int
    cascaded: int
    relatives: int
    changed: int


@dataclass
class OwnChanges:
    """The rows that this run has changed so far, in tables whose rows it may reach again."""

    members: Sequence[Member]
    _set: dict[int, dict[Key, dict[str, Any]]] = field(default_factory=dict)
    _gone: set[tuple[int, Key]] = field(default_factory=set)

    def __post_init__(self) -> None:
        for table in {member.table for member in self.members}:
            parts = [member for member in self.members if member.table == table]
            if len(parts) > 1 and any(member.sets is not None for member in parts):
                self._set[table] = {}

    @property
    def parts(self) -> list[int]:
        """The parts whose rows have to be told apart by their keys."""
        return [part for part, member in enumerate(self.members) if member.table in self._set]

    def as_they_are(self, part: int, rows: Sequence[ArchivedRow]) -> dict[str, ArchivedRow]:
        """Return the archived rows by the sums that they must have now if only this run has changed them."""
        known = self._set[self.members[part].table]
        found = {}
        for row in rows:
            sets = known.get(row.key)
            is_now = row.sum if sets is None or row.line is None else checksum(changed_line(row.line, sets))
            found[is_now] = row
        return found

    def moved(self, rows: Sequence[ArchivedRow]) -> list[Key]:
        """Return the keys of the table's own rows that this run has changed: PostgreSQL has stored them elsewhere since."""
        known = self._set.get(0, {})
        return [row.key for row in rows if row.key in known][:MOST_MOVED]

    def figures(self, reached: Mapping[int, Collection[str]], keys: Mapping[int, Collection[Key]]) -> Figures:
        """Return the figures of deleting a chunk that reaches rows with these sums and, in `parts`, with these keys."""
        gone: dict[int, set[str]] = {}
        changed = 0
        for part, sums in reached.items():
            member = self.members[part]
            if member.sets is None:
                gone.setdefault(member.table, set()).update(sums)
            elif member.table not in self._set:
                changed += len(sums)
        itself = gone.pop(0, set())
        cascaded = len(itself.difference(reached.get(0, ())))
        for table, known in self._set.items():
            going, staying = self._keys(table, keys)
            changed += len(staying - going - known.keys()) - len(known.keys() & going)
        return Figures(len(itself), cascaded, sum(map(len, gone.values())), changed)

    def accounts_for(self, archived: Mapping[int, Collection[Key]], reached: Mapping[int, Collection[Key]]) -> bool:
        """Return whether every row to be changed is reached, except those that this run has already deleted or changed so. Any
        other one was changed by another session, and no longer references the deleted rows.
        """
        for part, found in archived.items():
            table, sets = self.members[part].table, self.members[part].sets
            if sets is None:
                continue
            for key in set(found).difference(reached.get(part, ())):
                if (table, key) not in self._gone and not sets.keys() <= self._set[table].get(key, {}).keys():
                    return False
        return True

    def going(self, keys: Mapping[int, Collection[Key]]) -> dict[int, Collection[Key]]:
        """Return the keys of deleted rows, without those of changed rows."""
        return {part: found for part, found in keys.items() if self.members[part].sets is None}

    def took(self, keys: Mapping[int, Collection[Key]]) -> None:
        """Record a deleted chunk, with which these rows, by part, were deleted or changed."""
        for part, found in keys.items():
            member = self.members[part]
            for key in found if member.sets is not None else ():
                self._set[member.table].setdefault(key, {}).update(member.sets or {})
        for table, known in self._set.items():
            for key in self._keys(table, keys)[0]:
                known.pop(key, None)
                if len(self._gone) < MOST_GONE:
                    self._gone.add((table, key))

    def _keys(self, table: int, keys: Mapping[int, Collection[Key]]) -> tuple[set[Key], set[Key]]:
        found: tuple[set[Key], set[Key]] = set(), set()
        for part, some in keys.items():
            member = self.members[part]
            if member.table == table:
                found[member.sets is not None].update(some)
        return found
