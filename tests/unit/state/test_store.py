"""`state.db`: how it is made, and that no other file is ever taken for one, recreated or changed."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import threading
from pathlib import Path

import pytest

from aishell.errors import StateError
from aishell.state.connection import BUSY_TIMEOUT
from aishell.state.schema import APPLICATION_ID, VERSION
from aishell.state.store import Store

EVENT = "INSERT INTO events (type, at, data, previous, hash) VALUES ('x', '', '', '', '')"
STRAY_STEP = (
    "INSERT INTO steps (run_id, step_index, step_id, tool, status, attempt) VALUES ('nobody', 0, 'a', 't', 'p', 0)"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "state.db"


@pytest.fixture
def store(path: Path):
    made = Store.open(path)
    yield made
    made.close()


def refused(path: Path, named: Path | None = None) -> StateError:
    with pytest.raises(StateError) as caught:
        Store.open(path).close()
    assert f"{named or path}" in caught.value.message
    assert caught.value.hint
    assert caught.value.exit_code == 2
    return caught.value


def foreign(path: Path, *statements: str) -> bytes:
    """A database that is not ours; its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for statement in (*statements, "CREATE TABLE mine (i)", "INSERT INTO mine VALUES (7)"):
            connection.execute(statement)
        connection.commit()
    return path.read_bytes()


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_it_is_private_whatever_the_umask(path, umask):
    before = os.umask(umask)
    try:
        path.parent.mkdir(mode=0o700)
        store = Store.open(path)
        with store.write() as connection:
            connection.execute("UPDATE runs SET state = state")
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        store.close()
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(("state.db", "state.db-wal", "state.db-shm", "state.db-turn"), 0o600)


def test_every_connection_is_durable(store):
    with store.read() as connection, store.write() as writing:
        for each in (connection, writing):
            pragmas = {name: each.value(f"PRAGMA {name}") for name in PRAGMAS}
            assert pragmas == PRAGMAS


PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": 2,  # FULL
    "foreign_keys": 1,
    "busy_timeout": BUSY_TIMEOUT,
    "application_id": APPLICATION_ID,
    "user_version": VERSION,
}


def test_nothing_else_is_left_in_the_folder(path):
    Store.open(path).close()
    assert [file.name for file in path.parent.iterdir()] == ["state.db"]


def test_what_was_committed_is_there_when_it_is_opened_again(store, path):
    with store.write() as connection:
        connection.execute(EVENT)
    store.close()
    again = Store.open(path)
    with again.read() as connection:
        assert connection.value("SELECT count(*) FROM events") == 1
    again.close()


def test_an_empty_file_is_a_store_that_was_cut_off(path):
    path.parent.mkdir()
    path.touch()
    assert "is empty" in refused(path).message
    assert path.read_bytes() == b""


@pytest.mark.parametrize("content", [b"not a database, just text\n" * 50, b"\x00" * 4096])
def test_a_file_that_is_no_database_is_refused_and_left_alone(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    refused(path)
    assert path.read_bytes() == content


def test_a_damaged_store_is_refused_and_never_recreated(path):
    Store.open(path).close()
    content = bytearray(path.read_bytes())
    content[100:4096] = os.urandom(3996)
    path.write_bytes(content)
    assert "damaged" in refused(path).message
    assert path.read_bytes() == bytes(content)


OURS = f"PRAGMA application_id = {APPLICATION_ID}"
#: What a database can have of a state store without being one: samples have had its id, and anybody may have a table `runs`.
PARTS = (
    OURS,
    f"PRAGMA user_version = {VERSION}",
    *(f"CREATE TABLE {name} (i)" for name in ("runs", "steps", "checkpoints", "events", "approvals")),
)


@pytest.mark.parametrize(
    "statements",
    [
        (),
        ("PRAGMA application_id = 7", *PARTS[1:]),
        (OURS,),
        (OURS, "PRAGMA journal_mode = DELETE"),
        *(tuple(part for part in PARTS if part != missing) for missing in PARTS),
        (OURS, f"PRAGMA user_version = {VERSION + 1}"),
    ],
)
def test_somebody_elses_database_is_refused_and_not_a_byte_of_it_changed(path, statements):
    before = foreign(path, *statements)
    assert "is not a state store of aishell" in refused(path).message
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["state.db"]


def test_a_store_of_a_newer_aishell_is_refused_and_left_alone(path):
    Store.open(path).close()
    newer = sqlite3.connect(path, isolation_level=None)
    newer.execute(f"PRAGMA user_version = {VERSION + 1}")
    newer.execute("CREATE TABLE mine AS SELECT 7 AS i")
    newer.close()
    before = path.read_bytes()
    assert "newer" in refused(path).message
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT i FROM mine").fetchall() == [(7,)]
        assert connection.execute("PRAGMA user_version").fetchone() == (VERSION + 1,)
    assert before[:16] == path.read_bytes()[:16]


def earlier(path, version):
    """A store as an earlier release made it: the first, and the last that SQLAlchemy made."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(Path(__file__).with_name(f"state_v{version}.sql").read_text())
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {version}")
    connection.execute("PRAGMA journal_mode = WAL")
    return connection


def shape(path):
    """Every table and index of a store: columns by name, what refers to what, what is unique, as SQLite sees them."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        names = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        ]
        tables = {
            name: (
                sorted(row[1:] for row in connection.execute(f"PRAGMA table_info({name})")),
                connection.execute(f"PRAGMA foreign_key_list({name})").fetchall(),
                sorted(row[1:] for row in connection.execute(f"PRAGMA index_list({name})")),
            )
            for name in names
        }
        indexes = connection.execute("SELECT sql FROM sqlite_master WHERE type = 'index' ORDER BY name").fetchall()
    return tables, indexes


@pytest.mark.parametrize("version", [1, 4])
def test_an_earlier_store_comes_to_the_shape_of_a_new_one(path, tmp_path, version):
    path.parent.mkdir()
    earlier(path, version).close()
    Store.open(path).close()
    Store.open(tmp_path / "new" / "state.db").close()
    assert shape(path) == shape(tmp_path / "new" / "state.db")


def test_a_store_of_this_version_is_opened_as_it_is(path):
    Store.open(path).close()
    before = path.read_bytes()
    store = Store.open(path)
    with store.read() as connection:
        assert connection.all("SELECT * FROM runs") == []
    store.close()
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["state.db"]


REASONS = {
    "deferred: the window has closed": "deferred",
    "step 'a' failed before it": "stopped",
    "needs step 'a', which failed": "need",
    "nothing to do: no object needs it now": "idle",
    "not needed: 1 > 2": "condition",
}


def test_why_a_step_of_an_earlier_store_was_skipped_is_a_value(path):
    path.parent.mkdir()
    with contextlib.closing(earlier(path, 4)) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(runs)")]
        connection.execute(f"INSERT INTO runs ({', '.join(columns)}) VALUES ({', '.join('0' for _ in columns)})")
        for number, reason in enumerate((*REASONS, "it failed")):
            status = "skipped" if reason in REASONS else "failed"
            values = ("0", number, "s", "t", status, 1, reason)
            connection.execute(
                "INSERT INTO steps (run_id, step_index, step_id, tool, status, attempt, reason) VALUES (?, ?, ?, ?, ?, ?, ?)",
                values,
            )
    store = Store.open(path)
    with store.read() as connection:
        rows = connection.all("SELECT reason, cause FROM steps")
    store.close()
    assert {row.reason: row.cause for row in rows} == {**REASONS, "it failed": None}


def test_an_older_store_is_migrated_after_a_private_copy_that_holds_every_commit(path):
    path.parent.mkdir()
    other = earlier(path, 1)  # keeps the last commits in the write-ahead log
    other.execute("INSERT INTO events (type, at, data, previous, hash) VALUES ('last', '', '', '', '')")
    store = Store.open(path)
    with store.read() as connection:
        assert connection.value("PRAGMA user_version") == VERSION
        assert connection.value("SELECT type FROM events") == "last"
    store.close()
    other.close()
    copy = path.with_name("state.db.v1")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("SELECT type FROM events").fetchall() == [("last",)]


@pytest.mark.parametrize("replaced", [False, True])
def test_a_store_that_vanishes_under_the_handle_stops_everything(store, path, replaced):
    path.unlink()
    if replaced:
        path.write_bytes(b"something else")
    for use in (store.read, store.write):
        with pytest.raises(StateError) as caught, use():
            pass
        assert "deleted or replaced" in caught.value.message
    assert path.exists() is replaced


def test_a_folder_that_cannot_be_made_is_an_error_with_a_remedy(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StateError) as caught:
        Store.open(tmp_path / "file" / "state.db")
    assert "--state" in (caught.value.hint or "") or "--site" in (caught.value.hint or "")


def test_a_path_that_is_a_folder_is_refused(tmp_path):
    with pytest.raises(StateError):
        Store.open(tmp_path)


@pytest.mark.parametrize("exists", [False, True])
def test_a_folder_that_may_not_be_written_is_an_error_with_a_remedy(path, exists):
    if exists:
        Store.open(path).close()
        path.chmod(0o400)
    path.parent.mkdir(exist_ok=True)
    path.parent.chmod(0o500)
    if os.access(path.parent, os.W_OK):
        pytest.skip("this user may write everywhere")
    try:
        refused(path, path if exists else path.parent)
    finally:
        path.parent.chmod(0o700)


@pytest.mark.parametrize("name", ["we?ird #1 %41.db", "sp ace.db", "émoji 🐘.db"])
def test_a_path_may_hold_any_character(tmp_path, name):
    Store.open(tmp_path / name).close()
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_a_failed_transaction_leaves_nothing(store):
    def write() -> None:
        with store.write() as connection:
            connection.execute(EVENT)
            connection.execute(STRAY_STEP)  # of a run that is not there

    with pytest.raises(StateError):
        write()
    with store.read() as connection:
        assert connection.value("SELECT count(*) FROM events") == 0


def test_writers_of_several_threads_take_turns(store):
    def write() -> None:
        with store.write() as connection:
            highest = connection.value("SELECT coalesce(max(id), 0) FROM events")
            row = (highest + 1, "x", "", "", "", "")
            connection.execute("INSERT INTO events (id, type, at, data, previous, hash) VALUES (?, ?, ?, ?, ?, ?)", row)

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.read() as connection:
        assert tuple(connection.all("SELECT count(*), max(id) FROM events")[0]) == (8, 8)


def test_what_an_earlier_store_remembers_of_times_is_kept(path):
    path.parent.mkdir()
    with contextlib.closing(earlier(path, 4)) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(runs)")]
        connection.execute(f"INSERT INTO runs ({', '.join(columns)}) VALUES ({', '.join('0' for _ in columns)})")
        for number, (status, before) in enumerate((("ok", 500), ("failed", 500), ("ok", None))):
            connection.execute(
                """INSERT INTO table_history (target, object, tool, run_id, step_index, attempt, status, at, seconds,
                   bytes_before, "before") VALUES ('shop', 'a.b', 'touch', '0', ?, 1, ?, 'now', 2.5, ?, '{}')""",
                (number, status, before),
            )
        connection.execute(
            """INSERT INTO steps (run_id, step_index, step_id, tool, status, attempt, seconds)
               VALUES ('0', 0, 'backup', 'backup_database_full', 'done', 1, 7.5)"""
        )
        names = [row[1] for row in connection.execute("PRAGMA table_info(backups)")]
        values = {**dict.fromkeys(names, "0"), "target": "shop", "source_bytes": 900, "run_id": "0"}
        marks = ", ".join(f":{name}" for name in names)
        connection.execute(f"INSERT INTO backups ({', '.join(names)}) VALUES ({marks})", values)
    store = Store.open(path)
    with store.read() as connection:
        rows = connection.all("SELECT target, tool, object, seconds, work, unit FROM step_costs ORDER BY id")
    store.close()
    assert [tuple(row) for row in rows] == [
        ("shop", "touch", "a.b", 2.5, 500, "bytes"),
        ("shop", "backup_database_full", "", 7.5, 900, "bytes"),
    ]
