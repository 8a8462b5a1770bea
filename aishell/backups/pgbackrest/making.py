"""Makes a set in pgbackrest's repository: what has to be so before, what it goes on from, and what is noted of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

from aishell.backups.create.making import Work, Written
from aishell.backups.create.parents import full_first, parent_of
from aishell.backups.pgbackrest.info import EMPTY, OK, Set, Stanza, percent, warnings
from aishell.backups.pgbackrest.reach import Reach, account_of, version_of
from aishell.backups.postgresql import wal
from aishell.backups.store.catalog import CatalogEntry
from aishell.backups.store.manifest import FULL, INCREMENTAL, BackupManifest
from aishell.clients.disk import writing
from aishell.errors import BackupError
from aishell.models import Row

NAME = "pgbackrest"
#: Our kinds of backup -> pgbackrest's.
TYPES = {FULL: "full", INCREMENTAL: "incr"}
#: What a backup has of all databases, as for pg_basebackup.
CLUSTER = "(the whole cluster)"
INFO = "info.json"
#: What a set is annotated with: the step that made it, and the transaction by which a restore to a moment finds its end.
STEP, AT, LSN = "aishell", "aishell-at", "aishell-lsn"
#: Bytes of its log that are looked at for how far it has come.
_TAIL = 4096


def ready(work: Work) -> Stanza:
    """What is in the repository. Raises BackupError where a backup would fail, or would be one of another server."""
    state = work.query("cluster")[0]
    reach = _reach(work, state)
    version_of(reach, work)
    if state["standby"]:
        raise BackupError("the server is a standby", hint="make the backup on the primary")
    stanza, _ = reach.read(work)
    if stanza.code not in (OK, EMPTY):
        raise BackupError(
            f"{reach.named}: {stanza.message}", hint=f"pgbackrest --stanza={reach.stanza} stanza-create makes it"
        )
    if stanza.system != state["system"]:
        raise BackupError(
            f"{reach.named} is of the system {stanza.system}, and the target is the system {state['system']}",
            hint="name the stanza of this server in `pgbackrest:` of the target",
        )
    if work.backup_store.recipients and stanza.cipher == "none":
        raise BackupError(
            f"backups are to be encrypted (`backup_recipients`), and {reach.named} is not",
            hint=f"set repo{reach.repo}-cipher-type in pgbackrest's configuration",
        )
    reach.run(work, "check")
    return stanza


def parent_in(work: Work, stanza: Stanza) -> tuple[CatalogEntry, BackupManifest]:
    """The catalog's entry of the set that pgbackrest will go on from. Raises BackupError where it has none that is verified."""
    newest, reach = stanza.newest, _reach(work, work.query("cluster")[0])
    if newest is None:
        raise BackupError(f"there is no backup in {reach.named} to go on from", hint=full_first(work.context))
    for entry, manifest in _known(work):
        there = manifest.position["label"], manifest.details["stanza"], manifest.details["repo"]
        if there == (newest.label, reach.stanza, reach.repo):
            named = {**work.params, "parent": entry.backup_id}
            return parent_of(work.tool, named, work.context, NAME)
    raise BackupError(
        f"the newest set in {reach.named}, {newest.label}, was not made by aishell, and pgbackrest would go on from it",
        hint=full_first(work.context),
    )


def _known(work: Work) -> Iterator[tuple[CatalogEntry, BackupManifest]]:
    """What pgbackrest has made of this target, the newest first, as far as it can be read."""
    for entry in reversed(work.backup_store.entries(work.context.target)):
        if entry.method == NAME:
            with suppress(BackupError):
                yield entry, work.backup_store.manifest(entry)


def made(work: Work, kind: str) -> Written:
    """The set of this step, which an earlier process of it may have made before it was killed."""
    state = work.query("cluster")[0]
    reach, step = _reach(work, state), f"{work.context.run_id}:{work.context.step_id}"
    found = reach.read(work)[0].made_by(STEP, step)
    if found is None:
        _run(work, reach, kind, step, state)
        found = reach.read(work)[0].made_by(STEP, step)
    if found is None:
        raise BackupError(f"pgbackrest has ended well, and its backup is not in {reach.named}")
    after = work.query("cluster")[0]
    stanza, text = reach.read(work, found.label)  # of one set it tells the tablespaces too
    _require_ours(work, kind, stanza.find(found.label) or found, after)
    with writing(work.folder):
        (work.folder / INFO).write_text(text, encoding="utf-8")
    position = {
        "label": found.label,
        "start_lsn": found.lsn[0],
        "lsn": found.lsn[1],
        "timeline": found.timeline,
    }
    details = {
        **reach.noted,
        "system": state["system"],
        "superuser": state["superuser"],
        "segment_bytes": state["segment_bytes"],
        "stored_bytes": found.stored,
        "ended_at": found.stopped_at,
        "reaches": found.marks[AT],
        "tablespaces": dict(after["tablespaces"] or {}),
        "warnings": warnings(_log(work)),
        "client": version_of(reach, work),
    }
    return Written(CLUSTER, found.size, position, details)


def _run(work: Work, reach: Reach, kind: str, step: str, state: Row) -> None:
    """Let pgbackrest make it. What it says of how far it has come is in its log."""
    expected = state["bytes"] or 0
    with work.context.reading() as session:
        mark = work.query("mark", session, marker=step)[0]
    annotations = [f"--annotation={name}={text}" for name, text in ((STEP, step), (AT, mark["at"]), (LSN, mark["lsn"]))]
    reach.run(
        work,
        "backup",
        type=TYPES[kind],
        annotations=annotations,
        size=lambda: int(percent(_log(work, _TAIL)) * expected / 100),
        expected=expected,
    )


def _log(work: Work, last: int | None = None) -> str:
    """What pgbackrest has said while it made a backup, or the last bytes of it; nothing where an earlier process has made it."""
    try:
        with (work.folder / "backup.log").open("rb") as said:
            said.seek(0 if last is None else max(0, said.seek(0, os.SEEK_END) - last))
            return said.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


def _require_ours(work: Work, kind: str, made: Set, after: Row) -> None:
    """Raises BackupError for a set that is not what was asked for: of another parent, or of a clone of this server."""
    first, last, now = (wal.number_of(lsn) for lsn in (made.marks[LSN], made.lsn[0], after["lsn"]))
    if not first <= last <= wal.number_of(made.lsn[1]) <= now:
        raise BackupError(f"{made.label} is from {made.lsn[0]} to {made.lsn[1]}, which this server's WAL was not at")
    prior = work.parent[1].position["label"] if work.parent else None
    if (made.kind, made.prior) != (TYPES[kind], prior):
        raise BackupError(
            f"pgbackrest made {made.label} on {made.prior or 'nothing'}, not on {prior}: there was another backup meanwhile",
            hint=full_first(work.context),
        )
    made_since = set(after["tablespaces"] or {}) - made.tablespaces
    if made_since:
        raise BackupError(
            f"a tablespace was made while {made.label} was: {', '.join(sorted(made_since))}",
            hint=full_first(work.context),
        )


def _reach(work: Work, state: Row) -> Reach:
    return Reach.of(work.params, account_of(state["data_directory"]))
