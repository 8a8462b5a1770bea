"""Copies of backups in second places: copied, read back and compared before they count, and verified again later."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aishell.backups.methods import keeps_elsewhere
from aishell.backups.store.backup_store import BackupStore, store_of
from aishell.backups.store.catalog import OTHER_MANIFEST, CatalogEntry
from aishell.backups.store.manifest import BackupManifest, File
from aishell.backups.store.repository import MANIFEST, Cancelled, Repository, carried, problems, sha256_of
from aishell.backups.verify.checking import few, require_sound
from aishell.clients.clients import writing
from aishell.commands import command
from aishell.errors import BackupError, NotAtHandError
from aishell.files import folder_name
from aishell.running.context import Context


def copy(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`copy_backup`: copy a backup and those it depends on to every second place that does not have them yet."""
    backup_store = store_of(context)
    if not backup_store.copies:
        raise BackupError(
            "no second place for backups is configured", hint="set `backup_copies:` in config/aishell.yaml"
        )
    entry = backup_store.catalog.find(params["backup_id"])
    if keeps_elsewhere(entry.method):
        how = f"configure a second repository of {entry.method}"
        raise BackupError(f"{entry.backup_id} cannot be copied: its data is not in its folder", hint=how)
    copied, size = [], 0
    for folder, manifest in backup_store.chain(entry):
        sound = backup_store.catalog.find(manifest.backup_id).sound_copies
        for name in (name for name in backup_store.copies if name not in sound):
            _put(backup_store, name, folder, manifest, context.cancelled)
            copied.append({"backup_id": manifest.backup_id, "place": name})
            size += manifest.bytes
        backup_store.catalog.note(manifest.backup_id)
    return {"copied": copied, "bytes": size}


def verify(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`verify_copies`: read the copies, of one backup or of a target, that were not read for `days` or were damaged.

    Raises BackupError naming those that stay damaged; NotAtHandError if only places could not be read.
    """
    backup_store, name = store_of(context), params["backup_id"]
    chosen = [backup_store.catalog.find(name)] if name else backup_store.entries(context.target)
    read, copied, size, unreached, broken = [], [], 0, set[str](), list[tuple[str, str]]()
    for entry, place in _due(chosen, params["days"]):
        if place in unreached:
            continue
        try:
            found = place_of(place).problems(entry, context.cancelled)
        except NotAtHandError as error:
            unreached.add(place)
            broken.append((entry.backup_id, error.message))
            continue
        problem = few(found) if found else None
        backup_store.catalog.copy_read(entry.backup_id, place, problem)
        read.append({"backup_id": entry.backup_id, "place": place, "problem": problem})
        size += entry.bytes
        if found and params["again"] and entry.readable and place in backup_store.copies:
            _put(backup_store, place, entry.folder, backup_store.manifest(entry), context.cancelled)
            copied.append({"backup_id": entry.backup_id, "place": place})
        elif found:
            broken.append((entry.backup_id, f"{entry.backup_id} in {place}: {problem}"))
    if broken:
        kind = NotAtHandError if len(unreached) == len(broken) else BackupError
        how = f"{command('backups', 'show', broken[0][0])} shows each copy"
        raise kind(f"copies could not be verified: {few([why for _, why in broken])}", hint=how)
    return {"read": read, "copied": copied, "bytes": size}


def _due(chosen: Sequence[CatalogEntry], days: float) -> list[tuple[CatalogEntry, str]]:
    """The copies that were damaged, or not read for so many days, the longest unread first; all where `days` is 0."""
    since = (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="microseconds")  # as times are noted
    copies = [
        (entry.copies_read[place].at if place in entry.copies_read else "", entry, place)
        for entry in chosen
        for place in entry.copies
    ]
    return [
        (entry, place)
        for at, entry, place in sorted(copies, key=lambda one: one[0])
        if not days or at <= since or place not in entry.sound_copies
    ]


def _put(backup_store: BackupStore, name: str, folder: Path, manifest: BackupManifest, cancelled: Cancelled) -> None:
    """A copy of a backup that is as its manifest says, in the place of one that was found damaged."""
    require_sound(manifest, problems(folder, manifest, cancelled))
    place, known = place_of(name), backup_store.catalog.find(manifest.backup_id)
    if name in known.copies and name not in known.sound_copies:
        place.discard(manifest)
    place.put(folder, manifest, cancelled)
    backup_store.catalog.copy_read(manifest.backup_id, name)


class Place(ABC):
    """A second place, where whole backups are kept under the same names."""

    @abstractmethod
    def put(self, folder: Path, manifest: BackupManifest, cancelled: Cancelled) -> None:
        """Copy a backup there and compare the copy. Raises BackupError if it differs."""

    @abstractmethod
    def problems(self, entry: CatalogEntry, cancelled: Cancelled) -> list[str]:
        """The problems of a copy, read from beginning to end; the backup itself may no longer exist.

        Raises NotAtHandError if the place cannot be read.
        """

    @abstractmethod
    def discard(self, manifest: BackupManifest) -> None:
        """Remove a damaged copy, if it exists."""


class Folder(Place):
    """A folder, usually on another disk."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.repository = Repository(root)

    def put(self, folder: Path, manifest: BackupManifest, cancelled: Cancelled) -> None:
        self._require_mounted()
        repository = self.repository
        final = repository.folder(manifest.target) / manifest.backup_id
        if final.exists():
            require_sound(manifest, problems(final, manifest, cancelled))
            return
        partial = repository.begin(repository.folder(manifest.target), manifest.backup_id)
        try:
            with writing(partial):
                for file in manifest.files:
                    (partial / file.path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                    shutil.copyfile(folder / file.path, partial / file.path)
            require_sound(manifest, problems(partial, manifest, cancelled))
            repository.publish(partial, manifest)
        except BaseException:
            repository.discard(partial)
            raise

    def problems(self, entry: CatalogEntry, cancelled: Cancelled) -> list[str]:
        self._require_mounted()
        if not any(self.root.iterdir()):  # a mount point without its disk is empty
            raise NotAtHandError(f"{self.root} is empty: is its disk mounted?")
        there = self.repository.folder(entry.target) / entry.backup_id
        if not there.is_dir():
            return ["it does not exist"]
        try:
            manifest = self.repository.manifest(there)
        except NotAtHandError:
            raise
        except BackupError as error:
            return [error.message]
        return [OTHER_MANIFEST] if manifest.digest != entry.digest else problems(there, manifest, cancelled)

    def discard(self, manifest: BackupManifest) -> None:
        there = self.repository.folder(manifest.target) / manifest.backup_id
        if there.exists():
            self.repository.remove(there)

    def _require_mounted(self) -> None:
        if not self.root.is_dir():
            raise NotAtHandError(f"{self.root} does not exist: is its disk mounted?")


class ObjectStore(Place):
    """An object store, by its URL through fsspec. The manifest is written last: without it there is no backup."""

    def __init__(self, url: str) -> None:
        try:
            from fsspec.core import url_to_fs
        except ImportError as error:
            raise NotAtHandError(f"{url} needs fsspec", hint="pip install 'aishell[object-stores]'") from error
        self.store, self.root = url_to_fs(url)

    def put(self, folder: Path, manifest: BackupManifest, cancelled: Cancelled) -> None:
        home = self._home(manifest.target, manifest.backup_id)
        with writing(Path(home)):
            for file in manifest.files:
                self.store.makedirs(f"{home}/{file.path}".rpartition("/")[0], exist_ok=True)
                self.store.put_file(str(folder / file.path), f"{home}/{file.path}")
                with self.store.open(f"{home}/{file.path}", "rb") as arrived:
                    if sha256_of(arrived, cancelled) != file.sha256:
                        raise BackupError(f"the copy of {file.path} in {home} differs from the original")
            for name, text in carried(manifest):
                self.store.pipe_file(f"{self.root}/{name}", text.encode())
            self.store.put_file(str(folder / MANIFEST), f"{home}/{MANIFEST}")

    def problems(self, entry: CatalogEntry, cancelled: Cancelled) -> list[str]:
        home = self._home(entry.target, entry.backup_id)
        try:
            manifest = BackupManifest.of(self.store.cat_file(f"{home}/{MANIFEST}").decode(), f"{home}/{MANIFEST}")
        except FileNotFoundError:
            return [f"{MANIFEST} is missing"]
        except OSError as error:
            raise NotAtHandError(f"{home} cannot be read: {error}") from error
        except (BackupError, UnicodeDecodeError) as error:
            return [str(error)]
        if manifest.digest != entry.digest:
            return [OTHER_MANIFEST]
        return [wrong for file in manifest.files if (wrong := self._wrong(home, file, cancelled)) is not None]

    def discard(self, manifest: BackupManifest) -> None:
        home = self._home(manifest.target, manifest.backup_id)
        with writing(Path(home)), suppress(FileNotFoundError):
            self.store.rm(home, recursive=True)

    def _wrong(self, home: str, file: File, cancelled: Cancelled) -> str | None:
        try:
            with self.store.open(f"{home}/{file.path}", "rb") as there:
                same = sha256_of(there, cancelled) == file.sha256
        except FileNotFoundError:
            return f"{file.path} is missing"
        except OSError as error:
            raise NotAtHandError(f"{home}/{file.path} cannot be read: {error}") from error
        return None if same else f"{file.path} was changed or is damaged"

    def _home(self, target: str, backup_id: str) -> str:
        return f"{self.root}/{folder_name(target)}/{backup_id}"


def place_of(name: str) -> Place:
    """A folder by its absolute path, or an object store by its URL. Raises BackupError for anything else."""
    if "://" in name:
        return ObjectStore(name)
    path = Path(name)
    if not path.is_absolute():
        raise BackupError(f"the second place {name!r} is neither an absolute path nor a URL")
    return Folder(path)
