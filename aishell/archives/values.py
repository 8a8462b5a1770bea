"""The values of archived rows, read from a line of JSON with the distinctions that the database made. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any


class Number(str):
    """A number as the database wrote it; no conversion to a float costs it a digit."""

    __slots__ = ()

    @property
    def value(self) -> int | float:
        """The number in Python's type: an int without a point or an exponent, else a float."""
        return float(self) if set(self) & set(".eE") else int(self)


#: text | Number | bool | {"hex": …} | {"real": "Inf"} | None, one per column.
Values = list[Any]
#: Each call yields all rows from the beginning, some thousand at a time.
Lots = Callable[[], Iterator[list[Values]]]
_DECODE = json.JSONDecoder(parse_int=Number, parse_float=Number, parse_constant=Number).decode


def values(line: bytes, names: Sequence[str]) -> Values:
    """Return the values of these columns in a line."""
    row = _DECODE(line.decode())
    return [row[name] for name in names]


def bound(value: Any, *, typed: bool) -> Any:
    """Return a value as it is bound for loading. `typed`: SQLite keeps the type it is given; other engines parse text."""
    if isinstance(value, dict):
        (kind, text), *_ = value.items()
        if kind == "real":
            return float(text) if typed else text
        return bytes.fromhex(text)
    if isinstance(value, Number):
        return value.value if typed else str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return value
