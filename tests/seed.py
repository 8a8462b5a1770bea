"""What `make test` draws of that which `make test-all` runs whole."""

from __future__ import annotations

import os
import random

import pytest

#: Another number draws others.
SEED = os.environ.get("AISHELL_TEST_SEED", "1")

#: For tests that loop over many cases: `whole` is false in `make test`, where they draw a few.
SAMPLED = pytest.mark.parametrize(
    "whole", [False, pytest.param(True, marks=pytest.mark.thorough)], ids=["sample", "whole"]
)


def dice(what: str = "") -> random.Random:
    """The same in each run of this test."""
    return random.Random(f"{SEED} {what} {os.environ['PYTEST_CURRENT_TEST']}")
