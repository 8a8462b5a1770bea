"""Options that are made of an agent's inputs take what its schema takes."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from aishell.cli.agent_inputs import given, options

INPUTS = {
    "exact": {"type": "boolean", "description": "Count every row."},
    "most": {"type": "integer", "minimum": 1, "maximum": 9},
    "share": {"type": "number"},
    "how": {"enum": ["fast", "slow"]},
    "tables": {"type": "array", "items": {"type": "string"}},
    "rules": {"type": "array", "items": {"type": "object"}},
    "target": {"type": "string"},
    "figures": {"enum": [1, 2]},
}


def parsed(*words: str) -> tuple[int, object]:
    told = {}

    @click.command(params=options(INPUTS, {"--target"}))
    def command(**options):
        told.update(given(options))
        assert options == {}

    ended = CliRunner().invoke(command, words)
    return ended.exit_code, told if ended.exit_code == 0 else ended.output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), {}),
        (("--exact",), {"exact": True}),
        (("--no-exact", "--most", "3"), {"exact": False, "most": 3}),
        (("--share", "0.5", "--how", "slow"), {"share": 0.5, "how": "slow"}),
        (("--tables", "a", "--tables", "b"), {"tables": ["a", "b"]}),
    ],
)
def test_what_is_given_becomes_an_input(words, told):
    assert parsed(*words) == (0, told)


@pytest.mark.parametrize("words", [("--most", "0"), ("--most", "10"), ("--most", "x"), ("--how", "odd"), ("--rules", "x"),
                                   ("--figures", "1"), ("--target", "x")])  # fmt: skip
def test_what_does_not_fit_is_refused(words):
    assert parsed(*words)[0] == 2


def test_the_levels_of_the_command_line_are_those_of_the_configuration():
    """They are written out in `main`, which imports nothing that `--help` does not need."""
    from aishell.cli.main import cli
    from aishell.settings_schemas import LOG_FORMATS, LOG_LEVELS

    offered = {option.name: option.type.choices for option in cli.params if isinstance(option.type, click.Choice)}
    assert [*offered["log_level"]] == [*LOG_LEVELS]
    assert [*offered["log_format"]] == [*LOG_FORMATS]
