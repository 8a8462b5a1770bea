"""Backups made on the command line, and what is read of them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.fix_aishell import Aishell

TARGETS = "targets: {{shop: {{url: 'sqlite:///{}', environment: {}}}}}"


def back_up(aishell: Aishell, *more: str) -> str:
    """Make a backup; its id."""
    ended = aishell("run", "backup", "--yes", "--output", "json", *more).expect(0)
    return str(ended.json["output_data"]["backup_id"])


def listed(aishell: Aishell, code: int = 0) -> list[dict[str, Any]]:
    return list(aishell("backups", "list", "--output", "json").expect(code).json)


def folder(aishell: Aishell, backup_id: str) -> Path:
    return next((aishell.site / "backups").rglob(backup_id))


def rows_of(path: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT id, note FROM orders ORDER BY id").fetchall()


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def prune(aishell: Aishell, *more: str, code: int = 0) -> Any:
    ended = aishell("backups", "prune", "--output", "json", *more).expect(code)
    return ended.json


def retention(aishell: Aishell, rules: str) -> None:
    aishell.configure("agents/backup.yaml", f"backup_agent:\n  retention: {rules}\n")
