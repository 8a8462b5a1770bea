"""The digest of a night: one for each local day, however the clock goes and whoever looks when."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from aishell.notifying.rules import NightlyDigest
from aishell.state.digests import LONGEST, Digests
from aishell.state.outbox import Outbox
from aishell.state.store import Store

DAY = timedelta(days=1)
ZONES = (
    "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "America/Havana", "Africa/Cairo",
    "Asia/Beirut", "America/Santiago", "Asia/Kathmandu", "Pacific/Kiritimati", "UTC",
)  # fmt: skip
TIMES = (time(0, 0), time(0, 15), time(1, 59), time(2, 0), time(2, 30), time(3, 0), time(7, 0), time(23, 59))


def digest(at: time, zone: str) -> NightlyDigest:
    return NightlyDigest(at, ("admin",), "html", ZoneInfo(zone))


@pytest.mark.parametrize("zone", ZONES)
def test_each_day_of_the_year_is_due_once_and_in_order(zone: str) -> None:
    draw = random.Random(zone)
    for at in TIMES:
        one, moment, seen = digest(at, zone), datetime(2026, 1, 1, 12, tzinfo=UTC), dict[date, datetime]()
        last = moment.astimezone(one.zone).date() - 2 * DAY
        while moment < datetime(2027, 1, 3, tzinfo=UTC):
            day, due = one.due(moment)
            assert due <= moment < due + 27 * timedelta(hours=1)
            assert day in (last, last + DAY, last + 2 * DAY)
            assert seen.setdefault(day, due) == due
            last, moment = day, moment + draw.uniform(1, 12) * timedelta(hours=1)
        days = sorted(seen)
        assert days == [days[0] + number * DAY for number in range(len(days))]
        assert len(days) >= 366
        assert [seen[day] for day in days] == sorted(set(seen.values()))


def test_the_time_of_day_is_kept_through_clock_changes() -> None:
    spring, autumn = digest(time(2, 30), "Europe/Berlin"), digest(time(2, 30), "Europe/Berlin")
    day, due = spring.due(datetime(2026, 3, 29, 12, tzinfo=UTC))
    assert (day, due) == (date(2026, 3, 29), datetime(2026, 3, 29, 1, tzinfo=UTC))  # the end of the gap, 03:00
    day, due = autumn.due(datetime(2026, 10, 25, 12, tzinfo=UTC))
    assert (day, due) == (date(2026, 10, 25), datetime(2026, 10, 25, 0, 30, tzinfo=UTC))  # the first of the two


def test_one_that_is_late_says_of_which_day_it_is() -> None:
    one = digest(time(7), "Europe/Berlin")
    day, due = date(2026, 11, 22), datetime(2026, 11, 22, 6, tzinfo=UTC)
    assert one.heading(day, due, due + timedelta(minutes=5)) == "2026-11-22"
    assert (
        one.heading(day, due, due + timedelta(hours=3))
        == "2026-11-22, late: due at 2026-11-22 07:00+01:00, made at 2026-11-22 10:00+01:00"
    )
    late = one.heading(day, due, due + timedelta(hours=20))
    assert late == "2026-11-22, late: due at 2026-11-22 07:00+01:00, made at 2026-11-23 03:00+01:00"


class Kept:
    """A store, and what a look at a moment sends."""

    def __init__(self, store: Store) -> None:
        self.store, self.one = store, digest(time(7), "Europe/Berlin")

    def look(self, now: datetime) -> tuple[str, datetime] | None:
        """The night that is sent, and where it begins."""
        digests = Digests(self.store)
        day, due = self.one.due(now)
        since = digests.since(day, due, now)
        if since is None:
            return None
        made = digests.decide(day, since, now, "page", "html", ("info", "title", "gist"), ("admin", "hook"))
        return (str(day), since) if made else None

    def rows(self) -> list[tuple[str, str]]:
        with self.store.read() as connection:
            return [(row.cause, row.service) for row in connection.all("SELECT cause, service FROM outbox ORDER BY id")]


@pytest.fixture
def kept(tmp_path):
    store = Store.open(tmp_path / "state.db")
    yield Kept(store)
    store.close()


def local(day: int, hour: int, minute: int = 0, month: int = 10) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=ZoneInfo("Europe/Berlin")).astimezone(UTC)


def test_the_first_look_sends_nothing_and_the_next_night_begins_where_that_was_due(kept: Kept) -> None:
    assert kept.look(local(1, 12)) is None
    assert kept.look(local(2, 6, 59)) is None
    assert kept.look(local(2, 7)) == ("2026-10-02", local(1, 7))
    assert kept.look(local(2, 7, 1)) is None
    assert kept.look(local(3, 7, 5)) == ("2026-10-03", local(2, 7))  # periods follow each other without a gap
    assert kept.rows() == [("night 2026-10-02", "admin"), ("night 2026-10-02", "hook"), ("night 2026-10-03", "admin"),
                           ("night 2026-10-03", "hook")]  # fmt: skip


def test_a_night_that_was_missed_is_sent_when_it_can_be_and_the_next_on_time(kept: Kept) -> None:
    kept.look(local(1, 12))
    kept.look(local(2, 7))
    assert kept.look(local(6, 3)) == ("2026-10-05", local(2, 7))  # four nights down: one digest of all of them
    assert kept.look(local(6, 7)) == ("2026-10-06", local(6, 3))
    assert kept.look(local(30, 9)) == ("2026-10-30", local(30, 9) - LONGEST)


def test_weeks_of_looks_around_a_clock_change_with_restarts_send_each_day_once(kept: Kept) -> None:
    draw, moment, sent = random.Random(7), local(18, 12), []
    kept.look(moment)
    while moment < local(3, 12, month=11):
        moment += draw.choice([timedelta(minutes=1), timedelta(minutes=40), timedelta(hours=5), timedelta(hours=11)])
        sent.append(kept.look(moment))
    nights = [one[0] for one in sent if one is not None]
    assert nights == [str(date(2026, 10, 19) + number * DAY) for number in range(len(nights))]
    assert nights[-1] in ("2026-11-03", "2026-11-04")


def test_a_clock_that_is_put_back_neither_doubles_nor_stops_the_nights(kept: Kept) -> None:
    kept.look(local(1, 12))
    assert kept.look(local(2, 7, 1)) is not None
    assert kept.look(local(2, 6, 50)) is None  # ten minutes back, over the time again
    assert kept.look(local(2, 7, 0)) is None
    assert kept.look(local(28, 9)) is not None  # weeks ahead by mistake
    assert kept.look(local(3, 8)) == ("2026-10-03", local(2, 7, 1))
    assert kept.look(local(4, 8)) == ("2026-10-04", local(3, 8))


def test_another_time_or_zone_sends_no_second_digest_of_a_day(kept: Kept) -> None:
    kept.look(local(1, 12))
    assert kept.look(local(2, 7)) is not None
    kept.one = digest(time(9), "Europe/Berlin")
    assert kept.look(local(2, 9)) is None
    kept.one = digest(time(9), "America/New_York")
    assert kept.look(local(2, 16)) is None
    assert kept.look(local(3, 16)) is not None


def test_eight_that_look_at_once_send_one(kept: Kept) -> None:
    kept.look(local(1, 12))
    with ThreadPoolExecutor(8) as pool:
        sent = list(pool.map(lambda _: kept.look(local(2, 7)), range(8)))
    assert sum(one is not None for one in sent) == 1
    assert len(kept.rows()) == 2


def test_a_page_is_kept_while_somebody_waits_for_it_and_the_night_for_good(kept: Kept) -> None:
    kept.look(local(1, 12))
    kept.look(local(2, 7))
    digests, outbox = Digests(kept.store), Outbox(kept.store)
    outbox.sent(1)
    digests.tidy()
    found = digests.of("night 2026-10-02")
    assert found is not None
    assert found.page == "page"
    outbox.failed(2, "refused", local(9, 7))  # given up
    digests.tidy()
    outbox.prune(0)
    found = digests.of("night 2026-10-02")
    assert found is not None
    assert (found.page, kept.rows()) == (None, [])
    assert kept.look(local(2, 8)) is None
