"""Where a run's backups are: the folder, the catalog, and how this target is to be backed up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from aishell.backups.catalog import Catalog, Entry
from aishell.backups.manifest import FULL, Manifest
from aishell.backups.repository import Repository
from aishell.errors import BackupError, StepError
from aishell.registry.context import Context
from aishell.state.store import Store


@dataclass(frozen=True)
class Vault:
    """The backups of a site. `store` opens the state, which a dry run does not; `programs`: the folder of the client programs."""

    repository: Repository
    store: Callable[[], Store] = field(repr=False)
    programs: Path | None = None

    @cached_property
    def catalog(self) -> Catalog:
        return Catalog(self.store())

    def chain(self, entry: Entry) -> list[tuple[Path, Manifest]]:
        """A backup and all that it rests on, the full one first, each with its manifest as the catalog knows it.

        Raises BackupError, naming the missing or changed link.
        """
        links: list[tuple[Path, Manifest]] = []
        known = {one.backup_id: one for one in self.catalog.all()}
        at: Entry | None = entry
        while at is not None:
            manifest = self.repository.manifest(at.folder)
            if manifest.digest != at.digest or manifest.backup_id != at.backup_id:
                raise BackupError(f"{at.folder} is not the backup that the catalog knows as {at.backup_id}")
            child = links[-1][1] if links else None
            if child is not None and child.details.get("parent_digest") != manifest.digest:
                raise BackupError(f"{child.backup_id} was not made on {manifest.backup_id} as it is now")
            if child is not None and child.identity != manifest.identity:
                raise BackupError(f"{child.backup_id} and {manifest.backup_id} are of different servers")
            links.append((at.folder, manifest))
            if manifest.kind == FULL:
                return links[::-1]
            if manifest.parent not in known or len(links) > len(known):
                raise BackupError(f"{manifest.backup_id} rests on {manifest.parent}, which is not there")
            at = known[manifest.parent]
        raise BackupError(f"{entry.backup_id} rests on no full backup")

    def stand(self, backup_id: str) -> None:
        """Note beside the backup what the catalog has of it."""
        entry = self.catalog.find(backup_id)
        standing = {"rung": entry.rung, "compared_at": entry.compared_at, "pinned": entry.pinned}
        self.repository.stand(entry.folder, {**standing, "copies": list(entry.copies)})

    def proven(self, backup_id: str, rung: str) -> Entry:
        """A backup that was found sound as far as `rung`; what it rests on was read with it."""
        self.catalog.proven(backup_id, rung)
        self.stand(backup_id)
        return self.catalog.find(backup_id)

    def newest(self, target: str, identity: str, *, kind: str | None = None) -> Entry | None:
        """The newest verified backup of this very database."""
        found = [
            e for e in self.catalog.all(target) if e.identity == identity and e.verified and kind in (None, e.kind)
        ]
        return found[-1] if found else None


def vault_of(context: Context) -> Vault:
    """The vault a run was given. Raises StepError where there is none, as in a tool that is tried by itself."""
    if not isinstance(context.backups, Vault):
        raise StepError("there is no place for backups", hint="set `backups:` in config/aishell.yaml")
    return context.backups
