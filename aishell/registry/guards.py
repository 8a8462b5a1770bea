"""One file for several kinds of servers: `-- find [>= 14]:` and `-- include [with process]: name` apply to some of them.

A file with guards defines several tools, each with its own text without guards. That text is chosen, digested, shown and stored
with a plan. The grammar is described for people in tools/README.md.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise, product

from aishell.errors import ToolFileError
from aishell.registry.clauses import Clause, read_clauses, read_guard
from aishell.registry.fragments import Place, SourceLine

_BLOCK = re.compile(r"-- ([a-z_]+)(?:[ \t]*\[([^\]]*)\])?:(.*)")
_GUARDED = re.compile(r"-- [a-z_]+[ \t]*\[[^\]]*\]:")
_ENGINE = re.compile(r"-- engine:[ \t]*(.*?)[ \t]*(?:[ \t]#.*)?")


@dataclass(frozen=True)
class Choice:
    """The text of a file for some servers, and the place of each of its lines."""

    text: str
    places: Sequence[Place]


@dataclass(frozen=True)
class _Line:
    """A line below the header. `block` is the guard of its block, `include` the guard of the include that inserted it."""

    line: SourceLine
    text: str  # without the guard
    name: str | None = None  # the block that begins with it
    block: Clause | None = None
    include: Clause | None = None

    @property
    def guards(self) -> list[Clause]:
        return [guard for guard in (self.include, self.block) if guard is not None]

    @property
    def written(self) -> Place:
        """The place of its guard in the file."""
        return self.line.include or self.line.place

    def holds(self, cell: Clause) -> bool:
        return all(_holds(guard, cell) for guard in self.guards)


def choices(lines: Sequence[SourceLine], engine: str) -> list[Choice]:
    """Return the texts of a file, one for each set of servers that its guards distinguish. Raises ToolFileError.

    For each server in the header, exactly one of the blocks of a name must apply, and one of several consecutive includes; each
    guard must apply to some server.
    """
    end = next((n for n, line in enumerate(lines) if not line.text.startswith("--")), len(lines))
    if not any(line.guard is not None or _GUARDED.match(line.text) for line in lines[end:]):
        return [Choice("\n".join(line.text for line in lines), [line.place for line in lines])]
    header, body = lines[:end], _body(lines[end:], engine)
    clauses = _servers(header, engine)
    guards = {guard for line in body for guard in line.guards}
    chosen: dict[tuple[int, ...], list[Clause]] = {}
    for cell in (cell for clause in clauses for cell in _cells(clause, guards)):
        _check_blocks(body, cell)
        _check_includes(body, cell)
        chosen.setdefault(tuple(n for n, line in enumerate(body) if line.holds(cell)), []).append(cell)
    _check_all_held(body, set().union(*chosen))
    return [_choice(header, [body[n] for n in numbers], cells) for numbers, cells in chosen.items()]


def _choice(header: Sequence[SourceLine], body: Sequence[_Line], cells: Sequence[Clause]) -> Choice:
    servers = f"-- engine: {', '.join(cell.text for cell in cells)}"
    top = [servers if _ENGINE.fullmatch(line.text) else line.text for line in header]
    places = [*(line.place for line in header), *(line.line.place for line in body)]
    return Choice("\n".join((*top, *(line.text for line in body))), places)


def _servers(header: Sequence[SourceLine], engine: str) -> tuple[Clause, ...]:
    """Return the servers that the header names."""
    number, named = next(
        ((n, match[1]) for n, line in enumerate(header) if (match := _ENGINE.fullmatch(line.text))), (0, "")
    )
    try:
        clauses = read_clauses(named.strip("'\""), engine)
    except ValueError as error:
        raise ToolFileError(*header[number].place, str(error)) from error
    if not clauses:
        raise ToolFileError(*header[number].place, "a tool for every engine cannot have guards")
    return clauses


def _body(lines: Sequence[SourceLine], engine: str) -> list[_Line]:
    body, block = [], None
    for line in lines:
        name, text = None, line.text
        if match := _BLOCK.fullmatch(line.text):
            name, text = match[1], f"-- {match[1]}:{match[3]}"
            block = _guard(match[2], line.place, engine)
        include = _guard(line.guard, line.include or line.place, engine)
        body.append(_Line(line, text, name, block, include))
    return body


def _guard(text: str | None, place: Place, engine: str) -> Clause | None:
    try:
        return None if text is None else read_guard(text, engine)
    except ValueError as error:
        raise ToolFileError(*place, str(error)) from error


def _cells(clause: Clause, guards: Iterable[Clause]) -> Iterator[Clause]:
    """Split the servers of a clause so that each guard holds for all or none of a part."""
    about = [guard for guard in guards if guard.product in ("", clause.product)]
    named = frozenset(name for guard in about for name in guard.with_ | guard.without)
    features = sorted(named - clause.with_ - clause.without)
    for part in _between(clause, sorted({bound for guard in about for _, bound in guard.bounds})):
        for has in product((True, False), repeat=len(features)):
            there = frozenset(name for name, one in zip(features, has, strict=True) if one)
            yield replace(part, with_=part.with_ | there, without=part.without | (frozenset(features) - there))


def _between(clause: Clause, edges: Sequence[tuple[int, ...]]) -> Iterator[Clause]:
    """Split the servers of a clause at these versions: before the first, between each two, and from the last on."""
    for low, high in pairwise([None, *edges, None]):
        bounds = clause.bounds
        if low is not None and not clause.disjoint(Clause(clause.product, (("<", low),))):
            bounds = ((">=", low), *(one for one in bounds if one[0] not in (">=", ">")))
        part = replace(clause, bounds=bounds if high is None else (*bounds, ("<", high)))
        if not part.disjoint(part):
            yield part


def _holds(guard: Clause, cell: Clause) -> bool:
    """Whether a guard holds for every server of a part."""
    if guard.product not in ("", cell.product) or not guard.with_ <= cell.with_ or not guard.without <= cell.without:
        return False
    within = replace(guard, product=cell.product, with_=frozenset(), without=frozenset())
    return not within.disjoint(replace(cell, with_=frozenset(), without=frozenset()))


def _check_blocks(body: Sequence[_Line], cell: Clause) -> None:
    """Raise ToolFileError if two blocks of one name apply to a part of the servers, or none."""
    first: dict[str | None, _Line] = {}
    named = [line for line in body if line.name]
    for line in (line for line in named if line.holds(cell)):
        if (other := first.setdefault(line.name, line)) is not line:
            (path, number), here = other.line.place, line.line.place
            where = f"line {number}" if path == here[0] else f"{path}:{number}"
            raise ToolFileError(*here, f"duplicate block `{line.name}` for {cell.text}, here and in {where}")
    for line in named:
        if line.name not in first:
            raise ToolFileError(*line.line.place, f"there is no block `{line.name}` for {cell.text}")


def _check_includes(body: Sequence[_Line], cell: Clause) -> None:
    """Raise ToolFileError unless exactly one of several consecutive guarded includes applies to a part of the servers."""
    for guarded, run in groupby(body, lambda line: line.include is not None):
        lines = list(run)
        around = None if lines[0].name else lines[0].block
        if not guarded or (around is not None and not _holds(around, cell)):
            continue
        includes = {line.written: line.include for line in lines}
        if (holding := sum(guard is not None and _holds(guard, cell) for guard in includes.values())) != 1:
            applying = "several" if holding else "none"
            raise ToolFileError(*lines[0].written, f"{applying} of these includes apply to {cell.text}")


def _check_all_held(body: Sequence[_Line], held: Collection[int]) -> None:
    """Raise ToolFileError for the first guarded line that applies to no server."""
    for number, line in enumerate(body):
        if number not in held and line.guards:
            guard = " in ".join(f"[{guard.text}]" for guard in line.guards)
            raise ToolFileError(*line.written, f"{guard} matches none of the servers in `engine`")
