"""aishell's own time per step, target queries excluded, against two bare durable commits of its store.

The claim (issue 2): at most 1 ms above the two commits. The steps are Python tools that return at once, so that everything
measured is aishell: resolve, hooks, gates, intent, outcome, checkpoint, audit. They pass for aishell's own, which run in this
process; one of a site's has a process to itself (issue 11, D2), which a few rounds measure too. Alternating rounds; then the
profile that explains the rest.
"""

from __future__ import annotations

import cProfile
import pstats
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aishell.agents.base import Agent, Draft
from aishell.agents.maintenance.agent import MaintenanceAgent
from aishell.execution import orchestrator
from aishell.execution.preview import present
from aishell.models import Inventory, Step, Task
from aishell.site import Site
from aishell.state.store import Store

STEPS, ROUNDS = 200, 7
OURS, OF_THE_SITE = "aishell.bench_step_overhead", "bench_step_overhead"
TOOL = """
name: do_nothing
category: report
risk: medium
capabilities: [database_read]
runs: python
implementation: {module}:do_nothing
parameters:
  number: {{type: integer}}
returns:
  number: {{type: integer}}
description: Returns its parameter at once.
"""


def do_nothing(params: Mapping[str, Any], context: Any) -> dict[str, Any]:
    return {"number": params["number"]}


class Chain(MaintenanceAgent):
    """So many steps, each of which needs the one before it."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def draft(self, task: Task, inventory: Inventory) -> Draft:
        return Draft(
            tuple(
                Step(f"s{n}", "do_nothing", {"number": n}, needs=(f"s{n - 1}",) if n else ()) for n in range(self.steps)
            )
        )


def run_steps(folder: Path, number: int, module: str = OURS, steps: int = STEPS) -> float:
    """Seconds a step of one run, without planning."""
    (folder / "tools" / "common" / "do_nothing.yaml").write_text(TOOL.format(module=module))
    state = folder / f"state{number}.db"
    with Site.open(folder, state=state) as site, site.job(Task("maintenance", f"sqlite:///{folder}/target.db")) as job:
        agent: Agent = Chain(steps)
        job.agent = agent
        inventory = Inventory(job.refresh(), (), (), "now")
        planned = present(job, agent.plan(job.task, inventory), inventory)
        site.store.read().__enter__()
        started = time.perf_counter()
        result = site.run(planned)
        seconds = time.perf_counter() - started
    assert result.status == "success", result.reasoning
    return seconds / steps


def bare_commits(folder: Path, number: int) -> float:
    """Seconds for two durable commits of one insert or update each, of STEPS such pairs."""
    store = Store.open(folder / f"bare{number}.db")
    with store.write() as connection:
        columns = (row["name"] for row in connection.all("PRAGMA table_info(runs)"))
        connection.insert("runs", {**dict.fromkeys(columns, 0), "id": "r"})
    started = time.perf_counter()
    for step in range(STEPS):
        with store.write() as connection:
            checkpoint = {"task_id": "t", "name": f"step_{step}_started", "total_steps": STEPS, "version": 1}
            connection.insert("checkpoints", {"run_id": "r", "created_at": "", **checkpoint})
        with store.write() as connection:
            connection.update("runs", "id = :run", {"run": "r"}, {"state": str(step)})
    seconds = time.perf_counter() - started
    store.close()
    return seconds / STEPS


def main() -> None:
    sys.path.insert(0, str(Path(__file__).parent))
    sys.modules[OURS] = sys.modules["__main__"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "config").mkdir()
        (folder / "tools" / "common").mkdir(parents=True)
        with sqlite3.connect(folder / "target.db") as target:
            target.execute("CREATE TABLE t (i INTEGER PRIMARY KEY)")
        target.close()
        ours, bare, children = [], [], []
        for number in range(ROUNDS):
            bare.append(bare_commits(folder, number) * 1000)
            ours.append(run_steps(folder, number) * 1000)
            children.append(run_steps(folder, ROUNDS + 1 + number, OF_THE_SITE, steps=10) * 1000)
        profile = cProfile.Profile()
        execute = orchestrator.execute  # what a worker thread does for a step
        orchestrator.execute = lambda *arguments: profile.runcall(execute, *arguments)
        run_steps(folder, ROUNDS)
    print(f"{'':<26} {'median':>9} {'min':>8} {'max':>8}   (ms a step, {STEPS} steps, {ROUNDS} rounds)")
    labels = ("two bare durable commits", "a step of aishell", "of a site's own in Python")
    for label, values in zip(labels, (bare, ours, children), strict=True):
        print(f"{label:<26} {statistics.median(values):>9.2f} {min(values):>8.2f} {max(values):>8.2f}")
    print(f"above the two commits: {statistics.median(ours) - statistics.median(bare):.2f} ms")
    pstats.Stats(profile).sort_stats("cumtime").print_stats("aishell|commit|execute", 24)


if __name__ == "__main__":
    main()
