"""A restored MariaDB database in the place of the one it is a backup of: the tables moved, all else made again.

Where it was interrupted shows in the server: what has to be made again stands in the database that keeps what is replaced before
anything is taken away, the place has no tables once they were moved, and is dropped last. What fails once they were is undone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from aishell.backups.create.making import Work
from aishell.backups.mariadb.definitions import (
    ABOUT,
    EVERY_KIND,
    REPLACED,
    RESTORED,
    TRIGGER,
    Definition,
    definitions,
    drop,
    inside,
    make,
    note,
    noted,
    unchanged,
)
from aishell.backups.mariadb.dump import quietly
from aishell.backups.mariadb.exchange import looked, moves
from aishell.backups.mariadb.fingerprints import structure
from aishell.backups.mariadb.undoing import lend, rehearse, tables_in, undone_where_it_fails
from aishell.backups.restore.in_place import (
    anew,
    expected,
    nothing_replaced,
    refuse_other,
    require_safety,
    restored,
    told,
)
from aishell.backups.restore.restore import differences
from aishell.backups.verify.checking import few, working
from aishell.errors import BackupError, DatabaseError
from aishell.models import Row
from aishell.registry.render import render
from aishell.registry.tool import Tool
from aishell.running.context import Context


def replace(tool: Tool, params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`replace_database`: the content of the place into the database, whose own is kept.

    Raises BackupError where the place is not what the backup saw, or something would be broken: then nothing has changed.
    """
    with working(tool, params, context) as work:
        place, notes = params["place"], list[str]()
        if _there(work, place):
            with nothing_replaced():
                rows = _noted(work) or _begin(work)
                about = json.loads(noted(rows, ABOUT)[0].statement)
                if not _is_moved(work, about):
                    rehearse(work, rows)
                    _move(work, rows)
            with undone_where_it_fails(work, rows, about):
                _remake(work, rows, about)
                _refuse_changed(work)
                notes = _wake(work, about)
            with context.writing() as session, quietly(work, session):
                work.query("do_drop_place", session)
        elif not _there(work, params["kept"]):
            raise BackupError(
                f"the database {place} no longer exists",
                hint=anew(work),
            )
        removal = render(tool, tool.blocks["removal"], params, context.database).text
        return told(work, compared=params["compare"], kept=params["kept"], removal=removal, notes=notes)


def _begin(work: Work) -> list[Row]:
    """Refuse what must not be, and write down what has to be made again: nothing of the database is touched."""
    if not work.params["back"]:
        require_safety(work)
    _refuse_obstacles(work)
    if not work.params["back"]:
        method, _, manifest = restored(work)
        refuse_other(work, method, manifest, work.params["place"])
    found = looked(work)
    about = {
        "restored": len(tables_in(work, work.params["place"])),
        "enable": found.enable,
        "asleep": found.asleep,
        "defaults": dict(found.wished),
        "before": dict(found.defaults),
    }
    return _write_down(work, found.before, found.after, about, found.defaults)


def _refuse_obstacles(work: Work) -> None:
    obstacles = [str(row["why"]) for row in work.query("obstacles")]
    if obstacles:
        raise BackupError(
            f"{work.params['database']} is not replaced: {few(obstacles)}",
            hint="end that first, or move the tables of the restored database by hand",
        )


def _write_down(
    work: Work, before: Sequence[Definition], after: Sequence[Definition], about: Mapping[str, Any], defaults: Row
) -> list[Row]:
    """Make the database that keeps what is replaced, and write down in it what has to be made again."""
    with work.context.writing() as session, quietly(work, session):
        work.query("keep", session, **defaults)
        work.query("notebook", session)
        with session.transaction():
            note(work, session, REPLACED, before)
            note(work, session, RESTORED, after)
            note(work, session, ABOUT, [Definition("run", work.context.run_id, "", "utf8mb4", "", json.dumps(about))])
    return _noted(work)


def _is_moved(work: Work, about: Mapping[str, Any]) -> bool:
    """Whether the tables have changed hands."""
    database, place, kept = (tables_in(work, work.params[name]) for name in ("database", "place", "kept"))
    return not place and bool(about["restored"] or kept or not database)


def _move(work: Work, rows: Sequence[Row]) -> None:
    """The tables, in one statement. Triggers are in its way, and come back at once when it fails."""
    database, place = work.params["database"], work.params["place"]
    chosen = moves(work)
    with inside(work, database) as session, inside(work, place) as beside:
        drop(work, session, (TRIGGER,))
        with quietly(work, beside):
            drop(work, beside, (TRIGGER,))
        statement = render(work.tool, work.tool.blocks["do_move"], {"moves": chosen}, work.context.database)
        work.context.on_sent(statement, session)
        try:
            work.context.in_slices(lambda: session.execute(statement))
        except DatabaseError:
            with suppress(DatabaseError):  # its connection is gone: whoever resumes the run goes on from here
                make(work, session, (one for one in noted(rows, REPLACED) if one.kind == TRIGGER))
                make(work, beside, (one for one in noted(rows, RESTORED) if one.kind == TRIGGER))
            raise


def _remake(work: Work, rows: Sequence[Row], about: Mapping[str, Any]) -> None:
    """All that is no table, as the place had it; sequences are where the tables look for them."""
    wanted = noted(rows, RESTORED)
    with inside(work, work.params["database"]) as session:
        same = unchanged(definitions(work, session), wanted)
        drop(work, session, EVERY_KIND, keep=same)
        work.query("do_adopt", session, **about["defaults"])
        lend(work, session, work.params["database"], work.params["place"])
        make(work, session, (one for one in wanted if one not in same))


def _refuse_changed(work: Work) -> None:
    """Compare the definitions once more, as they are now. The rows were, before they were moved."""
    _, _, manifest = restored(work)
    prints = expected(work, manifest)
    if prints is None:
        return
    with inside(work, work.params["database"]) as session:
        now = structure(work, session).prints
    different = differences([one for one in prints if one.kind != "rows"], now)
    if different:
        raise BackupError(f"{work.params['database']} was replaced and differs from the backup: {few(different)}")


def _wake(work: Work, about: Mapping[str, Any]) -> list[str]:
    """The events that were enabled, and what is to be known of them."""
    with inside(work, work.params["database"]) as session:
        for name in about["enable"]:
            work.query("enable", session, name=name)
    if not about["asleep"]:
        return []
    return [f"these events were enabled in the full backup, and are not now: {', '.join(about['asleep'])}"]


def _there(work: Work, name: str) -> bool:
    return bool(work.query("there", place=name))


def _noted(work: Work) -> list[Row]:
    """What was written down, in one transaction; nothing where that was not reached."""
    return work.query("noted") if work.query("notebooks") else []
