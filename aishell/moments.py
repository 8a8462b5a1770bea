"""How a moment is shown to people: in every list, report, message and notification alike. Documents keep ISO 8601."""

from __future__ import annotations

from datetime import UTC, datetime


def at(moment: str | datetime, *, seconds: bool = False) -> str:
    """A moment in the zone that it is given in, which is named: `2026-11-22 02:30Z` (UTC), `2026-11-22 03:30+01:00`.

    A text is ISO 8601; what names no zone is UTC, as all of the state store is. `seconds`: to the second.
    """
    given = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    zoned = given if given.tzinfo else given.replace(tzinfo=UTC)
    shown = zoned.replace(tzinfo=None).isoformat(" ", "seconds" if seconds else "minutes")
    offset = zoned.isoformat()[len(zoned.replace(tzinfo=None).isoformat()) :]
    return f"{shown}{'Z' if offset == '+00:00' else offset}"


def nominal(moment: str | datetime) -> str:
    """A time of a schedule, as `at` shows it; its seconds stand there only where they are not zero."""
    given = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return at(given, seconds=bool(given.second))
