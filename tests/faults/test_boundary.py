"""Whatever somebody else's code or a stream does: one sentence, one document, an exit code; the run ends and can be resumed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fix_aishell import Aishell, Ended

#: An installation's own agent, tool, hook and constraint. Each fails where FOREIGN says: `place:exception`.
FOREIGN = '''
import os
from aishell.agents.base import Agent, Draft
from aishell.models import AgentConfig, Step


def meet(place):
    at, _, kind = os.environ.get("FOREIGN", "").partition(":")
    if at == place:
        raise eval(kind)


class Visitor(Agent):
    """Calls a tool of its own, then reports, whatever became of that."""

    type = "visitor"
    defaults = AgentConfig("visitor", "visitor", frozenset({"database_read"}))
    inputs = {}

    def __init__(self):
        meet("agent")

    def draft(self, task, inventory):
        meet("draft")
        return Draft((
            Step(id="visit", tool="visit", params={}, rationale="To see."),
            Step(id="after", tool="visit_again", params={}, rationale="In any case.", always=True),
        ))

    def summarise(self, task, results):
        meet("summarise")
        return {}, "visited"


def visit(params, context):
    meet("tool")
    return {"seen": True}


def visit_again(params, context):
    return {"seen": True}


class Hook:
    def before(self, call):
        meet("before")

    def after(self, call, result):
        meet("after")

    def on_state_change(self, run_id, old, new):
        meet("state")


class Never:
    type = "never"

    def __init__(self, **values):
        meet("constraint")

    def check(self, step, context):
        if os.environ.get("JUDGE") != "plan" or context.tool.name == "visit":
            meet("check")


meet("import")
hook = Hook()
'''
POINTS = "[aishell.agents]\nvisitor = foreign:Visitor\n[aishell.hooks]\nhook = foreign:hook\n"
POINTS += "[aishell.constraints]\nnever = foreign:Never\n"
TOOL = """name: {name}
category: report
risk: medium
capabilities: [database_read]
runs: python
implementation: foreign:{name}
idempotent: true
parameters: {{}}
returns: {{seen: {{type: boolean}}}}
examples: [{{params: {{}}}}]
description: Looks around.
"""
EXCEPTIONS = ("ValueError('no  such\\nthing')", "SystemExit(0)", "OverflowError()", "OSError(28, 'No space left')")
#: Before a run begins; in a step; beside the work, which goes on.
BEFORE = ("import", "agent", "draft", "constraint", "check")
INSIDE = ("tool", "before")
BESIDE = ("after", "state")


@pytest.fixture
def visited(aishell: Aishell, sqlite_path: Path) -> Aishell:
    aishell.url = f"sqlite:///{sqlite_path}"
    aishell.configure("policy.yaml", "constraints:\n  - {type: never}\n")
    (aishell.site / "foreign.py").write_text(FOREIGN)
    package = aishell.site / "foreign-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text(POINTS)
    tools = aishell.site / "tools" / "common"
    tools.mkdir(parents=True)
    for name in ("visit", "visit_again"):
        (tools / f"{name}.yaml").write_text(TOOL.format(name=name))
    return aishell


def visit(aishell: Aishell, foreign: str = "", **more: str) -> Ended:
    words = ("run", "visitor", "--url", str(aishell.url), "--environment", "test", "--output", "json")
    return aishell(*words, FOREIGN=foreign, **more)


def trace(aishell: Aishell) -> str:
    """The first trace that was kept; nobody else may read any."""
    kept = sorted((aishell.home / ".local/state/aishell/traces").iterdir())
    assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}
    return kept[0].read_text()


def told(ended: Ended, exception: str) -> dict[str, Any]:
    """What one document says, and no trace beside it."""
    assert "Traceback" not in ended.err
    error = ended.json["error"]
    assert exception.partition("(")[0] in error["message"], error
    return dict(error)


@pytest.mark.sampled
@pytest.mark.parametrize("exception", EXCEPTIONS)
@pytest.mark.parametrize("place", BEFORE)
def test_what_fails_before_a_run_is_one_sentence(visited: Aishell, place: str, exception: str) -> None:
    ended = visit(visited, f"{place}:{exception}")
    assert ended.code == (2 if place == "import" else 1)
    error = told(ended, exception)
    assert "the trace is in" in error["hint"]
    assert exception.partition("(")[0] in trace(visited)
    assert not visited.state.exists() or not visited.rows("SELECT id FROM runs")


@pytest.mark.sampled
@pytest.mark.parametrize("exception", EXCEPTIONS)
@pytest.mark.parametrize("place", INSIDE)
def test_a_step_that_raises_has_failed_and_the_run_can_be_resumed(visited: Aishell, place: str, exception: str) -> None:
    ended = visit(visited, f"{place}:{exception}").expect(1)
    error = told(ended, exception)
    assert "the trace is in" in error["message"]
    assert exception.partition("(")[0] in trace(visited)
    assert ended.statuses() == {"visit": "failed", "after": "done" if place == "tool" else "failed"}
    assert visited.state_of(ended.run_id) == "failed"
    again = visited.resume(ended.run_id).expect(0)
    assert again.statuses() == {"visit": "done", "after": "done"}


@pytest.mark.parametrize("exception", EXCEPTIONS[:1])
def test_an_agent_that_cannot_sum_up_leaves_a_run_that_can_be_resumed(visited: Aishell, exception: str) -> None:
    ended = visit(visited, f"summarise:{exception}").expect(1)
    run_id = visited.only_run()
    assert f"runs resume {run_id[:8]}" in told(ended, exception)["hint"]
    assert visited.state_of(run_id) == "failed"
    visited.resume(run_id).expect(0)


@pytest.mark.sampled
@pytest.mark.parametrize("exception", EXCEPTIONS)
@pytest.mark.parametrize("place", BESIDE)
def test_what_fails_beside_the_work_is_a_warning(visited: Aishell, place: str, exception: str) -> None:
    ended = visit(visited, f"{place}:{exception}").expect(0)
    assert set(ended.statuses().values()) == {"done"}
    assert any(exception.partition("(")[0] in warning for warning in ended.json["output_data"]["warnings"])
    assert "Traceback" not in ended.err
    assert visited.events("error_occurred")


def test_debug_prints_the_trace(visited: Aishell) -> None:
    assert (
        "Traceback"
        in visited("--debug", "run", "visitor", "--url", str(visited.url), FOREIGN="draft:ValueError(1)").err
    )


@pytest.mark.parametrize(
    "words",
    [
        ("nonsense",),
        ("run", "maintenance", "--nonsense"),
        ("run", "maintenance", "--type"),
        ("runs", "show", "nonsense"),
    ],
    ids=" ".join,
)
def test_every_mistake_is_a_document(aishell: Aishell, words: tuple[str, ...]) -> None:
    ended = aishell(*words, "--output", "json").expect(2)
    assert ended.json["status"] == "failure"
    assert ended.json["error"]["message"]


def shell(aishell: Aishell, command: str, redirected: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command line as a shell starts it, with its streams redirected."""
    line = f'"$PYTHON" -m aishell {command} {redirected}'
    return subprocess.run(
        ["sh", "-c", line],
        cwd=aishell.site,
        env={**aishell.environment(), "PYTHON": sys.executable, "AISHELL_SITE": str(aishell.site), **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
    )


def run_of(sqlite_path: Path) -> str:
    return f"run maintenance --type quick --all-tables --url sqlite:///{sqlite_path} --environment test --yes"


@pytest.mark.parametrize(
    ("redirected", "code", "said"),
    [
        (">&-", 2, "standard output is closed"),
        (">/dev/full", 1, "could not write to standard output: No space left on device"),
    ],
)
def test_an_output_that_takes_nothing_is_told(aishell: Aishell, redirected: str, code: int, said: str) -> None:
    ended = shell(aishell, "tools list", redirected)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "Exception ignored" not in ended.stderr


@pytest.mark.parametrize("command", ["tools list", "tools show optimize_table", "tools list --output json"])
def test_a_reader_who_has_seen_enough_is_told_nothing(aishell: Aishell, command: str) -> None:
    ended = shell(aishell, command, "| (read line; exec <&-; sleep 1)")
    assert ended.stderr == ""


@pytest.mark.parametrize("redirected", ["2>&-", "2>/dev/full", "<&-", "<&- 2>&-"])
def test_a_run_goes_on_where_nobody_can_be_told(aishell: Aishell, sqlite_path: Path, redirected: str) -> None:
    ended = shell(aishell, run_of(sqlite_path), redirected)
    assert ended.returncode == 0, ended.stdout
    assert "success in" in ended.stdout
    assert "Traceback" not in ended.stderr
    (state,) = aishell.site.glob("state.db")
    assert state.read_bytes().startswith(b"SQLite format 3\0")


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8"])
def test_a_narrow_encoding_changes_no_exit_code(aishell: Aishell, sqlite_path: Path, encoding: str) -> None:
    ended = shell(aishell, run_of(sqlite_path), "", PYTHONIOENCODING=encoding)
    assert ended.returncode == 0, ended.stderr
    document = shell(aishell, f"{run_of(sqlite_path)} --output json", "", PYTHONIOENCODING=encoding)
    assert Ended(document.returncode, document.stdout, "").expect(0).json["status"] == "success"
