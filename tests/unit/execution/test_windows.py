"""The end of a window is an instant of the wall clock, which goes on while the host sleeps; a duration is none."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime, timedelta
from datetime import time as clock
from zoneinfo import ZoneInfo

import pytest

from aishell.cli.common import ends
from aishell.execution.run import Options


def test_without_an_end_there_is_always_time():
    assert Options().left == math.inf


def test_a_window_ends_by_the_wall_clock_though_the_other_stood_still(monkeypatch):
    options = Options(until=datetime.now(UTC) + timedelta(hours=5))
    assert 17_990 < options.left <= 18_000
    asleep = time.time() + 6 * 3600
    monkeypatch.setattr(time, "time", lambda: asleep)  # the host slept for six hours
    assert options.left < -3500


def test_a_clock_that_is_put_back_does_not_make_a_duration_longer(monkeypatch):
    options = Options(deadline=time.monotonic() + 10, until=datetime.now(UTC) + timedelta(seconds=20))
    yesterday = time.time() - 86_400
    monkeypatch.setattr(time, "time", lambda: yesterday)
    assert 9 < options.left <= 10


@pytest.mark.parametrize("zone", [ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kathmandu"), None])
def test_until_is_the_next_time_that_clocks_of_the_zone_show_it(zone):
    found = ends(clock(5, 30), None, zone)["until"]
    shown = found.astimezone(zone)
    assert (shown.hour, shown.minute) == (5, 30)
    assert timedelta() < found - datetime.now(UTC) <= timedelta(hours=25)
    assert ends(None, 7.0, zone)["until"] is None
    assert ends(None, 7.0, zone)["deadline"] == pytest.approx(time.monotonic() + 7, abs=1)
