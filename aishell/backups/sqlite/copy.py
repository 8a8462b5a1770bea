"""SQLite: a copy by SQLite's backup API; increments are the pages changed since the parent."""

from __future__ import annotations

import contextlib
import marshal
import os
import shutil
import sqlite3
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any
from urllib.parse import quote as percent_encode

from aishell.backups.create.making import Work, Written, make, parent_of, require_room
from aishell.backups.methods import Chain, Method
from aishell.backups.store.encryption import decrypted
from aishell.backups.store.manifest import INCREMENTAL, BackupManifest, Fingerprint
from aishell.backups.store.repository import sha256
from aishell.backups.verify.checking import require_sound
from aishell.clients.clients import writing
from aishell.databases.quoting import quote
from aishell.errors import BackupError, DatabaseError
from aishell.files import sync
from aishell.registry.tool import Tool
from aishell.running.context import Context

IMAGE, PAGES = "database.sqlite", "pages.bin"
#: Copies of the whole file that an increment needs, to compare them.
COPIES = 2
#: Pages copied between two checks for cancellation; the read transaction keeps SQLite from starting over.
STEP = 8192
_NUMBER = struct.Struct(">I")
#: SQLite's errors for an index by a function or collation of the application.
_APPLICATIONS = ("unknown function", "no such collation sequence")
_UNREADABLE = "run a full maintenance to look for damage; use --no-compare to make a backup anyway"
#: Pages compared at a time.
_RUN = 256
#: Rows hashed at a time, and the marshal format: 2 is the last that writes equal values equally, and distinguishes types and
#: lengths. Both are part of the definition of a fingerprint.
_ROWS, _FORMAT = 1000, 2


def full(tool: Tool, params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`backup_database_full`."""
    return make(tool, params, context, SQLiteCopy())


def incremental(tool: Tool, params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`backup_database_incremental`, based on the named parent, else on the newest verified backup of this database."""
    parent = parent_of(tool, params, context, SQLiteCopy.name)
    size = Path(getattr(context.database, "path", "")).stat().st_size
    return make(tool, params, context, SQLiteCopy(), kind=INCREMENTAL, parent=parent, expected=size * COPIES)


class SQLiteCopy(Method):
    """A copy of the database as one transaction sees it."""

    name = "sqlite"
    path_suffix = ".sqlite"
    in_place = True

    def write(self, work: Work) -> Written:
        image = work.folder / IMAGE
        self.copy(work, image)
        return self._written(work, image)

    def increment(self, work: Work) -> Written:
        """Write the pages that differ from the parent's, each after its number; the details have the digest of the whole."""
        image, before = work.folder / ".image", work.folder / ".parent"
        assert work.parent is not None  # noqa: S101  an increment has one
        self.copy(work, image)
        with (
            decrypted(work.backup_store, work.folder, work.backup_store.chain(work.parent[0])) as chain,
            writing(before),
        ):
            self._rebuild(work, chain, before)
        written = self._written(work, image)
        with writing(work.folder):
            changed = _changed(before, image, work.folder / PAGES, written.details["page_size"])
        image.unlink()
        before.unlink()
        return replace(written, details={**written.details, "changed_pages": changed})

    def read(self, work: Work, folder: Path, manifest: BackupManifest) -> None:
        """A full copy is checked by SQLite; the pages of an increment are counted."""
        if manifest.kind == INCREMENTAL:
            size = manifest.details["page_size"] + _NUMBER.size
            if (folder / PAGES).stat().st_size != manifest.details["changed_pages"] * size:
                raise BackupError(f"{manifest.backup_id} does not have the number of pages in its manifest")
            return
        with contextlib.closing(open_file(folder / IMAGE, immutable=True)) as connection:
            try:
                found = [row[0] for row in connection.execute("PRAGMA integrity_check(5)")]
            except sqlite3.DatabaseError as error:
                found = [str(error)]
        if found[0].startswith(_APPLICATIONS):
            fingerprints_of(
                folder / IMAGE
            )  # its indexes cannot be checked without the application, but rows can be read
        elif found != ["ok"]:
            require_sound(manifest, found)

    def restore(self, work: Work, chain: Chain, place: str, *, until: str | None, tables: Sequence[str]) -> None:
        if until is not None or tables:
            raise BackupError("a SQLite backup can only be restored as a whole, as of its own time")
        target = _place(work, place)
        unfinished = target.with_name(f".{target.name}.restoring")
        # The mtime of a restored file, in ns: the backup's, with the claim of the step as its fraction.
        finished = int(datetime.fromisoformat(chain[-1][1].finished_at).timestamp())
        mark = finished * 10**9 + work.context.claim.microsecond * 1000
        made = target.exists() and target.stat().st_mtime_ns == mark  # by an earlier process of this step
        if target.exists() and not made:
            raise BackupError(f"{target} already exists", hint="name a file that does not exist")
        with writing(target):
            try:
                if made:
                    return
                require_room(target.parent, chain[-1][1].source_bytes or 0, "restore it")
                self._rebuild(work, chain, unfinished)
                unfinished.chmod(0o600)
                os.utime(unfinished, ns=(mark, mark))
                if os.sep in place:  # else it is a scratch copy
                    sync(unfinished)
                os.link(unfinished, target)  # never over a file created meanwhile
                sync(target.parent)
            finally:
                unfinished.unlink(missing_ok=True)

    def fingerprints(self, work: Work, place: str) -> tuple[Fingerprint, ...]:
        return fingerprints_of(_place(work, place))

    def drop(self, work: Work, place: str) -> None:
        target = _place(work, place)
        for suffix in ("", "-wal", "-shm", "-journal"):
            target.with_name(target.name + suffix).unlink(missing_ok=True)

    def copy(self, work: Work, image: Path) -> None:
        """Copy the live database by SQLite's backup API, in one read transaction of it. The copy is not synced."""

        def report(status: int, remaining: int, pages: int) -> None:
            if work.context.cancelled():
                raise DatabaseError("the copy was stopped", kind="cancelled")
            work.context.progress(pages - remaining, pages, "pages copied")

        source = Path(str(work.context.database.credentials.url.database))
        try:
            with writing(image), contextlib.closing(open_file(source)) as connection:
                image.touch(mode=0o600)
                connection.execute("BEGIN")
                connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
                with contextlib.closing(sqlite3.connect(image)) as copy:
                    # A partial copy is useless, and a whole one is synced before it gets its name: a third faster.
                    copy.execute("PRAGMA synchronous = OFF")
                    copy.execute("PRAGMA journal_mode = OFF")
                    connection.backup(copy, pages=STEP, progress=report)
                    # The copy inherits WAL mode, in which even reading creates files beside it.
                    copy.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.Error as error:
            raise BackupError(f"{source} cannot be copied into {image.parent}: {error}") from error

    def _written(self, work: Work, image: Path) -> Written:
        with contextlib.closing(open_file(image, immutable=True)) as connection:
            page_size = connection.execute("PRAGMA page_size").fetchone()[0]
        size = image.stat().st_size
        details = {"page_size": page_size, "pages": size // page_size, "sqlite": sqlite3.sqlite_version}
        if work.tool.name == "backup_database_incremental":
            details["image_sha256"] = sha256(image, work.context.cancelled)
        prints = fingerprints_of(image) if work.params.get("compare") else None
        return Written(str(work.context.database.credentials.url.database), size, {}, details, prints)

    def _rebuild(self, work: Work, chain: Chain, into: Path) -> None:
        """Write the file of the last backup of the chain. Raises BackupError if its digest differs."""
        shutil.copyfile(chain[0][0] / IMAGE, into)
        for folder, manifest in chain[1:]:
            page_size = manifest.details["page_size"]
            with into.open("r+b") as image, (folder / PAGES).open("rb") as pages:
                while number := pages.read(_NUMBER.size):
                    image.seek((_NUMBER.unpack(number)[0]) * page_size)
                    image.write(pages.read(page_size))
                image.truncate(manifest.details["pages"] * page_size)
        last = chain[-1][1]
        if len(chain) > 1 and sha256(into, work.context.cancelled) != last.details["image_sha256"]:
            into.unlink()
            raise BackupError(f"{last.backup_id} restores to a file that differs from its source")


def _changed(before: Path, after: Path, pages: Path, page_size: int) -> int:
    """Write the pages of `after` that differ from those of `before`, each after its number. Returns their number."""
    changed, number, run = 0, 0, page_size * _RUN
    with before.open("rb") as old, after.open("rb") as new, pages.open("wb") as out:
        while block := new.read(run):
            known = old.read(run)
            if block != known:
                for at in range(0, len(block), page_size):
                    page = block[at : at + page_size]
                    if page != known[at : at + page_size]:
                        out.write(_NUMBER.pack(number + at // page_size) + page)
                        changed += 1
            number += _RUN
    return changed


def fingerprints_of(path: Path, *, live: bool = False) -> tuple[Fingerprint, ...]:
    """The fingerprints of every table's rows and of every definition; of a `live` file in one transaction."""
    with contextlib.closing(open_file(path, immutable=not live)) as connection:
        try:
            connection.execute("BEGIN")
            return tuple(_fingerprints(connection))
        except sqlite3.Error as error:
            raise BackupError(f"some rows of {path.name} cannot be read: {error}", hint=_UNREADABLE) from error


def _fingerprints(connection: sqlite3.Connection) -> Iterator[Fingerprint]:
    query = "SELECT type, name, sql, rootpage FROM sqlite_schema ORDER BY type, name"
    for kind, name, sql, root in connection.execute(query).fetchall():
        yield Fingerprint(kind, name, None, blake2b((sql or "").encode(), digest_size=16).hexdigest())
        if kind == "table" and root:
            yield _rows(connection, name)


def _rows(connection: sqlite3.Connection, table: str) -> Fingerprint:
    """The fingerprint of a table's rows in their stored order, which is the same in a copy of the file."""
    digest, count = blake2b(digest_size=16), 0
    connection.text_factory = bytes
    found = connection.execute(f"SELECT * FROM {quote(table, 'sqlite')}")  # noqa: S608  quoted
    while rows := found.fetchmany(_ROWS):
        digest.update(marshal.dumps(rows, _FORMAT))
        count += len(rows)
    connection.text_factory = str
    return Fingerprint("rows", table, count, digest.hexdigest())


def open_file(path: Path, *, immutable: bool = False) -> sqlite3.Connection:
    """A read-only connection; `immutable`: nobody writes to the file, so SQLite creates nothing beside it."""
    uri = f"file:{percent_encode(str(path.absolute()))}?mode=ro{'&immutable=1' if immutable else ''}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)


def _place(work: Work, place: str) -> Path:
    """The path to restore to: a bare name is a file in the work folder."""
    return Path(place) if os.sep in place else work.folder / f".{place}"
