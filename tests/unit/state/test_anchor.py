"""The head of the audit log beside the store: written whole, read or refused, and a store that is gone is not made anew."""

from __future__ import annotations

import stat

import pytest

from aishell.errors import StateError
from aishell.state import anchor, audit
from aishell.state.audit_records import verify_records
from aishell.state.runs import Runs
from aishell.state.store import Store


@pytest.fixture
def store(tmp_path):
    made = Store.open(tmp_path / "state.db")
    yield made
    made.close()


def add(store, *kinds):
    with store.write() as connection:
        for kind in kinds:
            audit.append(connection, kind, {})


def cut(store, to):
    with store.write() as connection:
        connection.execute("DELETE FROM events WHERE id > :to", {"to": to})


def test_it_is_what_the_log_was_and_only_its_owner_reads_it(store):
    add(store, "a", "b")
    head = Runs(store).drop_anchor()
    path = anchor.path_of(store.path)
    kept = anchor.read(path)
    assert (kept.events, kept.head) == (2, head)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir() if file.name.startswith(".")] == []
    add(store, "c")
    assert Runs(store).check_anchor() is None, "a log that grew is whole"


def test_a_tail_that_is_cut_off_is_told_once_and_written_down_for_good(store):
    add(store, "a", "b", "c")
    Runs(store).drop_anchor()
    cut(store, 1)
    said = Runs(store).check_anchor()
    assert "the log had 3 events" in said
    assert "has 1" in said
    Runs(store).drop_anchor()
    assert Runs(store).check_anchor() is None
    with store.read() as connection:
        assert audit.verify(connection) == [], "the chain alone knows nothing of it"
        (problem,) = verify_records(connection)
    assert said in problem.text


def test_a_tail_that_was_written_anew_shows_though_the_number_is_the_same(store):
    add(store, "a", "b")
    Runs(store).drop_anchor()
    cut(store, 1)
    add(store, "x")
    assert "has another event in its place" in Runs(store).check_anchor()


def test_a_store_that_is_gone_is_not_made_anew(store):
    add(store, "a")
    Runs(store).drop_anchor()
    store.close()
    for file in store.path.parent.glob("state.db*"):
        if file != anchor.path_of(store.path):
            file.unlink()
    with pytest.raises(StateError) as caught:
        Store.open(store.path)
    assert "is missing: when the last run ended" in caught.value.message
    assert not store.path.exists()
    anchor.path_of(store.path).unlink()
    Store.open(store.path).close()


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"events": "many", "head": "x", "at": "now"}', "\xff"])
def test_what_is_no_anchor_is_refused_with_a_remedy(tmp_path, text):
    path = tmp_path / "state.db.head"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(StateError) as caught:
        anchor.read(path)
    assert str(path) in caught.value.message
    assert caught.value.hint


def test_where_it_cannot_be_written_nothing_is_left(tmp_path):
    with pytest.raises(StateError):
        anchor.write(tmp_path / "nowhere" / "state.db.head", 1, "x")
    assert list(tmp_path.iterdir()) == []
