"""The databases of whole servers as last listed, for code that does not connect to them."""

from __future__ import annotations

from collections.abc import Collection

from aishell.models import now
from aishell.state.connection import Connection
from aishell.state.store import Store


def remember(connection: Connection, server: str, databases: Collection[str]) -> None:
    """Store the present databases of a server, replacing the earlier ones."""
    connection.execute("DELETE FROM server_databases WHERE server = :server", {"server": server})
    rows = ({"server": server, "database": name, "seen_at": now()} for name in databases)
    connection.insert("server_databases", *rows)


def known(store: Store) -> dict[str, list[str]]:
    """Return server -> its databases."""
    found: dict[str, list[str]] = {}
    for row in store.all("SELECT server, database FROM server_databases ORDER BY server, database"):
        found.setdefault(row.server, []).append(row.database)
    return found
