"""What `make test` leaves out is a case more of what it runs."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fix_tiers import covering

VALUES = st.sets(st.tuples(st.sampled_from("ab"), st.sampled_from("123")), min_size=1)


@given(st.lists(VALUES), st.integers())
def test_a_few_cases_hold_each_value(cases: list[set[tuple[str, str]]], seed: int) -> None:
    drawn = covering(cases, random.Random(seed))
    assert set().union(*(cases[number] for number in drawn)) == set().union(*cases)


def test_of_a_product_each_value_comes_and_little_more() -> None:
    product = [{("name", name), ("way", way)} for name in "abcdefghijk" for way in "1234567"]
    assert len(covering(product, random.Random(1))) == 11


def functions(*arguments: str) -> set[str]:
    """The tests that are collected, without their parameters."""
    words = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *arguments]
    said = subprocess.run(words, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True).stdout
    return {line.partition("[")[0] for line in said.splitlines() if "::" in line}


#: What only `make test-all` runs, and why that is enough.
ALONE = {
    "tests/test_tiers.py::test_every_test_has_a_case_in_make_test": "it collects everything twice",
    "tests/commands/test_consent.py::test_every_other_word_is_asked_again": "its product is drawn from beside it",
    "tests/faults/test_clock_changes.py::"
    "test_a_real_daemon_runs_each_night_of_a_clock_change_once": "tests/unit/scheduling/test_daemon.py, on a simulated clock",
    "tests/commands/test_approvals_at_once.py::"
    "test_a_run_goes_on_within_five_seconds_of_an_answer_from_another_shell": "others see it go on, and measure no time",
    "tests/commands/test_approvals_at_once.py::"
    "test_what_was_approved_of_a_table_that_is_another_by_then_is_asked_anew": "test_moved_on.py does so without a daemon",
    "tests/backups/test_exchange_back.py::test_killed_at_any_commit_the_way_back_is_gone_to_its_end": "others draw kills",
    "tests/faults/test_workflow_kill.py::test_the_shipped_week_on_three_engines_is_killed_and_proves_each_backup": (
        "it takes as long as the shipped night, which draws kills on the same engines"
    ),
    "tests/tools/test_two_walls.py::test_every_form_is_taken_where_no_wall_stands": "it tests the forms, not aishell",
}


@pytest.mark.thorough
def test_every_test_has_a_case_in_make_test() -> None:
    assert functions() - functions("-m", "not thorough") == ALONE.keys()
