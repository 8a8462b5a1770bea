"""Encrypts backups to the keys of their recipients, in age's authenticated format; the private key is not needed for that.

A backup is read before it is encrypted, because reading it afterwards takes the private key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aishell.backups.store.backup_store import BackupStore
from aishell.backups.store.manifest import BackupManifest
from aishell.clients.clients import writing
from aishell.errors import BackupError, NotAtHandError

SUFFIX = ".age"


def encrypt(paths: Iterable[Path], recipients: Sequence[str]) -> None:
    """Encrypt the files of an unfinished backup in place. Raises BackupError for an invalid key."""
    pyrage = _library()
    try:
        keys = [pyrage.x25519.Recipient.from_str(text) for text in recipients]
    except pyrage.RecipientError as error:
        raise BackupError(f"one of backup_recipients is not an age key: {error}") from error
    for path in paths:
        with writing(path):
            pyrage.encrypt_file(str(path), f"{path}{SUFFIX}", keys)
            path.unlink()


@contextmanager
def decrypted(
    backup_store: BackupStore, work: Path, chain: Sequence[tuple[Path, BackupManifest]]
) -> Iterator[list[tuple[Path, BackupManifest]]]:
    """The same backups, readable: encrypted ones as copies in the work folder, which are removed at the end."""
    import shutil

    plain = work / ".opened"
    try:
        yield [
            (_decrypted(backup_store, folder, plain / manifest.backup_id), manifest)
            if is_encrypted(manifest)
            else (folder, manifest)
            for folder, manifest in chain
        ]
    finally:
        shutil.rmtree(plain, ignore_errors=True)


def is_encrypted(manifest: BackupManifest) -> bool:
    """Whether its files are encrypted."""
    return bool(manifest.details.get("recipients"))


def _decrypted(backup_store: BackupStore, folder: Path, into: Path) -> Path:
    """Raises NotAtHandError without the right key; damage to the file itself is found by its digest."""
    pyrage = _library()
    if backup_store.identity is None:
        how = "name the file of the key: backup_identity in config/aishell.yaml"
        raise NotAtHandError(f"{folder.name} is encrypted", hint=how)
    try:
        lines = backup_store.identity.read_text(encoding="utf-8").splitlines()
        keys = [pyrage.x25519.Identity.from_str(line.strip()) for line in lines if line.strip() and line[0] != "#"]
    except OSError as error:
        raise NotAtHandError(f"the key {backup_store.identity} cannot be read: {error.strerror}") from error
    except pyrage.IdentityError as error:
        raise NotAtHandError(f"{backup_store.identity} does not contain an age key") from error
    for path in sorted(folder.rglob(f"*{SUFFIX}")):
        target = into / path.relative_to(folder).with_name(path.name.removesuffix(SUFFIX))
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with writing(target):
            try:
                pyrage.decrypt_file(str(path), str(target), keys)
            except pyrage.DecryptError as error:
                raise NotAtHandError(f"{path} cannot be decrypted with the key at hand: {error}") from error
    return into


def _library() -> Any:
    try:
        import pyrage
    except ImportError as error:
        raise NotAtHandError("encrypted backups require pyrage", hint="pip install 'aishell[encryption]'") from error
    return pyrage
