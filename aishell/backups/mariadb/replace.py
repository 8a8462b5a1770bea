"""Replaces a MariaDB database by a restored one: tables are moved, everything else is recreated.

The state on the server shows where it was interrupted: definitions are recorded in the database that keeps the replaced tables
before anything is dropped, the restored database has no tables once they were moved, and is dropped last. A failure after the
move is undone.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aishell.backups.create.making import Work
from aishell.backups.mariadb import definitions as defined
from aishell.backups.mariadb.definitions import (
    ABOUT,
    EVENT,
    EVERY_KIND,
    REPLACED,
    RESTORED,
    TRIGGER,
    VIEW,
    Definition,
    inside,
)
from aishell.backups.mariadb.dump import quietly
from aishell.backups.mariadb.fingerprints import structure
from aishell.backups.restore import restore as restoring
from aishell.backups.restore.restore import differences, nothing_replaced, restored
from aishell.backups.store.manifest import INCREMENTAL
from aishell.backups.verify.checking import few, working
from aishell.commands import command
from aishell.databases.base import Database, Session, Statement
from aishell.errors import AishellError, BackupError, DatabaseError
from aishell.models import Row
from aishell.registry.render import ONLY_BACK, foreseen, foreseen_program
from aishell.registry.tool import Tool
from aishell.reporting.units import definition, exact
from aishell.running.context import Context

Move = tuple[tuple[str, str], tuple[str, str]]
_SEQUENCE = re.compile(r"nextval\(`((?:[^`]|``)*)`\.`((?:[^`]|``)*)`\)")
#: Errors after which a resumed run can continue the exchange.
_RESUMED = ("connection_lost", "connect", "cancelled")


def replace(tool: Tool, params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`replace_database`: move the content of the restored database into the live one, whose own content is kept.

    Raises BackupError, and changes nothing, if the restored database differs from the backup, or something would break.
    """
    with working(tool, params, context) as work:
        place, notes = params["place"], list[str]()
        if work.query("there", place=place):
            with nothing_replaced():
                rows = _recorded(work) or _begin(work)
                about = json.loads(defined.noted(rows, ABOUT)[0].statement)
                if not _is_moved(work, about):
                    rehearse(work, rows)
                    _move(work, rows)
            with undo_on_failure(work, rows, about):
                _remake(work, rows, about)
                _require_definitions(work)
                notes = _enable_events(work, about)
            with context.writing() as session, quietly(work, session):
                work.query("do_drop_place", session)
        elif not work.query("there", place=params["kept"]):
            raise BackupError(f"the database {place} no longer exists", hint=restoring.restart_hint(work))
        removal = work.statement("removal").text
        return restoring.outcome(work, compared=params["compare"], kept=params["kept"], removal=removal, notes=notes)


def _begin(work: Work) -> list[Row]:
    """Check the requirements and record the definitions to recreate, without touching the live database."""
    if not work.params["back"]:
        restoring.require_safety(work)
    if obstacles := [str(row["why"]) for row in work.query("obstacles")]:
        why = f"{work.params['database']} is not replaced: {few(obstacles)}"
        raise BackupError(
            why, hint="remove these obstacles first, or move the tables of the restored database yourself"
        )
    if not work.params["back"]:
        method, _, manifest = restored(work)
        restoring.require_same(work, method, manifest, work.params["place"])
    found = planned_exchange(work)
    about = {
        "restored": len(tables_in(work, work.params["place"])),
        "enable": found.enable,
        "asleep": found.asleep,
        "defaults": dict(found.wished),
        "before": dict(found.defaults),
    }
    return _record(work, found.before, found.after, about, found.defaults)


def _record(
    work: Work, before: Sequence[Definition], after: Sequence[Definition], about: Mapping[str, Any], defaults: Row
) -> list[Row]:
    """Create the database that keeps the replaced content, and record in it the definitions to recreate."""
    with work.context.writing() as session, quietly(work, session):
        work.query("keep", session, **defaults)
        work.query("notebook", session)
        with session.transaction():
            defined.note(work, session, REPLACED, before)
            defined.note(work, session, RESTORED, after)
            defined.note(
                work, session, ABOUT, [Definition("run", work.context.run_id, "", "utf8mb4", "", json.dumps(about))]
            )
    return _recorded(work)


def _is_moved(work: Work, about: Mapping[str, Any]) -> bool:
    """Whether the tables were already exchanged."""
    database, place, kept = (tables_in(work, work.params[name]) for name in ("database", "place", "kept"))
    return not place and bool(about["restored"] or kept or not database)


def _move(work: Work, rows: Sequence[Row]) -> None:
    """Move the tables in one statement, after dropping triggers, which are recreated if it fails."""
    database, place = work.params["database"], work.params["place"]
    chosen = moves(work)
    with inside(work, database) as session, inside(work, place) as beside:
        defined.drop(work, session, (TRIGGER,))
        with quietly(work, beside):
            defined.drop(work, beside, (TRIGGER,))
        try:
            work.send("do_move", session, moves=chosen)
        except DatabaseError:
            with suppress(DatabaseError):  # the connection is lost: a resumed run continues from here
                defined.make(work, session, (one for one in defined.noted(rows, REPLACED) if one.kind == TRIGGER))
                defined.make(work, beside, (one for one in defined.noted(rows, RESTORED) if one.kind == TRIGGER))
            raise


def _remake(work: Work, rows: Sequence[Row], about: Mapping[str, Any]) -> None:
    """Recreate everything but tables as in the restored database, and let columns use the moved sequences."""
    wanted = defined.noted(rows, RESTORED)
    with inside(work, work.params["database"]) as session:
        same = defined.unchanged(defined.definitions(work, session), wanted)
        defined.drop(work, session, EVERY_KIND, keep=same)
        work.query("do_adopt", session, **about["defaults"])
        use_own_sequences(work, session, work.params["database"], work.params["place"])
        defined.make(work, session, (one for one in wanted if one not in same))


def _require_definitions(work: Work) -> None:
    """Compare the recreated definitions with the backup; rows were compared before the move."""
    _, _, manifest = restored(work)
    prints = restoring.expected(work, manifest)
    if prints is None:
        return
    with inside(work, work.params["database"]) as session:
        now = structure(work, session).prints
    different = differences([one for one in prints if one.kind != "rows"], now)
    if different:
        raise BackupError(f"{work.params['database']} was replaced, but differs from the backup: {few(different)}")


def _enable_events(work: Work, about: Mapping[str, Any]) -> list[str]:
    """Enable the events that were enabled. Returns notes on those that stay disabled."""
    with inside(work, work.params["database"]) as session:
        for name in about["enable"]:
            work.query("enable", session, name=name)
    if not about["asleep"]:
        return []
    return [f"events that were enabled in the full backup but stay disabled: {', '.join(about['asleep'])}"]


def _recorded(work: Work) -> list[Row]:
    """The recorded definitions; empty if none were recorded yet."""
    return work.query("noted") if work.query("notebooks") else []


@dataclass(frozen=True)
class Exchange:
    """`before`, `after`: the live database's definitions, old and new; `defaults`, `wished`: its character sets, likewise.

    `enable`: the events to enable; `asleep`: those enabled in the full backup that stay disabled.
    """

    before: Sequence[Definition]
    after: Sequence[Definition]
    defaults: Row
    wished: Row
    enable: Sequence[str] = ()
    asleep: Sequence[str] = ()


def planned_exchange(work: Work) -> Exchange:
    """Plan the exchange, by reading only. Raises BackupError for a definition that cannot be read."""
    place, back = work.params["place"], work.params["back"]
    with inside(work, work.params["database"]) as session:
        before = defined.definitions(work, session)
        enabled = {row["name"] for row in work.query("events", session) if row["status"] == "ENABLED"}
        defaults = work.query("defaults", session)[0]
    with inside(work, place) as session:
        after = [] if back else defined.definitions(work, session)
        wished = work.query("defaults", session)[0]
    if back:  # recorded with the replaced tables
        return Exchange(before, defined.noted(work.query("noted", kept=place), REPLACED), defaults, wished)
    _, first, manifest = restored(work)
    wanted = set(first.details.get("enabled_events", ())) & {one.name for one in after if one.kind == EVENT}
    # Increments may have disabled an event, which is not known: it must be enabled in the live database too.
    grown = manifest.kind == INCREMENTAL
    enable, asleep = (wanted & enabled, wanted - enabled) if grown else (wanted, set[str]())
    return Exchange(before, after, defaults, wished, sorted(enable), sorted(asleep))


def moves(work: Work) -> list[Move]:
    """The moves of one RENAME TABLE: the tables of the live database out, those of the restored one in."""
    database, place, kept = (work.params[name] for name in ("database", "place", "kept"))
    out: list[Move] = [((database, name), (kept, name)) for name in tables_in(work, database)]
    return [*out, *(((place, name), (database, name)) for name in tables_in(work, place))]


def foresee(tool: Tool, params: Mapping[str, Any], context: Context) -> list[Statement]:
    """All statements of the exchange in order, with present names, and those sent only if it fails."""
    work = Work(tool, params, context, Path())
    if not work.query("there", place=params["place"]) or not moves(work):
        return foreseen_program(tool, params, context.database)
    return list(_statements(work, planned_exchange(work), context.database))


def _statements(work: Work, found: Exchange, database: Database) -> Iterator[Statement]:
    tool, params = work.tool, work.params
    named = exact(params["database"])
    goes, made_again = f"replaced in {named}", f"created again in {named}, as the server shows it"

    def one(block: str, note: str, **values: Any) -> Statement:
        return dataclasses.replace(foreseen(tool, tool.blocks[block], {**params, **values}, database), note=note)

    there = moves(work)
    same = defined.unchanged(found.before, found.after)
    yield one("keep", "keeps what is replaced, and its definitions", **found.defaults)
    for each in found.before:
        if each.kind == TRIGGER:
            yield one("drop_trigger", f"{goes}: its table is moved", name=each.name)
    yield one("do_move", "exchanges the tables of both databases in one statement", moves=there)
    for each in found.before:
        if each not in same and each.kind not in (TRIGGER, "package body"):  # a body is dropped with its package
            yield one(f"drop_{each.kind}", goes, name=each.name)
    yield one("do_adopt", "defaults for new tables", **found.wished)
    yield from (_text(each, made_again) for each in found.after if each not in same)
    yield from (one("enable", f"enabled again in {named}", name=name) for name in found.enable)
    yield one("do_drop_place", "it is empty by then")
    back = sorted(((end, start) for start, end in there), key=lambda move: move[0][0] != params["database"])
    yield one("do_move", f"{ONLY_BACK}: moves the tables back", moves=back)  # restored tables first
    yield from (_text(each, f"{ONLY_BACK}: {made_again}") for each in found.before if each not in same)
    yield one("do_adopt", ONLY_BACK, **found.defaults)
    yield one("back_drop_kept", f"{ONLY_BACK}, once it is empty")


def _text(wanted: Definition, note: str) -> Statement:
    """A definition as the server shows it, by which it is recreated."""
    return Statement("", {}, wanted.statement, definition(wanted.statement), note=note)


def rehearse(work: Work, rows: Sequence[Row]) -> None:
    """Drop and recreate the definitions in the restored database, and create the live database's routines in `kept`.

    The live database is not touched. Raises BackupError naming what the server rejects: nothing may be exchanged then.
    """
    for name, origin, kinds in (
        (work.params["place"], RESTORED, EVERY_KIND),
        (work.params["kept"], REPLACED, defined.ROUTINES),
    ):
        wanted = [one for one in defined.noted(rows, origin) if one.kind in kinds]
        with inside(work, name) as session, quietly(work, session), _explain_rejection(name, wanted):
            defined.drop(work, session, kinds)
            defined.make(work, session, wanted)
            there = set(defined.definitions(work, session))
            changed = sorted(f"{one.kind} {one.name}" for one in wanted if one not in there)
            if changed:
                raise BackupError(f"these differ after they were created again in {name}: {few(changed)}")
            if origin == REPLACED:
                defined.drop(work, session, kinds)


@contextmanager
def _explain_rejection(name: str, wanted: Sequence[Definition]) -> Iterator[None]:
    try:
        yield
    except DatabaseError as error:
        if error.kind in _RESUMED:
            raise
        tried = few([f"{one.kind} {one.name}" for one in wanted])
        how = f"restore beside the database and exchange the tables yourself; tried in {name}: {tried}"
        raise BackupError(f"the server does not accept its own definitions: {error.message}", hint=how) from error


@contextmanager
def undo_on_failure(work: Work, rows: Sequence[Row], about: Mapping[str, Any]) -> Iterator[None]:
    """Undo the exchange of the tables if the block fails.

    Raises BackupError with the cause and the present state. After a lost connection or an interruption nothing is undone: a
    resumed run continues from there.
    """
    database, kept = work.params["database"], work.params["kept"]
    try:
        yield
    except (BackupError, DatabaseError) as error:
        if isinstance(error, DatabaseError) and error.kind in _RESUMED:
            where = f"{database} has the tables of the backup, and {kept} the old ones"
            lacks = "views, routines, triggers and events may be missing"
            resume = f"{command('runs', 'resume', work.context.run_id[:8])} continues it"
            raise BackupError(f"{error.message}; {where}; {lacks}", hint=resume) from error
        result, how = f"nothing was replaced: {database} has its old content again", error.hint
        try:
            missing = _undo(work, rows, about)
            if missing:
                result = f"the tables of {database} are back, but not: {few(missing)}"
                how = f"their text is in {kept}.aishell_definitions"
        except AishellError as second:
            result = f"it could not be undone: {second.message}. {_describe_tables(work, about)}"
            how = f"missing definitions are recorded in {kept}.aishell_definitions"
        raise BackupError(f"{error.message}; {result}", hint=how) from error


def _undo(work: Work, rows: Sequence[Row], about: Mapping[str, Any]) -> list[str]:
    """Restore the state before the tables were moved. Returns the definitions that could not be recreated."""
    database, place, kept = (work.params[name] for name in ("database", "place", "kept"))
    before = defined.noted(rows, REPLACED)
    with inside(work, database) as session, inside(work, place) as beside:
        defined.drop(work, session, (TRIGGER,))
        moves = [((database, name), (place, name)) for name in tables_in(work, database)]
        moves += [((kept, name), (database, name)) for name in tables_in(work, kept)]
        work.send("do_move", session, moves=moves)
        work.query("do_adopt", session, **about["before"])
        same = defined.unchanged(defined.definitions(work, session), before)
        defined.drop(work, session, EVERY_KIND, keep=same)
        why: dict[Definition, str] = {}
        for some in _one_by_one([one for one in before if one not in same]):
            try:
                defined.make(work, session, some)
            except DatabaseError as error:
                why |= dict.fromkeys(some, error.message)
        there = {(one.kind, one.name) for one in defined.definitions(work, session)}
        missing = [f"{one.kind} {one.name} ({text})" for one, text in why.items() if (one.kind, one.name) not in there]
        with quietly(work, beside):
            use_own_sequences(work, beside, place, database)
            defined.make(work, beside, (one for one in defined.noted(rows, RESTORED) if one.kind == TRIGGER))
    if not missing:
        with work.context.writing() as session, quietly(work, session):
            work.query("back_drop_kept", session)
    return missing


def _one_by_one(before: Sequence[Definition]) -> Iterator[list[Definition]]:
    """Definitions one at a time, but all views together, since they may depend on each other."""
    views = [one for one in before if one.kind == VIEW]
    for one in before:
        if one.kind != VIEW:
            yield [one]
        elif one is views[0]:
            yield views


def _describe_tables(work: Work, about: Mapping[str, Any]) -> str:
    """A sentence on where the tables are now."""
    database, place, kept = (work.params[name] for name in ("database", "place", "kept"))
    try:
        if tables_in(work, place) or not (about["restored"] or tables_in(work, kept)):
            return f"{database} has its old tables"
        return f"{database} has the tables of the backup, and {kept} the old ones"
    except AishellError:
        return f"Find out whether the old tables are in {database} or in {kept}"


def use_own_sequences(work: Work, session: Session, database: str, other: str) -> None:
    """Let column defaults in `database`, the session's, use its own sequences instead of those of `other`.

    Raises BackupError for an unsupported default.
    """
    for row in work.query("borrowing", session, database=database, place=other):
        found = _SEQUENCE.fullmatch(row["default"])
        if found is None:
            raise BackupError(f"the default of {row['table']}.{row['column']} is not supported: {row['default']}")
        sequence = found[2].replace("``", "`")
        work.query("lend", session, table=row["table"], column=row["column"], sequence=sequence)


def tables_in(work: Work, name: str) -> list[str]:
    """The names of a database's tables and sequences, which can be moved."""
    return [row["name"] for row in work.query("tables_in", name=name) if row["type"] != "VIEW"]
