"""Arguments of client programs: one value is one argument, whatever it holds; and nothing but listed clients."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aishell.errors import ParameterError, ToolFileError
from aishell.registry.header import read_tool
from aishell.registry.programs import CLIENTS, arguments, shown

TOOL = """
name: backup_database_full
category: backup
risk: low
capabilities: [backup_create]
runs: program
implementation: aishell.backups.sqlite.copy:full
programs:
  dump: {words}
returns: {{bytes: {{type: integer}}}}
examples: [{{params: {{}}}}]
description: A backup.
"""


@given(st.text())
def test_a_value_is_one_argument_whatever_it_holds(value):
    assert arguments(["--file=:file", ":file", "--plain"], {"file": value}) == [f"--file={value}", value, "--plain"]


def test_what_is_not_set_is_left_out():
    template = ["--jobs=:jobs", "--snapshot=:snapshot", "--all"]
    assert arguments(template, {"jobs": 0, "snapshot": None}) == ["--jobs=0", "--all"]
    assert arguments(["--x=:a:b"], {"a": False, "b": 1}) == []


def test_a_list_becomes_several_arguments_where_it_stands_alone():
    assert arguments(["--", ":files"], {"files": ["a b", "c"]}) == ["--", "a b", "c"]
    assert arguments([":files"], {"files": []}) == []


def test_a_name_without_a_value_is_refused():
    with pytest.raises(ParameterError, match="'--jobs=:jobs' needs 'jobs'"):
        arguments(["--jobs=:jobs"], {})


def test_for_people_what_is_not_known_stands_by_its_name():
    assert shown(["pg_dump", "--jobs=:jobs", "--snapshot=:snapshot", "--x=:no"], {"jobs": 2, "no": None}) == (
        "pg_dump --jobs=2 --snapshot=:snapshot"
    )


def test_a_tool_with_programs_loads():
    tool = read_tool(TOOL.format(words="[pg_dump, '--jobs=:jobs']"), "common/backup_database_full.yaml", "common")
    assert tool.programs == {"dump": ["pg_dump", "--jobs=:jobs"]}
    assert "pg_dump" in CLIENTS


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("[sh, -c, 'rm -rf /']", "unknown client program 'sh'"),
        ("[pg_dmp]", "did you mean 'pg_dump'"),
        ("[]", "dump is empty"),
        ("pg_dump --all", "dump must be a list"),
        (r"[pg_dump, 7]", r"dump\[1\] must be a text"),
    ],
)
def test_no_other_program_is_ever_run(words, said):
    with pytest.raises(ToolFileError, match=said):
        read_tool(TOOL.format(words=words), "common/backup_database_full.yaml", "common")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("implementation: aishell.backups.sqlite.copy:full\n", "", "`runs: program` needs `implementation"),
        ("runs: program", "runs: python", "`programs` are for `runs: program`"),
    ],
)
def test_programs_belong_to_tools_that_run_them(old, new, said):
    text = TOOL.format(words="[pg_dump]").replace(old, new)
    with pytest.raises(ToolFileError, match=said):
        read_tool(text, "common/backup_database_full.yaml", "common")
