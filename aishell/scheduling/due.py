"""The decision on nominal times that have come: due, missed or skipped, with the reason. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterator
from datetime import datetime
from itertools import islice, takewhile

from aishell.scheduling.schedules import Schedule
from aishell.scheduling.times import Timing
from aishell.state.schedule_runs import Entry, Pause

#: Maximum number of separate entries; older times share one entry with their number.
MOST = 366
#: Number of nominal times searched for one that is not left out.
AHEAD = 10_000


def pause_text(pause: Pause, timing: Timing) -> str:
    """Who paused a schedule, until when in the schedule's zone, and why."""
    end = f" until {timing.display(pause.until)}" if pause.until is not None else ""
    return f"paused by {pause.by}{end}{f': {pause.reason}' if pause.reason else ''}"


def settle(schedule: Schedule, since: datetime, now: datetime, pause: Pause | None = None) -> list[Entry]:
    """The decision on each nominal time after `since` up to `now`, oldest first. At most one is due."""
    recent: deque[datetime] = deque(maxlen=MOST)
    count, first = 0, None
    for moment in takewhile(lambda one: one <= now, schedule.timing.after(since)):
        first = first or moment
        recent.append(moment)
        count += 1
    if first is None:
        return []
    entries = list(_entries(schedule, recent, now, pause))
    if count > len(recent):
        times = count - len(recent) + 1
        reason = f"{times} times since {schedule.timing.display(first)}: nothing looked for them"
        entries[0] = Entry(entries[0].nominal, "missed", reason, times=times)
    return entries


def _entries(schedule: Schedule, times: deque[datetime], now: datetime, pause: Pause | None) -> Iterator[Entry]:
    kept = [moment for moment in times if left_out(schedule, moment, pause) is None]
    for moment in times:
        why = left_out(schedule, moment, pause)
        if why is not None:
            yield Entry(moment, "skipped", why)
        elif moment != kept[-1]:
            yield Entry(moment, "missed", f"{_unseen(schedule, now)}; a later time had come")
        else:
            yield _newest(schedule, moment, now, pause)


def left_out(schedule: Schedule, moment: datetime, pause: Pause | None) -> str | None:
    """Why a schedule does not run at a moment, None if it does."""
    blackout = schedule.blackout(moment)
    if blackout is not None:
        return blackout.text
    return pause_text(pause, schedule.timing) if pause is not None and pause.holds(moment) else None


def coming(
    schedule: Schedule, after: datetime, pause: Pause | None = None, skipped: Container[datetime] = ()
) -> Iterator[datetime]:
    """The nominal times after a moment at which a schedule will run, as far as is known. `skipped`: by people.

    None if the next AHEAD times are all left out.
    """
    for moment in islice(schedule.timing.after(after), AHEAD):
        if pause is not None and pause.until is None and pause.holds(moment):
            return
        if left_out(schedule, moment, pause) is None and moment not in skipped:
            yield moment


def _newest(schedule: Schedule, moment: datetime, now: datetime, pause: Pause | None) -> Entry:
    """The newest time that was not left out: run on time, run late, or missed."""
    timing, window = schedule.timing, schedule.timing.window
    closes = window.end(now, timing.zone) if window else None
    is_open = window is None or closes is not None
    if is_open and now - moment <= schedule.grace:
        if pause is not None and pause.holds(now):
            return Entry(moment, "skipped", pause_text(pause, timing))
        return Entry(moment, "due", until=closes)
    unseen = _unseen(schedule, now)
    if schedule.missed == "skip":
        return Entry(moment, "missed", f"{unseen}, and `missed` is skip")
    if why := left_out(schedule, now, pause):
        return Entry(moment, "missed", f"{unseen}, and then: {why}")
    if schedule.missed == "once_if_open" and not is_open:
        return Entry(moment, "missed", f"{unseen}, and the window was closed then")
    # Outside of the window, it may run for the window's length.
    return Entry(moment, "due", "late", closes or (now + window.length if window else None))


def _unseen(schedule: Schedule, now: datetime) -> str:
    return f"nothing looked for it until {schedule.timing.display(now)}"
