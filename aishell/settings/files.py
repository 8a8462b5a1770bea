"""The files of a config folder, read and checked against their schemas."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from aishell.errors import SettingsError, UnknownNameError
from aishell.settings.schemas import AISHELL, NOTIFICATIONS, POLICY, SCHEDULES, TARGETS
from aishell.settings.validation import Known, Schema, check, wrong
from aishell.settings.yamlfile import Document, parse

#: The files of a config folder, apart from `agents/` and `workflows/`.
FILES = {
    "aishell.yaml": AISHELL,
    "targets.yaml": TARGETS,
    "policy.yaml": POLICY,
    "schedules.yaml": SCHEDULES,
    "notifications.yaml": NOTIFICATIONS,
}


#: Suffixes of files that may be meant as configuration.
_READ = (".yaml", ".yml", ".json", ".toml")


def read(path: Path, shown: str) -> Document | None:
    """Return the YAML at `path`, None if the file does not exist. Raises SettingsError if it cannot be read."""
    try:
        return parse(path.read_text(encoding="utf-8"), shown)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{shown} cannot be read: {error}") from error


def document_of(config: Path, name: str) -> Document:
    """Return a file of a config folder, an empty document if it is absent."""
    return read(config / name, str(config / name)) or Document(str(config / name), {})


def checked(document: Document, schema: Schema, known: Known | None = None) -> dict[str, Any]:
    """Return a file's mapping. Raises SettingsError; for a key that belongs in other files, it names them."""
    for key in document.data if isinstance(document.data, dict) else ():
        homes = [name for name, other in FILES.items() if key in other["properties"]]
        if homes and key not in schema["properties"]:
            raise wrong(document, key, message=f"unknown key {key!r}", hint=f"it belongs in {' or '.join(homes)}")
    return check(document, schema, known)


def check_files(config: Path, built_in: Collection[str], agents: Callable[[], Collection[str]]) -> None:
    """Raise SettingsError for a file in the folder that nothing reads: a misspelt name would be ignored silently.

    `built_in`: the agent types of aishell. `agents` returns all types; it is called only for a file of another type.
    """
    for path in _configuration(config):
        if path.name not in FILES:
            raise _unread(path, FILES)
    shipped = {f"{name}.yaml" for name in built_in}
    for path in _configuration(config / "agents", folders=True):
        if path.name not in shipped and path.name not in (known := [f"{name}.yaml" for name in agents()]):
            raise _unread(path, known)
    for path in _configuration(config / "workflows"):
        if path.suffix != ".yaml":
            raise _unread(path, [f"{path.stem}.yaml"])


def _configuration(folder: Path, *, folders: bool = False) -> list[Path]:
    """Return what may be meant as configuration in a folder, with `folders` including subfolders."""
    found = (path for path in sorted(folder.glob("*")) if not path.name.startswith("."))
    return [path for path in found if path.suffix in _READ or (folders and path.is_dir())]


def _unread(path: Path, known: Collection[str]) -> SettingsError:
    """Return the error for a file that nothing reads. The suffix is ignored in the search for similar names."""
    stems = {name.rpartition(".")[0]: name for name in known}
    near = UnknownNameError("file", path.stem, stems).nearest
    hint = f"did you mean {stems[near]!r}?" if near is not None else f"known: {', '.join(sorted(known))}"
    return SettingsError(f"{path}:1: unknown file {path.name!r}: nothing reads it", hint=hint)


def fields_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping of a file as fields of a dataclass, without empty values, so that these keep their defaults."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in data.items() if value is not None}


def placed(document: Document, *at: str) -> tuple[Mapping[str, Any], ...]:
    """Return the items of a list, each with its file and line as `where`, for errors in later checks."""
    items = document.data
    for key in at:
        items = (items or {}).get(key)
    return tuple(
        {**item, "where": f"{document.path}:{document.line(*at, number)}"} for number, item in enumerate(items or ())
    )
