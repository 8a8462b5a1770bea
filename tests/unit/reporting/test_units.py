"""Figures for people, and text from a database that a terminal must not obey."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aishell.reporting.units import duration, printable, size


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (None, "-"),
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 kB"),
        (12.3 * 1024**2, "12.3 MB"),
        (1024**3, "1.0 GB"),
        (1024**4, "1.0 TB"),
        (5000 * 1024**4, "5000.0 TB"),
        (-2048, "-2.0 kB"),
    ],
)
def test_a_size_has_its_unit(number, text):
    assert size(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0, "0.0 s"), (0.24, "0.2 s"), (59.9, "59.9 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_a_duration_has_its_unit(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("orders", "orders"),
        ("two words 象 🐘", "two words 象 🐘"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("new\nline\ttab", "new\\nline\\ttab"),
        ("\u202eright to left", "\\u202eright to left"),
        (None, "None"),
    ],
)
def test_control_characters_are_shown_and_not_obeyed(text, shown):
    assert printable(text) == shown


@settings(max_examples=50)
@given(st.text())
def test_what_is_shown_can_always_be_printed(text):
    assert printable(text).isprintable()
