"""Values for the unit tests: each call makes a valid one, its keywords say what is special about it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from aishell.agents.maintenance.agent import MaintenanceAgent
from aishell.codec import plain
from aishell.databases.base import Database
from aishell.databases.connections import parse_url
from aishell.databases.opening import open_database
from aishell.models import AgentConfig, Index, Inventory, Plan, Server, Step, Table, Task
from aishell.registry.header import read_tool
from aishell.registry.tool import Tool
from aishell.safety.constraints import ConstraintContext
from aishell.settings.targets import Target
from aishell.state.runs import Runs
from aishell.state.store import Store

FIND = "SELECT name AS table_name, 4096 AS bytes FROM pragma_table_list"
VERIFY = "SELECT 1 AS ok, 10 AS bytes"
#: The header of `tool_text`, one key a line, in this order.
HEADER: Mapping[str, str] = {
    "name": "touch",
    "engine": "sqlite >= 3.35",
    "category": "maintenance",
    "risk": "medium",
    "capabilities": "[database_read]",
    "runs": "statement",
    "lock": "RESERVED",
    "max_execution_time": "60",
    "parameters": "{table: {type: identifier}}",
    "returns": "{done: count(ok)}",
}
BLOCKS: Mapping[str, str] = {"do": "ANALYZE {table}", "verify": VERIFY}
#: What makes a tool of another engine than SQLite.
ENGINES: Mapping[str, Mapping[str, str]] = {
    "postgresql": {"engine": "postgresql >= 12", "lock": "SHARE UPDATE EXCLUSIVE"},
    "mysql": {"engine": "mariadb >= 10.6", "lock": "MDL SHARED UPGRADABLE, brief EXCLUSIVE"},
    "sqlite": {},
}


def tool_text(blocks: Mapping[str, str] = BLOCKS, prose: str = "Touches a table.", **keys: str | None) -> str:
    """A file of `tools/`; a key that is None is left out."""
    header = {**HEADER, **keys}
    lines = [f"-- {key}: {value}" for key, value in header.items() if value is not None]
    lines += ["--", f"-- {prose}"] if prose else []
    return "\n".join([*lines, *(f"\n-- {name}: what it does\n{sql}" for name, sql in blocks.items()), ""])


def make_tool(
    blocks: Mapping[str, str] = BLOCKS, dialect: str = "sqlite", prose: str = "Touches a table.", **keys: str | None
) -> Tool:
    """The tool of `tool_text`, read from the folder of `dialect`."""
    text = tool_text(blocks, prose, **{**ENGINES[dialect], **keys})
    return read_tool(text, f"tools/{dialect}/{keys.get('name') or HEADER['name']}.sql", dialect)


def query_tool(**keys: str | None) -> Tool:
    """A tool that only reads."""
    fixed = {"risk": "safe", "category": "analysis", "runs": "query", "lock": None, "parameters": None}
    return make_tool({"look": "SELECT 1 AS answer"}, **{**fixed, "returns": "{rows: rows(look)}", **keys})


def unconnected(dialect: str, path: object = "") -> Database:
    """aishell's side of a database that nobody connects to; SQLite needs the `path` of a file."""
    urls = {"postgresql": "postgresql://u@nowhere/d", "mysql": "mysql://u@nowhere/d", "sqlite": f"sqlite:///{path}"}
    return open_database(parse_url(urls[dialect]))


def make_server(engine: str = "postgresql", **facts: Any) -> Server:
    known: dict[str, Any] = {"product": engine, "version": (15, 4), "database": "shop", "identity": "it"}
    known |= {"features": frozenset({"amcheck"})} if engine == "postgresql" else {}
    return Server(engine, **{**known, **facts})


def make_table(name: str = "orders", schema: str = "public", **facts: Any) -> Table:
    known: dict[str, Any] = {"kind": "table", "oid": "1", "rows": 1000, "bytes": 8 << 20, "index_bytes": 4 << 20}
    known |= {"dead_rows": 0, "modified_rows": 0, "last_analyze": "2026-11-20T00:00:00Z"}
    return Table(schema, name, **{**known, **facts})


def make_index(name: str = "orders_pkey", table: str = "orders", schema: str = "public", **facts: Any) -> Index:
    known: dict[str, Any] = {"bytes": 4 << 20, "fragmentation_percent": 0.0, "method": "exact", "row": {"n": name}}
    return Index(schema, table, name, **{**known, **facts})


def make_inventory(*tables: Table, server: Server | None = None, **facts: Any) -> Inventory:
    tools = frozenset({"drop_invalid_indexes", "rebuild_table"})
    known: dict[str, Any] = {"indexes": (), "measured_at": "2026-11-21T00:00:00Z", "tools": tools}
    return Inventory(server or make_server(), tables, **{**known, **facts})


def maintenance(inventory: Inventory, kind: str | None = None, **inputs: Any) -> Plan:
    """What the maintenance agent plans for an inventory."""
    data = inputs if kind is None else {"maintenance_type": kind, **inputs}
    task = Task("maintenance", "shop", data)
    MaintenanceAgent().check_inputs(task)
    return MaintenanceAgent().plan(task, inventory)


def make_plan(*steps: Step, **facts: Any) -> Plan:
    numbered = tuple(replace(step, index=number) for number, step in enumerate(steps))
    return Plan(Task("maintenance", "shop", task_id="t1"), numbered, "2026-11-21T00:00:00Z", **facts)


def make_config(**keys: Any) -> AgentConfig:
    return AgentConfig("agent", "maintenance", **{"capabilities": frozenset({"database_read"}), **keys})


def make_target(**keys: Any) -> Target:
    return Target(**{"name": "shop", "url": "sqlite:///shop.db", "environment": "test", **keys})


def make_context(tool: Tool | None = None, **facts: Any) -> ConstraintContext:
    """What constraints see: a quiet Saturday night on a test target, unless said otherwise."""
    known: dict[str, Any] = {"target": make_target(), "server": make_server(), "now": datetime(2026, 11, 21, 23, 0)}  # noqa: DTZ001
    return ConstraintContext(tool or make_tool(), **{**known, **facts})


def start_run(store: Store, *steps: Step, run_id: str | None = None, target: str = "shop") -> tuple[Runs, str, str]:
    """A run recorded in `store`: the repository, its id and its owner."""
    runs, plan = Runs(store), make_plan(*(steps or (Step("a", "touch"),)))
    run_id, owner = run_id or uuid.uuid4().hex, uuid.uuid4().hex
    request = {"engine": "sqlite", "requested_by": "me@here", "plan_digest": plan.digest}
    document = plain(replace(plan, task=replace(plan.task, target=target)))
    runs.create(run_id=run_id, owner=owner, plan=document, tools={}, request=request)
    return runs, run_id, owner
