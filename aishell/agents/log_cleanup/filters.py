"""Convert the values of a filter to the type of its column. Pure.

Given a value of another type, a server silently converts one of the two, often so that more rows match: MariaDB reads `abc`
as 0 and every word as equal to 0, and SQLite sorts every text after every number. The rows that match are deleted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

from aishell.engines import profile
from aishell.errors import ParameterError

#: How declared types begin, longer ones before shorter, and the kind of their values.
_KINDS = (
    (r"interval|point|tinyblob|int\d+(?:multi)?range", None),
    (r"(?:tiny|small|medium|big)?int(?:eger|\d)?\b|(?:small|big)?serial|year|bit\(", "whole number"),
    (r"numeric|decimal|dec\b|real|double|float", "number"),
    (r"bool", "truth value"),
    (r"character|(?:n|var|nvar)?char|(?:tiny|medium|long)?text|enum|set\(|citext|name$", "text"),
    (r"timestamp|date", "date"),
    (r"time\b", "time of day"),
)
#: SQLite's affinity rules (datatype3.html, 3.1), and the usual type names of dates.
_AFFINITIES = (
    (r".*int", "whole number"),
    (r".*(?:char|clob|text)", "text"),
    (r".*(?:real|floa|doub)|numeric|decimal", "number"),
    (r"bool", "whole number"),
    (r"timestamp|date", "date"),
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)?(?:Z|[+-]\d\d(?::?\d\d)?)?")
_TIME = re.compile(r"\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?")
_TRUTH = {"true": True, "t": True, "yes": True, "on": True, "false": False, "f": False, "no": False, "off": False}
#: Operators for which the type of the column does not matter.
_AS_IT_IS = frozenset({"like", "is null", "is not null"})


def fitted(condition: Mapping[str, Any], declared: str, engine: str, where: str) -> dict[str, Any]:
    """Return the filter with values of its column's type. Raises ParameterError for a value that does not fit.

    Values of an unknown type, from an extension or user-defined, are left to the server.
    """
    kind = method_class(declared, engine)
    if kind is None or condition["operator"] in _AS_IT_IS or "value" not in condition:
        return dict(condition)
    value = condition["value"]
    found = [_as(kind, one, engine) for one in (value if isinstance(value, (list, tuple)) else [value])]
    if None in found:
        wrong = value[found.index(None)] if isinstance(value, (list, tuple)) else value
        raise ParameterError(
            f"invalid value {wrong!r} in the filter on {where}: the column {condition['column']!r} is {declared}",
            hint=f"compare it with a {kind}",
        )
    return {**condition, "value": found if isinstance(value, (list, tuple)) else found[0]}


def method_class(declared: str, engine: str) -> str | None:
    """Return the kind of a declared type's values, in words; None if unknown."""
    name = declared.strip().lower()
    kinds = _KINDS if profile(engine).types_bind else _AFFINITIES
    found = next((kind for begins, kind in kinds if re.match(begins, name)), None)
    return None if name.endswith("[]") else found


def _as(kind: str, value: Any, engine: str) -> Any:
    """Return a value converted to a kind; None if it does not fit."""
    text = str(value).strip()
    match kind:
        case "text":
            return str(value).lower() if isinstance(value, bool) else str(value)
        case "truth value":
            return value if isinstance(value, bool) else _TRUTH.get(text.lower())
        case "whole number":
            if isinstance(value, bool):  # MariaDB's BOOLEAN is TINYINT, SQLite has none
                return None if profile(engine).has_boolean else int(value)
            return int(text) if re.fullmatch(r"[+-]?\d+", text, re.ASCII) else None
        case "number":
            return None if isinstance(value, bool) else _number(value, text)
        case "date":
            return _moment(_DATE, text, lambda: datetime.fromisoformat(text))
        case _:
            return _moment(_TIME, text, lambda: time.fromisoformat(text))


def _number(value: Any, text: str) -> Any:
    try:
        known = Decimal(text)
    except InvalidOperation:
        return None
    if not known.is_finite():
        return None
    return value if isinstance(value, (int, float)) else int(known) if known == known.to_integral() else float(known)


def _moment(shape: re.Pattern[str], text: str, read: Any) -> str | None:
    if not shape.fullmatch(text):
        return None
    try:
        read()
    except ValueError:
        return None
    return text
