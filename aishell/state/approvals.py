"""Approvals: requested, decided, consumed once, expired, or void when the step or its objects have changed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from aishell.codec import canonical, plain
from aishell.commands import command
from aishell.errors import DeniedError, StateError, UnknownNameError
from aishell.models import Subject, new_id, now, timestamp
from aishell.moments import at
from aishell.state import anchor, audit
from aishell.state.autonomy import Autonomy, reset, subject_of
from aishell.state.connection import Connection, Record, find_by_beginning
from aishell.state.runs import who
from aishell.state.store import Store

#: The `decided_by` of an expired request.
NOBODY = "nobody"
#: The level of a review of a workflow stage's result, and the step index stored for it.
STAGE, WHOLE = "stage", -1
#: Whether the step of a request is still open: `--yes` may have answered it, or the run may have ended.
_WAITS = """NOT EXISTS (SELECT 1 FROM steps AS t WHERE t.run_id = a.run_id AND t.step_index = a.step_index
    AND t.status NOT IN ('pending', 'started'))"""
#: The outcome of a request that can no longer be answered.
_BECAME = {
    "approved": "was approved",
    "rejected": "was rejected",
    "modified": "was edited",
    "consumed": "was already used",
    "void": "is void: the step or its objects have changed",
}


class Approvals:
    """The approvals in a store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def ask(
        self,
        run_id: str,
        step_index: int,
        step_id: str,
        digest: str,
        level: str,
        shown: Mapping[str, Any],
        hours: float,
        *,
        subject: Subject | None = None,
    ) -> str:
        """Record a pending request, unless one with this digest is pending; return its id.

        `subject`: the subject of the step, by which answers are counted (`state.autonomy`).
        """
        with self.store.write() as connection:
            found = connection.value(
                """SELECT id FROM approvals WHERE run_id = :run AND step_index = :step AND digest = :digest
                   AND status = 'pending' AND expires_at >= :now""",
                {"run": run_id, "step": step_index, "digest": digest, "now": now()},
            )
            if found is not None:
                return str(found)
            approval = new_id()[:12]
            row = {
                "id": approval,
                "run_id": run_id,
                "step_index": step_index,
                "step_id": step_id,
                "digest": digest,
                "level": level,
                "status": "pending",
                "request": canonical(audit.redact(shown)),
                "requested_by": who(),
                "requested_at": now(),
                "expires_at": timestamp(datetime.now(UTC) + timedelta(hours=hours)),
            }
            connection.insert("approvals", row)
            data = {"approval": approval, "digest": digest, "level": level, "seal": audit.seal_request(row)}
            if subject is not None:
                data["subject"] = plain(subject)
            audit.append(connection, "approval_requested", data, run_id=run_id, step_index=step_index)
        return approval

    def decide(
        self,
        approval: str,
        status: str,
        *,
        by: str,
        uid: int | None = None,
        reason: str = "",
        modifications: Mapping[str, Any] | None = None,
        place: str | None = None,
    ) -> str:
        """Record a person's answer, `approved`, `modified` or `rejected`; return the status of the request after it.

        `uid`: the user, as the kernel reports it; `place`: where the answer was given, if not at this process's
        terminal. If two people must approve, the first leaves it `pending`. Raises StateError if the request is no
        longer open or was changed in the store, and DeniedError if this person may not approve it.
        """
        row = self.find_unchanged(approval)
        lost = self._lost(row, by) if status == "rejected" else []
        with self.store.write() as connection:
            _require_open(connection, row.id)
            data = {"approval": row.id, "status": status, "by": by, "uid": uid, "reason": reason}
            data |= {"digest": row.digest, "terminal": place or terminal()}
            if status == "approved" and shown(row).get("people", 1) > 1:
                before = _require_another(connection, row, uid)
                if not before:
                    data["status"] = "pending"
                    audit.append(connection, "approval_decided", data, run_id=row.run_id, step_index=row.step_index)
                    return "pending"
                data["by"] = f"{before[0]['by']} and {by}"
            answer = {"status": status, "decided_by": data["by"], "decided_at": now(), "reason": reason}
            answer["modifications"] = canonical(modifications) if modifications is not None else None
            connection.update("approvals", "id = :asked", {"asked": row.id}, answer)
            data["modifications"] = modifications
            audit.append_all(connection, lost, run_id=row.run_id, step_index=row.step_index)
            audit.append(connection, "approval_decided", data, run_id=row.run_id, step_index=row.step_index)
            if row.level == STAGE:
                about = {name: shown(row)["review"][name] for name in ("workflow_id", "workflow", "stage")}
                audit.append(connection, "review_decided", {**about, **data}, run_id=row.run_id)
        if lost:
            self._keep_head()
        return status

    def first_answers(self, row: Record) -> list[dict[str, Any]]:
        """Return the first approvals of a request that needs a second person."""
        with self.store.read() as connection:
            return _first_answers(connection, row)

    def _keep_head(self) -> None:
        """Write the head of the log beside the store, so that a rejection cannot be cut off; never over a cut."""
        path = anchor.path_of(self.store.path)
        with self.store.read() as connection:
            whole = not audit.verify_anchor(connection, anchor.read(path))
            number, newest = audit.head(connection)
        if whole:
            anchor.write(path, number, newest)

    def _lost(self, row: Record, by: str) -> list[tuple[str, dict[str, Any]]]:
        """Return the events of the earned autonomy that a rejection resets; none if no policy rule grants any."""
        if not shown(row).get("earned"):
            return []
        with self.store.read() as connection:
            subject = next(map(subject_of, _events(connection, row, "approval_requested")), None)
            if subject is None:
                return []
            stakes = Autonomy(self.store).at_stake(subject.tool, subject, connection)
        return [reset(one, tally, f"rejected by {by}") for one, tally in stakes]

    def decided(self, run_id: str, step_index: int) -> Record | None:
        """Return the newest unused answer for a step, without expired approvals; else its newest request, if expired.

        Raises StateError for an answer that is not in the audit log, and for a request that was changed in the store.
        """
        self._expire(run_id, step_index)
        with self.store.read() as connection:
            row = connection.first(
                """SELECT * FROM approvals AS a WHERE run_id = :run AND step_index = :step
                   AND (status = 'rejected' OR status IN ('approved', 'modified') AND expires_at >= :now
                        OR status = 'expired' AND NOT EXISTS (SELECT 1 FROM approvals AS b WHERE b.run_id = a.run_id
                            AND b.step_index = a.step_index AND b.requested_at > a.requested_at))
                   ORDER BY decided_at DESC LIMIT 1""",
                {"run": run_id, "step": step_index, "now": now()},
            )
            if row is not None and not _is_logged(connection, row):
                raise _unlogged(row)
            if row is not None and row.status != "expired":  # an expired one lets nothing run
                _require_unchanged(connection, row)
            return row

    def _expire(self, run_id: str, step_index: int) -> None:
        """Close the requests for a step that expired."""
        late = "SELECT * FROM approvals WHERE run_id = :run AND step_index = :step AND status = 'pending' AND expires_at < :now"
        place = {"run": run_id, "step": step_index, "now": now()}
        if self.store.first(late, place) is None:
            return
        with self.store.write() as connection:
            for row in connection.all(late, place):
                before = [one["by"] for one in _first_answers(connection, row)]
                answers = f"only {before[0]} had approved" if before else "nobody had answered"
                closed = {"status": "expired", "reason": f"{answers} until {until(row)}"}
                values = {**closed, "decided_by": NOBODY, "decided_at": now()}
                connection.update("approvals", "id = :asked", {"asked": row.id}, values)
                data = {"approval": row.id, **closed, "by": NOBODY, "digest": row.digest, "modifications": None}
                audit.append(connection, "approval_decided", data, run_id=run_id, step_index=step_index)

    def latest(self, run_id: str, step_index: int, digest: str | None = None) -> Record | None:
        """Return the newest request for a step, or the newest with this digest. Raises StateError as `decided` does."""
        self._expire(run_id, step_index)
        with self.store.read() as connection:
            row = connection.first(
                """SELECT * FROM approvals WHERE run_id = :run AND step_index = :step AND (:digest IS NULL OR digest = :digest)
                   ORDER BY requested_at DESC LIMIT 1""",
                {"run": run_id, "step": step_index, "digest": digest},
            )
            if (
                row is not None
                and row.status in ("approved", "modified", "rejected")
                and not _is_logged(connection, row)
            ):
                raise _unlogged(row)
            if row is not None:
                _require_unchanged(connection, row)
            return row

    def edits(self, run_id: str, step_index: int) -> list[dict[str, Any]]:
        """Return the edits of a step's parameters, newest last: `by`, `uid`, `reason` and all `params`. Raises
        StateError as `decided` does."""
        with self.store.read() as connection:
            rows = connection.all(
                """SELECT * FROM approvals WHERE run_id = :run AND step_index = :step
                   AND status IN ('modified', 'consumed') AND modifications IS NOT NULL ORDER BY decided_at""",
                {"run": run_id, "step": step_index},
            )
            return [_edit(connection, row) for row in rows]

    def close(self, approval: str, status: str) -> None:
        """Set an approval to `consumed` or `void`. Raises StateError if already closed: an answer is used once."""
        with self.store.write() as connection:
            row = connection.first(
                """UPDATE approvals SET status = :status
                   WHERE id = :asked AND status IN ('pending', 'approved', 'modified', 'rejected')
                   RETURNING run_id, step_index""",
                {"asked": approval, "status": status},
            )
            if row is None:
                raise StateError(f"approval {approval} has already been used or closed")
            data = {"approval": approval, "status": status}
            audit.append(connection, "approval_decided", data, run_id=row.run_id, step_index=row.step_index)

    def find(self, approval: str) -> Record:
        """Return an approval by its id or a prefix. Raises UnknownNameError and AmbiguousNameError."""
        with self.store.read() as connection:
            row = find_by_beginning(connection, "approvals", "approval", approval)
            if row is None:
                raise UnknownNameError("approval", approval, [row.id for row in _pending(connection)])
            return row

    def find_unchanged(self, approval: str) -> Record:
        """Return the same as `find`. Raises StateError if the request differs from its digest in the audit log."""
        row = self.find(approval)
        with self.store.read() as connection:
            _require_unchanged(connection, row)
        return row

    def next_expiry(self) -> datetime | None:
        """Return when the next approval expires that can still be answered or used."""
        sql = "SELECT min(expires_at) FROM approvals WHERE status IN ('pending', 'approved', 'modified') AND expires_at >= :now"
        first = self.store.value(sql, {"now": now()})
        return None if first is None else datetime.fromisoformat(first)

    def pending(self) -> list[Record]:
        """Return the requests that are pending now."""
        with self.store.read() as connection:
            return _pending(connection)


def _require_open(connection: Connection, approval: str) -> None:
    """Raises StateError for a request that can no longer be answered."""
    row = connection.first("SELECT * FROM approvals WHERE id = :asked", {"asked": approval})
    if row is None or row.status not in ("pending", "expired"):
        outcome = "no longer exists" if row is None else _BECAME.get(row.status, row.status)
        raise StateError(f"approval {approval} {outcome}; it can no longer be decided", hint=_newer(connection, row))
    if connection.first(f"SELECT 1 FROM approvals AS a WHERE id = :asked AND {_WAITS}", {"asked": approval}) is None:  # noqa: S608
        raise StateError(
            f"the step of approval {approval} has ended; it can no longer be decided",
            hint=f"see `{command('runs', 'show', row.run_id[:8])}`",
        )
    if expired(row):
        raise StateError(
            f"approval {approval} has expired: it could be answered until {until(row)}",
            hint="the step is rejected when the run is resumed "
            f"(`{command('runs', 'resume', row.run_id[:8])}`); the next run asks again",
        )


def _newer(connection: Connection, row: Record | None) -> str | None:
    """Return a hint that names the request that replaced this one."""
    if row is None:
        return None
    newer = next((one for one in _pending(connection) if (one.run_id, one.step_id) == (row.run_id, row.step_id)), None)
    return f"see the newer request: `{command('approvals', 'show', newer.id)}`" if newer is not None else None


def expired(row: Record) -> bool:
    """Whether a request was not answered in time."""
    return bool(row.status == "expired" or (row.status == "pending" and row.expires_at < now()))


def until(row: Record) -> str:
    """Return the time until which a request can be answered, as text."""
    return at(row.expires_at)


def _require_unchanged(connection: Connection, row: Record) -> None:
    """Raises StateError if a request, its level or its expiry differs from its digest in the audit log."""
    logged = next(iter(_events(connection, row, "approval_requested")), None)
    if logged is None or logged.get("seal", audit.seal_request(row)) != audit.seal_request(row):
        raise _changed(row, "was changed in the state store after it was requested")


def _unlogged(row: Record) -> StateError:
    return _changed(row, f"is {row.status}, but the audit log has no such answer")


def _changed(row: Record, how: str) -> StateError:
    return StateError(
        f"approval {row.id} {how}",
        hint=f"see `{command('audit', 'verify')}`; `{command('runs', 'cancel', row.run_id[:8])}` ends the run",
    )


def _first_answers(connection: Connection, row: Record) -> list[dict[str, Any]]:
    return [data for data in _events(connection, row, "approval_decided") if data.get("status") == "pending"]


def _require_another(connection: Connection, row: Record, uid: int | None) -> list[dict[str, Any]]:
    """Return the first answer of two, if given. Raises DeniedError for the requester and for the first to approve."""
    others = command("approvals", "approve", row.id, "--socket", "PATH")
    hint = f"another person can approve through the daemon's socket: `{others}`"
    if uid is None or uid in shown(row).get("requesters", ()):
        raise DeniedError("this needs the approval of two people other than the requester", hint=hint)
    before = _first_answers(connection, row)
    if any(answer["uid"] == uid for answer in before):
        raise DeniedError("you have already approved this; a second person has to", hint=hint)
    return before


def _events(connection: Connection, row: Record, kind: str) -> list[dict[str, Any]]:
    """Return an approval's events of one type, in order: `approval_requested` or `approval_decided`."""
    sql = "SELECT data FROM events WHERE run_id = :run AND step_index = :step AND type = :kind ORDER BY id"
    place = {"run": row.run_id, "step": row.step_index, "kind": kind}
    events = [audit.read(event.data) for event in connection.execute(sql, place)]
    return [data for data in events if data.get("approval") == row.id]


def _edit(connection: Connection, row: Record) -> dict[str, Any]:
    """Return an edit from its event in the log. Raises StateError if there is none."""
    for one in _events(connection, row, "approval_decided"):
        if _fits(row, one, status="modified"):
            params = json.loads(row.modifications)
            return {"by": row.decided_by, "uid": one.get("uid"), "reason": row.reason, "params": params}
    raise _unlogged(row)


def _is_logged(connection: Connection, row: Record) -> bool:
    """Whether the newest event of an approval is the answer in its row."""
    answers = _events(connection, row, "approval_decided")
    return bool(answers) and _fits(row, answers[-1], status=row.status)


def _fits(row: Record, event: Mapping[str, Any], *, status: str) -> bool:
    """Whether an event matches the answer in an approval's row."""
    kept = json.loads(row.modifications) if row.modifications else None
    answer = {"status": status, "by": row.decided_by, "digest": row.digest, "modifications": audit.redact(kept)}
    return all(event.get(name) == value for name, value in answer.items())


def _pending(connection: Connection) -> list[Record]:
    waiting = f"""SELECT * FROM approvals AS a WHERE status = 'pending' AND expires_at >= :now AND {_WAITS}
        ORDER BY requested_at"""  # noqa: S608  our own
    return connection.all(waiting, {"now": now()})


def shown(row: Record) -> dict[str, Any]:
    """Return what the person was shown."""
    return dict(json.loads(row.request))


def terminal() -> str | None:
    """Return the terminal of this process, None without one."""
    try:
        return os.ttyname(0)
    except OSError:
        return None
