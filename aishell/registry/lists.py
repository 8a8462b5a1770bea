"""Lists, which a tool pastes once per item: the columns of a table, or the tables related to one. Pure.

The grammar of `lists` is described for people in tools/BATCHES.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from aishell.databases.quoting import quote
from aishell.errors import ParameterError

#: Value of `over` -> the placeholders that its templates may have.
OVER = {
    "columns": frozenset({"column", "form"}),
    "tables": frozenset({"number", "named", "here"}),
    "edges": frozenset({"child", "parent", "child_number", "parent_number", "on", "here", "keys"}),
    "edge": frozenset({"child", "parent", "on", "child_keys", "itself", "among"}),
    "slots": frozenset({"slot", "own"}),
    "key": frozenset({"column", "slot"}),
    "moved": frozenset({"named", "key", "keys"}),
}
ROLES = ("key", "changed", "same")
T = TypeVar("T")
_TOKEN = re.compile(r"\{([a-z_]+)\}|:(name|value|left)\b")


@dataclass(frozen=True)
class Listed:
    """The template `each`, pasted for every item of `over` with `between` as separator; of columns only those in `roles`.

    `most` splits the items into groups of at most that many: `group` is pasted around each, `between` separates them, and
    `several` is pasted around more than one.
    """

    each: str
    over: str = "columns"
    between: str = ", "
    roles: tuple[str, ...] = ()
    most: int | None = None
    group: str = "{}"
    several: str = "{}"

    @classmethod
    def of(cls, spec: Any) -> Listed:
        """Return the list in a header. Raises ValueError if it is invalid."""
        if isinstance(spec, str):
            return cls(spec)
        if not isinstance(spec, dict) or not isinstance(spec.get("each"), str):
            raise ValueError("lists: a list is a template, or a mapping with its template as `each`")
        unknown = sorted(spec.keys() - {"each", "over", "between", "roles", "most", "group", "several"})
        roles = tuple(spec.get("roles", ()))
        if unknown or spec.get("over", "columns") not in OVER or not set(roles) <= set(ROLES):
            raise ValueError(f"lists: {spec!r} has an unknown key, or an unknown `over` or role")
        return cls(**{**spec, "roles": roles})


def unknown_in(lists: Mapping[str, Listed]) -> str | None:
    """Return the fault in the templates' placeholders, None if there is none."""
    columns = {name for name, listed in lists.items() if listed.over == "columns"}
    for name, listed in lists.items():
        known = OVER[listed.over] | (columns if listed.over in ("tables", "edge") else set())
        for match in _TOKEN.finditer(listed.each):
            fits = listed.over == "columns" if match[1] is None else match[1] in known
            if not fits:
                return f"the list {name} is over {listed.over}, which has no placeholder {match[0]}"
    return None


class Write(Protocol):
    """The statement under construction, as a list writes it."""

    def plain(self, piece: str) -> None: ...
    def paste(self, piece: str) -> None: ...
    def bind(self, name: str, value: Any) -> None: ...
    def later(self, name: str, label: str) -> None: ...


def separated(write: Write, items: Iterable[T], separator: str) -> Iterator[tuple[int, T]]:
    """Yield the items with their numbers, and write the separator between them."""
    for number, item in enumerate(items):
        write.plain(separator if number else "")
        yield number, item


@dataclass(frozen=True)
class RelatedTables:
    """A table and those whose rows are deleted or changed with its rows. Number 0 is the table itself; `edges` lead from rows of
    one table to the rows of another that reference them.

    `gone`, a recursive CTE of the tools, has each row as the number of its table and its key in the slots of that table. The
    other slots are NULL, so every value keeps its own type. If a server cannot do that, one edge is followed at a time: `edge`,
    from the rows with these `keys`.
    """

    tables: Sequence[Mapping[str, Any]]
    edges: Sequence[Mapping[str, Any]]
    engine: str
    edge: int = 0
    keys: Sequence[Sequence[Any]] = ()
    own_key: Sequence[str] = ()
    moved: Sequence[Sequence[Any]] = ()

    @classmethod
    def of(cls, values: Mapping[str, Any], engine: str) -> RelatedTables:
        own = {name: values.get(name) for name in ("schema", "table", "columns", "key")}
        tables, edges = values["relatives"]["tables"], values["relatives"]["edges"]
        own_key = values["relatives"].get("own", {}).get("key") or values.get("key") or ()
        edge, keys, moved = values.get("edge", 0), values.get("keys", ()), values.get("moved", ())
        return cls([own, *tables], edges, engine, edge, keys, own_key, moved)

    def items(self, over: str) -> Iterator[tuple[Mapping[str, Any], Mapping[str, str]]]:
        """Yield the items of a list, each with the values of its placeholders."""
        if over == "edges":
            yield from ((edge, self._edge(edge)) for edge in self.edges)
        elif over == "edge":
            child = self.edges[self.edge]["child"]
            yield self.tables[child], self._edge(self.edges[self.edge]) | self._itself(child)
        elif over == "moved":
            if self.own_key and self.moved:
                yield {}, {"named": self._named(0), "key": ", ".join(map(self._quoted, self.own_key))}
        elif over == "tables":
            for number, table in enumerate(self.tables):
                yield table, {"number": str(number), "named": self._named(number), "here": self._here("t", number)}
        else:
            yield from (({}, slot) for slot in self._slots() if over == "slots" or slot["own"] != "NULL")

    def among(self, write: Write) -> None:
        """Write the condition that a parent's row has one of the keys, spelled out: MariaDB uses no index for a list of rows."""
        parent = self.edges[self.edge]["parent"]
        columns = [f"p.{self._quoted(column)}" for column in self.tables[parent]["key"]]
        write.plain("(")
        for number, key in separated(write, self.keys, " OR "):
            write.plain("(")
            for place, (column, value) in separated(write, zip(columns, key, strict=True), " AND "):
                write.paste(column)
                write.plain(" = ")
                write.bind(f"among_{number}_{place}", value)
            write.plain(")")
        write.plain(")")

    def moved_keys(self, write: Write) -> None:
        """Write the keys of the table's own rows that have moved because they were changed: (…), (…)."""
        for number, key in separated(write, self.moved, ", "):
            write.plain("(")
            for place, value in separated(write, key, ", "):
                write.bind(f"moved_{number}_{place}", value)
            write.plain(")")

    def _edge(self, edge: Mapping[str, Any]) -> dict[str, str]:
        child, parent = edge["child"], edge["parent"]
        on = " AND ".join(f"p.{self._quoted(theirs)} = c.{self._quoted(ours)}" for ours, theirs in edge["pairs"])
        keys = [
            f"c.{self._quoted(column)}" if number == child else "NULL"
            for number, table in enumerate(self.tables)
            for column in table["key"] or ()
        ]
        return {
            "child": self._named(child),
            "parent": self._named(parent),
            "child_number": str(child),
            "parent_number": str(parent),
            "on": on,
            "here": self._here("p", parent),
            "keys": ", ".join(keys),
        }

    def _itself(self, child: int) -> dict[str, str]:
        """Return the key of a child's row, and the condition that another row is the same."""
        key = [self._quoted(column) for column in self.tables[child]["key"]]
        return {
            "number": str(child),
            "child_keys": ", ".join(f"c.{column} AS k{child}_{place}" for place, column in enumerate(key)),
            "itself": " AND ".join(f"t.{column} = c.{column}" for column in key),
        }

    def _slots(self) -> Iterator[dict[str, str]]:
        """Yield each slot's name, and its value for a row of the table itself."""
        for number, table in enumerate(self.tables):
            for place, column in enumerate(table["key"] or ()):
                own = "NULL" if number else self._quoted(column)
                yield {"slot": f"k{number}_{place}", "own": own, "column": own}

    def _here(self, alias: str, number: int) -> str:
        """Return the condition that a row is the one in `gone` (as g)."""
        key = enumerate(self.tables[number]["key"] or ())
        return " AND ".join(f"{alias}.{self._quoted(column)} = g.k{number}_{place}" for place, column in key)

    def _named(self, number: int) -> str:
        table = self.tables[number]
        return f"{self._quoted(table['schema'])}.{self._quoted(table['table'])}"

    def _quoted(self, name: str) -> str:
        return quote(name, self.engine)


@dataclass
class Lists:
    """The lists of a tool, which it writes into a statement."""

    lists: Mapping[str, Listed]
    forms: Mapping[str, str]
    engine: str
    write: Write
    tool: str

    def paste(self, name: str, values: Mapping[str, Any]) -> None:
        """Write a list. Raises ParameterError for a column whose form the tool does not have."""
        listed = self.lists[name]
        if listed.over == "columns":
            self._columns(listed, values["columns"], "")
            return
        family = RelatedTables.of(values, self.engine)
        for _, (item, known) in separated(self.write, family.items(listed.over), listed.between):
            self._template(listed.each, self._of_table(family, known, item))

    def _of_table(
        self, family: RelatedTables, known: Mapping[str, str], item: Mapping[str, Any]
    ) -> Callable[[str], None]:
        def placeholder(name: str) -> None:
            if name == "among":
                family.among(self.write)
            elif name == "keys" and name not in known:
                family.moved_keys(self.write)
            elif name not in known:
                self._columns(self.lists[name], item["columns"], f"{known['number']}_")
            else:
                self.write.paste(known[name])

        return placeholder

    def _columns(self, listed: Listed, columns: Sequence[Mapping[str, Any]], prefix: str) -> None:
        numbered = [(n, c) for n, c in enumerate(columns) if not listed.roles or c.get("role") in listed.roles]
        most = listed.most or max(1, len(numbered))
        groups = [numbered[first : first + most] for first in range(0, len(numbered), most)]
        before, _, after = listed.group.partition("{}")
        begin, _, end = listed.several.partition("{}") if len(groups) > 1 else ("", "", "")
        self.write.plain(begin)
        for _, group in separated(self.write, groups, listed.between):
            self.write.plain(before)
            for _, (number, column) in separated(self.write, group, ", " if listed.most else listed.between):
                self._column(listed.each, column, f"{prefix}{number}")
            self.write.plain(after)
        self.write.plain(end)

    def _column(self, template: str, column: Mapping[str, Any], number: str) -> None:
        def placeholder(name: str) -> None:
            if name == "column":
                self.write.paste(quote(column["column"], self.engine))
            elif name == "form":
                if column["form"] not in self.forms:
                    raise ParameterError(
                        f"{self.tool} has no form {column['form']!r} for the column {column['column']!r}"
                    )
                self._template(self.forms[column["form"]], placeholder)
            elif name == ":name":
                self.write.bind(f"name_{number}", column["column"])
            elif name == ":left":
                self.write.bind(f"left_{number}", column.get("left"))
            else:
                self.write.later(f"value_{number}", str(column["column"]))

        self._template(template, placeholder)

    def _template(self, template: str, placeholder: Callable[[str], None]) -> None:
        position = 0
        for match in _TOKEN.finditer(template):
            self.write.plain(template[position : match.start()])
            position = match.end()
            placeholder(match[1] or match[0])
        self.write.plain(template[position:])
