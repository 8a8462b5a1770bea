"""The folder of archives: `<root>/[…/]<target>/<schema>.<table>/<time>-<run>-<step>/`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from aishell.archives.manifest import Manifest
from aishell.archives.writer import MANIFEST, PARTIAL
from aishell.errors import AmbiguousNameError, ArchiveError, ParameterError, UnknownNameError

_BEGUN = re.compile(rf"\d{{8}}T\d{{6}}Z-(?P<run>[0-9a-f]{{8}})-.+{re.escape(PARTIAL)}")


def inside(root: Path, given: str) -> Path:
    """Return `given`, relative to the root or absolute, as a path within the root. Raises ParameterError for one outside."""
    path = (root / given).resolve()
    if not path.is_relative_to(root.resolve()):
        how = "set `archives:` in config/aishell.yaml to where archives may be written"
        raise ParameterError(f"the archive folder {given!r} is outside {root}", hint=how)
    return path


def taken_up(folder: Path, ending: str) -> Path | None:
    """Return the final path of the archive that an earlier process of the same step made or began; None without one."""
    for path in sorted(folder.glob(f"*-{ending}*")):
        name = path.name.removesuffix(PARTIAL)
        if name.endswith(f"-{ending}"):
            return path.with_name(name)
    return None


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of an archive's folder. Raises ArchiveError when it cannot be read."""
    path = folder / MANIFEST
    try:
        return Manifest.of(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ArchiveError(f"{path} cannot be read: {error}") from error


def archives(root: Path) -> Iterator[tuple[Path, Manifest | ArchiveError]]:
    """Yield every finished archive below the root, oldest first; one that cannot be read, with its error."""
    for path in sorted(root.rglob(MANIFEST), key=lambda path: path.parent.name):
        if path.parent.name.endswith(PARTIAL):
            continue
        try:
            yield path.parent, read_manifest(path.parent)
        except ArchiveError as error:
            yield path.parent, error


def newer(root: Path, manifest: Manifest) -> list[str]:
    """Return the names of the finished archives of the same table that were made later, oldest first."""
    key = (manifest.target, manifest.schema, manifest.table)
    return [
        folder.name
        for folder, other in archives(root)
        if isinstance(other, Manifest)
        and (other.target, other.schema, other.table) == key
        and other.created_at > manifest.created_at
    ]


def unfinished(root: Path) -> list[Path]:
    """Return archives begun by interrupted runs: `runs resume` finishes them; those of abandoned runs can be removed."""
    return sorted(path for path in root.rglob(f"*{PARTIAL}") if path.is_dir())


def begun_by(folder: Path) -> str | None:
    """Return the first digits of the id of the run that began an unfinished archive; None for other folder names."""
    match = _BEGUN.fullmatch(folder.name)
    return match["run"] if match else None


def find(root: Path, name: str) -> tuple[Path, Manifest]:
    """Return an archive by its id, a prefix of it, or its folder. Raises UnknownNameError, AmbiguousNameError or ArchiveError."""
    direct = Path(name)
    if (direct / MANIFEST).is_file():
        return direct, read_manifest(direct)
    known = [path for path, _ in archives(root)]
    found = [path for path in known if path.name == name] or [
        path for path in known if name and path.name.startswith(name)
    ]
    if len(found) > 1:
        raise AmbiguousNameError("archive", name, (path.name for path in found))
    if not found:
        raise UnknownNameError("archive", name, (path.name for path in known), str(root))
    return found[0], read_manifest(found[0])
