"""Nominal times: one fire a local day through every clock change of 2026, whenever something was restarted."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aishell.scheduling.due import settle
from aishell.scheduling.schedules import Schedule
from aishell.scheduling.times import Cron, Every, Timing, Window, instant, seconds
from tests.seed import dice

#: Clock changes of an hour, of half an hour and of two, at midnight, twice for Ramadan, and none.
ZONES = (
    "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Australia/Sydney", "Africa/Casablanca", "America/Havana",
    "Africa/Cairo", "Asia/Beirut", "America/Santiago", "Antarctica/Troll", "Pacific/Chatham", "Europe/London",
    "Asia/Kolkata", "UTC",
)  # fmt: skip
DAILY = ("00:00", "00:15", "01:30", "02:00", "02:30", "03:00", "03:30", "23:45")
YEAR = [date(2026, 1, 1) + timedelta(days=number) for number in range(365)]


def daily(at: str) -> Cron:
    hour, minute = map(int, at.split(":"))
    return Cron(f"{minute} {hour} * * *")


def year_of(zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Just before the year begins, and when it ends."""
    begin, end = (instant(datetime(year, 1, 1), zone) for year in (2026, 2027))  # noqa: DTZ001
    return begin - timedelta(seconds=1), end


def fires(rule: Cron | Every, zone: ZoneInfo, begin: datetime, end: datetime) -> list[datetime]:
    return list(takewhile(lambda moment: moment < end, rule.after(begin, zone)))


def changes(zone: ZoneInfo) -> list[datetime]:
    """The days before and of each change of the clock in 2026."""
    moments = [datetime(2025, 12, 31, tzinfo=UTC) + timedelta(days=number) for number in range(367)]
    offsets = [moment.astimezone(zone).utcoffset() for moment in moments]
    return [moments[number] for number in range(366) if offsets[number] != offsets[number + 1]]


@pytest.mark.parametrize("name", ZONES)
def test_one_fire_a_local_day_whatever_is_restarted_when(name):
    zone, random = ZoneInfo(name), dice(name)
    begin, end = year_of(zone)
    for at in DAILY:
        rule = daily(at)
        found = fires(rule, zone, begin, end)
        assert [moment.astimezone(zone).date() for moment in found] == YEAR, at
        # Each is at its time of day, or there was no such time and it is at the end of the gap.
        for moment, day in zip(found, YEAR, strict=True):
            shown = moment.astimezone(zone)
            wall = datetime.combine(day, time.fromisoformat(at))
            before = (moment - timedelta(seconds=1)).astimezone(zone).replace(tzinfo=None)
            exact = shown.replace(tzinfo=None) == wall and shown.fold == 0
            assert exact or before < wall < shown.replace(tzinfo=None), (at, shown)
        # Started at any moment, near the changes above all, it goes on with the very next one.
        near = [moment + timedelta(hours=random.uniform(-3, 30)) for moment in changes(zone) for _ in range(6)]
        for restart in (*near, *(begin + (end - begin) * random.random() for _ in range(6))):
            follows = next(rule.after(restart, zone))
            assert follows == next((moment for moment in found if moment > restart), follows), (at, restart)
        assert_each_is_decided_once(rule, zone, found, begin, end, random)


def assert_each_is_decided_once(rule, zone, found, begin, end, random):
    """What looks at random moments, and knows no more than up to when all was decided, loses no night and doubles none."""
    schedule = Schedule("nightly", Timing(rule, zone), "maintenance", targets=("shop",), missed="once")
    settled = now = begin
    decided, late = [], []
    while now < end:
        now = min(end, now + timedelta(hours=random.expovariate(1 / 40)))
        entries = settle(schedule, settled, now)
        decided += [entry.nominal for entry in entries]
        late += [entry for entry in entries if entry.status != "due"]
        settled = max([settled, *(entry.nominal for entry in entries)])
    assert [moment for moment in decided if moment < end] == found
    assert all(entry.status == "missed" and entry.reason for entry in late)
    assert late, "some nights had nothing look for them"


def test_a_night_whose_time_is_in_a_gap_over_midnight_runs_at_the_end_of_the_gap():
    zone = ZoneInfo("America/Nuuk")  # 28 March 2026 ends at 23:00
    begin, end = year_of(zone)
    found = fires(daily("23:30"), zone, begin, end)
    assert len(found) == len(set(found)) == 365
    days = [moment.astimezone(zone).date() for moment in found]
    assert days.count(date(2026, 3, 28)) == 0
    assert days.count(date(2026, 3, 29)) == 2


def test_the_hours_of_a_repeated_half_hour_are_all_there():
    """cronsim's own walk loses 02:00."""
    zone = ZoneInfo("Australia/Lord_Howe")
    begin = datetime(2026, 4, 4, 10, tzinfo=UTC)
    found = [moment.astimezone(zone) for moment in islice(Cron("0 */2 * * *").after(begin, zone), 4)]
    assert [f"{moment:%H:%M%z}" for moment in found] == ["22:00+1100", "00:00+1100", "02:00+1030", "04:00+1030"]


def parts(field: str, names: str, low: int, high: int) -> set[int]:
    """A field of a cron expression, read in the plainest way: the tests' own."""
    found: set[int] = set()
    words = {name: low + number for number, name in enumerate(names.split())}
    for one in field.upper().split(","):
        span, _, step = one.partition("/")
        first, _, last = ("*" if span == "*" else span).partition("-")
        numbers = [words[word] if word in words else int(word) for word in (first, last) if word not in ("", "*")]
        ends = (low, high) if span == "*" else (numbers[0], numbers[-1])
        found |= set(range(ends[0], ends[1] + 1, int(step or 1)))
    return found


def fits(text: str, wall: datetime) -> bool:
    """Whether a calendar shows a time of an expression, by crontab(5)."""
    minute, hour, day, month, weekday = text.split()
    months, days = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC", "SUN MON TUE WED THU FRI SAT"
    weekdays = {number % 7 for number in parts(weekday, days, 0, 7)}
    of_month, of_week = wall.day in parts(day, "", 1, 31), (wall.weekday() + 1) % 7 in weekdays
    both = day.startswith("*") or weekday.startswith("*")
    times = wall.minute in parts(minute, "", 0, 59) and wall.hour in parts(hour, "", 0, 23)
    return (
        times and wall.month in parts(month, months, 1, 12) and (of_month and of_week if both else of_month or of_week)
    )


def field(low: int, high: int, *names: str) -> st.SearchStrategy[str]:
    number = st.integers(low, high).map(str)
    span = st.tuples(st.integers(low, high), st.integers(low, high)).map(lambda ends: f"{min(ends)}-{max(ends)}")
    step = st.tuples(st.one_of(st.just("*"), span), st.integers(1, 30)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    single = st.one_of(number, span, step, *([st.sampled_from(names)] if names else []))
    return st.one_of(st.just("*"), single, st.lists(single, min_size=2, max_size=3).map(",".join))


EXPRESSIONS = st.tuples(
    field(0, 59), field(0, 23), field(1, 28), st.just("*"), field(0, 7, "mon", "Wed", "SUN", "mon-fri")
).map(" ".join)


@settings(max_examples=40)
@given(EXPRESSIONS, st.sampled_from(["Europe/Berlin", "Australia/Lord_Howe", "America/Santiago", "UTC"]), st.booleans())
@example("30 2 * * *", "Europe/Berlin", True)
@example("*/30 * * * *", "Australia/Lord_Howe", False)
@example("0 0 13 * fri", "UTC", False)
@example("15 3 * * 7", "UTC", False)
@example("5-5/2 3-03/2 * * *", "UTC", False)
def test_an_expression_is_read_as_debians_cron_reads_it(text, name, spring):
    """Times of day once a day, at the end of a gap where there is none; wildcards whenever clocks show them."""
    zone = ZoneInfo(name)
    begin = (
        changes(zone)[0 if spring else -1] - timedelta(days=1) if changes(zone) else datetime(2026, 5, 1, tzinfo=UTC)
    )
    end = begin + timedelta(days=3)
    rule = Cron(text)
    if rule.fixed:
        first = begin.astimezone(zone).replace(tzinfo=None, hour=0, minute=0) - timedelta(days=1)
        walls = (first + timedelta(minutes=number) for number in range(5 * 1440))
        expected = {instant(wall, zone) for wall in walls if fits(text, wall)}
    else:
        minutes = (begin + timedelta(minutes=number) for number in range(3 * 1440 + 1))
        expected = {moment for moment in minutes if fits(text, moment.astimezone(zone).replace(tzinfo=None))}
    assert fires(rule, zone, begin, end) == sorted(moment for moment in expected if begin < moment < end)


@pytest.mark.parametrize("text", [
    "", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 13 * ", "* * * * 8", "0 0 30 2 *",
    "0 0 31 2,4 *", "0 0 * * fri-mon", "0 0 L * *", "0 0 LW * *", "0 0 * * 1#2", "0 0 * * 5L", "5/15 * * * *", "? * * * *",
    "0 0 ? * mon", "*/0 * * * *", "-5 * * * *", "1,,2 * * * *", "1- * * * *", "0 0 * * lundi", "0 0 * foo *", "@reboot", "@dayly",
    "0 0 * * ²", "9" * 5000 + " * * * *",
])  # fmt: skip
def test_what_debians_cron_would_refuse_is_refused(text):
    with pytest.raises(ValueError, match=r".") as caught:
        Cron(text)
    assert len(str(caught.value)) < 200


@given(st.text("0123456789*,/-LW# @MONJAN?²", max_size=30))
def test_any_text_is_an_expression_or_is_refused(text):
    try:
        rule = Cron(text)
    except ValueError:
        return
    assert next(rule.after(datetime(2026, 1, 1, tzinfo=UTC), ZoneInfo("UTC"))).second == 0


@pytest.mark.parametrize(("name", "same"), [
    ("@daily", "0 0 * * *"), ("@Midnight", "0 0 * * *"), ("@hourly", "0 * * * *"), ("@weekly", "0 0 * * sun"),
    ("@monthly", "0 0 1 * *"), ("@yearly", "0 0 1 jan *"), ("@annually", "0 0 1 1 *"), ("0 5 * * 0", "0 5 * * 7"),
    ("0 5 * * sun", "0 5 * * 7"), ("0 5 * * 1-5", "0 5 * * MON-fri"),
])  # fmt: skip
def test_two_ways_of_writing_the_same(name, same):
    begin, zone = datetime(2026, 1, 1, 12, tzinfo=UTC), ZoneInfo("Europe/Berlin")
    first, second = (list(islice(Cron(text).after(begin, zone), 50)) for text in (name, same))
    assert first == second


@given(st.integers(1, 10**7), st.datetimes(timezones=st.just(UTC)).filter(lambda moment: 1990 < moment.year < 2100))
def test_an_interval_is_the_same_wherever_it_is_begun(length, begin):
    first, second = islice(Every(length).after(begin, ZoneInfo("UTC")), 2)
    assert begin < first <= begin + timedelta(seconds=length)
    assert (second - first).total_seconds() == length
    assert next(Every(length).after(first - timedelta(microseconds=1), ZoneInfo("UTC"))) == first


@settings(max_examples=50)
@given(st.times(), st.times(), st.sampled_from(ZONES), st.data())
def test_a_moment_is_in_a_window_by_what_clocks_show(opens, closes, name, data):
    opens, closes = (at.replace(second=0, microsecond=0) for at in (opens, closes))
    if opens == closes:
        return
    zone, window = ZoneInfo(name), Window(opens, closes)
    moment = datetime(2026, 1, 2, tzinfo=UTC) + timedelta(minutes=data.draw(st.integers(0, 360 * 1440)))
    end = window.end(moment, zone)
    wall = moment.astimezone(zone)
    inside = opens <= wall.time() < closes if opens < closes else wall.time() >= opens or wall.time() < closes
    changed = any(abs(moment - change) < timedelta(days=2) for change in changes(zone))
    assert changed or (end is not None) == inside
    assert end is None or moment < end <= moment + timedelta(hours=26)
    assert end is None or changed or end.astimezone(zone).time() == closes


def test_a_window_closes_at_one_instant_though_its_hour_comes_twice():
    zone = ZoneInfo("Europe/Berlin")
    evening = datetime(2026, 10, 24, 21, tzinfo=UTC)  # 23:00
    assert Window.parse("22:00-02:30").end(evening, zone) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert Window.parse("22:00-05:30").end(evening, zone) == datetime(2026, 10, 25, 4, 30, tzinfo=UTC)
    spring = datetime(2026, 3, 28, 23, tzinfo=UTC)  # 00:00; there is no 02:30
    assert Window.parse("22:00-02:30").end(spring, zone) == datetime(2026, 3, 29, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["", "22:00", "22-05", "25:00-05:00", "22:00-05:60", "05:00-05:00", "22:00-05:00-06:00"]
)
def test_a_window_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="window"):
        Window.parse(text)


@pytest.mark.parametrize(("rule", "window", "opens"), [
    (daily("02:30"), "22:00-05:30", True), (daily("12:00"), "22:00-05:30", False), (daily("05:30"), "22:00-05:30", False),
    (daily("22:00"), "22:00-05:30", True), (Cron("0 * * * *"), "02:30-02:45", False), (Cron("0 3 29 2 *"), "22:00-05:30", True),
    (Every(1), "23:00-23:01", True), (Every(86400), "00:00-01:00", True), (Every(86400), "02:00-03:00", False),
])  # fmt: skip
def test_whether_a_window_ever_opens_is_known_beforehand(rule, window, opens):
    timing = Timing(rule, ZoneInfo("UTC"), Window.parse(window))
    assert timing.opens_ever(datetime(2026, 1, 1, 12, tzinfo=UTC)) is opens


def test_only_times_in_the_window_are_nominal():
    timing = Timing(Cron("0 * * * *"), ZoneInfo("Europe/Berlin"), Window.parse("22:00-05:30"))
    found = islice(timing.after(datetime(2026, 1, 1, 12, tzinfo=UTC)), 16)
    assert [moment.astimezone(timing.zone).hour for moment in found] == [22, 23, *range(6)] * 2


@pytest.mark.parametrize(
    ("text", "length"), [("90s", 90), ("30m", 1800), ("26h", 93600), ("7d", 604800), (45, 45), ("0", 0)]
)
def test_durations(text, length):
    assert seconds(text) == length


@pytest.mark.parametrize("text", ["", "h", "-5", "1.5h", "5 m", "1w", "5M", "٣", "9999999999"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="invalid duration"):
        seconds(text)


@pytest.mark.parametrize(
    ("every", "shown"),
    [(20, "every 20s"), (120, "every 2m"), (21600, "every 6h"), (604800, "every 7d"), (90, "every 90s")],
)
def test_an_interval_is_shown_as_it_is_written(every: int, shown: str):
    timing = Timing(Every(every), ZoneInfo("Europe/Berlin"))
    assert timing.shown == shown
    assert seconds(shown.removeprefix("every ")) == every
