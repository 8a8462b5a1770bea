"""Fixtures for SQLite: `sqlite` is a fresh database file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


def pytest_report_header() -> str:
    return f"sqlite: {sqlite3.sqlite_version}"


class SqliteDatabase:
    """One database file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"sqlite:///{path}"
        self._connections: list[sqlite3.Connection] = []

    def connect(self, **options: Any) -> sqlite3.Connection:
        """An autocommit connection, closed after the test at the latest."""
        connection = sqlite3.connect(self.path, **({"isolation_level": None, "check_same_thread": False} | options))
        self._connections.append(connection)
        return connection

    def execute(self, statement: str, parameters: Any = ()) -> list[tuple[Any, ...]]:
        """Run one statement on a connection of its own; the rows, if it has any."""
        connection = self.connect()
        try:
            return connection.execute(statement, parameters).fetchall()
        finally:
            connection.close()

    def close(self) -> None:
        for connection in self._connections:
            connection.close()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[SqliteDatabase]:
    """A fresh database with the interface of `pg` and `mariadb`; its file exists."""
    database = SqliteDatabase(tmp_path / "test.db")
    database.execute("VACUUM")
    yield database
    database.close()


@pytest.fixture
def sqlite_path(sqlite: SqliteDatabase) -> Path:
    return sqlite.path


@pytest.fixture
def sqlite_url(sqlite: SqliteDatabase) -> str:
    return sqlite.url
