"""The databases that backups are restored into: made under a scratch name, given their own when they are whole, and dropped."""

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
#: From this version on a session can be without event triggers: one at its login would else write into what is compared.
_WITHOUT_SINCE, _WITHOUT = 17, "-c event_triggers=off"
#: A locale's provider, as pg_database has it -> the block that makes a database of it, from version 15 on.
_CREATE = {"c": "create_libc", "i": "create_icu", "b": "create_builtin"}


def credentials_of(work: Work, place: str) -> Credentials:
    """How to reach another database of the same server; no event trigger of that fires for us, where that can be said."""
    credentials = work.context.database.here
    # A database that is read-only by default is so again once it has its settings, and has to get its name yet.
    settings = [credentials.url.options.get("options", ""), "-c default_transaction_read_only=off"]
    if work.context.database.version[0] >= _WITHOUT_SINCE and work.server.superuser:
        settings.append(_WITHOUT)
    options = {**credentials.url.options, "options": " ".join(filter(None, settings))}
    return replace(credentials, url=replace(credentials.url, database=place, options=options))


@contextmanager
def opened(work: Work, place: str) -> Iterator[Database]:
    """Another database of the same server. Raises BackupError where the connection leads somewhere else, as a pooler's can."""
    database = open_beside(work.context.database, credentials_of(work, place))
    try:
        with work.session_in(database) as session:
            here = work.query("here", session)[0]["database"]
        if here != place:
            raise BackupError(f"the connection for {place!r} reaches {here!r}", hint="give the server's own address")
        yield database
    finally:
        database.close()


def is_made(work: Work, place: str) -> bool:
    """Whether this very step has made the database and was killed before it could say so.

    Raises BackupError where a database of this name is there that it has not made.
    """
    found = work.query("place_found", place=place, mark=f"{CLAIMED}={work.context.claim}")[0]
    if found["found"] and not found["ours"]:
        raise BackupError(f"the database {place!r} already exists", hint="name one that does not exist")
    return bool(found["ours"])


def require_roles(work: Work, roles: Sequence[str]) -> None:
    """Raises BackupError naming the roles that are not on the server."""
    missing = [row["name"] for row in work.query("missing_roles", roles=list(roles))]
    if missing:
        why = f"the roles that own what is in the backup, or may use it, are not on this server: {', '.join(missing)}"
        raise BackupError(why, hint="make them from globals.sql in the backup's folder, or restore with owners: false")


def create(work: Work, scratch: str, details: Mapping[str, Any]) -> None:
    """An empty database with the encoding and the locale that the backup tells of its own."""
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
    """What belongs to the database itself, which no dump brings back under another name: its settings and its owner."""
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
    """Give a database the connection limit, the comment and the grants of another; `database` is one of its server."""
    with work.session_in(database) as session, session.transaction():
        for setting, value in (("aishell.itself", json.dumps(itself)), ("aishell.place", place)):
            session.query(work.statement("chosen", database, setting=setting, value=value))
        session.execute(work.statement("endow", database))


def rename(work: Work, scratch: str, place: str) -> None:
    """Give a database that is whole its name, and a mark by which `is_made` knows it."""
    with opened(work, scratch) as database:
        _set(work, database, scratch=scratch, role=None, setting=CLAIMED, value=str(work.context.claim))
    _send(work, "rename", scratch=scratch, place=place)


def drop(work: Work, scratch: str) -> None:
    """Drop a database of ours if it is there. Raises BackupError for any other."""
    if not scratch.startswith(SCRATCH):
        raise BackupError(f"{scratch!r} is not a scratch database of aishell: it was not dropped")
    _send(work, "drop" if work.context.database.version[0] >= 13 else "drop_plain", scratch=scratch)


def _set(work: Work, database: Database, *, role: str | None, **values: Any) -> None:
    """A setting of a database, or of a role in it. Its value cannot be bound, but taken from the session's own."""
    block = "set_database" if role is None else "set_role"
    with database.session(work.context.options) as session, session.transaction():
        session.query(work.statement("chosen", database, **values))
        session.execute(work.statement(block, database, **values, role=role))


def _send(work: Work, block: str, **values: Any) -> None:
    """A statement of the tool on the target's own database, noted before it is sent."""
    with work.context.writing() as session:
        work.send(block, session, **values)
