"""The tables of `state.db` and the ordered migrations that lead to them."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import (
    Column,
    Connection,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

#: "aish" as a 32-bit number: `file` and `sqlite3` can tell whose database this is.
APPLICATION_ID = 0x61697368

metadata = MetaData()

runs = Table(
    "runs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("task_id", Text, nullable=False),
    Column("parent_id", Text),
    Column("agent", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("engine", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("owner", Text, nullable=False),  # token every write checks: a stale process may not write
    Column("created_at", Text, nullable=False),
    Column("ended_at", Text),
    Column("request", Text, nullable=False),  # task, options: JSON
    Column("plan", Text, nullable=False),  # JSON
    Column("plan_digest", Text, nullable=False),
    Column("tools", Text, nullable=False),  # text of every tool of the plan, by source: JSON
    Column("result", Text),  # JSON
    Column("pause_requested", Integer, nullable=False, default=0),
    Column("cancel_requested", Integer, nullable=False, default=0),
)

steps = Table(
    "steps",
    metadata,
    Column("run_id", Text, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("step_index", Integer, primary_key=True),
    Column("step_id", Text, nullable=False),
    Column("tool", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("attempt", Integer, nullable=False, default=0),
    Column("params", Text),  # resolved, redacted: JSON
    Column("digest", Text),
    Column("idempotency_key", Text),
    Column("server_session", Text),
    Column("found", Text),  # the rows of `find`: JSON
    Column("output", Text),  # JSON
    Column("error", Text),
    Column("reason", Text),
    Column("approved_by", Text),
    Column("started_at", Text),
    Column("ended_at", Text),
    Column("seconds", Float),
    Column("deferred", Text),  # objects left for another night: JSON
    Column("reached", Text),  # batched: how far it has come, committed with every batch: JSON
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", Text, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("task_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("step_index", Integer),
    Column("total_steps", Integer, nullable=False),
    Column("version", Integer, nullable=False, default=1),
    Column("created_at", Text, nullable=False),
    Column("tags", Text),
    Column("data", Text),
    Index("checkpoints_run", "run_id"),
)

#: Append-only: pruning runs never removes events, so there is no foreign key.
events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", Text),
    Column("step_index", Integer),
    Column("type", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("data", Text, nullable=False),
    Column("previous", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Index("events_run", "run_id"),
)

approvals = Table(
    "approvals",
    metadata,
    Column("id", Text, primary_key=True),
    Column("run_id", Text, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("step_index", Integer, nullable=False),
    Column("step_id", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("level", Text, nullable=False),  # confirm | review
    Column("status", Text, nullable=False),
    Column("request", Text, nullable=False),  # what the person is shown: JSON
    Column("requested_by", Text, nullable=False),
    Column("requested_at", Text, nullable=False),
    Column("expires_at", Text, nullable=False),
    Column("decided_by", Text),
    Column("decided_at", Text),
    Column("reason", Text),
    Column("modifications", Text),  # JSON
    Index("approvals_run", "run_id", "step_index"),
)

table_history = Table(
    "table_history",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("target", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("tool", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("step_index", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("bytes_before", Integer),
    Column("bytes_after", Integer),
    Column("before", Text, nullable=False),  # the find row: JSON
    Column("after", Text),  # the verify row: JSON
    Column("reason", Text),
    UniqueConstraint("run_id", "step_index", "object", "attempt"),
    Index("table_history_object", "target", "tool", "object"),
)

#: Made again from the manifests by `aishell backups rebuild-catalog`.
backups = Table(
    "backups",
    metadata,
    Column("backup_id", Text, primary_key=True),
    Column("target", Text, nullable=False),
    Column("identity", Text, nullable=False),
    Column("engine", Text, nullable=False),
    Column("kind", Text, nullable=False),  # full | incremental
    Column("method", Text, nullable=False),
    Column("parent", Text),
    Column("database", Text, nullable=False),
    Column("started_at", Text, nullable=False),
    Column("finished_at", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("source_bytes", Integer),
    Column("run_id", Text, nullable=False),
    Column("digest", Text, nullable=False),  # of the manifest
    Column("rung", Text, nullable=False),  # written | checksummed | readable | restored-and-compared
    Column("rung_at", Text, nullable=False),
    Column("compared_at", Text),
    Column("problem", Text),
    Column("pinned", Integer, nullable=False, default=0),
    Column("copies", Text, nullable=False),  # other places that have it: JSON
    Index("backups_target", "target", "started_at"),
)


def _deferred_objects(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE steps ADD COLUMN deferred TEXT"))


def _reached(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE steps ADD COLUMN reached TEXT"))


def _backups(connection: Connection) -> None:
    backups.create(connection)


#: The first leads from user_version 1 to 2, and so on; they run in one transaction after a copy of the file was made.
MIGRATIONS: tuple[Callable[[Connection], None], ...] = (_deferred_objects, _reached, _backups)
VERSION = 1 + len(MIGRATIONS)


def migrate(connection: Connection, found: int) -> None:
    """Bring a database of version `found` (0: empty) to VERSION, inside the caller's transaction."""
    if found == 0:
        metadata.create_all(connection)
    else:
        for step in MIGRATIONS[found - 1 :]:
            step(connection)
    connection.execute(text(f"PRAGMA application_id = {APPLICATION_ID}"))
    connection.execute(text(f"PRAGMA user_version = {VERSION}"))
