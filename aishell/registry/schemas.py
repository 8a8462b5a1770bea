"""Values against JSON Schemas: jsonschema has the last word, and is not asked about what plainly fits.

Its import costs more than the inspection of a small database, and nearly every value fits. What is not plain, and every refusal,
is its own to judge and to word.
"""

from __future__ import annotations

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
#: Keywords that say something of values of one type alone.
_OF_TYPE = {
    **dict.fromkeys(("minimum", "maximum"), "number"),
    **dict.fromkeys(("minLength", "pattern"), "string"),
    **dict.fromkeys(("minItems", "items"), "array"),
    **dict.fromkeys(("properties", "required", "additionalProperties"), "object"),
}


def check_schema(value: Any, schema: Mapping[str, Any], where: str) -> None:
    """Raises ParameterError naming the value, its place and what would fit."""
    if plainly_fits(value, schema):
        return
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(dict(schema)).iter_errors(value))
    if error is not None:
        place = "".join(f".{part}" for part in error.absolute_path) or ""
        raise ParameterError(f"in {where}{place}: {error.message}")


def plainly_fits(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether jsonschema would certainly find nothing wrong; False of a keyword that is not among these too."""
    return all(_fits(value, keyword, rule, schema) for keyword, rule in schema.items())


def _fits(value: Any, keyword: str, rule: Any, schema: Mapping[str, Any]) -> bool:
    if keyword in _OF_TYPE and not _TYPES[_OF_TYPE[keyword]](value):
        return True
    match keyword:
        case "description" | "title":
            return True
        case "type":
            return any(_TYPES[name](value) for name in ([rule] if isinstance(rule, str) else rule) if name in _TYPES)
        case "enum":
            return isinstance(value, (str, type(None))) and value in rule
        case "anyOf":
            return any(plainly_fits(value, option) for option in rule)
        case "minimum":
            return bool(value >= rule)
        case "maximum":
            return bool(value <= rule)
        case "minLength" | "minItems":
            return bool(len(value) >= rule)
        case "pattern":
            return re.search(rule, value) is not None
        case "items":
            return all(plainly_fits(item, rule) for item in value)
        case "properties":
            return all(plainly_fits(value[name], rule[name]) for name in rule if name in value)
        case "required":
            return all(name in value for name in rule)
        case "additionalProperties":
            return rule is False and set(value) <= schema.get("properties", {}).keys()
    return False
