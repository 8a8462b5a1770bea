"""The formats of dates in logs, and the cut-off in each format. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from aishell.engines import profile
from aishell.errors import ParameterError

#: Usual names of date columns.
NAMES = re.compile(
    r"^(created|logged|event|occurred|inserted|log|entry|request|ts|time|date|updated)?_?(at|on|ts|time|timestamp|date|datetime|dt)?$",
    re.IGNORECASE,
)
#: 1980 and 2200 in seconds: a whole number outside them in every unit is not a time. The units' ranges do not overlap.
_EARLIEST, _LATEST = 315_532_800, 7_258_118_400
_UNITS = {"epoch_s": 1, "epoch_ms": 10**3, "epoch_us": 10**6, "epoch_ns": 10**9}
#: Characters of a value that a message shows.
_SHOWN = 40
_TEXT = re.compile(r"^\d{4}-\d\d-\d\d(?:([ T])\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)?(Z|[+-]\d\d:?\d\d)?$")
_ULID = re.compile(r"^[0-7][0-9A-HJKMNP-TV-Z]{25}$", re.IGNORECASE)
_UUID7 = re.compile(r"^[0-9a-f]{8}-?[0-9a-f]{4}-?7[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$", re.IGNORECASE)
#: The end of a cut-off that is a UUID of version 7: the lowest of its millisecond.
_NO_RANDOM = "-0000-0000-000000000000"
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
#: Declared type -> the format of its dates; for whole numbers and texts it depends on the values.
_BY_TYPE = {
    "timestamp with time zone": "instant",
    "timestamp without time zone": "local",
    "timestamp": "local",
    "datetime": "local",
    "date": "date",
}


@dataclass(frozen=True)
class Cutoff:
    """A moment on the database's clock: `utc` in ISO 8601, `local` in the server's time zone."""

    utc: str
    local: str
    zone: str
    now: str = ""

    @property
    def moment(self) -> datetime:
        return datetime.fromisoformat(self.utc)

    def __str__(self) -> str:
        utc = self.utc[:19].replace("T", " ")
        return f"{utc} UTC" + ("" if self.local == utc else f" ({self.local} {self.zone})")


def could_be_time(column: str, declared: str) -> int:
    """Score how likely a column holds the time of a log row, by type first, then by name; 0 if it cannot."""
    by_type = {"instant": 4, "local": 4, "date": 3}.get(kind_of_type(declared) or "", 0)
    name = NAMES.match(column)
    named = 2 if name and any(name.groups()) else 0
    first = 1 if column.lower().startswith(("created", "logged", "ts", "time", "event", "occurred", "inserted")) else 0
    if by_type:
        return by_type + named + first
    return named + first if named and _may_hold_time(declared) else 0


def kind_of_type(declared: str) -> str | None:
    """Return the format of a type that holds only times; None for others."""
    word = declared.lower().split("(")[0].strip()
    return _BY_TYPE.get(word)


def method_class(engine: str, declared: str, oldest: str, newest: str, where: str) -> str:
    """Return the format of a column's dates, from its declared type and its oldest and newest values.

    One of instant, local, date, epoch_s, epoch_ms, epoch_us, epoch_ns, text:<shape>, ulid:<case>, uuid7:<case>. Raises
    ParameterError for a column without dates.
    """
    known = kind_of_type(declared) if profile(engine).types_bind else None
    if known is not None:
        return known
    kinds = [_kind_of_value(value) for value in (oldest, newest)]
    if kinds[0] is None or kinds[1] is None:
        value = oldest if kinds[0] is None else newest
        raise ParameterError(
            f"{where} is not a date column: found {_short(value)} ({declared})", hint="name another with --date-column"
        )
    if kinds[0] != kinds[1]:
        raise ParameterError(
            f"{where} has dates in more than one format: the oldest is {oldest!r}, the newest {newest!r}",
            hint="narrow the rows down with --where, or convert the column to one format",
        )
    return kinds[0]


def refuse_type(declared: str, where: str) -> None:
    """Raise ParameterError for a declared type that never holds a time."""
    if kind_of_type(declared) is None and not _may_hold_time(declared):
        raise ParameterError(
            f"{where} is not a date column: its type is {declared}", hint="name another with --date-column"
        )


def _kind_of_value(value: str) -> str | None:
    if re.fullmatch(r"-?\d+(\.\d+)?", value):
        number = float(value)
        return next((n for n, factor in _UNITS.items() if _EARLIEST <= number / factor <= _LATEST), None)
    for kind, shape in (("ulid", _ULID), ("uuid7", _UUID7)):
        if shape.match(value):
            # `A` is less than `a`: the cut-off must have the case of the values, and mixed case has no order.
            return f"{kind}:upper" if value == value.upper() else f"{kind}:lower" if value == value.lower() else None
    found = _TEXT.match(value)
    return f"text:{found[1] or ''}{found[2] or ''}" if found else None


def written(kind: str, cutoff: Cutoff) -> str | int:
    """Return the cut-off in this format; smaller values are older."""
    moment = cutoff.moment
    if kind in _UNITS:
        return int(moment.timestamp()) * _UNITS[kind]
    milliseconds = int(moment.timestamp() * 1000)
    name, _, case = kind.partition(":")
    if name == "uuid7":
        digits = f"{milliseconds:012x}"
        text = f"{digits[:8]}-{digits[8:]}{_NO_RANDOM}"
        return text.upper() if case == "upper" else text
    if name == "ulid":
        text = "".join(_CROCKFORD[milliseconds >> shift & 31] for shift in range(45, -1, -5)) + "0" * 16
        return text.lower() if case == "lower" else text
    if kind == "date":
        return cutoff.local[:10]
    if kind == "local":
        return cutoff.local
    if kind.startswith("text:"):
        return _text(kind.removeprefix("text:"), moment)
    return cutoff.utc.replace("T", " ")


def _text(shape: str, moment: datetime) -> str:
    """Return ISO 8601 with the separator and zone of the column; without a zone it is UTC, as in SQLite's date functions."""
    separator, zone = (shape[0], shape[1:]) if shape[:1] in (" ", "T") else ("", shape)
    if zone not in ("", "Z"):
        hours, minutes = int(zone[1:3]), int(zone[-2:])
        offset = timedelta(hours=hours, minutes=minutes) * (-1 if zone[0] == "-" else 1)
        moment = moment.astimezone(timezone(offset))
    if not separator:
        return f"{moment:%Y-%m-%d}"
    return f"{moment:%Y-%m-%d}{separator}{moment:%H:%M:%S}"


def seconds_of(kind: str, value: str) -> float | None:
    """Return a column's value as seconds since 1970, for estimates; None if it cannot be read."""
    try:
        if kind in _UNITS:
            return float(value) / _UNITS[kind]
        if kind.startswith("ulid:"):
            return sum(_CROCKFORD.index(c) << 5 * n for n, c in enumerate(reversed(value[:10].upper()))) / 1000
        if kind.startswith("uuid7:"):
            return int(value.replace("-", "")[:12], 16) / 1000
        moment = datetime.fromisoformat(value.replace(",", "."))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except ValueError:
        return None


def as_date(cutoff: object) -> str:
    """Return a cut-off in readable form; a number or an id is shown as its moment."""
    text = str(cutoff)
    kind = "uuid7:" if text.endswith(_NO_RANDOM) else _kind_of_value(text) or ""
    if kind.partition(":")[0] not in (*_UNITS, "ulid", "uuid7"):
        return text
    return f"{datetime.fromtimestamp(seconds_of(kind, text) or 0, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _may_hold_time(declared: str) -> bool:
    """Return whether a type can hold numbers or texts. SQLite's columns may declare any type, or none."""
    words = ("int", "num", "dec", "text", "char", "uuid", "real", "double", "float", "binary", "blob")
    return not declared or any(word in declared.lower() for word in words)


def _short(value: object) -> str:
    """Return the start of a value, enough to recognise it."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
