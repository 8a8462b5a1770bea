"""Print the steps left out of a plan for lack of privileges, with the grants that would allow them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aishell.codec import plain
from aishell.reporting.units import printable

if TYPE_CHECKING:
    from aishell.cli.styled import Console

#: Number of objects, and of statements, shown without `--verbose`.
SHOWN = 5


def show(out: Console, left: Sequence[Any], *, verbose: bool = False) -> None:
    """Print `left` (LeftOut, or its JSON) by object, with the reason; then the grants to copy."""
    items: list[Mapping[str, Any]] = plain(list(left))
    by_reason: dict[str, list[str]] = {}
    for item in items:
        by_reason.setdefault(f"{item['object']}: {item['reason']}", []).append(item["step"])
    lines = [
        printable(f"left out: {', '.join(dict.fromkeys(steps))} of {reason}") for reason, steps in by_reason.items()
    ]
    most, more = None if verbose else SHOWN, "  … and {} more (--output json has all)"
    out.print_first(lines, most, more, style="yellow", soft_wrap=True)
    grants = dict.fromkeys(f"  {printable(grant)}" for item in items for grant in item["grants"])
    hints = dict.fromkeys(f"  → {printable(item['hint'])}" for item in items if item["hint"])
    if grants:
        out.print("an administrator can allow it:", style="yellow")
    out.print_first([*grants, *hints], most, more, style="cyan", soft_wrap=True)
