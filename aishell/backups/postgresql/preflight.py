"""Whether a dump of a PostgreSQL database can be made, and would be all of it: asked before anything is written."""

from __future__ import annotations

from pathlib import Path

from aishell.backups.create.making import Work, require
from aishell.backups.postgresql.libpq import use_programs
from aishell.backups.store.backup_store import store_of
from aishell.errors import BackupError
from aishell.planning.backup_rights import of_reading

ZSTD_SINCE = 16


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
    for lack in of_reading(
        work.query("obstacles"), work.context.database.version, compare=bool(work.params["compare"])
    ):
        require(lack)


def _refuse_data_directory(work: Work) -> None:
    """A backup inside the database's own folder goes with it."""
    directory = work.server.data_directory
    if directory is None or not work.context.database.credentials.url.local:
        return
    backup_store = store_of(work.context)
    home = backup_store.repository.folder(work.context.target, str(work.params.get("destination") or "")).resolve()
    if home.is_relative_to(Path(directory).resolve()):
        raise BackupError(
            f"{home} is inside the server's data directory {directory}: it would be lost with it",
            hint="set `backups:` in config/aishell.yaml to another disk",
        )
