"""Conversations of `aishell chat`: each turn as typed with its outcome, and a summary of the older ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from aishell.codec import canonical
from aishell.commands import command
from aishell.errors import UsageError
from aishell.models import new_id, now
from aishell.state import audit
from aishell.state.connection import Record, find_by_beginning
from aishell.state.store import Store

#: How many characters of aishell's reply are stored for a turn.
LONGEST_REPLY = 4000


@dataclass(frozen=True)
class Turn:
    """One line that a person typed, and its outcome.

    `request`: JSON of the request as understood; `work`: `{"runs": [ids], "workflow": id}`; `exit_code` None: the turn
    did not end, because it is still running or its process was killed. Secrets in texts are masked.
    """

    number: int
    text: str
    said_at: str
    request: Mapping[str, Any] | None
    work: Mapping[str, Any]
    reply: str
    exit_code: int | None
    ended_at: str | None


@dataclass(frozen=True)
class Conversation:
    """`summary` covers the turns up to number `summed_up`, which are kept. `model`: its author; None: the program."""

    id: str
    target: str
    begun_by: str
    begun_at: str
    used_at: str
    summary: str
    summed_up: int
    model: Mapping[str, Any] | None


class Conversations:
    """The conversations in a store. Several processes may use one at the same time: each turn gets its own number."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def begin(self, by: str, target: str = "") -> Conversation:
        """Start a conversation. `target`: the target of turns that name none; empty: the site's default."""
        at = now()
        made = Conversation(new_id(), target, by, at, at, "", 0, None)
        with self.store.write() as connection:
            connection.insert("conversations", asdict(made))
        return made

    def find(self, beginning: str | None = None) -> Conversation:
        """Return the conversation with this prefix of its id; None: the last used. Raises UsageError if none exists."""
        with self.store.read() as connection:
            if beginning is None:
                row = connection.first("SELECT * FROM conversations ORDER BY used_at DESC, id LIMIT 1")
            else:
                row = find_by_beginning(connection, "conversations", "conversation", beginning)
        if row is None:
            message = (
                "there are no conversations"
                if beginning is None
                else f"conversation {beginning[:100]!r} does not exist"
            )
            raise UsageError(message, hint=f"`{command('chat', 'list')}` lists them")
        return _conversation(row)

    def all(self) -> list[tuple[Conversation, int, str]]:
        """Return every conversation, last used first, with the number of its turns and the text of the first."""
        with self.store.read() as connection:
            rows = connection.all(
                """SELECT c.*, (SELECT count(*) FROM conversation_turns AS t WHERE t.conversation_id = c.id) AS turns,
                    (SELECT text FROM conversation_turns AS t WHERE t.conversation_id = c.id ORDER BY number LIMIT 1) AS first
                    FROM conversations AS c ORDER BY used_at DESC, id"""
            )
        return [(_conversation(row), row.turns, row["first"] or "") for row in rows]

    def turns(self, conversation: str, after: int = 0) -> list[Turn]:
        """Return the turns of a conversation with greater numbers, in order."""
        rows = self.store.all(
            "SELECT * FROM conversation_turns WHERE conversation_id = :id AND number > :after ORDER BY number",
            {"id": conversation, "after": after},
        )
        return [_turn(row) for row in rows]

    def say(self, conversation: str, text: str) -> int:
        """Store what a person typed, before acting on it; return the number of the turn.

        Raises UsageError if the conversation was deleted meanwhile.
        """
        at = now()
        with self.store.write() as connection:
            known = connection.update("conversations", "id = :id", {"id": conversation}, {"used_at": at})
            if not known:
                raise UsageError("this conversation was deleted", hint=f"start another with `{command('chat')}`")
            last = connection.value(
                "SELECT max(number) FROM conversation_turns WHERE conversation_id = :id", {"id": conversation}
            )
            number = int(last or 0) + 1
            row = {"conversation_id": conversation, "number": number, "text": audit.redact(text), "said_at": at}
            connection.insert("conversation_turns", row)
        return number

    def note(self, conversation: str, number: int, **known: Any) -> None:
        """Store facts of a turn: `request`, `work` (both JSON values), `reply`, `exit_code`. The last ends the turn.

        Does nothing if the conversation was deleted.
        """
        values = {name: _stored(name, value) for name, value in known.items()}
        if "exit_code" in values:
            values["ended_at"] = now()
        key = {"id": conversation, "turn": number}
        with self.store.write() as connection:
            connection.update("conversation_turns", "conversation_id = :id AND number = :turn", key, values)

    def sum_up(self, seen: Conversation, summary: str, through: int, model: Mapping[str, Any] | None) -> bool:
        """Store a summary of the turns up to a number; return False if another process did so since `seen` was read."""
        values = {
            "summary": audit.redact(summary),
            "summed_up": through,
            "model": None if model is None else canonical(dict(model)),
        }
        with self.store.write() as connection:
            key = {"id": seen.id, "before": seen.summed_up}
            return bool(connection.update("conversations", "id = :id AND summed_up = :before", key, values))

    def delete(self, conversation: str, by: str) -> int:
        """Delete a conversation; return the number of its turns. The audit log records this without any text."""
        with self.store.write() as connection:
            key = {"id": conversation}
            turns = int(connection.value("SELECT count(*) FROM conversation_turns WHERE conversation_id = :id", key))
            if connection.execute("DELETE FROM conversations WHERE id = :id", key).rowcount:
                audit.append(
                    connection, "conversation_deleted", {"conversation": conversation, "turns": turns, "deleted_by": by}
                )
        return turns


def _stored(name: str, value: Any) -> Any:
    if name in ("request", "work"):
        return canonical(audit.redact(value))
    return audit.redact(value)[:LONGEST_REPLY] if isinstance(value, str) else value


def _conversation(row: Record) -> Conversation:
    named = row.columns("id target begun_by begun_at used_at summary summed_up")
    return Conversation(**named, model=None if row.model is None else json.loads(row.model))


def _turn(row: Record) -> Turn:
    named = row.columns("number text said_at reply exit_code ended_at")
    return Turn(**named, request=None if row.request is None else json.loads(row.request), work=json.loads(row.work))


def runs_of(turns: Sequence[Turn]) -> list[str]:
    """Return the ids of the runs that turns started."""
    return [run for turn in turns for run in turn.work.get("runs", ())]
