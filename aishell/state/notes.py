"""Notes that people leave on targets, tables and tools: for plans to consider, and optionally stricter decisions."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from aishell.commands import command
from aishell.errors import UsageError
from aishell.models import now, server_of
from aishell.state import audit
from aishell.state.connection import Record
from aishell.state.full_text import best
from aishell.state.store import Store

#: The decisions that a note can require. None loosens the policy.
DECISIONS = ("confirm", "review", "deny")
#: The most characters of a note.
LONGEST = 2000
_ALL = "SELECT * FROM notes ORDER BY id"
_TIGHTENING = "SELECT * FROM notes WHERE decision IS NOT NULL ORDER BY id"


@dataclass(frozen=True)
class Note:
    """A person's note. `target`, `table`, `tool` are globs; empty: any. `decision`: one of DECISIONS, or None."""

    id: int
    target: str
    table: str
    tool: str
    text: str
    decision: str | None
    by: str
    at: str

    @property
    def about(self) -> str:
        """What the note is on, in words."""
        named = (("table ", self.table), ("tool ", self.tool), ("target ", self.target))
        return ", ".join(f"{what}{name}" for what, name in named if name) or "everything"

    def is_on(self, target: str) -> bool:
        return not self.target or any(fnmatchcase(name, self.target) for name in (target, server_of(target)) if name)

    def names(self, tables: Collection[tuple[str, str]]) -> bool:
        """Whether the note is on one of these tables (schema, table)."""
        return any(fnmatchcase(name, self.table) for schema, table in tables for name in (table, f"{schema}.{table}"))

    def tightens(self, tool: str, tables: Collection[tuple[str, str]]) -> bool:
        """Whether the note requires a stricter decision on a call of a tool on tables.

        A call without a table affects the whole database; a note on a table then applies only if it names the tool too.
        """
        if self.decision is None or (self.tool and not fnmatchcase(tool, self.tool)):
            return False
        return not self.table or (self.names(tables) if tables else bool(self.tool))


class Notes:
    """The notes in a store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def add(
        self, text: str, by: str, *, target: str = "", table: str = "", tool: str = "", decision: str | None = None
    ) -> Note:
        """Add a note. Raises UsageError for a text that is empty, too long or not printable."""
        text = " ".join(text.split())
        if not text or len(text) > LONGEST or not text.isprintable():
            raise UsageError(
                f"a note must have 1 to {LONGEST} printable characters", hint="write what a plan has to know"
            )
        row = {
            "target": target,
            "table_name": table,
            "tool": tool,
            "text": text,
            "decision": decision,
            "by": by,
            "at": now(),
        }
        with self.store.write() as connection:
            connection.insert("notes", row)
            number = int(connection.value("SELECT last_insert_rowid()"))
            audit.append(connection, "note_added", {"note": number, **row})
        return _note({"id": number, **row})

    def remove(self, number: int, by: str) -> Note:
        """Remove a note and return it. Raises UsageError if it does not exist."""
        with self.store.write() as connection:
            row = connection.first("SELECT * FROM notes WHERE id = :id", {"id": number})
            if row is None:
                raise UsageError(f"note {number} does not exist", hint=f"`{command('notes', 'list')}` lists the notes")
            connection.execute("DELETE FROM notes WHERE id = :id", {"id": number})
            audit.append(connection, "note_removed", {"note": number, "removed_by": by, "text": row.text})
        return _note(row)

    def all(self, target: str | None = None) -> list[Note]:
        """Return every note, or those on a target, oldest first."""
        return [note for note in map(_note, self.store.all(_ALL)) if target is None or note.is_on(target)]

    def tightening(self, target: str) -> list[Note]:
        """Return the notes on a target that require a stricter decision. Read at every step: new ones apply at once."""
        return [note for note in map(_note, self.store.all(_TIGHTENING)) if note.is_on(target)]

    def relevant(
        self, target: str, tables: Collection[tuple[str, str]] = (), text: str = "", most: int = 20
    ) -> list[Note]:
        """Return the notes on a target that a plan should consider, most relevant first.

        First those on one of the tables, then those with words of the text (BM25), then the newest.
        """
        notes = self.all(target)
        ranks = {notes[place].id: rank for rank, place in enumerate(best([note.text for note in notes], text))}
        last = len(ranks)
        notes.sort(key=lambda note: (not (note.table and note.names(tables)), ranks.get(note.id, last), -note.id))
        return notes[:most]


def _note(row: Record | Mapping[str, Any]) -> Note:
    return Note(
        row["id"], row["target"], row["table_name"], row["tool"], row["text"], row["decision"], row["by"], row["at"]
    )
