"""The fingerprints of a MariaDB or MySQL database: of every table's rows, and of all definitions."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from aishell.backups.create.making import Work, require
from aishell.backups.mariadb.login import account
from aishell.backups.mariadb.views import unqualified
from aishell.backups.store.manifest import Fingerprint
from aishell.databases.base import Session
from aishell.databases.quoting import quote
from aishell.errors import DatabaseError
from aishell.models import Row
from aishell.planning.backup_rights import of_routines

TABLES = ("BASE TABLE", "SYSTEM VERSIONED")
#: The first version whose dumps have the history of system-versioned tables.
HISTORY = (10, 11)
_COUNTER = re.compile(r"('(?:[^'\\]|''|\\.)*'|`(?:[^`]|``)*`)| AUTO_INCREMENT=\d+", re.DOTALL)
#: The `mariadb` client always sends a blank after a comment.
_COMMENT = re.compile(r"('(?:[^'\\]|''|\\.)*'|\"(?:[^\"\\]|\"\"|\\.)*\"|`(?:[^`]|``)*`|/\*.*?\*/)(\s*)", re.DOTALL)
_DEFINER = re.compile(r" DEFINER=`(?:[^`]|``)*`@`(?:[^`]|``)*`")


@dataclass(frozen=True)
class ComparedTable:
    """A transactional table, whose rows are compared, with its columns and the form of each."""

    name: str
    columns: Sequence[Mapping[str, str]]
    history: bool = False  # whether historical rows are dumped too


@dataclass(frozen=True)
class Structure:
    """The structure of a database: the fingerprints of all definitions, and the tables whose rows are compared."""

    prints: tuple[Fingerprint, ...]
    tables: tuple[ComparedTable, ...]
    charset: str
    collation: str
    warnings: tuple[str, ...] = ()
    events: Mapping[str, str] = field(default_factory=dict)  # name -> whether it is enabled
    history: bool = False


def structure(work: Work, session: Session) -> Structure:
    """The present structure of the session's database; definitions are not part of a snapshot.

    Raises BackupError if the account cannot see all of it.
    """
    (defaults,) = work.query("defaults", session)
    objects, columns = work.query("tables", session), defaultdict[str, list[Row]](list)
    for row in work.query("columns", session):
        columns[row["name"]].append(row)
    history = work.context.database.product == "mariadb" and work.context.database.version[:2] >= HISTORY
    tables = [
        ComparedTable(row["name"], *_compared(columns[row["name"]], history and row["type"] == "SYSTEM VERSIONED"))
        for row in objects
        if row["type"] in TABLES and row["transactional"]
    ]
    events = work.query("events", session)
    prints = [
        Fingerprint("database", "defaults", None, _hash(defaults["charset"], defaults["collation"])),
        *_objects(work, session, objects),
        *_routines(work, session),
        *(Fingerprint("trigger", row["name"], None, _body(row)) for row in work.query("triggers", session)),
        *(Fingerprint("event", row["name"], None, _body(row)) for row in events if not row["ends"]),
    ]
    return Structure(
        tuple(prints),
        tuple(tables),
        defaults["charset"],
        defaults["collation"],
        tuple(_warnings(objects, columns, history)),
        {row["name"]: row["status"] for row in events},
        any(table.history for table in tables),
    )


def fingerprint(
    work: Work, session: Session, tables: Sequence[ComparedTable], stopped: Callable[[], bool] = lambda: False
) -> tuple[Fingerprint, ...]:
    """The fingerprints of the rows in the session's snapshot. Raises DatabaseError (cancelled) when `stopped` returns true."""
    prints = []
    for table in tables:
        if stopped() or work.context.cancelled():
            raise DatabaseError("the comparison was stopped", kind="cancelled")
        block = "rows_of_all_times" if table.history else "rows"
        (row,) = work.query(block, session, name=table.name, columns=list(table.columns))
        prints.append(Fingerprint("rows", table.name, int(row["rows"]), str(int(row["hash"]))))
    return tuple(prints)


def _compared(columns: Sequence[Row], versioned: bool) -> tuple[list[Mapping[str, str]], bool]:
    """The columns that are compared, and whether the history is compared too."""
    kept = [row for row in columns if row["form"] not in ("period", "transaction")]
    return [{"column": row["column"], "form": row["form"]} for row in kept], versioned and _has_history(columns)


def _objects(work: Work, session: Session, objects: Sequence[Row]) -> Iterator[Fingerprint]:
    own = str(work.query("here", session)[0]["name"])
    database = quote(own, "mysql") + "."
    for row in objects:
        kind = {"VIEW": "view", "SEQUENCE": "sequence"}.get(row["type"], "table")
        (shown,) = work.query(f"{kind}_definition", session, name=row["name"])
        text = next(str(value) for key, value in shown.items() if key.startswith("Create "))
        if kind == "table":
            # A default from a sequence always names the database.
            text = _COUNTER.sub(lambda match: match[1] or "", text).replace(f"nextval({database}", "nextval(")
        if kind == "view":
            text = unqualified(_DEFINER.sub("", text, count=1), own)
        yield Fingerprint(kind, row["name"], None, _hash(text))


def _routines(work: Work, session: Session) -> Iterator[Fingerprint]:
    parameters: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for row in work.query("parameters", session):
        parameters[row["kind"], row["name"]] += [tuple(row.values())]
    for row in work.query("routines", session):
        if row["definition"] is None:
            require(of_routines([row], account(work, session)))
        known = parameters[row["kind"], row["name"]]
        yield Fingerprint(str(row["kind"]), row["name"], None, _body(row, *known))


def _body(row: Row, *more: object) -> str:
    """The hash of an object with a body, such as a routine, without the status of an event."""
    body = _COMMENT.sub(lambda match: match[1] + (" " if match[1][0] == "/" else match[2]), row["definition"])
    return _hash(body, *(value for key, value in row.items() if key not in ("definition", "status", "ends")), *more)


def _warnings(objects: Sequence[Row], columns: Mapping[str, Sequence[Row]], history: bool) -> Iterator[str]:
    tables = [row for row in objects if row["type"] in TABLES]
    unsafe = [f"{row['name']} ({row['engine']})" for row in tables if not row["transactional"]]
    if unsafe:
        yield f"not transactional, so their rows may be inconsistent and are not compared: {', '.join(unsafe)}"
    all_columns = [(row["name"], column) for row in tables for column in columns[row["name"]]]
    rounded = [f"{name}.{column['column']}" for name, column in all_columns if column["type"] == "float"]
    if rounded:
        yield f"FLOAT values are restored with only six digits, as the server prints them: {', '.join(rounded)}"
    for row in tables:
        if row["type"] == "SYSTEM VERSIONED" and not (history and _has_history(columns[row["name"]])):
            yield f"the history of {row['name']} is not in the dump"


def _has_history(columns: Sequence[Row]) -> bool:
    """Whether a dump has the history of a system-versioned table, which it does not if that is by transaction."""
    return all(column["form"] != "transaction" for column in columns)


def _hash(*values: object) -> str:
    return blake2b(repr(values).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
