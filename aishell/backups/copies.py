"""A second place for a backup: copied, read back from there and compared, and only then counted."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aishell.backups.checking import refuse
from aishell.backups.digests import Cancelled, problems, sha256_of
from aishell.backups.manifest import Manifest
from aishell.backups.methods import ELSEWHERE
from aishell.backups.repository import MANIFEST, Repository, writing
from aishell.backups.vault import vault_of
from aishell.errors import BackupError
from aishell.folders import folder_name
from aishell.registry.context import Context


def copy(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`copy_backup`: a backup, and what it rests on, to every second place of the site that does not have it yet."""
    vault = vault_of(context)
    if not vault.copies:
        raise BackupError("there is no second place for backups", hint="set `backup_copies:` in config/aishell.yaml")
    entry = vault.catalog.find(params["backup_id"])
    if entry.method in ELSEWHERE:
        raise BackupError(
            f"the rows of {entry.backup_id} are not in its folder",
            hint=f"a second repository of {entry.method}'s is for that",
        )
    copied, size = [], 0
    for folder, manifest in vault.chain(entry):
        refuse(manifest, problems(folder, manifest, context.cancelled))
        known = vault.catalog.find(manifest.backup_id)
        for name in vault.copies:
            if name in known.copies:
                continue
            place_of(name).put(folder, manifest, context.cancelled)
            vault.catalog.copied(manifest.backup_id, name)
            copied.append({"backup_id": manifest.backup_id, "place": name})
            size += manifest.bytes
        vault.stand(manifest.backup_id)
    return {"copied": copied, "bytes": size}


class Place(ABC):
    """Somewhere else where whole backups are kept, under the same names."""

    @abstractmethod
    def put(self, folder: Path, manifest: Manifest, cancelled: Cancelled) -> None:
        """Copy a backup there and compare what arrived. Raises BackupError when it is not the same."""


class Folder(Place):
    """A folder, of another disk or a mounted one."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, folder: Path, manifest: Manifest, cancelled: Cancelled) -> None:
        if not self.root.is_dir():
            raise BackupError(f"{self.root} is not there: is its disk mounted?")
        repository = Repository(self.root)
        final = repository.folder(manifest.target) / manifest.backup_id
        if final.exists():
            refuse(manifest, problems(final, manifest, cancelled))
            return
        partial = repository.begin(repository.folder(manifest.target), manifest.backup_id)
        try:
            with writing(partial):
                for file in manifest.files:
                    (partial / file.path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                    shutil.copyfile(folder / file.path, partial / file.path)
            refuse(manifest, problems(partial, manifest, cancelled))
            repository.publish(partial, manifest)
        except BaseException:
            repository.discard(partial)
            raise


class ObjectStore(Place):
    """A place by its URL, through fsspec. The manifest goes last: without one there is no backup."""

    def __init__(self, url: str) -> None:
        try:
            from fsspec.core import url_to_fs
        except ImportError as error:
            raise BackupError(f"{url} needs fsspec", hint="pip install 'aishell[object-stores]'") from error
        self.store, self.root = url_to_fs(url)

    def put(self, folder: Path, manifest: Manifest, cancelled: Cancelled) -> None:
        home = f"{self.root}/{folder_name(manifest.target)}/{manifest.backup_id}"
        with writing(Path(home)):
            for file in manifest.files:
                self.store.makedirs(f"{home}/{file.path}".rpartition("/")[0], exist_ok=True)
                self.store.put_file(str(folder / file.path), f"{home}/{file.path}")
                with self.store.open(f"{home}/{file.path}", "rb") as arrived:
                    if sha256_of(arrived, cancelled) != file.sha256:
                        raise BackupError(f"{file.path} did not arrive at {home} as it is here")
            self.store.put_file(str(folder / MANIFEST), f"{home}/{MANIFEST}")


def place_of(name: str) -> Place:
    """A folder by its absolute path, or an object store by its URL. Raises BackupError for what is neither."""
    if "://" in name:
        return ObjectStore(name)
    path = Path(name)
    if not path.is_absolute():
        raise BackupError(f"the second place {name!r} is neither an absolute path nor a URL")
    return Folder(path)
