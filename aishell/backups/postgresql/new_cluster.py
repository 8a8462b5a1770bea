"""A PostgreSQL data directory in the making: beside its place until it is whole, and known again by the step that makes it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aishell.backups.create.making import Work
from aishell.clients.disk import writing
from aishell.errors import BackupError
from aishell.folders import sync, sync_all

#: The settings that a server is given by statements, and what stands there before the step that has restored it.
AUTO, MARK = "postgresql.auto.conf", "# by aishell "


def is_scratch(place: str) -> bool:
    """Whether a place is a name alone, of what is made for a test."""
    return os.sep not in place


def place_of(work: Work, place: str) -> Path:
    """Where to restore to. Raises BackupError for what is not an absolute path."""
    if is_scratch(place):
        from aishell.backups.postgresql.scratch import data_of

        return data_of(work, place)
    if not Path(place).is_absolute():
        raise BackupError(
            f"{place!r} is not an absolute path", hint="name a folder that is not there, for a new data directory"
        )
    return Path(place)


@dataclass(frozen=True)
class NewCluster:
    """Its place, which step of which run makes it, and whether it is made to stay."""

    place: Path
    mark: str
    stays: bool

    @classmethod
    def of(cls, work: Work, named: str) -> NewCluster:
        mark = f"{work.context.run_id}:{work.context.step_id}"
        return cls(place_of(work, named), mark, not is_scratch(named))

    @property
    def spaces(self) -> Path:
        """Where its tablespaces will be."""
        return self.place.with_name(f"{self.place.name}.tablespaces")

    @property
    def unfinished(self) -> Path:
        """The data directory while it is made."""
        return self.place.with_name(f".{self.place.name}.restoring")

    @property
    def waiting(self) -> Path:
        """The tablespaces until the data directory has its name."""
        return self.place.with_name(f".{self.place.name}.tablespaces")

    def is_there(self) -> bool:
        """Whether this very step has made it, and was killed before it could say so. Raises BackupError for anything else."""
        try:
            made = f"{MARK}{self.mark}\n" in (self.place / AUTO).read_text(encoding="utf-8")
        except OSError:
            made = False
        if made:
            self._settle()
            return True
        for taken in (self.place, self.spaces):
            if taken.exists() or taken.is_symlink():
                raise BackupError(f"{taken} already exists", hint="name a folder that is not there")
        return False

    def require_room(self, needed: int) -> None:
        """Raises BackupError where so many bytes do not fit."""
        if not self.place.parent.is_dir():
            raise BackupError(f"{self.place.parent} is not there")
        free = shutil.disk_usage(self.place.parent).free
        if needed > free:
            raise BackupError(f"{needed:,} bytes are needed at {self.place.parent}, and {free:,} are free")

    @contextmanager
    def made(self) -> Iterator[None]:
        """What the block makes gets its name when it is whole, and durable if it stays; nothing of it stays where it fails."""
        with writing(self.place):
            self._discard()  # of an attempt that was killed
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
        """Tablespaces get their name after the data directory that leads to them: that one tells whose they are."""
        with writing(self.spaces):
            if self.waiting.is_dir():
                self.waiting.rename(self.spaces)
