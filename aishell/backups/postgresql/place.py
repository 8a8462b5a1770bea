"""Databases that backups are restored into: created under a scratch name, renamed when complete, and dropped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from aishell.backups.create.making import Work
from aishell.claims import SCRATCH
from aishell.databases.base import Database
from aishell.databases.connections import Credentials
from aishell.databases.opening import open_beside
from aishell.errors import BackupError

#: The setting of a restored database that holds the claim of the step that made it.
CLAIMED = "aishell.restored_by"
#: The first version in which a session can disable event triggers: a login trigger could write to the compared database.
_WITHOUT_SINCE, _WITHOUT = 17, "-c event_triggers=off"
#: Locale provider, as in pg_database -> the block that creates a database with it, from version 15 on.
_CREATE = {"c": "create_libc", "i": "create_icu", "b": "create_builtin"}


def credentials_of(work: Work, place: str) -> Credentials:
    """Credentials for another database of the same server, without its event triggers where that can be set."""
    credentials = work.context.database.here
    # A restored database may be read-only by default before it is renamed.
    settings = [credentials.url.options.get("options", ""), "-c default_transaction_read_only=off"]
    if work.context.database.version[0] >= _WITHOUT_SINCE and work.server.superuser:
        settings.append(_WITHOUT)
    options = {**credentials.url.options, "options": " ".join(filter(None, settings))}
    return replace(credentials, url=replace(credentials.url, database=place, options=options))


@contextmanager
def opened(work: Work, place: str) -> Iterator[Database]:
    """Another database of the same server. Raises BackupError if the connection leads elsewhere, as through a pooler."""
    database = open_beside(work.context.database, credentials_of(work, place))
    try:
        with work.session_in(database) as session:
            here = work.query("here", session)[0]["database"]
        if here != place:
            raise BackupError(f"the connection to {place!r} leads to {here!r}", hint="use the server's own address")
        yield database
    finally:
        database.close()


def is_made(work: Work, place: str) -> bool:
    """Whether an earlier process of this step made the database.

    Raises BackupError if another database has this name.
    """
    found = work.query("place_found", place=place, mark=f"{CLAIMED}={work.context.claim}")[0]
    if found["found"] and not found["ours"]:
        raise BackupError(f"the database {place!r} already exists", hint="name one that does not exist")
    return bool(found["ours"])


def require_roles(work: Work, roles: Sequence[str]) -> None:
    """Raises BackupError naming the roles that do not exist on the server."""
    missing = [row["name"] for row in work.query("missing_roles", roles=list(roles))]
    if missing:
        why = f"roles with objects or privileges in the backup do not exist on this server: {', '.join(missing)}"
        raise BackupError(why, hint="create them from globals.sql of the backup, or restore with owners: false")


def create(work: Work, scratch: str, details: Mapping[str, Any]) -> None:
    """Create an empty database with the encoding and the locale in the backup's details."""
    version, provider = work.context.database.version[0], details["provider"]
    block = "create_plain" if version < 15 and provider == "c" else _CREATE[provider]
    if details["rules"]:
        block = "create_icu_rules"
    named = {name: details[name] for name in ("encoding", "collation", "ctype", "locale", "rules")}
    _send(work, block, scratch=scratch, **named)
    if not details["public"]:
        with opened(work, scratch) as database, work.session_in(database) as session:
            session.execute(work.statement("without_public", database))


def has_nested_partitions(work: Work, place: str) -> bool:
    """Whether a partition of the database has partitions of its own."""
    with opened(work, place) as database, work.session_in(database) as session:
        return bool(work.query("nested_partitions", session)[0]["found"])


def settle(work: Work, scratch: str, details: Mapping[str, Any]) -> None:
    """Restore what a dump does not restore under another name: the database's settings and its owner."""
    with opened(work, scratch) as database:
        for one in details["settings"]:
            for text in one["settings"] or ():
                setting, _, value = text.partition("=")
                _set(work, database, scratch=scratch, role=one["role"], setting=setting, value=value)
    _send(work, "own", scratch=scratch, owner=details["owner"])
    if "itself" in details:
        with opened(work, scratch) as database:
            endow(work, database, scratch, details["itself"])


def endow(work: Work, database: Database, place: str, itself: Mapping[str, Any]) -> None:
    """Give a database the connection limit, comment and grants in `itself`; `database` is any on its server."""
    with work.session_in(database) as session, session.transaction():
        for setting, value in (("aishell.itself", json.dumps(itself)), ("aishell.place", place)):
            session.query(work.statement("chosen", database, setting=setting, value=value))
        session.execute(work.statement("endow", database))


def rename(work: Work, scratch: str, place: str) -> None:
    """Give a complete database its name, and the mark that `is_made` looks for."""
    with opened(work, scratch) as database:
        _set(work, database, scratch=scratch, role=None, setting=CLAIMED, value=str(work.context.claim))
    _send(work, "rename", scratch=scratch, place=place)


def drop(work: Work, scratch: str) -> None:
    """Drop a scratch database if it exists. Raises BackupError for any other."""
    if not scratch.startswith(SCRATCH):
        raise BackupError(f"{scratch!r} is not a scratch database of aishell and was not dropped")
    _send(work, "drop" if work.context.database.version[0] >= 13 else "drop_plain", scratch=scratch)


def _set(work: Work, database: Database, *, role: str | None, **values: Any) -> None:
    """Change a setting of a database, or of a role in it, to that of the session, since a value cannot be bound."""
    block = "set_database" if role is None else "set_role"
    with database.session(work.context.options) as session, session.transaction():
        session.query(work.statement("chosen", database, **values))
        session.execute(work.statement(block, database, **values, role=role))


def _send(work: Work, block: str, **values: Any) -> None:
    """Send a statement of the tool to the target's own database."""
    with work.context.writing() as session:
        work.send(block, session, **values)
