"""The public test kit, for those who extend aishell; docs/testing.md documents it.

`pytest_plugins = ["aishell.testing"]` in a `conftest.py` brings the fixtures `aishell_site` and `aishell_sample`. A command of a
scratch site is a fork of a process that has imported aishell once. Assertions take what it printed, or what `aishell.Site`
returned.

Nothing of aishell imports this package, and nothing here but `fixtures` imports pytest. PYTEST_DONT_REWRITE: it has no `assert`.
"""

from __future__ import annotations

from aishell.testing.assertions import (
    assert_decision,
    assert_left_out,
    assert_order,
    assert_output,
    assert_ran,
    assert_tools,
)
from aishell.testing.scratch import Ended, Running, ScratchSite

__all__ = [
    "Ended",
    "Running",
    "ScratchSite",
    "assert_decision",
    "assert_left_out",
    "assert_order",
    "assert_output",
    "assert_ran",
    "assert_tools",
]

pytest_plugins = ("aishell.testing.fixtures",)
