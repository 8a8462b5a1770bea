"""The backup methods, each in a module of its own that is loaded when it is needed."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from aishell.backups.create.making import Work, Written
from aishell.backups.restore import scratch_server
from aishell.backups.store.manifest import BackupManifest, Fingerprint
from aishell.errors import BackupError

#: Method, as manifests name it -> its class.
METHODS: Mapping[str, str] = {
    "sqlite": "aishell.backups.sqlite.copy:SQLiteCopy",
    "pg_dump": "aishell.backups.postgresql.dump:PgDump",
    "pg_basebackup": "aishell.backups.postgresql.basebackup:PgBasebackup",
    "pgbackrest": "aishell.backups.pgbackrest.method:PgBackRestMethod",
    "mariadb-dump": "aishell.backups.mariadb.dump:MariadbDump",
    "mariadb-backup": "aishell.backups.mariadb.physical:MariadbBackup",
}
#: A backup with those it depends on, the full one first: folders with their manifests.
Chain = Sequence[tuple[Path, BackupManifest]]


class Method(ABC):
    """A way to make, read, restore and compare backups. `work` has the tool whose programs and blocks are used."""

    name: str
    #: The client programs that verify and restore its backups; of these, `on_increments` are only used on increments.
    programs: ClassVar[frozenset[str]] = frozenset()
    on_increments: ClassVar[frozenset[str]] = frozenset()
    #: It restores to a path with this suffix, without a server; None: to a database of a server.
    path_suffix: ClassVar[str | None] = None
    #: Whether what is restored can replace the original database.
    in_place: ClassVar[bool] = False
    #: Whether single tables can be restored.
    by_table: ClassVar[bool] = False
    #: Whether a restored database has a mark by which a killed restore recognises it as its own (`reset_restore_mark`).
    marks: ClassVar[bool] = False
    #: Whether it also keeps data outside the backup's folder, which `release` removes.
    keeps_elsewhere: ClassVar[bool] = False

    @abstractmethod
    def write(self, work: Work) -> Written:
        """Write a full backup into `work.folder`."""

    def increment(self, work: Work) -> Written:
        """Write the changes since `work.parent`. Raises BackupError where that is not possible."""
        raise BackupError(f"{self.name} does not support incremental backups", hint="make a full one")

    @abstractmethod
    def read(self, work: Work, folder: Path, manifest: BackupManifest) -> None:
        """Read a backup from beginning to end. Raises BackupError when it cannot be read."""

    @abstractmethod
    def restore(self, work: Work, chain: Chain, place: str, *, until: str | None, tables: Sequence[str]) -> None:
        """Restore the last backup of the chain into a new place, which must not exist: a database, a file or a folder.

        `until`: to this moment; `tables`: only these; where the method supports it. A place that could not be completed is
        removed.
        """

    def identity(self, work: Work, place: str) -> str | None:
        """An identifier that tells the place from a later one with its name, where the engine has such a thing."""
        return None

    @abstractmethod
    def fingerprints(self, work: Work, place: str) -> tuple[Fingerprint, ...]:
        """The fingerprints of a restored place; empty where backups have none (see `proves`)."""

    def proves(self, work: Work, place: str) -> bool:
        """Start a server on a scratch place and read everything, where backups have no fingerprints; whether that was possible.

        Raises BackupError if the server does not start, or finds damage.
        """
        return False

    def comparable(self, work: Work, prints: Sequence[Fingerprint]) -> Sequence[Fingerprint]:
        """The fingerprints of a backup that a restore with the privileges of `work` can reproduce; by default all."""
        return prints

    def notes(self, place: str, manifest: BackupManifest) -> Sequence[str]:
        """What remains to be done with a restored place that is not yet a running database."""
        return ()

    @abstractmethod
    def drop(self, work: Work, place: str) -> None:
        """Remove what was restored for a comparison."""

    def release(self, work: Work, manifest: BackupManifest, *, check_only: bool) -> None:
        """Remove what lies outside a backup's folder, once the folder is in the trash; `check_only`: only check that it may go.

        Raises BackupError if it has to stay. It is not an error if it no longer exists.
        """
        return


class Physical(Method):
    """A copy of the files of a whole server. Its contents at the end of the log are not known, so it has no fingerprints."""

    path_suffix = ""

    def fingerprints(self, work: Work, place: str) -> tuple[Fingerprint, ...]:
        return ()

    def drop(self, work: Work, place: str) -> None:
        scratch_server.remove(work, place)


def method_class(name: str) -> type[Method]:
    """The class of a method. Raises BackupError for a method that this release does not know."""
    if name not in METHODS:
        raise BackupError(f"unknown backup method {name!r}", hint="use the version of aishell that made the backup")
    module, _, kind = METHODS[name].partition(":")
    found: type[Method] = getattr(importlib.import_module(module), kind)
    return found


def method_of(name: str) -> Method:
    """Raises BackupError for a method that this release does not know."""
    return method_class(name)()


def keeps_elsewhere(name: str) -> bool:
    """Whether a method keeps data outside the backup's folder; false for unknown methods, whose backups can be removed."""
    return name in METHODS and method_class(name).keeps_elsewhere
