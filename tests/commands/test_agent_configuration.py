"""An agent of a site owns its configuration as a shipped one does: its file, options, doctor checks, references of workflows."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from aishell.agents.loading import BUILT_IN
from tests.fix_aishell import Aishell

SHOP = ("--target", "shop", "--output", "json")
AGENT = """
from aishell import Agent, AgentConfig, Draft, Finding, Option, Step

class Census(Agent):
    "Counts the rows of the largest tables."

    type = "census"
    defaults = AgentConfig("census", "census", frozenset({"database_read", "schema_analyze"}))
    inputs = {
        "most": {"type": "integer", "minimum": 1, "maximum": 99, "description": "At most so many tables."},
        "narrow": {"type": "array", "items": {"type": "object"}, "description": "Only such rows."},
        "quietly": {"type": "boolean", "description": "Say nothing."},
    }
    options = {
        "most": Option("--at-most", "N"),
        "narrow": Option("--where", "COLUMN=VALUE", reads="conditions", implies={"quietly": True}),
        "quietly": Option("--quietly"),
    }
    examples = ("aishell run census --at-most 3 --dry-run",)
    settings = {"most": {"type": "integer", "minimum": 1, "maximum": 99}, "why": {"type": "string", "minLength": 1}}

    def completed(self, inputs, around):
        return {"most": around.config.own.get("most", 7), **super().completed(inputs, around)}

    def examine(self, around, rows):
        yield Finding("warning", "census", f"{len(rows('inspect_tables'))} tables, {around.config.own}", "count fewer")

    def draft(self, task, inventory):
        return Draft((), summary=dict(task.input_data))

    def summarise(self, task, results):
        return dict(task.input_data), "Counted."
"""


@pytest.fixture
def census(aishell: Aishell, tmp_path: Path) -> Callable[[str], Aishell]:
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE a (b)")
    aishell.configure("targets.yaml", f"targets: {{shop: {{url: 'sqlite:///{path}', environment: test}}}}\n")
    (aishell.site / "extensions").mkdir()
    (aishell.site / "extensions" / "census.py").write_text(AGENT)
    (aishell.site / "extensions" / "entry_points.txt").write_text("[aishell.agents]\ncensus = census:Census\n")

    def configured(text: str) -> Aishell:
        aishell.configure("agents/census.yaml", text)
        return aishell

    return configured


def test_its_file_says_inputs_that_nobody_gave(census: Callable[[str], Aishell]) -> None:
    aishell = census("census_agent: {most: 5}\n")
    assert aishell("run", "census", *SHOP).expect(0).json["output_data"]["most"] == 5
    given = aishell("run", "census", *SHOP, "--at-most", "3", "--on-error", "continue").expect(0)
    assert (given.json["output_data"]["most"], given.json["output_data"]["on_error"]) == (3, "continue")


def test_its_options_are_in_help_and_read_as_it_says(census: Callable[[str], Aishell]) -> None:
    aishell = census("census_agent: {most: 5}\n")
    told = aishell("run", "census", "--help").expect(0).out
    for expected in (
        "--at-most N",
        "At most so many tables.",
        "--where COLUMN=VALUE",
        "aishell run census --at-most 3",
    ):
        assert expected in told
    assert "--no-quietly" not in told
    data = aishell("run", "census", *SHOP, "--where", "a>1").expect(0).json["output_data"]
    assert (data["most"], data["quietly"]) == (5, True)
    assert data["narrow"] == [{"column": "a", "operator": ">", "value": 1}]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("census_agent:\n  mots: 5\n", 2, "did you mean 'most'?"),
        ("census_agent:\n  most: 100\n", 2, "from 1 to 99"),
        ("census_agent:\n  retention: {count: 7}\n", 2, "retention"),  # another agent's
    ],
)
def test_what_its_schema_does_not_know_is_refused_with_its_line(
    census: Callable[[str], Aishell], text: str, line: int, said: str
) -> None:
    error = census(text)("run", "census", *SHOP).expect(2).json["error"]
    assert f"census.yaml:{line}: " in error["message"]
    assert said in f"{error['message']} {error['hint']}"


def test_doctor_asks_it(census: Callable[[str], Aishell]) -> None:
    found = census("census_agent: {most: 5}\n")("doctor", *SHOP).expect(0).json["findings"]
    (finding,) = [one for one in found if one["subject"] == "census"]
    assert finding["text"] == "1 tables, {'most': 5}"


def test_a_workflow_refers_to_what_its_file_says(census: Callable[[str], Aishell]) -> None:
    aishell = census("census_agent: {most: 5, why: budget}\n")
    workflow = "stages: {{count: {{agent: census, when: \"${{agent.{}}} == 'budget'\"}}}}\n"
    aishell.configure("workflows/counting.yaml", workflow.format("why"))
    aishell("run", "workflow", "counting", *SHOP).expect(0)
    aishell.configure("workflows/counting.yaml", workflow.format("whi"))
    error = aishell("run", "workflow", "counting", *SHOP).expect(2).json["error"]
    assert "counting.yaml:1" in error["message"]
    assert "agent.why" in f"{error['message']} {error['hint']}"


def test_doctor_tells_of_retention_rules_that_find_no_table(census: Callable[[str], Aishell]) -> None:
    aishell = census("census_agent: {}\n")
    rules = "[{tables: a, retention_days: 30}, {tables: 'ap_*', retention_days: 30}]"
    aishell.configure("agents/log_cleanup.yaml", f"log_cleanup_agent:\n  retention: {rules}\n")
    found = aishell("doctor", *SHOP).expect(0).json["findings"]
    (finding,) = [one for one in found if one["subject"] == "log_cleanup"]
    assert (finding["level"], finding["text"]) == (
        "warning",
        "1 of 2 retention rule(s) find a table here; none is called ap_*",
    )


def test_no_room_above_the_agents_names_one() -> None:
    """Settings, the site and what every command shares know agents by what their classes say."""
    package = Path(__file__).parents[2] / "aishell"
    common = [
        *package.glob("settings*.py"),
        *package.glob("site*.py"),
        package / "cli" / "run.py",
        package / "cli" / "plan.py",
    ]
    for path in (
        *common,
        package / "cli" / "agent_inputs.py",
        package / "cli" / "policy.py",
    ):
        for name in BUILT_IN:
            for written in (f'"{name}"', f'"{name.replace("_", "-")}"'):
                assert written not in path.read_text(), path.name
