"""kill -9 at every commit to state.db, on each engine: what was promised holds wherever it hits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.bloated import Bloated, held
from tests.faults.killed import Fault
from tests.faults.killing import KILLED, SWEEPS, Sweep, assert_no_finished_step_ran_again, new_site
from tests.fix_aishell import Aishell
from tests.totals import assert_totals_exact


def assert_as_promised(bloated: Bloated, db: Any, site: Aishell, whole: dict[str, Any], content: Any) -> None:
    """After the resume: the same database as after an undisturbed run, nothing left, and a history without a gap."""
    assert bloated.facts(db) == whole
    assert bloated.content(db) == content
    assert bloated.left_behind(db) == []
    assert [path for path in site.lock_files() if held(path)] == []
    assert_no_finished_step_ran_again(site)
    assert_totals_exact(site)
    (site_run,) = site.rows("SELECT id, state FROM runs")
    assert site_run[1] == "completed"
    names = [name for (name,) in site.rows("SELECT name FROM checkpoints ORDER BY id")]
    assert (names[0], names[-1]) == ("plan_created", "workflow_completed")
    steps = site.rows("SELECT step_index, status FROM steps ORDER BY step_index")
    assert {status for _, status in steps} == {"done"}
    assert [names.count(f"step_{index}_completed") for index, _ in steps] == [1] * len(steps)
    objects = site.rows("SELECT step_index, object, count(*) FROM table_history WHERE status = 'ok' GROUP BY 1, 2")
    assert [o for o in objects if o[2] != 1] == [], "an object's outcome was recorded more than once"


@dataclass
class Killed:
    """The same run on ever another copy of the same database, each killed somewhere else."""

    bloated: Bloated
    aishell: Aishell

    def undisturbed(self) -> None:
        db = self.bloated.make()
        site = new_site(self.aishell, "undisturbed", db.url)
        self.content, self.untouched = self.bloated.content(db), self.bloated.facts(db)
        site(*site.arguments()).expect(0)
        self.whole = self.bloated.facts(db)
        assert self.whole != self.untouched

    def survives(self, fault: Fault) -> bool:
        """Kill a run there, finish it, and look at everything. True when it ended before it came to that."""
        db = self.bloated.make()
        site = new_site(self.aishell, str(fault), db.url)
        ended = site(*site.arguments(), fault=fault)
        if ended.code != KILLED:
            ended.expect(0)
            return True
        known = site.rows("SELECT id, state FROM runs") if site.state.exists() else []
        if not known:  # nothing was promised yet: nothing may have been sent, and a new run does it all
            assert self.bloated.facts(db) == self.untouched
            site(*site.arguments()).expect(0)
        elif known[0][1] == "completed":
            refused = site("runs", "resume", known[0][0], "--output", "json")
            assert (refused.code, refused.json["error"]["type"]) == (2, "StateError")
        else:
            resumed = site("runs", "resume", known[0][0], "--output", "json").expect(0)
            assert resumed.json["status"] == "success"
        assert_as_promised(self.bloated, db, site, self.whole, self.content)
        site("audit", "verify").expect(0)
        return False


@SWEEPS
def test_a_run_killed_at_any_commit_is_finished_by_resume(bloated: Bloated, aishell: Aishell, sweep: Sweep) -> None:
    killed = Killed(bloated, aishell)
    killed.undisturbed()
    for fault in sweep.faults(12):
        if killed.survives(fault):
            assert fault.at > 12, "a run has more commits than that"
            break
