"""What the log says that was earned, against a plain reader of the same history; and logs that somebody has worked on."""

from __future__ import annotations

import contextlib
import itertools
import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aishell.codec import plain
from aishell.models import RunState, Step, StepStatus, Subject
from aishell.settings.schemas import MOST_SUPERVISED
from aishell.state import audit
from aishell.state.approvals import Approvals
from aishell.state.audit_records import verify_records
from aishell.state.autonomy import MOST, Autonomy
from aishell.state.runs import Runs
from aishell.state.sealing import seal
from aishell.state.store import Store
from tests.unit.making import start_run

SHOP = Subject("optimize_table", "v1", "shop", "database 1", "production")
#: Other things that could pass for it: another tool, version, name, database or environment.
OTHERS = (
    replace(SHOP, tool="rebuild_fragmented_indexes"),
    replace(SHOP, version="v2"),
    replace(SHOP, target="crm"),
    replace(SHOP, identity="database 2"),
    replace(SHOP, target="crm", identity="database 2"),
    replace(SHOP, environment="test"),
)
APPROVED = ("prompt", "elsewhere")
ANSWERS = (
    *APPROVED,
    "first asked, then earned",
    "--yes",
    "schedule",
    "program",
    "earned",
    "nobody",
    "edited",
    "void",
    "socket",
)
ENDS = (
    "done",
    "failed",
    "in_doubt",
    "idle",
    "deferred",
    "refused",
    "rejected",
    "rejected elsewhere",
    "undone",
    "cut off",
)
RESETS = ("failed", "in_doubt", "rejected", "rejected elsewhere", "undone", "cut off")


@dataclass(frozen=True)
class Night:
    """A run: for each of its steps of a subject, who answered for it and how it ended."""

    subject: Subject
    steps: tuple[tuple[str, str], ...]

    @property
    def resets(self) -> bool:
        return any(end in RESETS for _, end in self.steps)

    @property
    def counts(self) -> bool:
        return not self.resets and any(answer in APPROVED and end == "done" for answer, end in self.steps)


def expected(history: list[Night], subject: Subject) -> int:
    """From the last night back to the one that took everything away: a reader that knows no events."""
    count = 0
    for night in reversed(history):
        same = night.subject.target == subject.target or night.subject.identity == subject.identity
        if night.resets and night.subject.tool == subject.tool and same:
            return count
        count += night.counts and night.subject == subject
    return count


class Log:
    """A store into which nights are written, as runs write them."""

    def __init__(self, store: Store) -> None:
        self.store, self.approvals = store, Approvals(store)

    def night(self, night: Night, over: RunState = RunState.COMPLETED) -> str:
        steps = [Step(f"s{number}", night.subject.tool, index=number) for number in range(len(night.steps))]
        runs, run_id, owner = start_run(self.store, *steps, target=night.subject.target)
        runs.change_state(run_id, owner, RunState.EXECUTING)
        for number, (answer, end) in enumerate(night.steps):
            self._step(runs, run_id, owner, number, night.subject, answer, end)
        ends = {end for _, end in night.steps}
        runs.change_state(run_id, owner, RunState.CANCELLED if "cut off" in ends else over)
        return run_id

    def _step(self, runs: Runs, run: str, owner: str, index: int, subject: Subject, answer: str, end: str) -> None:
        fixed = {"task_id": "t1", "total": 1}
        if end in ("idle", "deferred", "refused"):
            status = StepStatus.REJECTED if end == "refused" else StepStatus.SKIPPED
            runs.step_ended(run, owner, index, {"status": status, "cause": None}, **fixed)
            return
        if end == "rejected":
            told = {"status": "rejected", "by": "kim", "reason": "no", "subject": plain(subject)}
            runs.event("approval_decided", told, run_id=run, step_index=index)
        elif end == "rejected elsewhere":
            asked = self.approvals.ask(run, index, "s", f"d{index}", "confirm", {"earned": True}, 24, subject=subject)
            self.approvals.decide(asked, "rejected", by="kim", reason="no")
            self.approvals.close(asked, "consumed")
        else:
            self._answer(runs, run, index, subject, answer)
            runs.step_started(run, owner, index, {"attempt": 1}, subject=subject, **fixed)
        if end == "cut off":
            return
        status = {"failed": StepStatus.FAILED, "in_doubt": StepStatus.IN_DOUBT}.get(end, StepStatus.DONE)
        status = StepStatus.REJECTED if end.startswith("rejected") else status
        runs.step_ended(run, owner, index, {"status": status, "cause": None}, **fixed)
        if end == "undone":
            back = replace(subject, tool=f"undo_{subject.tool}", version="undo", takes_back=subject.tool)
            runs.step_started(run, owner, index, {"attempt": 1}, subject=back, **fixed)
            runs.step_ended(run, owner, index, {"status": StepStatus.DONE}, **fixed)

    def _answer(self, runs: Runs, run: str, index: int, subject: Subject, answer: str) -> None:
        if answer in ("elsewhere", "edited", "void", "socket"):
            asked = self.approvals.ask(run, index, "s", f"d{index}", "confirm", {}, 24, subject=subject)
            with typing():
                status = "modified" if answer == "edited" else "approved"
                given = {} if answer == "edited" else None
                place = "socket" if answer == "socket" else None
                self.approvals.decide(asked, status, by="kim", modifications=given, place=place)
            self.approvals.close(asked, "void" if answer == "void" else "consumed")
        elif answer.endswith("earned"):
            if answer.startswith("first"):  # it was killed, and when it is resumed it is earned
                told = {"status": "approved", "by": "kim", "terminal": "/dev/pts/1"}
                runs.event("approval_decided", told, run_id=run, step_index=index)
            runs.event("autonomy_used", {}, run_id=run, step_index=index)
        elif answer != "nobody":
            told = {"status": "approved", "by": "kim", "terminal": "/dev/pts/1" if answer == "prompt" else None}
            runs.event("approval_decided", told, run_id=run, step_index=index)

    def count(self, subject: Subject = SHOP) -> int:
        return Autonomy(self.store).tally(subject).count


@contextlib.contextmanager
def typing():
    """A person who decides elsewhere does so at a terminal."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aishell.state.approvals.terminal", lambda: "/dev/pts/2")
        yield


@pytest.fixture
def log(tmp_path):
    with contextlib.closing(Store.open(tmp_path / "state.db")) as store:
        yield Log(store)


SUPERVISED = Night(SHOP, (("prompt", "done"),))
nights = st.builds(
    Night,
    st.sampled_from([SHOP, SHOP, SHOP, *OTHERS]),
    st.lists(
        st.tuples(st.sampled_from([*APPROVED, *ANSWERS]), st.sampled_from(["done"] * 12 + list(ENDS))),
        min_size=1,
        max_size=2,
    ).map(tuple),
)


@settings(max_examples=40)
@given(st.lists(nights, max_size=8))
def test_whatever_happened_no_more_is_counted_than_the_rule_says(history):
    """After each night, by one process that has looked all along and by one that looks for the first time."""
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(Store.open(Path(folder) / "state.db")) as store:
        log, along = Log(store), Autonomy(store)
        for number, night in enumerate(history, 1):
            log.night(night)
            for subject in (SHOP, *OTHERS):
                assert along.tally(subject).count == expected(history[:number], subject), (night, subject)
        assert all(log.count(subject) == expected(history, subject) for subject in (SHOP, *OTHERS))


@settings(max_examples=20)
@given(st.lists(nights, max_size=5), st.lists(nights, max_size=4), st.lists(nights, max_size=3))
def test_sealing_carries_the_counts_on(first, then, last):
    """Sealed twice, with runs after each time: what is counted is as if nothing had been sealed."""
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(Store.open(Path(folder) / "state.db")) as store:
        log = Log(store)
        for number, part in enumerate((first, then, last)):
            for night in part:
                log.night(night)
            if number < 2:
                seal(store, Path(folder) / f"{number}.jsonl", "9999")
        history = [*first, *then, *last]
        assert [log.count(subject) for subject in (SHOP, *OTHERS)] == [
            expected(history, one) for one in (SHOP, *OTHERS)
        ]
        with store.read() as connection:
            assert audit.verify(connection) == []
            assert verify_records(connection) == []


@pytest.mark.parametrize("end", [end for end in ENDS if end != "done"])
def test_what_takes_it_away_and_what_does_not(log, end):
    for _ in range(3):
        log.night(SUPERVISED)
    log.night(Night(SHOP, (("prompt", end),)))
    assert log.count() == (0 if end in RESETS else 3)
    log.night(SUPERVISED)
    assert log.count() == (1 if end in RESETS else 4)


@pytest.mark.parametrize("answer", ANSWERS)
def test_who_has_to_have_answered(log, answer):
    log.night(Night(SHOP, ((answer, "done"),)))
    assert log.count() == (answer in APPROVED)


@pytest.mark.parametrize("other", OTHERS)
def test_what_is_earned_elsewhere_does_not_count(log, other):
    log.night(Night(other, (("prompt", "done"),)))
    assert (log.count(), log.count(other)) == (0, 1)


def test_a_step_that_has_begun_elsewhere_and_not_ended_holds_it_up(log):
    log.night(SUPERVISED)
    runs, run_id, owner = start_run(log.store, Step("s0", SHOP.tool))
    runs.change_state(run_id, owner, RunState.EXECUTING)
    runs.step_started(run_id, owner, 0, {"attempt": 1}, task_id="t1", total=1, subject=SHOP)
    autonomy = Autonomy(log.store)
    assert "has begun in run" in str(autonomy.tally(SHOP).problem)
    assert autonomy.tally(SHOP, run_id).count == 1  # to the run itself it is no hindrance
    runs.settle(run_id, "cancel")
    assert (autonomy.tally(SHOP).count, autonomy.tally(SHOP).problem) == (0, None)


EDITS = {
    "data": "UPDATE events SET data = replace(data, 'done', 'd0ne') || ' ' WHERE id = :id",
    "type": "UPDATE events SET type = 'statement_sent' WHERE id = :id",
    "blob": "UPDATE events SET data = CAST(data AS BLOB) WHERE id = :id",
    "hash": "UPDATE events SET hash = :hash WHERE id = :id",
    "rehashed": "UPDATE events SET at = '2020', hash = :rehashed WHERE id = :id",
    "run": "UPDATE events SET run_id = 'another' WHERE id = :id",
    "gone": "DELETE FROM events WHERE id = :id",
}


@pytest.mark.parametrize("how", EDITS)
@settings(max_examples=10)
@given(st.lists(st.one_of(st.just(SUPERVISED), nights), min_size=1, max_size=4), st.integers(0, 10**6))
def test_what_stands_before_a_change_of_the_log_counts_for_nothing(how, history, drawn):
    """Whichever event is edited: only what a whole chain leads up to is counted. The newest one's end is the anchor's."""
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(Store.open(Path(folder) / "state.db")) as store:
        log = Log(store)
        for night in history:
            log.night(night)
        runs = Runs(store)
        runs.drop_anchor()
        number = runs.head()[0]
        edited = 1 + drawn % number
        before = Autonomy(store).tally(SHOP)
        with store.write() as connection:
            row = dict(connection.first("SELECT * FROM events WHERE id = :id", {"id": edited}) or {})
            hashed = audit.hash_of({**row, "at": "2020", "data": json.loads(row["data"])})
            connection.execute(EDITS[how], {"id": edited, "hash": "f" * 64, "rehashed": hashed})
        after = Autonomy(store).tally(SHOP)
        assert all(event > edited for event in after.events), (before, after)
        assert set(after.events) <= set(before.events)


def test_a_tail_that_was_cut_off_counts_for_nothing(log):
    """The failure is what was cut off; the chain that is left is whole."""
    for _ in range(2):
        log.night(SUPERVISED)
    runs = Runs(log.store)
    whole = runs.head()[0]
    log.night(Night(SHOP, (("prompt", "failed"),)))
    runs.drop_anchor()
    with log.store.write() as connection:
        connection.execute("DELETE FROM events WHERE id > :id", {"id": whole})
    tally = Autonomy(log.store).tally(SHOP)
    assert tally.count == 0
    assert "cut off" in str(tally.problem)
    runs.check_anchor()  # the next run says so in the log, and leaves a new anchor at its end
    runs.drop_anchor()
    assert log.count() == 0
    log.night(SUPERVISED)
    assert log.count() == 1


def test_a_process_that_has_looked_before_sees_what_is_cut_off_behind_its_back(log):
    along = Autonomy(log.store)
    for _ in range(2):
        log.night(SUPERVISED)
    assert along.tally(SHOP).count == 2
    with log.store.write() as connection:
        connection.execute("DELETE FROM events WHERE id > 1")
    assert along.tally(SHOP).count == 0


def test_tables_can_be_edited_and_nothing_is_earned_by_it(log):
    log.night(Night(SHOP, (("prompt", "failed"),)))
    with log.store.write() as connection:
        connection.execute("UPDATE steps SET status = 'done', approved_by = 'kim'")
        connection.execute("UPDATE runs SET state = 'completed'")
    assert log.count() == 0


def test_what_is_lost_is_told_where_an_answer_elsewhere_takes_it(log):
    for _ in range(2):
        log.night(SUPERVISED)
    log.night(Night(SHOP, (("prompt", "rejected elsewhere"),)))
    with log.store.read() as connection:
        (row,) = connection.all("SELECT data FROM events WHERE type = 'autonomy_reset'")
    told = json.loads(row.data)
    assert (told["count"], told["subject"]["tool"], told["because"]) == (2, SHOP.tool, "rejected by kim")


def test_a_rejection_elsewhere_cannot_be_cut_off_unseen(log):
    """No run has ended since: the answer itself leaves the head of the log beside the store."""
    for _ in range(2):
        log.night(SUPERVISED)
    runs, run_id, owner = start_run(log.store, Step("s0", SHOP.tool))
    runs.change_state(run_id, owner, RunState.EXECUTING)
    asked = log.approvals.ask(run_id, 0, "s0", "d", "confirm", {"earned": True}, 24, subject=SHOP)
    whole = runs.head()[0]
    log.approvals.decide(asked, "rejected", by="kim", reason="no")
    with log.store.write() as connection:
        connection.execute("DELETE FROM events WHERE id > :id", {"id": whole})
    tally = Autonomy(log.store).tally(SHOP)
    assert (tally.count, "cut off" in str(tally.problem)) == (0, True)


def test_as_many_are_kept_as_a_rule_can_ask_for():
    assert MOST == MOST_SUPERVISED


def test_many_threads_can_ask_at_once(log):
    from concurrent.futures import ThreadPoolExecutor

    for _ in range(3):
        log.night(SUPERVISED)
    along = Autonomy(log.store)
    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(lambda _: along.tally(SHOP).count, itertools.repeat(0, 40)))
    assert set(counts) == {3}
