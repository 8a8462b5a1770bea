"""What can be archived, and the columns and key it is archived by."""

from __future__ import annotations

import pytest

from aishell.agents.log_cleanup.archives import columns_of, key_of
from aishell.agents.log_cleanup.retention_rules import RetentionRule
from aishell.agents.log_cleanup.tables import LogTable
from aishell.errors import ParameterError
from tests.unit.making import make_table

LOG = LogTable(make_table("app_log"), RetentionRule("app_log", 90), "at", "datetime", indexed=True)


def answer(*key, columns=1):
    return {
        "columns": [{"column": f"c{n}", "type": "int", "form": "plain"} for n in range(columns)],
        "key_columns": [{"column": name, "type": kind} for name, kind in key],
    }


def test_names_that_look_like_references_are_escaped():
    assert columns_of({"columns": [{"column": "${x}", "type": "int", "form": "plain"}]})[0]["column"] != "${x}"
    assert key_of(LOG, answer(("${x}", "int")), "mysql") != ["${x}"]


def test_postgresql_goes_by_pages_and_the_others_by_their_key():
    assert key_of(LOG, {"columns": []}, "postgresql") == []
    assert key_of(LOG, answer(("tenant", "varchar"), ("id", "bigint")), "mysql") == ["tenant", "id"]
    assert key_of(LOG, answer(("rowid", "INTEGER")), "sqlite") == ["rowid"]


def test_without_a_key_there_is_no_archive():
    with pytest.raises(ParameterError, match="has no primary key"):
        key_of(LOG, answer(), "mysql")


@pytest.mark.parametrize("kind", ["enum", "set", "float", "double", "timestamp", "bit"])
def test_a_key_that_is_not_sorted_as_it_compares_is_refused(kind):
    with pytest.raises(ParameterError, match=f"'k'.*{kind}"):
        key_of(LOG, answer(("k", kind)), "mysql")
