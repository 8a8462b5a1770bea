"""The file lock: one holder, who names itself; gone with its process, whatever ended it."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from aishell.state.locks import FileLock, FileLockHeldError

HOLD = """
import sys
from pathlib import Path
from aishell.state.locks import FileLock
lock = FileLock(Path(sys.argv[1]), "theirs")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "locks" / "target.lock"


@pytest.fixture
def other(path: Path):
    """Another process that holds the lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.communicate()


def test_the_holder_is_named_to_whoever_comes_second(path):
    lock = FileLock(path, "mine")
    with pytest.raises(FileLockHeldError) as caught:
        FileLock(path, "yours")
    holder = caught.value.holder
    assert (holder["run_id"], holder["pid"], caught.value.path) == ("mine", str(os.getpid()), path)
    assert set(holder) == {"run_id", "host", "pid", "since"}
    lock.release()


def test_a_second_try_leaves_the_holders_name_as_it_is(path):
    lock = FileLock(path, "mine")
    before = path.read_text()
    for _ in range(3):
        with pytest.raises(FileLockHeldError):
            FileLock(path, "yours")
    assert path.read_text() == before
    lock.release()


def test_a_lock_that_is_let_go_is_free_and_leaves_no_file(path):
    lock = FileLock(path, "mine")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    lock.release()
    lock.release()
    assert not path.exists()
    FileLock(path, "yours").release()


def test_a_shorter_name_leaves_nothing_of_a_longer_one(path):
    path.parent.mkdir()
    path.write_text("x" * 4000)
    lock = FileLock(path, "mine")
    assert json.loads(path.read_text())["run_id"] == "mine"
    lock.release()


def test_a_lock_on_a_file_that_was_removed_does_not_count(path):
    removed = FileLock(path, "mine")
    path.unlink()
    lock = FileLock(path, "yours")
    assert json.loads(path.read_text())["run_id"] == "yours"
    lock.release()
    removed.release()


def test_another_process_is_named(path, other):
    with pytest.raises(FileLockHeldError) as caught:
        FileLock(path, "mine")
    assert caught.value.holder["run_id"] == "theirs"
    assert caught.value.holder["pid"] == str(other.pid)


def test_a_killed_process_leaves_the_lock_free(path, other):
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert path.exists()
    lock = FileLock(path, "mine")
    assert json.loads(path.read_text())["run_id"] == "mine"
    lock.release()


def test_a_holder_that_has_not_written_its_name_yet_is_no_error(path):
    lock = FileLock(path, "mine")
    path.write_text("")
    with pytest.raises(FileLockHeldError) as caught:
        FileLock(path, "yours")
    assert caught.value.holder == {}
    lock.release()
