"""Restores physical backups to a PostgreSQL data directory: its files, its WAL and its recovery settings."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from aishell.backups.create.making import Work, require_room
from aishell.backups.methods import Chain
from aishell.backups.postgresql import wal
from aishell.backups.postgresql.libpq import quoted, use_programs
from aishell.backups.restore import scratch_server
from aishell.backups.store.manifest import BackupManifest
from aishell.claims import Claim
from aishell.clients.clients import writing
from aishell.errors import BackupError
from aishell.files import sync, sync_all
from aishell.moments import given

#: The file of ALTER SYSTEM, and the comment in it that names the step that restored the data directory.
AUTO, CLAIMED = "postgresql.auto.conf", "# by aishell "
BASE, MANIFEST, SPACES = "base", "backup_manifest", "pg_tblspc"
#: Settings that keep a restored server from archiving into the real repository, following a primary, subscribing to publishers,
#: and recovering in hot standby, which fails if settings such as max_connections are smaller than the source's.
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
#: Configuration files, with their content when the source's are outside its data directory (as on Debian).
CONFIGURATION = {
    "postgresql.conf": "# The source's file was outside its data directory and is not in the backup.\n",
    "pg_hba.conf": "# The source's file is not in the backup: only the server's own account may connect.\nlocal all all peer\n",
    "pg_ident.conf": "",
}
#: Accounts to run a server as, in place of root.
ACCOUNTS = ("postgres", "nobody")
#: Configuration files of a scratch server, used instead of the source's.
_TRUSTED = {"postgresql.conf": "", "pg_hba.conf": "local all all trust\n", "pg_ident.conf": ""}


@dataclass(frozen=True)
class NewCluster:
    """A data directory to be restored: its place, the claim of the step that makes it, and whether it is permanent."""

    place: Path
    claim: Claim
    stays: bool

    @classmethod
    def of(cls, work: Work, named: str) -> NewCluster:
        place = scratch_server.place_of(work, named, ACCOUNTS)
        return cls(place, work.context.claim, not scratch_server.is_scratch(named))

    @property
    def spaces(self) -> Path:
        """The folder of its tablespaces."""
        return self.place.with_name(f"{self.place.name}.tablespaces")

    @property
    def unfinished(self) -> Path:
        """The data directory until it is complete."""
        return self.place.with_name(f".{self.place.name}.restoring")

    @property
    def waiting(self) -> Path:
        """The folder of tablespaces until the data directory has its name."""
        return self.place.with_name(f".{self.place.name}.tablespaces")

    def already_made(self) -> bool:
        """Whether an earlier process of this step made it. Raises BackupError if anything else has its place."""
        try:
            made = f"{CLAIMED}{self.claim}\n" in (self.place / AUTO).read_text(encoding="utf-8")
        except OSError:
            made = False
        if made:
            self._settle()
            return True
        for taken in (self.place, self.spaces):
            if taken.exists() or taken.is_symlink():
                raise BackupError(f"{taken} already exists", hint="name a folder that does not exist")
        return False

    @contextmanager
    def made(self, needed: int) -> Iterator[None]:
        """Rename what the block makes to its place when complete, synced if permanent; removed if the block fails.

        Raises BackupError if the parent folder does not exist, NotAtHandError if it has less than `needed` bytes free.
        """
        if not self.place.parent.is_dir():
            raise BackupError(f"{self.place.parent} does not exist")
        require_room(self.place.parent, needed, "restore it")
        with writing(self.place):
            self._discard()  # of a killed attempt
            try:
                yield
                for folder in (self.unfinished, self.waiting) if self.stays else ():
                    sync_all(folder)
                self.unfinished.rename(self.place)
            except BaseException:
                self._discard()
                raise
            self._settle()
            sync(self.place.parent)

    def _discard(self) -> None:
        for left in (self.unfinished, self.waiting):
            shutil.rmtree(left, ignore_errors=True)

    def _settle(self) -> None:
        """Rename the tablespaces after the data directory, which identifies the step that made them."""
        with writing(self.spaces):
            if self.waiting.is_dir():
                self.waiting.rename(self.spaces)


def restore(work: Work, chain: Chain, named: str, until: str | None) -> None:
    """Make a new data directory; a server of the same version recovers when it is first started there."""
    bases = [link for link in chain if (link[0] / BASE).is_dir()]
    logs = [link for link in chain if not (link[0] / BASE).is_dir()]
    if list(chain) != [*bases, *logs] or not bases:
        raise BackupError(f"{chain[-1][1].backup_id} does not depend on a base backup")
    settings = _settings(bases[-1][1], [manifest for _, manifest in logs], until)
    new = NewCluster.of(work, named)
    if new.already_made():
        return
    largest = max(base.source_bytes or 0 for _, base in bases)
    with new.made(largest + sum(manifest.bytes for _, manifest in logs)):
        _files(work, bases, new.unfinished)
        _logs(logs, bases[-1][1], new.unfinished)
        configure(new, settings, bool(logs))
        _place_spaces(new)
        _own(new.place.parent, new.unfinished, new.waiting)


def _settings(base: BackupManifest, logs: Sequence[BackupManifest], until: str | None) -> dict[str, str]:
    """The settings of the restored server. Raises BackupError for a moment that these backups do not cover."""
    major = int(base.server_version.split(".")[0])
    settings = dict(QUIET) | ({"archive_library": ""} if major >= 15 else {})
    if logs:
        # All WAL is in pg_wal, which recovery reads when the archive has none.
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
        why = f"{until} cannot be restored from {(logs or [base])[-1].backup_id}, which covers {first} to {last}"
        raise BackupError(why, hint=None if logs else "only WAL increments can be restored to any moment")
    return settings | {"recovery_target_time": moment.strftime("%Y-%m-%d %H:%M:%S.%f+00")}


def _files(work: Work, bases: Chain, into: Path) -> None:
    """Write the files of a cluster as of its last base backup."""
    last = bases[-1][1]
    for folder, manifest in bases:  # copies of backups, and decrypted ones, have no empty folders
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
    """Copy the WAL of the increments into pg_wal. Raises BackupError for a gap."""
    end, timeline = wal.number_of(base.position["lsn"]), base.position["timeline"]
    for folder, manifest in logs:
        segments = wal.segments_of(manifest)
        wal.require_complete(folder / wal.WAL, segments)
        if segments.begin > end or segments.timeline != timeline:
            raise BackupError(
                f"WAL is missing before {manifest.backup_id}, which begins at {wal.text_of(segments.begin)}"
            )
        for name in segments.names:
            shutil.copyfile(folder / wal.WAL / name, into / "pg_wal" / name)
            (into / "pg_wal" / name).chmod(0o600)
        end = segments.end


def configure(new: NewCluster, settings: Mapping[str, str], archive: bool) -> None:
    """Write the settings of a restored server, and the step that restored it. `archive`: it recovers from WAL."""
    data = new.unfinished
    for name, text in CONFIGURATION.items():
        if not (data / name).exists():
            (data / name).write_text(text, encoding="utf-8")
            (data / name).chmod(0o600)
    with (data / AUTO).open("a", encoding="utf-8") as file:
        file.write(f"\n{CLAIMED}{new.claim}\n# set by the restore; remove what this server should do again\n")
        for name, value in settings.items():
            file.write(f"{name} = '{value}'\n")
    if archive:
        (data / "recovery.signal").touch(mode=0o600)


def _place_spaces(new: NewCluster) -> None:
    """Move tablespaces beside the data directory, and link to their final places."""
    links = new.unfinished / SPACES
    for space in sorted(links.iterdir()) if links.is_dir() else ():
        if space.is_dir() and not space.is_symlink():
            new.waiting.mkdir(mode=0o700, exist_ok=True)
            space.rename(new.waiting / space.name)
            space.symlink_to(new.spaces / space.name)


def _own(parent: Path, *made: Path) -> None:
    """If we are root, give the files to the owner of the parent folder, since a server refuses to run as root."""
    owner = parent.stat()
    for folder in made if os.geteuid() == 0 else ():
        for path in [folder, *folder.rglob("*")] if folder.exists() else ():
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def prove(work: Work, place: str) -> bool:
    """Start a server, let it recover to the end of the backup and read every table and index; whether they were read.

    Reading takes pg_amcheck, from version 14 on. Raises BackupError if the server does not start, recovery ends too early, or
    damage is found.
    """
    data = scratch_server.place_of(work, place, ACCOUNTS)
    entry = work.backup_store.catalog.find(work.params["backup_id"])
    chain = work.backup_store.chain(entry)
    with _running(work, place, data, chain[-1][1]) as control:
        _refuse_early(data, chain[-1][1])
        reads = int(chain[-1][1].server_version.split(".")[0]) >= 14 and work.clients.has("amcheck")
        if reads:
            login = f"host={quoted(str(control))} user={quoted(chain[0][1].details['superuser'])}"
            work.clients.run("amcheck", {"dbname": f"{login} port=5432 dbname=postgres"})
    return reads


@contextmanager
def _running(work: Work, place: str, data: Path, manifest: BackupManifest) -> Iterator[Path]:
    """Run a server during the block, on a unix socket that only we and its own account can open."""
    use_programs(work, "postgres", int(manifest.server_version.split(".")[0]), exactly=True)
    control, account = scratch_server.control_of(place), scratch_server.account_of(ACCOUNTS)
    with writing(control):
        control.mkdir(mode=0o700, exist_ok=True)
        for name, text in _TRUSTED.items():
            (control / name).write_text(text, encoding="utf-8")
    values = {"data": data, "control": control}
    with scratch_server.running(work, "postgres", values, control, account, folder=data, ready=lambda: _ready(data)):
        yield control


def _ready(data: Path) -> bool:
    """Whether the server reports it is ready, which without hot standby is when recovery has ended."""
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    return len(lines) > 7 and lines[7].strip() == "ready"


def _refuse_early(data: Path, manifest: BackupManifest) -> None:
    """Raises BackupError if recovery ended before the end of the backup, as the history of the new timeline shows."""
    if "from" not in manifest.details:
        return  # a base backup: a server does not start without all of its WAL
    history = data / "pg_wal" / f"{manifest.position['timeline'] + 1:08X}.history"
    left = history.read_text(encoding="utf-8").splitlines()[-1].split("\t")[1]
    if wal.number_of(left) < wal.number_of(manifest.position["lsn"]):
        raise BackupError(
            f"recovery ended at {left}, before the end of {manifest.backup_id} at {manifest.position['lsn']}"
        )
