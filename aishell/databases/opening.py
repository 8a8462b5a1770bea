"""Open the database of an engine from credentials; a driver is imported only when it is needed."""

from __future__ import annotations

from aishell.databases.base import Database
from aishell.databases.connections import Credentials


def open_database(credentials: Credentials) -> Database:
    """Return the database for credentials; no connection is made yet."""
    if credentials.engine == "postgresql":
        from aishell.databases.postgresql import PostgreSQL

        return PostgreSQL(credentials)
    if credentials.engine == "mysql":
        from aishell.databases.mysql import MySQL

        return MySQL(credentials)
    from aishell.databases.sqlite import SQLite

    return SQLite(credentials)


def open_beside(database: Database, credentials: Credentials) -> Database:
    """Return another database of the same server, with the listener, author and breaker of the first."""
    other = open_database(credentials)
    other.hears, other.traces, other.author = database.hears, database.traces, database.author
    other.pools.breaker = database.pools.breaker
    return other
