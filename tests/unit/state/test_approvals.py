"""Approvals: asked once, decided once, used once; expired and void ones are never used."""

from __future__ import annotations

import json

import pytest

from aishell.errors import StateError, UnknownNameError
from aishell.state import audit
from aishell.state.approvals import Approvals, shown
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
    assert told(store, "approval_requested") == [{"approval": approval, "digest": "d1", "level": "confirm"}]
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
    assert "is rejected" in caught.value.message
    assert approvals.find(approval).decided_by == "kim"


@pytest.mark.parametrize("status", ["consumed", "void", "expired"])
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
    assert "expired" in caught.value.message
    assert approvals.decided(run_id, 0) is None


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


def test_the_chain_holds(store, approvals, run_id):
    approval = ask(approvals, run_id)
    approvals.decide(approval, "approved", by="kim")
    approvals.close(approval, "consumed")
    with store.read() as connection:
        assert audit.verify(connection) == []
