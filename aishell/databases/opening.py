"""From credentials to the database of their engine; a driver is imported only when it is needed."""

from __future__ import annotations

from aishell.databases.base import Database
from aishell.databases.connections import Credentials


def open_database(credentials: Credentials) -> Database:
    """The database behind credentials; no connection is made yet."""
    if credentials.engine == "postgresql":
        from aishell.databases.postgresql import PostgreSQL

        return PostgreSQL(credentials)
    if credentials.engine == "mysql":
        from aishell.databases.mysql import MySQL

        return MySQL(credentials)
    from aishell.databases.sqlite import SQLite

    return SQLite(credentials)


def open_beside(database: Database, credentials: Credentials) -> Database:
    """Another database of the same server: who hears what is sent to the one hears this too."""
    other = open_database(credentials)
    other.hears, other.author = database.hears, database.author
    other.pools.breaker = database.pools.breaker
    return other
