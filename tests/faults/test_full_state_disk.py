"""No byte is free where the state store is: what has happened can be read all the same, and nothing is begun."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.bloated import Bloated
from tests.fix_aishell import Aishell, Ended
from tests.scheduled import nightly

#: Fills what is left of a tmpfs behind a copy of the store, then runs the command with that store.
SCRIPT = """
mount -t tmpfs -o size=3m,mode=700 tmpfs "$1" && cp -a "$0"/. "$1" || exit 77
cat /dev/zero > "$1/ballast" 2>/dev/null
store="$1"; shift; "$@"; code=$?
rm -f "$store/ballast"; exit $code
"""
READING = (
    *("runs list", "runs show {run}", "runs report {run}", "approvals list", "schedule list", "schedule next"),
    *("schedule history", "workflows history", "digest", "audit verify", "backlog list", "notify list", "tools stats"),
)


@pytest.fixture
def full(aishell: Aishell, bloated_sqlite: Bloated, tmp_path: Path):
    """Runs a command of a site with a run in its store, on a disk that is full."""
    db = bloated_sqlite.make()
    nightly(aishell, db.url)
    aishell("schedule", "run-now", "nightly").expect(0)
    with sqlite3.connect(aishell.state) as store:
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.close()
    kept = tmp_path / "kept"
    shutil.copytree(aishell.state.parent, kept)
    for name in ("state.db-wal", "state.db-shm"):
        (kept / name).unlink(missing_ok=True)

    def run(*words: str) -> Ended:
        within = ("unshare", "-rm", "sh", "-c", SCRIPT, str(kept), str(aishell.state.parent))
        ended = aishell.start(*words, within=within).wait()
        if "unshare" in ended.err or ended.code == 77:
            pytest.skip(f"not run, a mount namespace is not allowed here: {ended.err.strip()}")
        return ended

    run.site, run.db = aishell, db  # type: ignore[attr-defined]
    return run


def test_everything_can_be_read(full) -> None:
    site = full.site
    for words in READING:
        command = words.format(run=site.only_run()).split()
        expected = site(*command)
        ended = full(*command)
        assert "Traceback" not in ended.err
        assert (ended.code, ended.err) == (expected.code, expected.err), words
        if words != "digest":  # says when it was made
            assert ended.out == expected.out, words


@pytest.mark.parametrize(
    "words",
    [
        "schedule start",
        "schedule run-now nightly",
        "schedule pause nightly",
        "hold --reason x",
        "run maintenance --target shop --yes",
    ],
)
def test_nothing_is_begun(full, bloated_sqlite: Bloated, words: str) -> None:
    before = bloated_sqlite.facts(full.db)
    ended = full(*words.split())
    assert ended.code == 2, ended.err
    assert "Traceback" not in ended.err
    assert "unexpected" not in ended.err
    assert "disk space" in ended.err
    assert bloated_sqlite.facts(full.db) == before
