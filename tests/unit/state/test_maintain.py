"""The store is checked, written anew where much of it is free, and left alone where it is damaged."""

from __future__ import annotations

import os

import pytest

from aishell.errors import StateError
from aishell.state.pruning import maintain
from aishell.state.store import Store

FILL = "INSERT INTO events (type, at, data, previous, hash) VALUES ('x', '', hex(zeroblob(4000)), '', '')"


@pytest.fixture
def store(tmp_path):
    made = Store.open(tmp_path / "state.db")
    with made.write() as connection:
        for _ in range(200):
            connection.execute(FILL)
    yield made
    made.close()


def test_what_is_free_is_given_back_and_the_log_is_emptied(store):
    full = maintain(store)
    assert not full.compacted
    assert store.path.stat().st_size == full.bytes_after == full.bytes_before
    with store.write() as connection:
        connection.execute("DELETE FROM events WHERE id > 10")
    done = maintain(store)
    assert done.compacted
    assert done.free_before > done.bytes_before / 2
    assert done.bytes_after < done.bytes_before / 5
    assert store.path.stat().st_size == done.bytes_after
    assert store.path.with_name("state.db-wal").stat().st_size == 0
    assert not maintain(store).compacted
    assert maintain(store, compact=True).compacted
    with store.read() as connection:
        assert connection.value("SELECT count(*) FROM events") == 10


def test_readers_and_other_connections_go_on_meanwhile(store):
    with store.read() as connection:
        assert connection.value("SELECT count(*) FROM events") == 200
        maintain(store, compact=True)
        assert connection.value("SELECT count(*) FROM events") == 200


def test_a_damaged_store_is_told_and_left_as_it_is(store):
    maintain(store, compact=True)
    store.close()
    content = bytearray(store.path.read_bytes())
    content[40960 : 40960 + 8192] = os.urandom(8192)
    store.path.write_bytes(content)
    damaged = Store.open(store.path)
    with pytest.raises(StateError, match="is damaged"):
        maintain(damaged)
    damaged.close()
    assert store.path.read_bytes() == bytes(content)


def test_a_row_whose_run_is_gone_is_damage_too(store):
    import sqlite3

    with sqlite3.connect(store.path) as connection:  # foreign keys are off here
        connection.execute(
            "INSERT INTO steps (run_id, step_index, step_id, tool, status, attempt) VALUES ('x', 0, 'a', 't', 'p', 0)"
        )
    connection.close()
    with pytest.raises(StateError, match="a row of steps references a missing row of runs"):
        maintain(store)


def test_a_store_that_is_damaged_is_not_migrated(tmp_path):
    from tests.unit.state.test_store import earlier

    path = tmp_path / "old" / "state.db"
    path.parent.mkdir()
    connection = earlier(path, 1)
    for _ in range(50):
        connection.execute(FILL)
    connection.close()
    content = bytearray(path.read_bytes())
    content[-40960:-20480] = os.urandom(20480)
    path.write_bytes(content)
    with pytest.raises(StateError, match="damaged"):
        Store.open(path)
    assert path.read_bytes() == bytes(content)
