"""kill -9 at every commit to state.db, on each engine: what was promised holds wherever it hits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from tests.bloated import Bloated, held
from tests.faults.killing import IN_TURN, KILLED, WHENS, Killer, assert_no_finished_step_ran_again, killers, new_site
from tests.fix_aishell import Aishell, bloated_on
from tests.fix_tools import label

LANES = 2  # at a time, a process each


def assert_as_promised(bloated: Bloated, db: Any, site: Aishell, whole: dict[str, Any], content: Any) -> None:
    """After the resume: the same database as after an undisturbed run, nothing left, and a history without a gap."""
    assert bloated.facts(db) == whole
    assert bloated.content(db) == content
    assert bloated.left_behind(db) == []
    assert [path for path in site.lock_files() if held(path)] == []
    assert_no_finished_step_ran_again(site)
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
class Sweep:
    """The same run on ever another copy of the same database, killed at one commit after the other."""

    bloated: Bloated
    aishell: Aishell
    when: str

    def undisturbed(self, killer: Killer) -> None:
        db = self.bloated.make()
        site = new_site(self.aishell, "undisturbed", db.url)
        self.content, self.untouched = self.bloated.content(db), self.bloated.facts(db)
        killer.run(site, *site.arguments()).expect(0)
        self.whole = self.bloated.facts(db)
        assert self.whole != self.untouched

    def survives(self, killer: Killer, at: int) -> bool:
        """Kill a run at this commit, finish it, and look at everything. True when it ended before it came to the commit."""
        db = self.bloated.make()
        site = new_site(self.aishell, f"at_{at}", db.url)
        killed = killer.run(site, *site.arguments(), at=at, when=self.when)
        if killed.code != KILLED:
            killed.expect(0)
            return True
        known = site.rows("SELECT id, state FROM runs") if site.state.exists() else []
        if not known:  # nothing was promised yet: nothing may have been sent, and a new run does it all
            assert self.bloated.facts(db) == self.untouched
            killer.run(site, *site.arguments()).expect(0)
        elif known[0][1] == "completed":
            refused = killer.run(site, "runs", "resume", known[0][0], "--output", "json")
            assert (refused.code, refused.json["error"]["type"]) == (2, "StateError")
        else:
            resumed = killer.run(site, "runs", "resume", known[0][0], "--output", "json").expect(0)
            assert resumed.json["status"] == "success"
        assert_as_promised(self.bloated, db, site, self.whole, self.content)
        killer.run(site, "audit", "verify").expect(0)
        return False


def by_engine(fixture: str, when: str) -> Any:
    return pytest.param(fixture, when, id=f"{label(fixture)}-{when}")


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("fixture", "when"),
    [by_engine(fixture, when) for fixture in ("pg_distribution", "mariadb", "sqlite") for when in WHENS]
    + [by_engine("pg_current", when) for when in WHENS if when != IN_TURN],
)
def test_a_run_killed_at_any_commit_is_finished_by_resume(
    request: pytest.FixtureRequest, aishell: Aishell, fixture: str, when: str
) -> None:
    with bloated_on(request, fixture) as bloated, killers(aishell, LANES) as lanes, ThreadPoolExecutor(LANES) as pool:
        sweep = Sweep(bloated, aishell, when)
        sweep.undisturbed(lanes[0])
        at = 1
        while not any(pool.map(sweep.survives, lanes, range(at, at + LANES))):
            at += LANES
        assert at > 12, "a run has more commits than that"
