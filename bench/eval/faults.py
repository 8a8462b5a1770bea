"""What a fault is: a folder of `faults/`, read and checked. README.md beside this file says what each key means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).with_name("faults")
ENGINES = ("postgresql", "mariadb", "sqlite")
#: Keys that an engine's own part may give anew.
_ANEW = frozenset("ask equivalent solved_by beyond unplanned changes actions settings expect".split())


class FaultError(ValueError):
    """A fault's folder is not as README.md says."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault on one engine. `inject`, `end_state` and `harm` are SQL; the others are the keys of fault.yaml."""

    name: str
    engine: str
    title: str
    ask: str
    inject: str
    harm: str
    end_state: str | None = None
    expect: Sequence[Any] = ()
    equivalent: Sequence[str] = ()
    solved_by: str | None = None
    beyond: str | None = None
    unplanned: str | None = None
    changes: Sequence[str] = ()
    settings: Mapping[str, str] | None = None
    actions: Sequence[Mapping[str, Any]] = ()
    target: Mapping[str, Any] | None = None
    files: Mapping[str, str] | None = None

    @property
    def label(self) -> str:
        return f"{self.name}-{self.engine}"


def load(folder: Path = FOLDER) -> list[Fault]:
    """Every fault on each of its engines, by name. Raises FaultError."""
    return [one for path in sorted(folder.glob("*/fault.yaml")) for one in of_folder(path.parent)]


def of_folder(folder: Path) -> list[Fault]:
    """The fault of a folder, once for each of its engines. Raises FaultError."""
    try:
        data = yaml.safe_load((folder / "fault.yaml").read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise FaultError(f"{folder.name}: {error}") from error
    if not isinstance(data, dict):
        raise FaultError(f"{folder.name}: fault.yaml is not a mapping")
    found = [_on(folder, data, engine) for engine in ENGINES if (folder / f"inject.{engine}.sql").exists()]
    if not found:
        raise FaultError(f"{folder.name}: no inject.ENGINE.sql; engines are {', '.join(ENGINES)}")
    return found


def _on(folder: Path, data: Mapping[str, Any], engine: str) -> Fault:
    own = data.get(engine) or {}
    if unknown := set(own) - _ANEW:
        raise FaultError(f"{folder.name}: {engine} cannot give anew: {', '.join(sorted(unknown))}")
    given = {key: value for key, value in data.items() if key not in ENGINES} | own
    read: dict[str, Any] = {name: _sql(folder, name, engine) for name in ("inject", "end_state", "harm")}
    known = {field.name for field in fields(Fault)} - {"name", "engine", *read}
    if unknown := set(given) - known:
        raise FaultError(f"{folder.name}: unknown keys: {', '.join(sorted(unknown))}")
    if missing := {"title", "ask", "equivalent"} - set(given):
        raise FaultError(f"{folder.name}: missing keys: {', '.join(sorted(missing))}")
    if bool(given.get("solved_by")) == bool(given.get("beyond")):
        raise FaultError(f"{folder.name}: give solved_by or beyond, one of them")
    if read["harm"] is None:
        raise FaultError(f"{folder.name}: harm.{engine}.sql is missing")
    if read["end_state"] is None and not given.get("expect"):
        raise FaultError(f"{folder.name}: nothing says when it is solved: end_state.{engine}.sql or expect")
    return Fault(name=folder.name, engine=engine, **read, **given)


def _sql(folder: Path, name: str, engine: str) -> str | None:
    path = folder / f"{name}.{engine}.sql"
    return path.read_text(encoding="utf-8") if path.exists() else None


def statements(sql: str) -> list[str]:
    """The statements of a file: each ends with `;` at the end of a line."""
    return [text.strip() for text in sql.split(";\n") if text.strip(" ;\n")]
