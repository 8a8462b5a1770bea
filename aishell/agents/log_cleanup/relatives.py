"""Find the tables whose rows are deleted or changed with the archived rows of a log table, directly or indirectly. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Any

from aishell.agents.base import Question
from aishell.agents.log_cleanup.delete_strategy import WALKABLE, archive_columns
from aishell.agents.log_cleanup.tables import LogTable
from aishell.engines import profile
from aishell.errors import ParameterError
from aishell.models import Inventory, Row
from aishell.planning.variables import escaped

INSPECT = "inspect_relatives"
#: A constant default: a number, a text or NULL, with any cast.
_CONSTANT = re.compile(r"(?P<number>-?\d+)|'(?P<text>(?:[^']|'')*)'(?:::.*)?|(?P<nothing>NULL(?:::.*)?)", re.IGNORECASE)
#: Literals and comments in the text of a trigger.
_QUOTED = re.compile(r"'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/", re.DOTALL)
_DELETES = re.compile(r"\b(delete(?!\s+(?:on|or|of|to)\b)|truncate|merge|replace\s+into|or\s+replace)\b", re.IGNORECASE)

Key = tuple[str, str]


@dataclass
class _Part:
    """A table of the family. `changed`: the columns that a foreign key sets; empty if it deletes the rows."""

    key: Key
    number: int
    changed: tuple[str, ...] = ()


@dataclass
class Relatives:
    """Parameters for the archive tools, and text for users."""

    params: dict[str, Any] = field(default_factory=dict)
    watched: dict[str, Any] = field(default_factory=dict)  # checked again by a deletion: no other foreign keys act
    names: tuple[str, ...] = ()  # tables whose rows are deleted
    changed: tuple[str, ...] = ()  # tables whose rows change
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """What else is deleted or changed, as the end of a sentence."""
        going = f", and with them those of {', '.join(self.names)}" if self.names else ""
        return going + (f", and what rows of {', '.join(self.changed)} refer to" if self.changed else "")


def questions(log: LogTable, inventory: Inventory) -> Iterator[Question]:
    """Yield all questions about the known family of a table, answered or not."""
    if INSPECT not in inventory.tools:
        return
    known, through = [log.table.key], set[Key]()
    for key in known:
        if key in through:
            continue
        through.add(key)
        asked = _question(key)
        yield asked
        for child in inventory.answers.get(asked.name, {}).get("children", ()):
            if child["on_delete"] == "no action":
                continue
            yield _columns_of(_child(child))
            if child["on_delete"] == "cascade":
                known.append(_child(child))
            else:
                yield _question(_child(child))


def relatives_of(log: LogTable, leaf: LogTable, inventory: Inventory, cleaned: Collection[str]) -> Relatives:
    """Return the family of a table. `leaf`: the table, or its partition, whose rows are deleted; `cleaned`: tables cleaned first.

    Raises ParameterError, with a way out, if dependent rows could not be archived or restored.
    """
    return _Family(log, leaf, inventory, cleaned).built()


class _Family:
    def __init__(self, log: LogTable, leaf: LogTable, inventory: Inventory, cleaned: Collection[str]) -> None:
        self.log, self.leaf, self.answers, self.cleaned = log, leaf, inventory.answers, cleaned
        self.engine = profile(inventory.server.engine)
        self.parts = [_Part(log.table.key, 0)]
        self.rows_of: dict[Key, int] = {}  # table -> the number of the part for its cascaded rows
        self.edges: list[dict[str, Any]] = []
        self.notes: list[str] = []

    def built(self) -> Relatives:
        if _question(self.log.table.key).name not in self.answers:
            return Relatives()
        for part in self.parts:
            if not part.changed:
                self._follow(part)
        self._effects()
        if len(self.parts) == 1:
            return Relatives(watched=self._watched(), notes=tuple(self.notes))
        self._refuse_what_is_referred_to()
        for part in self.parts:
            self._refuse_without_key(part)
        order = self._order()
        return Relatives(
            {
                "tables": [self._table(part, order) for part in self.parts[1:]],
                "edges": self.edges,
                "own": self._loaded(self.parts[0], order),
                "load_order": [part.number for key in order.tables for part in self._going if part.key == key],
            },
            self._watched(),
            tuple(_name(part.key) for part in self._going[1:]),
            tuple(dict.fromkeys(_name(part.key) for part in self.parts if part.changed)),
            tuple(self.notes),
        )

    @property
    def _going(self) -> list[_Part]:
        """The parts whose rows are deleted, the table itself first; each table once, or twice if it references itself."""
        return [part for part in self.parts if not part.changed]

    def _watched(self) -> dict[str, Any]:
        keys = dict.fromkeys(part.key for part in self._going)
        return {
            "watched": [{"schema": escaped(key[0]), "table": escaped(key[1])} for key in keys],
            "acting": sum(child["on_delete"] != "no action" for key in keys for child in self._children(key)),
        }

    def _follow(self, part: _Part) -> None:
        """Add the foreign keys that reference the rows of a part."""
        for child in self._children(part.key):
            if child["on_delete"] == "no action":
                continue
            self._refuse_without_index(child, part.key)
            number = self._cascaded(child) if child["on_delete"] == "cascade" else self._changed(child)
            ours, theirs = json.loads(child["child_columns"]), json.loads(child["parent_columns"])
            pairs = [[escaped(a), escaped(b)] for a, b in zip(ours, theirs, strict=True)]
            self.edges.append({"parent": part.number, "child": number, "pairs": pairs})

    def _cascaded(self, child: Row) -> int:
        key = _child(child)
        if key not in self.rows_of:
            self.rows_of[key] = len(self.parts)
            self.parts.append(_Part(key, len(self.parts)))
        return self.rows_of[key]

    def _changed(self, child: Row) -> int:
        key, columns = _child(child), tuple(json.loads(child["set_columns"]))
        for part in self.parts[1:]:
            if part.key == key and part.changed == columns:
                return part.number
        self.parts.append(_Part(key, len(self.parts), columns))
        return len(self.parts) - 1

    def _table(self, part: _Part, order: Order) -> dict[str, Any]:
        answer = self.answers[_columns_of(part.key).name]
        key = self._primary(part.key)
        kept = [row for row in answer["columns"] if not part.changed or row["column"] in (*key, *part.changed)]
        numbers = [str(row["column"]) for row in answer.get("key_columns", ())]
        walked = {"pages": [], "row numbers": numbers, "key": key}[self.engine.walked_along]
        return {
            "schema": escaped(part.key[0]),
            "table": escaped(part.key[1]),
            "columns": archive_columns(kept),
            "key": [escaped(column) for column in walked],
            "load_key": [escaped(column) for column in key],
            "changed": [escaped(column) for column in part.changed],
            "left": self._left(part),
            **({"itself": True} if part.key == self.log.table.key else {}),
            **({} if part.changed else {"later": self._loaded(part, order)["later"]}),
            "same": self._loaded(part, order)["same"],
        }

    def _loaded(self, part: _Part, order: Order) -> dict[str, Any]:
        """Return how a table's rows are loaded: the key that identifies them, and the columns that are set last."""
        by_itself = [str(row["column"]) for row in self._columns(part.key).values() if row["by_itself"]]
        later = order.later.get(part.key, ())
        return {
            "key": [escaped(column) for column in self._primary(part.key)],
            "later": [escaped(column) for column in later],
            "same": [escaped(column) for column in by_itself if column not in later],
        }

    def _left(self, part: _Part) -> dict[str, Any]:
        """Return the values of a foreign key's columns after it has acted; columns that are not listed are NULL."""
        acting = (child["on_delete"] for one in self.parts for child in self._children(one.key)
                  if _child(child) == part.key and tuple(json.loads(child["set_columns"])) == part.changed)  # fmt: skip
        if "set default" not in acting:
            return {}
        found = ((escaped(column), self._default(part.key, column)) for column in part.changed)
        return {column: value for column, value in found if value is not None}

    def _default(self, key: Key, column: str) -> Any:
        """Return the constant default of a column, None for NULL. Raises ParameterError for any other default."""
        default = self._columns(key)[column]["default"]
        constant = _CONSTANT.fullmatch("NULL" if default is None else str(default).strip())
        if constant is None:
            raise ParameterError(
                f"rows of {_name(key)} get the default {default} as their {column!r} when rows of {self.log.name} go: "
                "no archive can tell what that is",
                hint="clean up without --archive, or give the column a plain value as its default",
            )
        if constant["number"] is not None:
            return constant["number"] if self.engine.types_bind else int(constant["number"])
        return None if constant["text"] is None else constant["text"].replace("''", "'")

    def _order(self) -> Order:
        going = {part.key for part in self._going}
        keys = [
            ForeignKey(parent, _child(child), tuple(self._free(_child(child), json.loads(child["child_columns"]))))
            for parent in sorted(going)
            for child in self._children(parent)
            if _child(child) in going
        ]
        return order_of(sorted(going), keys)

    def _free(self, key: Key, columns: Collection[str]) -> Iterator[str]:
        """Return the columns of a foreign key that can be NULL for a while."""
        known = self._columns(key)
        return (
            c for c in columns if known[c]["nullable"] and not known[c]["generated"] and not known[c]["key_position"]
        )

    def _effects(self) -> None:
        """Refuse triggers and rules that delete further rows, and note others. In InnoDB, foreign keys fire no triggers."""
        for part in self.parts if self.engine.foreign_keys_fire else self.parts[:1]:
            event, what = ("on_update", "changed") if part.changed else ("on_delete", "deleted")
            fired = [row for row in self.answers[_question(part.key).name]["effects"] if row[event]]
            for row in fired:
                _refuse_deleting(row, part.key)
            if fired and part.number:
                names = ", ".join(str(row["name"]) for row in fired)
                self.notes.append(f"{_name(part.key)}: each {what} row fires {names}")

    def _refuse_what_is_referred_to(self) -> None:
        """Raise ParameterError if the database would refuse to delete dependent rows, since others reference them."""
        for part in self.parts[1:]:
            for child in self._children(part.key) if not part.changed else ():
                name = _name(_child(child))
                stays = _child(child) not in self.rows_of and name not in self.cleaned
                if child["on_delete"] == "no action" and stays and _child(child) != self.log.table.key:
                    raise ParameterError(
                        f"rows of {_name(part.key)}, which go with those of {self.log.name}, are referred to by {name}: "
                        "the database refuses to delete them",
                        hint="clean up the referring table in the same run: name it with --table too",
                    )

    def _refuse_without_index(self, child: Row, parent: Key) -> None:
        if not child["indexed"]:
            columns = ", ".join(json.loads(child["child_columns"]))
            raise ParameterError(
                f"{_name(_child(child))} ({columns}) references {_name(parent)} without an index: every deleted row would scan "
                "all of it",
                hint="create an index first",
            )

    def _refuse_without_key(self, part: _Part) -> None:
        name, columns = _name(part.key), self._columns(part.key)
        why = None
        if any(row["hidden"] for row in columns.values()):
            why = "row security hides rows of it, which would go unseen", "connect as a role that it does not hold for"
        elif not self._primary(part.key):
            why = "it has no primary key, by which its rows could be put back", "add a primary key"
        elif set(self._primary(part.key)) & set(part.changed):
            why = "its primary key would change", "clean it up first"
        elif self.engine.walked_along == "key" and part.number and (odd := self._odd_key(part)):
            why = f"values of its key column {odd!r} do not compare as they are sent back", "clean it up first"
        if why is not None:
            raise ParameterError(
                f"rows of {name} cannot be archived with those of {self.log.name}: {why[0]}",
                hint=f"{why[1]}, or clean up without --archive",
            )

    def _odd_key(self, part: _Part) -> str | None:
        """Return a key column whose values do not find their rows again, so that references to them would be missed."""
        rows = self.answers[_columns_of(part.key).name]["key_columns"]
        return next((str(row["column"]) for row in rows if row["type"] not in WALKABLE), None)

    def _children(self, key: Key) -> list[Row]:
        return self.answers[_question(key).name]["children"]

    def _columns(self, key: Key) -> Mapping[str, Row]:
        return {str(row["column"]): row for row in self.answers[_question(key).name]["columns"]}

    def _primary(self, key: Key) -> list[str]:
        rows = [row for row in self._columns(key).values() if row["key_position"]]
        return [str(row["column"]) for row in sorted(rows, key=lambda row: int(row["key_position"]))]


def _refuse_deleting(effect: Row, table: Key) -> None:
    """Raise ParameterError for a rule, or a trigger that may delete rows."""
    if effect["kind"] == "rule" or _DELETES.search(_QUOTED.sub("''", str(effect["body"]))):
        raise ParameterError(
            f"the {effect['kind']} {effect['name']} of {_name(table)} may delete further rows, which no archive has",
            hint="switch it off for the clean-up, or clean up without --archive",
        )


def _question(key: Key) -> Question:
    return Question(f"relatives of {_name(key)}", INSPECT, {"schema": key[0], "table": key[1]})


def _columns_of(key: Key) -> Question:
    return Question(f"columns of {_name(key)}", "inspect_archive_columns", {"schema": key[0], "table": key[1]})


def _child(child: Row) -> Key:
    return str(child["child_schema"]), str(child["child_table"])


def _name(key: Key) -> str:
    return f"{key[0]}.{key[1]}"


@dataclass(frozen=True)
class ForeignKey:
    """`child` references `parent`. `free`: the columns that can be NULL for a while, which suspends the constraint."""

    parent: Key
    child: Key
    free: tuple[str, ...]


@dataclass(frozen=True)
class Order:
    """`tables` in the order of loading; `later`: columns that are set once all rows of all tables are loaded."""

    tables: tuple[Key, ...]
    later: Mapping[Key, tuple[str, ...]]


def order_of(tables: Sequence[Key], keys: Sequence[ForeignKey]) -> Order:
    """Sort tables, referenced ones first. A cycle, such as a table that references itself, is broken at a foreign key that can
    be NULL. Raises ParameterError for a cycle in which no foreign key can be NULL.
    """
    later: dict[Key, dict[str, None]] = {}
    _postpone([key for key in keys if key.parent == key.child], later)
    holding = [key for key in keys if key.parent != key.child]
    while True:
        try:
            found = tuple(TopologicalSorter(_needs(tables, holding)).static_order())
        except CycleError as error:
            broken = _weakest(error.args[1], holding)
            _postpone(broken, later)
            holding = [key for key in holding if key not in broken]
        else:
            return Order(found, {table: tuple(columns) for table, columns in later.items()})


def _needs(tables: Sequence[Key], holding: Sequence[ForeignKey]) -> dict[Key, set[Key]]:
    """Return each table with those that it references."""
    return {table: {key.parent for key in holding if key.child == table} for table in tables}


def _weakest(circle: Sequence[Key], holding: Sequence[ForeignKey]) -> list[ForeignKey]:
    """Return the foreign keys between two neighbours of a cycle that can all be NULL for a while; else those of the first two."""
    between = [[key for key in holding if (key.parent, key.child) == ends] for ends in pairwise(circle)]
    return next((found for found in between if all(key.free for key in found)), between[0])


def _postpone(keys: Sequence[ForeignKey], later: dict[Key, dict[str, None]]) -> None:
    for key in keys:
        if not key.free:
            raise ParameterError(
                f"rows of {'.'.join(key.child)} must refer to rows of {'.'.join(key.parent)}, and in a circle these to those: "
                "what is archived of them could not be put back",
                hint="let a column of the foreign key be NULL, or clean up without --archive",
            )
        later.setdefault(key.child, {}).update(dict.fromkeys(key.free))
