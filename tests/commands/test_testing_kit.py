"""The public test kit: its page's files run as they stand, and an assertion that does not hold says what was there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import aishell
from aishell import testing
from aishell.testing import ScratchSite

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "testing.md"
QUICK = aishell.Task("maintenance", "sample", {"maintenance_type": "quick"})


def test_the_files_of_the_page_pass(tmp_path: Path) -> None:
    for text in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        (tmp_path / text.partition("\n")[0].removeprefix("# ")).write_text(text)
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-W",
        "error",
        "-p",
        "no:cacheprovider",
        f"--basetemp={tmp_path}/tmp",
    ]
    ran = subprocess.run([*words, "--rootdir", str(tmp_path)], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "2 passed" in ran.stdout


def test_the_page_names_all_of_it() -> None:
    text = PAGE.read_text()
    assert [name for name in testing.__all__ if f"`{name}" not in text] == []
    assert all(getattr(testing, name).__doc__ for name in testing.__all__)


def test_aishell_and_its_commands_do_without_pytest() -> None:
    code = "import sys, aishell.cli.main, aishell.site, aishell.testing; sys.exit('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_a_command_prints_and_what_a_site_returns_are_judged_alike(aishell_sample: ScratchSite) -> None:
    arguments = ("run", "maintenance", "--type", "quick", "--target", "sample", "--output", "json")
    printed = aishell_sample(*arguments, "--dry-run").expect(0)
    with aishell_sample.open() as site:
        preview = site.plan(QUICK)
        result = site.run(preview)
    tools = [step.tool for step in preview.plan.steps]
    for planned in (printed, preview, preview.plan, result):
        testing.assert_tools(planned, *tools)
        testing.assert_order(planned, tools[0], tools[-1])
    for judged in (printed, preview, result):
        testing.assert_decision(judged, preview.plan.steps[0].id, "auto")
    testing.assert_ran(result, {one.step_id: one.status for one in result.actions_taken})
    health = result.actions_taken[0]
    assert health.output
    testing.assert_output(result, health.step_id, **health.output)


@pytest.fixture(scope="module")
def left() -> aishell.Plan:
    steps = (aishell.Step("a", "count"), aishell.Step("b", "vacuum"), aishell.Step("c", "count"))
    out = (aishell.LeftOut("d", "reindex", "main.orders", "the role is not the owner"),)
    return aishell.Plan(QUICK, steps, "2026-11-23T00:00:00Z", left_out=out)


def test_what_was_left_out_and_why(left: aishell.Plan) -> None:
    testing.assert_left_out(left, "reindex", "main.orders", because="not the owner$")


@pytest.mark.parametrize(
    ("assertion", "arguments", "said"),
    [
        (testing.assert_tools, ("count", "count", "vacuum"), "the plan's tools are count, vacuum, count; expected"),
        (testing.assert_order, ("vacuum", "reindex"), "no step of reindex in the plan: count, vacuum, count"),
        (testing.assert_order, ("count", "vacuum"), "not all of count comes before vacuum"),
        (
            testing.assert_left_out,
            ("reindex", "main.users"),
            "left out: reindex of main.orders: the role is not the owner",
        ),
        (testing.assert_left_out, ("vacuum",), "does not leave out vacuum of anything"),
        (testing.assert_decision, ("z", "auto"), "no step 'z' in the plan: a, b, c"),
        (testing.assert_decision, ("a", "auto"), "a plan alone has no verdicts"),
    ],
)
def test_an_assertion_about_a_plan_that_does_not_hold(
    left: aishell.Plan, assertion: Any, arguments: Any, said: str
) -> None:
    with pytest.raises(AssertionError, match=re.escape(said)):
        assertion(left, *arguments)


def test_an_assertion_about_a_run_that_does_not_hold(aishell_sample: ScratchSite) -> None:
    ended = aishell_sample("run", "maintenance", "--type", "quick", "--target", "sample", "--output", "json")
    with pytest.raises(AssertionError, match="exit 0, not 5"):
        testing.assert_ran(ended, exit_code=5)
    with pytest.raises(AssertionError, match="the steps ended as health: done"):
        testing.assert_ran(ended, {"health": "failed"})
    with pytest.raises(AssertionError, match="health returned no 'colour'"):
        testing.assert_output(ended, "health", colour="red")
    with pytest.raises(AssertionError, match="no step 'z' in the run: health"):
        testing.assert_output(ended, "z", colour="red")
    with pytest.raises(AssertionError, match=r"health is auto, .*; expected deny of any rule"):
        testing.assert_decision(ended, "health", "deny")
    with pytest.raises(AssertionError, match="exit 0, no document"):
        _ = aishell_sample("--version").json
