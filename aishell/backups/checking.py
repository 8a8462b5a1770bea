"""Whether a backup is what it was when it was made: its files against the manifest, then read from beginning to end."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aishell.backups.catalog import VERIFIED, Entry
from aishell.backups.clients import end_leftover
from aishell.backups.encryption import is_encrypted, opened
from aishell.backups.making import Work, is_part, sha256
from aishell.backups.manifest import File, Manifest
from aishell.backups.methods import method_of
from aishell.backups.repository import writing
from aishell.backups.vault import vault_of
from aishell.errors import BackupError, NotAtHandError
from aishell.registry.context import Context
from aishell.registry.tool import Tool

#: So many of what is wrong are named.
NAMED = 5


def check(work: Work, entry: Entry) -> list[tuple[Path, Manifest]]:
    """A backup with all it rests on, checked against the manifests and fully read; the catalog learns what came of it.

    Raises BackupError naming what is wrong: then that link, and what rests on it, counts for nothing until it is checked again;
    NotAtHandError where nothing could be learnt of it.
    """
    looked_at = entry.backup_id
    try:
        links = work.vault.chain(entry)
        for folder, manifest in links:
            looked_at = manifest.backup_id
            refuse(manifest, sorted(problems(folder, manifest)))
        unread = [link for link in links if not is_encrypted(link[1]) or work.vault.identity]  # the others were, before
        with opened(work.vault, work.folder, unread) as readable:
            for folder, manifest in readable:
                looked_at = manifest.backup_id
                method_of(manifest.method).read(work, folder, manifest)
    except NotAtHandError:
        raise
    except BackupError as error:
        work.vault.catalog.failed(looked_at, error.message)
        raise
    for _, manifest in links:
        work.vault.proven(manifest.backup_id, VERIFIED)
    return links


def validate(tool: Tool, params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`validate_backup`. Raises BackupError for one that is not sound."""
    with working(tool, params, context) as work:
        entry = work.vault.catalog.find(params["backup_id"])
        check(work, entry)
        entry = work.vault.catalog.find(entry.backup_id)
    return {"backup_id": entry.backup_id, "backup_path": entry.path, "valid": True, "rung": entry.rung, "problems": []}


@contextmanager
def working(tool: Tool, params: Mapping[str, Any], context: Context) -> Iterator[Work]:
    """A folder for logs and processes, which goes at the end; that of a killed attempt goes before, with what still ran in it."""
    folder = vault_of(context).repository.root / f".work-{context.run_id[:8]}-{context.step_id}"
    end_leftover(folder)
    shutil.rmtree(folder, ignore_errors=True)
    with writing(folder):
        folder.mkdir(parents=True, mode=0o700)
    try:
        yield Work(tool, params, context, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def problems(folder: Path, manifest: Manifest) -> Iterator[str]:
    """What differs between the files of a backup and its manifest, in words."""
    expected = {file.path: file for file in manifest.files}
    present = {str(path.relative_to(folder)): path for path in folder.rglob("*") if is_part(folder, path)}
    for name in expected.keys() - present.keys():
        yield f"{name} is missing"
    for name in present.keys() - expected.keys():
        yield f"{name} was not in it when it was made"
    links = [name for name in expected if name in present and present[name].is_symlink()]
    for name in links:  # removing the backup would leave what it leads to, and removing that would take the backup
        yield f"{name} is a link in the place of the file"
    there = [file for name, file in expected.items() if name in present and name not in links]
    with ThreadPoolExecutor(2, thread_name_prefix="check") as pool:
        for told in pool.map(lambda file: _problem(folder, file), there):
            if told is not None:
                yield told


def _problem(folder: Path, file: File) -> str | None:
    path = folder / file.path
    try:
        size = path.stat().st_size
        if size != file.bytes:
            return f"{file.path} has {size:,} bytes instead of {file.bytes:,}"
        return None if sha256(path) == file.sha256 else f"{file.path} was changed or is damaged"
    except PermissionError as error:
        raise NotAtHandError(f"{path} may not be read by this user") from error
    except OSError as error:  # a disk that is failing
        return f"{file.path} cannot be read: {error.strerror or error}"


def refuse(manifest: Manifest, found: Sequence[str]) -> None:
    """Raises BackupError when something was found."""
    if found:
        raise BackupError(
            f"{manifest.backup_id} is not sound: {few(found)}",
            hint="restore another one; `aishell backups list` shows which are verified",
        )


def few(found: Sequence[str]) -> str:
    """The first of what was found, and how much more there is."""
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return "; ".join(found[:NAMED]) + more
