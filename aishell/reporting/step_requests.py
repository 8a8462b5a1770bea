"""A step that needs approval, in words, from its recorded request alone. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from aishell.reporting.units import about, printable, qualified, size

#: The most tables that are listed.
_MOST = 5


def objects(request: Mapping[str, Any]) -> list[str]:
    """Return the tables that the step works on, each with its size if known."""
    found = []
    for row in request.get("objects") or ():
        name = qualified(row)
        known = [size(int(row["bytes"]))] if row.get("bytes") is not None else []
        known += [f"about {int(row['rows']):,} rows"] if row.get("rows") is not None else []
        found.append(f"{name}: {', '.join(known)}" if known else name)
    return found if len(found) <= _MOST else [*found[:_MOST], f"and {len(found) - _MOST} more"]


def figures(request: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was measured for it, and how: for example the rows to be deleted."""
    for one in request.get("evidence") or ():
        if isinstance(one["value"], (int, float, str)) and not one.get("withheld"):
            value = f"{one['value']:,}" if isinstance(one["value"], int) else str(one["value"])
            yield f"{one['metric']} {value} ({one['method']})"


def parameters(given: Mapping[str, Any]) -> Iterator[str]:
    """Yield the parameters that no statement shows."""
    for name, value in given.items():
        yield f"parameter {name} = {worded(value)}"


def edits(made: Any) -> Iterator[str]:
    """Yield people's changes to the planned parameters."""
    for edit in made:
        changes = (f"{name}: {worded(old)} → {worded(new)}" for name, (old, new) in edit["changes"].items())
        reason = f" ({edit['reason']})" if edit.get("reason") else ""
        yield f"edited by {edit['by']}{reason}: {', '.join(changes)}"


def duration(request: Mapping[str, Any]) -> str | None:
    """Return the expected duration, None if unknown."""
    estimate = request.get("estimate") or {}
    seconds = estimate.get("seconds")
    return None if seconds is None else f"{about(seconds)} ({estimate.get('based_on')})"


def worded(value: Any) -> str:
    """Return a value as given, with codes for control characters."""
    return printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
