"""Claims: what a step left before a kill is known again, in each form that a release has written."""

from __future__ import annotations

import hashlib

import pytest

from aishell.claims import Claim, run_of_scratch

RUN = "1a2b3c4d5e6f70819203a4b5c6d7e8f9"
CLAIM = Claim(RUN, "restore")


def test_the_forms_are_those_that_waiting_runs_have_left():
    assert str(CLAIM) == f"{RUN}:restore"
    assert (CLAIM.begun, CLAIM.whole) == (f"aishell restores {RUN}:restore", f"restored by aishell {RUN}:restore")
    assert (CLAIM.ending, CLAIM.scratch) == ("1a2b3c4d-restore", "aishell_scratch_1a2b3c4d")
    digest = hashlib.sha256(f"{RUN}:restore".encode()).digest()
    assert CLAIM.microsecond == int.from_bytes(digest[:8]) % 10**6


@pytest.mark.parametrize("kept", [str(CLAIM), CLAIM.begun, CLAIM.whole])
def test_each_text_is_read_back(kept):
    assert Claim.of(kept) == CLAIM


@pytest.mark.parametrize("kept", ["", RUN, f"{RUN}:", "1a2b3c4d:restore", f"made by {RUN}:restore", f"{RUN}:a b"])
def test_what_no_run_has_written_is_no_claim(kept):
    assert Claim.of(kept) is None


@pytest.mark.parametrize(
    ("name", "run"),
    [
        ("aishell_scratch_1a2b3c4d", "1a2b3c4d"),
        ("aishell_scratch_1a2b3c4d_new", "1a2b3c4d"),
        ("aishell_scratch_of_mine", None),
        ("aishell_scratch_1A2B3C4D", None),
        ("shop", None),
    ],
)
def test_a_scratch_name_tells_the_run(name, run):
    assert run_of_scratch(name) == run
