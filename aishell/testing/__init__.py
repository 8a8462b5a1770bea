"""The public test kit for extensions of aishell; docs/testing.md documents it.

`pytest_plugins = ["aishell.testing"]` in a `conftest.py` provides the fixtures `aishell_site` and `aishell_sample`.
Commands of a scratch site are forks of a process that has imported aishell once. Assertions take what a command
printed, or what `aishell.Site` returned.

No module of aishell imports this package, and only `fixtures` imports pytest. PYTEST_DONT_REWRITE: it has no `assert`.
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
