"""What other packages bring: entry points of the groups `aishell.*`, and code that is named as `module:attribute`.

Nothing is imported that others than the caller and root can change, save what could change aishell itself as well.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aishell.trust import Trust

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


def entry_points(group: str) -> Iterable[EntryPoint]:
    """The entry points of a group. Most installations have none, and importlib.metadata takes a tenth of a dry run to say so."""
    if not any(_may_declare(Path(place or ".")) for place in sys.path):
        return ()
    from importlib.metadata import entry_points as declared

    return declared(group=group)


def load_code(name: str, trust: Trust | None = None) -> Any:
    """What `module:attribute` names. Raises UntrustedError where others can change the module; whatever its import raises."""
    module, _, attribute = name.partition(":")
    _check(module.strip(), trust or Trust())
    return getattr(importlib.import_module(module.strip()), attribute.partition("[")[0].strip())


def _check(module: str, trust: Trust) -> None:
    """The top-level module or package, with all that is in it, and the folder that it was found in."""
    top = module.partition(".")[0]
    if not top or top in sys.modules:
        return  # it has run already
    from importlib.util import find_spec

    found = find_spec(top)
    if found is None:
        return  # its import says so
    for folder in found.submodule_search_locations or ():
        if not _is_installed(folder):
            trust.check(Path(folder).parent)
            trust.check(folder, below=True)
    if found.has_location and found.origin and not _is_installed(found.origin):
        if not found.submodule_search_locations:
            trust.check(Path(found.origin).parent)
        trust.check(found.origin)


def _is_installed(path: str) -> bool:
    """Whether it lies beside aishell itself or in Python: who can change it there needs no plugin."""
    places = (Path(__file__).parents[1], Path(sys.prefix), Path(sys.base_prefix))
    return any(Path(path).is_relative_to(place) for place in places)


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
