"""The folder of backups: `<root>/<target>/<backup id>/`. A backup is there whole, under its name, or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from aishell.backups.manifest import Manifest
from aishell.errors import BackupError, ParameterError

MANIFEST, STANDING = "manifest.json", "standing.json"
PARTIAL, TRASH = ".partial-", ".trash-"


def inside(root: Path, given: str | Path) -> Path:
    """`given`, relative to the root or absolute, as a path within the root and not the root itself. Raises ParameterError."""
    path = (root / given).resolve()
    if not str(given).strip() or path == root.resolve() or not path.is_relative_to(root.resolve()):
        raise ParameterError(
            f"{str(given)!r} is no place inside {root}",
            hint="set `backups:` in config/aishell.yaml to where backups may be",
        )
    return path


def folder_name(text: str) -> str:
    """A name as a folder's: whatever it holds, it is one component of a path and not a special one."""
    return quote(text, safe=" ()+,=@~") if text.strip(".") else quote(text, safe="").replace(".", "%2E")


class Repository:
    """The backups of all targets below one root folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, target: str, destination: str = "") -> Path:
        """Where a target's backups are; `destination` is a folder inside the root. Raises ParameterError for one outside."""
        return inside(self.root, Path(destination) / folder_name(target))

    def begin(self, folder: Path, backup_id: str) -> Path:
        """The folder that a backup is made in, empty: what an earlier attempt of the same one left there goes."""
        final = inside(self.root, folder / backup_id)
        partial = final.with_name(PARTIAL + final.name)
        with writing(partial):
            if partial.exists():
                shutil.rmtree(partial)
            partial.mkdir(parents=True, mode=0o700)
        return partial

    def publish(self, partial: Path, manifest: Manifest) -> Path:
        """Give a finished backup its name: everything in it is durable before, and the name itself afterwards."""
        final = partial.with_name(partial.name.removeprefix(PARTIAL))
        with writing(partial):
            _write(partial / MANIFEST, manifest.text())
            for path in sorted(partial.rglob("*"), reverse=True):
                path.chmod(0o700 if path.is_dir() else 0o600)
                _sync(path)
            _sync(partial)
            partial.rename(final)
            _sync(final.parent)
        return final

    def discard(self, partial: Path) -> None:
        """Nothing of an unfinished backup stays."""
        if partial.name.startswith(PARTIAL):
            shutil.rmtree(partial, ignore_errors=True)

    def manifest(self, folder: Path) -> Manifest:
        """Raises BackupError for a folder without a readable one."""
        path = folder / MANIFEST
        try:
            return Manifest.of(path.read_text(encoding="utf-8"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise BackupError(f"{path} cannot be read: {error}") from error

    def all(self) -> Iterator[tuple[Path, Manifest | BackupError]]:
        """Every finished backup below the root, the oldest first; one whose manifest is damaged comes with the error."""
        found = (path.parent for path in self.root.rglob(MANIFEST))
        for folder in sorted(filter(_is_backup, found), key=lambda path: path.name):
            try:
                yield folder, self.manifest(folder)
            except BackupError as error:
                yield folder, error

    def partials(self) -> list[Path]:
        """What interrupted runs have begun."""
        return sorted(path for path in self.root.rglob(f"{PARTIAL}*") if path.is_dir())

    def remove(self, folder: Path) -> None:
        """Rename to trash, then delete: a kill in between leaves no half-deleted backup under its name."""
        folder = inside(self.root, folder)
        with writing(folder):
            trash = folder.with_name(TRASH + folder.name)
            if folder.exists():
                folder.rename(trash)
                _sync(folder.parent)
            self.empty_trash(folder.parent)

    def empty_trash(self, folder: Path) -> None:
        for trash in folder.glob(f"{TRASH}*"):
            shutil.rmtree(trash)

    def stand(self, folder: Path, standing: dict[str, object]) -> None:
        """Note beside a backup what was proven of it and whether it is pinned, so that the catalog can be made again."""
        with writing(folder):
            unfinished = folder / f".{STANDING}"
            _write(unfinished, json.dumps(standing))
            unfinished.rename(folder / STANDING)

    def standing(self, folder: Path) -> dict[str, object]:
        """What was noted of a backup; nothing where that cannot be read."""
        try:
            found = json.loads((folder / STANDING).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def _is_backup(path: Path) -> bool:
    return not path.name.startswith((PARTIAL, TRASH))


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """The errors of a disk as ours."""
    try:
        yield
    except OSError as error:
        raise BackupError(
            f"{place} cannot be written: {error.strerror or error}",
            hint="make room, or name another folder with --destination",
        ) from error
