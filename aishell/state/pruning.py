"""Maintenance of the store: remove old runs, workflows and history, check the file, and free unused pages."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from aishell.commands import command
from aishell.errors import StateError
from aishell.models import StepStatus, timestamp
from aishell.state import audit
from aishell.state.connection import marks
from aishell.state.runs import ENDED, who
from aishell.state.store import Store

#: Rows kept per object and tool, and per agent and target, however old: plans and metrics need the last ones.
KEPT = 10

#: The share of free pages above which the file is rewritten, which takes time for all its data while writers wait.
WORTH = 0.1

#: Steps, checkpoints and answered requests are removed with their runs.
_RUNS = """DELETE FROM runs WHERE state IN ({states}) AND created_at < :before
    AND id NOT IN (SELECT id FROM runs WHERE state IN ({states}) ORDER BY created_at DESC LIMIT :keep)
    AND id NOT IN (SELECT run_id FROM steps WHERE status IN ({doubtful}))"""
#: A workflow is removed after the runs of its stages, and with its stages, unless it is pending or can be resumed.
_WORKFLOWS = """DELETE FROM workflow_runs WHERE status NOT IN ('running', 'waiting_approval')
    AND created_at < :before AND ended_at < :before
    AND id NOT IN (SELECT workflow_id FROM workflow_stages
        WHERE status IN ('pending', 'running', 'waiting') OR run_id IN (SELECT id FROM runs))"""
#: The last row of each outcome stays: it shows how long a schedule has had no success.
_LEDGER = """DELETE FROM schedule_runs WHERE status NOT IN ('due', 'running', 'waiting') AND nominal_at < :before
    AND decided_at < :before
    AND id NOT IN (SELECT max(id) FROM schedule_runs GROUP BY schedule, target, status, outcome)"""
#: The records of an existing run stay: it may be resumed or undone.
_OBJECTS = """DELETE FROM table_history WHERE at < :before AND run_id NOT IN (SELECT id FROM runs)
    AND id NOT IN (SELECT id FROM (SELECT id, row_number() OVER
        (PARTITION BY target, tool, object ORDER BY id DESC) AS number FROM table_history) WHERE number <= :kept)"""
_NIGHTS = """DELETE FROM backlog_nights WHERE at < :before AND run_id NOT IN (SELECT id FROM runs)
    AND run_id NOT IN (SELECT run_id FROM (SELECT run_id, row_number() OVER
        (PARTITION BY target, agent ORDER BY at DESC) AS number FROM backlog_nights) WHERE number <= :kept)"""
#: With their turns. A process that still uses one starts a new one at its next turn.
_CONVERSATIONS = "DELETE FROM conversations WHERE used_at < :before"


@dataclass(frozen=True)
class Pruned:
    """The number of rows removed, by kind."""

    runs: int
    schedule_runs: int
    objects: int
    nights: int
    workflows: int = 0
    conversations: int = 0

    @property
    def rows(self) -> int:
        """Removed rows other than runs."""
        return self.schedule_runs + self.objects + self.nights + self.workflows + self.conversations


def prune(store: Store, *, keep: int, older_than_days: int) -> Pruned:
    """Remove finished runs of that age beyond the newest `keep`, and other old rows that are not needed; events stay.

    One transaction. A run that is in doubt, pending or running stays, whatever its age.
    """
    before = timestamp(datetime.now(UTC) - timedelta(days=older_than_days))
    states, values = marks(ENDED)
    doubtful, doubts = marks((StepStatus.IN_DOUBT, StepStatus.STARTED), "d")
    with store.write() as connection:
        runs = _RUNS.format(states=states, doubtful=doubtful)
        limits = {"before": before, "kept": KEPT}
        removed = Pruned(
            connection.execute(runs, {**values, **doubts, "before": before, "keep": keep}).rowcount,
            connection.execute(_LEDGER, limits).rowcount,
            connection.execute(_OBJECTS, limits).rowcount,
            connection.execute(_NIGHTS, limits).rowcount,
            connection.execute(_WORKFLOWS, limits).rowcount,
            connection.execute(_CONVERSATIONS, limits).rowcount,
        )
        data = {"pruned_runs": removed.runs, "by": who()}
        audit.append(connection, "state_changed", {**data, "pruned": asdict(removed)} if removed.rows else data)
    return removed


@dataclass(frozen=True)
class Maintained:
    """The result: bytes of the file before and after, bytes that were free, and seconds that writers waited."""

    bytes_before: int
    bytes_after: int
    free_before: int
    compacted: bool
    seconds: float


def maintain(store: Store, *, compact: bool = False) -> Maintained:
    """Check the store, rewrite it if much of it is free (`compact`: always), and empty its write-ahead log.

    Raises StateError for a damaged store, which is left unchanged, and if there is no room to rewrite it.
    """
    problems = store.check()
    if problems:
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise StateError(
            f"{store.path} is damaged: {problems[0]}{more}",
            hint=f"restore it from a copy; `{command('audit', 'verify')}` checks the audit log",
        )
    with store.read() as connection:
        size, pages, free = (
            int(connection.value(f"PRAGMA {name}")) for name in ("page_size", "page_count", "freelist_count")
        )
    began, worth = time.monotonic(), compact or free > WORTH * pages
    after = store.compact(vacuum=worth)
    return Maintained(pages * size, after, free * size, worth, round(time.monotonic() - began, 3))
