"""What other packages bring: entry points of the groups `aishell.*`, looked up where some package declares any."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aishell.errors import SettingsError
from aishell.traces import unexpected

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


def entry_points(group: str) -> Iterable[EntryPoint]:
    """The entry points of a group. Most installations have none, and importlib.metadata takes a tenth of a dry run to say so."""
    if not any(_may_declare(Path(place or ".")) for place in sys.path):
        return ()
    from importlib.metadata import entry_points as declared

    return declared(group=group)


def load(what: EntryPoint | str, kind: str) -> Any:
    """What an entry point or `module:attribute` names; `kind` is what it is to be, in an error.

    Raises SettingsError when it is not there, and whatever its module raises when it is imported.
    """
    name = what if isinstance(what, str) else f"{what.name} = {what.value}"
    try:
        if not isinstance(what, str):
            return what.load()
        module, _, attribute = what.partition(":")
        if not module or not attribute:
            raise ImportError("it is not of the form module:attribute")
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise SettingsError(
            f"the {kind} {name!r} cannot be loaded: {error}", hint="write module:attribute of what Python can import"
        ) from error
    except (Exception, SystemExit) as error:  # somebody else's module
        raised = unexpected(error, f"the {kind} {name!r}")
        raise SettingsError(raised.message, hint=raised.hint) from error


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
