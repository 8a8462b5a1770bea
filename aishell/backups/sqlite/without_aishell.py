#!/usr/bin/env python3
"""Restores a SQLite backup without aishell: python3 restore-sqlite.py BACKUP-FOLDER NEW-FILE

Requires only Python 3.8 or newer. BACKUP-FOLDER is the folder of a full or incremental backup; the backups it depends on are
searched for beside it, and elsewhere below this script. Every file is compared with the manifest in its folder, and the result
with the digest in the manifest. Decrypt the files of an encrypted backup with age first, each beside the original under its name
without `.age`; age verifies them. An existing file is never overwritten.
Exits with 1 and the reason if the restore fails.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import sys
from pathlib import Path
from typing import Any

MANIFEST, IMAGE, PAGES = "manifest.json", "database.sqlite", "pages.bin"
NUMBER = struct.Struct(">I")
BLOCK = 1 << 20


class CannotRestoreError(Exception):
    """The reason why the restore failed."""


def manifest_of(folder: Path) -> dict[str, Any]:
    """The manifest of a backup, whose last line is the SHA-256 of all lines before."""
    try:
        text = (folder / MANIFEST).read_text(encoding="utf-8")
    except OSError as error:
        raise CannotRestoreError(f"{folder} is not a backup: {error}") from error
    body, _, stated = text.rstrip("\n").rpartition("\n")
    if hashlib.sha256(body.encode()).hexdigest() != stated:
        raise CannotRestoreError(f"{MANIFEST} in {folder} was changed or cut off after it was written")
    return dict(json.loads(body))


def folder_of(name: str, beside: Path) -> Path:
    """The folder of a backup, beside another one or anywhere below this script."""
    near = beside.resolve().parent / name
    if near.is_dir():
        return near
    for path, names, _ in os.walk(Path(__file__).resolve().parent):
        if name in names:
            return Path(path) / name
    raise CannotRestoreError(f"{beside} depends on {name}, which is missing")


def chain_of(folder: Path) -> list[tuple[Path, dict[str, Any]]]:
    """A backup and all it depends on, the full one first: folders with their manifests."""
    links: list[tuple[Path, dict[str, Any]]] = []
    while True:
        manifest = manifest_of(folder)
        if manifest["method"] != "sqlite":
            raise CannotRestoreError(
                f"{folder} is not a backup of a SQLite database: it was made by {manifest['method']}"
            )
        if folder in [known for known, _ in links]:
            raise CannotRestoreError(f"{folder} depends on itself")
        links.append((folder, manifest))
        if manifest["kind"] == "full":
            return links[::-1]
        folder = folder_of(manifest["parent"], folder)


def digest_of(path: Path) -> str:
    """The SHA-256 of a file."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(BLOCK), b""):
            found.update(block)
    return found.hexdigest()


def check(folder: Path, manifest: dict[str, Any]) -> None:
    """Raises CannotRestoreError naming the first file that is missing, damaged or not decrypted."""
    encrypted = bool(manifest["details"].get("recipients"))
    for file in manifest["files"]:
        path = folder / file["path"]
        if encrypted:
            if not path.with_suffix("").is_file():
                raise CannotRestoreError(f"{path} is encrypted: it has to be decrypted with age first")
        elif not path.is_file() or digest_of(path) != file["sha256"]:
            raise CannotRestoreError(f"{path} is missing or damaged")


def restore(folder: Path, target: Path) -> None:
    """Write the database of a backup to a new file, which is removed if its digest differs."""
    links = chain_of(folder)
    for at, manifest in links:
        check(at, manifest)
    descriptor = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "r+b") as image:
            with (links[0][0] / IMAGE).open("rb") as full:
                for block in iter(lambda: full.read(BLOCK), b""):
                    image.write(block)
            for at, manifest in links[1:]:
                size = manifest["details"]["page_size"]
                with (at / PAGES).open("rb") as pages:
                    while number := pages.read(NUMBER.size):
                        image.seek(NUMBER.unpack(number)[0] * size)
                        image.write(pages.read(size))
                image.truncate(manifest["details"]["pages"] * size)
            image.flush()
            os.fsync(image.fileno())
        if len(links) > 1 and digest_of(target) != links[-1][1]["details"]["image_sha256"]:
            raise CannotRestoreError(f"the result differs from the database that {folder} was made from")
    except BaseException:
        target.unlink()
        raise


def shown(text: str) -> str:
    """Text with its control characters escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def main(arguments: list[str]) -> int:
    """The exit code."""
    if len(arguments) != 2:
        sys.stderr.write(__doc__ or "")
        return 2
    try:
        restore(Path(arguments[0]), Path(arguments[1]))
    except (CannotRestoreError, OSError, ValueError, KeyError) as error:
        sys.stderr.write(f"not restored: {shown(str(error))}\n")
        return 1
    sys.stdout.write(f"restored into {shown(arguments[1])}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
