"""Text inside of a Markdown document is read as it is, wherever it stands: no emphasis, link, list, or HTML that vanishes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from aishell.reporting.units import exact, literal
from tests.hostile_text import PIECES

#: As rich reads it.
READ = MarkdownIt().enable(["table", "strikethrough"])
PLACES = ("- **critical** found {}: why", "- {}: why", "{}", "# About {} (x)", "| a | b |\n|---|---|\n| {} | {} |")
#: What Markdown knows, and letters beside it.
MARKED = st.text(st.sampled_from("ab1象 \\_*`[]()<>!&#;:~|-+=.\"'{}^\n\t"), min_size=1, max_size=12)


def read(document: str) -> str:
    """The text of a document; nothing but what the places have themselves is mark-up in it."""
    found = []
    for block in READ.parse(document):
        for inline in block.children or ():
            if inline.type in ("text", "text_special"):
                found.append(inline.content)
            else:
                assert inline.type.startswith("strong_"), f"{inline.type} in {document!r}"
        found.append(" ")
    return "".join(found)


@settings(max_examples=300)
@given(MARKED | st.sampled_from(PIECES))
@pytest.mark.parametrize("place", PLACES)
def test_a_text_is_read_as_it_is(place, text):
    shown = exact(text)
    assert shown.strip(" ") in read(place.replace("{}", literal(shown)))


@pytest.mark.parametrize(
    "name", ["app_log", "public.orders_2024", "a-b", "x:y", "t[0]", "f(x)", "<U+001B>", "50 %", "a & b"]
)
def test_a_usual_name_stays_as_it_is(name):
    assert literal(name) == name
