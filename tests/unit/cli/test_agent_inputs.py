"""Options that are made of an agent's inputs take what its schema takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import click
import pytest
from click.testing import CliRunner

from aishell.agents.base import Option
from aishell.agents.loading import BUILT_IN, SHOWN, load_agent
from aishell.agents.one_tool import OneToolAgent
from aishell.cli.agent_inputs import given, options
from aishell.errors import UsageError
from aishell.registry.tool import PARAMETER_TYPES

INPUTS = {
    "exact": {"type": "boolean", "description": "Count every row."},
    "most": {"type": "integer", "minimum": 1, "maximum": 9},
    "share": {"type": "number"},
    "how": {"enum": ["fast", "slow"]},
    "tables": {"type": "array", "items": {"type": "string"}},
    "rules": {"type": "array", "items": {"type": "object"}},
    "target": {"type": "string"},
    "figures": {"enum": [1, 2]},
    "loud": {"type": "boolean"},
    "narrow": PARAMETER_TYPES["filters"],
    "further": {"type": "object"},
    "hidden": {"type": "string"},
}


class Choosy(OneToolAgent):
    inputs: ClassVar[dict] = INPUTS
    options: ClassVar[dict] = {
        "loud": Option("--loud"),
        "narrow": Option("--where", reads="conditions", implies={"exact": True}),
        "further": Option("--option", reads="assignments"),
        "hidden": Option(""),
    }


def parsed(*words: str, pairs: Mapping[str, object] | None = None) -> tuple[int, object]:
    told = {}

    @click.command(params=options(Choosy(), {"--target"}))
    def command(**options):
        told.update(given(Choosy(), options, pairs or {}))
        assert options == {}

    ended = CliRunner().invoke(command, words)
    return 2 if isinstance(ended.exception, UsageError) else ended.exit_code, told if ended.exit_code == 0 else ""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), {}),
        (("--exact",), {"exact": True}),
        (("--no-exact", "--most", "3"), {"exact": False, "most": 3}),
        (("--share", "0.5", "--how", "slow"), {"share": 0.5, "how": "slow"}),
        (("--tables", "a", "--tables", "b"), {"tables": ["a", "b"]}),
        (("--loud",), {"loud": True}),
        (("--option", "jobs=4", "--option", "level=a"), {"further": {"jobs": 4, "level": "a"}}),
        (("--where", "a>1"), {"narrow": [{"column": "a", "operator": ">", "value": 1}], "exact": True}),
        (("--on-error", "continue"), {"on_error": "continue"}),
    ],
)
def test_what_is_given_becomes_an_input(words, told):
    assert parsed(*words) == (0, told)


@pytest.mark.parametrize("words", [("--most", "0"), ("--most", "10"), ("--most", "x"), ("--how", "odd"), ("--rules", "x"),
                                   ("--figures", "1"), ("--target", "x"), ("--no-loud",), ("--hidden", "x"), ("--option", "x"),
                                   ("--where", "x"), ("--on-error", "odd")])  # fmt: skip
def test_what_does_not_fit_is_refused(words):
    assert parsed(*words)[0] == 2


def test_an_option_goes_before_set_and_conditions_come_on_top_of_it():
    pairs = {"most": 1, "share": 2, "narrow": [{"column": "b", "operator": "is null"}]}
    assert parsed("--most", "3", "--where", "a=1", pairs=pairs) == (
        0,
        {
            "most": 3,
            "share": 2,
            "exact": True,
            "narrow": [pairs["narrow"][0], {"column": "a", "operator": "=", "value": 1}],
        },
    )


@pytest.mark.parametrize("name", BUILT_IN)
def test_what_an_agent_says_of_options_is_of_inputs_that_it_has(name):
    agent = load_agent(name)
    assert agent.options.keys() <= agent.inputs.keys()
    assert {given for option in agent.options.values() for given in option.implies} <= agent.inputs.keys()


@pytest.mark.parametrize("name", SHOWN)
def test_every_option_of_a_shipped_agent_says_what_it_is(name):
    for option in options(load_agent(name), set()):
        assert option.help, option.opts


def test_the_levels_of_the_command_line_are_those_of_the_configuration():
    """They are written out in `main`, which imports nothing that `--help` does not need."""
    from aishell.cli.main import cli
    from aishell.settings.schemas import LOG_FORMATS, LOG_LEVELS

    offered = {option.name: option.type.choices for option in cli.params if isinstance(option.type, click.Choice)}
    assert [*offered["log_level"]] == [*LOG_LEVELS]
    assert [*offered["log_format"]] == [*LOG_FORMATS]
