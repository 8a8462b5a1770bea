"""The next times of each schedule, and how a waiting run continues after an answer, or why it does not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from aishell.commands import command
from aishell.moments import nominal
from aishell.scheduling.due import coming, left_out, pause_text
from aishell.scheduling.schedules import Schedule
from aishell.site_files import SiteFiles
from aishell.state.connection import Record
from aishell.state.locks import is_held
from aishell.state.schedule_runs import Pause


def kept_back(site: SiteFiles, row: Record, now: datetime) -> str | None:
    """The blackout or pause that keeps a row from beginning while its window is open; None without one.

    A run that a person requested begins while its schedule is paused.
    """
    schedule = site.schedules.by_name.get(row.schedule)
    if schedule is None:
        return None
    return left_out(schedule, now, None if row.asked_by else pauses(site).get(row.schedule))


def closed(site: SiteFiles, row: Record, now: datetime) -> str | None:
    """When the window of a row closed, as a clause; None while it is open."""
    if row.until is None or datetime.fromisoformat(row.until) > now:
        return None
    return f"its window closed at {clock(site, row)}"


def clock(site: SiteFiles, row: Record) -> str:
    """The end of a row's window, for people."""
    return nominal(window_ends(site, row))


def window_ends(site: SiteFiles, row: Record) -> str:
    """The end of a row's window, ISO 8601, in the schedule's zone where that is still configured."""
    moment, schedule = datetime.fromisoformat(row.until), site.schedules.by_name.get(row.schedule)
    return schedule.timing.local(moment) if schedule is not None else moment.isoformat(timespec="seconds")


def by_hand(site: SiteFiles, row: Record | None, run_id: str) -> str:
    """The command that continues a run, or its workflow."""
    if row is not None and site.workflow_runs.there(row.run_id):
        return command("run", "workflow", "--resume", row.run_id[:8])
    return command("runs", "resume", run_id[:8])


def stranded(site: SiteFiles, now: datetime) -> list[Record]:
    """Note in the ledger the runs that were approved too late for their window; the newly noted rows."""
    rows = []
    for row in site.ledger.stranded(now):
        resume = by_hand(site, row, row.run_id)
        why = f"{closed(site, row, now)} before the approved steps ran; `{resume}` continues the run"
        if site.ledger.note(row.id, why):
            rows.append(site.ledger.row(row.id))
    return rows


def outlook(site: SiteFiles, run_id: str, now: datetime) -> str:
    """How a run continues after an answer, as one clause."""
    row, run = site.ledger.of_run(run_id), f"the run {run_id[:8]}"
    resume = by_hand(site, row, run_id)
    if row is None:
        return f"{run} was not started by a schedule: continue it with `{resume}`"
    hold = site.holds.on(row.target)
    if row.status not in ("due", "running", "waiting"):
        return f"the schedule no longer handles {run} ({row.status}): continue it with `{resume}`"
    if why := closed(site, row, now):
        return f"{run} does not continue by itself: {why}; `{resume}` continues it until the approval expires"
    end = f", until its window closes at {clock(site, row)}" if row.until else ""
    if hold is not None:
        return f"{run} continues when the hold is released{end}: {hold.text}"
    if why := kept_back(site, row, now):
        return f"{run} continues when the schedule {row.schedule} runs again{end} ({why}); `{resume}` continues it now"
    who = "the daemon" if is_held(site.daemon_lock) else "the daemon, or the next `schedule run-due`,"
    return f"{who} continues {run}{end}"


def pauses(site: SiteFiles) -> dict[str, Pause]:
    """Present and future pauses by schedule; creates no store."""
    known = site.ledger.known() if site.state_path.exists() else {}
    return {name: one.pause for name, one in known.items() if one.pause is not None}


def times(site: SiteFiles, one: Schedule, after: datetime) -> Iterator[datetime]:
    """The times at which a schedule will run."""
    skipped = site.ledger.left_out(one.name) if site.state_path.exists() else set[datetime]()
    return coming(one, after, pauses(site).get(one.name), skipped)


def listed(site: SiteFiles, now: datetime) -> list[dict[str, Any]]:
    """Every schedule: when it runs, on what, and when next."""
    known, rows = pauses(site), []
    for one in site.schedules.by_name.values():
        pause, following = known.get(one.name), next(times(site, one, now), None)
        rows.append(
            {
                "schedule": one.name,
                "when": one.timing.shown,
                "agent": one.agent or None,
                "workflow": one.workflow,
                "targets": one.on(site.settings),
                "missed": one.missed,
                "next": None if following is None else one.timing.local(following),
                "paused": pause_text(pause, one.timing) if pause is not None and pause.holds(now) else None,
            }
        )
    return rows
