"""What is to come: when each schedule runs next, how a waiting run goes on after an answer, or why it does not by itself."""

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
    """Why nothing is begun of a row at this moment, though its window is open: a blackout or a pause. None where it may be.

    What a person asked for runs while its schedule is paused.
    """
    schedule = site.schedules.by_name.get(row.schedule)
    if schedule is None:
        return None
    return left_out(schedule, now, None if row.asked_by else pauses(site).get(row.schedule))


def closed(site: SiteFiles, row: Record, now: datetime) -> str | None:
    """That the window of a row has closed; None where it has not."""
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
    """The command with which a person goes on with a run, or with the workflow whose stage it is."""
    if row is not None and site.workflow_runs.there(row.run_id):
        return command("run", "workflow", "--resume", row.run_id[:8])
    return command("runs", "resume", run_id[:8])


def stranded(site: SiteFiles, now: datetime) -> list[Record]:
    """What was approved too late for its window: the ledger says so, and how to go on; those that it did not say it of."""
    rows = []
    for row in site.ledger.stranded(now):
        why = f"{closed(site, row, now)}, and what was approved did not run; `{by_hand(site, row, row.run_id)}` goes on by hand"
        if site.ledger.note(row.id, why):
            rows.append(site.ledger.row(row.id))
    return rows


def outlook(site: SiteFiles, run_id: str, now: datetime) -> str:
    """How a run goes on once an answer was given, as one clause."""
    row, run = site.ledger.of_run(run_id), f"the run {run_id[:8]}"
    resume = by_hand(site, row, run_id)
    if row is None:
        return f"{run} is gone on with by whoever began it: `{resume}`"
    hold = site.holds.on(row.target)
    if row.status not in ("due", "running", "waiting"):
        return f"the night of {run} is over ({row.status}): `{resume}` goes on by hand"
    if why := closed(site, row, now):
        return f"{run} is not gone on with by itself: {why}; `{resume}` goes on by hand, as long as the answer counts"
    end = f", until its window closes at {clock(site, row)}" if row.until else ""
    if hold is not None:
        return f"{run} goes on when the hold is released{end}: {hold.text}"
    if why := kept_back(site, row, now):
        return f"{run} goes on when the schedule {row.schedule} runs again{end} ({why}); `{resume}` goes on by hand"
    who = "the daemon" if is_held(site.daemon_lock) else "the daemon, or the next `schedule run-due`,"
    return f"{who} goes on with {run}{end}"


def pauses(site: SiteFiles) -> dict[str, Pause]:
    """The pauses there are, by schedule; a store is not made for that."""
    known = site.ledger.known() if site.state_path.exists() else {}
    return {name: one.pause for name, one in known.items() if one.pause is not None}


def times(site: SiteFiles, one: Schedule, after: datetime) -> Iterator[datetime]:
    """The times of a schedule at which it will run."""
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
