"""`--state`: a file that is a state store, or becomes one; nothing else is touched."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from aishell import sample
from aishell.errors import UsageError
from aishell.state.schema import APPLICATION_ID
from aishell.state.store import Store

COMMANDS = (
    ("runs", "list"),
    ("doctor",),
    ("run", "maintenance", "--type", "quick", "--yes", "--url", "sqlite:///{db}", "--environment", "test"),
    ("approvals", "list"),
    ("audit", "verify"),
)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("earlier", [False, True], ids=["a sample", "an earlier sample"])
def test_a_sample_never_becomes_a_state_store(aishell, sqlite, tmp_path, earlier):
    path = tmp_path / "sample.db"
    sample.make(path)
    if earlier:  # it had the id of a state store
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    before = path.read_bytes()
    for command in COMMANDS:
        words = [word.format(db=sqlite.path) for word in command]
        ended = aishell("--state", str(path), *words)
        assert ended.code == (1 if command == ("doctor",) else 2), ended.err
        assert "is not a state store of aishell" in ended.err + ended.out
        assert path.read_bytes() == before
    sample.make(path)  # in its place
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA application_id").fetchone() != (APPLICATION_ID,)


def test_a_state_store_is_never_taken_for_a_sample(tmp_path):
    path = tmp_path / "state.db"
    Store.open(path).close()
    before = path.read_bytes()
    with pytest.raises(UsageError, match="was not made by"):
        sample.make(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "named",
    ["postgresql://u:geheim@h/d", "mysql://h/d", "sqlite:///state.db", "sqlite:////tmp/state.db", "file://state.db"],
)
def test_a_url_is_no_state_store(aishell, sqlite, named):
    before = sorted(aishell.site.rglob("*"))
    for command in COMMANDS:
        ended = aishell("--state", named, *(word.format(db=sqlite.path) for word in command)).expect(2)
        assert "the state store is a file" in ended.err
        assert "geheim" not in ended.err + ended.out
    assert sorted(aishell.site.rglob("*")) == before
