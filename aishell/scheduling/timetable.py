"""What is to come of the schedules of a site, as far as is known now."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from aishell.scheduling.due import Pause, coming
from aishell.scheduling.going_on import paused
from aishell.scheduling.schedules import Schedule
from aishell.site_files import SiteFiles


def pauses(site: SiteFiles) -> dict[str, Pause]:
    """The pauses there are, by schedule; a store is not made for that."""
    known = site.ledger.known() if site.state_path.exists() else {}
    return {name: found for name, one in known.items() if (found := paused(one)) is not None}


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
                "paused": pause.told(one.timing) if pause is not None and pause.holds(now) else None,
            }
        )
    return rows
