"""The values of archived rows: what a line of JSON says, told apart as the database told them apart. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any


class Number(str):
    """A number as the database wrote it; no float in between costs it a digit."""

    __slots__ = ()

    @property
    def value(self) -> int | float:
        """It as Python's number: one without a point or an exponent is whole."""
        return float(self) if set(self) & set(".eE") else int(self)


#: text | Number | bool | {"hex": …} | {"real": "Inf"} | None, one a column.
Values = list[Any]
#: Rows, some thousand at a time, from the beginning each time it is called.
Lots = Callable[[], Iterator[list[Values]]]
_DECODE = json.JSONDecoder(parse_int=Number, parse_float=Number, parse_constant=Number).decode


def values(line: bytes, names: Sequence[str]) -> Values:
    """The values of these columns in a line."""
    row = _DECODE(line.decode())
    return [row[name] for name in names]


def bound(value: Any, *, typed: bool) -> Any:
    """A value as it is bound to load it. `typed`: SQLite keeps the type it is given; the others read their text."""
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
