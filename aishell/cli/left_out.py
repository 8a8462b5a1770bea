"""What a plan leaves out since the role may not do it, and what an administrator runs to allow it: as people read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aishell.codec import plain
from aishell.reporting.units import printable

if TYPE_CHECKING:
    from aishell.cli.styled import Console

#: So many objects, and statements, are shown; `--verbose` and `--output json` have all.
SHOWN = 5


def show(out: Console, left: Sequence[Any], *, verbose: bool = False) -> None:
    """Print `left` (LeftOut, or what it is in JSON): by object, with the reason; then the grants, to be copied."""
    items: list[Mapping[str, Any]] = plain(list(left))
    by_reason: dict[str, list[str]] = {}
    for item in items:
        by_reason.setdefault(f"{item['object']}: {item['reason']}", []).append(item["step"])
    lines = [f"left out: {', '.join(dict.fromkeys(steps))} of {reason}" for reason, steps in by_reason.items()]
    _some(out, lines, verbose, "yellow")
    grants = list(dict.fromkeys(grant for item in items for grant in item["grants"]))
    hints = list(dict.fromkeys(item["hint"] for item in items if item["hint"]))
    if grants:
        out.print("an administrator can allow it:", style="yellow")
    _some(out, [f"  {grant}" for grant in grants] + [f"  → {hint}" for hint in hints], verbose, "cyan")


def _some(out: Console, lines: Sequence[str], verbose: bool, style: str) -> None:
    for line in lines[: None if verbose else SHOWN]:
        out.print(printable(line), style=style, soft_wrap=True)
    if len(lines) > SHOWN and not verbose:
        out.print(f"  … and {len(lines) - SHOWN} more (--output json has all)", style="dim")
