"""Turns at writing: one process after the other, never for ever, and given back by whoever is killed."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from aishell.state import store as stores
from aishell.state.schema import VERSION
from aishell.state.store import Store
from aishell.state.turns import path_of, turn
from tests.servers import HANG, wait_until
from tests.unit.state.test_store import earlier


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


#: Takes the turn and keeps it until its standard input ends.
HOLDER = """
import sys
from pathlib import Path
from aishell.state.turns import turn
with turn(Path(sys.argv[1]), 60) as ours:
    print(ours, flush=True)
    sys.stdin.read()
"""


def holder(path: Path) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", HOLDER, str(path)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    return process


def free(path: Path) -> bool:
    with path_of(path).open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def test_a_turn_is_waited_for_and_comes_when_the_other_ends(path):
    process, came = holder(path), threading.Event()

    def wait() -> None:
        with turn(path, HANG) as ours:
            assert ours
            came.set()

    waiter = threading.Thread(target=wait)
    waiter.start()
    assert not came.wait(0.2)
    process.communicate("")
    waiter.join(HANG)
    assert came.is_set()
    assert free(path)


def test_a_turn_of_a_process_that_is_killed_is_free(path):
    process = holder(path)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    with turn(path, HANG) as ours:
        assert ours


def test_who_waited_in_vain_goes_on_without_and_takes_no_turn_from_others_later(path):
    process = holder(path)
    with turn(path, 0.05) as ours:
        assert not ours
    process.communicate("")
    wait_until(lambda: free(path), "nobody holds the turn")


def test_a_folder_that_cannot_be_written_is_sqlite_s_to_tell(path):
    with turn(path.parent / "is not there" / "state.db", 1) as ours:
        assert not ours


def test_a_store_is_written_though_the_turn_never_comes(path, monkeypatch):
    Store.open(path).close()
    monkeypatch.setattr(stores, "PATIENCE", 0.05)
    process, store = holder(path), Store.open(path)
    with store.write() as connection:
        connection.execute("INSERT INTO events (type, at, data, previous, hash) VALUES ('x', '', '', '', '')")
    with store.read() as connection:
        assert connection.value("SELECT count(*) FROM events") == 1
    store.close()
    process.communicate("")


def test_a_write_has_the_turn_and_gives_it_back_whatever_happens(path):
    store = Store.open(path)
    with store.write():
        assert not free(path)
    assert free(path)
    with pytest.raises(ZeroDivisionError), store.write():
        raise ZeroDivisionError
    assert free(path)
    store.close()


def test_an_earlier_store_that_several_open_at_once_is_migrated_once(path):
    """Each has read the old version when its turn comes; the second migration would find its column there already."""
    earlier(path, 1).close()
    process, failed = holder(path), list[BaseException]()

    def opened() -> None:
        try:
            Store.open(path).close()
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=opened) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_until(
        lambda: sum(one.name == "aishell-turn" for one in threading.enumerate()) == 3, "three wait for their turn"
    )
    process.communicate("")
    for thread in threads:
        thread.join(HANG)
    assert failed == []
    store = Store.open(path)
    with store.read() as connection:
        assert connection.value("PRAGMA user_version") == VERSION
    store.close()
