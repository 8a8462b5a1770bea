"""`aishell archives prune`: what runs that are over left unfinished goes; nothing else, and nothing without a word."""

from __future__ import annotations

import sys

import pytest

from tests.commands.terminal import Terminal
from tests.faults.killed import Fault
from tests.faults.killing import KILLED
from tests.faults.test_log_cleanup_kill import arguments, renewed


@pytest.fixture
def left(aishell, sqlite):
    """The unfinished archive of a run that was killed."""
    renewed(sqlite, "sqlite")
    killed = aishell(*arguments(sqlite), "--archive", fault=Fault(8, "after"))
    assert killed.code == KILLED
    (path,) = (aishell.site / "archives").glob("*/*/*.partial")
    return path


def test_what_its_run_can_go_on_with_stays(aishell, left):
    assert f"unfinished: {left}" in aishell("archives", "list").expect(0).err
    (row,) = aishell("archives", "prune", "--yes", "--output", "json").expect(0).json
    run = aishell.only_run()
    assert (row["path"], row["run_id"], row["removed"]) == (str(left), run, False)
    assert row["kept"].startswith("its run is executing: resume it, or cancel it with `aishell --site ")
    assert row["kept"].endswith(f" runs cancel {run[:8]}`")
    aishell.resume(run).expect(0)
    assert not left.exists()
    finished = [row["path"] for row in aishell("archives", "list", "--output", "json").expect(0).json]
    assert aishell("archives", "prune", "--yes", "--output", "json").expect(0).json == []
    assert [row["path"] for row in aishell("archives", "list", "--output", "json").expect(0).json] == finished


def test_of_a_run_that_was_given_up_it_goes_when_somebody_says_so(aishell, left):
    aishell("runs", "cancel", aishell.only_run()).expect(0)
    assert "--yes" in aishell("archives", "prune").expect(2).err
    assert left.is_dir()
    command = [sys.executable, "-m", "aishell", *aishell.command("archives", "prune")]
    for answer, there in (("n", True), ("y", False)):
        with Terminal(command, env=aishell.environment(), cwd=str(aishell.site)) as terminal:
            terminal.until("remove 1 unfinished archive(s)?")
            terminal.type(answer)
            assert terminal.end() == 0
        assert left.exists() == there
    (event,) = aishell.events("archive_removed")
    assert event["path"] == str(left)
    aishell("audit", "verify").expect(0)
    assert "there is no unfinished archive" in aishell("archives", "prune").expect(0).out


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("20260101T000000Z-00000000-archive_app_log.partial", "its run was pruned or belongs to another site"),
        ("mine.partial", "its name is not the name of an archive"),
    ],
)
def test_what_no_run_of_this_site_began_stays(aishell, left, name, why):
    aishell("runs", "cancel", aishell.only_run()).expect(0)
    other = left.with_name(name)
    other.mkdir()
    rows = aishell("archives", "prune", "--yes", "--output", "json").expect(0).json
    assert {row["path"]: row["removed"] for row in rows} == {str(left): True, str(other): False}
    assert next(row["kept"] for row in rows if row["path"] == str(other)).startswith(why)
    assert other.is_dir()
    assert not left.exists()
