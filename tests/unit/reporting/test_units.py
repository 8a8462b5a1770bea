"""Figures for people, and text from a database that a terminal must not obey."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aishell.reporting.units import definition, duration, exact, holds_command, printable, size, visible, visible_json
from tests.hostile_text import PIECES, raw


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
        ("\x1b[31mred", "<U+001B>[31mred"),
        ("new\nline\ttab", "new<U+000A>line<U+0009>tab"),
        ("new\\nline", "new\\nline"),
        ("<U+000A>", "<U+003C>U+000A>"),
        ("\u202eright to left", "<U+202E>right to left"),
        ("no\u00a0break\u3000wide\u2800dots", "no<U+00A0>break<U+3000>wide<U+2800>dots"),
        ("zero\u200bwidth\u2060joined\ufe0f", "zero<U+200B>width<U+2060>joined<U+FE0F>"),
        ("\u00e9 e\u0301 \u212a", "\u00e9 e<U+0301> <U+212A>"),
        ("हिन्दी", "हिन्दी"),
        ("lone \ud800", "lone <U+D800>"),
        (None, "None"),
    ],
)
def test_control_characters_are_shown_and_not_obeyed(text, shown):
    assert printable(text) == shown


#: Letters that fold, hide, combine or look like a code.
HOSTILE = st.text(
    st.sampled_from("ab \t\n\\nx<U+000A>\u0301\u00e9\u200b\u202e\ufe0f\u00a0\x1b\"'`:[]") | st.characters()
)


@settings(max_examples=200)
@given(HOSTILE)
def test_what_is_shown_can_always_be_printed(text):
    assert printable(text).isprintable()
    assert exact(text).isprintable()


@settings(max_examples=200)
@given(HOSTILE)
def test_no_two_texts_look_the_same(text):
    """What is shown can be turned back; folding the blanks of an exact name changes nothing."""
    for show in (printable, exact):
        assert re.sub(r"<U\+([0-9A-F]+)>", lambda code: chr(int(code[1], 16)), show(text)) == text
    assert "  " not in exact(text)


@settings(max_examples=200)
@given(HOSTILE | st.sampled_from(PIECES))
def test_what_leaves_is_obeyed_by_no_terminal(text):
    """Whoever wrote it; what was made printable already still says the same."""
    assert visible(text).isprintable()
    assert raw(visible(text, lines=True)) == []
    assert visible(text, lines=True).count("\n") == text.count("\n")
    for show in (printable, exact):
        assert re.sub(r"<U\+([0-9A-F]+)>", lambda code: chr(int(code[1], 16)), visible(show(text))) == text


@settings(max_examples=200)
@given(HOSTILE | st.sampled_from(PIECES), st.sampled_from([None, 2]))
def test_a_document_that_leaves_is_the_same(text, indent):
    document = {text: [text, {"x": text}]}
    shown = visible_json(json.dumps(document, ensure_ascii=False, indent=indent))
    assert raw(shown) == []
    assert json.loads(shown) == document


def test_a_definition_stands_in_its_lines_and_names_are_exact():
    text = (
        "CREATE TRIGGER `a  b` AFTER UPDATE ON `t`\r\n\tBEGIN\n        -- don't  fold\n"
        "        SET x = 'a  \nb', y = \"c\td\";\n/*!50003  `e  f` */ END"
    )
    assert definition(text).split("\n") == [
        "CREATE TRIGGER `a<U+0020><U+0020>b` AFTER UPDATE ON `t`",
        "    BEGIN",
        "        -- don't  fold",
        "        SET x = 'a<U+0020><U+0020><U+000A>b', y = \"c<U+0009>d\";",
        "/*!50003  `e<U+0020><U+0020>f` */ END",
    ]


@settings(max_examples=200)
@given(HOSTILE)
def test_nothing_of_a_definition_is_lost_or_obeyed(text):
    """Even of one that no server would take: all that is not said as it is is a tab, or the end of a line."""
    shown = definition(text)
    assert raw(visible(shown, lines=True)) == []
    back = re.sub(r"<U\+([0-9A-F]+)>", lambda code: chr(int(code[1], 16)), shown)
    assert re.sub(r"\t|    ", "\t", back).replace("\r\n", "\n") == re.sub(r"\t|    ", "\t", text).replace("\r\n", "\n")


@settings(max_examples=200)
@given(HOSTILE)
def test_a_quoted_name_in_a_definition_is_exact(name):
    quoted = "`" + name.replace("`", "``") + "`"
    assert exact(quoted) in definition(f"CREATE VIEW {quoted} AS\n  SELECT 1").replace("\n", "")


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("→ aishell run backup --target shop", True),
        ("it waits (aishell approvals show 3f2a; aishell runs resume 3f2a)", True),
        ("The health check made 1 finding(s). aishell rebuilt 2 index(es).", False),
        ("The health check made 1 finding(s). aishell rebuilt 2 index(es). Try `aishell runs undo 3f2a`.", True),
    ],
)
def test_a_line_with_a_command_is_known(text: str, held: bool) -> None:
    """What aishell has done is told in a sentence, and may be wrapped."""
    assert holds_command(text) is held
