"""The ways a backup is made, each a module of its own that is loaded when it is needed."""

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

#: Method, as manifests name it -> where its class is.
METHODS: Mapping[str, str] = {
    "sqlite": "aishell.backups.sqlite.copy:SQLiteCopy",
    "pg_dump": "aishell.backups.postgresql.dump:PgDump",
    "pg_basebackup": "aishell.backups.postgresql.basebackup:PgBasebackup",
    "pgbackrest": "aishell.backups.pgbackrest.method:PgBackRestMethod",
    "mariadb-dump": "aishell.backups.mariadb.dump:MariadbDump",
    "mariadb-backup": "aishell.backups.mariadb.physical:MariadbBackup",
}
#: A backup with what it rests on, the full one first.
Chain = Sequence[tuple[Path, BackupManifest]]


class Method(ABC):
    """One way to make, read, restore and compare backups. `work` has the tool whose programs and blocks are used."""

    name: str
    #: The client programs that restore what it made, and read it before that; and those of them that only an increment takes.
    programs: ClassVar[frozenset[str]] = frozenset()
    on_increments: ClassVar[frozenset[str]] = frozenset()
    #: What is restored is a path with this suffix, and no server is needed for it; None: a database of a server.
    path_suffix: ClassVar[str | None] = None
    #: Whether what is restored can take the place of the database it is of.
    in_place: ClassVar[bool] = False
    #: Whether single tables can be restored.
    by_table: ClassVar[bool] = False
    #: Whether a restored database has a mark, by which a restore that is killed knows it as its own (`reset_restore_mark`).
    marks: ClassVar[bool] = False
    #: Whether more than the backup's folder is kept, which has to be asked when it goes (`release`).
    keeps_elsewhere: ClassVar[bool] = False

    @abstractmethod
    def write(self, work: Work) -> Written:
        """A full backup into `work.folder`."""

    def increment(self, work: Work) -> Written:
        """What has changed since `work.parent`. Raises BackupError where that is not possible."""
        raise BackupError(f"{self.name} makes no incremental backups", hint="make a full one")

    @abstractmethod
    def read(self, work: Work, folder: Path, manifest: BackupManifest) -> None:
        """Read a backup from beginning to end. Raises BackupError when that cannot be done."""

    @abstractmethod
    def restore(self, work: Work, chain: Chain, place: str, *, until: str | None, tables: Sequence[str]) -> None:
        """The last of the chain into a new place, which must not be there: a database's name, or a file for SQLite.

        `until`: as of this moment, where the method can; `tables`: only these, where it can. What was made of the place is taken
        away again when it fails.
        """

    def identity(self, work: Work, place: str) -> str | None:
        """What tells the place from a later one of its name, where the engine knows such a thing."""
        return None

    @abstractmethod
    def prints(self, work: Work, place: str) -> tuple[Fingerprint, ...]:
        """The fingerprints of what was restored to a place; none where what it held nobody knew (see `proves`)."""

    def proves(self, work: Work, place: str) -> bool:
        """Whether a server could read all that was restored to a scratch place, where a backup has no fingerprints by its nature.

        Raises BackupError where it does not start, or finds something damaged.
        """
        return False

    def comparable(self, work: Work, prints: Sequence[Fingerprint]) -> Sequence[Fingerprint]:
        """Those of a backup's prints that a restore with the rights of `work` brings back: all, unless a method knows better."""
        return prints

    def notes(self, place: str, manifest: BackupManifest) -> Sequence[str]:
        """What is to be done with what was restored, where that is not a database yet."""
        return ()

    @abstractmethod
    def drop(self, work: Work, place: str) -> None:
        """Take away what was restored for a comparison."""

    def release(self, work: Work, manifest: BackupManifest, *, look_only: bool) -> None:
        """Take away what lies outside a backup's folder, once that has lost its name; `look_only`: only see whether it may go.

        Raises BackupError where it has to stay. What is gone already is no error.
        """
        return


class Physical(Method):
    """A copy of the files of a whole server. What the server had at the end of its log nobody knew: there are no fingerprints."""

    path_suffix = ""

    def prints(self, work: Work, place: str) -> tuple[Fingerprint, ...]:
        return ()

    def drop(self, work: Work, place: str) -> None:
        scratch_server.remove(work, place)


def kind_of(name: str) -> type[Method]:
    """Raises BackupError for a method this aishell does not know."""
    if name not in METHODS:
        raise BackupError(f"this aishell knows no backups by {name!r}", hint="restore it with the one that made it")
    module, _, kind = METHODS[name].partition(":")
    found: type[Method] = getattr(importlib.import_module(module), kind)
    return found


def method_of(name: str) -> Method:
    """Raises BackupError for a method this aishell does not know."""
    return kind_of(name)()


def keeps_elsewhere(name: str) -> bool:
    """Whether a method keeps more than the backup's folder, as far as that is known: backups of others can be removed, too."""
    return name in METHODS and kind_of(name).keeps_elsewhere
