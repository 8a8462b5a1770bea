"""A restored MariaDB database in the place of the one it is a backup of: the tables moved, all else made again.

Where it was interrupted shows in the server: what has to be made again stands in the database that keeps what is replaced before
anything is taken away, the place has no tables once they were moved, and is dropped last. What fails once they were is undone.
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
#: What stopped it is over when the run is resumed, which then goes on with the exchange.
_RESUMED = ("connection_lost", "connect", "cancelled")


def replace(tool: Tool, params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`replace_database`: the content of the place into the database, whose own is kept.

    Raises BackupError where the place is not what the backup saw, or something would be broken: then nothing has changed.
    """
    with working(tool, params, context) as work:
        place, notes = params["place"], list[str]()
        if work.query("there", place=place):
            with nothing_replaced():
                rows = _noted(work) or _begin(work)
                about = json.loads(defined.noted(rows, ABOUT)[0].statement)
                if not _is_moved(work, about):
                    rehearse(work, rows)
                    _move(work, rows)
            with undone_where_it_fails(work, rows, about):
                _remake(work, rows, about)
                _refuse_changed(work)
                notes = _wake(work, about)
            with context.writing() as session, quietly(work, session):
                work.query("do_drop_place", session)
        elif not work.query("there", place=params["kept"]):
            raise BackupError(f"the database {place} no longer exists", hint=restoring.restart_hint(work))
        removal = work.statement("removal").text
        return restoring.outcome(work, compared=params["compare"], kept=params["kept"], removal=removal, notes=notes)


def _begin(work: Work) -> list[Row]:
    """Refuse what must not be, and write down what has to be made again: nothing of the database is touched."""
    if not work.params["back"]:
        restoring.require_safety(work)
    if obstacles := [str(row["why"]) for row in work.query("obstacles")]:
        why = f"{work.params['database']} is not replaced: {few(obstacles)}"
        raise BackupError(why, hint="end that first, or move the tables of the restored database yourself")
    if not work.params["back"]:
        method, _, manifest = restored(work)
        restoring.require_same(work, method, manifest, work.params["place"])
    found = looked(work)
    about = {
        "restored": len(tables_in(work, work.params["place"])),
        "enable": found.enable,
        "asleep": found.asleep,
        "defaults": dict(found.wished),
        "before": dict(found.defaults),
    }
    return _write_down(work, found.before, found.after, about, found.defaults)


def _write_down(
    work: Work, before: Sequence[Definition], after: Sequence[Definition], about: Mapping[str, Any], defaults: Row
) -> list[Row]:
    """Make the database that keeps what is replaced, and write down in it what has to be made again."""
    with work.context.writing() as session, quietly(work, session):
        work.query("keep", session, **defaults)
        work.query("notebook", session)
        with session.transaction():
            defined.note(work, session, REPLACED, before)
            defined.note(work, session, RESTORED, after)
            defined.note(
                work, session, ABOUT, [Definition("run", work.context.run_id, "", "utf8mb4", "", json.dumps(about))]
            )
    return _noted(work)


def _is_moved(work: Work, about: Mapping[str, Any]) -> bool:
    """Whether the tables were already exchanged."""
    database, place, kept = (tables_in(work, work.params[name]) for name in ("database", "place", "kept"))
    return not place and bool(about["restored"] or kept or not database)


def _move(work: Work, rows: Sequence[Row]) -> None:
    """The tables, in one statement. Triggers are in its way, and come back at once when it fails."""
    database, place = work.params["database"], work.params["place"]
    chosen = moves(work)
    with inside(work, database) as session, inside(work, place) as beside:
        defined.drop(work, session, (TRIGGER,))
        with quietly(work, beside):
            defined.drop(work, beside, (TRIGGER,))
        try:
            work.send("do_move", session, moves=chosen)
        except DatabaseError:
            with suppress(DatabaseError):  # its connection is gone: whoever resumes the run goes on from here
                defined.make(work, session, (one for one in defined.noted(rows, REPLACED) if one.kind == TRIGGER))
                defined.make(work, beside, (one for one in defined.noted(rows, RESTORED) if one.kind == TRIGGER))
            raise


def _remake(work: Work, rows: Sequence[Row], about: Mapping[str, Any]) -> None:
    """All that is no table, as the place had it; sequences are where the tables look for them."""
    wanted = defined.noted(rows, RESTORED)
    with inside(work, work.params["database"]) as session:
        same = defined.unchanged(defined.definitions(work, session), wanted)
        defined.drop(work, session, EVERY_KIND, keep=same)
        work.query("do_adopt", session, **about["defaults"])
        lend(work, session, work.params["database"], work.params["place"])
        defined.make(work, session, (one for one in wanted if one not in same))


def _refuse_changed(work: Work) -> None:
    """Compare the definitions once more, as they are now. The rows were, before they were moved."""
    _, _, manifest = restored(work)
    prints = restoring.expected(work, manifest)
    if prints is None:
        return
    with inside(work, work.params["database"]) as session:
        now = structure(work, session).prints
    different = differences([one for one in prints if one.kind != "rows"], now)
    if different:
        raise BackupError(f"{work.params['database']} was replaced and differs from the backup: {few(different)}")


def _wake(work: Work, about: Mapping[str, Any]) -> list[str]:
    """Enable the events that were enabled; notes on those that are not."""
    with inside(work, work.params["database"]) as session:
        for name in about["enable"]:
            work.query("enable", session, name=name)
    if not about["asleep"]:
        return []
    return [f"these events were enabled in the full backup, and are not now: {', '.join(about['asleep'])}"]


def _noted(work: Work) -> list[Row]:
    """What was written down, in one transaction; nothing where that was not reached."""
    return work.query("noted") if work.query("notebooks") else []


@dataclass(frozen=True)
class Exchange:
    """`before`: the definitions of the database, `after`: those it gets; `defaults` and `wished`: character sets, likewise.

    `enable`: the events that are enabled afterwards; `asleep`: those that were when the full backup was made, and are not now.
    """

    before: Sequence[Definition]
    after: Sequence[Definition]
    defaults: Row
    wished: Row
    enable: Sequence[str] = ()
    asleep: Sequence[str] = ()


def looked(work: Work) -> Exchange:
    """The exchange as it is to be. Only reads. Raises BackupError for a definition that cannot be read."""
    place, back = work.params["place"], work.params["back"]
    with inside(work, work.params["database"]) as session:
        before = defined.definitions(work, session)
        enabled = {row["name"] for row in work.query("events", session) if row["status"] == "ENABLED"}
        defaults = work.query("defaults", session)[0]
    with inside(work, place) as session:
        after = [] if back else defined.definitions(work, session)
        wished = work.query("defaults", session)[0]
    if back:  # they were written down beside the tables that were replaced
        return Exchange(before, defined.noted(work.query("noted", kept=place), REPLACED), defaults, wished)
    _, first, manifest = restored(work)
    wanted = set(first.details.get("enabled_events", ())) & {one.name for one in after if one.kind == EVENT}
    # Whether the binary log has disabled one since the full backup is not known: then today's counts too.
    grown = manifest.kind == INCREMENTAL
    enable, asleep = (wanted & enabled, wanted - enabled) if grown else (wanted, set[str]())
    return Exchange(before, after, defaults, wished, sorted(enable), sorted(asleep))


def moves(work: Work) -> list[Move]:
    """What one RENAME TABLE moves: the tables of the database out, those of the place in."""
    database, place, kept = (work.params[name] for name in ("database", "place", "kept"))
    out: list[Move] = [((database, name), (kept, name)) for name in tables_in(work, database)]
    return [*out, *(((place, name), (database, name)) for name in tables_in(work, place))]


def foresee(tool: Tool, params: Mapping[str, Any], context: Context) -> list[Statement]:
    """All that the exchange will send to the database, in its order, with the names of now; and what only where it fails."""
    work = Work(tool, params, context, Path())
    if not work.query("there", place=params["place"]) or not moves(work):
        return foreseen_program(tool, params, context.database)
    return list(_statements(work, looked(work), context.database))


def _statements(work: Work, found: Exchange, database: Database) -> Iterator[Statement]:
    tool, params = work.tool, work.params
    named = exact(params["database"])
    goes, made_again = f"what is replaced goes from {named}", f"made again in {named}, as the server tells it"

    def one(block: str, note: str, **values: Any) -> Statement:
        return dataclasses.replace(foreseen(tool, tool.blocks[block], {**params, **values}, database), note=note)

    there = moves(work)
    same = defined.unchanged(found.before, found.after)
    yield one("keep", "what is replaced goes there, and its definitions are written down", **found.defaults)
    for each in found.before:
        if each.kind == TRIGGER:
            yield one("drop_trigger", f"{goes}: its table is moved", name=each.name)
    yield one("do_move", "the tables of the one out, those of the other in, at once", moves=there)
    for each in found.before:
        if each not in same and each.kind not in (TRIGGER, "package body"):  # a body goes with its package
            yield one(f"drop_{each.kind}", goes, name=each.name)
    yield one("do_adopt", "what new tables take over", **found.wished)
    yield from (_text(each, made_again) for each in found.after if each not in same)
    yield from (one("enable", f"enabled again in {named}", name=name) for name in found.enable)
    yield one("do_drop_place", "nothing is in it any more")
    back = sorted(((end, start) for start, end in there), key=lambda move: move[0][0] != params["database"])
    yield one("do_move", f"{ONLY_BACK}: the tables as they were", moves=back)  # those that came in go first
    yield from (_text(each, f"{ONLY_BACK}: {made_again}") for each in found.before if each not in same)
    yield one("do_adopt", ONLY_BACK, **found.defaults)
    yield one("back_drop_kept", f"{ONLY_BACK}, once nothing is in it any more")


def _text(wanted: Definition, note: str) -> Statement:
    """A definition as the server has shown it, which is how it is made again."""
    return Statement("", {}, wanted.statement, definition(wanted.statement), note=note)


def rehearse(work: Work, rows: Sequence[Row]) -> None:
    """Take away and make again what was restored, where it is, and the routines that are to be replaced, where they are kept.

    The live database is not touched. Raises BackupError naming what the server does not take: nothing may be exchanged then.
    """
    for name, origin, kinds in (
        (work.params["place"], RESTORED, EVERY_KIND),
        (work.params["kept"], REPLACED, defined.ROUTINES),
    ):
        wanted = [one for one in defined.noted(rows, origin) if one.kind in kinds]
        with inside(work, name) as session, quietly(work, session), _naming(name, wanted):
            defined.drop(work, session, kinds)
            defined.make(work, session, wanted)
            there = set(defined.definitions(work, session))
            changed = sorted(f"{one.kind} {one.name}" for one in wanted if one not in there)
            if changed:
                raise BackupError(f"these differ after they were created again in {name}: {few(changed)}")
            if origin == REPLACED:
                defined.drop(work, session, kinds)


@contextmanager
def _naming(name: str, wanted: Sequence[Definition]) -> Iterator[None]:
    try:
        yield
    except DatabaseError as error:
        if error.kind in _RESUMED:
            raise
        tried = few([f"{one.kind} {one.name}" for one in wanted])
        how = f"restore beside the database and exchange the tables yourself; tried in {name}: {tried}"
        raise BackupError(f"the server does not accept its own definitions: {error.message}", hint=how) from error


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
            where = f"the tables of the backup are in {database}, and those that were there in {kept}"
            lacks = "views, routines, triggers and events may be missing"
            resume = f"{command('runs', 'resume', work.context.run_id[:8])} goes on with it"
            raise BackupError(f"{error.message}; {where}; {lacks}", hint=resume) from error
        result, how = f"nothing was replaced: all that was in {database} is back", error.hint
        try:
            missing = _undo(work, rows, about)
            if missing:
                result = f"the tables of {database} are back, and these are not: {few(missing)}"
                how = f"their text is in {kept}.aishell_definitions"
        except AishellError as second:
            result = f"it could not be undone: {second.message}. {_standing(work, about)}"
            how = f"what is missing is written down in {kept}.aishell_definitions"
        raise BackupError(f"{error.message}; {result}", hint=how) from error


def _undo(work: Work, rows: Sequence[Row], about: Mapping[str, Any]) -> list[str]:
    """All as it was before the tables changed hands; what could not be made again."""
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
        for some in _in_turn([one for one in before if one not in same]):
            try:
                defined.make(work, session, some)
            except DatabaseError as error:
                why |= dict.fromkeys(some, error.message)
        there = {(one.kind, one.name) for one in defined.definitions(work, session)}
        missing = [f"{one.kind} {one.name} ({text})" for one, text in why.items() if (one.kind, one.name) not in there]
        with quietly(work, beside):
            lend(work, beside, place, database)
            defined.make(work, beside, (one for one in defined.noted(rows, RESTORED) if one.kind == TRIGGER))
    if not missing:
        with work.context.writing() as session, quietly(work, session):
            work.query("back_drop_kept", session)
    return missing


def _in_turn(before: Sequence[Definition]) -> Iterator[list[Definition]]:
    """One at a time, but all views together: they may depend on each other."""
    views = [one for one in before if one.kind == VIEW]
    for one in before:
        if one.kind != VIEW:
            yield [one]
        elif one is views[0]:
            yield views


def _standing(work: Work, about: Mapping[str, Any]) -> str:
    """A sentence on where the tables are."""
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
            raise BackupError(f"the default of {row['table']}.{row['column']} is not supported: {row['default']}")
        sequence = found[2].replace("``", "`")
        work.query("lend", session, table=row["table"], column=row["column"], sequence=sequence)


def tables_in(work: Work, name: str) -> list[str]:
    """The tables and sequences of a database, which can be moved."""
    return [row["name"] for row in work.query("tables_in", name=name) if row["type"] != "VIEW"]
