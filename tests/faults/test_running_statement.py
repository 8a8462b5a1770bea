"""The client dies, the statement does not: resume finds it on the server and waits for its end."""

from __future__ import annotations

import contextlib
import random
import subprocess
from functools import partial

from tests.bloated import Bloated
from tests.faults.blocked import blocked_run, waiting
from tests.fix_aishell import Aishell, Running
from tests.servers import wait_until


def test_resume_waits_for_a_statement_that_outlived_its_client(bloated_server: Bloated, aishell: Aishell) -> None:
    bloated = bloated_server
    db = bloated.make()
    aishell.url = db.url
    content = bloated.content(db)
    running, in_the_way = blocked_run(aishell, bloated, db)
    running.kill()
    assert waiting(bloated.engine, db), "the statement goes on without its client"
    resumed = aishell.start("runs", "resume", aishell.only_run(), "--output", "json")
    wait_until(lambda: "started by an earlier process" in resumed.err.read_text(), "the resume to look")
    assert len(waiting(bloated.engine, db)) <= 1, "no second statement beside the first"
    in_the_way.go()
    ended = resumed.wait().expect(0)
    assert ended.json["status"] == "success"
    assert set(ended.statuses().values()) == {"done"}
    assert bloated.left_behind(db) == []
    assert bloated.content(db) == content
    aishell("audit", "verify").expect(0)


def killed_within(running: Running, seconds: float) -> None:
    """Kill a command after this time, should it still be there."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        running.process.wait(seconds)
    running.kill()


def under_way(running: Running) -> bool:
    return running.ended or "started by an earlier process" in running.err.read_text()


def test_a_run_killed_again_and_again_is_finished_in_the_end(bloated: Bloated, aishell: Aishell) -> None:
    """At moments of no particular kind: in a statement, between two, while recovering."""
    db = bloated.make()
    undisturbed = Aishell(aishell.home / "undisturbed", db.url)
    undisturbed.maintenance().expect(0)
    whole, content = bloated.facts(db), bloated.content(db)

    db = bloated.make()
    aishell.url = db.url
    running, in_the_way = blocked_run(aishell, bloated, db)
    running.kill()
    in_the_way.go()
    chance = random.Random(bloated.engine)
    running = aishell.start("runs", "resume", aishell.only_run(), "--output", "json")
    for _ in range(5):
        wait_until(partial(under_way, running), "the resume to be under way")
        killed_within(running, chance.uniform(0, 0.3))
        running = aishell.start("runs", "resume", aishell.only_run(), "--output", "json")
    running.wait()
    if aishell.state_of(aishell.only_run()) != "completed":
        aishell.resume(aishell.only_run()).expect(0)
    assert bloated.facts(db) == whole
    assert bloated.content(db) == content
    assert bloated.left_behind(db) == []
    aishell("audit", "verify").expect(0)


def test_a_client_that_dies_does_not_leave_the_server_at_work_for_ever(bloated_pg: Bloated, aishell: Aishell) -> None:
    """PostgreSQL 14 looks at the connection of a running statement when it is asked to."""
    db = bloated_pg.make()
    aishell.url = db.url
    running, in_the_way = blocked_run(aishell, bloated_pg, db)
    running.kill()
    wait_until(lambda: waiting("postgresql", db) == [], "the end of the statement nobody waits for")
    in_the_way.go()
    resumed = aishell.resume(aishell.only_run()).expect(0)
    assert resumed.statuses()["rebuild_orders"] == "done"
    assert bloated_pg.left_behind(db) == []
