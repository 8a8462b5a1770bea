"""PostgreSQL physical backups: the whole cluster by pg_basebackup; increments of WAL or, from version 17 on, changed pages."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from aishell.backups.create import making
from aishell.backups.create.making import PHYSICAL, Work, Written, full_needed
from aishell.backups.methods import Chain, Physical
from aishell.backups.postgresql import recovery, wal
from aishell.backups.postgresql.libpq import connection, use_programs
from aishell.backups.postgresql.recovery import BASE
from aishell.backups.store.encryption import decrypted
from aishell.backups.store.manifest import INCREMENTAL, BackupManifest
from aishell.clients.clients import writing
from aishell.errors import BackupError, DatabaseError
from aishell.models import Row
from aishell.planning.backup_rights import of_replicating
from aishell.registry.tool import Tool
from aishell.running.context import Context

LOG, PAGES, NONE = "wal", "pages", "none"
#: The database in the manifest of a backup of all databases.
CLUSTER = "(the whole cluster)"


def cluster(tool: Tool, params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`backup_cluster`."""
    work = Work(tool, params, context)
    state = _state(work)
    slot = _slot(work)
    earlier = making.newest_by(context, PgBasebackup.name)
    try:
        made = making.make(tool, params, context, PgBasebackup(), expected=state["bytes"] or 0)
    except BaseException:
        # A slot that no backup needs keeps WAL until the disk is full. If the server is down, the next backup reuses it.
        if not _has_physical_backups(work):
            with suppress(DatabaseError):
                wal.drop(work, slot)
        raise
    manifest = work.backup_store.repository.manifest(Path(made["backup_path"]))
    if earlier and not earlier.details["slot"] and not manifest.details["slot"]:
        wal.drop(work, slot)  # from when increments were WAL
    elif earlier:
        wal.advance(work, slot, earlier.position["lsn"])
    return made


def incremental(tool: Tool, params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`backup_database_incremental`, based on the named parent, else on the newest verified physical backup of this server."""
    work = Work(tool, params, context)
    _state(work)
    parent = making.parent_of(tool, params, context, PgBasebackup.name, PHYSICAL)
    made = making.make(tool, params, context, PgBasebackup(), kind=INCREMENTAL, parent=parent)
    # Only to the parent, which is verified: if the new increment is damaged, it can be made again from the parent.
    if parent[1].details["slot"]:
        wal.advance(work, parent[1].details["slot"], parent[1].position["lsn"])
    return made


class PgBasebackup(Physical):
    """The files of a cluster as the server sends them, with the WAL that makes them consistent."""

    name = "pg_basebackup"
    programs = frozenset({"pg_verifybackup", "pg_waldump", "pg_combinebackup", "postgres", "pg_amcheck"})
    on_increments = frozenset({"pg_combinebackup"})

    def write(self, work: Work) -> Written:
        state = _state(work)
        kind = _increments(work, state)
        slot = _slot(work) if kind == LOG else None
        holder = f"{slot}_{secrets.token_hex(4)}"
        with wal.held(work, holder) if slot else nullcontext() as session:
            ended = self._base(work, state, None)
            if slot and session:
                wal.keep(work, session, holder, slot)
        unlimited = (
            f"max_slot_wal_keep_size is unlimited: without increments, slot {slot} keeps WAL until the disk is full"
        )
        details = {
            "increments": kind,
            "slot": slot,
            "segment_bytes": state["segment_bytes"],
            "superuser": state["superuser"],
            "warnings": [unlimited] if slot and state["unlimited"] else [],
        }
        return self._written(work, state, {**details, "ended_at": ended})

    def increment(self, work: Work) -> Written:
        assert work.parent is not None  # noqa: S101  an increment has one
        parent, state = work.parent[1], _state(work)
        kept = {name: parent.details[name] for name in ("increments", "slot", "segment_bytes", "superuser")}
        if parent.details["increments"] == LOG:
            return self._log(work, state, parent, kept)
        if parent.details["increments"] == NONE:
            raise full_needed(work.context, f"{parent.backup_id} was made without support for increments", PHYSICAL)
        if not state["summarizes"]:
            raise full_needed(work.context, "the server does not summarize its WAL (summarize_wal is off)", PHYSICAL)
        with decrypted(work.backup_store, work.folder, [(work.parent[0].folder, parent)]) as ((folder, _),):
            ended = self._base(work, state, folder / BASE / recovery.MANIFEST)
        return self._written(work, state, {**kept, "ended_at": ended})

    def read(self, work: Work, folder: Path, manifest: BackupManifest) -> None:
        """Verify every file of a base backup by the server's checksum, and read every record of its WAL.

        Raises NotAtHandError without programs of the server's own version: others cannot read its WAL, and digests do not show
        damage from before the transfer.
        """
        major = int(manifest.server_version.split(".")[0])
        if (folder / BASE).is_dir():
            use_programs(work, "verifybackup", major, exactly=True)
            work.clients.run("verifybackup", {"folder": folder / BASE})
            return
        segments = wal.segments_of(manifest)
        wal.require_complete(folder / wal.WAL, segments)
        use_programs(work, "waldump", major, exactly=True)
        wal.read(work, folder / wal.WAL, segments)

    def restore(self, work: Work, chain: Chain, place: str, *, until: str | None, tables: Sequence[str]) -> None:
        """Restore into a new folder; a server of the same version recovers when it is first started there."""
        if tables:
            raise BackupError("a physical backup is restored as a whole")
        recovery.restore(work, chain, place, until)

    def proves(self, work: Work, place: str) -> bool:
        return recovery.prove(work, place)

    def _base(self, work: Work, state: Row, parent: Path | None) -> str:
        """Copy the files; returns the time of their state."""
        folder = work.folder.resolve()
        spaces = [
            f"--tablespace-mapping={_mapped(old)}={_mapped(str(folder / '.spaces' / oid))}"
            for oid, old in (state["tablespaces"] or {}).items()
        ]
        values = {"folder": folder / BASE, "old_manifest": parent, "label": folder.name, "tablespaces": spaces}
        with connection(work.context.database.here) as (dbname, descriptors):
            work.clients.run(
                "basebackup",
                {"max_rate": work.params.get("max_rate"), **values, "dbname": dbname},
                secrets=descriptors,
                size=lambda: making.total(folder.rglob("*")),
                expected=state["bytes"] or 0,
            )
        ended = str(work.query("cluster")[0]["now"])
        with writing(folder):
            _move_tablespaces(folder)
        return ended

    def _written(self, work: Work, state: Row, details: dict[str, Any]) -> Written:
        """The result for a base backup: its end, from the server's own manifest, and details that its files do not have."""
        base = work.folder / BASE
        last = json.loads((base / recovery.MANIFEST).read_text(encoding="utf-8"))["WAL-Ranges"][-1]
        empty = [path for path in base.rglob("*") if path.is_dir() and not any(path.iterdir())]
        details |= {
            **_spaces(state),
            "empty_folders": sorted(str(path.relative_to(base)) for path in empty),
            "client": ".".join(map(str, work.clients.version("basebackup"))),
        }
        return Written(CLUSTER, state["bytes"], {"lsn": last["End-LSN"], "timeline": last["Timeline"]}, details)

    def _log(self, work: Work, state: Row, parent: BackupManifest, kept: dict[str, Any]) -> Written:
        """The WAL since the parent."""
        begin = wal.number_of(parent.position["lsn"])
        if state["standby"]:
            raise BackupError("a standby cannot switch WAL segments", hint="make the increment on the primary")
        if state["timeline"] != parent.position["timeline"]:
            why = f"the server is on timeline {state['timeline']}, but {parent.backup_id} is on {parent.position['timeline']}"
            raise full_needed(work.context, why, PHYSICAL)
        wal.require_kept(work, kept["slot"], begin, parent.backup_id)
        with connection(work.context.database.here) as (dbname, descriptors):
            segments, at = wal.receive(work, state["timeline"], begin, state["segment_bytes"], dbname, descriptors)
        # Recovery recreates a tablespace at its old path: on the source's own host, over the source's files.
        new = _spaces(state)["tablespaces"].items() - parent.details["tablespaces"].items()
        if new or wal.makes_tablespace(work, segments):
            raise full_needed(work.context, f"a tablespace was created after {parent.backup_id}", PHYSICAL)
        position = {"lsn": wal.text_of(segments.end), "timeline": segments.timeline}
        details = {"from": wal.text_of(segments.begin), "segments": len(segments.names), "ended_at": at}
        return Written(CLUSTER, state["bytes"], position, {**kept, **details, **_spaces(state)})


def _state(work: Work) -> Row:
    """The state of the cluster, after choosing programs. Raises BackupError for anything that would make the backup fail."""
    use_programs(work, "basebackup", work.context.database.version[0])
    state = work.query("cluster")[0]
    making.require(of_replicating(state["role"], may=state["may_replicate"]))
    root, data = work.backup_store.repository.root.resolve(), state["data_directory"]
    if data and root.is_relative_to(data):
        raise making.inside_data_directory(root, data)
    return state


def _slot(work: Work) -> str:
    return wal.slot_name(work.server.identity, work.context.target, work.backup_store.repository.root)


def _increments(work: Work, state: Row) -> str:
    """How increments on this backup will be made: not of pages if it is encrypted, since they need the parent's manifest."""
    requested = work.params.get("increments")
    if requested == PAGES and not state["summarizes"]:
        raise BackupError("the server does not summarize its WAL", hint="set summarize_wal = on (version 17 and newer)")
    if requested == LOG and state["standby"]:
        raise BackupError("a standby cannot switch WAL segments", hint="make the backup on the primary")
    if requested:
        return str(requested)
    if state["summarizes"] and not work.backup_store.recipients:
        return PAGES
    return NONE if state["standby"] else LOG


def _spaces(state: Row) -> dict[str, dict[str, str]]:
    return {"tablespaces": dict(state["tablespaces"] or {})}


def _mapped(path: str) -> str:
    """A path, escaped for --tablespace-mapping."""
    return path.replace("=", "\\=")


def _move_tablespaces(folder: Path) -> None:
    """Replace the links to tablespaces, which lead into the unfinished backup's folder, by the tablespaces themselves."""
    spaces = folder / ".spaces"
    for space in spaces.iterdir() if spaces.is_dir() else ():
        link = folder / BASE / recovery.SPACES / space.name
        link.unlink()
        space.rename(link)
    if spaces.is_dir():
        spaces.rmdir()


def _has_physical_backups(work: Work) -> bool:
    """Whether this target has any physical backup, verified or not."""
    entries = work.backup_store.catalog.all(work.context.target)
    return any(one.method == PgBasebackup.name and one.identity == work.server.identity for one in entries)
