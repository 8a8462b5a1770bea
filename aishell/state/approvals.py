"""Approvals: asked, decided, consumed once, expired, or void when what they were bound to has changed."""

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

#: Who has decided what nobody did.
NOBODY = "nobody"
#: The level of what asks for no step but for what a stage of a workflow came to, and what stands there for the step's index.
STAGE, WHOLE = "stage", -1
#: Whether the step of a request has not gone by: `--yes` may have answered it, or the run have ended without it.
_WAITS = """NOT EXISTS (SELECT 1 FROM steps AS t WHERE t.run_id = a.run_id AND t.step_index = a.step_index
    AND t.status NOT IN ('pending', 'started'))"""
#: What became of a request that cannot be answered any more.
_BECAME = {
    "approved": "was approved",
    "rejected": "was rejected",
    "modified": "was edited",
    "consumed": "was answered, and the answer was used",
    "void": "is void: what it was bound to has changed",
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
        """Record a pending request (or find the one that already waits under this digest); its id.

        `subject`: what the step is of, by which an answer is counted (`state.autonomy`).
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
            asked = {
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
            connection.insert("approvals", asked)
            data = {"approval": approval, "digest": digest, "level": level, "seal": audit.seal_request(asked)}
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
        """Record a person's answer: `approved`, `modified` or `rejected`; the status that the request has then.

        `uid`: who it is, as the kernel says; `place`: where it was said, when not at the terminal of this process. Where two have
        to approve, the first leaves it `pending`. Raises StateError when it is no longer asked, or is not what was asked, and
        DeniedError where this person may not approve it.
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
        """Who has approved a request that waits for another person too."""
        with self.store.read() as connection:
            return _first_answers(connection, row)

    def _keep_head(self) -> None:
        """Leave the head of the log beside the store, so that a rejection cannot be cut off it; not over one that shows a cut."""
        path = anchor.path_of(self.store.path)
        with self.store.read() as connection:
            whole = not audit.verify_anchor(connection, anchor.read(path))
            number, newest = audit.head(connection)
        if whole:
            anchor.write(path, number, newest)

    def _lost(self, row: Record, by: str) -> list[tuple[str, dict[str, Any]]]:
        """What a rejection takes away of earned autonomy, as events; nothing where no rule of the policy asks for it."""
        if not shown(row).get("earned"):
            return []
        with self.store.read() as connection:
            subject = next(map(subject_of, _events(connection, row, "approval_requested")), None)
            if subject is None:
                return []
            stakes = Autonomy(self.store).at_stake(subject.tool, subject, connection)
        return [reset(one, tally, f"rejected by {by}") for one, tally in stakes]

    def decided(self, run_id: str, step_index: int) -> Record | None:
        """The newest answer for a step that has not been used yet; an expired yes is none. Where nobody has answered its newest
        request in time, that request, which is `expired` from now on.

        Raises StateError for an answer that the audit log does not tell of: nobody gave it. So it does for one whose question
        was changed: it was another that was answered, or it would have expired.
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
            if row is not None and row.status != "expired":  # that lets nothing run, whatever was asked
                _require_unchanged(connection, row)
            return row

    def _expire(self, run_id: str, step_index: int) -> None:
        """Close what was asked of a step and not answered in time. An answer that was given by then stands: see `decide`."""
        late = "SELECT * FROM approvals WHERE run_id = :run AND step_index = :step AND status = 'pending' AND expires_at < :now"
        place = {"run": run_id, "step": step_index, "now": now()}
        if self.store.first(late, place) is None:
            return
        with self.store.write() as connection:
            for row in connection.all(late, place):
                before = [one["by"] for one in _first_answers(connection, row)]
                who_did = f"only {before[0]} had approved" if before else "nobody had answered"
                closed = {"status": "expired", "reason": f"{who_did} until {until(row)}"}
                values = {**closed, "decided_by": NOBODY, "decided_at": now()}
                connection.update("approvals", "id = :asked", {"asked": row.id}, values)
                data = {"approval": row.id, **closed, "by": NOBODY, "digest": row.digest, "modifications": None}
                audit.append(connection, "approval_decided", data, run_id=run_id, step_index=step_index)

    def latest(self, run_id: str, step_index: int, digest: str | None = None) -> Record | None:
        """The newest request (of this digest), and what became of it, used or not. Raises StateError as `decided`."""
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
        """What persons gave a step instead of the parameters of the plan, the newest last: `by`, `uid`, `reason` and all of the
        `params`. Raises StateError as `decided`."""
        with self.store.read() as connection:
            rows = connection.all(
                """SELECT * FROM approvals WHERE run_id = :run AND step_index = :step
                   AND status IN ('modified', 'consumed') AND modifications IS NOT NULL ORDER BY decided_at""",
                {"run": run_id, "step": step_index},
            )
            return [_edit(connection, row) for row in rows]

    def close(self, approval: str, status: str) -> None:
        """`consumed` or `void`. Raises StateError for one that is closed already: it is used once."""
        with self.store.write() as connection:
            row = connection.first(
                """UPDATE approvals SET status = :status
                   WHERE id = :asked AND status IN ('pending', 'approved', 'modified', 'rejected')
                   RETURNING run_id, step_index""",
                {"asked": approval, "status": status},
            )
            if row is None:
                raise StateError(f"the approval {approval} was used or closed before")
            data = {"approval": approval, "status": status}
            audit.append(connection, "approval_decided", data, run_id=row.run_id, step_index=row.step_index)

    def find(self, approval: str) -> Record:
        """An approval by id or the beginning of one. Raises UnknownNameError and AmbiguousNameError."""
        with self.store.read() as connection:
            row = find_by_beginning(connection, "approvals", "approval", approval)
            if row is None:
                raise UnknownNameError("approval", approval, [row.id for row in _pending(connection)])
            return row

    def find_unchanged(self, approval: str) -> Record:
        """An approval as `find` finds it. Raises StateError for one that is not what the audit log has the digest of."""
        row = self.find(approval)
        with self.store.read() as connection:
            _require_unchanged(connection, row)
        return row

    def next_expiry(self) -> datetime | None:
        """When the first of those expires that can still be answered or used."""
        sql = "SELECT min(expires_at) FROM approvals WHERE status IN ('pending', 'approved', 'modified') AND expires_at >= :now"
        first = self.store.value(sql, {"now": now()})
        return None if first is None else datetime.fromisoformat(first)

    def pending(self) -> list[Record]:
        """What waits for a person now."""
        with self.store.read() as connection:
            return _pending(connection)


def _require_open(connection: Connection, approval: str) -> None:
    """Raises StateError where a request waits for no answer any more, as the store knows it now."""
    row = connection.first("SELECT * FROM approvals WHERE id = :asked", {"asked": approval})
    if row is None or row.status not in ("pending", "expired"):
        became = "is no longer there" if row is None else _BECAME.get(row.status, row.status)
        raise StateError(
            f"the approval {approval} {became}; it cannot be decided any more", hint=_newer(connection, row)
        )
    if connection.first(f"SELECT 1 FROM approvals AS a WHERE id = :asked AND {_WAITS}", {"asked": approval}) is None:  # noqa: S608
        raise StateError(
            f"the step of the approval {approval} is over; it cannot be decided any more",
            hint=f"see `{command('runs', 'show', row.run_id[:8])}`",
        )
    if expired(row):
        raise StateError(
            f"the approval {approval} has expired: it could be decided until {until(row)}",
            hint="the step is rejected when the run goes on "
            f"(`{command('runs', 'resume', row.run_id[:8])}`); the next run asks anew",
        )


def _newer(connection: Connection, row: Record | None) -> str | None:
    """The request that has come in the place of another."""
    if row is None:
        return None
    newer = next((one for one in _pending(connection) if (one.run_id, one.step_id) == (row.run_id, row.step_id)), None)
    return f"the step asks again: `{command('approvals', 'show', newer.id)}`" if newer is not None else None


def expired(row: Record) -> bool:
    """Whether nobody has answered a request in time."""
    return bool(row.status == "expired" or (row.status == "pending" and row.expires_at < now()))


def until(row: Record) -> str:
    """The last second in which a request can be answered."""
    return at(row.expires_at)


def _require_unchanged(connection: Connection, row: Record) -> None:
    """Raises StateError where what is asked, its level, or until when, is not what it was when the log told of it."""
    asked = next(iter(_events(connection, row, "approval_requested")), None)
    if asked is None or asked.get("seal", audit.seal_request(row)) != audit.seal_request(row):
        raise _changed(row, "is not what was asked: it was changed in the state store")


def _unlogged(row: Record) -> StateError:
    return _changed(row, f"is {row.status}, and the audit log does not tell who answered so")


def _changed(row: Record, how: str) -> StateError:
    return StateError(
        f"the approval {row.id} {how}",
        hint=f"see `{command('audit', 'verify')}`; `{command('runs', 'cancel', row.run_id[:8])}` ends the run",
    )


def _first_answers(connection: Connection, row: Record) -> list[dict[str, Any]]:
    return [data for data in _events(connection, row, "approval_decided") if data.get("status") == "pending"]


def _require_another(connection: Connection, row: Record, uid: int | None) -> list[dict[str, Any]]:
    """The first answer of two, if there is one. Raises DeniedError for who asked for the step, and for who gave that answer."""
    others = command("approvals", "approve", row.id, "--socket", "PATH")
    hint = f"others approve through the daemon's socket: `{others}`"
    if uid is None or uid in shown(row).get("requesters", ()):
        raise DeniedError("two people have to approve this, and neither may be who asked for it", hint=hint)
    before = _first_answers(connection, row)
    if any(answer["uid"] == uid for answer in before):
        raise DeniedError("you have approved this; a second person has to", hint=hint)
    return before


def _events(connection: Connection, row: Record, kind: str) -> list[dict[str, Any]]:
    """What the log tells of an approval, in order: `approval_requested` or `approval_decided`."""
    sql = "SELECT data FROM events WHERE run_id = :run AND step_index = :step AND type = :kind ORDER BY id"
    place = {"run": row.run_id, "step": row.step_index, "kind": kind}
    events = [audit.read(event.data) for event in connection.execute(sql, place)]
    return [data for data in events if data.get("approval") == row.id]


def _edit(connection: Connection, row: Record) -> dict[str, Any]:
    """An edit as the log tells it. Raises StateError where it does not."""
    for one in _events(connection, row, "approval_decided"):
        if _fits(row, one, status="modified"):
            params = json.loads(row.modifications)
            return {"by": row.decided_by, "uid": one.get("uid"), "reason": row.reason, "params": params}
    raise _unlogged(row)


def _is_logged(connection: Connection, row: Record) -> bool:
    """Whether the newest event of an approval is this very answer."""
    answers = _events(connection, row, "approval_decided")
    return bool(answers) and _fits(row, answers[-1], status=row.status)


def _fits(row: Record, event: Mapping[str, Any], *, status: str) -> bool:
    """Whether an event tells of the answer that an approval has."""
    kept = json.loads(row.modifications) if row.modifications else None
    answer = {"status": status, "by": row.decided_by, "digest": row.digest, "modifications": audit.redact(kept)}
    return all(event.get(name) == value for name, value in answer.items())


def _pending(connection: Connection) -> list[Record]:
    waiting = f"""SELECT * FROM approvals AS a WHERE status = 'pending' AND expires_at >= :now AND {_WAITS}
        ORDER BY requested_at"""  # noqa: S608  our own
    return connection.all(waiting, {"now": now()})


def shown(row: Record) -> dict[str, Any]:
    """What the person was shown."""
    return dict(json.loads(row.request))


def terminal() -> str | None:
    """The terminal an answer was typed at, None without one."""
    try:
        return os.ttyname(0)
    except OSError:
        return None
