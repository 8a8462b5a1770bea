"""PostgreSQL by pgbackrest: the files lie in its repository, what it says of them and our manifest in the folder of backups."""

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
from aishell.backups.pgbackrest.reach import (
    EMPTY,
    OK,
    Reach,
    Set,
    Stanza,
    account_of,
    damage,
    missing,
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
#: What a backup has of all databases, as for pg_basebackup.
CLUSTER = "(the whole cluster)"
INFO = "info.json"
#: What a set is annotated with: the step that made it, and the transaction by which a restore to a moment finds its end.
STEP, AT, LSN = "aishell", "aishell-at", "aishell-lsn"
#: Bytes of its log that are looked at for how far it has come.
_TAIL = 4096


def backup(tool: Tool, params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`backup_pgbackrest`. Raises BackupError before anything is written where it could not be made, or not of this server."""
    kind = next(kind for kind, type_ in TYPES.items() if type_ == params["type"])
    with working(tool, params, context) as work:
        stanza = ready(work)
        parent = parent_in(work, stanza) if kind == INCREMENTAL else None
    plain = replace(store_of(context), recipients=())  # the rows are not in what we write: pgbackrest encrypts them
    return make(tool, params, replace(context, backups=plain), PgBackRestMethod(), kind=kind, parent=parent)


class PgBackRestMethod(Physical):
    """Sets in a repository of pgbackrest's, which each backup names by its label."""

    name = NAME
    programs = frozenset({"pgbackrest", "postgres", "pg_amcheck"})
    keeps_elsewhere = True

    def write(self, work: Work) -> Written:
        return made(work, FULL)

    def increment(self, work: Work) -> Written:
        return made(work, INCREMENTAL)

    def read(self, work: Work, folder: Path, manifest: BackupManifest) -> None:
        """The set is there, as it was, and pgbackrest has read every file of it and its WAL back from the repository."""
        reach, label = Reach.of(manifest.details), manifest.position["label"]
        stanza, _ = reach.read(work)
        found = stanza.find(label)
        if found is None:
            how = f"pgbackrest expires by rules of its own, such as repo{reach.repo}-retention-full"
            raise BackupError(f"{label} is no longer in {reach.named}: {stanza.message}", hint=how)
        if stanza.systems[found.database] != manifest.details["system"] or found.lsn[1] != manifest.position["lsn"]:
            raise BackupError(f"{label} in {reach.named} differs from the one that was made")
        if found.error:
            raise BackupError(f"{label} has pages with wrong checksums: the server's own files are damaged")
        segments = segments_of(manifest)
        listed, _ = reach.ask(
            work,
            "segments",
            folder=f"archive/{reach.stanza}/{stanza.archives.get(found.database)}",
            names=f"^({'|'.join(sorted({name[:16] for name in segments}))})/.*-",  # the folders that hold them
        )
        damaged = [*missing(listed, segments), *damage(_verified(work, reach), found, segments)]
        if damaged:
            raise BackupError(f"{label} in {reach.named} is damaged: {few(damaged)}")

    def restore(self, work: Work, chain: Chain, place: str, *, until: str | None, tables: Sequence[str]) -> None:
        """Into a new folder, which a server of the same version is then started on; it fetches WAL from the repository."""
        if tables:
            raise BackupError("a physical backup is restored as a whole")
        restore(work, chain, place, until)

    def proves(self, work: Work, place: str) -> bool:
        return recovery.prove(work, place)

    def release(self, work: Work, manifest: BackupManifest, *, check_only: bool) -> None:
        """Let pgbackrest expire the set. Raises BackupError where others rest on it, that would go with it."""
        reach, label = Reach.of(manifest.details), manifest.position["label"]
        stanza, _ = reach.read(work)
        if stanza.find(label) is None:
            return
        if [one.label for one in stanza.sets if one.kind == FULL] == [label]:
            why = f"pgbackrest keeps {label}, the only full one in {reach.named}"
            raise BackupError(f"{manifest.backup_id} stays: {why}")
        if others := stanza.dependents(label):
            why = f"{manifest.backup_id} stays: {few(others)} in {reach.named} cannot be restored without {label}"
            raise BackupError(why, hint="pgbackrest's own retention removes them together")
        if not check_only:
            reach.run(work, "expire", label=label)


def segments_of(manifest: BackupManifest) -> list[str]:
    """The WAL segments without which the set is not consistent."""
    begin, end = (wal.number_of(manifest.position[name]) for name in ("start_lsn", "lsn"))
    size = manifest.details["segment_bytes"]
    return wal.Segments(manifest.position["timeline"], begin // size * size, -(-end // size) * size, size).names


def _verified(work: Work, reach: Reach) -> str:
    """What `verify` says of the whole repository, which it reads once for all the links of a chain."""
    kept = work.folder / f".verified-{reach.repo}-{reach.stanza}"
    if not kept.exists():
        output, said = reach.ask(work, "verify")
        with writing(kept):
            kept.write_text(f"{output}\n{said}", encoding="utf-8")
    return kept.read_text(encoding="utf-8")


def restore(work: Work, chain: Chain, named: str, until: str | None) -> None:
    """A new data directory, under its name when it is whole; a server of the same version recovers at its first start.

    Nothing of the source is touched: tablespaces go beside the data, links inside it become folders. The restored server goes
    on fetching WAL from the repository, and archives nothing.
    """
    new = NewCluster.of(work, named)
    manifest, moment = _chosen(chain, until)
    reach = Reach.of(manifest.details)
    if new.is_there():
        return
    with new.made(manifest.source_bytes or 0):
        for folder in (new.unfinished, new.waiting):
            folder.mkdir(mode=0o700)
            scratch_server.own(folder, reach.user())
        reach.run(
            work,
            "fetch_set",
            label=manifest.position["label"],
            place=new.unfinished,
            spaces=new.waiting,
            type="immediate" if moment is None else "time",
            moment=moment,
            fetch=_fetch(work, reach, new.place),
            size=lambda: total(new.unfinished.rglob("*")),
            expected=manifest.source_bytes or 0,
        )
        # The one target comes last: a server refuses even an empty other one behind it.
        name, value = ("recovery_target", "immediate") if moment is None else ("recovery_target_time", moment)
        settings = {other: text for other, text in recovery.QUIET.items() if other != name} | {name: value}
        recovery.configure(new, settings, False)
        _relink(new)
        scratch_server.own(new.unfinished, reach.user())


def _chosen(chain: Chain, until: str | None) -> tuple[BackupManifest, str | None]:
    """The set to begin with, and the moment as PostgreSQL takes it. Raises BackupError for one that these backups do not hold."""
    links = [manifest for _, manifest in chain]
    if until is None:
        return links[-1], None
    moment = given(until)
    first, last = links[0].details["ended_at"], links[-1].details["reaches"]
    begun = [one for one in links if datetime.fromisoformat(one.details["ended_at"]) <= moment]
    if not begun or moment > datetime.fromisoformat(last):
        why = f"{until} cannot be restored from {links[-1].backup_id}, which reaches from {first} to {last}"
        raise BackupError(why, hint="a later increment reaches further")
    later = links[links.index(begun[-1]) + 1 :]
    new = {space for one in later for space in one.details["tablespaces"]} - set(begun[-1].details["tablespaces"])
    if new:  # recovery makes it where it was: on the source's own machine, over the source's files
        why = f"a tablespace was made between {begun[-1].backup_id} and {until}"
        raise BackupError(why, hint="restore to another moment")
    return begun[-1], moment.strftime("%Y-%m-%d %H:%M:%S.%f+00")


def _fetch(work: Work, reach: Reach, place: Path) -> str:
    """What the restored server gets its WAL with: pgbackrest would name the folder that it was restored into."""
    words = [
        work.clients.path("fetch_set"),
        *([f"--config={reach.config}"] if reach.config else []),
        f"--stanza={reach.stanza}",
        f"--repo={reach.repo}",
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


def ready(work: Work) -> Stanza:
    """What is in the repository. Raises BackupError where a backup would fail, or would be one of another server."""
    state = work.query("cluster")[0]
    reach = _reach(work, state)
    version_of(reach, work)
    if state["standby"]:
        raise BackupError("the server is a standby", hint="make the backup on the primary")
    stanza, _ = reach.read(work)
    if stanza.code not in (OK, EMPTY):
        how = f"pgbackrest --stanza={reach.stanza} stanza-create makes it"
        raise BackupError(f"{reach.named}: {stanza.message}", hint=how)
    if stanza.system != state["system"]:
        why = f"{reach.named} belongs to the system {stanza.system}, and the target is the system {state['system']}"
        raise BackupError(why, hint="name the stanza of this server in `pgbackrest:` of the target")
    if work.backup_store.recipients and stanza.cipher == "none":
        how = f"set repo{reach.repo}-cipher-type in pgbackrest's configuration"
        raise BackupError(f"backups are to be encrypted (`backup_recipients`), and {reach.named} is not", hint=how)
    reach.run(work, "check")
    return stanza


def parent_in(work: Work, stanza: Stanza) -> tuple[CatalogEntry, BackupManifest]:
    """The catalog's entry of the set that pgbackrest will go on from. Raises BackupError where it has none that is verified."""
    newest, reach = stanza.newest, _reach(work, work.query("cluster")[0])
    if newest is None:
        raise full_needed(work.context, f"there is no backup in {reach.named} to build on")
    for entry, manifest in _known(work):
        there = manifest.position["label"], manifest.details["stanza"], manifest.details["repo"]
        if there == (newest.label, reach.stanza, reach.repo):
            named = {**work.params, "parent": entry.backup_id}
            return parent_of(work.tool, named, work.context, NAME)
    why = f"the newest set in {reach.named}, {newest.label}, was not made by aishell, and pgbackrest would build on it"
    raise full_needed(work.context, why)


def _known(work: Work) -> Iterator[tuple[CatalogEntry, BackupManifest]]:
    """What pgbackrest has made of this target, the newest first, as far as it can be read."""
    for entry in reversed(work.backup_store.entries(work.context.target)):
        if entry.method == NAME:
            with suppress(BackupError):
                yield entry, work.backup_store.manifest(entry)


def made(work: Work, kind: str) -> Written:
    """The set of this step, which an earlier process of it may have made before it was killed."""
    state = work.query("cluster")[0]
    reach, step = _reach(work, state), str(work.context.claim)
    found = reach.read(work)[0].made_by(STEP, step)
    if found is None:
        _run(work, reach, kind, step, state)
        found = reach.read(work)[0].made_by(STEP, step)
    if found is None:
        raise BackupError(f"pgbackrest succeeded, but its backup is not in {reach.named}")
    after = work.query("cluster")[0]
    stanza, text = reach.read(work, found.label)  # of one set it tells the tablespaces too
    _require_ours(work, kind, stanza.find(found.label) or found, after)
    with writing(work.folder):
        (work.folder / INFO).write_text(text, encoding="utf-8")
    position = {"label": found.label, "start_lsn": found.lsn[0], "lsn": found.lsn[1], "timeline": found.timeline}
    details = {
        **asdict(reach),
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
    """Run pgbackrest; its progress is in its log."""
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


def _log(work: Work, last: int = sys.maxsize) -> str:
    """What pgbackrest printed during a backup, or the last bytes of it; empty where an earlier process made it."""
    try:
        return log_tail(work.folder / "backup.log", last)
    except FileNotFoundError:
        return ""


def _require_ours(work: Work, kind: str, made: Set, after: Row) -> None:
    """Raises BackupError for a set that is not what was asked for: of another parent, or of a clone of this server."""
    first, last, now = (wal.number_of(lsn) for lsn in (made.marks[LSN], made.lsn[0], after["lsn"]))
    if not first <= last <= wal.number_of(made.lsn[1]) <= now:
        raise BackupError(f"{made.label} is from {made.lsn[0]} to {made.lsn[1]}, which this server's WAL was not at")
    prior = work.parent[1].position["label"] if work.parent else None
    if (made.kind, made.prior) != (TYPES[kind], prior):
        why = f"pgbackrest made {made.label} on {made.prior or 'nothing'}, not on {prior}: there was another backup meanwhile"
        raise full_needed(work.context, why)
    made_since = set(after["tablespaces"] or {}) - made.tablespaces
    if made_since:
        why = f"a tablespace was made while {made.label} was: {', '.join(sorted(made_since))}"
        raise full_needed(work.context, why)


def _reach(work: Work, state: Row) -> Reach:
    return Reach.of(work.params, account_of(state["data_directory"]))
