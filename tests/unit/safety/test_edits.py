"""What an edit of a step may change: how much and how fast, by the word of each tool's own file, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from aishell.errors import ParameterError, ToolFileError
from aishell.safety.approval import edited
from tests.fix_tools import registry
from tests.unit.making import VERIFY, make_tool

#: How much and how fast: everything that an edit of a shipped tool may change.
TUNING = {
    "batch_target_ms": "number",
    "fragmentation_threshold": "number",
    "jobs": "integer",
    "max_rate": "integer",
    "max_rows": "integer",
    "min_index_size": "integer",
    "sleep": "number",
}
TOOLS = list(registry())
BLOCKS = {"do": "ANALYZE {table}", "verify": f"{VERIFY} WHERE :most > 0"}
MOST = "{{table: {{type: identifier}}, most: {{type: integer, default: 1{}}}}}"


def test_nothing_of_a_tool_can_be_edited_but_how_much_and_how_fast():
    for tool in TOOLS:
        for name, parameter in tool.parameters.items():
            if parameter.editable:
                assert parameter.type == TUNING.get(name), f"{name} of {tool.source}"


def test_an_edit_of_anything_else_is_refused():
    for tool in TOOLS:
        before: dict[str, Any] = tool.prepare(dict(tool.examples[0]["params"])) if tool.examples else {}
        for name, parameter in tool.parameters.items():
            if name in before and not parameter.editable:
                # What it is now is of no account: any other value is another one.
                with pytest.raises(ParameterError, match=f"cannot change .*{name}"):
                    edited(tool, {**before, name: object()}, before)


def test_a_parameter_of_which_a_file_says_nothing_cannot_be_edited():
    tool = make_tool(BLOCKS, parameters=MOST.format(""))
    with pytest.raises(ParameterError, match="cannot change most"):
        edited(tool, {"table": "t", "most": 1}, {"table": "t", "most": 2})
    tool = make_tool(BLOCKS, parameters=MOST.format(", editable: true"))
    assert edited(tool, {"table": "t", "most": 1}, {"table": "t", "most": 2})["most"] == 2


@pytest.mark.parametrize("type_", ["string", "boolean", "scalar", "identifier", "array", "object"])
def test_what_can_name_a_place_cannot_be_declared_editable(type_: str):
    with pytest.raises(ToolFileError, match="only a parameter of type integer or number"):
        make_tool(parameters=f"{{table: {{type: identifier}}, other: {{type: {type_}, editable: true}}}}")
