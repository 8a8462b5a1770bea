"""How timestamps are shown to people and read from them. Documents keep ISO 8601."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

from aishell.errors import ParameterError


def at(moment: str | datetime, *, seconds: bool = False) -> str:
    """Return a timestamp in its own time zone, which is shown: `2026-11-22 02:30Z` (UTC), `2026-11-22 03:30+01:00`.

    A text is ISO 8601, and UTC if it names no zone, as in the state store. `seconds`: to the second.
    """
    given = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    zoned = given if given.tzinfo else given.replace(tzinfo=UTC)
    shown = zoned.replace(tzinfo=None).isoformat(" ", "seconds" if seconds else "minutes")
    offset = zoned.isoformat()[len(zoned.replace(tzinfo=None).isoformat()) :]
    return f"{shown}{'Z' if offset == '+00:00' else offset}"


def nominal(moment: str | datetime) -> str:
    """Return a nominal time as `at` does, with seconds only if they are not zero."""
    given = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return at(given, seconds=bool(given.second))


def given(text: str, zone: tzinfo | None = UTC, *, of: str = "", hint: str | None = None) -> datetime:
    """Parse a timestamp from a person, ISO 8601, and return it in UTC. Without a zone it is in `zone`; None: an error.

    `of`: the option that it comes from, for an error. Raises ParameterError.
    """
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None and zone is None:
            hint = "write 2026-11-21T03:15:00+01:00, or Z for UTC"
            raise ParameterError(f"{text!r} names no time zone", hint=hint)
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        message = f"invalid timestamp {text!r}{f' for {of}' if of else ''}"
        raise ParameterError(message, hint=hint or "write ISO 8601, e.g. 2026-11-21T14:05:00+01:00") from error
