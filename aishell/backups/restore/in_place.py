"""What a restored place is before it takes the place of a database: what the backup saw, and safe to go back from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aishell.backups.create.making import Work
from aishell.backups.methods import Method, method_of
from aishell.backups.restore.restore import differences
from aishell.backups.store.manifest import BackupManifest, Fingerprint
from aishell.backups.verify.checking import few
from aishell.commands import command, on
from aishell.errors import BackupError, DatabaseError


def restored(work: Work) -> tuple[Method, BackupManifest, BackupManifest]:
    """The method of the backup that was restored, the manifest of the first it rests on, and its own."""
    entry = work.backup_store.catalog.find(work.params["backup_id"])
    chain = work.backup_store.chain(entry)
    return method_of(entry.method), chain[0][1], chain[-1][1]


def anew(work: Work) -> str:
    """What begins the whole restore anew."""
    again = command("backups", "restore", work.params["backup_id"], "--in-place", *on(work.context.target))
    return f"begin anew: {again}"


def stop_first(work: Work) -> str:
    """What to do about others who are in the database."""
    return f"stop the application, then {command('runs', 'resume', work.context.run_id[:8])}"


def require_safety(work: Work) -> None:
    """Raises BackupError where the backup of what is about to be replaced does not count as one (any more)."""
    name = work.params["safety"]
    if name is None:
        return
    entry = work.backup_store.catalog.find(name)
    if not entry.verified or entry.identity != work.server.identity:
        raise BackupError(
            f"{name} is not a verified backup of this database: {entry.wrong or entry.verification_level}",
            hint=f"{anew(work)}, and makes another",
        )


def expected(work: Work, manifest: BackupManifest) -> tuple[Fingerprint, ...] | None:
    """What the place has to be compared with; None where that was not asked for."""
    if not work.params["compare"]:
        return None
    if manifest.prints is None:
        raise BackupError(f"{manifest.backup_id} was made without fingerprints: there is nothing to compare with")
    return manifest.prints


def refuse_other(work: Work, method: Method, manifest: BackupManifest, place: str) -> bool:
    """Compare a place with what the backup saw, if that is asked for; whether it was.

    Raises BackupError naming what differs: it may have been written to since it was restored.
    """
    prints = expected(work, manifest)
    if prints is None:
        return False
    different = differences(method.comparable(work, prints), method.prints(work, place))
    if different:
        raise BackupError(f"{place} differs from the backup, and nothing was replaced: {few(different)}")
    return True


@contextmanager
def nothing_replaced() -> Iterator[None]:
    """What fails in here has replaced nothing, and its error says so; where a connection was lost that is not known."""
    try:
        yield
    except (BackupError, DatabaseError) as error:
        lost = isinstance(error, DatabaseError) and error.kind == "connection_lost"
        if not lost and "nothing was replaced" not in error.message:
            error.message += "; nothing was replaced"
            error.args = (error.message,)
        raise


def told(work: Work, *, compared: bool, kept: str | None, removal: str | None, **more: Any) -> dict[str, Any]:
    """What `replace_database` returns."""
    result = {
        "backup_id": work.params["backup_id"],
        "database": work.params["database"],
        "kept": kept,
        "removal": removal,
        "compared": compared,
        "ended": [],
        "notes": [],
    }
    return {**result, **more}
