"""How a finished step of a tool is undone, as its file declares: by its blocks `undo` and `undone`, or by another tool."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aishell.errors import ToolFileError, UnknownNameError
from aishell.registry.tool import Aggregate, Tool, Undo

_KEYS = ("tool", "how", "params", "when")
_REFERENCE = re.compile(r"\$\{(\w+)\.(\w+)")


def read_undo(spec: Mapping[str, Any], parameters: Mapping[str, Any], returns: Mapping[str, Any]) -> Undo:
    """Read the header's key `undo`. Raises ValueError for an unknown key, and for a reference to a missing name."""
    for key in spec:
        if key not in _KEYS:
            error = UnknownNameError("key", str(key), _KEYS)
            raise ValueError(f"undo: {error.message}; {error.hint}")
    if not all(isinstance(spec.get(key), str) and spec[key].strip() for key in ("tool", "how")):
        raise ValueError("undo: `tool` (the tool that undoes it) and `how` (a description) must be texts")
    params, when = spec.get("params", {}), spec.get("when")
    if not isinstance(params, dict) or not isinstance(when, (str, type(None))):
        raise ValueError("undo: `params` must be a mapping, and `when` a condition")
    known = {"params": parameters, "output": returns, "target": {"identity": None}}
    for root, name in _REFERENCE.findall(f"{params} {when}"):
        if name not in known.get(root, ()):
            raise ValueError(f"undo: ${{{root}.{name}}} is neither a parameter (`params.`) nor a field (`output.`)")
    return Undo(spec["tool"], spec["how"].strip(), params, when)


def check_undo(tool: Tool) -> None:
    """Raise ToolFileError if the blocks `undo` and `undone` do not fit each other or the tool."""
    undo, undone = tool.blocks.get("undo"), tool.blocks.get("undone")
    for block in filter(None, (undo, undone)):
        if undo is None or undone is None:
            raise ToolFileError(
                tool.source, block.line, "`undo` and `undone`, which checks its effect, must both be present"
            )
        if tool.undone_by or tool.grouped or tool.way.batches or not undo.comment:
            raise ToolFileError(tool.source, undo.line, "`undo` is for single objects, is declared once, has a comment")
        if missing := sorted({"ok", "reason"} - undone.columns):
            raise ToolFileError(tool.source, undone.line, f"`undone` has no column `{missing[0]}`")


def undoing(tool: Tool) -> Tool:
    """Return the tool made from the blocks `undo` and `undone`: on the objects of a step of `tool`, under the same gates."""
    blocks = {name: block for name, block in tool.blocks.items() if name == "find"}
    blocks |= {new: replace(tool.blocks[old], name=new) for new, old in (("do", "undo"), ("verify", "undone"))}
    assert tool.undo is not None  # noqa: S101  it has the block
    return replace(
        tool,
        name=tool.undo.tool,
        description=f"Undoes {tool.name}: {tool.undo.how}.",
        blocks=blocks,
        returns={"undone": Aggregate("count", (("ok", None),), {"type": "integer"})},
        declared_key=tool.key,
        idempotent=False,
        deletes=False,
        examples=(),
        undoing=True,
    )
