"""state.db cannot be used: an error with a remedy, nothing further is started, and nothing is recreated in silence."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.bloated import Bloated
from tests.faults.blocked import blocked_run
from tests.faults.killed import Fault
from tests.fix_aishell import Aishell
from tests.seed import SAMPLED
from tests.statement_log import StatementLog


@pytest.fixture
def used(bloated_sqlite: Bloated, aishell: Aishell) -> Any:
    """A database, and a site that has run once."""
    db = bloated_sqlite.make()
    aishell.url = db.url
    aishell.maintenance("quick").expect(0)
    return db


def changed(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()


def cut_off(path: Path) -> None:
    path.write_bytes(b"")


def overwritten(path: Path) -> None:
    path.write_bytes(b"this was a state store" * 1000)


def damaged_inside(path: Path) -> None:
    """The header is sound, the pages are not."""
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xa5" * (len(content) - 4096))


def newer(path: Path) -> None:
    changed(path, "PRAGMA user_version = 99")


def somebody_elses(path: Path) -> None:
    path.unlink()
    changed(path, "CREATE TABLE shopping (list text)")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (cut_off, "is empty: the state store was truncated"),
        (overwritten, "is damaged"),
        (damaged_inside, "is damaged"),
        (newer, "was written by a newer aishell"),
        (somebody_elses, "is not a state store of aishell"),
    ],
)
@pytest.mark.parametrize("command", ["run", "list"])
def test_a_store_that_is_not_right_is_named_and_left_as_it_is(
    used: Any, aishell: Aishell, command: str, spoil: Any, said: str
) -> None:
    spoil(aishell.state)
    spoilt, before = aishell.state.read_bytes(), used.path.read_bytes()
    ended = aishell.maintenance() if command == "run" else aishell("runs", "list")
    ended.expect(2)
    assert re.match(rf"aishell: .*state\.db {said}", ended.err), ended.err
    assert ended.err.splitlines()[1].startswith("  → "), "a remedy"
    assert "Traceback" not in ended.err
    assert aishell.state.read_bytes() == spoilt
    assert used.path.read_bytes() == before


@SAMPLED
def test_a_store_that_others_hold_is_waited_for(used: Any, aishell: Aishell, whole: bool) -> None:
    holder = sqlite3.connect(aishell.state, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    before = used.path.read_bytes()
    ended = aishell(*aishell.arguments(), fault=None if whole else Fault(2, of="patience")).expect(2)
    assert f"was locked for {30 if whole else 2} s by another process" in ended.err
    assert used.path.read_bytes() == before
    holder.execute("ROLLBACK")
    holder.close()
    aishell.maintenance().expect(0)


def test_a_store_of_a_read_only_filesystem_stops_the_run_before_it_begins(used: Any, aishell: Aishell) -> None:
    """Root may write any file: so the folder is mounted read-only."""
    before = used.path.read_bytes()
    mounted = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    within = ("unshare", "-rm", "sh", "-c", mounted, str(aishell.state.parent))
    ended = aishell.start(*aishell.arguments(), within=within).wait().expect(2)
    assert "Traceback" not in ended.err
    assert re.search(r"state\.db|\.aishell-locks", ended.err)
    assert used.path.read_bytes() == before


def test_a_store_that_vanishes_stops_the_run(bloated_pg: Bloated, aishell: Aishell) -> None:
    db = bloated_pg.make()
    aishell.url = db.url
    running, in_the_way = blocked_run(aishell, bloated_pg, db)
    log = StatementLog(db)
    for path in aishell.state.parent.glob("state.db*"):
        path.unlink()
    in_the_way.go()
    ended = running.wait().expect(2)
    assert "was deleted or replaced while aishell had it open" in ended.err
    assert "Traceback" not in ended.err
    assert not aishell.state.exists(), "it is not made anew"
    assert log.changing() == [], "no further step was started"
    assert bloated_pg.left_behind(db) == []


def test_a_full_disk_under_the_store_starts_nothing_that_is_not_recorded(
    bloated_sqlite: Bloated, aishell: Aishell
) -> None:
    """A tmpfs just large enough for the run to begin and not for its end."""
    outcomes = set()
    for kilobytes in (100, 250, 300, 350, 400, 4000):
        db = bloated_sqlite.make()
        site = Aishell(aishell.home / str(kilobytes), db.url)
        before = bloated_sqlite.facts(db)
        script = (
            'mount -t tmpfs -o size="$1"k,mode=700 tmpfs "$0" && out="$2" && folder="$0" && shift 2 && "$@"; code=$?; '
        )
        script += 'cp -a "$folder"/. "$out"; exit $code'
        kept = site.home / "kept"
        kept.mkdir()
        within = ("unshare", "-rm", "sh", "-c", script, str(site.state.parent), str(kilobytes), str(kept))
        ended = site.start(*site.arguments(), within=within).wait()
        if "unshare" in ended.err:
            pytest.skip(f"not run, a mount namespace is not allowed here: {ended.err.strip()}")
        assert "Traceback" not in ended.err
        site.state = kept / "state.db"
        states = dict(site.rows("SELECT step_id, status FROM steps") if stored(site) else [])
        if ended.code == 0:
            assert set(states.values()) == {"done"}
        else:
            assert ended.code == 2
            # SQLite tells a full disk as an I/O error where it is its shared memory file that cannot grow.
            assert re.search(
                r"cannot be (written|made|opened): .*(full|space|disk I/O error)|No space left", ended.err
            ), ended.err
        if bloated_sqlite.facts(db)["pages"] != before["pages"]:
            assert states["optimize"] in ("started", "done"), "nothing is done that the store does not know of"
        outcomes.add(ended.code)
    assert outcomes == {0, 2}, "some of the sizes are too small and some are not"


def stored(site: Aishell) -> bool:
    return site.state.exists() and site.rows("SELECT 1 FROM sqlite_schema WHERE name = 'steps'") != []
