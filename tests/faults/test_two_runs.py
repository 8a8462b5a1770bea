"""Two runs on one target: the second leaves at once, with 6, and names the first."""

from __future__ import annotations

import socket

from tests.bloated import Bloated
from tests.faults.blocked import blocked_run
from tests.fix_aishell import Aishell, Ended

#: MariaDB tells the address a session came from.
HERE = {"mysql": "127.0.0.1"}


def assert_turned_away(second: Ended, first: str, host: str) -> None:
    second.expect(6)
    assert second.json["error"]["type"] == "TargetBusyError"
    assert first[:8] in second.json["error"]["message"]
    assert host in second.json["error"]["message"]
    assert "since 2" in second.json["error"]["message"]
    assert "runs show" in second.json["error"]["hint"]


def test_the_second_run_names_the_first(bloated: Bloated, aishell: Aishell) -> None:
    """From the same site, and from another one that knows nothing of it."""
    db = bloated.make()
    aishell.url = db.url
    elsewhere = Aishell(aishell.home / "elsewhere", db.url)
    running, in_the_way = blocked_run(aishell, bloated, db)
    first = aishell.only_run()
    same, other = aishell.start(*aishell.arguments()), elsewhere.start(*elsewhere.arguments())
    turned_away = [same.wait(), other.wait()]
    assert not running.ended, "the first run is still at work"
    again = aishell.resume(first)
    in_the_way.go()
    done = running.wait().expect(0)
    assert done.run_id == first
    assert_turned_away(turned_away[0], first, socket.gethostname())
    assert_turned_away(turned_away[1], first, HERE.get(bloated.engine, socket.gethostname()))
    assert again.code == 6, "a run that is being driven cannot be driven by a second process"
    assert aishell.rows("SELECT count(*) FROM runs") == [(1,)]
    assert bloated.left_behind(db) == []


def test_the_next_run_begins_where_the_first_one_has_ended(bloated: Bloated, aishell: Aishell) -> None:
    db = bloated.make()
    aishell.url = db.url
    aishell.maintenance().expect(0)
    aishell.maintenance().expect(0)
    assert bloated.left_behind(db) == []
    assert aishell.lock_files() == []


def test_a_dry_run_needs_no_lock(bloated_pg: Bloated, aishell: Aishell) -> None:
    db = bloated_pg.make()
    aishell.url = db.url
    running, in_the_way = blocked_run(aishell, bloated_pg, db)
    looked = aishell.maintenance("full", "--dry-run").expect(0)
    assert looked.json["status"] == "preview"
    in_the_way.go()
    running.wait().expect(0)


def test_two_sites_made_at_the_same_moment_share_one_store(bloated_sqlite: Bloated, aishell: Aishell) -> None:
    """Both processes find no state.db; neither may break the other's."""
    databases = [bloated_sqlite.make() for _ in range(4)]
    together = []
    for db in databases:
        aishell.url = db.url
        together.append(aishell.start(*aishell.arguments("quick")))
    for running in together:
        running.wait().expect(0)
    assert aishell.rows("SELECT count(*) FROM runs") == [(4,)]
    aishell("audit", "verify").expect(0)
