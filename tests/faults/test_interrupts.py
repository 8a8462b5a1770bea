"""Ctrl-C once: cancelled on the server, recorded, 130. Twice: out at once. SIGTERM is a Ctrl-C. Each can be resumed.

Where a signal may come while Python begins or ends, the command is a process of its own.
"""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from tests.bloated import Bloated
from tests.faults.blocked import LONG, blocked_run, slow_rebuild, waiting
from tests.faults.killed import Fault
from tests.faults.killing import new_site
from tests.fix_aishell import Aishell
from tests.fix_sqlite import SqliteDatabase
from tests.servers import wait_until

BY = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])


def test_one_interrupt_cancels_on_the_server_and_the_run_can_go_on(bloated: Bloated, aishell: Aishell) -> None:
    db = bloated.make()
    aishell.url = db.url
    content = bloated.content(db)
    running, in_the_way = blocked_run(aishell, bloated, db)
    running.signal()
    ended = running.wait().expect(130)
    assert ended.json["status"] == "cancelled"
    assert ended.json["state"] == "paused"
    if bloated.engine != "sqlite":
        assert waiting(bloated.engine, db) == []
    assert aishell.rows("SELECT status, reason FROM steps WHERE step_id = ?", LONG[bloated.engine]) == [
        ("pending", "interrupted")
    ]
    assert "statistics" not in ended.statuses(), "no new step was started"
    in_the_way.go()
    resumed = aishell.resume(ended.run_id).expect(0)
    assert set(resumed.statuses().values()) == {"done"}
    assert bloated.content(db) == content
    assert bloated.left_behind(db) == []
    aishell("audit", "verify").expect(0)


def test_a_second_interrupt_leaves_at_once(bloated_pg: Bloated, aishell: Aishell) -> None:
    """The server's process is held, so that it cannot answer the first."""
    db = bloated_pg.make()
    aishell.url = db.url
    running, in_the_way = blocked_run(aishell, bloated_pg, db)
    ((backend,),) = waiting("postgresql", db)
    os.kill(backend, signal.SIGSTOP)
    try:
        running.signal()
        wait_until(lambda: "interrupted: no new step" in running.err.read_text(), "the first to be heard")
        assert not running.ended, "the end of the statement is waited for"
        running.signal()
        assert running.wait().code == 130
    finally:
        os.kill(backend, signal.SIGCONT)
    run = aishell.only_run()
    assert aishell.rows("SELECT status FROM steps WHERE step_id = 'rebuild_orders'") == [("started",)]
    in_the_way.go()
    assert aishell.resume(run).expect(0).statuses()["rebuild_orders"] == "done"
    assert bloated_pg.left_behind(db) == []


@BY
def test_an_interrupted_rebuild_leaves_no_half_made_index(
    bloated_pg: Bloated, aishell: Aishell, number: signal.Signals
) -> None:
    db = bloated_pg.make()
    slow_rebuild(db)
    before = bloated_pg.content(db)
    aishell.url = db.url
    running = aishell.start(*aishell.arguments(), alone=True)
    wait_until(lambda: half_made(db), "the new index beside the old one")
    running.signal(number)
    running.wait().expect(130)
    assert not half_made(db)
    assert bloated_pg.left_behind(db) == []
    assert bloated_pg.content(db) == before


def half_made(db: Any) -> bool:
    return db.execute("SELECT 1 FROM pg_class WHERE relname = 'orders_slow_ccnew'") != []


MOMENTS = {
    "the store is made": "SELECT 1 FROM runs",
    "the run is planned": "SELECT 1 FROM checkpoints WHERE name = 'plan_created'",
    "a step is done": "SELECT 1 FROM steps WHERE step_id = 'corruption' AND status = 'done'",
    "the file is rewritten": "SELECT 1 FROM steps WHERE step_id = 'optimize' AND status <> 'pending'",
    "the last step has begun": "SELECT 1 FROM steps WHERE step_id = 'report' AND status <> 'pending'",
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_an_interrupt_at_any_moment_ends_in_130_or_is_too_late(
    bloated_sqlite: Bloated, aishell: Aishell, moment: str
) -> None:
    db = bloated_sqlite.make()
    aishell.url = db.url
    content = bloated_sqlite.content(db)
    running = aishell.start(*aishell.arguments(), alone=True)
    wait_until(lambda: aishell.state.exists(), "state.db")
    wait_until(lambda: moment == "the store is made" or running.ended or aishell.rows(MOMENTS[moment]), moment)
    running.signal()
    ended = running.wait()
    assert "Traceback" not in ended.err
    assert ended.code in (0, 130, -signal.SIGINT)
    if ended.code == -signal.SIGINT:  # it came when Python was already leaving: all had been said
        assert ended.json["exit_code"] == 0
    assert bloated_sqlite.content(db) == content
    runs = aishell.rows("SELECT id, state FROM runs")
    if runs and runs[0][1] != "completed":
        aishell.resume(runs[0][0]).expect(0)
    assert bloated_sqlite.left_behind(db) == []
    aishell("audit", "verify").expect(0)


def test_an_interrupt_behind_the_last_step_cuts_no_record_off(sqlite: SqliteDatabase, aishell: Aishell) -> None:
    """At one line of Python after the other, further and further on, aishell's own and those of its libraries."""
    sqlite.execute("CREATE TABLE orders (id integer PRIMARY KEY)")
    at, states = 1, []
    while True:
        site = new_site(aishell, str(at), sqlite.url)
        ended = site(*site.arguments(), fault=Fault(at, of="line"))
        assert "Traceback" not in ended.err
        states.append(site.state_of(site.only_run()))
        if states[-1] != "completed":
            site.resume(site.only_run()).expect(0)
        site("audit", "verify").expect(0)
        if ended.code != 130:
            break
        at += at // 2 + 1
    assert ended.expect(0).json["status"] == "success"
    assert len(states) > 20
    assert set(states[12:]) == {"completed"}, "but for the first lines, it is all written down"
