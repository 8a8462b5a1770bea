"""Replaces a live SQLite database by a restored one in one transaction, never by a rename under open connections."""

from __future__ import annotations

import shlex
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote as percent_encode

from aishell.backups.create.making import Work
from aishell.backups.restore import restore as restoring
from aishell.backups.sqlite.copy import STEP, SQLiteCopy, fingerprints_of, open_file
from aishell.backups.verify.checking import few, working
from aishell.clients.clients import writing
from aishell.databases.sqlite import map_error
from aishell.errors import BackupError, DatabaseError
from aishell.files import sync
from aishell.registry.tool import Tool
from aishell.running.context import Context

#: Seconds that SQLite waits for a lock between two checks for cancellation.
POLL = 0.25
_HELD = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def replace(tool: Tool, params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`replace_database`: write the restored file into the live one; the old content is kept in `kept`.

    Raises BackupError if the restored file differs from the backup, DatabaseError (busy) if others lock the database: nothing
    has changed then.
    """
    with working(tool, params, context) as work:
        live, place, kept = (Path(params[name]) for name in ("database", "place", "kept"))
        compared, notes = bool(params["compare"]), list[str]()
        if place.exists():
            with restoring.nothing_replaced():
                method, _, manifest = restoring.restored(work)
                restoring.require_safety(work)
                compared = restoring.require_same(work, method, manifest, params["place"])
            if not _is_done(live, place, kept):
                notes = _keep(work, kept)
                notes += _written(work, live, place)
            with writing(place):
                place.unlink()
        elif not kept.exists() and params["safety"] is not None:
            raise BackupError(f"{place} no longer exists", hint=restoring.restart_hint(work))
        there = kept.exists()
        removal = f"rm {shlex.quote(str(kept))}" if there else None
        return restoring.outcome(
            work, compared=compared, kept=str(kept) if there else None, removal=removal, notes=notes
        )


def _is_done(live: Path, place: Path, kept: Path) -> bool:
    """Whether an earlier attempt has already written the new content.

    Raises BackupError if others wrote meanwhile, when that is not known.
    """
    if not kept.exists():
        return False
    try:
        now = fingerprints_of(live, live=True)
    except sqlite3.DatabaseError:
        return False  # unreadable, so not the restored content
    if now == fingerprints_of(place):
        return True
    if now != fingerprints_of(kept):
        why = f"{live} was written to while it was replaced: it matches neither its old content nor what was restored"
        how = (
            f"move {kept}, which has the old content, away and resume the run, which then replaces the present content"
        )
        raise BackupError(why, hint=how)
    return False


def _keep(work: Work, kept: Path) -> list[str]:
    """Copy the old content to `kept`. Returns a note if it is too damaged and no safety backup was requested."""
    if kept.exists():
        return []
    unfinished = kept.with_name(f".{kept.name}.restoring")
    with writing(kept):
        unfinished.unlink(missing_ok=True)
        try:
            SQLiteCopy().copy(work, unfinished)
            sync(unfinished)
            unfinished.rename(kept)
            sync(kept.parent)
        except BackupError as error:
            if work.params["safety"] is not None:
                raise
            return [f"the old content was not kept: {error.message}"]
        finally:
            unfinished.unlink(missing_ok=True)
    return []


def _written(work: Work, live: Path, place: Path) -> list[str]:
    """Write the new content and compare it. Returns a note if others wrote meanwhile, so that it could not be compared."""
    with closing(open_file(place, immutable=True)) as source, closing(_opened(live)) as target:
        _refuse_page_size(source, target, live)
        before = _version(target)
        _write(work, source, target)
        now, version = fingerprints_of(live, live=True), _version(target)
    different = restoring.differences(fingerprints_of(place), now)
    if different and version != before:
        return [f"not compared after the replacement: others wrote to {live} meanwhile"]
    if different:
        raise BackupError(f"{live} was replaced, but differs from the restored file: {few(different)}")
    return []


def _write(work: Work, source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """Copy in one transaction of SQLite's backup API, waiting for other sessions as long as the tool's lock timeout."""
    limit = max(work.context.options.lock_timeout or 0, work.context.patience)
    moved = time.monotonic()

    def report(status: int, remaining: int, pages: int) -> None:
        nonlocal moved
        if work.context.cancelled():
            raise DatabaseError("the replacement was stopped", kind="cancelled")
        if status & 0xFF not in _HELD:  # the primary result code
            moved = time.monotonic()
        elif time.monotonic() > moved + limit:
            raise DatabaseError(
                f"the database has been locked by others for {limit:.0f} s", kind="busy", hint=restoring.stop_hint(work)
            )
        work.context.progress(pages - remaining, pages, "pages written")

    try:
        source.backup(target, pages=STEP, progress=report, sleep=POLL)
    except sqlite3.Error as error:
        raise map_error(error) from error


def _refuse_page_size(source: sqlite3.Connection, target: sqlite3.Connection, live: Path) -> None:
    """Raises BackupError if the page size differs, which SQLite cannot change in WAL mode."""
    size, there = (connection.execute("PRAGMA page_size").fetchone()[0] for connection in (source, target))
    if size != there and target.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
        why = f"{live} has a page size of {there} bytes and the backup of {size}, which cannot be changed in WAL mode"
        raise BackupError(why, hint="stop the application, run PRAGMA journal_mode = DELETE on it, then resume the run")


def _version(connection: sqlite3.Connection) -> int:
    """A number that changes when another connection writes to the file."""
    return int(connection.execute("PRAGMA data_version").fetchone()[0])


def _opened(live: Path) -> sqlite3.Connection:
    uri = f"file:{percent_encode(str(live.absolute()))}?mode=rw"
    try:
        return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=POLL)
    except sqlite3.Error as error:
        raise map_error(error, connecting=True) from error
