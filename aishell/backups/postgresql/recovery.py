"""A PostgreSQL data directory made of physical backups: files put together, WAL laid beside them, and how far to recover."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from aishell.backups.create.making import Work
from aishell.backups.methods import Chain
from aishell.backups.postgresql import wal
from aishell.backups.postgresql.libpq import use_programs
from aishell.backups.postgresql.new_cluster import AUTO, MARK, NewCluster
from aishell.backups.store.manifest import BackupManifest
from aishell.errors import BackupError
from aishell.moments import given

BASE, MANIFEST, SPACES = "base", "backup_manifest", "pg_tblspc"
#: What a restored server must not do: archive into the real repository, follow a primary, take changes from publishers; nor
#: recover as a standby, which gives up where its settings (max_connections) are smaller than those of the source, which may lie
#: elsewhere.
QUIET: Mapping[str, str] = {
    "archive_mode": "off",
    "archive_command": "",
    "archive_cleanup_command": "",
    "recovery_end_command": "",
    "hot_standby": "off",
    "primary_conninfo": "",
    "primary_slot_name": "",
    "max_logical_replication_workers": "0",
    **dict.fromkeys(("recovery_target", "recovery_target_name", "recovery_target_lsn", "recovery_target_xid"), ""),
    "recovery_target_time": "",
}
#: Where a server wants its settings, and what stands there when those of the source lie elsewhere (as on Debian).
CONFIGURATION = {
    "postgresql.conf": "# Those of the source lay outside its data directory: none is in the backup.\n",
    "pg_hba.conf": "# As above: only the server's own account may connect.\nlocal all all peer\n",
    "pg_ident.conf": "",
}


def restore(work: Work, chain: Chain, named: str, until: str | None) -> None:
    """A new data directory, under its name when it is whole; a server of the same version recovers at its first start."""
    bases = [link for link in chain if (link[0] / BASE).is_dir()]
    logs = [link for link in chain if not (link[0] / BASE).is_dir()]
    if list(chain) != [*bases, *logs] or not bases:
        raise BackupError(f"{chain[-1][1].backup_id} does not rest on a base backup as it should")
    settings = _settings(bases[-1][1], [manifest for _, manifest in logs], until)
    new = NewCluster.of(work, named)
    if new.is_there():
        return
    largest = max(base.source_bytes or 0 for _, base in bases)
    new.require_room(largest + sum(manifest.bytes for _, manifest in logs))
    with new.made():
        _files(work, bases, new.unfinished)
        _logs(logs, bases[-1][1], new.unfinished)
        configure(new, settings, bool(logs))
        _place_spaces(new)
        _own(new.place.parent, new.unfinished, new.waiting)


def _settings(base: BackupManifest, logs: Sequence[BackupManifest], until: str | None) -> dict[str, str]:
    """What the restored server is told. Raises BackupError for a moment that these backups do not hold."""
    major = int(base.server_version.split(".")[0])
    settings = dict(QUIET) | ({"archive_library": ""} if major >= 15 else {})
    if logs:
        # All of the WAL lies in pg_wal, where recovery looks when the archive has none.
        settings |= {
            "restore_command": "false",
            "recovery_target_timeline": "current",
            "recovery_target_action": "promote",
        }
    if until is None:
        return settings
    moment = given(until)
    first = datetime.fromisoformat(base.details["ended_at"])
    last = datetime.fromisoformat(logs[-1].details["ended_at"]) if logs else first
    if not first <= moment <= last:
        raise BackupError(
            f"{until} cannot be restored from {(logs or [base])[-1].backup_id}: that holds what was from {first} to {last}",
            hint=None if logs else "only increments of WAL can be restored to any moment",
        )
    return settings | {"recovery_target_time": moment.strftime("%Y-%m-%d %H:%M:%S.%f+00")}


def _files(work: Work, bases: Chain, into: Path) -> None:
    """The files of a cluster as its last base backup saw them."""
    last = bases[-1][1]
    for folder, manifest in bases:  # a copy of a backup, or one that was decrypted, has none of them
        _make_empty(folder / BASE, manifest)
    if len(bases) == 1:
        shutil.copytree(bases[0][0] / BASE, into, symlinks=True)
    else:
        use_programs(work, "combinebackup", int(last.server_version.split(".")[0]), exactly=True)
        work.clients.run("combinebackup", {"bases": [folder / BASE for folder, _ in bases], "into": into})
    _make_empty(into, last)
    for name in (MANIFEST, "postmaster.pid", "standby.signal", "recovery.signal"):
        (into / name).unlink(missing_ok=True)
    into.chmod(0o700)


def _make_empty(base: Path, manifest: BackupManifest) -> None:
    for name in manifest.details["empty_folders"]:
        (base / name).mkdir(parents=True, exist_ok=True, mode=0o700)


def _logs(logs: Chain, base: BackupManifest, into: Path) -> None:
    """The WAL of the increments where a server looks for it. Raises BackupError for a gap."""
    reached, timeline = wal.number_of(base.position["lsn"]), base.position["timeline"]
    for folder, manifest in logs:
        segments = wal.segments_of(manifest)
        wal.refuse_gaps(folder / wal.WAL, segments)
        if segments.begin > reached or segments.timeline != timeline:
            raise BackupError(
                f"there is WAL missing before {manifest.backup_id}: it begins at {wal.text_of(segments.begin)}"
            )
        for name in segments.names:
            shutil.copyfile(folder / wal.WAL / name, into / "pg_wal" / name)
            (into / "pg_wal" / name).chmod(0o600)
        reached = segments.end


def configure(new: NewCluster, settings: Mapping[str, str], archive: bool) -> None:
    """What a restored server is told, and which step has restored it. `archive`: it recovers from WAL."""
    data = new.unfinished
    for name, text in CONFIGURATION.items():
        if not (data / name).exists():
            (data / name).write_text(text, encoding="utf-8")
            (data / name).chmod(0o600)
    with (data / AUTO).open("a", encoding="utf-8") as file:
        file.write(f"\n{MARK}{new.mark}\n# for the restore; take out what this server is to do again\n")
        for name, value in settings.items():
            file.write(f"{name} = '{value}'\n")
    if archive:
        (data / "recovery.signal").touch(mode=0o600)


def _place_spaces(new: NewCluster) -> None:
    """Tablespaces beside the data directory, with the links that every version knows to where they will be."""
    links = new.unfinished / SPACES
    for space in sorted(links.iterdir()) if links.is_dir() else ():
        if space.is_dir() and not space.is_symlink():
            new.waiting.mkdir(mode=0o700, exist_ok=True)
            space.rename(new.waiting / space.name)
            space.symlink_to(new.spaces / space.name)


def _own(parent: Path, *made: Path) -> None:
    """A server refuses to run as root: what root restores belongs to whom the folder does that it lies in."""
    if os.geteuid() != 0:
        return
    owner = parent.stat()
    for folder in made:
        for path in [folder, *folder.rglob("*")] if folder.exists() else ():
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
