"""MariaDB and MySQL logical backups: a dump by mariadb-dump or mysqldump; increments are binary logs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import zstandard

from aishell.backups.create.making import Work, Written, make, newest_by, parent_of
from aishell.backups.mariadb.binlog.fetch import Stretch, copy, read_through, send
from aishell.backups.mariadb.binlog.statements import Rewriter
from aishell.backups.mariadb.binlog.text import Replay
from aishell.backups.mariadb.definitions import inside, settle
from aishell.backups.mariadb.dump_text import DumpWatch, rewritten
from aishell.backups.mariadb.fingerprints import fingerprint, structure
from aishell.backups.mariadb.full import BLOCK, DUMP, Dump, check_client
from aishell.backups.mariadb.login import login
from aishell.backups.mariadb.views import Rights
from aishell.backups.methods import Chain, Method
from aishell.backups.store.backup_store import store_of
from aishell.backups.store.manifest import INCREMENTAL, BackupManifest, Fingerprint
from aishell.claims import BEGUN, SCRATCH, WHOLE
from aishell.databases.base import Session
from aishell.errors import BackupError, DatabaseError, NotAtHandError, NotTakenError
from aishell.moments import given
from aishell.registry.tool import Tool
from aishell.running.context import Context

#: The method that copies the files of the whole server.
PHYSICAL = "mariadb-backup"
#: Attempts to drop a database in which a stopped client left a statement running.
TRIES = 10
#: Client errors, in lower case, for a statement that is too large for the server.
_TOO_LARGE = ("max_allowed_packet", "server has gone away", "lost connection")


def full(tool: Tool, params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`backup_database_full`."""
    return make(tool, params, context, MariadbDump())


def incremental(tool: Tool, params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`backup_database_incremental`, based on the named parent, else on the newest verified backup."""
    method = _parent_method(params, context)
    parent = parent_of(tool, params, context, method, *(["--physical"] if method == PHYSICAL else []))
    if method == PHYSICAL:
        from aishell.backups.mariadb import physical as mariadb_backup

        return mariadb_backup.incremental(tool, params, context, parent)
    return make(tool, params, context, MariadbDump(), kind=INCREMENTAL, parent=parent)


def _parent_method(params: Mapping[str, Any], context: Context) -> str:
    """The method of the named parent, else of the newest backup of the requested kind."""
    if params.get("parent"):
        named = store_of(context).catalog.find(params["parent"]).method
        return named if named == PHYSICAL else MariadbDump.name
    physical = params.get("physical")
    methods = [MariadbDump.name, PHYSICAL] if physical is None else [PHYSICAL if physical else MariadbDump.name]
    found = [one for one in (newest_by(context, method) for method in methods) if one is not None]
    return max(found, key=lambda one: one.started_at).method if found else methods[0]


class MariadbDump(Method):
    """A dump of one transaction's snapshot, and the binary logs since."""

    name = "mariadb-dump"
    programs = frozenset({"mariadb", "mariadb-binlog"})
    on_increments = frozenset({"mariadb-binlog"})
    in_place = True
    marks = True

    def write(self, work: Work) -> Written:
        return Dump.of(work).write()

    def increment(self, work: Work) -> Written:
        return copy(work)

    def read(self, work: Work, folder: Path, manifest: BackupManifest) -> None:
        """Unpack a dump to its last line; read binary logs as a restore would."""
        if manifest.kind == INCREMENTAL:
            source = Rewriter(manifest.database, manifest.database, bool(manifest.details["fold"]))
            read_through(work, Stretch.all([(folder, manifest)]), source)
            return
        for _ in _unpacked(folder):
            if work.context.cancelled():
                raise DatabaseError("the reading was stopped", kind="cancelled")

    def restore(self, work: Work, chain: Chain, place: str, *, until: str | None, tables: Sequence[str]) -> None:
        if tables:
            how = "restore it into a new database, and copy the tables from there"
            raise BackupError("single tables cannot be restored from a dump", hint=how)
        first, increments = chain[0][1], chain[1:]
        moment = _moment(until, chain)
        if first.product != work.context.database.product:
            raise BackupError(
                f"{first.backup_id} is from {first.product}, but the server is {work.context.database.product}"
            )
        check_client(work, "client")
        if _comment(work, place) == work.context.claim.whole:
            return  # restored by an earlier process of this step
        (server,) = work.query("server")
        rights = Rights(lambda name: work.statement("as_invoker", name=name).text)
        rewriter = Rewriter(first.database, place, bool(server["fold"]), rights)
        with _place(work, place, first) as quiet, login(work) as login_:
            _load(work, login_, place, quiet, lambda pipe: pipe.writelines(rewritten(_unpacked(chain[0][0]), rewriter)))
            if increments:
                stretch = Stretch.all(increments, moment) if moment else Stretch.compared(increments)
                replay = Replay(rewriter, int(server["packet"]) // 4)
                _load(work, login_, place, quiet, lambda pipe: send(work, stretch, replay, pipe))
            with inside(work, place) as session, quietly(work, session):
                settle(work, session, rewriter.rights)

    def fingerprints(self, work: Work, place: str) -> tuple[Fingerprint, ...]:
        with inside(work, place) as session:
            found = structure(work, session)
            return (*found.prints, *fingerprint(work, session, found.tables))

    def drop(self, work: Work, place: str) -> None:
        """Drop a scratch database. Raises BackupError for any other."""
        if not place.startswith(SCRATCH):
            raise BackupError(f"{place} is not a scratch database and was not dropped")
        with work.context.writing() as session, quietly(work, session):
            _drop(work, session, place)


def _moment(until: str | None, chain: Chain) -> str | None:
    """The time in UTC, as the programs read it. Raises BackupError for a time that the chain does not cover."""
    if until is None:
        return None
    at = given(until, None)
    first, last, as_of = chain[0][1], chain[-1][1], chain[0][1].details["as_of"]
    reaches = last.details.get("reaches", as_of)
    if len(chain) == 1 or at > datetime.fromisoformat(reaches):
        raise BackupError(f"{last.backup_id} only reaches to {reaches}", hint="name an increment that was made later")
    if at < datetime.fromisoformat(as_of):
        raise BackupError(f"{first.backup_id} was made at {as_of}, after {until}", hint="name an earlier backup")
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


@contextmanager
def _place(work: Work, place: str, first: BackupManifest) -> Iterator[bool]:
    """A new, empty database, dropped again if the block fails; yields whether changes to it stay out of the binary log.

    One begun by an earlier process of this step is dropped first; not on MySQL, where databases have no comments to mark it.
    """
    begun, marks = _comment(work, place), work.context.database.product == "mariadb"
    if begun is not None and begun != work.context.claim.begun:
        raise BackupError(f"the database {place} already exists", hint="name one that does not exist")
    values = {"place": place, "charset": first.details["charset"], "collation": first.details["collation"]}
    with work.context.writing() as session, quietly(work, session) as quiet:
        if begun is not None:
            _drop(work, session, place)
        work.query("create_marked" if marks else "create", session, **values, mark=work.context.claim.begun)
    try:
        yield quiet
        if marks:
            with work.context.writing() as session, quietly(work, session):
                work.query("set_mark", session, place=place, mark=work.context.claim.whole)
    except BaseException:
        with suppress(DatabaseError), work.context.writing() as session, quietly(work, session):
            _drop(work, session, place)
        raise


def _comment(work: Work, place: str) -> str | None:
    """The comment of a database; empty on MySQL, which has none; None if the database does not exist."""
    if work.context.database.product != "mariadb":
        return "" if work.query("there", place=place) else None
    return next((str(row["mark"]) for row in work.query("mark", place=place)), None)


@contextmanager
def quietly(work: Work, session: Session) -> Iterator[bool]:
    """Disable the binary log for the session, if the account may; yields whether it is. Replicas do not need the copy."""
    try:
        work.query("quiet", session)
    except DatabaseError as error:
        if error.kind != "permission":
            raise
        yield False
        return
    try:
        yield True
    finally:
        with suppress(DatabaseError):  # the connection is lost, and the setting with it
            work.query("loud", session)


def _drop(work: Work, session: Session, place: str) -> None:
    """Drop a database, after killing statements in it that a stopped client left running."""
    for left in reversed(range(TRIES)):
        for row in work.query("busy", session, place=place):
            work.context.database.stop(row["session"])
        try:
            work.query("drop", session, place=place)
            return
        except DatabaseError as error:
            if error.kind != "lock_timeout" or not left:
                raise
            time.sleep(0.5)


def _load(work: Work, login_: tuple[str, int], place: str, quiet: bool, send_: Callable[[IO[bytes]], None]) -> None:
    options, descriptor = login_

    def feed(pipe: IO[bytes]) -> None:
        if quiet:
            pipe.write(work.tool.blocks["quiet"].text.encode() + b";\n")
        send_(pipe)

    try:
        work.clients.run("client", {"options": options, "place": place}, secrets=[descriptor], feed=feed)
    except BackupError as error:
        if isinstance(error, NotAtHandError):
            raise
        larger = any(text in error.message.lower() for text in _TOO_LARGE)
        hint = "set max_allowed_packet to 1G on the server meanwhile: a row in hexadecimal may exceed it"
        raise NotTakenError(error.message, hint=hint if larger else error.hint) from error


def _unpacked(folder: Path) -> Iterator[bytes]:
    """The text of a dump, verified by its checksum. Raises BackupError if it is damaged or truncated."""
    path, watch = folder / DUMP, DumpWatch()
    try:
        with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as text:
            while block := text.read(BLOCK):
                watch.see(block)
                yield block
    except (OSError, zstandard.ZstdError) as error:
        raise BackupError(f"{path} cannot be read: {error}") from error
    if not watch.complete:
        raise BackupError(f"{path} is truncated")


def drop_scratch(tool: Tool, params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`drop_scratch_database`. Raises BackupError if it is in use."""
    return {"dropped": _dropped(Work(tool, params, context))}


def drop_unfinished(tool: Tool, params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`drop_unfinished_restore`. Raises BackupError if the database's comment is not the approved one."""
    work = Work(tool, params, context)
    found = work.query("mark")
    if found and (found[0]["mark"] != params["mark"] or not params["mark"].startswith(f"{BEGUN} ")):
        raise BackupError(f"{params['database']} was not dropped: its comment is {found[0]['mark']!r}")
    return {"dropped": _dropped(work)}


def reset_mark(tool: Tool, params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`reset_restore_mark`; does nothing if the comment was changed or removed."""
    work = Work(tool, params, context)
    wanted = {"mark": f"{WHOLE} {params['mark']}"}
    if work.query("mark") != [wanted]:
        return {"reset": 0}
    _send(work, "do_reset")
    if work.query("mark") == [wanted]:
        raise BackupError(f"the comment of {params['database']} was not reset")
    return {"reset": 1}


def _dropped(work: Work) -> int:
    """Drop the database if it exists; the number dropped."""
    name = work.params["database"]
    found = work.query("there")
    if not found:
        return 0
    if found[0]["sessions"]:
        raise BackupError(f"{name} was not dropped: it is used by {found[0]['sessions']} session(s)")
    _send(work, "do_drop")
    if work.query("there"):
        raise BackupError(f"{name} still exists")
    return 1


def _send(work: Work, block: str) -> None:
    with work.context.writing() as session, quietly(work, session):
        work.send(block, session)
