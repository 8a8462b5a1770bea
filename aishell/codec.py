"""Values as JSON: `plain` for people and programs, `canonical` for digests, `pack` where they have to come back as they were."""

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
    """`value` as JSON types: dataclasses to dicts, tuples to lists, dates and times to ISO 8601, intervals to seconds, network
    addresses to text, bytes to hex, NaN and infinity to null. Raises TypeError for what has no such form.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if type(value).__module__ == "ipaddress":  # which takes time to import
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
    """The one JSON text of a value, for digests and the audit chain."""
    return json.dumps(plain(value), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def digest(value: Any) -> str:
    """`sha256:` and the hash of the value's canonical JSON."""
    return "sha256:" + hashlib.sha256(canonical(value).encode("utf-8", "surrogatepass")).hexdigest()


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
