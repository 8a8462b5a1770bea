"""The name that is made for what is restored: new even in the same second, and never longer than a server takes."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest

from aishell.cli.backup_restore import _place


@pytest.mark.parametrize("word", ["restored", "replaced"])
@pytest.mark.parametrize("name", ["shop", "x" * 63, 'we"ird`x %s :y'])
def test_the_name_of_a_database(name: str, word: str) -> None:
    entry: Any = SimpleNamespace(method="pg_dump", database=name)
    made = _place(None, entry, None, word=word)  # type: ignore[arg-type]
    assert re.fullmatch(rf"\w+_{word}_\d{{8}}_\d{{6}}_\d{{3}}", made)
    assert len(made.encode()) <= 63
