"""One file for several kinds of servers: `-- find [>= 14]:` and `-- include [with process]: name` are there for some of them.

A file with guards stands for several tools, each with a text of its own without any: what is chosen, digested, shown and kept
with a plan is that text. The grammar is described for people in tools/README.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, product

from aishell.errors import ToolFileError
from aishell.registry.clauses import Clause, read_clauses, read_guard

_MARK = re.compile(r"^([ \t]*--[ \t]*)(include|[a-z_]+)[ \t]*(?:\[([^\]]*)\])?:(.*)$")
_ANY = re.compile(r"^[ \t]*--[ \t]*[a-z_]+[ \t]*\[", re.MULTILINE)
_ENGINE = re.compile(r"^-- engine:.*$", re.MULTILINE)
_INCLUDE = "include"


@dataclass(frozen=True)
class Choice:
    """The text of a file for some servers, and the line of the file that each of its lines is."""

    text: str
    lines: Sequence[int]


@dataclass(frozen=True)
class _Line:
    """A line below the header. `block`: the guard of the block that it stands in; `guard`: its own, of an include; None: none."""

    number: int
    text: str
    name: str = ""  # of the block that begins with it, or `include`
    block: Clause | None = None
    guard: Clause | None = None

    def holds(self, cell: Clause) -> bool:
        return all(guard is None or _holds(guard, cell) for guard in (self.block, self.guard))


def choices(text: str, source: str, engine: str) -> list[Choice]:
    """What the file is for each kind of servers, as different as its guards make it. Raises ToolFileError.

    For each of the servers that the header names, one of several blocks of a name holds, and one of several includes that
    follow each other.
    """
    if not _ANY.search(text) or not (named := _ENGINE.search(text)):
        return [Choice(text, range(1, text.count("\n") + 2))]
    header, body = _read(text, source, engine)
    try:
        clauses = read_clauses(named[0].partition(":")[2].strip(), engine)
    except ValueError:
        return [Choice(text, range(1, text.count("\n") + 2))]  # refused with the rest of the header
    guards = {guard for line in body for guard in (line.block, line.guard) if guard is not None}
    chosen: dict[tuple[int, ...], list[Clause]] = {}
    for cell in (cell for clause in clauses for cell in _cells(clause, guards)):
        _check(body, cell, source)
        chosen.setdefault(tuple(line.number for line in body if line.holds(cell)), []).append(cell)
    by_number = {line.number: line for line in body}
    made = []
    for numbers, cells in chosen.items():
        servers = ", ".join(cell.text for cell in cells)
        top = [_ENGINE.sub(f"-- engine: {servers}", line) for line in header]
        kept = [_MARK.sub(r"\1\2:\4", by_number[number].text) for number in numbers]
        made.append(Choice("\n".join((*top, *kept)), (*range(1, len(header) + 1), *numbers)))
    return made


def _read(text: str, source: str, engine: str) -> tuple[list[str], list[_Line]]:
    """The header, and the lines below it."""
    lines = text.split("\n")
    end = next((n for n, line in enumerate(lines) if not line.startswith("--")), len(lines))
    body, block = [], None
    for number, line in enumerate(lines[end:], end + 1):
        match = _MARK.match(line)
        if match is None or (match[2] != _INCLUDE and match[1] != "-- "):
            body.append(_Line(number, line, block=block))
            continue
        try:
            guard = None if match[3] is None else read_guard(match[3], engine)
        except ValueError as error:
            raise ToolFileError(source, number, str(error)) from error
        if match[2] == _INCLUDE:
            body.append(_Line(number, line, _INCLUDE, block, guard))
        else:
            block = guard
            body.append(_Line(number, line, match[2], block))
    return lines[:end], body


def _cells(clause: Clause, guards: Iterable[Clause]) -> Iterator[Clause]:
    """The servers of a clause, split so finely that each guard holds for all or none of a part."""
    about = [guard for guard in guards if guard.product in ("", clause.product)]
    features = sorted({name for guard in about for name in guard.with_ | guard.without} - clause.with_ - clause.without)
    edges = sorted({bound for guard in about for _, bound in guard.bounds})
    for low, high in zip([None, *edges], [*edges, None], strict=True):
        bounds = tuple(one for one in clause.bounds if low is None or one[0] not in (">=", ">"))
        bounds = (*(() if low is None else ((">=", low),)), *bounds, *(() if high is None else (("<", high),)))
        if low is not None and clause.disjoint(Clause(clause.product, (("<", low),))):
            bounds = (*clause.bounds, *(() if high is None else (("<", high),)))
        part = replace(clause, bounds=bounds)
        if part.disjoint(part) or part.disjoint(clause):
            continue
        for has in product((True, False), repeat=len(features)):
            there = frozenset(name for name, one in zip(features, has, strict=True) if one)
            yield replace(part, with_=part.with_ | there, without=part.without | (frozenset(features) - there))


def _holds(guard: Clause, cell: Clause) -> bool:
    """Whether a guard holds for every server of a part."""
    if guard.product not in ("", cell.product) or not guard.with_ <= cell.with_ or not guard.without <= cell.without:
        return False
    within = replace(guard, product=cell.product, with_=frozenset(), without=frozenset())
    return not within.disjoint(replace(cell, with_=frozenset(), without=frozenset()))


def _check(body: Sequence[_Line], cell: Clause, source: str) -> None:
    """Raises ToolFileError where a part of the servers is given two of a block or of includes, or none."""
    first: dict[str, _Line] = {}
    for line in (line for line in body if line.name not in ("", _INCLUDE)):
        if line.holds(cell):
            if (other := first.get(line.name)) is not None:
                message = f"the block `{line.name}` stands twice for {cell.text}, here and in line {other.number}"
                raise ToolFileError(source, line.number, message)
            first[line.name] = line
    for line in body:
        if line.name not in ("", _INCLUDE, *first):
            raise ToolFileError(source, line.number, f"there is no block `{line.name}` for {cell.text}")
    for guarded, run in groupby(body, lambda line: line.name == _INCLUDE and line.guard is not None):
        lines = list(run)
        if not guarded or (lines[0].block is not None and not _holds(lines[0].block, cell)):
            continue
        if (holding := sum(line.holds(cell) for line in lines)) != 1:
            what = "none holds" if not holding else "several hold"
            raise ToolFileError(source, lines[0].number, f"of these includes {what} for {cell.text}")
