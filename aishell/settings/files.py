"""The files of a config folder: which there are, read and checked against their schemas."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from aishell.errors import SettingsError, UnknownNameError
from aishell.settings.schemas import AISHELL, NOTIFICATIONS, POLICY, SCHEDULES, TARGETS
from aishell.settings.validation import Known, Schema, check, wrong
from aishell.settings.yamlfile import Document, parse

#: The files of a config folder, beside those of `agents/`.
FILES = {
    "aishell.yaml": AISHELL,
    "targets.yaml": TARGETS,
    "policy.yaml": POLICY,
    "schedules.yaml": SCHEDULES,
    "notifications.yaml": NOTIFICATIONS,
}


#: What a file's name ends with that may be meant as configuration.
_READ = (".yaml", ".yml", ".json", ".toml")


def read(path: Path, shown: str) -> Document | None:
    """The YAML at `path`, None when there is no such file."""
    try:
        return parse(path.read_text(encoding="utf-8"), shown)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{shown} cannot be read: {error}") from error


def document_of(config: Path, name: str) -> Document:
    """A file of a config folder; an empty document where it is absent."""
    return read(config / name, str(config / name)) or Document(str(config / name), {})


def checked(document: Document, schema: Schema, known: Known | None = None) -> dict[str, Any]:
    """What a file says. Raises SettingsError: of a key that is at home in other files, those are named."""
    for key in document.data if isinstance(document.data, dict) else ():
        homes = [name for name, other in FILES.items() if key in other["properties"]]
        if homes and key not in schema["properties"]:
            raise wrong(document, key, message=f"unknown key {key!r}", hint=f"it belongs in {' or '.join(homes)}")
    return check(document, schema, known)


def check_files(config: Path, built_in: Collection[str], agents: Callable[[], Collection[str]]) -> None:
    """Raises SettingsError for a file in the folder that nothing reads: a misspelt name would be no configuration at all.

    `built_in`: the types of agents that come with aishell; `agents`: all there are, asked for a file of none of those.
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
    """What in a folder may be meant as configuration; `folders`: what is a folder, too."""
    found = (path for path in sorted(folder.glob("*")) if not path.name.startswith("."))
    return [path for path in found if path.suffix in _READ or (folders and path.is_dir())]


def _unread(path: Path, known: Collection[str]) -> SettingsError:
    """A file that nothing reads. That all names end in .yaml makes none of them alike."""
    stems = {name.rpartition(".")[0]: name for name in known}
    near = UnknownNameError("file", path.stem, stems).nearest
    hint = f"did you mean {stems[near]!r}?" if near is not None else f"known: {', '.join(sorted(known))}"
    return SettingsError(f"{path}:1: unknown file {path.name!r}: nothing reads it", hint=hint)


def fields_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """What a file says, as the fields of a dataclass: what it leaves empty keeps its default."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in data.items() if value is not None}


def placed(document: Document, *at: str) -> tuple[Mapping[str, Any], ...]:
    """The items of a list, each with where it stands, for the errors of what judges them later."""
    items = document.data
    for key in at:
        items = (items or {}).get(key)
    return tuple(
        {**item, "where": f"{document.path}:{document.line(*at, number)}"} for number, item in enumerate(items or ())
    )
