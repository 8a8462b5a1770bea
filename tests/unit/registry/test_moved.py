"""A plan that was made before modules moved finds what its tools call."""

from __future__ import annotations

import pytest

from aishell.plugins import load
from aishell.registry.moved import current

#: What the tool files named, from the history of `tools/`.
BEFORE = (
    "aishell.backups.checking:validate",
    "aishell.backups.copies:copy",
    "aishell.backups.copies:verify",
    "aishell.backups.pruning:cleanup",
    "aishell.backups.pruning:cleanup_postgresql",
    "aishell.backups.pruning:find_last",
    "aishell.backups.restoring:restore",
    "aishell.backups.restoring:restore_test",
    "aishell.backups.restoring:foresee",
)


@pytest.mark.parametrize("reference", BEFORE)
def test_what_has_moved_is_found(reference: str) -> None:
    assert current(reference) != reference
    assert callable(load(current(reference), "implementation"))


def test_what_is_somebody_elses_is_left_alone() -> None:
    assert current("shop.tools:count") == "shop.tools:count"
