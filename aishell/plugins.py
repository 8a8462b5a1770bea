"""What other packages bring: entry points of the groups `aishell.*`, and code that is named as `module:attribute`.

Nothing is imported that others than the caller and root can change, save what could change aishell itself as well.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aishell.errors import AishellError, SettingsError
from aishell.traces import unexpected
from aishell.trust import Trust

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


def entry_points(group: str) -> Iterable[EntryPoint]:
    """The entry points of a group. Most installations have none, and importlib.metadata takes a tenth of a dry run to say so."""
    if not any(_may_declare(Path(place or ".")) for place in sys.path):
        return ()
    from importlib.metadata import entry_points as declared

    return declared(group=group)


def load(what: EntryPoint | str, kind: str, trust: Trust | None = None) -> Any:
    """What an entry point or `module:attribute` names; `kind` is what it is to be, in an error.

    Raises UntrustedError where others can change the module, SettingsError when it is not there, or whatever else its import
    raises.
    """
    reference = what if isinstance(what, str) else what.value
    name = reference if isinstance(what, str) else f"{what.name} = {reference}"
    module, _, attribute = reference.partition("[")[0].strip().partition(":")
    try:
        if not module or not attribute:
            raise ImportError("it is not of the form module:attribute")
        _check(module, trust or Trust())
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise SettingsError(
            f"the {kind} {name!r} cannot be loaded: {error}", hint="write module:attribute of what Python can import"
        ) from error
    except AishellError:
        raise
    except (Exception, SystemExit) as error:  # somebody else's module
        raised = unexpected(error, f"the {kind} {name!r}")
        raise SettingsError(raised.message, hint=raised.hint) from error


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
