"""Nominal times: instants in UTC, from cron expressions or intervals, through every clock change. Pure.

cronsim parses the expression and iterates a calendar without zones; the meaning of a time of day in a zone is decided here.
Its own iteration in a zone loses the hour after a repeated half hour (`0 */2 * * *` on Lord Howe), and returns past times if it
starts inside a repeated hour (docs/decisions/0019-schedules.md).
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from itertools import islice
from zoneinfo import ZoneInfo

from aishell.moments import nominal

#: Names that Debian's cron reads (crontab(5)); `@reboot` is not a time.
NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIELDS = ("minute", "hour", "day of the month", "month", "day of the week")
#: The ranges of the fields, for people.
RANGES = "minute 0-59, hour 0-23, day of the month 1-31, month 1-12 or jan-dec, day of the week 0-7 or sun-sat"
#: A field: numbers, names, `*` and ranges, the last two with steps. Debian's cron has neither `L`, `#`, `?` nor seconds.
_RANGE = r"([0-9]{1,2}|[A-Z]{3}|(\*|([0-9]{1,2}|[A-Z]{3})-([0-9]{1,2}|[A-Z]{3}))(/[0-9]{1,2})?)"
_FIELD = re.compile(rf"{_RANGE}(,{_RANGE}){{0,60}}")
#: A range of one value: with a step, cronsim reads `5-5/2` as `5-59/2`, and cron as `5`.
_ONE = re.compile(r"(?<![^,])0?([0-9]{1,2}|[A-Z]{3})-0?\1(/0?[1-9][0-9]?)?(?![^,])")
#: Clocks are put back by less.
_REPEATED = timedelta(hours=3)
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INSTANT = timedelta(microseconds=1)


def wall_clock() -> datetime:
    """The host's time, in UTC."""
    return datetime.now(UTC)


def seconds(text: str | int) -> int:
    """A duration: `90s`, `30m`, `26h`, `7d`, or a number of seconds. Raises ValueError."""
    found = re.fullmatch(r"([0-9]{1,9})([smhd]?)", str(text))
    if found is None:
        raise ValueError(f"invalid duration {text!r}")
    return int(found[1]) * _UNITS[found[2]]


def instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """The instant at which clocks show a time: the first of two if it is repeated, the end of the gap if it is skipped."""
    while (moment := _shown(wall, zone, 0)) is None:
        wall = wall.replace(second=0) + timedelta(minutes=1)
    return moment


def _shown(wall: datetime, zone: ZoneInfo, fold: int) -> datetime | None:
    """The instant at which clocks show a time for the first (`fold` 0) or last (1) time; None if they never do."""
    moment = wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)
    return moment if moment.astimezone(zone).replace(tzinfo=None) == wall else None


@dataclass(frozen=True)
class Cron:
    """A cron expression as Debian's cron reads it: five fields, names in any case, day of the month OR day of the week.

    Raises ValueError for what Debian's cron would refuse, and for times that never come (`0 0 30 2 *`).
    """

    text: str

    def __post_init__(self) -> None:
        fields = self.fields
        if self.text.lower() == "@reboot":
            raise ValueError("@reboot does not name a time")
        if len(fields) != len(_FIELDS):
            raise ValueError(f"it has {len(fields)} fields, not 5: {', '.join(_FIELDS)}")
        for name, field in zip(_FIELDS, fields, strict=True):
            if not _FIELD.fullmatch(field):
                raise ValueError(f"invalid {name} {field[:40]!r}")
        if next(self._walls(datetime(2000, 1, 1)), None) is None:  # noqa: DTZ001  a calendar has no zone
            raise ValueError("no date ever matches")

    @cached_property
    def fields(self) -> list[str]:
        return [_ONE.sub(r"\1", field) for field in NICKNAMES.get(self.text.lower(), self.text).upper().split()]

    @property
    def fixed(self) -> bool:
        """Whether it names times of day, which run once per day through clock changes; wildcards follow the clock."""
        return not self.fields[0].startswith("*") and not self.fields[1].startswith("*")

    def after(self, moment: datetime, zone: ZoneInfo) -> Iterator[datetime]:
        """Every nominal time after a moment, rising."""
        begin = moment.astimezone(zone).replace(tzinfo=None, microsecond=0) - _REPEATED
        last = moment
        kept = (instant(wall, zone) for wall in self._walls(begin))
        for found in kept if self.fixed else self._as_shown(begin, zone):
            if found > last:
                yield found
                last = found

    def _as_shown(self, begin: datetime, zone: ZoneInfo) -> Iterator[datetime]:
        later: list[datetime] = []  # second times of a repeated hour
        for wall in self._walls(begin):
            first, second = (_shown(wall, zone, fold) for fold in (0, 1))
            if first is None or second is None:
                continue
            while later and later[0] <= first:
                yield heapq.heappop(later)
            yield first
            if second != first:
                heapq.heappush(later, second)

    def _walls(self, begin: datetime) -> Iterator[datetime]:
        """Its local times, by a calendar without zones. Raises ValueError."""
        from cronsim import CronSim, CronSimError

        try:
            return iter(CronSim(" ".join(self.fields), begin))
        except CronSimError as error:
            raise ValueError(str(error).replace("Bad ", "invalid ").replace("day-of-", "day of the ")) from error


@dataclass(frozen=True)
class Every:
    """An interval, seconds: its nominal times are whole multiples since 1970 in UTC, whenever aishell is started."""

    seconds: int

    def after(self, moment: datetime, zone: ZoneInfo) -> Iterator[datetime]:
        """Every nominal time after a moment, rising."""
        number = (moment - _EPOCH) // timedelta(seconds=self.seconds)
        while True:
            number += 1
            yield _EPOCH + number * timedelta(seconds=self.seconds)


@dataclass(frozen=True)
class Window:
    """The hours of a day in which work may be done; if `closes` is earlier than `opens`, it is on the next day."""

    opens: time
    closes: time

    @classmethod
    def parse(cls, text: str) -> Window:
        """`22:00-05:30`. Raises ValueError."""
        found = re.fullmatch(r"([0-9]{1,2}):([0-9]{2})\s*-\s*([0-9]{1,2}):([0-9]{2})", text)
        if found is None:
            raise ValueError(f"invalid window {text!r}")
        first, second, third, fourth = (int(part) for part in found.groups())
        try:
            window = cls(time(first, second), time(third, fourth))
        except ValueError as error:
            raise ValueError(
                f"invalid window {text!r}: hours go from 00 to 23, minutes to 59; midnight is 00:00"
            ) from error
        if window.opens == window.closes:
            raise ValueError(f"the window {text!r} never opens: it closes when it opens")
        return window

    def end(self, moment: datetime, zone: ZoneInfo) -> datetime | None:
        """When the window that contains a moment closes; None outside of it."""
        day = moment.astimezone(zone).date()
        for begun in (day - timedelta(days=1), day):
            opens, closes = self.on(begun, zone)
            if opens <= moment < closes:
                return closes
        return None

    def on(self, day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
        """The window that opens on a day."""
        over = day + timedelta(days=1) if self.closes < self.opens else day
        return instant(datetime.combine(day, self.opens), zone), instant(datetime.combine(over, self.closes), zone)

    @property
    def length(self) -> timedelta:
        """How long it is open on a day without a clock change."""
        opens, closes = (timedelta(hours=at.hour, minutes=at.minute) for at in (self.opens, self.closes))
        return (closes - opens) % timedelta(days=1)


@dataclass(frozen=True)
class Timing:
    """When a schedule runs: the times of its cron expression or interval that are in its window."""

    rule: Cron | Every
    zone: ZoneInfo
    window: Window | None = None

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Every nominal time after a moment (aware), rising, in UTC."""
        found = self.rule.after(moment.astimezone(UTC), self.zone)
        return (one for one in found if self.window is None or self.window.end(one, self.zone) is not None)

    def opens_ever(self, begin: datetime) -> bool:
        """Whether some time is in the window, within the next 366 days or the next 400 times."""
        window, zone = self.window, self.zone
        if window is None:
            return True
        days = (window.on(self.day(begin) + timedelta(days=number), zone) for number in range(366))
        often = any(next(self.rule.after(opens - _INSTANT, zone)) < closes for opens, closes in days)
        rare = (window.end(one, zone) is not None for one in islice(self.rule.after(begin, zone), 400))
        return often or any(rare)

    def local(self, moment: datetime) -> str:
        """A moment in the zone, ISO 8601 with the offset."""
        return moment.astimezone(self.zone).isoformat(timespec="seconds")

    def display(self, moment: datetime) -> str:
        """The same for people."""
        return nominal(self.local(moment))

    def day(self, moment: datetime) -> date:
        """The day of the zone that a moment belongs to."""
        return moment.astimezone(self.zone).date()

    @property
    def shown(self) -> str:
        """`cron 30 2 * * * Europe/Berlin in 22:00-05:30`, `every 6h`: as people write it."""
        if isinstance(self.rule, Cron):
            return self.text
        letter, unit = next(one for one in reversed(_UNITS.items()) if self.rule.seconds % one[1] == 0)
        hours = f" in {self.window.opens:%H:%M}-{self.window.closes:%H:%M} {self.zone.key}" if self.window else ""
        return f"every {self.rule.seconds // unit}{letter}{hours}"

    @property
    def text(self) -> str:
        """Everything that determines the times: if it differs, the schedule was edited."""
        rule = f"cron {' '.join(self.rule.fields)}" if isinstance(self.rule, Cron) else f"every {self.rule.seconds}"
        hours = f" in {self.window.opens:%H:%M}-{self.window.closes:%H:%M}" if self.window else ""
        return f"{rule} {self.zone.key}{hours}"
