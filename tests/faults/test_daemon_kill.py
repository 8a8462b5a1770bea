"""The real daemon with a schedule of seconds, killed with -9 again and again: each time runs once, or is missed and says why."""

from __future__ import annotations

import time

import pytest

from tests.faults.killing import new_site
from tests.fix_aishell import Aishell, bloated_on
from tests.scheduled import rows
from tests.seed import dice
from tests.servers import wait_until


def often(aishell: Aishell, url: str, seconds: int = 2) -> None:
    """A site whose schedule comes every so many seconds."""
    aishell.configure("targets.yaml", f"targets:\n  shop: {{url: '{url}', environment: test}}\n")
    aishell.configure(
        "schedules.yaml",
        f"schedules:\n  often: {{every: {seconds}s, agent: maintenance, input: {{maintenance_type: quick}}, "
        "targets: [shop], missed: once, approve_up_to: medium}\n",
    )


THOROUGH = [(engine, 20) for engine in ("sqlite", "pg_current", "mariadb")]


@pytest.mark.parametrize(
    ("engine", "kills"), [("sqlite", 3), *(pytest.param(*one, marks=pytest.mark.thorough) for one in THOROUGH)]
)
def test_a_daemon_that_is_killed_again_and_again_runs_each_time_once(aishell, request, engine: str, kills: int):
    with bloated_on(request, engine) as bloated:
        survives(new_site(aishell, "killed", bloated.make().url), kills)


def survives(site: Aishell, kills: int) -> None:
    often(site, site.url or "")
    random = dice("moments")
    for _ in range(kills):
        daemon = site.start("schedule", "start")
        time.sleep(random.uniform(0.3, 3))
        assert not daemon.ended, daemon.wait().err
        daemon.kill()
    daemon = site.start("schedule", "start")
    made = max((row.id for row in rows(site, "often")), default=0)
    wait_until(lambda: any(row.id > made and row.status == "done" for row in rows(site, "often")), "the next time ran")
    daemon.signal(15)
    daemon.wait().expect(0)
    wait_until(lambda: all(row.status in ("done", "missed", "due") for row in rows(site, "often")), "all runs are over")
    ledger = rows(site, "often")
    assert len({row.nominal_at for row in ledger}) == len(ledger)
    assert all(row.reason for row in ledger if row.status == "missed")
    done = [row for row in ledger if row.status == "done"]
    assert {row.outcome for row in done} == {"success"}
    assert all(row.attempts == 1 for row in done), "no run ends with its daemon"
    runs = {name for (name,) in site.rows("SELECT id FROM runs")}
    assert runs == {row.run_id for row in done}
    again = "SELECT 1 FROM events WHERE type = 'step_completed' GROUP BY run_id, step_index HAVING count(*) > 1"
    assert site.rows(again) == []
    site("audit", "verify").expect(0)
    started, stopped = site.events("daemon_started"), site.events("daemon_stopped")
    assert (len(started), [one["reason"] for one in stopped]) == (kills + 1, ["SIGTERM"])
