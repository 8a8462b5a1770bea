"""The digest of a site: what its store, configuration and locks say about a night."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import datetime

from aishell.commands import command
from aishell.errors import SettingsError, StateError
from aishell.reporting.gathering import gather_night
from aishell.reporting.needs import overlooked
from aishell.reporting.night import Need, NightReport
from aishell.site_files import SiteFiles
from aishell.state.locks import is_held


def night_of(site: SiteFiles, since: datetime, until: datetime, day: str = "") -> NightReport:
    """Return what was done after `since` until `until`, both in UTC, and what is open. `day` is the heading.

    Raises StateError if there is no state store yet.
    """
    if not site.state_path.exists():
        raise StateError("there is nothing to report: no run was made yet", hint=f"there is no {site.state_path}")
    return gather_night(
        site.store,
        since,
        until,
        targets=site.target_names,
        backups=site.backup_store.entries(),
        running=lambda run_id: is_held(site.run_lock(run_id)),
        further=_schedules(site, until),
        site=f"{socket.gethostname()}:{(site.places.root or site.state_path.parent).absolute()}",
        day=day,
        daemon=lambda: is_held(site.daemon_lock),
        workflow_status=site.workflow_status,
    )


def _schedules(site: SiteFiles, until: datetime) -> Iterator[Need]:
    """Yield schedules that nothing checks, and why schedules cannot be read: the digest is made nevertheless."""
    try:
        yield from overlooked(site.schedules.by_name.values(), site.ledger.known(), until)
    except SettingsError as error:
        so = "the daemon goes on with the configuration before" if is_held(site.daemon_lock) else "no schedule runs"
        yield Need("missed", "", f"{so}: {error.message}", None, command("schedule", "list"))
