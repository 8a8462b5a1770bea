"""PostgreSQL by pgbackrest: the files lie in its repository, what it says of them and our manifest in the folder of backups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from aishell.backups.create.making import Work, Written, make
from aishell.backups.methods import Chain, Method
from aishell.backups.pgbackrest import restore as pgbackrest_restore
from aishell.backups.pgbackrest.info import damage, missing
from aishell.backups.pgbackrest.making import NAME, TYPES, made, parent_in, ready
from aishell.backups.pgbackrest.reach import Reach
from aishell.backups.postgresql import wal
from aishell.backups.store.backup_store import store_of
from aishell.backups.store.manifest import FULL, INCREMENTAL, BackupManifest, Fingerprint
from aishell.backups.verify.checking import few, working
from aishell.clients.disk import writing
from aishell.errors import BackupError
from aishell.registry.tool import Tool
from aishell.running.context import Context


def backup(tool: Tool, params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`backup_pgbackrest`. Raises BackupError before anything is written where it could not be made, or not of this server."""
    kind = next(kind for kind, type_ in TYPES.items() if type_ == params["type"])
    with working(tool, params, context) as work:
        stanza = ready(work)
        parent = parent_in(work, stanza) if kind == INCREMENTAL else None
    backup_store = replace(
        store_of(context), recipients=()
    )  # the rows are not in what we write: pgbackrest encrypts them
    result = make(tool, params, replace(context, backups=backup_store), PgBackRestMethod(), kind=kind, parent=parent)
    return {**result, "warnings": backup_store.repository.manifest(Path(result["backup_path"])).details["warnings"]}


class PgBackRestMethod(Method):
    """Sets in a repository of pgbackrest's, which each backup names by its label."""

    name = NAME
    programs = frozenset({"pgbackrest", "postgres", "pg_amcheck"})
    path_suffix = ""
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
            raise BackupError(
                f"{label} is not in {reach.named} any more: {stanza.message}",
                hint=f"pgbackrest expires by rules of its own, as repo{reach.repo}-retention-full",
            )
        if stanza.systems[found.database] != manifest.details["system"] or found.lsn[1] != manifest.position["lsn"]:
            raise BackupError(f"{label} in {reach.named} is another one than was made then")
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
        pgbackrest_restore.restore(work, chain, place, until)

    def prints(self, work: Work, place: str) -> tuple[Fingerprint, ...]:
        """None: what a server had at the end of its WAL nobody knew."""
        return ()

    def proves(self, work: Work, place: str) -> bool:
        from aishell.backups.postgresql.scratch import prove

        return prove(work, place)

    def drop(self, work: Work, place: str) -> None:
        from aishell.backups.restore.scratch_server import remove

        remove(work, place)

    def release(self, work: Work, manifest: BackupManifest, *, look_only: bool) -> None:
        """Let pgbackrest expire the set. Raises BackupError where others rest on it, that would go with it."""
        reach, label = Reach.of(manifest.details), manifest.position["label"]
        stanza, _ = reach.read(work)
        if stanza.find(label) is None:
            return
        if [one.label for one in stanza.sets if one.kind == FULL] == [label]:
            raise BackupError(
                f"{manifest.backup_id} stays: pgbackrest keeps {label}, the only full one in {reach.named}"
            )
        others = stanza.dependents(label)
        if others:
            raise BackupError(
                f"{manifest.backup_id} stays: {few(others)} in {reach.named} cannot be restored without {label}",
                hint="pgbackrest's own retention removes them together",
            )
        if not look_only:
            reach.run(work, "expire", label=label)


def segments_of(manifest: BackupManifest) -> list[str]:
    """The WAL without which the set is of no one moment."""
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
