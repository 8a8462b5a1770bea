"""The tools for old partitions as their tests call them: on a table `log` with the date `at`, before the engine's CUTOFF."""

from __future__ import annotations

from typing import Any

import pytest

from aishell.models import Row
from aishell.running import dispatch
from aishell.running.context import ToolResult
from tests.fix_tools import Engine, registry

DROP, EXCLUSIVELY = "drop_old_partitions", "drop_old_partitions_exclusively"
CONCURRENTLY_SINCE = "14+: DETACH PARTITION … CONCURRENTLY"
#: Where one of the test's partitions ends and the next one begins.
CUTOFF = {"postgresql": "2026-07-01 00:00:00+00", "mysql": "2026-06-01 00:00:00"}


def given(engine: Engine, **params: Any) -> dict[str, Any]:
    """What the tools are called with; `params` are what is different."""
    return {"schema": engine.schema, "table": "log", "date_column": "at", "cutoff": CUTOFF[engine.name], **params}


def chosen(engine: Engine, tool: str | None) -> str:
    """The tool that is asked for, else the one a plan takes: before version 14 that is the one that locks the table."""
    if registry().has(DROP, engine.server()):
        return tool or DROP
    if tool == DROP:
        pytest.skip(CONCURRENTLY_SINCE)
    return EXCLUSIVELY


def drop(engine: Engine, tool: str | None = None, **params: Any) -> ToolResult:
    return engine.call(chosen(engine, tool), **given(engine, **params))


def to_drop(engine: Engine, tool: str | None = None) -> list[Row]:
    """What `drop` would find."""
    return engine.find(chosen(engine, tool), **given(engine))


def resumed(engine: Engine, found: list[Row], tool: str | None = None, **params: Any) -> ToolResult:
    """What another attempt makes of what an earlier one had found."""
    picked = engine.pick(chosen(engine, tool))
    return dispatch.run(picked, picked.prepare(given(engine, **params)), found, engine.context(picked))


def inspected(engine: Engine, **params: Any) -> dict[str, Any]:
    return engine.call("inspect_partitions", **given(engine, **params)).output


def reasons(engine: Engine, **params: Any) -> dict[str, str | None]:
    """Why each partition stays; None for one that goes."""
    return {row["partition"]: row["stays"] for row in inspected(engine, **params)["partitions"]}


def gone_and_kept(engine: Engine, **params: Any) -> tuple[list[str], list[str]]:
    stays = reasons(engine, **params)
    gone = [name for name, why in stays.items() if why is None]
    return gone, [name for name in stays if name not in gone]
