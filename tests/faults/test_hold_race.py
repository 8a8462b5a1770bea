"""Holds that come at random moments of several runs: the audit log has no step that began under one."""

from __future__ import annotations

import json
import random
import time

from tests.bloated import Bloated
from tests.fix_aishell import Aishell
from tests.totals import assert_totals_exact

NAMES = ("one", "two", "three")


def begun_on_hold(site: Aishell) -> list[int]:
    """The events that tell of a step that began while its target, or every target, was on hold."""
    holds, found = set[str | None](), list[int]()
    sql = """SELECT e.id, e.type, e.data, r.target FROM events AS e LEFT JOIN runs AS r ON r.id = e.run_id ORDER BY e.id"""
    for number, kind, data, target in site.rows(sql):
        if kind in ("hold_placed", "hold_released"):
            (holds.add if kind == "hold_placed" else holds.discard)(json.loads(data)["target"])
        elif kind == "step_started" and holds & {None, target}:
            found.append(number)
    return found


def test_no_step_begins_between_a_hold_and_its_release(aishell: Aishell, bloated_sqlite: Bloated):
    dice = random.Random("holds")
    urls = {name: {"url": bloated_sqlite.make().url, "environment": "test"} for name in NAMES}
    aishell.configure("targets.yaml", json.dumps({"targets": urls}))
    chosen = ("--set", "min_index_size=65536", "--yes", "--output", "json")
    running = {n: aishell.start("run", "maintenance", "--type", "full", "--target", n, *chosen) for n in NAMES}
    for target in (("--target", "two"), ()):
        time.sleep(dice.uniform(0.2, 0.9))
        aishell("hold", "--reason", "now", *target).expect(0)
    codes = {name: one.wait().code for name, one in running.items()}
    assert set(codes.values()) <= {0, 4, 5}
    assert begun_on_hold(aishell) == []
    aishell("release").expect(0)
    aishell("release", "--target", "two").expect(0)
    for run_id, state in aishell.rows("SELECT id, state FROM runs"):
        assert (codes[aishell.rows("SELECT target FROM runs WHERE id = ?", run_id)[0][0]] == 4) == (state == "paused")
        if state == "paused":
            aishell.resume(run_id).expect(0)
    assert begun_on_hold(aishell) == []
    assert_totals_exact(aishell)
    aishell("audit", "verify").expect(0)
