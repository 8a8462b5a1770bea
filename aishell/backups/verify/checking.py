"""Whether a backup is what it was when it was made: its files against the manifest, then read from beginning to end."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aishell.backups.create.making import Work
from aishell.backups.methods import Chain, keeps_elsewhere, method_of
from aishell.backups.store.backup_store import store_of
from aishell.backups.store.catalog import VERIFIED, CatalogEntry
from aishell.backups.store.encryption import is_encrypted, opened
from aishell.backups.store.manifest import BackupManifest
from aishell.backups.store.repository import WORK, damages, misfits
from aishell.clients.clients import end_leftover, writing
from aishell.commands import command
from aishell.errors import BackupError, NotAtHandError, ParameterError
from aishell.registry.tool import Tool
from aishell.running.context import Context

#: So many of what is wrong are named.
NAMED = 5


def check(work: Work, entry: CatalogEntry, *, again: bool = True) -> list[tuple[Path, BackupManifest]]:
    """A backup with all it rests on, checked against the manifests and fully read; the catalog learns what came of it.

    Unless `again`, what was read before and has the same digests now is not unpacked once more: it would read the same.

    Raises BackupError naming what is wrong: then that link, and what rests on it, counts for nothing until it is checked again;
    NotAtHandError where nothing could be learnt of it.
    """
    with _blaming(work, entry.backup_id):
        links = work.backup_store.chain(entry)
    for folder, manifest in links:
        with _blaming(work, manifest.backup_id):
            refuse(manifest, sorted(misfits(folder, manifest)))
    with ThreadPoolExecutor(1, thread_name_prefix="digests") as pool:
        compared = pool.submit(_compared, work, links)  # on another core than the reading
        try:
            _read(work, [link for link in links if again or not _was_read(work, link[1])])
        finally:
            for manifest, damaged in compared.result():  # which says more than a program that stumbles over it
                with _blaming(work, manifest.backup_id):
                    refuse(manifest, damaged)
    for _, manifest in links:
        work.backup_store.catalog.proven(manifest.backup_id, VERIFIED)
    return links


def _compared(work: Work, links: Chain) -> list[tuple[BackupManifest, list[str]]]:
    return [(manifest, sorted(damages(folder, manifest, work.context.cancelled))) for folder, manifest in links]


def _was_read(work: Work, manifest: BackupManifest) -> bool:
    """Whether it was read in full, and all of that lies in its folder."""
    return work.backup_store.catalog.find(manifest.backup_id).verified and not keeps_elsewhere(manifest.method)


def _read(work: Work, links: Chain) -> None:
    """Each from beginning to end. What is encrypted and cannot be opened here was read before it was encrypted."""
    unread = [link for link in links if not is_encrypted(link[1]) or work.backup_store.identity]
    with opened(work.backup_store, work.folder, unread) as readable:
        for folder, manifest in readable:
            with _blaming(work, manifest.backup_id):
                method_of(manifest.method).read(work, folder, manifest)


@contextmanager
def _blaming(work: Work, backup_id: str) -> Iterator[None]:
    """What is found to be wrong is held against this backup, unless nothing could be learnt of it."""
    try:
        yield
    except NotAtHandError:
        raise
    except BackupError as error:
        work.backup_store.catalog.failed(backup_id, error.message)
        raise


def validate(tool: Tool, params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`validate_backup`, of a backup by its id or its folder. Raises BackupError for one that is not sound."""
    named, path = params.get("backup_id"), params.get("backup_path")
    if (named is None) == (path is None):
        raise ParameterError("validate_backup needs backup_id or backup_path, one of them")
    with working(tool, params, context) as work:
        catalog = work.backup_store.catalog
        check(work, catalog.find(named) if named is not None else catalog.at(Path(str(path))))
        entry = catalog.find(named) if named is not None else catalog.at(Path(str(path)))
    return {
        "backup_id": entry.backup_id,
        "backup_path": entry.path,
        "valid": True,
        "rung": entry.verification_level,
        "problems": [],
    }


@contextmanager
def working(tool: Tool, params: Mapping[str, Any], context: Context) -> Iterator[Work]:
    """A folder for logs and processes, which goes at the end; that of a killed attempt goes before, with what still ran in it."""
    folder = store_of(context).repository.root / f"{WORK}{context.claim.ending}"
    end_leftover(folder)
    shutil.rmtree(folder, ignore_errors=True)
    with writing(folder):
        folder.mkdir(parents=True, mode=0o700)
    try:
        yield Work(tool, params, context, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def refuse(manifest: BackupManifest, found: Sequence[str]) -> None:
    """Raises BackupError when something was found."""
    if found:
        how = f"restore another one; {command('backups', 'list')} shows which are verified"
        raise BackupError(f"{manifest.backup_id} is not sound: {few(found)}", hint=how)


def few(found: Sequence[str]) -> str:
    """The first few of these, and the number of the others."""
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return "; ".join(found[:NAMED]) + more
