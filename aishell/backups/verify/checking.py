"""Verifies backups: compares their files with the manifest, then reads them from beginning to end."""

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
from aishell.backups.store.encryption import decrypted, is_encrypted
from aishell.backups.store.manifest import BackupManifest
from aishell.backups.store.repository import WORK, damages, misfits
from aishell.clients.clients import end_leftover, writing
from aishell.commands import command
from aishell.errors import BackupError, NotAtHandError, ParameterError
from aishell.registry.tool import Tool
from aishell.running.context import Context

#: How many problems are named.
NAMED = 5


def check(work: Work, entry: CatalogEntry, *, again: bool = True) -> list[tuple[Path, BackupManifest]]:
    """Verify a backup and all it depends on, against the manifests and by reading them; the catalog records the outcome.

    Unless `again`, backups that were read before and whose digests still match are not unpacked again.

    Raises BackupError naming the problems: that backup and those that depend on it then do not count until they are verified
    again. Raises NotAtHandError if they could not be examined.
    """
    with _recording_failure(work, entry.backup_id):
        links = work.backup_store.chain(entry)
    for folder, manifest in links:
        with _recording_failure(work, manifest.backup_id):
            require_sound(manifest, sorted(misfits(folder, manifest)))
    with ThreadPoolExecutor(1, thread_name_prefix="digests") as pool:
        compared = pool.submit(_damaged_files, work, links)  # on another core than the reading
        try:
            _read(work, [link for link in links if again or not _was_read(work, link[1])])
        finally:
            for manifest, damaged in compared.result():  # which says more than the error of a program
                with _recording_failure(work, manifest.backup_id):
                    require_sound(manifest, damaged)
    for _, manifest in links:
        work.backup_store.catalog.proven(manifest.backup_id, VERIFIED)
    return links


def _damaged_files(work: Work, links: Chain) -> list[tuple[BackupManifest, list[str]]]:
    return [(manifest, sorted(damages(folder, manifest, work.context.cancelled))) for folder, manifest in links]


def _was_read(work: Work, manifest: BackupManifest) -> bool:
    """Whether it was read in full before, and all its data is in its folder."""
    return work.backup_store.catalog.find(manifest.backup_id).verified and not keeps_elsewhere(manifest.method)


def _read(work: Work, links: Chain) -> None:
    """Read each from beginning to end. Without the key, an encrypted one is skipped: it was read before it was encrypted."""
    unread = [link for link in links if not is_encrypted(link[1]) or work.backup_store.identity]
    with decrypted(work.backup_store, work.folder, unread) as readable:
        for folder, manifest in readable:
            with _recording_failure(work, manifest.backup_id):
                method_of(manifest.method).read(work, folder, manifest)


@contextmanager
def _recording_failure(work: Work, backup_id: str) -> Iterator[None]:
    """Record BackupErrors raised within against this backup, unless it could not be examined."""
    try:
        yield
    except NotAtHandError:
        raise
    except BackupError as error:
        work.backup_store.catalog.failed(backup_id, error.message)
        raise


def validate(tool: Tool, params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`validate_backup`, of a backup by its id or its folder. Raises BackupError for a damaged one."""
    named, path = params.get("backup_id"), params.get("backup_path")
    if (named is None) == (path is None):
        raise ParameterError("validate_backup needs either backup_id or backup_path")
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
    """A work folder for logs and processes, removed at the end; that of a killed attempt is removed first, with its processes."""
    folder = store_of(context).repository.root / f"{WORK}{context.claim.ending}"
    end_leftover(folder)
    shutil.rmtree(folder, ignore_errors=True)
    with writing(folder):
        folder.mkdir(parents=True, mode=0o700)
    try:
        yield Work(tool, params, context, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def require_sound(manifest: BackupManifest, found: Sequence[str]) -> None:
    """Raises BackupError if problems were found."""
    if found:
        how = f"use another one; {command('backups', 'list')} shows which are verified"
        raise BackupError(f"{manifest.backup_id} is damaged: {few(found)}", hint=how)


def few(found: Sequence[str]) -> str:
    """The first few of these texts, and the number of the others."""
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return "; ".join(found[:NAMED]) + more
