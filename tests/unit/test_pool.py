"""SQLite connections in a pool: used again, never by two at a time, and not kept without end."""

from __future__ import annotations

import sqlite3
import threading

import pytest

from aishell.sqlite_pool import KEPT, Pool


@pytest.fixture
def pool(tmp_path):
    made = Pool(lambda: sqlite3.connect(tmp_path / "x.db", check_same_thread=False))
    yield made
    made.dispose()


def is_open(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("SELECT 1")
    except sqlite3.ProgrammingError:
        return False
    return True


def test_what_was_given_back_is_lent_again(pool):
    first = pool.connect()
    connection = first.driver_connection
    second = pool.connect()
    assert second.driver_connection is not connection
    first.close()
    assert pool.connect().driver_connection is connection


def test_given_back_twice_it_is_lent_once(pool):
    lent = pool.connect()
    lent.close()
    lent.close()
    assert pool.connect().driver_connection is not pool.connect().driver_connection


def test_only_a_few_are_kept_and_none_after_the_end(pool):
    lent = [pool.connect() for _ in range(KEPT + 3)]
    for one in lent:
        one.close()
    assert [is_open(one.driver_connection) for one in lent] == [True] * KEPT + [False] * 3
    pool.dispose()
    assert not any(is_open(one.driver_connection) for one in lent)


def test_no_two_threads_have_the_same_one(pool):
    held: set[int] = set()
    twice = []

    def work() -> None:
        for _ in range(200):
            lent = pool.connect()
            me = id(lent.driver_connection)
            twice.extend([me] if me in held else [])
            held.add(me)
            held.discard(me)
            lent.close()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert twice == []
