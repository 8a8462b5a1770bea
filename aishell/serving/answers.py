"""Pending approvals and answers to them, for the site's user and for others at the daemon's socket."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aishell.commands import command
from aishell.errors import DeniedError, StateError, UsageError
from aishell.scheduling.outlook import outlook, window_ends
from aishell.scheduling.times import wall_clock
from aishell.site_files import SiteFiles
from aishell.state.approvals import STAGE, expired, shown
from aishell.state.connection import Record
from aishell.state.runs import who

#: The overflow uid, which the kernel reports for unmapped users (namespaces, NFS). Several people may share it.
NOBODY = 65534
#: The uids that users may have in namespaces of their own: a line `name:first:count` each.
SUBORDINATE = Path("/etc/subuid")


@dataclass(frozen=True)
class Person:
    """A user of this host by uid, from the kernel and never from the environment."""

    uid: int
    place: str | None = None  # where they answer, when not at this process's terminal

    @classmethod
    def here(cls) -> Person:
        """The user of this process."""
        return cls(os.getuid())

    def require_known(self) -> None:
        """Raises DeniedError for a uid that is not a user of this host.

        At the socket, one without an entry in the passwd database is refused too. Users who can open the site need none (as in a
        bare container), since they could write its files.
        """
        if self.uid == NOBODY:
            raise DeniedError(f"uid {NOBODY} cannot decide: the kernel does not know the user")
        whose = _lent(self.uid)
        if whose is not None:
            raise DeniedError(
                f"uid {self.uid} cannot decide: {SUBORDINATE} assigns it to namespaces of {whose}",
                hint="answer outside of the container",
            )
        if self.place is not None:
            try:
                pwd.getpwuid(self.uid)
            except KeyError:
                raise DeniedError(
                    f"uid {self.uid} cannot decide: it is not a user of this host (no entry in its passwd database)",
                    hint="answer as a user that `getent passwd` knows",
                ) from None

    @property
    def text(self) -> str:
        """For the audit log: `kim@db1 (uid 1001)`."""
        return f"{who(self.uid)} (uid {self.uid})"


def _lent(uid: int) -> str | None:
    """The user to whom a subordinate uid belongs. Raises DeniedError if that cannot be read."""
    try:
        lines = SUBORDINATE.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DeniedError(f"uid {uid} cannot decide: {SUBORDINATE} cannot be read: {error.strerror}") from error
    for line in lines:
        name, _, range_ = line.partition(":")
        first, _, count = range_.partition(":")
        if first.isdecimal() and count.isdecimal() and int(first) <= uid < int(first) + int(count):
            return name
    return None


def waiting(site: SiteFiles) -> list[dict[str, Any]]:
    """Pending approvals, oldest first."""
    found = []
    for row in site.approvals.pending():
        asked = shown(row)
        found.append(
            {
                "id": row.id,
                "run": row.run_id[:8],
                "target": site.runs.find(row.run_id).target,
                "step": row.step_id,
                "tool": asked["tool"],
                "level": row.level,
                "people": asked.get("people", 1),
                "edited": bool(asked.get("edits")),
                "asked_at": row.requested_at[:19],
                "expires_at": row.expires_at[:19],
                "until": answer_by(site, row)[:19],
                "run_id": row.run_id,
                "server": asked["server"],
            }
        )
    return found


def asked(site: SiteFiles, approval: str) -> dict[str, Any]:
    """A request in full. Raises StateError if it was changed since it was made."""
    row = site.approvals.find_unchanged(approval)
    night = site.ledger.of_run(row.run_id)
    return {
        **row.columns("id run_id level digest"),
        "status": "expired" if expired(row) else row.status,
        **shown(row),
        **row.columns("requested_by requested_at expires_at"),
        "step": row.step_id,
        "target": site.runs.find(row.run_id).target,
        "until": answer_by(site, row),
        "schedule": None if night is None else night.schedule,
        "window_ends": window_ends(site, night) if night is not None and night.until else None,
        "approved_by": [one["by"] for one in site.approvals.first_answers(row)],
    }


def answer_by(site: SiteFiles, row: Record) -> str:
    """The time by which an answer lets the step run by itself: its expiry or the end of its window, whichever is first."""
    night = site.ledger.of_run(row.run_id)
    ends = [row.expires_at, *([night.until] if night is not None and night.until else [])]
    return str(min(ends))


def approve(
    site: SiteFiles,
    approval: str,
    person: Person,
    *,
    reason: str = "",
    target: str | None = None,
    digest: str | None = None,
) -> dict[str, Any]:
    """Approve a step as it is shown. `target`: its name, required by a review; `digest`: that of the request shown to the person.

    Raises DeniedError if this person may not approve, UsageError if the target's name is missing.
    """
    row = site.approvals.find_unchanged(approval)
    name = site.runs.find(row.run_id).target
    person.require_known()
    _require_shown(row, digest)
    if row.level == "review" and target is None:
        raise UsageError("a review requires the target's name", hint=f"--confirm-target {name}")
    if row.level == "review" and target != name:
        raise DeniedError("that is not the target's name; nothing was approved")
    return _decided(site, row, person, "approved", reason)


def reject(site: SiteFiles, approval: str, person: Person, *, reason: str, digest: str | None = None) -> dict[str, Any]:
    """Reject a step; the run continues without it."""
    row = site.approvals.find(approval)
    person.require_known()
    _require_shown(row, digest)
    if not reason.strip():
        raise UsageError("a rejection needs a reason", hint="--reason 'not before the release'")
    return _decided(site, row, person, "rejected", reason)


def edit(
    site: SiteFiles,
    approval: str,
    params: Mapping[str, Any],
    person: Person,
    *,
    reason: str = "",
    digest: str | None = None,
) -> dict[str, Any]:
    """Change a step's parameters: they are checked now, and the step needs approval again when the run continues.

    For a reviewed stage: change the values that other stages refer to, and approve the rest.

    Raises ParameterError for an invalid or uneditable parameter, UsageError for no change.
    """
    from aishell.registry.header import read_tool
    from aishell.safety.approval import edited

    row = site.approvals.find_unchanged(approval)
    person.require_known()
    _require_shown(row, digest)
    asked = shown(row)
    if row.level == STAGE:
        from aishell.workflows.reviewing import edited as values_of

        return _decided(site, row, person, "modified", reason, values_of(site, row, params))
    texts: dict[str, str] = json.loads(site.runs.find(row.run_id).tools)
    tools = (read_tool(text, source, source.split("/")[1]) for source, text in texts.items())
    tool = next(one for one in tools if one.name == asked["tool"])
    values = edited(tool, asked["params"], {**asked["params"], **params})
    if values == asked["params"]:
        raise UsageError("the parameters are unchanged", hint=f"`{command('approvals', 'show', row.id)}` shows them")
    return _decided(site, row, person, "modified", reason, values)


def _require_shown(row: Record, digest: str | None) -> None:
    """Raises StateError if the person was shown another request."""
    if digest is not None and digest != row.digest:
        raise StateError(
            f"the digest of approval {row.id} differs from {digest!r}; nothing was decided",
            hint=f"`{command('approvals', 'show', row.id)}` shows what it is bound to",
        )


def _decided(
    site: SiteFiles,
    row: Record,
    person: Person,
    decision: str,
    reason: str,
    modifications: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Record a decision; the request's new status.

    `scheduled`: a schedule started its run; `goes_on`: how the run continues, in words.
    """
    status = site.approvals.decide(
        row.id,
        decision,
        by=person.text,
        uid=person.uid,
        reason=reason,
        modifications=modifications,
        place=person.place,
    )
    workflow = shown(row)["review"]["workflow_id"] if row.level == STAGE else None
    scheduled = site.ledger.of_run(workflow or row.run_id) is not None
    goes_on = None if status == "pending" else outlook(site, row.run_id, wall_clock())
    if workflow is not None and not scheduled and goes_on is not None:
        goes_on = f"continue with: {command('run', 'workflow', '--resume', workflow[:8])}"
    answer = {"id": row.id, "run_id": row.run_id, "status": status, "scheduled": scheduled, "goes_on": goes_on}
    return answer if workflow is None else {**answer, "workflow_id": workflow}
