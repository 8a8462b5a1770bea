"""Every file of tools/ runs on every server it names, and each tool returns the contract's fields on all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aishell.models import Risk
from aishell.registry.tool import Tool
from tests import logs
from tests.fix_postgresql import later
from tests.fix_tools import ENGINES, POSTGRESQL, Engine, is_run_here, label, named, registry
from tests.tools.contracts import COLUMNS, CONTRACT

ENGINE_OF = {"pg_distribution": "postgresql", "pg_current": "postgresql", "mariadb": "mysql", "sqlite": "sqlite"}


RUNS = [
    pytest.param(named(tool), fixture, id=f"{named(tool)}-{label(fixture)}")
    for tool in sorted(registry(), key=lambda tool: tool.source)
    for fixture in ENGINES
    if tool.engine in (ENGINE_OF[fixture], "common") and is_run_here(tool)
    and not later(tool, fixture)
    and tool.archives is None  # these need an archive: test_archives.py
    and not (tool.implementation or "").startswith("aishell.backups.")  # these need a place for backups: tests/backups
]  # fmt: skip

#: PostgreSQL's tools that are not run here -> where they are run, on each version of it by `make test-versions`.
ELSEWHERE = {
    "archive_old_records": "tools/test_archives.py",
    "delete_archived_records": "tools/test_archives.py",
    "load_archive": "tools/test_archives.py",
    "archive_related_records": "commands/test_related_archives.py",
    "delete_related_records": "commands/test_related_archives.py",
    "restore_references": "commands/test_related_archives.py",
    "backup_database_full": "backups/test_postgresql_dump.py",
    "validate_backup": "backups/test_postgresql_dump.py",
    "restore_test": "backups/test_postgresql_dump.py",
    "restore_backup": "backups/test_postgresql_dump.py",
    "replace_database": "backups/test_in_place_postgresql.py",
}
#: They need the client programs of the server's own version, which are there for the servers of the distribution and of PyPI.
OWN_PROGRAMS = {"backup_cluster", "backup_database_incremental", "backup_pgbackrest"}
#: They are about files, and send a PostgreSQL server nothing.
FILES_ALONE = {
    "cleanup_old_backups",
    "copy_backup",
    "find_last_backup",
    "find_unproven_backup",
    "remove_leftovers",
    "verify_copies",
}


def file_of(source: str) -> Tool:
    (tool,) = (tool for tool in registry() if named(tool) == source)
    return tool


def take_away(engine: Engine, tool: Tool) -> None:
    """Make the server one that this file is for: without the features, or of the version, that it asks for."""
    for clause in tool.clauses:
        if clause.product == engine.database.product:
            engine.hidden |= clause.without
            if any(operator == "<" and engine.database.version >= bound for operator, bound in clause.bounds):
                engine.version = next(bound for operator, bound in clause.bounds if operator == ">=")


def parameters_of(tool: Tool, engine: Engine, table: str) -> dict[str, Any]:
    offered = {
        "schema": engine.schema,
        "table": table,
        "tables": engine.named(table),
        "session": "1",
        "fragmentation_threshold": 0,
        "min_index_size": 0,
        "date_column": "created_at",
        "retention_days": 90,
        **dict.fromkeys(("cutoff", "start"), "2020-01-01 00:00:00"),
        "finish": "2020-02-01 00:00:00",
        "key": "id",
        "relatives": {
            "tables": [{**engine.named(table)[0], "columns": [{"column": "id", "form": "any"}], "key": []}],
            "edges": [{"parent": 0, "child": 1, "pairs": [["id", "id"]]}],
        },
        "child_schema": engine.schema,
        "child_table": table,
        **{"database": "aishell_scratch_00000000", "slot": "aishell_00000000", "mark": "nobody's"},  # there are none
    }
    values = {name: value for name, value in offered.items() if name in tool.parameters}
    return values | {name: ["id"] for name, parameter in tool.parameters.items() if parameter.type == "key"}


@pytest.fixture
def on(shared_engine: Engine):
    """The server with all its features, a bloated table, a log, and statistics."""
    shared_engine.hidden, shared_engine.version = set(), None
    if "bloated" not in {row["table"] for row in shared_engine.rows("inspect_tables")}:
        shared_engine.samples.bloated(rows=2000)
        logs.fill(shared_engine.db, shared_engine.name, 100)
    if shared_engine.name == "sqlite":
        shared_engine.samples.do("ANALYZE")
    return shared_engine


@pytest.mark.parametrize(("source", "shared_engine"), RUNS, indirect=["shared_engine"])
def test_file_runs_and_keeps_its_contract(source, on):
    tool = file_of(source)
    table = "app_log" if "date_column" in tool.parameters else "bloated"
    if "stat1" in {name for clause in tool.clauses for name in clause.without}:
        on.samples.do("DROP TABLE main.sqlite_stat1")
    take_away(on, tool)
    assert named(on.pick(tool.name)) == source
    result = on.call_file(tool, **parameters_of(tool, on, table))
    assert result.status in ("done", "skipped"), result.reason
    assert set(result.output) >= set(CONTRACT.get(tool.name, ())), "a field of the contract is missing"
    if tool.name in COLUMNS:
        (field,) = result.output.values()
        for row in [field] if isinstance(field, dict) else field:
            assert set(row) >= COLUMNS[tool.name], "a column of docs/inspection.md is missing"


def test_every_engine_has_every_tool(engine):
    server = engine.server()
    missing = {name for name in (*COLUMNS, *CONTRACT) if not registry().has(name, server)}
    # SQLite tells nobody how far a statement is.
    assert missing == ({"show_progress"} if engine.name == "sqlite" else set())


@pytest.mark.parametrize("fixture", POSTGRESQL, ids=label)
def test_every_file_for_a_version_of_postgresql_is_run_on_it(fixture):
    run = {param.values[0] for param in RUNS if param.values[1] == fixture}
    theirs = [tool for tool in registry() if tool.engine in ("postgresql", "common")]
    rest = {tool.name for tool in theirs if named(tool) not in run and not later(tool, fixture)}
    assert rest <= {*ELSEWHERE, *OWN_PROGRAMS, *FILES_ALONE}
    for place in {*ELSEWHERE.values()}:
        assert place.startswith("tools/") or "mark.versions" in (Path(__file__).parents[1] / place).read_text()


@pytest.mark.parametrize("name", sorted(CONTRACT))
def test_a_field_has_the_same_type_on_every_engine(name):
    seen: dict[str, dict[str, set[str]]] = {}
    for tool in registry().variants(name):
        for field in CONTRACT[name]:
            kind = tool.returns[field].schema.get("type", "any")
            kinds = {kind} if isinstance(kind, str) else set(kind)
            seen.setdefault(field, {})[tool.source] = kinds - {"null", "any"}
    for field, kinds in seen.items():
        known = [kind for kind in kinds.values() if kind]
        numbers = {"integer", "number"}
        assert len({frozenset({"number"} if kind & numbers else kind) for kind in known}) <= 1, (field, kinds)


@pytest.mark.parametrize("tool", [tool for tool in registry() if not is_run_here(tool)], ids=named)
def test_mysql_variants_match_their_mariadb_twins(tool):
    twins = [one for one in registry().variants(tool.name) if one.engine == tool.engine and is_run_here(one)]
    twin = next(one for one in twins if one.clauses[0].with_ == tool.clauses[0].with_)
    assert tool.parameters == twin.parameters
    assert {name: one.schema for name, one in tool.returns.items()} == {
        name: one.schema for name, one in twin.returns.items()
    }
    assert tool.risk_level == twin.risk_level


def test_a_tool_has_one_risk_unless_it_only_looks():
    for name in registry().names:
        risks = {tool.risk_level for tool in registry().variants(name)}
        assert len(risks - {Risk.SAFE}) <= 1, name


def test_every_tool_is_named_by_a_test():
    folders = [Path(__file__).parents[1] / name for name in ("tools", "backups", "commands", "faults")]
    tests = "\n".join(p.read_text() for folder in folders for p in folder.rglob("*.py") if p != Path(__file__))
    assert [name for name in registry().names if f'"{name}"' not in tests] == []
