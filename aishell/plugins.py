"""Plugins: entry points of the groups `aishell.*`, and code that is named as `module:attribute`.

An installed package declares entry points in its metadata, a site in `extensions/entry_points.txt`, in the same format.
Nothing is imported that others than the caller and root can change, except what could change aishell itself as well.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from aishell.errors import AishellError, SettingsError
from aishell.telemetry.tracebacks import unexpected
from aishell.trust import Trust

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


#: The file in a site's `extensions/` that declares entry points.
DECLARED = "entry_points.txt"


@dataclass
class _Extensions:
    """The extensions folder of this process's site; if several were opened, the last one's."""

    folder: Path | None = None

    def use(self, folder: Path | None) -> None:
        if folder == self.folder:
            return
        if self.folder is not None:
            sys.path[:] = [place for place in sys.path if place != str(self.folder)]
            for name in [name for name, module in sys.modules.items() if self.has(getattr(module, "__file__", None))]:
                del sys.modules[name]
        self.folder = folder
        if folder is not None:
            sys.path.append(str(folder))  # last, so that nothing in it shadows an installed module

    def has(self, path: str | Path | None) -> bool:
        return self.folder is not None and path is not None and Path(path).is_relative_to(self.folder)

    def points(self, group: str) -> list[EntryPoint]:
        """Raises SettingsError for a malformed file."""
        path = None if self.folder is None else self.folder / DECLARED
        if path is None or not path.exists():
            return []
        from configparser import ConfigParser, Error
        from importlib.metadata import EntryPoint

        declared = ConfigParser(delimiters=("=",), interpolation=None)
        declared.optionxform = str  # type: ignore[assignment, method-assign]  # names are taken as they are written
        try:
            declared.read_string(path.read_text(encoding="utf-8"), str(path))
        except (OSError, UnicodeDecodeError, Error) as error:
            reason = str(error).replace("\n", " ")
            hint = "write `name = module:attribute` lines below [aishell.agents] or [aishell.constraints]"
            raise SettingsError(f"{path} cannot be read: {reason}", hint=hint) from error
        return [EntryPoint(*item, group) for item in (declared.items(group) if declared.has_section(group) else ())]

    def check(self, top: str, places: Iterable[str | None]) -> None:
        """Raises SettingsError for a module of the folder that is shadowed by another, from `places`."""
        origins = [place for place in places if place is not None]
        if self.folder is None or any(self.has(origin) for origin in origins):
            return
        own = next((path for path in (self.folder / f"{top}.py", self.folder / top) if path.exists()), None)
        if own is not None:
            raise SettingsError(
                f"{own} cannot be imported: {next(iter(origins), 'a module of Python')} has the same name",
                hint="rename it",
            )


_EXTENSIONS = _Extensions()


def use_extensions(folder: Path) -> None:
    """Enable agents, constraints and modules from a site's folder, if it exists. The site has checked its writers."""
    _EXTENSIONS.use(folder.absolute() if folder.is_dir() else None)


def entry_points(group: str) -> Iterable[EntryPoint]:
    """Return the entry points of a group, of installed packages and of the site's `extensions/`.

    Most installations have none, and importlib.metadata takes a tenth of a dry run to find that out. Raises
    SettingsError if both have one of the same name.
    """
    own = _EXTENSIONS.points(group)
    if not any(_may_declare(Path(place or ".")) for place in sys.path):
        return own
    from importlib.metadata import entry_points as declared

    installed = list(declared(group=group))
    for name in {point.name for point in own} & {point.name for point in installed}:
        refuse_taken(group, name, "an installed package has one of that name")
    return [*installed, *own]


def refuse_taken(group: str, name: str, why: str) -> NoReturn:
    """Raise SettingsError for a name that is declared twice."""
    raise SettingsError(f"{name!r} in the group {group} cannot be used: {why}", hint="give it another name")


def load(what: EntryPoint | str, kind: str, trust: Trust | None = None) -> Any:
    """Import what an entry point or `module:attribute` names. `kind` says what it is, for an error.

    Raises UntrustedError if others can change the module, and SettingsError if it does not exist or its import fails
    with any other error.
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
    except (Exception, SystemExit) as error:  # a bug in foreign code
        raised = unexpected(error, f"the {kind} {name!r}")
        raise SettingsError(raised.message, hint=raised.hint) from error


def _check(module: str, trust: Trust) -> None:
    """Check the top-level module or package with everything in it, and the folder that contains it."""
    top = module.partition(".")[0]
    if not top:
        return
    if top in sys.modules:  # it has already run
        there = sys.modules[top]
        _EXTENSIONS.check(top, [getattr(there, "__file__", None), *getattr(there, "__path__", ())])
        return
    from importlib.util import find_spec

    found = find_spec(top)
    if found is None:
        return  # its import reports the error
    _EXTENSIONS.check(top, [found.origin, *(found.submodule_search_locations or ())])
    for folder in found.submodule_search_locations or ():
        if not _is_installed(folder):
            trust.check(Path(folder).parent)
            trust.check(folder, below=True)
    if found.has_location and found.origin and not _is_installed(found.origin):
        if not found.submodule_search_locations:
            trust.check(Path(found.origin).parent)
        trust.check(found.origin)


def _is_installed(path: str) -> bool:
    """Whether a path is in aishell's or Python's installation, whose writers need no plugin, or was already checked."""
    if _EXTENSIONS.has(path):
        return True
    places = (Path(__file__).parents[1], Path(sys.prefix), Path(sys.base_prefix))
    return any(Path(path).is_relative_to(place) for place in places)


def _may_declare(place: Path) -> bool:
    """Whether a package in a place of `sys.path` declares an entry point, or the place is not a folder."""
    if not place.is_dir():
        return place.exists()
    if place.suffix == ".egg":
        return True
    return any(_names_ours(path) for path in place.glob("*.*-info/entry_points.txt"))


def _names_ours(path: Path) -> bool:
    try:
        return "[aishell." in path.read_text(errors="replace")
    except OSError:
        return True  # importlib.metadata reports an unreadable file
