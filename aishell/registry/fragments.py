"""SQL that several tool files share: `-- include: name` stands for `_fragments/name.sql` of the engine's folder.

The grammar is described for people in tools/README.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from aishell.errors import ToolFileError, UnknownNameError

FOLDER = "_fragments"
_INCLUDE = re.compile(r"^[ \t]*--[ \t]*include:[ \t]*(\S*?)(,?)[ \t]*$", re.MULTILINE)
_ASKED = re.compile(r"^[ \t]*--[ \t]*include[ \t]*(?:\[[^\]]*\])?:[ \t]*(\S*?),?[ \t]*$", re.MULTILINE)

#: File and line.
Place = tuple[str, int]


def included(text: str) -> set[str]:
    """The names of the fragments a file asks for, for some servers or for all."""
    return set(_ASKED.findall(text))


def expand(text: str, source: str, folder: Path | None) -> tuple[str, list[Place]]:
    """`text` with fragments of `folder` in place of its includes, and where each of its lines comes from.

    The header includes nothing. Raises ToolFileError for a fragment that is not there, or not as it should be.
    """
    lines: list[tuple[str, Place]] = []
    header = True
    for number, line in enumerate(text.split("\n"), 1):
        header = header and line.startswith("--")
        if not header and (match := _INCLUDE.match(line)):
            lines += _fragment(match[1], folder, (source, number), match[2])
        else:
            lines.append((line, (source, number)))
    return "\n".join(line for line, _ in lines), [place for _, place in lines]


def _fragment(name: str, folder: Path | None, place: Place, comma: str) -> Iterator[tuple[str, Place]]:
    """The lines of a fragment, but for its leading comment and the empty lines around its SQL. `comma` goes behind the last."""
    path = folder / f"{name}.sql" if folder is not None and "/" not in name else None
    if path is None or not path.is_file():
        known = [] if folder is None else [path.stem for path in folder.glob("*.sql")]
        unknown = UnknownNameError("fragment", name, known)
        raise ToolFileError(*place, f"{unknown.message}; {unknown.hint}")
    source = "/".join((*PurePosixPath(place[0]).parts[:2], FOLDER, f"{name}.sql"))
    try:
        lines = path.read_text(encoding="utf-8").rstrip().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ToolFileError(source, 1, f"it cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        if _INCLUDE.match(line):
            raise ToolFileError(source, number, "a fragment includes no other")
    start = next((n for n, line in enumerate(lines) if not line.startswith("--")), len(lines))
    if start in (0, len(lines)):
        raise ToolFileError(source, 1, "a fragment is a comment that says what it is, and SQL below it")
    start = next(n for n, line in enumerate(lines) if n >= start and line.strip())
    if comma and "--" in lines[-1]:
        raise ToolFileError(source, len(lines), "a comma cannot go behind it: its last line ends with a comment")
    lines[-1] += comma
    return ((line, (source, number)) for number, line in enumerate(lines[start:], start + 1))
