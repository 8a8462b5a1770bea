"""References: what is one, what it leads to, and that nothing else of a value changes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aishell.errors import PlanError, StepError
from aishell.planning.variables import Reference, escaped, parse, references, resolve, walk

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
PLAIN = st.text(max_size=20).filter(lambda text: "${" not in text)
PLAIN_VALUE = st.recursive(
    PLAIN | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PLAIN, inner, max_size=3),
    max_leaves=8,
)


def nothing(reference: Reference) -> object:
    raise AssertionError(f"nothing was referred to, yet {reference} was looked up")


@pytest.mark.parametrize(
    ("text", "step", "root", "path"),
    [
        ("step_0.output.backup_path", 0, "output", ("backup_path",)),
        ("step_12.output", 12, "output", ()),
        ("steps.analyze.output.files[0].path", "analyze", "output", ("files", 0, "path")),
        ("steps.a-b.output.x[1][2]", "a-b", "output", ("x", 1, 2)),
        ("task.input_data.tables", None, "task", ("input_data", "tables")),
        ("target.name", None, "target", ("name",)),
        ("run.id", None, "run", ("id",)),
    ],
)
def test_a_reference_is_read_into_step_root_and_path(text, step, root, path):
    assert parse(text) == Reference(text, step, root, path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not a reference"),
        ("steps", "names no step"),
        ("steps.a", "must name an output"),
        ("steps.a.result", "must name an output"),
        ("step_0", "must name an output"),
        ("nobody.x", "unknown variable 'nobody'"),
        ("task.", "is not a reference"),
        ("task..x", "is not a reference"),
        ("steps.a.output.files[-1]", "is not a reference"),
        ("steps.a.output.files[x]", "is not a reference"),
        ("steps.a.output + 1", "is not a reference"),
        ("__import__('os')", "is not a reference"),
    ],
)
def test_what_is_no_reference_is_refused_with_its_text(text, said):
    with pytest.raises(PlanError) as caught:
        parse(text)
    assert said in caught.value.message
    assert text in caught.value.message
    assert caught.value.hint or "names no step" in said


@given(st.text(alphabet="stepr_n0.[]-a1outpuk ") | st.text())
def test_any_text_is_a_reference_or_a_plan_error(text):
    try:
        reference = parse(text)
    except PlanError:
        return
    assert reference.text == text


@given(JSON)
def test_a_whole_reference_keeps_the_value_and_its_type(value):
    resolved = resolve({"x": ["${step_0.output.x}"]}, lambda reference: value)
    assert resolved == {"x": [value]}
    assert type(resolved["x"][0]) is type(value)


@given(PLAIN_VALUE)
def test_a_value_without_references_stays_as_it_is(value):
    assert resolve(value, nothing) == value
    assert not list(references(value))


@given(st.text())
def test_any_text_can_be_written_escaped(text):
    assert resolve(escaped(text), nothing) == text
    assert not list(references(escaped(text)))


@given(PLAIN.filter(lambda text: not text.endswith("$")), JSON, PLAIN)
def test_inside_a_longer_text_a_reference_is_interpolated(before, value, after):
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = f"{before}x${{run.id}}{after}"
    assert resolve(text, lambda reference: value) == f"{before}x{shown}{after}"


@given(st.text())
def test_what_a_reference_holds_is_never_read_as_a_reference(value):
    assert resolve("${run.id}", lambda reference: value + "${run.id}") == value + "${run.id}"
    assert resolve("=${run.id}", lambda reference: value + "${run.id}") == "=" + value + "${run.id}"


def test_references_are_found_in_nested_values_in_order():
    value = {"a": ["${step_0.output.x}", {"b": ("${run.id}", "$${run.id}")}], "c": "${task.agent} and ${target.name}"}
    assert [r.text for r in references(value)] == ["step_0.output.x", "run.id", "task.agent", "target.name"]


def test_a_malformed_reference_is_refused_wherever_it_stands():
    with pytest.raises(PlanError):
        list(references({"a": [{"b": "x ${nobody.x}"}]}))


@pytest.mark.parametrize(
    ("path", "expected"),
    [((), {"files": [{"path": "p"}], "n": 0}), (("files", 0, "path"), "p"), (("n",), 0)],
)
def test_a_path_leads_to_its_value(path, expected):
    data = {"files": [{"path": "p"}], "n": 0}
    assert walk(data, Reference("r", 0, "output", path)) == expected


@pytest.mark.parametrize(
    "text", ["output.nothing", "output.files[1]", "output.files.path", "output.n[0]", "output.n.x"]
)
def test_a_value_that_is_not_there_fails_with_the_text_of_the_reference(text):
    reference = parse(f"step_0.{text}")
    with pytest.raises(StepError) as caught:
        walk({"files": [{"path": "p"}], "n": 0}, reference)
    assert f"${{{reference.text}}}" in caught.value.message
