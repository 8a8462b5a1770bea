"""YAML with line numbers: what each key's line is, and that nothing malformed gets through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aishell.errors import SettingsError
from aishell.settings.yamlfile import parse

TEXT = """\
# a comment
targets:
  shop:
    url: sqlite:///shop.db
    labels:
      - a
      - {b: 1}

default: shop
"""


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (("targets",), 2),
        (("targets", "shop"), 3),
        (("targets", "shop", "url"), 4),
        (("targets", "shop", "labels", 0), 6),
        (("targets", "shop", "labels", 1), 7),
        (("targets", "shop", "labels", 1, "b"), 7),
        (("default",), 9),
        (("targets", "shop", "labels", 7), 5),
        (("targets", "nobody", "url"), 2),
        (("nothing",), 1),
        ((), 1),
    ],
)
def test_a_key_has_its_line_or_that_of_its_nearest_parent(keys, line):
    assert parse(TEXT, "x.yaml").line(*keys) == line


def test_the_data_is_what_yaml_says():
    expected = {"shop": {"url": "sqlite:///shop.db", "labels": ["a", {"b": 1}]}}
    assert parse(TEXT, "x.yaml").data == {"targets": expected, "default": "shop"}


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "null"])
def test_an_empty_file_holds_nothing(text):
    assert parse(text, "x.yaml").data is None


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: 1\nb: c: d\n", 2, "malformed YAML"),
        ("a:\n  - b\n c: 1\n", 3, "malformed YAML"),
        ("a: 1\n\tb: 2\n", 2, "malformed YAML"),
        ("a: 1\n---\nb: 2\n", 2, "malformed YAML"),
        ("a: 1\nb: *nobody\n", 2, "malformed YAML"),
        ("a: 1\nb: !python/object:os.system x\n", 2, "malformed YAML"),
        ("a: 1\nb: 2021-13-45\n", 2, "malformed YAML"),
        ("a: 1\nb: {c: 2021-02-30}\n", 2, "malformed YAML"),
        ("? [a]\n: 1\n", 1, "malformed YAML"),
        ("a: 1\nb: 2\na: 3\n", 3, "duplicate key 'a'"),
        ("x:\n  - {a: 1,\n     a: 2}\n", 3, "duplicate key 'a'"),
        ("a: 1\nb: &b [*b]\n", 2, "references itself"),
        ("a: 1\nb: &b {c: *b}\n", 2, "references itself"),
    ],
)
def test_what_is_malformed_is_refused_with_file_and_line(text, line, said):
    with pytest.raises(SettingsError) as caught:
        parse(text, "config/x.yaml")
    assert caught.value.message.startswith(f"config/x.yaml:{line}: ")
    assert said in caught.value.message
    assert caught.value.exit_code == 2


@given(st.text() | st.text(alphabet="ab:-{}[]&*!|>'\"#%\n\t 0123456789.?,~"))
def test_any_text_is_a_document_or_a_settings_error(text):
    try:
        document = parse(text, "x.yaml")
    except SettingsError:
        return
    breaks = sum(text.count(one) for one in "\n\r\x85\u2028\u2029")  # YAML 1.1, line breaks
    assert all(1 <= line <= breaks + 1 for line in document.lines.values())


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)


@pytest.mark.parametrize("deep", [101, 1000, 4000, 200_000])
@pytest.mark.parametrize("pair", ["[]", "{}", "- "])
def test_what_is_nested_deeply_is_refused_and_ends_nobody(pair, deep):
    opening, closing = ("{a: ", "}") if pair == "{}" else ("[", "]") if pair == "[]" else (pair, "")
    with pytest.raises(SettingsError, match=r"x.yaml:\d: malformed YAML: nested more than 100 levels deep"):
        parse(f"a:\n  {opening * deep}1{closing * deep}" if closing else f"{opening * deep}1", "x.yaml")


def test_a_few_anchors_cannot_stand_for_millions_of_values():
    with pytest.raises(SettingsError, match="malformed YAML: more than 100,000 values, its anchors' repeated"):
        parse(BOMB, "x.yaml")


def test_an_anchor_may_be_used_again():
    document = parse("a: &x {b: 1}\nc: *x\n", "x.yaml")
    assert document.data == {"a": {"b": 1}, "c": {"b": 1}}
