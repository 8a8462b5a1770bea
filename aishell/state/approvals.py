"""Approvals: asked, decided, consumed once, expired, or void when what they were bound to has changed."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row, and_, insert, or_, select, update

from aishell.errors import StateError, UnknownNameError
from aishell.models import canonical, now
from aishell.state import audit
from aishell.state.runs import who
from aishell.state.schema import approvals
from aishell.state.store import Store


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
    ) -> str:
        """Record a pending request (or find the one that already waits under this digest); its id."""
        with self.store.write() as connection:
            same = select(approvals.c.id).where(
                approvals.c.run_id == run_id,
                approvals.c.step_index == step_index,
                approvals.c.digest == digest,
                approvals.c.status == "pending",
                approvals.c.expires_at >= now(),
            )
            found = connection.execute(same).scalar()
            if found is not None:
                return str(found)
            approval = uuid.uuid4().hex[:12]
            connection.execute(
                insert(approvals).values(
                    id=approval,
                    run_id=run_id,
                    step_index=step_index,
                    step_id=step_id,
                    digest=digest,
                    level=level,
                    status="pending",
                    request=canonical(audit.redact(shown)),
                    requested_by=who(),
                    requested_at=now(),
                    expires_at=(datetime.now(UTC) + timedelta(hours=hours)).isoformat(timespec="microseconds"),
                )
            )
            audit.append(
                connection,
                "approval_requested",
                {"approval": approval, "digest": digest, "level": level},
                run_id=run_id,
                step_index=step_index,
            )
        return approval

    def decide(
        self, approval: str, status: str, *, by: str, reason: str = "", modifications: Mapping[str, Any] | None = None
    ) -> None:
        """Record a person's answer: `approved`, `modified` or `rejected`. Raises StateError when it is no longer asked."""
        row = self.find(approval)
        if row.status != "pending" or row.expires_at < now():
            state = "expired" if row.status == "pending" else row.status
            raise StateError(f"the approval {approval} is {state}; it cannot be decided any more")
        with self.store.write() as connection:
            changed = connection.execute(
                update(approvals)
                .where(approvals.c.id == row.id, approvals.c.status == "pending")
                .values(
                    status=status,
                    decided_by=by,
                    decided_at=now(),
                    reason=reason,
                    modifications=canonical(modifications) if modifications is not None else None,
                )
            ).rowcount
            if changed != 1:
                raise StateError(f"the approval {approval} was decided by someone else just now")
            told = {
                "approval": row.id,
                "status": status,
                "by": by,
                "reason": reason,
                "digest": row.digest,
                "terminal": terminal(),
            }
            audit.append(connection, "approval_decided", told, run_id=row.run_id, step_index=row.step_index)

    def decided(self, run_id: str, step_index: int) -> Row[Any] | None:
        """The newest answer for a step that has not been used yet; an expired yes is none."""
        query = (
            select(approvals)
            .where(
                approvals.c.run_id == run_id,
                approvals.c.step_index == step_index,
                or_(
                    approvals.c.status == "rejected",
                    and_(approvals.c.status.in_(("approved", "modified")), approvals.c.expires_at >= now()),
                ),
            )
            .order_by(approvals.c.decided_at.desc())
            .limit(1)
        )
        with self.store.read() as connection:
            return connection.execute(query).first()

    def close(self, approval: str, status: str) -> None:
        """`consumed`, `void` or `expired`. Raises StateError for one that is closed already: it is used once."""
        with self.store.write() as connection:
            row = connection.execute(
                update(approvals)
                .where(
                    approvals.c.id == approval, approvals.c.status.in_(("pending", "approved", "modified", "rejected"))
                )
                .values(status=status)
                .returning(approvals.c.run_id, approvals.c.step_index)
            ).first()
            if row is None:
                raise StateError(f"the approval {approval} was used or closed before")
            audit.append(
                connection,
                "approval_decided",
                {"approval": approval, "status": status},
                run_id=row.run_id,
                step_index=row.step_index,
            )

    def find(self, approval: str) -> Row[Any]:
        """An approval by id or the beginning of one. Raises UnknownNameError."""
        with self.store.read() as connection:
            rows = connection.execute(
                select(approvals).where(approvals.c.id.startswith(approval, autoescape=True)).limit(2)
            ).all()
            if len(rows) != 1 or not approval:
                raise UnknownNameError("approval", approval, [row.id for row in self._pending(connection)])
            return rows[0]

    def pending(self) -> list[Row[Any]]:
        """What waits for a person now."""
        with self.store.read() as connection:
            return self._pending(connection)

    def _pending(self, connection: Any) -> list[Row[Any]]:
        query = select(approvals).where(approvals.c.status == "pending", approvals.c.expires_at >= now())
        return list(connection.execute(query.order_by(approvals.c.requested_at)))


def shown(row: Row[Any]) -> dict[str, Any]:
    """What the person was shown."""
    return dict(json.loads(row.request))


def terminal() -> str | None:
    """The terminal an answer was typed at, None without one."""
    try:
        return os.ttyname(0)
    except OSError:
        return None
