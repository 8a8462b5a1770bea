"""Whether a dump of a PostgreSQL database can be made, and would be all of it: asked before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aishell.backups.making import Work
from aishell.backups.postgresql.libpq import use_programs
from aishell.backups.vault import vault_of
from aishell.errors import BackupError

ZSTD_SINCE = 16
#: So many objects are named.
NAMED = 5


def require_ready(work: Work) -> None:
    """Raises BackupError for whatever would make a backup fail, or be less than the database."""
    server, compression = work.context.database.version[0], work.params["compression"]
    use_programs(work, "dump", server)
    client = work.clients.version("dump")[0]
    if compression == "zstd" and client < ZSTD_SINCE:
        raise BackupError(
            f"pg_dump {client} knows no zstd, which came with {ZSTD_SINCE}", hint="take gzip, or set `programs:`"
        )
    _refuse_data_directory(work)
    found = work.query("obstacles")
    who = work.server.user or "the role"
    unreadable = [row["name"] for row in found if row["kind"] == "unreadable"]
    if unreadable:
        raise BackupError(
            f"{who} may not read {_told(unreadable)}",
            hint=f"GRANT pg_read_all_data TO {who} (from version 14 on); large objects need a superuser or their owner",
        )
    partial = [row["name"] for row in found if row["kind"] == "partial"]
    if partial:
        raise BackupError(
            f"row-level security lets {who} see a part only of {_told(partial)}",
            hint=f"ALTER ROLE {who} BYPASSRLS, or back up as a superuser",
        )


def _refuse_data_directory(work: Work) -> None:
    """A backup inside the database's own folder goes with it."""
    directory = work.server.data_directory
    if directory is None or not work.context.database.credentials.url.local:
        return
    vault = vault_of(work.context)
    home = vault.repository.folder(work.context.target, str(work.params.get("destination") or "")).resolve()
    if home.is_relative_to(Path(directory).resolve()):
        raise BackupError(
            f"{home} is inside the server's data directory {directory}: it would be lost with it",
            hint="set `backups:` in config/aishell.yaml to another disk",
        )


def _told(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"
