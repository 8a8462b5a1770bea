"""The tools for old partitions as their tests call them: on a table `log` with the date `at`, before the engine's CUTOFF."""

from __future__ import annotations

from typing import Any

from aishell.models import Row
from aishell.registry import runners
from aishell.registry.context import ToolResult
from tests.fix_tools import Engine

DROP = "drop_old_partitions"
#: Where one of the test's partitions ends and the next one begins.
CUTOFF = {"postgresql": "2026-07-01 00:00:00+00", "mysql": "2026-06-01 00:00:00"}


def given(engine: Engine, **params: Any) -> dict[str, Any]:
    """What the tools are called with; `params` are what is different."""
    return {"schema": engine.schema, "table": "log", "date_column": "at", "cutoff": CUTOFF[engine.name], **params}


def drop(engine: Engine, tool: str = DROP, **params: Any) -> ToolResult:
    return engine.call(tool, **given(engine, **params))


def to_drop(engine: Engine, tool: str = DROP) -> list[Row]:
    """What `drop` would find."""
    return engine.find(tool, **given(engine))


def resumed(engine: Engine, found: list[Row], tool: str = DROP, **params: Any) -> ToolResult:
    """What another attempt makes of what an earlier one had found."""
    picked = engine.pick(tool)
    return runners.run(picked, picked.prepare(given(engine, **params)), found, engine.context(picked))


def inspected(engine: Engine, **params: Any) -> dict[str, Any]:
    return engine.call("inspect_partitions", **given(engine, **params)).output


def reasons(engine: Engine, **params: Any) -> dict[str, str | None]:
    """Why each partition stays; None for one that goes."""
    return {row["partition"]: row["stays"] for row in inspected(engine, **params)["partitions"]}


def gone_and_kept(engine: Engine, **params: Any) -> tuple[list[str], list[str]]:
    stays = reasons(engine, **params)
    gone = [name for name, why in stays.items() if why is None]
    return gone, [name for name in stays if name not in gone]
