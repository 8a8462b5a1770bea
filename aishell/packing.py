"""Values of a database as JSON, so that they come back as they were: keys, dates, decimals, bytes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

#: Types a key may have that JSON has not: name -> (type, to text, from text).
_TYPES: dict[str, tuple[type, Any, Any]] = {
    "$datetime": (datetime, datetime.isoformat, datetime.fromisoformat),
    "$date": (date, date.isoformat, date.fromisoformat),
    "$decimal": (Decimal, str, Decimal),
    "$bytes": (bytes, bytes.hex, bytes.fromhex),
    "$uuid": (UUID, str, UUID),
}


def pack(value: Any) -> Any:
    """`value` as JSON types, so that `unpack` gives the very same back."""
    if isinstance(value, Mapping):
        return {key: pack(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [pack(item) for item in value]
    for name, (kind, write, _) in _TYPES.items():
        if isinstance(value, kind):
            return {name: write(value)}
    return value


def unpack(value: Any) -> Any:
    """What `pack` was given, tuples as lists."""
    if isinstance(value, list):
        return [unpack(item) for item in value]
    if isinstance(value, dict):
        if len(value) == 1 and (name := next(iter(value))) in _TYPES:
            return _TYPES[name][2](value[name])
        return {key: unpack(item) for key, item in value.items()}
    return value
