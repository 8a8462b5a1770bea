"""A backup method is one class: what is true of it is asked of the class, and nobody else compares its name."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from aishell.backups.methods import METHODS, Method, keeps_elsewhere, method_class
from aishell.errors import BackupError
from aishell.registry.programs import CLIENTS

PACKAGE = Path(__file__).parents[3] / "aishell"
#: Where a method's own name may be compared: its room. SQLite's is an engine's name, too.
ROOMS = ("backups/mariadb/", "backups/postgresql/", "backups/pgbackrest/", "backups/sqlite/", "registry/programs.py")


@pytest.mark.parametrize("name", METHODS)
def test_each_has_its_name_and_starts_listed_programs(name: str) -> None:
    kind = method_class(name)
    assert issubclass(kind, Method)
    assert kind.name == name
    assert kind.on_increments <= kind.programs
    known = {program for programs in CLIENTS.values() for program in (programs if isinstance(programs, tuple) else ())}
    assert not known or kind.programs <= {*CLIENTS, *known}
    assert not (kind.in_place and kind.path_suffix == "")  # a data directory takes nothing's place


def test_what_is_not_known_is_refused_and_can_be_removed() -> None:
    with pytest.raises(BackupError, match="unknown backup method 'tape'"):
        method_class("tape")
    assert not keeps_elsewhere("tape")


def test_nobody_compares_methods_by_their_names() -> None:
    names = METHODS.keys() - {"sqlite"}
    found = []
    for path in PACKAGE.rglob("*.py"):
        place = path.relative_to(PACKAGE).as_posix()
        for node in () if place.startswith(ROOMS) else ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare) and ast.unparse(node) != "'pgbackrest' in values":  # a key of targets.yaml
                words = {one.value for one in ast.walk(node) if isinstance(one, ast.Constant)}
                if words & names:
                    found.append(f"{place}:{node.lineno}")
    assert found == []
