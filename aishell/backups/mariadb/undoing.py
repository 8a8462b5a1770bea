"""The exchange on MariaDB is tried before, as far as that touches nothing, and what fails behind it is undone or told exactly."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from aishell.backups.create.making import Work
from aishell.backups.mariadb.definitions import (
    EVERY_KIND,
    REPLACED,
    RESTORED,
    ROUTINES,
    TRIGGER,
    VIEW,
    Definition,
    definitions,
    drop,
    inside,
    make,
    noted,
    unchanged,
)
from aishell.backups.mariadb.dump import quietly
from aishell.backups.verify.checking import few
from aishell.commands import command
from aishell.databases.base import Session
from aishell.errors import AishellError, BackupError, DatabaseError
from aishell.models import Row
from aishell.registry.render import render

_SEQUENCE = re.compile(r"nextval\(`((?:[^`]|``)*)`\.`((?:[^`]|``)*)`\)")
#: What stopped it is over when the run is resumed, which then goes on with the exchange.
_RESUMED = ("connection_lost", "connect", "cancelled")


def rehearse(work: Work, rows: Sequence[Row]) -> None:
    """Take away and make again what was restored, where it is, and the routines that are to be replaced, where they are kept.

    The live database is not touched. Raises BackupError naming what the server does not take: nothing may be exchanged then.
    """
    for name, origin, kinds in (
        (work.params["place"], RESTORED, EVERY_KIND),
        (work.params["kept"], REPLACED, ROUTINES),
    ):
        wanted = [one for one in noted(rows, origin) if one.kind in kinds]
        with inside(work, name) as session, quietly(work, session), _naming(name, wanted):
            drop(work, session, kinds)
            make(work, session, wanted)
            changed = _other(wanted, definitions(work, session))
            if changed:
                raise BackupError(f"made again in {name}, these are not what they were: {few(changed)}")
            if origin == REPLACED:
                drop(work, session, kinds)


@contextmanager
def _naming(name: str, wanted: Sequence[Definition]) -> Iterator[None]:
    try:
        yield
    except DatabaseError as error:
        if error.kind in _RESUMED:
            raise
        raise BackupError(
            f"the server does not take away and make again what it shows itself: {error.message}",
            hint=f"it was tried in {name}, with {few([f'{one.kind} {one.name}' for one in wanted])}; restore beside the "
            "database, and exchange by hand",
        ) from error


def _other(wanted: Sequence[Definition], found: Sequence[Definition]) -> list[str]:
    """What is missing or other than it was."""
    there = set(found)
    return sorted(f"{one.kind} {one.name}" for one in wanted if one not in there)


@contextmanager
def undone_where_it_fails(work: Work, rows: Sequence[Row], about: Mapping[str, Any]) -> Iterator[None]:
    """What is done behind the exchange of the tables: where it fails they are changed back.

    Raises BackupError saying what failed, and what stands where now. A connection that is lost, and who interrupts the run, leave
    it as it is: the run goes on from there when it is resumed.
    """
    database, kept = work.params["database"], work.params["kept"]
    try:
        yield
    except (BackupError, DatabaseError) as error:
        if isinstance(error, DatabaseError) and error.kind in _RESUMED:
            raise BackupError(
                f"{error.message}; the tables of the backup are in {database}, and those that were there in {kept}; "
                "views, routines, triggers and events may be missing",
                hint=f"{command('runs', 'resume', work.context.run_id[:8])} goes on with it",
            ) from error
        try:
            missing = _undo(work, rows, about)
        except AishellError as second:
            raise BackupError(
                f"{error.message}; it could not be undone: {second.message}. {_standing(work, about)}",
                hint=f"what is missing is written down in {kept}.aishell_definitions",
            ) from error
        if missing:
            raise BackupError(
                f"{error.message}; the tables of {database} are back, and these are not: {few(missing)}",
                hint=f"their text is in {kept}.aishell_definitions",
            ) from error
        raise BackupError(
            f"{error.message}; nothing was replaced: all that was in {database} is back", hint=error.hint
        ) from error


def _undo(work: Work, rows: Sequence[Row], about: Mapping[str, Any]) -> list[str]:
    """All as it was before the tables changed hands; what could not be made again."""
    database, place, kept = (work.params[name] for name in ("database", "place", "kept"))
    before = noted(rows, REPLACED)
    with inside(work, database) as session, inside(work, place) as beside:
        drop(work, session, (TRIGGER,))
        moves = [((database, name), (place, name)) for name in tables_in(work, database)]
        moves += [((kept, name), (database, name)) for name in tables_in(work, kept)]
        statement = render(work.tool, work.tool.blocks["do_move"], {"moves": moves}, work.context.database)
        work.context.on_sent(statement, session)
        session.execute(statement)
        work.query("do_adopt", session, **about["before"])
        same = unchanged(definitions(work, session), before)
        drop(work, session, EVERY_KIND, keep=same)
        why: dict[Definition, str] = {}
        for some in _in_turn([one for one in before if one not in same]):
            try:
                make(work, session, some)
            except DatabaseError as error:
                why |= dict.fromkeys(some, error.message)
        there = {(one.kind, one.name) for one in definitions(work, session)}
        missing = [f"{one.kind} {one.name} ({text})" for one, text in why.items() if (one.kind, one.name) not in there]
        with quietly(work, beside):
            lend(work, beside, place, database)
            make(work, beside, (one for one in noted(rows, RESTORED) if one.kind == TRIGGER))
    if not missing:
        with work.context.writing() as session, quietly(work, session):
            work.query("back_drop_kept", session)
    return missing


def _in_turn(before: Sequence[Definition]) -> Iterator[list[Definition]]:
    """One at a time, but views together: they wait for each other."""
    views = [one for one in before if one.kind == VIEW]
    for one in before:
        if one.kind != VIEW:
            yield [one]
        elif one is views[0]:
            yield views


def _standing(work: Work, about: Mapping[str, Any]) -> str:
    """Which tables are where, in a sentence."""
    database, place, kept = (work.params[name] for name in ("database", "place", "kept"))
    try:
        if tables_in(work, place) or not (about["restored"] or tables_in(work, kept)):
            return f"The tables of {database} are those that were there"
        return f"The tables of the backup are in {database}, and those that were there in {kept}"
    except AishellError:
        return f"Look where the tables of {database} are: here, or in {kept}"


def lend(work: Work, session: Session, database: str, other: str) -> None:
    """Let columns of the session's database, which is `database`, take their values from its sequences, not from the other's.

    Raises BackupError for a default that is not understood.
    """
    for row in work.query("borrowing", session, database=database, place=other):
        found = _SEQUENCE.fullmatch(row["default"])
        if found is None:
            raise BackupError(f"the default of {row['table']}.{row['column']} is not understood: {row['default']}")
        sequence = found[2].replace("``", "`")
        work.query("lend", session, table=row["table"], column=row["column"], sequence=sequence)


def tables_in(work: Work, name: str) -> list[str]:
    """What can be moved of a database: tables and sequences."""
    return [row["name"] for row in work.query("tables_in", name=name) if row["type"] != "VIEW"]
