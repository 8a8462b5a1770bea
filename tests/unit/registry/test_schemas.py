"""What is called a plain fit is one for jsonschema too; everything else is left to it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from aishell.agents.loading import BUILT_IN, load_agent
from aishell.errors import ParameterError
from aishell.locations import built_in
from aishell.registry.registry import Registry
from aishell.registry.schemas import check_schema, plainly_fits
from aishell.registry.tool import PARAMETER_TYPES, Tool

TOOLS = list(Registry.load([built_in("tools")]))
SCHEMAS = [
    *PARAMETER_TYPES.values(),
    *({"type": "object", "properties": dict(load_agent(name).inputs)} for name in BUILT_IN),
    *(tool.returns_schema for tool in TOOLS),
    *(tool.parameters_schema for tool in TOOLS),
    {"enum": ["a", None, 1]},
    {"type": ["integer", "null"], "minimum": 1, "maximum": 3},
    {"type": "array", "items": {"type": "string", "minLength": 2}, "minItems": 2},
    {"additionalProperties": False},
    {},
]
WORDS = [*sorted({name for schema in SCHEMAS for name in schema.get("properties", {})}), "column", "table", "=", "a"]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-2, 5)
    | st.floats(allow_nan=True, width=32)
    | st.sampled_from(["", "x", *WORDS])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4) | st.tuples(inner)
    ),
    max_leaves=8,
)


@given(VALUES, st.sampled_from(SCHEMAS))
def test_what_plainly_fits_does_fit(value, schema):
    if plainly_fits(value, schema):
        assert Draft202012Validator(schema).is_valid(value)


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.source)
def test_the_examples_of_every_tool_fit_plainly(tool: Tool):
    for example in tool.examples:
        assert plainly_fits(example["params"], tool.parameters_schema)


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        (True, {"type": "integer"}),
        (1, {"type": "boolean"}),
        ("4", {"type": "number"}),
        ({"a": 1}, {"additionalProperties": False}),
        ({}, {"required": ["a"]}),
        (["x", 3], {"items": {"type": "string"}}),
        ({"a": {"b": ""}}, {"properties": {"a": {"properties": {"b": {"minLength": 1}}}}}),
        (0, {"minimum": 1}),
        ("c", {"enum": ["a", "b"]}),
    ],
)
def test_what_does_not_fit_is_refused_in_the_words_of_jsonschema(value, schema):
    (expected,) = Draft202012Validator(schema).iter_errors(value)
    with pytest.raises(ParameterError) as caught:
        check_schema(value, schema, "a call")
    assert caught.value.message.endswith(f": {expected.message}")


@pytest.mark.parametrize(
    ("value", "schema"), [(1.0, {"type": "integer"}), ("ab", {"maxLength": 3}), (1, {"enum": [1]})]
)
def test_what_is_not_plain_is_left_to_jsonschema(value, schema):
    assert not plainly_fits(value, schema)
    check_schema(value, schema, "a call")
