"""When the digest of a night is due, and to whom it goes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import count
from zoneinfo import ZoneInfo

from aishell.moments import at
from aishell.scheduling.times import instant

#: Sent later than this, a digest says so.
LATE = timedelta(minutes=15)
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Digest:
    """`digest:` of notifications.yaml: one report for each local day of the zone, due `at` a time of day."""

    at: time
    to: tuple[str, ...]
    format: str
    zone: ZoneInfo

    def due(self, now: datetime) -> tuple[date, datetime]:
        """The newest day whose digest has come, and when it was due.

        Each day has one instant, whatever its clocks do: the first of two where the time is repeated, the end of the gap where
        it is left out.
        """
        today = now.astimezone(self.zone).date() + _DAY  # a day that is left out ends with the next
        for day in (today - number * _DAY for number in count()):
            moment = instant(datetime.combine(day, self.at), self.zone)
            if moment <= now:
                return day, moment
        raise AssertionError("days go back without an end")

    def told(self, day: date, due: datetime, now: datetime) -> str:
        """Which day it is of, for its heading: `2026-11-23`, and what it is too late by."""
        if now - due <= LATE:
            return f"{day}"
        return f"{day}, late: due at {at(due.astimezone(self.zone))}, made at {at(now.astimezone(self.zone))}"
