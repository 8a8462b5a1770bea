"""What other packages bring: entry points of the groups `aishell.*`, looked up where some package declares any."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


def entry_points(group: str) -> Iterable[EntryPoint]:
    """The entry points of a group. Most installations have none, and importlib.metadata takes a tenth of a dry run to say so."""
    if not any(_may_declare(Path(place or ".")) for place in sys.path):
        return ()
    from importlib.metadata import entry_points as declared

    return declared(group=group)


def _may_declare(place: Path) -> bool:
    """Whether a package in a place of `sys.path` declares one, or cannot be seen into as a folder can."""
    if not place.is_dir():
        return place.exists()
    if place.suffix == ".egg":
        return True
    return any(_names_ours(path) for path in place.glob("*.*-info/entry_points.txt"))


def _names_ours(path: Path) -> bool:
    try:
        return "[aishell." in path.read_text(errors="replace")
    except OSError:
        return True  # importlib.metadata says what becomes of a file that cannot be read
