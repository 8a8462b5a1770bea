"""Sites with a schedule whose nights have come: time goes by in `state.db`, where it counts."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.fix_aishell import Aishell


def nightly(
    site: Aishell,
    url: str,
    *more: str,
    kind: str = "quick",
    environment: str = "test",
    targets: str = "[shop]",
    approve: str = "approve_up_to: medium",
    top: str = "",
) -> Path:
    """Configure a schedule `nightly` of the target `shop`, which makes up for one missed night at any time of the day."""
    site.configure(
        "targets.yaml",
        f"targets:\n  shop:\n    url: {json.dumps(url)}\n    environment: {environment}\n    labels: [small]\n",
    )
    lines = [
        top,
        "time_zone: Europe/Berlin",
        "schedules:",
        "  nightly:",
        "    cron: '30 2 * * *'",
        "    agent: maintenance",
        f"    input: {{maintenance_type: {kind}, min_index_size: 65536}}",
        f"    targets: {targets}",
        "    missed: once",
        f"    {approve}",
        *(f"  {one}" for one in more),
    ]
    return site.configure("schedules.yaml", "\n".join(lines) + "\n")


def back(site: Aishell, name: str, days: int) -> None:
    """Have so many nights come in which nothing looked: what was decided until now is as much older."""
    if not site.state.exists() or not site.rows("SELECT name FROM schedules WHERE name = ?", name):
        site("schedule", "run-due").expect(0)
    with contextlib.closing(sqlite3.connect(site.state)) as state:
        for table, column, key in (("schedules", "settled", "name"), ("schedule_runs", "nominal_at", "schedule")):
            for number, text in state.execute(
                f"SELECT rowid, {column} FROM {table} WHERE {key} = ?", [name]
            ).fetchall():
                moment = datetime.fromisoformat(text).astimezone(UTC) - timedelta(days=days)
                older = moment.isoformat(timespec="microseconds")
                state.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", [older, number])
        state.commit()


class Row(sqlite3.Row):
    """A row of the ledger."""

    def __getattr__(self, name: str) -> Any:
        return self[name]


def rows(site: Aishell, name: str = "nightly") -> list[Row]:
    """The ledger of a schedule without the nights that were missed before anything began, oldest first."""
    with contextlib.closing(sqlite3.connect(f"file:{site.state}?mode=ro", uri=True)) as state:
        state.row_factory = Row
        sql = "SELECT * FROM schedule_runs WHERE schedule = ? AND target <> '' ORDER BY id"
        return state.execute(sql, [name]).fetchall()
