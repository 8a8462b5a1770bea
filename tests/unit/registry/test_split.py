"""Cutting a block into text and placeholders changes nothing a database would read."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aishell.errors import ToolFileError
from aishell.registry.render import split

DIALECTS = ("postgresql", "mysql", "sqlite")
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00")) | st.text(alphabet="'\"`\\$:x{};-/* \n\t#[]%")


def pieces(sql: str, dialect: str) -> list[tuple[str, str]]:
    return list(split(sql, dialect, "tools/x.sql", 1))


def doubled(text: str, mark: str) -> str:
    return mark + text.replace(mark, mark * 2) + mark


def escaped(text: str, mark: str) -> str:
    return mark + text.replace("\\", "\\\\").replace(mark, f"\\{mark}") + mark


@st.composite
def literals(draw, dialect: str):
    """A string literal or a quoted name of a dialect, holding any text."""
    text = draw(TEXT)
    forms = {
        "postgresql": ["''", '""', "E''", "$$", "$tag$"],
        "mysql": ["\\'", '\\"', "``"],
        "sqlite": ["''", '""', "``", "[]"],
    }
    form = draw(st.sampled_from(forms[dialect]))
    if form == "E''":
        return "E" + escaped(text, "'")
    if form.startswith("$"):
        assume("$" not in text)
        return form + text + form if form != "$$" else f"$${text}$$"
    if form.startswith("\\"):
        return escaped(text, form[1]) if draw(st.booleans()) else doubled(text.replace("\\", "\\\\"), form[1])
    if form == "[]":
        assume("]" not in text)
        return f"[{text}]"
    return doubled(text, form[0])


@st.composite
def comments(draw, dialect: str):
    text = draw(TEXT)
    if draw(st.booleans()):
        assume("*/" not in text and "/*" not in text and not text.startswith(("!", "+")))
        assume(not text.endswith("*"))
        return f"/*{text}*/"
    assume("\n" not in text)
    return f"-- {text}\n" if dialect != "mysql" or draw(st.booleans()) else f"#{text}\n"


@st.composite
def blocks(draw, dialect: str):
    """(kind, fragment) of one statement; fragments stand apart by white space."""
    plain = st.sampled_from(["SELECT", "a.b", "+", "x::text", "1", "(", ")", ",", "a[1:2]", "->>", "%", ">=", "5-3"])
    fragment = st.one_of(
        literals(dialect).map(lambda text: ("literal", text)),
        plain.map(lambda text: ("plain", text)),
        st.sampled_from(["x", "schema", "min_size"]).map(lambda name: ("bind", f":{name}")),
        st.sampled_from(["x", "table_1"]).map(lambda name: ("paste", f"{{{name}}}")),
        comments(dialect).map(lambda text: ("comment", text)),
    )
    return draw(st.lists(fragment, max_size=8)), draw(st.lists(st.sampled_from([" ", "\n", " \t\n  "]), min_size=9))


@pytest.mark.parametrize("dialect", DIALECTS)
@settings(max_examples=60)
@given(data=st.data())
def test_everything_but_comments_comes_through_unchanged_and_in_order(dialect, data):
    fragments, gaps = data.draw(blocks(dialect))
    sql = "".join(text + gap for (_, text), gap in zip(fragments, gaps, strict=False))
    show = {"text": "{}", "bind": ":{}", "paste": "{{{}}}"}
    cut = pieces(sql, dialect)
    joined = "".join(show[kind].format(value) for kind, value in cut)
    position = 0
    for kind, text in fragments:
        if kind == "comment":
            continue
        while joined[position : position + 1].isspace():
            position += 1
        assert joined.startswith(text, position)
        position += len(text)
    assert not joined[position:].strip()
    named = [(kind, text.strip(":{}")) for kind, text in fragments if kind in ("bind", "paste")]
    assert [(kind, value) for kind, value in cut if kind != "text"] == named


@pytest.mark.parametrize("dialect", DIALECTS)
@given(data=st.data())
def test_a_literal_alone_is_one_text(dialect, data):
    literal = data.draw(literals(dialect))
    assert pieces(f"SELECT {literal}", dialect) == [("text", f"SELECT {literal}")]


@pytest.mark.parametrize("dialect", DIALECTS)
@given(sql=TEXT)
def test_any_text_is_cut_or_refused(dialect, sql):
    try:
        cut = pieces(sql, dialect)
    except ToolFileError:
        return
    assert {kind for kind, _ in cut} <= {"text", "bind", "paste"}


@pytest.mark.parametrize(
    ("dialect", "sql"),
    [
        ("postgresql", "SELECT a::text, '12'::int"),
        ("postgresql", "SELECT x LIKE'%\\' AND y = ':z'"),
        ("postgresql", "SELECT E'it\\'s :x {y};' AS e"),
        ("postgresql", "SELECT $$ :x {y}; ' $$, $a$ $$ :x $a$"),
        ("postgresql", 'SELECT "a:b {c}" FROM "d;e"'),
        ("postgresql", "SELECT a[1:2], now() - '1:30'::interval"),
        ("postgresql", "SELECT /*+ SeqScan(t) */ 1"),
        ("postgresql", "SELECT a #>> '{b,c}' FROM t"),
        ("mysql", "SELECT 'it\\'s :x {y};', \"a\\\":x\", `a``:x{y}`"),
        ("mysql", "SELECT /*!50000 STRAIGHT_JOIN */ 1"),
        ("mysql", "SELECT 5--3"),
        ("mysql", "SELECT a$b$c, d$b$ FROM t"),
        ("sqlite", "SELECT 'it''s :x {y};', [a:b {c}; it's], `d:e`"),
        ("sqlite", "SELECT 'two  \n  lines \n'"),
    ],
)
def test_what_looks_like_a_placeholder_or_a_comment_but_is_none_stays(dialect, sql):
    assert pieces(sql, dialect) == [("text", sql)]


@pytest.mark.parametrize(
    ("dialect", "sql", "expected"),
    [
        ("postgresql", "SELECT :x::text", [("text", "SELECT "), ("bind", "x"), ("text", "::text")]),
        ("postgresql", "SELECT ':a', :a -- :b\n", [("text", "SELECT ':a', "), ("bind", "a")]),
        ("postgresql", "SELECT 1 /* ; */ ; -- done\n", [("text", "SELECT 1")]),
        ("postgresql", "SELECT /* it's */ :a", [("text", "SELECT   "), ("bind", "a")]),
        ("mysql", "SELECT 1 # it's :x\n, :y", [("text", "SELECT 1\n, "), ("bind", "y")]),
        ("sqlite", "ANALYZE {schema}.{table};", [("text", "ANALYZE "), ("paste", "schema"), ("text", "."), ("paste", "table")]),
    ],
)  # fmt: skip
def test_placeholders_are_found_and_comments_go(dialect, sql, expected):
    assert pieces(sql, dialect) == expected
