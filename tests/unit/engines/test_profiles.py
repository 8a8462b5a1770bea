"""A profile answers what others ask of an engine, so that nobody compares names."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from aishell.engines import PROFILES, STANDARD, profile
from aishell.errors import UnknownNameError
from aishell.safety.locks import ROLES, taken_by, taken_elsewhere

PACKAGE = Path(__file__).parents[3] / "aishell"
NAMES = {*PROFILES, *(product for engine in PROFILES.values() for product in engine.supported)}
#: Rooms that are about one engine, file by file.
OWN = ("engines", "databases", "backups/mariadb", "backups/postgresql", "backups/sqlite")
#: What is no engine there: the database in which MariaDB and MySQL keep their accounts.
OTHERS = {("planning/backup_rights.py", "mysql")}


def compared(path: Path) -> set[str]:
    """The names of engines and products that a module compares something with."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        parts: list[ast.AST] = []
        if isinstance(node, ast.Compare):
            sides = (node.left, *node.comparators)
            parts = [one for side in sides for one in getattr(side, "elts", [side])]
        elif isinstance(node, ast.MatchValue):
            parts = [node.value]
        found |= {one.value for one in parts if isinstance(one, ast.Constant) and one.value in NAMES}
    return found


def test_nobody_compares_the_names_of_engines():
    found = {
        (str(path.relative_to(PACKAGE)), name)
        for path in PACKAGE.rglob("*.py")
        if not str(path.relative_to(PACKAGE)).startswith(OWN)
        for name in compared(path)
    }
    assert found == OTHERS


def test_the_walk_finds_comparisons(tmp_path):
    module = tmp_path / "module.py"
    module.write_text(
        'if engine == "sqlite" or product in ("mariadb", "x"):\n    pass\nmatch engine:\n    case "mysql": pass\n'
        'names = {"postgresql": 1}\n'
    )
    assert compared(module) == {"sqlite", "mariadb", "mysql"}


@pytest.mark.parametrize("engine", PROFILES)
def test_a_profile_is_complete(engine):
    """What has no answer for all engines is annotated in the base alone: each profile has to give it."""
    known = profile(engine)
    bare = {name for name in type(STANDARD).__annotations__ if not hasattr(STANDARD, name)}
    assert "locks" in bare
    assert {name for name in bare if not hasattr(known, name)} == set()
    assert known.name == engine
    assert known.rows_deleted_per_second > known.rows_archived_per_second > 0


@pytest.mark.parametrize("engine", PROFILES)
def test_every_statement_of_the_lock_tables_takes_a_lock_that_there_is(engine):
    known = profile(engine)
    assert {lock for _, lock in known.taken} <= known.locks.keys()
    assert {lock for _, _, lock in known.taken_elsewhere} <= known.locks.keys()
    assert {role for _, role, _ in known.taken_elsewhere} <= ROLES.keys()
    assert taken_by("SELECT 1", engine) == known.locks["none"]
    assert taken_by("FROBNICATE x", engine) is None
    assert taken_elsewhere("SELECT 1", engine) == {}


def test_what_a_version_damages_and_where_it_ends():
    known = profile("postgresql")
    assert known.known_damage((14, 3)) is not None
    assert known.known_damage((14, 4)) is None
    assert known.known_damage((13, 22)) is None
    assert profile("mysql").known_damage((14, 3)) is None


def test_a_program_of_mysql_goes_before_mariadbs_for_a_mysql_server():
    names = ("mariadb-dump", "mysqldump")
    assert profile("mysql").client_names(names, "mysql") == names[::-1]
    assert profile("mysql").client_names(names, "mariadb") == names
    assert profile("postgresql").client_names(("pg_dump",), "postgresql") == ("pg_dump",)


@pytest.mark.parametrize(
    ("product", "version", "privilege"),
    [
        ("mariadb", (10, 11, 6), "SELECT ON mysql.proc"),
        ("mysql", (8, 0, 19), "SELECT ON *.*"),
        ("mysql", (8, 0, 20), "SHOW_ROUTINE ON *.*"),
    ],
)
def test_the_narrowest_privilege_that_shows_routines(product, version, privilege):
    assert profile("mysql").routine_privilege(product, version) == privilege


def test_an_unknown_engine_is_an_error():
    with pytest.raises(UnknownNameError, match="unknown engine 'oracle'"):
        profile("oracle")
