"""Every command explains itself with examples, and does so without importing what it does not need for that."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from aishell.cli.main import cli
from aishell.errors import UnknownNameError
from tests.fix_aishell import Aishell

WALK = """
import json, sys, click
from aishell.cli.main import cli
def walk(command, ctx, path):
    with click.Context(command, parent=ctx, info_name=path[-1]) as own:
        yield path, command.get_help(own), command.epilog or ""
        if isinstance(command, click.Group):
            for name in command.list_commands(own):
                yield from walk(command.get_command(own, name), own, (*path, name))
found = [[" ".join(path), text, epilog] for path, text, epilog in walk(cli, None, ("aishell",))]
known = "sqlalchemy psycopg pymysql rich.table apscheduler ollama pydantic".split()
heavy = [name for name in known if name in sys.modules]
print(json.dumps([found, heavy]))
"""


@pytest.fixture(scope="module")
def walked():
    said = subprocess.run([sys.executable, "-c", WALK], capture_output=True, text=True, check=True)
    return json.loads(said.stdout)


def test_help_imports_nothing_heavy(walked):
    assert walked[1] == []


def test_every_command_is_reached(walked):
    names = {name for name, _, _ in walked[0]}
    assert {"aishell run maintenance", "aishell plan maintenance", "aishell tools check", "aishell runs prune"} <= names
    assert {"aishell init", "aishell doctor", "aishell targets test", "aishell apply", "aishell audit verify"} <= names


def test_every_command_has_examples_that_name_it(walked):
    found, _ = walked
    groups = {" ".join(name.split()[:-1]) for name, _, _ in found}
    for name, text, epilog in found:
        if name not in groups:
            assert "Example" in text, name
            assert name in epilog, name


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("run-due", "did you mean `aishell schedule run-due`?"),
        ("pause", "did you mean `aishell runs pause`, `aishell schedule pause`?"),
        ("runz", "did you mean 'run'?"),
        ("work", "did you mean 'workflows'?"),  # that of `schedule` is for no person
    ],
)
def test_a_command_that_stands_elsewhere_is_named_where_it_stands(name, hint):
    with pytest.raises(UnknownNameError) as caught:
        cli.main([name], standalone_mode=False)
    assert caught.value.hint == hint


def test_a_group_without_a_command_is_its_help(aishell: Aishell):
    said = aishell("runs").expect(2)
    assert said.err.startswith("Usage: aishell ")
    assert "\nCommands:\n" in said.err
    assert "<U+000A>" not in said.err


def test_what_is_called_wrongly_is_told_as_every_other_error(aishell: Aishell):
    said = aishell("run", "maintenance", "--tpye", "quick").expect(2)
    first, second = said.err.splitlines()
    assert first.startswith("aishell: No such option '--tpye'")
    assert second == "  → usage: aishell run maintenance [OPTIONS]; see `aishell run maintenance --help`"
