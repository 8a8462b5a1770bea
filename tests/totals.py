"""The totals of a store against what its audit log and its rows tell: exact, whatever was killed when."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from tests.fix_aishell import Aishell

OUTCOMES = ("done", "failed", "skipped", "rejected", "in_doubt")


def totals(site: Aishell, metric: str) -> dict[tuple[str, ...], float]:
    """The values of a metric by its labels, in the order of their names."""
    found = site.rows("SELECT labels, value FROM totals WHERE metric = ?", metric)
    return {tuple(value for _, value in sorted(json.loads(labels).items())): value for labels, value in found}


def steps_told(site: Aishell) -> Counter[tuple[str, ...]]:
    """(status, target, tool) of every outcome in the log; a doubt that stays is one."""
    sql = """SELECT e.run_id, e.step_index, e.data, r.target, s.tool FROM events AS e
        JOIN runs AS r ON r.id = e.run_id JOIN steps AS s ON s.run_id = e.run_id AND s.step_index = e.step_index
        WHERE e.type IN ('step_completed', 'step_failed', 'step_skipped', 'step_in_doubt') ORDER BY e.id"""
    counted, last = Counter[tuple[str, ...]](), dict[Any, str]()
    for run, step, data, target, tool in site.rows(sql):
        status = json.loads(data)["status"]
        if status in OUTCOMES and not (status == "in_doubt" == last.get((run, step))):
            counted[status, target, tool] += 1
        last[run, step] = status
    return counted


def assert_totals_exact(site: Aishell) -> None:
    """Every outcome of a run and a step stands in the totals, once."""
    assert totals(site, "aishell_steps_total") == steps_told(site)
    ended = site.rows(
        """SELECT r.agent, r.target, count(*) FROM events AS e JOIN runs AS r ON r.id = e.run_id
        WHERE e.type = 'state_changed' AND json_extract(e.data, '$.to') IN ('completed', 'failed', 'cancelled') GROUP BY 1, 2"""
    )
    told = Counter[tuple[str, str]]()
    for (agent, _, target), value in totals(site, "aishell_runs_total").items():
        told[agent, target] += int(value)
    assert told == {(agent, target): number for agent, target, number in ended}
    assert totals(site, "aishell_run_duration_seconds_count") == told
    for metric, figure in (
        (
            "aishell_bytes_reclaimed_total",
            "json_extract(output, '$.bytes_before') - json_extract(output, '$.bytes_after')",
        ),
        ("aishell_rows_deleted_total", "json_extract(output, '$.rows_deleted')"),
    ):
        of_steps = site.rows(
            f"""SELECT target, sum({figure}) FROM steps JOIN runs ON runs.id = run_id WHERE {figure} > 0 GROUP BY 1"""
        )
        assert totals(site, metric) == {(target,): value for target, value in of_steps}
    ledger = site.rows(
        """SELECT schedule, status, sum(times) FROM schedule_runs
        WHERE status IN ('done', 'failed', 'missed', 'skipped') GROUP BY 1, 2"""
    )
    assert totals(site, "aishell_schedule_runs_total") == {(name, status): number for name, status, number in ledger}
