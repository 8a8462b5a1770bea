"""Increments of a MariaDB or MySQL database: fetching the binary logs since the parent, and replaying them."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from aishell.backups.create.making import Work, Written, full_needed, total
from aishell.backups.mariadb.binlog.statements import Rewriter
from aishell.backups.mariadb.binlog.text import Replay
from aishell.backups.mariadb.fingerprints import structure
from aishell.backups.mariadb.full import BLOCK, Counting, Position, gtid, own_database, snapshot
from aishell.backups.mariadb.login import login
from aishell.backups.store.manifest import FULL, BackupManifest, Fingerprint
from aishell.clients.clients import Clients, writing
from aishell.errors import BackupError, DatabaseError

FOLDER = "binlog"
#: The position of the first event in a file.
FIRST = 4
#: Attempts at a snapshot during which nothing is created or altered.
ATTEMPTS = 5
#: Server errors of a table that was altered or dropped after the snapshot was taken.
_CHANGED = ("1412", "1146")


@dataclass(frozen=True)
class Stretch:
    """A stretch of the binary log: files in order, from a position in the first to one in the last, or to a time (UTC)."""

    files: Sequence[Path]
    start: int
    stop: int | None = None
    until: str | None = None

    @classmethod
    def all(cls, links: Sequence[tuple[Path, BackupManifest]], until: str | None = None) -> Stretch:
        """Everything in consecutive increments."""
        files = [folder / FOLDER / name for folder, manifest in links for name in manifest.details["files"]]
        return cls(files, links[0][1].position["start"][1], None, until)

    @classmethod
    def compared(cls, links: Sequence[tuple[Path, BackupManifest]]) -> Stretch:
        """Consecutive increments up to the moment that the last one's fingerprints are of, if it has any."""
        folder, last = links[-1][0], links[-1][1].position
        every = cls.all(links)
        if last["position"] is None:
            return every
        end = every.files.index(folder / FOLDER / last["file"])
        return cls(every.files[: end + 1], every.start, last["position"])


@dataclass(frozen=True)
class _Seen:
    """The compared moment of an increment, and its fingerprints when they are computed."""

    position: Position
    definitions: tuple[Fingerprint, ...]
    counting: Counting


def copy(work: Work) -> Written:
    """Fetch the binary logs since `work.parent`, to now; fingerprints are of a snapshot in between."""
    assert work.parent is not None  # noqa: S101  an increment has one
    parent, database, notes = work.parent[1], own_database(work), list[str]()
    file, position = _start(work, parent)
    with ExitStack() as held:
        seen = _seen(work, held, notes) if work.params.get("compare") else None
        (settings,) = work.query("settings")
        with work.context.writing() as session:
            work.query("flush", session)
        logs, events = _logs(work), work.query("events")
        following = list(logs)[-1]
        wanted = {name: logs[name] for name in list(logs)[list(logs).index(file) : -1]}
        _fetch(work, wanted)
        prints = _counted(seen, notes) if seen is not None else None
    source = Rewriter(database, database, bool(settings["fold"]))
    inexact = {row["name"] for row in work.query("inexact")}
    read_through(work, Stretch([work.folder / FOLDER / name for name in wanted], position), source, inexact)
    end = seen.position if seen is not None and prints is not None else (list(wanted)[-1], None)
    return Written(
        database,
        sum(wanted.values()),
        {
            "start": [file, position],
            "file": end[0],
            "position": end[1],
            "next": following,
            "gtid": gtid(work, following, FIRST),
        },
        {
            "files": list(wanted),
            "fold": settings["fold"],
            "reaches": settings["now"],
            "enabled_events": sorted(row["name"] for row in events if row["status"] == "ENABLED"),
            "warnings": notes,
        },
        prints,
    )


def _start(work: Work, parent: BackupManifest) -> Position:
    """The end of the parent. Raises BackupError if this server's binary log does not continue from there."""
    (settings,) = work.query("settings")
    if not settings["binary_log"]:
        raise BackupError("the server has no binary log for increments", hint="set log_bin, or make full backups")
    if settings["format"] != "ROW":
        how = "SET GLOBAL binlog_format = 'ROW', here and in the server's configuration, then make a full backup"
        raise BackupError(f"binlog_format is {settings['format']}: replaying it may give a different result", hint=how)
    at = parent.position
    if not at:
        raise full_needed(work.context, f"{parent.backup_id} has no position in the binary log")
    file, position = (at["file"], at["position"]) if parent.kind == FULL else (at["next"], FIRST)
    if file not in _logs(work):
        why = f"the server no longer has the binary log {file}, where {parent.backup_id} ends"
        raise full_needed(work.context, why)
    if at["gtid"] != gtid(work, file, position):
        raise full_needed(work.context, f"the server's binary log was reset after {parent.backup_id}")
    return file, position


def _seen(work: Work, held: ExitStack, notes: list[str]) -> _Seen | None:
    for _ in range(ATTEMPTS):
        with work.context.reading() as session:
            before = structure(work, session)
        taken = snapshot(work)
        if taken.position is None:
            taken.release(work)
            notes.append("not compared: the server does not report the binary log position of a snapshot")
            return None
        with work.context.reading() as session:
            after = structure(work, session)
        if before.prints == after.prints:
            notes += before.warnings
            counting = held.enter_context(Counting(work, before.tables))
            counting.start(taken)
            return _Seen(taken.position, before.prints, counting)
        taken.release(work)
    notes.append("not compared: tables or routines kept changing")
    return None


def _counted(seen: _Seen, notes: list[str]) -> tuple[Fingerprint, ...] | None:
    try:
        return (*seen.definitions, *seen.counting.prints())
    except DatabaseError as error:
        if error.code not in _CHANGED:
            raise
        notes.append(f"not compared: a table was changed meanwhile ({error.message})")
        return None


def _logs(work: Work) -> Mapping[str, int]:
    """The server's binary logs in order, the current one last: name -> bytes."""
    return {str(row["Log_name"]): int(row["File_size"]) for row in work.query("logs")}


def _fetch(work: Work, wanted: Mapping[str, int]) -> None:
    """Fetch binary logs. Raises BackupError if one is incomplete."""
    folder = work.folder / FOLDER
    with writing(folder):
        folder.mkdir(mode=0o700)
    values = {"folder": f"{folder}{os.sep}", "files": list(wanted)}
    with login(work) as (options, descriptor):
        work.clients.run(
            "fetch",
            {"options": options, **values},
            secrets=[descriptor],
            size=lambda: total(folder.iterdir()),
            expected=sum(wanted.values()),
        )
    for name, size in wanted.items():
        path = folder / name
        arrived = path.stat().st_size if path.exists() else 0
        if arrived != size:
            why = f"only {arrived:,} of {size:,} bytes of the binary log {name} arrived in {folder}"
            raise BackupError(why, hint="check whether the disk is full: the program does not report it")


def read_through(work: Work, stretch: Stretch, source: Rewriter, inexact: Collection[str] = ()) -> None:
    """Read a stretch from beginning to end as a restore would. Raises BackupError if it cannot be restored.

    `inexact`: tables whose rows are rounded in a copy and have no key to be found by.
    """
    _replay(work.clients, stretch, Replay(source, inexact=inexact), lambda block: None)


def send(work: Work, stretch: Stretch, replay: Replay, pipe: IO[bytes]) -> None:
    """Send a stretch to a client program that `work` is running, through its `pipe`."""
    folder = work.folder / "sent"
    with writing(folder):
        folder.mkdir(exist_ok=True)
    clients = Clients(work.tool, work.context, folder, bin_folder=work.backup_store.programs)
    ended: list[OSError] = []

    def sink(block: bytes) -> None:
        try:
            pipe.write(block)
        except BrokenPipeError as error:
            ended.append(error)
            raise

    try:
        _replay(clients, stretch, replay, sink)
    except BackupError as error:
        if ended:  # the client has ended and reports why
            raise BrokenPipeError from error
        raise


def _replay(clients: Clients, stretch: Stretch, replay: Replay, sink: Callable[[bytes], None]) -> None:
    def drain(pipe: IO[bytes]) -> None:
        for block in replay.rewritten(iter(lambda: os.read(pipe.fileno(), BLOCK), b"")):
            sink(block)

    values = {"start": stretch.start, "stop": stretch.stop, "until": stretch.until, "files": stretch.files}
    clients.run("scan", values, env={"TZ": "UTC"}, drain=drain)  # it reads times in its local zone
