"""The ledger of schedules: a time is decided once and claimed by one, whatever clocks, people and other processes do."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from aishell.errors import StateError
from aishell.models import timestamp
from aishell.state import audit
from aishell.state.schedule_runs import ASKED, MOST_ATTEMPTS, ScheduleRuns
from aishell.state.store import Store

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Time:
    nominal: datetime
    status: str = "due"
    reason: str = ""
    until: datetime | None = None
    times: int = 1


@pytest.fixture
def ledger(tmp_path):
    store = Store.open(tmp_path / "state.db")
    yield ScheduleRuns(store)
    store.close()


def hourly(ledger, at, *, name="hourly", timing="every 3600", targets=("shop",), until=None):
    """Decide the full hours that have come: the newest is due, the others are missed."""

    def decide(known):
        first = known.settled.replace(minute=0) + HOUR
        hours = [first + number * HOUR for number in range(max(0, (at - first) // HOUR + 1))]
        return [Time(h, "due", "", until) if h == hours[-1] else Time(h, "missed", "nobody looked") for h in hours]

    return ledger.settle(name, timing, at, decide, targets=targets, local=lambda moment: moment.isoformat())


def statuses(ledger, name="hourly"):
    return [row.status for row in reversed(ledger.history(name))]


def decisions(ledger):
    with ledger.store.read() as connection:
        rows = connection.all("SELECT data FROM events WHERE type = 'schedule_decided' ORDER BY id")
        assert audit.verify(connection) == []
    return [json.loads(row.data)["decision"] for row in rows]


def claimed(ledger, number, at=NOON, limit=9):
    return ledger.claim(number, f"run-{number}-{at.hour}", at, limit)


def test_times_count_from_when_a_schedule_is_first_seen(ledger):
    assert hourly(ledger, NOON) == []
    assert hourly(ledger, NOON + HOUR / 2) == []
    (row,) = hourly(ledger, NOON + HOUR)
    assert (row.status, row.nominal_at, row.target) == ("due", timestamp(NOON + HOUR), "shop")
    assert hourly(ledger, NOON + HOUR) == []
    assert decisions(ledger) == ["first_seen", "due"]


def test_an_edited_schedule_begins_anew_and_one_that_is_gone_is_forgotten(ledger):
    hourly(ledger, NOON)
    assert hourly(ledger, NOON + 3 * HOUR, timing="every 7200") == []
    (row,) = hourly(ledger, NOON + 4 * HOUR, timing="every 7200")
    ledger.forget(["another"])
    assert ledger.row(row.id).status == "missed"
    assert hourly(ledger, NOON + 9 * HOUR, timing="every 7200") == []
    assert decisions(ledger) == ["first_seen", "edited", "due", "missed", "first_seen"]


def test_each_target_has_a_row_and_what_is_missed_has_one(ledger):
    hourly(ledger, NOON)
    rows = hourly(ledger, NOON + 2 * HOUR, targets=("crm", "shop"))
    assert [(row.target, row.status) for row in rows] == [("", "missed"), ("crm", "due"), ("shop", "due")]


def test_a_time_that_never_had_its_turn_is_missed_when_the_next_comes(ledger):
    hourly(ledger, NOON)
    hourly(ledger, NOON + HOUR)
    hourly(ledger, NOON + 2 * HOUR)
    first, second = reversed(ledger.history())
    assert (first.status, second.status) == ("missed", "due")
    assert first.reason == "the next time came before it could begin"


def test_what_is_due_is_missed_when_its_window_closes(ledger):
    hourly(ledger, NOON)
    (row,) = hourly(ledger, NOON + HOUR, until=NOON + 2 * HOUR)
    assert ledger.expire(NOON + HOUR) == []
    assert claimed(ledger, row.id, NOON + 2 * HOUR) is None
    assert [gone.id for gone in ledger.expire(NOON + 2 * HOUR)] == [row.id]
    assert "the window closed" in ledger.row(row.id).reason


def test_when_the_clock_is_put_back_what_has_not_begun_comes_again_and_what_has_does_not(ledger):
    hourly(ledger, NOON)
    (ran,) = hourly(ledger, NOON + HOUR)
    assert claimed(ledger, ran.id) is not None
    ledger.close(ran.id, "done", exit_code=0, outcome="success")
    hourly(ledger, NOON + 50 * HOUR)  # the clock was days ahead
    assert hourly(ledger, NOON + HOUR / 2) == []
    assert statuses(ledger) == ["done"]
    hourly(ledger, NOON + HOUR)
    assert statuses(ledger) == ["done"], "not a second time"
    hourly(ledger, NOON + 2 * HOUR)
    assert statuses(ledger) == ["done", "due"]
    assert "clock_put_back" in decisions(ledger)


def test_of_many_processes_one_decides_and_one_claims(tmp_path):
    stores = [Store.open(tmp_path / "state.db") for _ in range(6)]
    ledgers = [ScheduleRuns(store) for store in stores]
    hourly(ledgers[0], NOON)
    with ThreadPoolExecutor(6) as pool:
        for number in range(1, 11):
            at = NOON + number * HOUR
            written = list(pool.map(lambda ledger, at=at: hourly(ledger, at), ledgers))
            assert sorted(map(len, written)) == [0, 0, 0, 0, 0, 1]
            (row,) = next(rows for rows in written if rows)
            claims = list(
                pool.map(lambda ledger, at=at, row=row: ledger.claim(row.id, f"{id(ledger)}", at, 1), ledgers)
            )
            # A claimed row can be claimed again only by who holds its lock: that is the caller's.
            assert {claim.run_id for claim in claims if claim} == {ledgers[0].row(row.id).run_id}
            assert ledgers[0].row(row.id).attempts <= MOST_ATTEMPTS
            ledgers[0].close(row.id, "done", exit_code=0, outcome="success")
    for store in stores:
        store.close()


def test_whoever_takes_a_row_over_has_the_same_run(ledger):
    hourly(ledger, NOON)
    (row,) = hourly(ledger, NOON + HOUR)
    ids = {ledger.claim(row.id, f"proposed-{number}", NOON + HOUR, 1).run_id for number in range(MOST_ATTEMPTS)}
    assert ids == {"proposed-0"}
    assert ledger.claim(row.id, "one-more", NOON + HOUR, 1) is None
    assert ledger.row(row.id).attempts == MOST_ATTEMPTS


def test_no_more_run_than_may_and_never_two_on_one_target(ledger):
    for name in ("first", "second", "third"):
        hourly(ledger, NOON, name=name)
    rows = [
        hourly(ledger, NOON + HOUR, name=name, targets=(t,))[0]
        for name, t in (("first", "a"), ("second", "a"), ("third", "b"))
    ]
    assert claimed(ledger, rows[0].id) is not None
    assert claimed(ledger, rows[1].id) is None, "the target is in use"
    assert claimed(ledger, rows[2].id, limit=1) is None, "one at a time"
    assert claimed(ledger, rows[2].id, limit=2) is not None
    ledger.close(rows[0].id, "done", exit_code=0, outcome="success")
    assert claimed(ledger, rows[1].id, limit=2) is not None


def test_a_run_that_waits_for_many_answers_has_not_been_tried_often(ledger):
    hourly(ledger, NOON)
    (row,) = hourly(ledger, NOON + HOUR)
    for _ in range(2 * MOST_ATTEMPTS):
        assert claimed(ledger, row.id) is not None
        ledger.close(row.id, "waiting", exit_code=3, outcome="waiting_approval")
    assert ledger.row(row.id).attempts == 1


def test_what_was_asked_for_is_not_begun_hours_later(ledger):
    (number,) = ledger.ask("hourly", ["shop"], NOON, "12:00", None)
    assert ledger.expire(NOON + ASKED / 2) == []
    assert [row.id for row in ledger.expire(NOON + ASKED)] == [number]
    assert ledger.row(number).reason == "it could not begin in time: run-now"


def test_what_could_not_begin_has_its_turn_again_and_that_was_no_attempt(ledger):
    hourly(ledger, NOON)
    (row,) = hourly(ledger, NOON + HOUR)
    for _ in range(2 * MOST_ATTEMPTS):
        assert claimed(ledger, row.id) is not None
        ledger.put_back(row.id, "the target is in use")
    assert (ledger.row(row.id).status, ledger.row(row.id).attempts) == ("due", 0)


def test_a_time_that_a_person_leaves_out_is_not_run(ledger):
    hourly(ledger, NOON)
    ledger.skip("hourly", NOON + HOUR, "13:00", "backup of the host")
    with pytest.raises(StateError, match="already decided: skipped"):
        ledger.skip("hourly", NOON + HOUR, "13:00", "")
    (row,) = hourly(ledger, NOON + HOUR)
    assert (row.status, row.asked_by is None) == ("skipped", False)
    assert row.reason.endswith(": backup of the host")
    hourly(ledger, NOON + 2 * HOUR)
    assert statuses(ledger) == ["skipped", "due"]


def test_a_pause_is_known_until_it_is_undone(ledger):
    ledger.pause("hourly", "every 3600", NOON, "migration")
    known = ledger.known()["hourly"]
    assert (known.pause.until, known.pause.reason) == (NOON, "migration")
    assert ledger.resume("hourly") is True
    assert ledger.known()["hourly"].pause is None
    assert ledger.resume("hourly") is False
    assert decisions(ledger) == ["first_seen", "paused", "resumed"]


def test_what_a_person_asks_for_is_outlived_by_no_nominal_time(ledger):
    hourly(ledger, NOON)
    numbers = ledger.ask("hourly", ["shop", "crm"], NOON + HOUR / 2, "12:30", None)
    hourly(ledger, NOON + HOUR)
    assert [ledger.row(number).status for number in numbers] == ["due", "due"]
    assert [row.id for row in ledger.open(NOON + HOUR)][:2] == numbers
