"""Tools of several statements per object: what a file of theirs must say, and which statements an object takes."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from aishell.errors import ToolFileError
from aishell.models import Risk
from aishell.running import dispatch
from aishell.safety.locks import contradiction
from tests.unit.making import FIND, VERIFY, make_tool, unconnected

CHECK = "SELECT NULL AS next, NULL AS reason"
PARTITION = {
    "find": "SELECT 'public' AS part_schema, 'old' AS part, 'detach' AS next",
    "check": CHECK,
    "detach": "ALTER TABLE {table} DETACH PARTITION {part_schema}.{part} CONCURRENTLY",
    "finalize": "ALTER TABLE {table} DETACH PARTITION {part_schema}.{part} FINALIZE",
    "do": "DROP TABLE {part_schema}.{part}",
    "verify": VERIFY,
}


def made(blocks: Mapping[str, str] = PARTITION, dialect: str = "postgresql", **keys: str | None):
    return make_tool(blocks, dialect, **{"runs": "each", "idempotent": "true", "risk": "high", **keys})


def test_dropping_what_was_detached_is_high():
    assert made().risk_level is Risk.HIGH


@pytest.mark.parametrize(
    ("blocks", "keys", "said"),
    [
        ({}, {"risk": "medium"}, "must be at least `risk: high`"),
        ({"do": "DROP TABLE {table}"}, {}, "must be `risk: critical`"),
        ({"do": "DROP TABLE {part_schema}.{table}"}, {}, "must be `risk: critical`"),
        ({"do": "DROP TABLE {part_schema}.{part} CASCADE"}, {}, "must be `risk: critical`"),
        ({"do": "DROP TABLE {part_schema}.{part}, {table}"}, {}, "must be `risk: critical`"),
        ({"do": "DROP SCHEMA {part_schema}"}, {}, "must be `risk: critical`"),
        ({"do": "TRUNCATE {part_schema}.{part}"}, {}, "must be `risk: critical`"),
        ({"detach": "ANALYZE {part_schema}.{part}"}, {}, "must be `risk: critical`"),
        ({"check": "SELECT NULL AS reason"}, {}, "`check` has no column `next`"),
        ({"check": "SELECT NULL AS next"}, {}, "`check` has no column `reason`"),
        ({"check": ""}, {}, "is empty"),
        ({}, {"idempotent": None}, "`idempotent` tool"),
    ],
)
def test_what_else_drops_data_is_refused(blocks, keys, said):
    with pytest.raises(ToolFileError, match=said):
        made({**PARTITION, **blocks}, **keys)


@pytest.mark.parametrize("statement", ["DROP PARTITION", "TRUNCATE PARTITION"])
def test_a_partition_is_not_dropped_in_passing(statement):
    blocks = {"do": f"ALTER TABLE {{table}} {statement} p", "verify": VERIFY}
    with pytest.raises(ToolFileError, match="at least `risk: high`"):
        make_tool(blocks, "mysql", lock="MDL EXCLUSIVE")
    assert make_tool(blocks, "mysql", lock="MDL EXCLUSIVE", risk="high").risk_level is Risk.HIGH


def test_a_detach_without_a_look_is_refused():
    blocks = {name: sql for name, sql in PARTITION.items() if name != "check"}
    with pytest.raises(ToolFileError, match="`detach` needs a block `check`"):
        made(blocks)


def test_the_lock_is_that_on_the_table_not_on_what_left_it():
    assert contradiction(made(lock="SHARE UPDATE EXCLUSIVE")) is None
    plain = {**PARTITION, "detach": "ALTER TABLE {table} DETACH PARTITION {part_schema}.{part}"}
    assert "`detach` takes ACCESS EXCLUSIVE" in str(contradiction(made(plain, lock="SHARE UPDATE EXCLUSIVE")))


@pytest.mark.parametrize(
    ("row", "first"), [({"next": "detach"}, "DETACH"), ({"next": "finalize"}, "FINALIZE"), ({"next": "do"}, None)]
)
def test_every_statement_of_an_object_is_shown_before_it_is_sent(row, first):
    tool = made()
    found = [{"part_schema": "public", "part": "old", **row}]
    texts = [s.text for s in dispatch.statements(tool, {"table": "log"}, found, unconnected("postgresql"))]
    assert texts[-1] == 'DROP TABLE "public"."old"'
    assert len(texts) == (1 if first is None else 2)
    assert first is None or first in texts[0]


def test_a_tool_without_a_look_takes_one_statement():
    tool = make_tool({"find": FIND, "do": "ANALYZE {table_name}", "verify": VERIFY}, runs="each", parameters=None)
    assert tool.stages({"next": "detach"}) == ("do",)
