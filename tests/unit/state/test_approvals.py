"""Approvals: asked once, decided once, used once; expired and void ones are never used."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from aishell.errors import DeniedError, StateError, UnknownNameError
from aishell.state import audit
from aishell.state.approvals import Approvals, shown
from aishell.state.audit_records import verify_records
from aishell.state.store import Store
from tests.unit.making import start_run


@pytest.fixture
def store(tmp_path):
    made = Store.open(tmp_path / "state.db")
    yield made
    made.close()


@pytest.fixture
def run_id(store) -> str:
    return start_run(store)[1]


@pytest.fixture
def approvals(store) -> Approvals:
    return Approvals(store)


def ask(approvals: Approvals, run_id: str, digest: str = "d1", hours: float = 24, index: int = 0) -> str:
    return approvals.ask(run_id, index, "a", digest, "confirm", {"sql": "ANALYZE", "password": "pw"}, hours)


def told(store: Store, kind: str) -> list[dict]:
    with store.read() as connection:
        found = connection.all("SELECT data FROM events WHERE type = :kind ORDER BY id", {"kind": kind})
        return [json.loads(row.data) for row in found]


def test_a_request_waits_and_shows_what_was_asked_without_secrets(store, approvals, run_id):
    approval = ask(approvals, run_id)
    (row,) = approvals.pending()
    assert (row.id, row.status, row.level, row.digest) == (approval, "pending", "confirm", "d1")
    assert shown(row) == {"sql": "ANALYZE", "password": "***"}
    (event,) = told(store, "approval_requested")
    assert event == {"approval": approval, "digest": "d1", "level": "confirm", "seal": audit.seal_request(row)}
    assert approvals.decided(run_id, 0) is None


def test_the_same_question_is_asked_once(approvals, run_id):
    assert ask(approvals, run_id) == ask(approvals, run_id)
    assert len({ask(approvals, run_id), ask(approvals, run_id, "d2"), ask(approvals, run_id, index=1)}) == 3


@pytest.mark.parametrize(
    ("status", "modifications"), [("approved", None), ("rejected", None), ("modified", {"table": "u"})]
)
def test_an_answer_is_recorded_with_who_gave_it(store, approvals, run_id, status, modifications):
    approval = ask(approvals, run_id)
    approvals.decide(approval[:6], status, by="kim@host", reason="because", modifications=modifications)
    row = approvals.decided(run_id, 0)
    assert row is not None
    assert (row.status, row.decided_by, row.reason, row.digest) == (status, "kim@host", "because", "d1")
    assert (json.loads(row.modifications) if row.modifications else None) == modifications
    assert approvals.pending() == []
    (event,) = told(store, "approval_decided")
    assert {"approval": approval, "status": status, "by": "kim@host", "digest": "d1"}.items() <= event.items()


def test_an_answer_cannot_be_given_twice(approvals, run_id):
    approval = ask(approvals, run_id)
    approvals.decide(approval, "rejected", by="kim")
    with pytest.raises(StateError) as caught:
        approvals.decide(approval, "approved", by="lee")
    assert "was rejected" in caught.value.message
    assert approvals.find(approval).decided_by == "kim"


@pytest.mark.parametrize("status", ["consumed", "void"])
def test_an_approval_that_is_closed_is_never_used_again(approvals, run_id, status):
    approval = ask(approvals, run_id)
    approvals.decide(approval, "approved", by="kim")
    approvals.close(approval, status)
    assert approvals.decided(run_id, 0) is None
    assert approvals.find(approval).status == status
    with pytest.raises(StateError):
        approvals.decide(approval, "approved", by="kim")
    assert ask(approvals, run_id) != approval


def test_an_approval_is_consumed_once(approvals, run_id):
    approval = ask(approvals, run_id)
    approvals.decide(approval, "approved", by="kim")
    approvals.close(approval, "consumed")
    with pytest.raises(StateError):
        approvals.close(approval, "consumed")


def test_a_request_that_expired_waits_for_nobody_and_cannot_be_answered(approvals, run_id):
    approval = ask(approvals, run_id, hours=-1)
    assert approvals.pending() == []
    with pytest.raises(StateError) as caught:
        approvals.decide(approval, "approved", by="kim")
    assert "has expired" in caught.value.message
    assert "the next run asks again" in str(caught.value.hint)


def test_what_nobody_answers_in_time_is_expired_by_nobody_and_once(store, approvals, run_id):
    approval = ask(approvals, run_id, hours=-1)
    for _ in range(2):
        row = approvals.decided(run_id, 0)
        assert row is not None
        assert (row.id, row.status, row.decided_by) == (approval, "expired", "nobody")
    (event,) = told(store, "approval_decided")
    assert (event["status"], event["by"], event["reason"]) == ("expired", "nobody", row.reason)
    with pytest.raises(StateError, match="has expired"):
        approvals.decide(approval, "approved", by="kim")
    with store.read() as connection:
        assert verify_records(connection) == []


def test_a_request_that_was_asked_anew_does_not_expire_for_the_newer_one(approvals, run_id):
    ask(approvals, run_id, "d1", hours=-1)
    newer = ask(approvals, run_id, "d2")
    assert approvals.decided(run_id, 0) is None
    approvals.decide(newer, "approved", by="kim")
    row = approvals.decided(run_id, 0)
    assert (row.id, row.status) == (newer, "approved")


def test_of_two_people_the_second_can_be_too_late(approvals, run_id, monkeypatch):
    asked = {"tool": "t", "people": 2, "requesters": [1]}
    approval = approvals.ask(run_id, 0, "a", "d", "review", asked, 24)
    assert approvals.decide(approval, "approved", by="kim", uid=2) == "pending"
    monkeypatch.setattr("aishell.state.approvals.now", lambda: "2999-01-01T00:00:00.000000+00:00")
    with pytest.raises(StateError, match="has expired"):
        approvals.decide(approval, "approved", by="lee", uid=3)
    row = approvals.decided(run_id, 0)
    assert (row.status, row.decided_by) == ("expired", "nobody")
    assert row.reason.startswith("only kim had approved until ")


@pytest.mark.parametrize("late", [timedelta(0), timedelta(microseconds=1)])
def test_an_answer_in_the_very_last_moment_counts(approvals, run_id, monkeypatch, late):
    approval = ask(approvals, run_id)
    moment = datetime.fromisoformat(approvals.find(approval).expires_at) + late
    monkeypatch.setattr("aishell.state.approvals.now", lambda: moment.isoformat(timespec="microseconds"))
    assert [row.id for row in approvals.pending()] == ([] if late else [approval])
    if late:
        with pytest.raises(StateError, match="has expired"):
            approvals.decide(approval, "approved", by="kim")
    else:
        approvals.decide(approval, "approved", by="kim")
    row = approvals.decided(run_id, 0)
    assert row is not None
    assert row.status == ("expired" if late else "approved")


def test_decided_and_expired_at_once_one_of_them_wins(store, approvals, run_id):
    """An answer waits for its turn to write, and meanwhile its time goes by; whatever is first, the log says the same."""
    seen = []
    for number in range(12):
        approval = approvals.ask(run_id, 0, "a", f"d{number}", "confirm", {"tool": "t"}, 0.05 / 3600)
        until = datetime.fromisoformat(approvals.find(approval).expires_at)
        answers, others = [], Approvals(Store.open(store.path))

        def answer(others=others, approval=approval, answers=answers, until=until) -> None:
            time.sleep(max(0.0, (until - datetime.now(UTC)).total_seconds() - 0.001))
            with contextlib.suppress(StateError):
                answers.append(others.decide(approval, "approved", by="kim"))

        thread = threading.Thread(target=answer)
        thread.start()
        while approvals.find(approval).status == "pending":
            approvals.decided(run_id, 0)
        thread.join()
        others.store.close()
        seen.append(approvals.find(approval).status)
        assert seen[-1] == ("approved" if answers else "expired")
        with store.read() as connection:
            assert verify_records(connection) == []
    assert len(told(store, "approval_decided")) == len(seen)


def test_a_question_asked_again_after_its_request_expired_waits_anew(approvals, run_id):
    old = ask(approvals, run_id, hours=-1)
    new = ask(approvals, run_id)
    assert new != old
    assert [row.id for row in approvals.pending()] == [new]


def test_an_answer_that_expired_is_not_used(store, approvals, run_id):
    approval = ask(approvals, run_id)
    approvals.decide(approval, "approved", by="kim")
    with store.write() as connection:
        connection.execute("UPDATE approvals SET expires_at = '2020-01-01T00:00:00.000000+00:00'")
    assert approvals.decided(run_id, 0) is None


def test_the_newest_answer_counts(approvals, run_id):
    for digest, status in (("d1", "rejected"), ("d2", "approved")):
        approvals.decide(ask(approvals, run_id, digest), status, by="kim")
    row = approvals.decided(run_id, 0)
    assert row is not None
    assert (row.status, row.digest) == ("approved", "d2")
    assert approvals.decided(run_id, 1) is None


@pytest.mark.parametrize("text", ["nobody", "%", "_"])
def test_an_approval_nobody_asked_for_is_unknown(approvals, run_id, text):
    ask(approvals, run_id)
    with pytest.raises(UnknownNameError):
        approvals.find(text)


CHANGED = {
    "request": '{"sql":"VACUUM"}',
    "level": "auto",
    "expires_at": "2999-01-01T00:00:00+00:00",
    "requested_at": "2020-01-01T00:00:00+00:00",
    "requested_by": "x",
    "digest": "d2",
    "step_id": "x",
    "step_index": 1,
    "run_id": "another",
}
UNANSWERED = {"reason": "x", "modifications": "{}", "decided_by": "x", "status": "approved"}


def change(store: Store, approval: str, column: str, value: object) -> None:
    with store.write() as connection:
        connection.update("approvals", "id = :asked", {"asked": approval}, {column: value})


@pytest.mark.parametrize("column", CHANGED)
@pytest.mark.parametrize("answered", [False, True])
def test_a_question_that_was_changed_is_not_answered_and_its_answer_not_used(
    store, approvals, run_id, column, answered
):
    other = start_run(store)[1]
    approval = ask(approvals, run_id)
    if answered:
        approvals.decide(approval, "approved", by="kim")
    value = other if column == "run_id" else CHANGED[column]
    change(store, approval, column, value)
    with pytest.raises(StateError):
        approvals.find_unchanged(approval)
    with pytest.raises(StateError):
        approvals.decide(approval, "approved", by="kim")
    if answered:
        with pytest.raises(StateError):
            approvals.decided(other if column == "run_id" else run_id, 1 if column == "step_index" else 0)
    with store.read() as connection:
        assert [one for one in verify_records(connection) if approval in one.text]


@pytest.mark.parametrize("column", UNANSWERED)
def test_an_answer_that_nobody_gave_is_seen(store, approvals, run_id, column):
    approval = ask(approvals, run_id)
    with store.read() as connection:
        assert verify_records(connection) == []
    change(store, approval, column, UNANSWERED[column])
    with store.read() as connection:
        assert [one for one in verify_records(connection) if approval in one.text]


def test_what_an_older_aishell_asked_is_still_answered(store, approvals, run_id, monkeypatch):
    """Its log has no digest of the question."""
    append = audit.append

    def without_seal(connection, kind, data, **more):
        return append(connection, kind, {key: data[key] for key in data if key != "seal"}, **more)

    monkeypatch.setattr(audit, "append", without_seal)
    approval = ask(approvals, run_id)
    approvals.decide(approval, "modified", by="kim", reason="smaller", modifications={"table": "u", "password": "pw"})
    assert approvals.decided(run_id, 0).id == approval
    with store.read() as connection:
        assert verify_records(connection) == []


def test_the_chain_holds(store, approvals, run_id):
    approval = ask(approvals, run_id)
    approvals.decide(approval, "approved", by="kim")
    approvals.close(approval, "consumed")
    with store.read() as connection:
        assert audit.verify(connection) == []


def ask_two(approvals: Approvals, run_id: str) -> str:
    asked = {"people": 2, "requesters": [1000, 0]}
    return approvals.ask(run_id, 0, "a", "d1", "review", asked, 24)


def test_two_people_approve_and_neither_is_who_asked(store, approvals, run_id):
    approval = ask_two(approvals, run_id)
    for uid in (1000, 0, None):
        with pytest.raises(DeniedError, match="two people other than the requester"):
            approvals.decide(approval, "approved", by="mallory", uid=uid)
    assert approvals.decide(approval, "approved", by="kim", uid=1001) == "pending"
    assert approvals.decided(run_id, 0) is None
    with pytest.raises(DeniedError, match="a second person"):
        approvals.decide(approval, "approved", by="another name of kim", uid=1001)
    assert approvals.decide(approval, "approved", by="lee", uid=1002) == "approved"
    assert approvals.decided(run_id, 0).decided_by == "kim and lee"
    assert [(event["status"], event["uid"]) for event in told(store, "approval_decided")] == [
        ("pending", 1001),
        ("approved", 1002),
    ]


@pytest.mark.parametrize("uid", [1000, 1001])
def test_one_person_is_enough_to_reject_what_two_have_to_approve(approvals, run_id, uid):
    approval = ask_two(approvals, run_id)
    approvals.decide(approval, "approved", by="kim", uid=1001)
    assert approvals.decide(approval, "rejected", by="someone", uid=uid, reason="no") == "rejected"


def test_a_first_approval_is_of_one_request_alone(approvals, run_id):
    approvals.decide(ask_two(approvals, run_id), "approved", by="kim", uid=1001)
    other = approvals.ask(run_id, 0, "a", "d2", "review", {"people": 2, "requesters": [0]}, 24)
    assert approvals.decide(other, "approved", by="lee", uid=1002) == "pending"


def test_the_newest_edit_counts_and_one_that_nobody_made_is_refused(store, approvals, run_id):
    assert approvals.edits(run_id, 0) == []
    for value in (1, 2):
        approval = ask(approvals, run_id, f"d{value}")
        approvals.decide(approval, "modified", by="kim", modifications={"threshold": value})
        approvals.close(approval, "consumed")
    assert [edit["params"] for edit in approvals.edits(run_id, 0)] == [{"threshold": 1}, {"threshold": 2}]
    with store.write() as connection:
        connection.execute("UPDATE approvals SET modifications = '{\"threshold\":9}'")
    with pytest.raises(StateError, match="has no such answer"):
        approvals.edits(run_id, 0)


@pytest.mark.parametrize("status", ["done", "failed", "skipped", "rejected"])
def test_what_asked_for_a_step_that_is_over_is_neither_listed_nor_answered(store, approvals, run_id, status):
    approval = ask(approvals, run_id)
    with store.write() as connection:
        connection.execute("UPDATE steps SET status = :status WHERE run_id = :run", {"status": status, "run": run_id})
    assert approvals.pending() == []
    with pytest.raises(StateError, match=r"the step of approval .* has ended"):
        approvals.decide(approval, "approved", by="kim")


def test_a_name_of_any_length_is_looked_for(approvals, run_id):
    ask(approvals, run_id)
    for name in ("a" * 200_000, "%" * 200_000, ""):
        with pytest.raises(UnknownNameError) as caught:
            approvals.find(name)
        assert len(caught.value.message) < 200
