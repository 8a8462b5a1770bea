"""What becomes of nominal times that have come: on time, late by policy, missed or left out, always with a reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aishell.scheduling.due import MOST, settle
from aishell.scheduling.schedules import Blackout, Schedule
from aishell.scheduling.times import Cron, Every, Timing, Window
from aishell.state.schedule_runs import Pause

BERLIN = ZoneInfo("Europe/Berlin")
NIGHTLY = Schedule(
    "nightly",
    Timing(Cron("30 2 * * *"), BERLIN, Window.parse("22:00-05:30")),
    "maintenance",
    targets=("shop",),
    missed="skip",
)


def at(text: str) -> datetime:
    """A moment of a day in June 2026, when Berlin is two hours ahead."""
    return datetime.fromisoformat(f"2026-06-{text}+02:00").astimezone(UTC)


def told(schedule: Schedule, since: str, now: str, pause: Pause | None = None) -> list[tuple[str, str]]:
    """Day of the month and status of each time."""
    entries = settle(schedule, at(since), at(now), pause)
    assert all(entry.reason for entry in entries if entry.status != "due")
    return [(entry.nominal.astimezone(BERLIN).strftime("%d"), entry.status) for entry in entries]


@pytest.mark.parametrize(("now", "policy", "expected"), [
    ("02T02:30", "skip", "due"), ("02T02:45", "skip", "due"), ("02T02:46", "skip", "missed"), ("02T05:29", "once_if_open", "due"),
    ("02T05:30", "once_if_open", "missed"), ("02T09:00", "once_if_open", "missed"), ("02T09:00", "once", "due"),
    ("02T09:00", "skip", "missed"), ("02T22:30", "once_if_open", "due"),
])  # fmt: skip
def test_a_time_nothing_looked_for_follows_its_policy(now, policy, expected):
    assert told(replace(NIGHTLY, missed=policy), "01T12:00", now) == [("02", expected)]


def test_nothing_has_come_before_its_time():
    assert told(NIGHTLY, "01T12:00", "02T02:29") == []
    assert told(NIGHTLY, "02T02:30", "02T23:00") == []


@pytest.mark.parametrize("policy", ["skip", "once", "once_if_open"])
def test_of_several_nights_one_is_run_and_the_others_are_missed(policy):
    schedule = replace(NIGHTLY, missed=policy)
    assert told(schedule, "01T12:00", "04T02:31") == [("02", "missed"), ("03", "missed"), ("04", "due")]


def test_what_is_run_in_the_window_ends_with_it_and_out_of_it_takes_as_long():
    schedule = replace(NIGHTLY, missed="once")
    (on_time,) = settle(schedule, at("01T12:00"), at("02T02:31"))
    (late,) = settle(schedule, at("01T12:00"), at("02T09:00"))
    assert on_time.until == at("02T05:30")
    assert late.until == at("02T16:30")
    (endless,) = settle(replace(schedule, timing=replace(schedule.timing, window=None)), at("01T12:00"), at("02T09:00"))
    assert endless.until is None


def test_a_time_in_the_grace_whose_window_has_closed_is_late():
    timing = Timing(Cron("25 5 * * *"), BERLIN, NIGHTLY.timing.window)
    assert told(replace(NIGHTLY, timing=timing), "01T12:00", "02T05:29") == [("02", "due")]
    assert told(replace(NIGHTLY, timing=timing), "01T12:00", "02T05:31") == [("02", "missed")]


def test_blackouts_go_by_the_day_of_the_schedules_zone():
    dark = Blackout(date(2026, 6, 2), date(2026, 6, 3), "stocktaking", frozenset({"nightly"}))
    schedule = replace(NIGHTLY, blackouts=(dark,))
    assert told(schedule, "01T12:00", "04T02:31") == [("02", "skipped"), ("03", "skipped"), ("04", "due")]
    (entry,) = settle(schedule, at("01T12:00"), at("02T02:31"))
    assert entry.reason == "blackout 2026-06-02 to 2026-06-03: stocktaking"
    assert told(replace(schedule, name="other"), "02T12:00", "03T02:31") == [("03", "due")]


def test_no_missed_time_is_made_up_for_on_a_blackout():
    dark = Blackout(date(2026, 6, 3), date(2026, 6, 3))
    schedule = replace(NIGHTLY, blackouts=(dark,), missed="once")
    assert told(schedule, "01T12:00", "03T00:30") == [("02", "missed")]


def test_a_pause_leaves_out_what_comes_in_it_and_nothing_begins_during_it():
    pause = Pause(at("02T00:00"), "ann@db1", at("03T00:00"), "migration")
    assert told(NIGHTLY, "01T12:00", "03T02:31", pause) == [("02", "skipped"), ("03", "due")]
    later = Pause(at("02T02:35"), "ann@db1")
    assert told(NIGHTLY, "01T12:00", "02T02:40", later) == [("02", "skipped")]
    (entry,) = settle(NIGHTLY, at("01T12:00"), at("02T02:31"), pause)
    assert entry.reason == "paused by ann@db1 until 2026-06-03 00:00+02:00: migration"


def test_a_long_time_in_which_nothing_looked_is_counted():
    schedule = Schedule("often", Timing(Every(5), ZoneInfo("UTC")), "maintenance", missed="once")
    entries = settle(schedule, at("01T00:00"), at("03T00:00"))
    assert len(entries) == MOST
    assert sum(entry.times for entry in entries) == 2 * 86400 / 5
    assert [entry.status for entry in entries] == ["missed"] * (MOST - 1) + ["due"]
    assert "nothing looked for them" in entries[0].reason


@given(st.lists(st.integers(1, 400), min_size=1, max_size=40), st.sampled_from(["skip", "once", "once_if_open"]))
def test_however_often_something_looks_each_time_is_decided_once(steps, policy):
    """Hours between the looks; at most one run comes of each."""
    schedule = replace(NIGHTLY, missed=policy)
    since = now = at("01T12:00")
    seen = []
    for hours in steps:
        now += timedelta(minutes=hours * 7)
        entries = settle(schedule, since, now)
        assert [entry.status for entry in entries].count("due") <= 1
        seen += [entry.nominal for entry in entries]
        since = seen[-1] if seen else since
    assert seen == sorted(set(seen))
    assert len(seen) == sum(1 for _ in _nights(at("01T12:00"), now))


def _nights(begin: datetime, end: datetime):
    for moment in NIGHTLY.timing.after(begin):
        if moment > end:
            return
        yield moment
