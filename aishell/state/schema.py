"""The tables of `state.db`, and the migrations to them, in order."""

from __future__ import annotations

import sqlite3

from aishell.state.totals import COUNTED_BEFORE, DELIVERED, DELIVERED_BEFORE, TOTALS

#: "aish" as a 32-bit number, by which `file` and `sqlite3` identify the file.
APPLICATION_ID = 0x61697368

#: Tables of every version, past and future.
LASTING = frozenset({"runs", "steps", "checkpoints", "events", "approvals"})

#: The catalog; `aishell backups rebuild-catalog` rebuilds it from the manifests.
BACKUPS = (
    """CREATE TABLE backups (
    backup_id TEXT NOT NULL PRIMARY KEY,
    target TEXT NOT NULL,
    identity TEXT NOT NULL,
    engine TEXT NOT NULL,
    kind TEXT NOT NULL, -- full | incremental
    method TEXT NOT NULL,
    parent TEXT,
    database TEXT NOT NULL,
    started_at TEXT NOT NULL,
    finished_at TEXT NOT NULL,
    path TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    source_bytes INTEGER,
    run_id TEXT NOT NULL,
    digest TEXT NOT NULL, -- of the manifest
    rung TEXT NOT NULL, -- written | checksummed | readable | restored-and-compared
    rung_at TEXT NOT NULL,
    compared_at TEXT,
    problem TEXT,
    pinned INTEGER NOT NULL, -- 0 | 1
    copies TEXT NOT NULL -- other places that have it: JSON
)""",
    "CREATE INDEX backups_target ON backups (target, started_at)",
)
#: Results of restore tests of backups, and of checks of their copies.
PROOFS = (
    "ALTER TABLE backups ADD COLUMN differs TEXT",  # readable, but it differed after a restore: how
    "ALTER TABLE backups ADD COLUMN copies_read TEXT NOT NULL DEFAULT '{}'",  # place -> when, and the problem: JSON
)
#: Notes on targets, tables and tools (globs; empty: any).
NOTES = (
    """CREATE TABLE notes (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    target TEXT NOT NULL,
    table_name TEXT NOT NULL,
    tool TEXT NOT NULL,
    text TEXT NOT NULL,
    decision TEXT, -- confirm | review | deny: at least this, for what the note is on
    by TEXT NOT NULL,
    at TEXT NOT NULL
)""",
)
#: The time and work of steps, the basis of predictions. A few rows per object outlive their runs.
COSTS = (
    """CREATE TABLE step_costs (
    id INTEGER NOT NULL PRIMARY KEY,
    target TEXT NOT NULL,
    tool TEXT NOT NULL,
    object TEXT NOT NULL, -- a table; empty: the whole database
    at TEXT NOT NULL,
    seconds FLOAT NOT NULL,
    work INTEGER, -- what there was to do, as far as that was known
    unit TEXT -- bytes | rows | partitions
)""",
    "CREATE INDEX step_costs_object ON step_costs (target, tool, object, id)",
)
#: The ledger of schedules: each nominal time of each schedule on each target, once.
SCHEDULES = (
    """CREATE TABLE schedules (
    name TEXT NOT NULL PRIMARY KEY,
    timing TEXT NOT NULL, -- all that decides its times
    settled TEXT NOT NULL, -- up to here each nominal time has been decided: since it was seen, edited or looked at
    paused_at TEXT,
    paused_until TEXT,
    paused_by TEXT,
    pause_reason TEXT
)""",
    """CREATE TABLE schedule_runs (
    id INTEGER NOT NULL PRIMARY KEY,
    schedule TEXT NOT NULL,
    nominal_at TEXT NOT NULL,
    target TEXT NOT NULL, -- empty: the time as a whole, for which nothing ran
    local_at TEXT NOT NULL, -- what clocks of its zone show at nominal_at
    status TEXT NOT NULL, -- due | running | waiting | done | failed | missed | skipped
    reason TEXT NOT NULL,
    times INTEGER NOT NULL, -- so many nominal times, of which nominal_at is the last
    until TEXT, -- when its work has to be over
    asked_by TEXT, -- who asked for it, or left it out
    attempts INTEGER NOT NULL,
    run_id TEXT, -- chosen when it is claimed, before the run exists
    pid INTEGER,
    decided_at TEXT NOT NULL,
    started_at TEXT,
    ended_at TEXT,
    exit_code INTEGER,
    outcome TEXT, -- the status of the run's result
    UNIQUE (schedule, nominal_at, target)
)""",
    "CREATE INDEX schedule_runs_status ON schedule_runs (status)",
)
WORKFLOWS = (
    """CREATE TABLE workflow_runs (
    id TEXT NOT NULL PRIMARY KEY,
    workflow TEXT NOT NULL,
    definition TEXT NOT NULL, -- what its file said when it began: JSON
    options TEXT NOT NULL, -- how its runs are run: JSON
    status TEXT NOT NULL, -- running | that of its result
    until TEXT, -- when its work has to be over
    requested_by TEXT NOT NULL,
    host TEXT NOT NULL,
    created_at TEXT NOT NULL,
    ended_at TEXT,
    exit_code INTEGER,
    event INTEGER NOT NULL -- of the log: what it was made of
)""",
    """CREATE TABLE workflow_stages (
    id INTEGER NOT NULL PRIMARY KEY,
    workflow_id TEXT NOT NULL REFERENCES workflow_runs (id) ON DELETE CASCADE,
    stage TEXT NOT NULL,
    target TEXT NOT NULL,
    status TEXT NOT NULL, -- pending | running | waiting | done | failed | skipped
    reason TEXT NOT NULL,
    cause TEXT, -- why it was skipped: need | condition | deferred
    attempts INTEGER NOT NULL,
    run_id TEXT, -- chosen when it is claimed, before the run exists
    pid INTEGER,
    started_at TEXT,
    ended_at TEXT,
    exit_code INTEGER,
    outcome TEXT, -- the status of the run's result
    UNIQUE (workflow_id, stage, target)
)""",
)
#: Work that windows left undone, and its size before and after each run, which shows whether a window is too small.
BACKLOG = (
    """CREATE TABLE backlog (
    id INTEGER NOT NULL PRIMARY KEY,
    target TEXT NOT NULL,
    agent TEXT NOT NULL,
    tool TEXT NOT NULL,
    object TEXT NOT NULL, -- a table; empty: the whole database
    reason TEXT NOT NULL, -- of the run that left it last
    inputs TEXT NOT NULL, -- of that run: JSON. A plan by the same that does not call for it shows that it is not needed
    since TEXT NOT NULL,
    run_id TEXT NOT NULL, -- that left it last
    nights INTEGER NOT NULL, -- so many runs have left it
    seconds FLOAT, -- what it is expected to take
    UNIQUE (target, agent, tool, object)
)""",
    """CREATE TABLE backlog_nights (
    run_id TEXT NOT NULL PRIMARY KEY,
    target TEXT NOT NULL,
    agent TEXT NOT NULL,
    at TEXT NOT NULL,
    "window" FLOAT, -- seconds that it had; NULL: no end
    items_before INTEGER NOT NULL,
    seconds_before FLOAT NOT NULL,
    needless FLOAT NOT NULL, -- seconds of what stood there and its plan does not call for
    worked FLOAT, -- seconds that its steps took together; NULL until it has ended
    cut INTEGER, -- 0 | 1: it left something undone
    items_after INTEGER,
    seconds_after FLOAT
)""",
    "CREATE INDEX backlog_nights_target ON backlog_nights (target, agent, at)",
)
#: The emergency stop: no step starts on a target listed here, or on any.
HOLDS = (
    """CREATE TABLE holds (
    target TEXT NOT NULL PRIMARY KEY, -- empty: every one
    reason TEXT NOT NULL,
    placed_by TEXT NOT NULL,
    placed_at TEXT NOT NULL
)""",
)
#: Notifications: undelivered messages, open alarms, and the position in the audit log.
NOTIFICATIONS = (
    """CREATE TABLE outbox (
    id INTEGER NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL, -- message | heartbeat | digest
    rule TEXT NOT NULL, -- of a heartbeat and a digest: empty
    cause TEXT NOT NULL, -- told once by a rule
    subject TEXT NOT NULL, -- what it is about: the next cause of the same can wait
    service TEXT NOT NULL, -- of a heartbeat: the schedule
    severity TEXT NOT NULL, -- info | warning | critical
    title TEXT NOT NULL,
    body TEXT NOT NULL,
    status TEXT NOT NULL, -- waiting | sent | failed
    reason TEXT, -- why the last try failed
    attempts INTEGER NOT NULL,
    decided_at TEXT NOT NULL,
    next_at TEXT NOT NULL, -- not tried before
    ended_at TEXT, -- when it was sent, or given up
    UNIQUE (kind, rule, cause, service)
)""",
    # To find the schedule of a run in a notification.
    "CREATE INDEX schedule_runs_run ON schedule_runs (run_id)",
    "CREATE INDEX outbox_status ON outbox (status, next_at)",
    "CREATE INDEX outbox_subject ON outbox (rule, subject, decided_at)",
    """CREATE TABLE incidents (
    id INTEGER NOT NULL PRIMARY KEY,
    rule TEXT NOT NULL,
    subject TEXT NOT NULL,
    severity TEXT NOT NULL,
    title TEXT NOT NULL,
    about TEXT NOT NULL, -- target, schedule, agent: JSON
    opened_at TEXT NOT NULL,
    closed_at TEXT
)""",
    "CREATE UNIQUE INDEX incidents_open ON incidents (rule, subject) WHERE closed_at IS NULL",
    """CREATE TABLE outbox_cursor (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    event INTEGER NOT NULL, -- up to here the audit log was looked through
    at TEXT NOT NULL
)""",
)
#: Digests that were sent, one per local day.
DIGESTS = (
    """CREATE TABLE digests (
    night TEXT NOT NULL PRIMARY KEY, -- the local day at which it was due
    since TEXT NOT NULL,
    until TEXT NOT NULL, -- when it was made; the next one begins there
    format TEXT NOT NULL, -- of page: text | markdown | html
    page TEXT -- NULL when nobody waits for it
)""",
)
#: The progress of running steps, for other processes: JSON, not audited (`state.progress`).
PROGRESS = ("ALTER TABLE steps ADD COLUMN progress TEXT",)
#: What processes on the same targets share: failed connections, calls of tools with a rate limit, and the databases
#: of targets that are whole servers.
TOGETHER = (
    """CREATE TABLE breakers (
    target TEXT NOT NULL PRIMARY KEY,
    failures INTEGER NOT NULL, -- so many connections in a row that nobody answered
    at TEXT NOT NULL, -- of the last failure, or try
    reason TEXT NOT NULL, -- of the last failure
    opened_at TEXT, -- NULL: closed
    next_at TEXT, -- where it is open: when one connection may be tried
    trying INTEGER NOT NULL -- 0 | 1: one is, until next_at
)""",
    """CREATE TABLE tool_calls (
    id INTEGER NOT NULL PRIMARY KEY,
    tool TEXT NOT NULL, -- of those with a rate_limit
    at TEXT NOT NULL
)""",
    """CREATE TABLE server_databases (
    server TEXT NOT NULL, -- the target that is a whole server
    database TEXT NOT NULL,
    seen_at TEXT NOT NULL, -- when the server was last asked
    PRIMARY KEY (server, database)
)""",
)
#: Cached answers of language models, and models' servers that could not be reached.
MODELS = (
    """CREATE TABLE model_answers (
    key TEXT NOT NULL PRIMARY KEY, -- digest of provider, server, model, options, messages and schema
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    model_digest TEXT NOT NULL, -- empty: not told
    prompt_digest TEXT NOT NULL,
    answer_digest TEXT NOT NULL,
    text TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    answer_tokens INTEGER NOT NULL,
    seconds FLOAT NOT NULL, -- that the model took
    made_at TEXT NOT NULL,
    used_at TEXT NOT NULL
)""",
    "CREATE INDEX model_answers_used ON model_answers (used_at)",
    """CREATE TABLE model_breakers (
    target TEXT NOT NULL PRIMARY KEY, -- provider and address; else as `breakers`
    failures INTEGER NOT NULL,
    at TEXT NOT NULL,
    reason TEXT NOT NULL,
    opened_at TEXT,
    next_at TEXT,
    trying INTEGER NOT NULL
)""",
)
#: Conversations in plain language. Turns are deleted with them; audit events stay.
CONVERSATIONS = (
    """CREATE TABLE conversations (
    id TEXT NOT NULL PRIMARY KEY,
    target TEXT NOT NULL, -- where a turn names none; empty: the site's default
    begun_by TEXT NOT NULL,
    begun_at TEXT NOT NULL,
    used_at TEXT NOT NULL,
    summary TEXT NOT NULL, -- of the turns up to `summed_up`; empty: of none
    summed_up INTEGER NOT NULL,
    model TEXT -- that wrote the summary: JSON; NULL: the program did
)""",
    """CREATE TABLE conversation_turns (
    conversation_id TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    text TEXT NOT NULL, -- as it was typed, secrets masked
    said_at TEXT NOT NULL,
    request TEXT, -- as it was read: JSON
    work TEXT NOT NULL DEFAULT '{}', -- runs, a run of a workflow: JSON
    reply TEXT NOT NULL DEFAULT '',
    exit_code INTEGER, -- NULL: it did not end
    ended_at TEXT,
    PRIMARY KEY (conversation_id, number)
)""",
)
TABLES = (
    """CREATE TABLE runs (
    id TEXT NOT NULL PRIMARY KEY,
    task_id TEXT NOT NULL,
    parent_id TEXT,
    agent TEXT NOT NULL,
    target TEXT NOT NULL,
    engine TEXT NOT NULL,
    state TEXT NOT NULL,
    requested_by TEXT NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    owner TEXT NOT NULL, -- token every write checks: a stale process may not write
    created_at TEXT NOT NULL,
    ended_at TEXT,
    request TEXT NOT NULL, -- task, options: JSON
    "plan" TEXT NOT NULL, -- JSON
    plan_digest TEXT NOT NULL,
    tools TEXT NOT NULL, -- text of every tool of the plan, by source: JSON
    result TEXT, -- JSON
    pause_requested INTEGER NOT NULL, -- 0 | 1
    cancel_requested INTEGER NOT NULL -- 0 | 1
)""",
    """CREATE TABLE steps (
    run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    step_index INTEGER NOT NULL,
    step_id TEXT NOT NULL,
    tool TEXT NOT NULL,
    status TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    params TEXT, -- resolved, redacted: JSON
    digest TEXT,
    idempotency_key TEXT,
    server_session TEXT,
    found TEXT, -- the rows of `find`: JSON
    output TEXT, -- JSON
    error TEXT,
    reason TEXT,
    approved_by TEXT,
    started_at TEXT,
    ended_at TEXT,
    seconds FLOAT,
    deferred TEXT, -- objects left for another night: JSON
    reached TEXT, -- batched: how far it has come, committed with every batch: JSON
    cause TEXT, -- why it was skipped
    PRIMARY KEY (run_id, step_index)
)""",
    """CREATE TABLE checkpoints (
    id INTEGER NOT NULL PRIMARY KEY,
    run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    task_id TEXT NOT NULL,
    name TEXT NOT NULL,
    step_index INTEGER,
    total_steps INTEGER NOT NULL,
    version INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    tags TEXT,
    data TEXT
)""",
    "CREATE INDEX checkpoints_run ON checkpoints (run_id)",
    # Append-only: pruning runs never removes events, so there is no foreign key.
    """CREATE TABLE events (
    id INTEGER NOT NULL PRIMARY KEY,
    run_id TEXT,
    step_index INTEGER,
    type TEXT NOT NULL,
    at TEXT NOT NULL,
    data TEXT NOT NULL,
    previous TEXT NOT NULL,
    hash TEXT NOT NULL
)""",
    "CREATE INDEX events_run ON events (run_id)",
    """CREATE TABLE approvals (
    id TEXT NOT NULL PRIMARY KEY,
    run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    step_index INTEGER NOT NULL,
    step_id TEXT NOT NULL,
    digest TEXT NOT NULL,
    level TEXT NOT NULL, -- confirm | review
    status TEXT NOT NULL,
    request TEXT NOT NULL, -- what the person is shown: JSON
    requested_by TEXT NOT NULL,
    requested_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    decided_by TEXT,
    decided_at TEXT,
    reason TEXT,
    modifications TEXT -- JSON
)""",
    "CREATE INDEX approvals_run ON approvals (run_id, step_index)",
    """CREATE TABLE table_history (
    id INTEGER NOT NULL PRIMARY KEY,
    target TEXT NOT NULL,
    object TEXT NOT NULL,
    tool TEXT NOT NULL,
    run_id TEXT NOT NULL,
    step_index INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    status TEXT NOT NULL,
    at TEXT NOT NULL,
    seconds FLOAT NOT NULL,
    bytes_before INTEGER,
    bytes_after INTEGER,
    "before" TEXT NOT NULL, -- the find row: JSON
    "after" TEXT, -- the verify row: JSON
    reason TEXT,
    UNIQUE (run_id, step_index, object, attempt)
)""",
    "CREATE INDEX table_history_object ON table_history (target, tool, object)",
    *BACKUPS,
    *PROOFS,
    *COSTS,
    *SCHEDULES,
    *WORKFLOWS,
    *BACKLOG,
    *HOLDS,
    *TOTALS,
    *NOTIFICATIONS,
    *DIGESTS,
    *DELIVERED,
    *PROGRESS,
    *TOGETHER,
    *NOTES,
    *MODELS,
    *CONVERSATIONS,
)


#: Causes used to be free text.
_CAUSES = """UPDATE steps SET cause = CASE
       WHEN reason LIKE 'deferred:%' THEN 'deferred'
       WHEN reason LIKE 'step ''%' THEN 'stopped'
       WHEN reason LIKE 'needs step ''%' THEN 'need'
       WHEN reason LIKE 'nothing to do%' THEN 'idle'
       ELSE 'condition' END
    WHERE status = 'skipped'"""
#: The costs known before this table: of objects by their bytes, of backups by the bytes copied.
_COSTS_BEFORE = (
    """INSERT INTO step_costs (target, tool, object, at, seconds, work, unit)
        SELECT target, tool, object, at, seconds, bytes_before, 'bytes' FROM table_history
         WHERE status = 'ok' AND bytes_before > 0 AND seconds > 0 ORDER BY id""",
    """INSERT INTO step_costs (target, tool, object, at, seconds, work, unit)
        SELECT b.target, s.tool, '', b.started_at, s.seconds, b.source_bytes, 'bytes'
          FROM backups AS b JOIN steps AS s ON s.run_id = b.run_id
         WHERE s.tool GLOB 'backup_*' AND s.status = 'done' AND b.source_bytes > 0 AND s.seconds > 0
         ORDER BY b.started_at""",
)
#: The first leads from user_version 1 to 2, and so on. They run in one transaction, after the file was copied.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    ("ALTER TABLE steps ADD COLUMN deferred TEXT",),
    ("ALTER TABLE steps ADD COLUMN reached TEXT",),
    BACKUPS,
    ("ALTER TABLE steps ADD COLUMN cause TEXT", _CAUSES),
    PROOFS,
    (*COSTS, *_COSTS_BEFORE),
    SCHEDULES,
    WORKFLOWS,
    BACKLOG,
    (*HOLDS, *TOTALS, *COUNTED_BEFORE),
    NOTIFICATIONS,
    (*DIGESTS, *DELIVERED, *DELIVERED_BEFORE),
    PROGRESS,
    TOGETHER,
    NOTES,
    MODELS,
    CONVERSATIONS,
)
VERSION = 1 + len(MIGRATIONS)


def migrate(connection: sqlite3.Connection, found: int) -> None:
    """Migrate a database of version `found` (0: empty) to VERSION, in the caller's transaction."""
    for statements in (TABLES,) if found == 0 else MIGRATIONS[found - 1 :]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
