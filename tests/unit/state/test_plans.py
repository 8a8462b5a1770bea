"""Saved plans: read back to the same digest, or refused."""

from __future__ import annotations

import json

import pytest

from aishell.codec import canonical
from aishell.errors import UsageError
from aishell.models import Estimate, Evidence, Step
from aishell.state.plans import dump_plan, load_plan, read_plan
from tests.conftest import HOSTILE_NAMES
from tests.unit.making import make_plan

PLAN = make_plan(
    Step("a", "look", {"tables": [{"schema": "s", "table": name} for name in HOSTILE_NAMES]}),
    Step(
        "b",
        "touch",
        {"table": "t"},
        rationale="because",
        evidence=(Evidence("bytes", 5, "catalog", "now", "about", None),),
        needs=("a",),
        when="${steps.a.output.n} > 3",
        always=True,
        on_error="continue",
        estimate=Estimate(1.5, 7, "x"),
        found=({"name": "i", "bytes": 3},),
    ),
    inventory_digest="d",
    target_identity="identity",
    tool_versions={"look": "1", "touch": "2"},
    warnings=("careful",),
)


def edited(*path: object, value: object) -> str:
    document = json.loads(dump_plan(PLAN))
    place = document
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    return json.dumps(document)


def refused(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        read_plan(text, "plan.json")
    assert caught.value.exit_code == 2
    assert caught.value.message.startswith("plan.json")
    return caught.value.message


def test_a_plan_is_read_back_as_it_was():
    again = read_plan(dump_plan(PLAN), "plan.json")
    assert again == PLAN
    assert again.digest == PLAN.digest
    assert load_plan(canonical(PLAN)) == PLAN


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("plan", "steps", 1, "params", "table"), "u"),
        (("plan", "steps", 1, "tool"), "drop"),
        (("plan", "steps", 1, "when"), None),
        (("plan", "steps", 1, "needs"), []),
        (("plan", "steps", 1, "found"), [{"name": "j"}]),
        (("plan", "steps", 1, "found"), None),
        (("plan", "steps"), []),
        (("plan", "tool_versions", "touch"), "3"),
        (("plan", "target_identity"), "other"),
        (("plan", "task", "agent"), "other"),
        (("digest",), "sha256:0"),
    ],
)
def test_a_plan_that_was_edited_is_refused(path, value):
    assert "was edited after it was saved" in refused(edited(*path, value=value))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "[]",
        "{}",
        "null",
        '"text"',
        '{"plan": null, "digest": "x"}',
        '{"plan": {"steps": []}, "digest": "x"}',
        json.dumps({key: value for key, value in json.loads(dump_plan(PLAN)).items() if key != "digest"}),
        edited("plan", "steps", value=["a"]),
        edited("plan", "steps", value={"a": 1}),
        edited("plan", "steps", 0, value={"id": "a"}),
        edited("plan", "task", value="x"),
        edited("plan", "surprise", value=1),
        edited("format", value=99),
    ],
)
def test_what_is_no_saved_plan_is_refused(text):
    assert "is not a saved plan" in refused(text)
