"""Tables for every changing tool to lock, and how each is called on them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aishell.archives import shelf
from aishell.models import Row
from aishell.registry.tool import Tool
from aishell.running import dispatch
from aishell.running.context import ToolResult
from tests.fix_tools import Engine
from tests.tools.lock_watch import PostgresqlWatch

OLD, NEW, CUTOFF = "2026-01-01 12:00:00", "2026-10-01 12:00:00", "2026-05-01 00:00:00"
TYPES = {"postgresql": "timestamp", "mysql": "datetime", "sqlite": "text"}
PARTITIONS = {
    "postgresql": (
        "CREATE TABLE parts (id bigint, at timestamp NOT NULL, customer int REFERENCES customers) PARTITION BY RANGE (at)",
        f"CREATE TABLE parts_old PARTITION OF parts FOR VALUES FROM (MINVALUE) TO ('{CUTOFF}')",
        f"CREATE TABLE parts_now PARTITION OF parts FOR VALUES FROM ('{CUTOFF}') TO (MAXVALUE)",
    ),
    "mysql": (
        "CREATE TABLE parts (id bigint, at datetime NOT NULL, customer int) PARTITION BY RANGE COLUMNS (at) "
        f"(PARTITION parts_old VALUES LESS THAN ('{CUTOFF}'), PARTITION parts_now VALUES LESS THAN (MAXVALUE))",
    ),
}


def make(engine: Engine) -> list[str]:
    """A log with a table it refers to and one that refers to it, and a partitioned one; their names."""
    do, kind = engine.samples.do, TYPES[engine.name]
    do(
        "CREATE TABLE customers (id int PRIMARY KEY)",
        "INSERT INTO customers VALUES (1)",
        f"CREATE TABLE log (id bigint PRIMARY KEY, at {kind} NOT NULL, customer int, "
        "FOREIGN KEY (customer) REFERENCES customers (id))",
        "CREATE INDEX log_at ON log (at)",
        f"INSERT INTO log VALUES (1, '{OLD}', 1), (2, '{OLD}', 1), (3, '{NEW}', 1)",
        "CREATE TABLE line (id int PRIMARY KEY, log bigint, FOREIGN KEY (log) REFERENCES log (id) ON DELETE CASCADE)",
        "INSERT INTO line VALUES (1, 1), (2, 3)",
        *PARTITIONS.get(engine.name, ()),
    )
    if engine.name == "sqlite":
        return ["customers", "log", "line"]
    if engine.name == "mysql":
        do(
            "CREATE TABLE offline (id int PRIMARY KEY, note char(200)) ENGINE = MyISAM",
            "INSERT INTO offline VALUES (1, 'x'), (2, 'y')",
        )
        do("DELETE FROM offline WHERE id = 1")
    do(f"INSERT INTO parts VALUES (1, '{OLD}', 1), (2, '{NEW}', 1)")
    return ["customers", "log", "line", "parts", "parts_old" if engine.name == "postgresql" else "offline"]


#: VACUUM and ANALYZE that last until they were seen.
SLOWLY = ("vacuum_cost_delay = '10ms'", "vacuum_cost_limit = 1")
Call = Callable[[], ToolResult]


def prepared(engine: Engine, tool: Tool, home: Path, **more: Any) -> Call:
    """The call of a tool on what `make` made. Raises KeyError for a tool that nobody has said how to call."""
    params = CASES[tool.name](engine, tool, home)
    values = tool.prepare({name: value for name, value in params.items() if name in tool.parameters})
    found = dispatch.find(tool, values, engine.context(tool))
    for _ in range(20 if "without_pgstattuple" in tool.source else 0):
        if found:
            break
        # What was deleted is told to the statistics up to a second later, and then ANALYZE seems to be of before.
        time.sleep(0.5)
        engine.samples.do("ANALYZE log")
        found = dispatch.find(tool, values, engine.context(tool))
    assert found, f"{tool.source} finds nothing to do"
    if engine.name == "postgresql":
        engine.samples.do(PostgresqlWatch.HOLD, *(f"ALTER DATABASE {engine.db.dbname} SET {one}" for one in SLOWLY))

    def call() -> ToolResult:
        context = engine.context(tool)  # each time as another run
        for name, value in more.items():
            setattr(context, name, value)
        return dispatch.run(tool, values, found, context)

    return call


def _table(engine: Engine, tool: Tool, home: Path) -> Row:
    return {"schema": engine.schema, "table": "log", "tables": engine.named("log")}


def _index(engine: Engine, tool: Tool, home: Path) -> Row:
    if "without_pgstattuple" in tool.source:  # of a few pages nothing can be estimated
        grown = f"INSERT INTO log SELECT i, '{NEW}', 1 FROM generate_series(4, 20000) AS i"
        engine.samples.do(grown, "VACUUM ANALYZE log", "DELETE FROM log WHERE id > 2000", "VACUUM ANALYZE log")
    return {**_table(engine, tool, home), "fragmentation_threshold": 0, "min_index_size": 0}


def _emptied(engine: Engine, tool: Tool, home: Path) -> Row:
    many = "WITH RECURSIVE n(i) AS (SELECT 4 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)"
    engine.samples.do(f"{many} INSERT INTO log SELECT i, '{NEW}', 1 FROM n", "DELETE FROM log WHERE id > 3")
    return {"schema": engine.schema, "table": None}


def _invalid(engine: Engine, tool: Tool, home: Path) -> Row:
    engine.samples.do(
        "CREATE INDEX log_at_ccnew ON log (at)",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'log_at_ccnew'::regclass",
    )
    return {**_table(engine, tool, home), "recorded": ["log_at"]}


def _old(engine: Engine, tool: Tool, home: Path) -> Row:
    dated = ["at", "ctid"] if engine.name == "postgresql" else ["at", "id"]
    key = dated if tool.name.endswith("_by_date") else ["id"]
    return {**_table(engine, tool, home), "date_column": "at", "cutoff": CUTOFF, "key": key}


def _parts(engine: Engine, tool: Tool, home: Path) -> Row:
    if tool.name.endswith("_exclusively"):
        engine.samples.do("CREATE TABLE parts_rest PARTITION OF parts DEFAULT")
    return {"schema": engine.schema, "table": "parts", "date_column": "at", "cutoff": CUTOFF}


def _written(engine: Engine, tool: Tool, home: Path) -> Row:
    engine.archives = home / "archives"
    known = engine.call("inspect_archive_columns", schema=engine.schema, table="log").output
    return {**_old(engine, tool, home), "columns": known["columns"], "key": ["id"]}


def _family(engine: Engine, tool: Tool, home: Path) -> Row:
    params = _written(engine, tool, home)
    known = engine.call("inspect_archive_columns", schema=engine.schema, table="line").output
    line = {"schema": engine.schema, "table": "line", "columns": known["columns"], "load_key": ["id"]}
    line["key"] = [] if engine.name == "postgresql" else ["id"]
    edges = [{"parent": 0, "child": 1, "pairs": [["log", "id"]]}]
    return {**params, "relatives": {"own": {"key": ["id"]}, "tables": [line], "edges": edges, "load_order": [0, 1]}}


def _archived(engine: Engine, tool: Tool, home: Path) -> Row:
    return _kept(engine, "archive_old_records", _written(engine, tool, home))


def _archived_family(engine: Engine, tool: Tool, home: Path) -> Row:
    if (
        engine.name == "mysql"
    ):  # what is waited for is the look before the deletion: so the deletion has to last by itself
        engine.samples.do("CREATE TRIGGER hold AFTER DELETE ON log FOR EACH ROW SET @held = SLEEP(0.05)")
    return _kept(engine, "archive_related_records", _family(engine, tool, home))


def _kept(engine: Engine, name: str, params: Row) -> Row:
    write = engine.pick(name)
    made = engine.call_file(write, **{name: value for name, value in params.items() if name in write.parameters})
    return {**params, "archive": made.output["archive_path"]}


def _loading(engine: Engine, tool: Tool, home: Path) -> Row:
    params = _archived(engine, tool, home)
    engine.samples.do(f"DELETE FROM log WHERE at < '{CUTOFF}'")
    columns = [dict(column) for column in shelf.read_manifest(Path(params["archive"])).columns]
    return {**params, "columns": columns}


def _unset(engine: Engine, tool: Tool, home: Path) -> Row:
    archive = _archived_family(engine, tool, home)["archive"]
    engine.samples.do("UPDATE line SET log = NULL WHERE id = 1")
    known = engine.call("inspect_archive_columns", schema=engine.schema, table="line").output["columns"]
    roles = {"id": {"role": "key"}, "log": {"role": "changed", "left": None}}
    columns = [{**column, **roles[column["column"]]} for column in known]
    return {"schema": engine.schema, "table": "line", "archive": archive, "part": 1, "columns": columns}


def _offline(engine: Engine, tool: Tool, home: Path) -> Row:
    return {"schema": engine.schema, "table": "offline"}


CASES: dict[str, Callable[[Engine, Tool, Path], Row]] = {
    **dict.fromkeys(("update_table_statistics", "batch_update_statistics", "optimize_table", "rebuild_table"), _table),
    **dict.fromkeys(("update_all_statistics", "checkpoint_wal"), _table),
    "incremental_vacuum": _emptied,
    "rebuild_fragmented_indexes": _index,
    "optimize_offline_table": _offline,
    "drop_invalid_indexes": _invalid,
    **dict.fromkeys(("delete_old_records", "delete_old_records_by_date", "delete_old_records_without_key"), _old),
    **dict.fromkeys(("drop_old_partitions", "drop_old_partitions_exclusively"), _parts),
    "archive_old_records": _written,
    "archive_related_records": _family,
    "delete_archived_records": _archived,
    "delete_related_records": _archived_family,
    "restore_references": _unset,
    "load_archive": _loading,
}

#: Table -> the role that it has for a tool (safety/locks.py); a table that is not there is none of its business.
_PARTS = {
    "parts": "",
    "parts_old": "partition",
    "parts_rest": "partition",
    "parts_now": "partition",
    "customers": "referenced",
}
_LOG = {"log": "", "line": "referring", "customers": "referenced"}
PLACES = {
    **{name: _PARTS if name.startswith("drop_old_partitions") else _LOG for name in CASES},
    "optimize_offline_table": {"offline": ""},
    "restore_references": {"line": "", "log": "referenced"},
}
#: What sends nothing at all, since it cannot know what would be worth it.
NEVER_SENT = frozenset({"tools/sqlite/without_dbstat/rebuild_fragmented_indexes.sql"})
#: Tools that run programs, make or drop whole databases, or lock nothing that others could ask for.
SEEN_ELSEWHERE = frozenset(
    "backup_cluster backup_database_full backup_database_incremental backup_pgbackrest cleanup_old_backups replace_database "
    "restore_backup restore_test drop_scratch_database drop_unfinished_restore drop_replication_slot reset_restore_mark".split()
)
