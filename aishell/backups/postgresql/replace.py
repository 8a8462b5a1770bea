"""Replaces a PostgreSQL database by a restored one: two renames in one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from aishell.backups.create.making import Work
from aishell.backups.postgresql import place as pg_place
from aishell.backups.postgresql.dump import with_owners
from aishell.backups.restore import restore as restoring
from aishell.backups.store.manifest import BackupManifest
from aishell.backups.verify.checking import few, working
from aishell.databases.base import Database, Session
from aishell.errors import BackupError, DatabaseError
from aishell.models import Row
from aishell.registry.tool import Tool
from aishell.running.context import Context

#: Databases to rename from, since a session cannot rename its own; the first that accepts a connection is used.
DOORS = ("postgres", "template1")
#: Attempts at the renames: terminated sessions may reconnect just before.
TRIES = 5
IN_USE = "55006"  # SQLSTATE


def replace(tool: Tool, params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`replace_database`: the restored database gets the name of the live one, which is kept under another.

    Raises BackupError, and changes nothing, if the database is in use or the restored one differs from the backup.
    """
    with working(tool, params, context) as work, restoring.nothing_replaced(), _door(work) as door:
        compared, ended = bool(params["compare"]), list[str]()
        if not _is_done(work, door):
            if not params["back"]:  # a replaced database is complete
                method, _, manifest = restoring.restored(work)
                restoring.require_safety(work)
                _refuse_sessions(work, door)
                compared = restoring.require_same(work, method, manifest, params["place"])
                _prepare(work, door, manifest)
            ended = _refuse_sessions(work, door)
            _rename(work, door)
        removal = work.statement("removal", door).text
        replaced = {row["name"]: row["oid"] for row in _query(work, door, "names")}[params["kept"]]
        return restoring.outcome(
            work, compared=compared, kept=params["kept"], removal=removal, ended=ended, replaced=replaced
        )


@contextmanager
def _door(work: Work) -> Iterator[Database]:
    """A database of the server other than the three. Raises BackupError if none accepts a connection."""
    names, failed = {work.params[name] for name in ("database", "place", "kept")}, ""
    with ExitStack() as stack:
        for name in (name for name in DOORS if name not in names):
            try:
                door = stack.enter_context(pg_place.opened(work, name))
                break
            except (BackupError, DatabaseError) as error:
                failed = f": {error.message}"
        else:
            why = (
                f"renaming a database takes a connection to another, but none of {', '.join(DOORS)} accepts one{failed}"
            )
            raise BackupError(why, hint=f"let the role connect to {DOORS[0]}")
        yield door


def _is_done(work: Work, door: Database) -> bool:
    """Whether an earlier attempt renamed them. Raises BackupError if the names are as neither before nor after."""
    found = {row["name"]: row["oid"] for row in _query(work, door, "names")}
    database, place, kept, oid = (work.params[name] for name in ("database", "place", "kept", "oid"))
    if found.get(database) == oid and kept in found:
        return True
    if database in found and found.get(place) == oid and kept not in found:
        return False
    there = ", ".join(f"{name} ({number})" for name, number in sorted(found.items())) or "none of them"
    why = f"{place} is not the database {oid} that was restored, or {database} was renamed meanwhile; found: {there}"
    raise BackupError(why, hint=f"find out which database is which; {restoring.restart_hint(work)}")


def _refuse_sessions(work: Work, door: Database) -> list[str]:
    """The other sessions in the database, which are to be terminated. Raises BackupError naming them if they are not."""
    sessions = [str(row["who"]) for row in _query(work, door, "sessions", ours=_ours(work))]
    if sessions and not work.params["terminate"]:
        how = f"{restoring.stop_hint(work)}; or start again with --terminate, which ends the sessions"
        raise BackupError(f"{work.params['database']} is used by {len(sessions)} session(s): {few(sessions)}", hint=how)
    return sessions


def _prepare(work: Work, door: Database, manifest: BackupManifest) -> None:
    """Complete the restored database: statistics, and properties of the database itself, if not restored, from the live one."""
    place = work.params["place"]
    if "itself" not in manifest.details or not with_owners(work):
        (today,) = _query(work, door, "itself")
        pg_place.endow(work, door, place, today["itself"])
    with pg_place.opened(work, place) as database, work.session_in(database) as session:
        session.execute(work.statement("do_analyse", database))


def _rename(work: Work, door: Database) -> None:
    """Rename both or none. The advisory lock in the target ends with our sessions there; locks on this host stay."""
    work.context.database.close()
    with work.session_in(door) as session:
        for left in reversed(range(TRIES)):
            try:
                work.context.in_slices(lambda: _exchange(work, door, session))
                return
            except DatabaseError as error:
                if error.code != IN_USE:
                    raise
                _refuse_sessions(work, door)
                if not left:
                    why = f"new sessions keep connecting to {work.params['database']}: {error.message}"
                    raise BackupError(why, hint=restoring.stop_hint(work)) from error


def _exchange(work: Work, door: Database, session: Session) -> None:
    with session.transaction():
        session.query(work.statement("do_leave", door, ours=_ours(work)))
        for block in ("do_unmark", "do_keep", "do_replace"):
            statement = work.statement(block, door)
            work.context.on_sent(statement, session)
            session.execute(statement)


def _ours(work: Work) -> str:
    """The prefix of the names of this run's sessions."""
    return work.context.marker.rpartition(":")[0] + ":"


def _query(work: Work, door: Database, block: str, **values: Any) -> list[Row]:
    with work.session_in(door) as session:
        return session.query(work.statement(block, door, **values))
