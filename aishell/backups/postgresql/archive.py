"""A dump in pg_dump's directory format: its table of contents, the values it sets sequences to, and the rows of chosen tables."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from pathlib import Path

from aishell.backups.create.making import Work
from aishell.backups.postgresql.fingerprints import Values
from aishell.clients.clients import writing
from aishell.errors import BackupError

#: A line of the contents: `3342; 0 16402 TABLE DATA public orders postgres`. Names stand in it as they are, without line breaks.
_ENTRY = re.compile(r"\d+; \d+ \d+ (.+)")
_SET = re.compile(r"^SELECT pg_catalog\.setval\('((?:[^']|'')+)', (-?\d+), (true|false)\);$", re.MULTILINE)
_NAME = re.compile(r'("(?:[^"]|"")+"|[^".]+)\.("(?:[^"]|"")+"|[^".]+)', re.DOTALL)
_DATA = "TABLE DATA "
#: An event trigger, and what is said of one.
_EVENT_TRIGGER = re.compile(r"(COMMENT - |SECURITY LABEL - )?EVENT TRIGGER ")
#: What makes no sense where not all rows come back, and what is said about that.
_LEFT_OUT = re.compile(
    r"TABLE DATA |FK CONSTRAINT |BLOB|MATERIALIZED VIEW DATA |(COMMENT|ACL|SECURITY LABEL) - LARGE OBJECT|COMMENT .+ CONSTRAINT "
)


def contents(work: Work, dump: Path) -> list[str]:
    """The lines of the table of contents, without its comments."""
    said: list[bytes] = []
    work.clients.run(
        "contents", {"folder": dump}, drain=lambda pipe: said.extend(iter(lambda: pipe.read(1 << 16), b""))
    )
    text = b"".join(said).decode(errors="surrogateescape")
    return [line for line in text.split("\n") if _ENTRY.match(line)]


def sequence_values(work: Work, dump: Path, encoding: str) -> Values:
    """The values that a dump sets sequences to. They belong to no snapshot: what the dump read is what comes back.

    `encoding` is the database's, in which the dump has the names.
    """
    chosen = [line for line in contents(work, dump) if _what(line).startswith("SEQUENCE SET ")]
    if not chosen:
        return {}
    list_, file = _listed(work, ".sequences.list", chosen), work.folder / ".sequences.sql"
    try:
        work.clients.run("sequences", {"folder": dump, "list": list_, "file": file})
        text = file.read_text(encoding=_codec(encoding), errors="surrogateescape")
    finally:
        list_.unlink(missing_ok=True)
        file.unlink(missing_ok=True)
    values = {
        _parts(name.replace("''", "'")): (int(value), called == "true") for name, value, called in _SET.findall(text)
    }
    if len(values) != len(chosen):
        raise BackupError(f"of the {len(chosen)} sequences of {dump}, {len(values)} are set")
    return values


def lists(work: Work, dump: Path, tables: Sequence[str]) -> tuple[Path | None, Path | None]:
    """Lists for pg_restore, of what comes first and of what comes last; None stands for everything, and for nothing.

    Event triggers come last: REFRESH MATERIALIZED VIEW, which pg_restore sends beside them, fires those that are there by then,
    and on versions before 17 nothing else keeps all of them from that. Of `tables`, where there are any, see `_chosen_rows`.
    """
    lines = contents(work, dump)
    kept = _chosen_rows(lines, tables) if tables else lines
    last = [line for line in kept if _EVENT_TRIGGER.match(_what(line))]
    if not last:
        return (_listed(work, ".restore.list", kept) if tables else None), None
    first = [line for line in kept if line not in set(last)]
    return _listed(work, ".restore.list", first), _listed(work, ".triggers.list", last)


def _chosen_rows(lines: Sequence[str], tables: Sequence[str]) -> list[str]:
    """Every definition, and the rows of these tables (`schema.table`) alone, without foreign keys.

    pg_restore's own --table brings back neither the types nor the schema of a table, nor its indexes. Raises BackupError for one
    whose rows the dump does not have.
    """
    wanted: set[str] = set()
    for table in tables:
        places = [dot for dot, letter in enumerate(table) if letter == "."]
        named = {f"{_DATA}{table[:dot]} {table[dot + 1 :]} ".replace("\n", " ") for dot in places}
        found = {line for line in lines if _what(line).startswith(tuple(named))} if named else set[str]()
        if not found:
            raise BackupError(
                f"the backup has no rows of {table!r}",
                hint="name it as schema.table; a partitioned table by its partitions, which have the rows",
            )
        wanted |= found
    return [line for line in lines if line in wanted or not _LEFT_OUT.match(_what(line))]


def _what(line: str) -> str:
    match = _ENTRY.match(line)
    return match[1] if match else ""


def _listed(work: Work, name: str, lines: Sequence[str]) -> Path:
    path = work.folder / name
    with writing(path):
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", errors="surrogateescape")
    return path


def _codec(encoding: str) -> str:
    """Python's name of an encoding of PostgreSQL's; where it has none, names beyond ASCII are compared byte by byte."""
    try:
        return codecs.lookup(re.sub(r"^WIN(\d)", r"cp\1", encoding.replace("KOI8", "koi8_"))).name
    except LookupError:
        return "utf-8"


def _parts(name: str) -> tuple[str, str]:
    """`"a""b".c` as its two names. Raises BackupError for what is none."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise BackupError(f"the dump sets {name!r}, which is not a sequence in a schema")
    return _plain(match[1]), _plain(match[2])


def _plain(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
