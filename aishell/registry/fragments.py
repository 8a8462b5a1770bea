"""SQL that several tool files share: `-- include: name` stands for `_fragments/name.sql` of the engine's folder.

The grammar is described for people in tools/README.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from aishell.errors import ToolFileError, UnknownNameError

FOLDER = "_fragments"
_INCLUDE = re.compile(r"^[ \t]*--[ \t]*include[ \t]*(?:\[([^\]]*)\])?:[ \t]*(.*?)[ \t]*(,?)[ \t]*$", re.MULTILINE)

#: File and line.
Place = tuple[str, int]


class SourceLine(NamedTuple):
    """A line of a tool and its place; if a guarded include inserted it, also that guard and the include's place."""

    text: str
    place: Place
    guard: str | None = None
    include: Place | None = None


def included(text: str) -> set[str]:
    """Return the names of the fragments that a file includes, for some servers or for all."""
    return {match[2] for match in _INCLUDE.finditer(text)}


def expand(text: str, source: str, folder: Path | None) -> list[SourceLine]:
    """Return the lines of `text`, with its includes replaced by fragments of `folder`.

    The header includes nothing. Raises ToolFileError for a missing or invalid fragment.
    """
    lines: list[SourceLine] = []
    header = True
    for number, line in enumerate(text.split("\n"), 1):
        place = source, number
        header = header and line.startswith("--")
        if header or not (match := _INCLUDE.match(line)):
            lines.append(SourceLine(line, place))
            continue
        guard, name, comma = match.groups()
        fragment = _fragment(name, folder, place, comma)
        lines += fragment if guard is None else (one._replace(guard=guard, include=place) for one in fragment)
    return lines


def _fragment(name: str, folder: Path | None, place: Place, comma: str) -> Iterator[SourceLine]:
    """Return the lines of a fragment without its leading comment and the empty lines around it. `comma` ends the last line."""
    source = "/".join((*PurePosixPath(place[0]).parts[:2], FOLDER, f"{name}.sql"))
    lines = _text(name, folder, place, source).rstrip().split("\n")
    for number, line in enumerate(lines, 1):
        if _INCLUDE.match(line):
            raise ToolFileError(source, number, "a fragment cannot include another")
    start = next((n for n, line in enumerate(lines) if not line.startswith("--")), len(lines))
    if start in (0, len(lines)):
        raise ToolFileError(source, 1, "a fragment needs a leading comment that describes it, and SQL")
    start = next(n for n, line in enumerate(lines) if n >= start and line.strip())
    if comma and "--" in lines[-1]:
        raise ToolFileError(source, len(lines), "a comma cannot follow it: its last line ends with a comment")
    lines[-1] += comma
    return (SourceLine(line, (source, number)) for number, line in enumerate(lines[start:], start + 1))


def _text(name: str, folder: Path | None, place: Place, source: str) -> str:
    path = folder / f"{name}.sql" if folder is not None and "/" not in name else None
    if path is None or not path.is_file():
        known = [] if folder is None else [path.stem for path in folder.glob("*.sql")]
        unknown = UnknownNameError("fragment", name, known)
        raise ToolFileError(*place, f"{unknown.message}; {unknown.hint}")
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ToolFileError(source, 1, f"cannot be read: {error}") from error
