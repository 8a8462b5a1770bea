"""Values as JSON: `plain` for people and programs, `canonical` for digests, `pack` to restore them exactly."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import singledispatch
from pathlib import PurePath
from typing import Any
from uuid import UUID


@singledispatch
def plain(value: Any) -> Any:
    """Return `value` as JSON types: dataclasses as dicts, tuples as lists, dates and times as ISO 8601, intervals as
    seconds, network addresses as text, bytes as hex, NaN and infinity as null. Raises TypeError for any other type.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if type(value).__module__ == "ipaddress":  # it takes time to import
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


@plain.register
def _decimal(value: Decimal) -> int | float | None:
    if not value.is_finite():
        return None
    return int(value) if value == value.to_integral_value() else float(value)


def _form(write: Callable[[Any], Any], *kinds: type) -> None:
    for kind in kinds:
        plain.register(kind, write)


_form(lambda value: value, type(None), bool, int)
_form(str, str, PurePath, UUID)
_form(lambda value: value if math.isfinite(value) else None, float)
_form(lambda value: {str(key): plain(item) for key, item in value.items()}, Mapping)
_form(lambda value: [plain(item) for item in value], list, tuple)
_form(lambda value: sorted(plain(item) for item in value), set, frozenset)
_form(lambda value: value.isoformat(), date, time)
_form(timedelta.total_seconds, timedelta)
_form(lambda value: bytes(value).hex(), bytes, bytearray, memoryview)


def canonical(value: Any) -> str:
    """Return the canonical JSON text of a value, for digests and the audit chain."""
    return json.dumps(plain(value), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def digest(value: Any) -> str:
    """Return `sha256:` and the hash of the value's canonical JSON."""
    return "sha256:" + hashlib.sha256(canonical(value).encode("utf-8", "surrogatepass")).hexdigest()


#: Types of keys that JSON lacks: name -> (type, to text, from text).
_TYPES: dict[str, tuple[type, Any, Any]] = {
    "$datetime": (datetime, datetime.isoformat, datetime.fromisoformat),
    "$date": (date, date.isoformat, date.fromisoformat),
    "$decimal": (Decimal, str, Decimal),
    "$bytes": (bytes, bytes.hex, bytes.fromhex),
    "$uuid": (UUID, str, UUID),
}


def pack(value: Any) -> Any:
    """Return `value` as JSON types from which `unpack` restores it exactly."""
    if isinstance(value, Mapping):
        return {key: pack(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [pack(item) for item in value]
    for name, (kind, write, _) in _TYPES.items():
        if isinstance(value, kind):
            return {name: write(value)}
    return value


def unpack(value: Any) -> Any:
    """Return the value that `pack` was given, with lists for tuples."""
    if isinstance(value, list):
        return [unpack(item) for item in value]
    if isinstance(value, dict):
        if len(value) == 1 and (name := next(iter(value))) in _TYPES:
            return _TYPES[name][2](value[name])
        return {key: unpack(item) for key, item in value.items()}
    return value
