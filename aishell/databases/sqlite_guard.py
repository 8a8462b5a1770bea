"""The authorizer of a read-only SQLite connection: SQLite calls it for each part of a statement.

`query_only` stops writes to the database's file. It allows pragmas, and ATTACH, which opens any file for writing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

#: Pragmas that only report a setting if they have no value; with one, many of them change it.
TOLD = frozenset(
    """
    analysis_limit application_id auto_vacuum automatic_index busy_timeout cache_size cache_spill collation_list compile_options
    data_version database_list default_cache_size encoding foreign_keys freelist_count function_list journal_mode
    journal_size_limit locking_mode max_page_count mmap_size module_list page_count page_size pragma_list query_only
    recursive_triggers schema_version secure_delete synchronous table_list temp_store threads trusted_schema user_version
    wal_autocheckpoint
    """.split()
)
#: Pragmas that only report on what their value names.
ASKED = frozenset(
    """
    foreign_key_check foreign_key_list index_info index_list index_xinfo integrity_check quick_check table_info table_list
    table_xinfo
    """.split()
)
#: SQL functions that reach beyond the database, in builds that have them.
_REACHING = frozenset({"load_extension", "fts3_tokenizer", "writefile", "edit"})
_READING = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE})


def may(action: int, first: str | None, second: str | None, database: str | None, trigger: str | None) -> int:
    """Return SQLITE_OK for what only reads. https://www.sqlite.org/c3ref/c_alter_table.html describes the arguments."""
    if action in _READING:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION:
        return sqlite3.SQLITE_DENY if (second or "").lower() in _REACHING else sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_PRAGMA:
        known = TOLD | ASKED if second is None else ASKED
        return sqlite3.SQLITE_OK if (first or "").lower() in known else sqlite3.SQLITE_DENY
    # The first use of json_each, dbstat or pragma_* declares a virtual table, which needs this; `query_only` stops real updates.
    if action == sqlite3.SQLITE_UPDATE and first == "sqlite_master":
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def hold(connection: sqlite3.Connection) -> None:
    """Make the connection read-only from now on."""
    connection.execute("PRAGMA query_only = ON")
    connection.set_authorizer(may)


@contextmanager
def held(connection: sqlite3.Connection) -> Iterator[None]:
    """Make the connection of a writing session read-only for the code inside."""
    hold(connection)
    try:
        yield
    finally:
        connection.set_authorizer(None)
        connection.execute("PRAGMA query_only = OFF")
