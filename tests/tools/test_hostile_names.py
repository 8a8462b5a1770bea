"""Every tool works on a table, an index and a column of a hostile name, in a schema of that name."""

from __future__ import annotations

import json

import pytest

from tests.conftest import HOSTILE_NAMES, HOSTILE_NAMES_MYSQL
from tests.fix_tools import ENGINES, Engine, label, not_checked

CHANGES = (
    "update_table_statistics",
    "batch_update_statistics",
    "rebuild_fragmented_indexes",
    "drop_invalid_indexes",
    "optimize_table",
    "rebuild_table",
)
MEASURES = ("analyze_table_fragmentation", "analyze_index_fragmentation", "count_table_rows", "check_table_corruption")
HOSTILE = pytest.mark.parametrize("number", range(len(HOSTILE_NAMES)), ids=[ascii(name) for name in HOSTILE_NAMES])


def cut(name: str) -> str:
    """The name of an index beside its table, within 63 bytes."""
    return name.encode()[:61].decode(errors="ignore") + "_i"


@pytest.fixture
def place(shared_engine, number):
    """(the tools in the hostile schema, the hostile name)"""
    name = (HOSTILE_NAMES_MYSQL if shared_engine.name == "mysql" else HOSTILE_NAMES)[number]
    inside = shared_engine.inside(name)
    inside.samples.bloated(name, column=name, index=cut(name), rows=1000)
    yield inside, name
    inside.database.close()


def parameters(engine: Engine, tool: str, name: str) -> dict:
    offered = {
        "schema": engine.schema,
        "table": name,
        "tables": engine.named(name),
        "exact": True,
        "fragmentation_threshold": 0,
        "min_index_size": 0,
    }
    return {key: value for key, value in offered.items() if key in engine.pick(tool).parameters}


@pytest.mark.parametrize("shared_engine", ENGINES, indirect=True, ids=label)
@HOSTILE
def test_every_tool_works_on_a_hostile_name(place):
    engine, name = place
    look(engine, name)
    measure(engine, name)
    change(engine, name)
    assert engine.samples.count(name) == 100


def look(engine: Engine, name: str) -> None:
    assert engine.row("inspect_tables", name)["kind"] == "table"
    assert engine.row("measure_tables", name, tables=engine.named(name))["table"] == name
    (identified,) = engine.rows("identify_objects", tables=engine.named(name))
    assert (identified["schema"], identified["table"]) == (engine.schema, name)
    assert len(json.loads(identified["indexes"])) >= 1
    listed = {row["index_name"] for row in engine.rows("inspect_indexes") if row["table"] == name}
    assert listed & {cut(name), f"all indexes of {name}"}
    measured = engine.rows("measure_indexes", tables=engine.named(name))
    assert {row["table"] for row in measured} <= {name}
    health = engine.call("analyze_database_health", tables=engine.named(name), check_corruption=True).output
    assert health["tables"] == 1


def measure(engine: Engine, name: str) -> None:
    results = {tool: engine.call(tool, **parameters(engine, tool, name)) for tool in MEASURES}
    assert {tool: result.status for tool, result in results.items()} == dict.fromkeys(MEASURES, "done")
    assert results["count_table_rows"].output["row_count"] == 100
    assert {row["index"] for row in results["analyze_index_fragmentation"].output["indexes"]} >= {cut(name)}
    checked = results["check_table_corruption"]
    assert (checked.output["corrupted_tables"], not_checked(engine, checked)) == ([], [])
    assert checked.output["checked"]


def change(engine: Engine, name: str) -> None:
    for tool in CHANGES:
        result = engine.call(tool, **parameters(engine, tool, name))
        nothing = tool == "drop_invalid_indexes" or (tool, engine.name) == ("rebuild_fragmented_indexes", "mysql")
        assert result.status in ("done", "skipped" if nothing else "done"), (tool, result.reason)
        for one in result.objects:
            # VACUUM knows only the whole file.
            assert name in one.label or engine.name in ("sqlite", "mysql"), (tool, one.label)


@pytest.mark.parametrize("name", ["x" * 65, "é" * 40, "nul\x00"])
def test_a_name_no_object_can_have_is_never_worked_on(server_engine, name):
    """Cut to 63 bytes it would be another table."""
    server_engine.samples.table(name.encode()[:63].decode(errors="ignore").rstrip("\x00"), index="beside")
    result = server_engine.step("update_table_statistics", schema=server_engine.schema, table=name)
    assert result.status in ("skipped", "failed")
    assert result.objects == ()
