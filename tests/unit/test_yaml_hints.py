"""What a person is told to do about a file that is no YAML."""

from __future__ import annotations

import pytest

from aishell.errors import SettingsError
from aishell.settings import yamlfile


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("schedules:\n\tnight: 1\n", "TAB"),
        ("schedules:\n  night:\n    cron: * * * * *\n", "quoted"),
        ("a: [1\nb: 2\n", "look at this line"),
    ],
)
def test_the_hint_names_the_slip(text: str, hint: str) -> None:
    with pytest.raises(SettingsError) as told:
        yamlfile.parse(text, "schedules.yaml")
    assert any(word in str(told.value.hint) for word in hint.split("|"))
