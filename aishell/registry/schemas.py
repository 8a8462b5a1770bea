"""Validate values against JSON Schemas. jsonschema decides, but is loaded only for a value that does not plainly fit.

Importing jsonschema takes longer than inspecting a small database, and nearly every value fits. It validates the others, and
its messages are used for all errors.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from aishell.errors import ParameterError

_TYPES: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "null": lambda value: value is None,
}
#: Keywords that apply to values of one type only.
_OF_TYPE = {
    **dict.fromkeys(("minimum", "maximum"), "number"),
    **dict.fromkeys(("minLength", "pattern"), "string"),
    **dict.fromkeys(("minItems", "items"), "array"),
    **dict.fromkeys(("properties", "required", "additionalProperties"), "object"),
}


def check_schema(value: Any, schema: Mapping[str, Any], where: str) -> None:
    """Raise ParameterError for an invalid value, with the value, its place and the rule that it violates."""
    if plainly_fits(value, schema):
        return
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(dict(schema)).iter_errors(value))
    if error is not None:
        place = "".join(f".{part}" for part in error.absolute_path)
        raise ParameterError(f"in {where}{place}: {error.message}")


def plainly_fits(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether jsonschema would certainly accept the value. False also for a keyword that is not known here."""
    return all(_fits(value, keyword, rule, schema) for keyword, rule in schema.items())


def _fits(value: Any, keyword: str, rule: Any, schema: Mapping[str, Any]) -> bool:
    if keyword in _OF_TYPE and not _TYPES[_OF_TYPE[keyword]](value):
        return True
    if keyword == "additionalProperties":
        return rule is False and set(value) <= schema.get("properties", {}).keys()
    return keyword in _KEYWORDS and bool(_KEYWORDS[keyword](value, rule))


def _is_of_type(value: Any, rule: str | list[str]) -> bool:
    names = [rule] if isinstance(rule, str) else rule
    return any(_TYPES[name](value) for name in names if name in _TYPES)


#: Keyword -> whether a value satisfies its rule, for keywords that do not depend on the rest of the schema.
_KEYWORDS: dict[str, Callable[[Any, Any], bool]] = {
    "description": lambda value, rule: True,
    "title": lambda value, rule: True,
    "type": _is_of_type,
    "enum": lambda value, rule: isinstance(value, (str, type(None))) and value in rule,
    "anyOf": lambda value, rule: any(plainly_fits(value, option) for option in rule),
    "minimum": operator.ge,
    "maximum": operator.le,
    "minLength": lambda value, rule: len(value) >= rule,
    "minItems": lambda value, rule: len(value) >= rule,
    "pattern": lambda value, rule: re.search(rule, value) is not None,
    "items": lambda value, rule: all(plainly_fits(item, rule) for item in value),
    "properties": lambda value, rule: all(plainly_fits(value[name], rule[name]) for name in rule if name in value),
    "required": lambda value, rule: all(name in value for name in rule),
}
