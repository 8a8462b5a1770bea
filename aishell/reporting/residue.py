"""What killed runs have left, in words."""

from __future__ import annotations

from aishell.models import Residue
from aishell.moments import at
from aishell.reporting.units import size


def described(one: Residue) -> str:
    """`scratch database aishell_scratch_1a2b3c4d, 8.0 MB, since 2026-11-21T03:15:00, of the run 1a2b3c4d`."""
    parts = [
        f"{one.kind} {one.name}",
        size(one.bytes) if one.bytes is not None else "",
        f"since {at(one.since)}" if one.since else "",
        f"of the run {one.run_id[:8]}" if one.run_id else "",
    ]
    return ("" if one.certain else "perhaps: ") + ", ".join(filter(None, parts))
