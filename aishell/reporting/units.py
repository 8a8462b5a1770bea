"""Figures for people."""

from __future__ import annotations


def size(number: float | None) -> str:
    """Bytes: `12.3 MB`; `-` when not known."""
    if number is None:
        return "-"
    value, sign = abs(float(number)), "-" if number < 0 else ""
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1024:
            return f"{sign}{value:.0f} {unit}" if unit == "bytes" else f"{sign}{value:.1f} {unit}"
        value /= 1024
    return f"{sign}{value:.1f} TB"


def gain(before: float, after: float) -> str:
    """What became of bytes: `12.3 MB given back`, `72.0 kB more than before`."""
    return f"{size(before - after)} given back" if after <= before else f"{size(after - before)} more than before"


def duration(seconds: float | None) -> str:
    """Seconds: `0.2 s`, `3 min 20 s`, `2 h 5 min`; `-` when not known."""
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def printable(text: object) -> str:
    """Text from a database or a person as it can stand on a terminal: control characters are shown, not obeyed."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))
