"""Which constraints are in force: the built-in ones, those configured in their place, and what cannot be configured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest

from aishell.errors import SettingsError
from aishell.models import Decision, Step
from aishell.safety import constraints as c
from aishell.settings.validation import faults
from tests.unit.making import make_context, make_server, make_table, make_tool

ALWAYS = {
    "not_a_standby", "rate_limit", "business_hours", "free_disk", "no_long_transactions", "no_cascade", "max_table_size",
}  # fmt: skip
STEP = Step("a", "touch", {"table": "t"})


def types(*configured: dict) -> list[str]:
    return [constraint.type for constraint in c.build(configured)]


def decisions(*configured: dict, **facts) -> set[Decision]:
    context = make_context(make_tool(), **facts)
    found = [constraint.check(STEP, context) for constraint in c.build(configured)]
    return {violation.decision for violation in found if violation is not None}


def test_some_hold_whatever_is_configured():
    assert set(types()) == ALWAYS
    assert set(types({"type": "max_load"})) == ALWAYS | {"max_load"}


def test_a_standby_refuses_whatever_is_configured():
    standby = make_server(standby=True)
    configured = [{"type": name} for name in ALWAYS]
    assert decisions(*configured, server=standby) == {Decision.DENY}


def test_a_configured_one_takes_the_place_of_the_built_in_one():
    big = make_table(rows=3_000_000)
    assert decisions(tables=(big,)) == {Decision.CONFIRM}
    assert decisions({"type": "max_table_size", "max_rows": 5_000_000}, tables=(big,)) == set()
    blocked = {"type": "max_table_size", "max_rows": 5, "on_violation": "block"}
    assert decisions(blocked, tables=(big,)) == {Decision.DENY}


@pytest.mark.parametrize("last", [0, 1])
def test_an_agents_constraint_does_not_take_the_place_of_the_policys(last):
    policy = {"type": "max_table_size", "max_rows": 5, "on_violation": "block"}
    agent = {"type": "max_table_size", "max_rows": 5_000_000}
    both = [policy, agent] if last else [agent, policy]
    assert Decision.DENY in decisions(*both, tables=(make_table(rows=10),))


def test_lists_of_a_file_become_what_the_constraint_needs():
    hours = next(item for item in c.build(({"type": "production_hours", "allowed_hours": [1, 2]},))[::-1])
    assert hours == c.ProductionHours(allowed_hours=(1, 2))


@pytest.mark.parametrize(
    ("item", "said", "hint"),
    [
        ({"type": "max_table_sise"}, "unknown constraint 'max_table_sise'", "'max_table_size'"),
        ({"type": "max_table_size", "max_row": 5}, "unknown key 'max_row'", "'max_rows'"),
        ({"type": "max_load", "on_violation": "refuse"}, "unknown on_violation 'refuse'", "ask, block"),
        ({"type": "max_table_size", "max_rows": "5 million"}, "max_rows", None),
        ({"type": "max_table_size", "max_rows": True}, "max_rows", None),
        ({"type": "max_replica_lag", "max_seconds": "30s"}, "max_seconds", None),
        ({"type": "production_hours", "allowed_hours": 22}, "allowed_hours", None),
        ({"type": "production_hours", "allowed_hours": ["22"]}, "allowed_hours", None),
        ({"type": "backup_required", "before_operations": "rebuild_table"}, "before_operations", None),
        ({"type": "max_load", "on_violation": ["ask"]}, "on_violation", None),
    ],
)
def test_what_is_wrong_is_refused_with_file_and_line(item, said, hint):
    with pytest.raises(SettingsError) as caught:
        c.build(({**item, "where": "config/policy.yaml:7"},))
    assert caught.value.message.startswith("config/policy.yaml:7: ")
    assert said in caught.value.message
    if hint is not None:
        assert hint in (caught.value.hint or "")


def test_a_constraint_of_others_says_what_it_takes_or_takes_its_fields():
    @dataclass(frozen=True)
    class Quiet:
        type: ClassVar[str] = "quiet"
        minutes: int = 5
        on_violation: str = "ask"

    class Declared(Quiet):
        keys: ClassVar[dict] = {"minutes": {"type": "integer", "minimum": 1, "maximum": 60}}

    class Plain:
        """No dataclass, and declares nothing: it checks what it is given itself."""

    def wrong(factory, **given) -> list[str]:
        return [fault.message for fault in faults(given, c.schema_of(factory), {})]

    assert wrong(Quiet, minutes="five") == []
    assert wrong(Quiet, minuets=5) == ["unknown key 'minuets'"]
    assert wrong(Declared, minutes=61) == ["minutes is out of range: 61"]
    assert wrong(Declared, minutes=60, on_violation="block") == []
    assert wrong(Plain, anything=1) == []
