"""PostgreSQL by pgbackrest: the data is in its repository; our manifest and its own info are in the backup folder."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from aishell.backups.create.making import Work, Written, full_needed, make, parent_of, total
from aishell.backups.methods import Chain, Physical
from aishell.backups.pgbackrest.stanza import (
    EMPTY,
    OK,
    Access,
    Set,
    Stanza,
    account_of,
    damage,
    missing_segments,
    percent,
    version_of,
    warnings,
)
from aishell.backups.postgresql import recovery, wal
from aishell.backups.postgresql.recovery import NewCluster
from aishell.backups.restore import scratch_server
from aishell.backups.store.backup_store import store_of
from aishell.backups.store.catalog import CatalogEntry
from aishell.backups.store.manifest import FULL, INCREMENTAL, BackupManifest
from aishell.backups.verify.checking import few, working
from aishell.clients.clients import log_tail, writing
from aishell.errors import BackupError
from aishell.models import Row
from aishell.moments import given
from aishell.registry.tool import Tool
from aishell.running.context import Context

NAME = "pgbackrest"
#: Our kinds of backup -> pgbackrest's.
TYPES = {FULL: "full", INCREMENTAL: "incr"}
#: The database in the manifest of a backup of all databases, as for pg_basebackup.
CLUSTER = "(the whole cluster)"
INFO = "info.json"
#: Annotations of a set: the step that made it, and the time and LSN of the transaction that a restore to a moment ends at.
STEP, AT, LSN = "aishell", "aishell-at", "aishell-lsn"
#: Bytes at the end of its log that are searched for the progress.
_TAIL = 4096


def backup(tool: Tool, params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`backup_pgbackrest`. Raises BackupError, before anything is written, if it cannot be made or is of another server."""
    kind = next(kind for kind, type_ in TYPES.items() if type_ == params["type"])
    with working(tool, params, context) as work:
        stanza = require_ready(work)
        parent = parent_in(work, stanza) if kind == INCREMENTAL else None
    plain = replace(store_of(context), recipients=())  # our folder has no rows; pgbackrest encrypts them
    return make(tool, params, replace(context, backups=plain), PgBackRestMethod(), kind=kind, parent=parent)


class PgBackRestMethod(Physical):
    """Backup sets in a pgbackrest repository, each identified by its label."""

    name = NAME
    programs = frozenset({"pgbackrest", "postgres", "pg_amcheck"})
    keeps_elsewhere = True

    def write(self, work: Work) -> Written:
        return make_set(work, FULL)

    def increment(self, work: Work) -> Written:
        return make_set(work, INCREMENTAL)

    def read(self, work: Work, folder: Path, manifest: BackupManifest) -> None:
        """Check that the set is unchanged, and let pgbackrest read all of its files and WAL in the repository."""
        access, label = Access.of(manifest.details), manifest.position["label"]
        stanza, _ = access.read(work)
        found = stanza.find(label)
        if found is None:
            how = f"check pgbackrest's own retention, such as repo{access.repo}-retention-full"
            raise BackupError(f"{label} is no longer in {access.named}: {stanza.message}", hint=how)
        if stanza.systems[found.database] != manifest.details["system"] or found.lsn[1] != manifest.position["lsn"]:
            raise BackupError(f"{label} in {access.named} differs from the backup that was made")
        if found.error:
            raise BackupError(f"{label} has pages with wrong checksums: the server's own files are damaged")
        segments = segments_of(manifest)
        listed, _ = access.ask(
            work,
            "segments",
            folder=f"archive/{access.stanza}/{stanza.archives.get(found.database)}",
            names=f"^({'|'.join(sorted({name[:16] for name in segments}))})/.*-",  # their folders
        )
        damaged = [*missing_segments(listed, segments), *damage(_verified(work, access), found, segments)]
        if damaged:
            raise BackupError(f"{label} in {access.named} is damaged: {few(damaged)}")

    def restore(self, work: Work, chain: Chain, place: str, *, until: str | None, tables: Sequence[str]) -> None:
        """Restore into a new folder; a server of the same version started there fetches WAL from the repository."""
        if tables:
            raise BackupError("a physical backup is restored as a whole")
        restore(work, chain, place, until)

    def proves(self, work: Work, place: str) -> bool:
        return recovery.prove(work, place)

    def release(self, work: Work, manifest: BackupManifest, *, check_only: bool) -> None:
        """Let pgbackrest expire the set. Raises BackupError if others depend on it, which would be removed too."""
        access, label = Access.of(manifest.details), manifest.position["label"]
        stanza, _ = access.read(work)
        if stanza.find(label) is None:
            return
        if [one.label for one in stanza.sets if one.kind == FULL] == [label]:
            why = f"{label} is the only full backup in {access.named}"
            raise BackupError(f"{manifest.backup_id} cannot be removed: {why}")
        if others := stanza.dependents(label):
            why = f"{manifest.backup_id} cannot be removed: {few(others)} in {access.named} depend on {label}"
            raise BackupError(why, hint="let pgbackrest's own retention remove them together")
        if not check_only:
            access.run(work, "expire", label=label)


def segments_of(manifest: BackupManifest) -> list[str]:
    """The WAL segments that make the set consistent."""
    begin, end = (wal.number_of(manifest.position[name]) for name in ("start_lsn", "lsn"))
    size = manifest.details["segment_bytes"]
    return wal.Segments(manifest.position["timeline"], begin // size * size, -(-end // size) * size, size).names


def _verified(work: Work, access: Access) -> str:
    """The output of `verify`, which reads the whole repository once for all backups of a chain."""
    kept = work.folder / f".verified-{access.repo}-{access.stanza}"
    if not kept.exists():
        output, messages = access.ask(work, "verify")
        with writing(kept):
            kept.write_text(f"{output}\n{messages}", encoding="utf-8")
    return kept.read_text(encoding="utf-8")


def restore(work: Work, chain: Chain, named: str, until: str | None) -> None:
    """Make a new data directory; a server of the same version recovers when it is first started there.

    The source is not touched: tablespaces are restored beside the data, and links in it become folders. The restored server
    fetches WAL from the repository and archives nothing.
    """
    new = NewCluster.of(work, named)
    manifest, moment = _chosen(chain, until)
    access = Access.of(manifest.details)
    if new.already_made():
        return
    with new.made(manifest.source_bytes or 0):
        for folder in (new.unfinished, new.waiting):
            folder.mkdir(mode=0o700)
            scratch_server.own(folder, access.user())
        access.run(
            work,
            "fetch_set",
            label=manifest.position["label"],
            place=new.unfinished,
            spaces=new.waiting,
            type="immediate" if moment is None else "time",
            moment=moment,
            fetch=_restore_command(work, access, new.place),
            size=lambda: total(new.unfinished.rglob("*")),
            expected=manifest.source_bytes or 0,
        )
        # The recovery target comes last: a server rejects even an empty other one after it.
        name, value = ("recovery_target", "immediate") if moment is None else ("recovery_target_time", moment)
        settings = {other: text for other, text in recovery.QUIET.items() if other != name} | {name: value}
        recovery.configure(new, settings, False)
        _relink(new)
        scratch_server.own(new.unfinished, access.user())


def _chosen(chain: Chain, until: str | None) -> tuple[BackupManifest, str | None]:
    """The set to restore and the moment as PostgreSQL reads it. Raises BackupError for a moment that the chain does not cover."""
    links = [manifest for _, manifest in chain]
    if until is None:
        return links[-1], None
    moment = given(until)
    first, last = links[0].details["ended_at"], links[-1].details["reaches"]
    begun = [one for one in links if datetime.fromisoformat(one.details["ended_at"]) <= moment]
    if not begun or moment > datetime.fromisoformat(last):
        why = f"{until} cannot be restored from {links[-1].backup_id}, which covers {first} to {last}"
        raise BackupError(why, hint="choose a moment in that range, or a later increment")
    later = links[links.index(begun[-1]) + 1 :]
    new = {space for one in later for space in one.details["tablespaces"]} - set(begun[-1].details["tablespaces"])
    if new:  # recovery recreates it at its old path: on the source's own host, over the source's files
        why = f"a tablespace was created between {begun[-1].backup_id} and {until}"
        raise BackupError(why, hint="restore to another moment")
    return begun[-1], moment.strftime("%Y-%m-%d %H:%M:%S.%f+00")


def _restore_command(work: Work, access: Access, place: Path) -> str:
    """The restore_command of the restored server: pgbackrest's own would name the unfinished folder."""
    words = [
        work.clients.path("fetch_set"),
        *([f"--config={access.config}"] if access.config else []),
        f"--stanza={access.stanza}",
        f"--repo={access.repo}",
        f"--pg1-path={place}",
        "archive-get",
    ]
    return f'{shlex.join(words).replace("%", "%%")} %f "%p"'


def _relink(new: NewCluster) -> None:
    """Let the links to tablespaces lead to their final places."""
    for link in (new.unfinished / recovery.SPACES).iterdir():
        place = new.spaces / link.readlink().relative_to(new.waiting)
        link.unlink()
        link.symlink_to(place)
    if not any(new.waiting.iterdir()):
        new.waiting.rmdir()


def require_ready(work: Work) -> Stanza:
    """The stanza in the repository. Raises BackupError if a backup would fail, or would be of another server."""
    state = work.query("cluster")[0]
    access = _access(work, state)
    version_of(access, work)
    if state["standby"]:
        raise BackupError("the server is a standby", hint="make the backup on the primary")
    stanza, _ = access.read(work)
    if stanza.code not in (OK, EMPTY):
        how = f"create it with pgbackrest --stanza={access.stanza} stanza-create"
        raise BackupError(f"{access.named}: {stanza.message}", hint=how)
    if stanza.system != state["system"]:
        why = f"{access.named} belongs to the system {stanza.system}, but the target is {state['system']}"
        raise BackupError(why, hint="name the stanza of this server in `pgbackrest:` of the target")
    if work.backup_store.recipients and stanza.cipher == "none":
        how = f"set repo{access.repo}-cipher-type in pgbackrest's configuration"
        raise BackupError(f"backups must be encrypted (`backup_recipients`), but {access.named} is not", hint=how)
    access.run(work, "check")
    return stanza


def parent_in(work: Work, stanza: Stanza) -> tuple[CatalogEntry, BackupManifest]:
    """The catalog's entry of the set that pgbackrest will build on. Raises BackupError if it has none that is verified."""
    newest, access = stanza.newest, _access(work, work.query("cluster")[0])
    if newest is None:
        raise full_needed(work.context, f"there is no backup in {access.named} to build on")
    for entry, manifest in _known(work):
        there = manifest.position["label"], manifest.details["stanza"], manifest.details["repo"]
        if there == (newest.label, access.stanza, access.repo):
            named = {**work.params, "parent": entry.backup_id}
            return parent_of(work.tool, named, work.context, NAME)
    why = f"the newest set in {access.named}, {newest.label}, which pgbackrest would build on, was not made by aishell"
    raise full_needed(work.context, why)


def _known(work: Work) -> Iterator[tuple[CatalogEntry, BackupManifest]]:
    """The readable pgbackrest backups of this target, the newest first."""
    for entry in reversed(work.backup_store.entries(work.context.target)):
        if entry.method == NAME:
            with suppress(BackupError):
                yield entry, work.backup_store.manifest(entry)


def make_set(work: Work, kind: str) -> Written:
    """Make the set of this step, unless an earlier process of the step has."""
    state = work.query("cluster")[0]
    access, step = _access(work, state), str(work.context.claim)
    found = access.read(work)[0].made_by(STEP, step)
    if found is None:
        _run(work, access, kind, step, state)
        found = access.read(work)[0].made_by(STEP, step)
    if found is None:
        raise BackupError(f"pgbackrest succeeded, but its backup is not in {access.named}")
    after = work.query("cluster")[0]
    stanza, text = access.read(work, found.label)  # the info on one set includes its tablespaces
    _require_ours(work, kind, stanza.find(found.label) or found, after)
    with writing(work.folder):
        (work.folder / INFO).write_text(text, encoding="utf-8")
    position = {"label": found.label, "start_lsn": found.lsn[0], "lsn": found.lsn[1], "timeline": found.timeline}
    details = {
        **asdict(access),
        "system": state["system"],
        "superuser": state["superuser"],
        "segment_bytes": state["segment_bytes"],
        "stored_bytes": found.stored,
        "ended_at": found.stopped_at,
        "reaches": found.marks[AT],
        "tablespaces": dict(after["tablespaces"] or {}),
        "warnings": warnings(_log(work)),
        "client": version_of(access, work),
    }
    return Written(CLUSTER, found.size, position, details)


def _run(work: Work, access: Access, kind: str, step: str, state: Row) -> None:
    """Run pgbackrest, with the progress from its log."""
    expected = state["bytes"] or 0
    with work.context.reading() as session:
        mark = work.query("mark", session, marker=step)[0]
    annotations = [f"--annotation={name}={text}" for name, text in ((STEP, step), (AT, mark["at"]), (LSN, mark["lsn"]))]
    access.run(
        work,
        "backup",
        type=TYPES[kind],
        annotations=annotations,
        size=lambda: int(percent(_log(work, _TAIL)) * expected / 100),
        expected=expected,
    )


def _log(work: Work, last: int = sys.maxsize) -> str:
    """The messages of pgbackrest during a backup, or the last bytes of them; empty if an earlier process made it."""
    try:
        return log_tail(work.folder / "backup.log", last)
    except FileNotFoundError:
        return ""


def _require_ours(work: Work, kind: str, made: Set, after: Row) -> None:
    """Raises BackupError if the set has another parent than expected, or was made from a clone of this server."""
    first, last, now = (wal.number_of(lsn) for lsn in (made.marks[LSN], made.lsn[0], after["lsn"]))
    if not first <= last <= wal.number_of(made.lsn[1]) <= now:
        raise BackupError(f"{made.label} covers {made.lsn[0]} to {made.lsn[1]}, which is not this server's WAL")
    prior = work.parent[1].position["label"] if work.parent else None
    if (made.kind, made.prior) != (TYPES[kind], prior):
        why = f"pgbackrest made {made.label} on {made.prior or 'nothing'}, not on {prior}: another backup was made meanwhile"
        raise full_needed(work.context, why)
    created = set(after["tablespaces"] or {}) - made.tablespaces
    if created:
        why = f"tablespaces were created during {made.label}: {', '.join(sorted(created))}"
        raise full_needed(work.context, why)


def _access(work: Work, state: Row) -> Access:
    return Access.of(work.params, account_of(state["data_directory"]))
