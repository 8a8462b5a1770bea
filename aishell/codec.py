"""Values as JSON: `plain` for people and programs, `canonical` for digests, `pack` where they have to come back as they were."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Any
from uuid import UUID


def plain(value: Any) -> Any:
    """`value` as JSON types: dataclasses to dicts, tuples to lists, dates and times to ISO 8601, intervals to seconds, network
    addresses to text, bytes to hex, NaN and infinity to null. Raises TypeError for what has no such form.
    """
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (str, PurePath, UUID)) or type(value).__module__ == "ipaddress":  # which takes time to import
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted(plain(item) for item in value)
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, Decimal):
        if not value.is_finite():
            return None
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    raise TypeError(f"{type(value).__name__} has no JSON form")


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
