"""What waits for a person, and how it is answered: the same for a shell of the site's user and for others at the socket."""

from __future__ import annotations

import json
import os
import pwd
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aishell.commands import command
from aishell.errors import DeniedError, UsageError
from aishell.site_files import SiteFiles
from aishell.state.approvals import STAGE, expired, shown
from aishell.state.connection import Record

#: Whom the kernel names where it knows no user: of another namespace, of NFS. Several people may be behind it.
NOBODY = 65534


@dataclass(frozen=True)
class Person:
    """A user of this host, by the number the kernel gives. Never by a name that an environment could give."""

    uid: int
    place: str | None = None  # where they answer, when not at this process's terminal

    @classmethod
    def here(cls) -> Person:
        """The user of this process."""
        return cls(os.getuid())

    def require_known(self) -> None:
        """Raises DeniedError where the kernel does not know who it is."""
        if self.uid == NOBODY:
            raise DeniedError(f"uid {NOBODY} decides nothing: the kernel does not know who that is")

    @property
    def text(self) -> str:
        """For the audit log: `kim@db1 (uid 1001)`."""
        try:
            name = pwd.getpwuid(self.uid).pw_name
        except KeyError:  # no entry, as in a bare container
            name = f"uid{self.uid}"
        return f"{name}@{socket.gethostname()} (uid {self.uid})"


def waiting(site: SiteFiles) -> list[dict[str, Any]]:
    """What waits now, the oldest first."""
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
                "asked_at": row.requested_at[:19],
                "expires_at": row.expires_at[:19],
                "run_id": row.run_id,
                "server": asked["server"],
            }
        )
    return found


def asked(site: SiteFiles, approval: str) -> dict[str, Any]:
    """A request, whole. Raises StateError where it is not what was asked."""
    row = site.approvals.as_asked(approval)
    return {
        "id": row.id,
        "run_id": row.run_id,
        "status": "expired" if expired(row) else row.status,
        "level": row.level,
        "digest": row.digest,
        **shown(row),
        "step": row.step_id,
        "target": site.runs.find(row.run_id).target,
        "requested_by": row.requested_by,
        "requested_at": row.requested_at,
        "expires_at": row.expires_at,
        "approved_by": [one["by"] for one in site.approvals.first_answers(row)],
    }


def approve(
    site: SiteFiles, approval: str, person: Person, *, reason: str = "", target: str | None = None
) -> dict[str, Any]:
    """Approve a step as it is shown. `target`: its name, which a review asks for.

    Raises DeniedError where this person may not, UsageError where the target's name is not given.
    """
    row = site.approvals.as_asked(approval)
    name = site.runs.find(row.run_id).target
    person.require_known()
    if row.level == "review" and target is None:
        raise UsageError("this is reviewed: the target's name has to be given", hint=f"--confirm-target {name}")
    if row.level == "review" and target != name:
        raise DeniedError("that is not the target's name; nothing was approved")
    status = site.approvals.decide(
        row.id, "approved", by=person.text, uid=person.uid, reason=reason, place=person.place
    )
    return _told(site, row, status)


def reject(site: SiteFiles, approval: str, person: Person, *, reason: str) -> dict[str, Any]:
    """Refuse a step; the run goes on without it."""
    row = site.approvals.find(approval)
    person.require_known()
    if not reason.strip():
        raise UsageError("a rejection needs a reason", hint="--reason 'not before the release'")
    status = site.approvals.decide(
        row.id, "rejected", by=person.text, uid=person.uid, reason=reason, place=person.place
    )
    return _told(site, row, status)


def edit(
    site: SiteFiles, approval: str, params: Mapping[str, Any], person: Person, *, reason: str = ""
) -> dict[str, Any]:
    """Other parameters for a step: it is checked now, and asked about again when the run goes on, with its new statements.

    Of a stage that is reviewed: other values for those that refer to them, which is an approval of the rest.

    Raises ParameterError for what the tool does not take, or what says which objects it is done to; UsageError for no change.
    """
    from aishell.registry.header import read_tool
    from aishell.safety.approval import edited

    row = site.approvals.as_asked(approval)
    person.require_known()
    asked = shown(row)
    if row.level == STAGE:
        from aishell.workflows.reviewing import edited as values_of

        values = values_of(site, row, params)
        status = site.approvals.decide(
            row.id, "modified", by=person.text, uid=person.uid, reason=reason, modifications=values, place=person.place
        )
        return _told(site, row, status)
    texts: dict[str, str] = json.loads(site.runs.find(row.run_id).tools)
    tools = (read_tool(text, source, source.split("/")[1]) for source, text in texts.items())
    tool = next(one for one in tools if one.name == asked["tool"])
    values = edited(tool, asked["params"], {**asked["params"], **params})
    if values == asked["params"]:
        raise UsageError("these are the parameters it has", hint=f"`{command('approvals', 'show', row.id)}` shows them")
    status = site.approvals.decide(
        row.id, "modified", by=person.text, uid=person.uid, reason=reason, modifications=values, place=person.place
    )
    return _told(site, row, status)


def _told(site: SiteFiles, row: Record, status: str) -> dict[str, Any]:
    """What became of a request. `scheduled`: a daemon or run-due goes on with the run by itself."""
    workflow = shown(row)["review"]["workflow_id"] if row.level == STAGE else None
    scheduled = site.ledger.of_run(workflow or row.run_id)
    told = {"id": row.id, "run_id": row.run_id, "status": status, "scheduled": scheduled}
    return told if workflow is None else {**told, "workflow_id": workflow}
