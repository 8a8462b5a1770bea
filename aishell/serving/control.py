"""Runs and the emergency stop as JSON documents, for the commands and for the daemon's socket."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from aishell.commands import command
from aishell.errors import UnknownNameError, UsageError
from aishell.site_files import SiteFiles
from aishell.state.holds import EVERYWHERE, Hold


def runs(site: SiteFiles, *, limit: int, target: str | None = None, states: Iterable[str] | None = None) -> list[Any]:
    """Runs, newest first."""
    return [
        {
            "run_id": row.id,
            **row.columns("agent target state"),
            "status": json.loads(row.result)["status"] if row.result else None,
            "created_at": row.created_at[:19],
            "requested_by": row.requested_by,
        }
        for row in site.runs.recent(limit=limit, target=target, states=states)
    ]


def held(site: SiteFiles) -> list[dict[str, Any]]:
    """The holds in force, the one on every target (`target` None) first."""
    return [document(one) for one in site.held()]


def document(hold: Hold) -> dict[str, Any]:
    """A hold as JSON."""
    return {"target": hold.target or None, "since": hold.at, "by": hold.by, "reason": hold.reason}


def read(data: Mapping[str, Any]) -> Hold:
    """A hold from its JSON."""
    return Hold(data["target"] or EVERYWHERE, data["reason"], data["by"], data["since"])


def place(site: SiteFiles, by: str, reason: str, target: str | None = None) -> tuple[Hold, bool]:
    """Start no new step on a target, or on any; the hold in force, and whether it is new.

    Raises UsageError without a reason, UnknownNameError for a target that is not configured.
    """
    if not reason.strip():
        raise UsageError("--reason is empty", hint="give a reason, which is shown wherever the hold stops something")
    if target is not None and target not in site.settings.targets:
        everything = command("hold", "--reason", reason)
        if "://" in target:
            raise UsageError("--target is a URL, not a configured target", hint=f"`{everything}` stops every target")
        raise UnknownNameError("target", target, site.settings.targets, str(site.places.config / "targets.yaml"))
    return site.holds.place(target or EVERYWHERE, reason.strip(), by)


def release(site: SiteFiles, by: str, target: str | None = None) -> Hold:
    """Lift the hold on a target, or that on every target, and return it. Raises StateError if there is none."""
    return site.holds.release(target or EVERYWHERE, by)
