"""Maintenance of the store: removes old runs, workflows and history, checks the file, and returns free pages."""

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

#: Of each object and tool, and of each agent on a target, so many rows stay, however old: plans and measures go by the last ones.
KEPT = 10

#: The share of free pages from which on the file is written anew: it takes as long as all that is in it, and writers wait.
WORTH = 0.1

#: Steps and checkpoints go with their runs, and so do answered requests.
_RUNS = """DELETE FROM runs WHERE state IN ({states}) AND created_at < :before
    AND id NOT IN (SELECT id FROM runs WHERE state IN ({states}) ORDER BY created_at DESC LIMIT :keep)
    AND id NOT IN (SELECT run_id FROM steps WHERE status IN ({doubtful}))"""
#: A workflow goes after the runs of its stages, its stages with it; one that waits or can be gone on with stays.
_WORKFLOWS = """DELETE FROM workflow_runs WHERE status NOT IN ('running', 'waiting_approval')
    AND created_at < :before AND ended_at < :before
    AND id NOT IN (SELECT workflow_id FROM workflow_stages
        WHERE status IN ('pending', 'running', 'waiting') OR run_id IN (SELECT id FROM runs))"""
#: The last row of each outcome stays: since when a schedule has had no success is told by it.
_LEDGER = """DELETE FROM schedule_runs WHERE status NOT IN ('due', 'running', 'waiting') AND nominal_at < :before
    AND decided_at < :before
    AND id NOT IN (SELECT max(id) FROM schedule_runs GROUP BY schedule, target, status, outcome)"""
#: What a run that is still there recorded stays with it: it may be resumed, or taken back.
_OBJECTS = """DELETE FROM table_history WHERE at < :before AND run_id NOT IN (SELECT id FROM runs)
    AND id NOT IN (SELECT id FROM (SELECT id, row_number() OVER
        (PARTITION BY target, tool, object ORDER BY id DESC) AS number FROM table_history) WHERE number <= :kept)"""
_NIGHTS = """DELETE FROM backlog_nights WHERE at < :before AND run_id NOT IN (SELECT id FROM runs)
    AND run_id NOT IN (SELECT run_id FROM (SELECT run_id, row_number() OVER
        (PARTITION BY target, agent ORDER BY at DESC) AS number FROM backlog_nights) WHERE number <= :kept)"""
#: With their turns. Somebody who is in one for the first time since goes on in another.
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
        """Those beside the runs."""
        return self.schedule_runs + self.objects + self.nights + self.workflows + self.conversations


def prune(store: Store, *, keep: int, older_than_days: int) -> Pruned:
    """Remove older finished runs beyond the newest `keep`, and other rows of that age that are of no use; events stay.

    One transaction. A run that is in doubt, waits or is running stays, whatever its age.
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
    """What was found and done: bytes of the file before and after, those that were free, and seconds in which writers waited."""

    bytes_before: int
    bytes_after: int
    free_before: int
    compacted: bool
    seconds: float


def maintain(store: Store, *, compact: bool = False) -> Maintained:
    """Check the store, rewrite it where much of it is free (`compact`: in any case), and empty its write-ahead log.

    Raises StateError for a damaged store, which is left unchanged, and where there is no room to rewrite it.
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
