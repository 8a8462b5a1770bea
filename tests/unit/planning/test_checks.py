"""A plan is refused whole, before anything runs, for the first thing in it that cannot work."""

from __future__ import annotations

import pytest

from aishell.errors import ParameterError, PlanError, UnknownNameError, UsageError
from aishell.models import Step
from aishell.planning.checks import check
from tests.unit.making import make_config, make_plan, make_tool, query_tool

TOOLS = {
    "touch": make_tool(
        {"do": "ANALYZE {table}", "verify": "SELECT :limit > 0 AS ok"},
        parameters="{table: {type: identifier}, limit: {type: integer, default: 5, minimum: 1}}",
    ),
    "look": query_tool(name="look", returns="{rows: rows(look), answer: first(look.answer)}"),
    "build": make_tool(name="build", capabilities="[database_read, index_manage]"),
}


def pick(name: str):
    if name not in TOOLS:
        raise UnknownNameError("tool", name, TOOLS)
    return TOOLS[name]


def refuse(*steps: Step) -> UsageError:
    with pytest.raises(UsageError) as caught:
        check(make_plan(*steps), make_config(), pick)
    assert caught.value.exit_code == 2
    return caught.value


LOOK = Step("look", "look")


@pytest.mark.parametrize(
    "step",
    [
        Step("a", "touch", {"table": "orders"}),
        Step("a", "touch", {"table": "orders", "limit": 1}),
        Step("a", "touch", {"table": "${steps.look.output.answer}"}),
        Step("a", "touch", {"table": "orders", "limit": "${steps.look.output.answer}"}, when="${run.id} != ''"),
        Step("a", "touch", {"table": "${task.input_data.tables[0]}"}, needs=("look",)),
        Step("a", "touch", {"table": "x ${target.environment} ${task.agent}"}),
        Step("a", "touch", {"table": "t"}, when="${steps.look.output.answer} > 3 and ${target.engine} == 'sqlite'"),
        Step("a", "touch", {"table": "t"}, when="${steps.look.output.rows[0].anything} == 1"),
    ],
)
def test_a_plan_that_can_run_passes(step):
    check(make_plan(LOOK, step), make_config(), pick)


def test_an_unknown_tool_is_refused():
    error = refuse(Step("a", "tuch", {"table": "t"}))
    assert isinstance(error, UnknownNameError)
    assert error.nearest == "touch"


def test_a_capability_the_agent_lacks_refuses_the_whole_plan():
    error = refuse(LOOK, Step("a", "build", {"table": "t"}))
    assert isinstance(error, PlanError)
    assert "'index_manage'" in error.message
    assert "step 'a'" in error.message
    assert error.hint is not None
    assert "config/agents/maintenance.yaml" in error.hint


def test_an_unknown_parameter_is_refused_with_the_nearest():
    error = refuse(LOOK, Step("a", "touch", {"tabel": "${steps.look.output.answer}"}))
    assert isinstance(error, UnknownNameError)
    assert error.nearest == "table"


@pytest.mark.parametrize(
    "params",
    [
        {"table": 5},
        {"table": ""},
        {"limit": 1},
        {"table": "t", "limit": 0},
        {"table": "t", "limit": "5"},
        {"table": 5, "limit": "${steps.look.output.answer}"},
        {"table": "${steps.look.output.answer}", "limit": 0},
        {"limit": "${steps.look.output.answer}"},
    ],
)
def test_a_wrong_or_missing_value_is_refused_though_others_are_still_open(params):
    error = refuse(LOOK, Step("a", "touch", params))
    assert isinstance(error, ParameterError)
    assert "step 'a'" in error.message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("${steps.look.output.anser}", "unknown field 'anser'"),
        ("${steps.look.output[0]}", "unknown field '0'"),
        ("${steps.later.output.done}", "does not come before"),
        ("${steps.nobody.output.done}", "unknown step 'nobody'"),
        ("${step_7.output.done}", "unknown step 'step_7'"),
        ("${task.agnet}", "unknown variable 'task.agnet'"),
        ("${target.password}", "unknown variable 'target.password'"),
        ("${target}", "unknown variable 'target.'"),
        ("${run.secret}", "unknown variable 'run.secret'"),
        ("${nobody.x}", "unknown variable 'nobody'"),
    ],
)
@pytest.mark.parametrize("place", ["params", "when"])
def test_a_reference_that_leads_nowhere_is_refused_when_the_plan_is_made(text, said, place):
    if place == "params":
        step = Step("a", "touch", {"table": f"x {text}"})
    else:
        step = Step("a", "touch", {"table": "t"}, when=f"{text} == 1")
    steps = (LOOK, step, Step("later", "touch", {"table": "${steps.a.output.done}"}))
    if said == "does not come before":
        said = "wait for each other"
    assert said in refuse(*steps).message


def test_a_condition_outside_the_language_is_refused():
    assert "Call" in refuse(Step("a", "touch", {"table": "t"}, when="exit()")).message
