"""The totals behind metrics, in a table that pruning leaves alone: triggers update it in the same transactions.

So no writer of runs, steps or the ledger can forget it, and a kill leaves both or neither. When a store is migrated,
the same rules count the existing rows once.
"""

from __future__ import annotations

from dataclasses import dataclass

_RUN = "'agent', n.agent, 'target', n.target"
_STEP = "'target', (SELECT r.target FROM runs AS r WHERE r.id = n.run_id), 'tool', n.tool"
_OVER = "n.state IN ('completed', 'failed', 'cancelled')"
_RAN = "n.status IN ('done', 'failed', 'skipped') AND n.seconds IS NOT NULL"
#: The result of a cancelled run, or of one that failed unexpectedly, may be an earlier one.
_STATUS = """CASE n.state WHEN 'cancelled' THEN 'cancelled' WHEN 'failed' THEN 'failure'
    ELSE iif(json_valid(n.result), coalesce(json_extract(n.result, '$.status'), ''), '') END"""


@dataclass(frozen=True)
class _Rule:
    """What rows of a table, aliased `n`, add to a metric, as SQL. `newest`: the greatest value, not the sum."""

    metric: str
    table: str
    labels: str
    when: str
    value: str = "1"
    newest: bool = False

    @property
    def of_all(self) -> str:
        """The statement that adds all rows."""
        return self._sql("true")

    @property
    def of_this(self) -> str:
        """The statement of a trigger, which adds its row."""
        return self._sql("n.rowid = NEW.rowid")

    def _sql(self, only: str) -> str:
        both = "max(value, excluded.value)" if self.newest else "value + excluded.value"
        return f"""INSERT INTO totals (metric, labels, value)
            SELECT '{self.metric}', json_object({self.labels}), {self.value} FROM {self.table} AS n
            WHERE {self.when} AND {only}
            ON CONFLICT (metric, labels) DO UPDATE SET value = {both}"""  # noqa: S608  our own


def _gain(metric: str, column: str, figure: str) -> tuple[_Rule, str]:
    """Return the rule of a figure in steps' outputs. `column` has the part already counted, for resumed steps."""
    known = f"coalesce(CAST({figure} AS INTEGER), 0)"
    target = "'target', (SELECT r.target FROM runs AS r WHERE r.id = n.run_id)"
    rule = _Rule(metric, "steps", target, f"json_valid(n.output) AND {known} > {column}", f"{known} - {column}")
    # Without an alias, which SQLite does not allow in a trigger's UPDATE.
    kept = f"UPDATE steps SET {column} = {known} WHERE json_valid(output) AND {known} > {column} AND "  # noqa: S608  our own
    return rule, kept


_BYTES = _gain(
    "aishell_bytes_reclaimed_total",
    "bytes_counted",
    "json_extract(output, '$.bytes_before') - json_extract(output, '$.bytes_after')",
)
_ROWS = _gain("aishell_rows_deleted_total", "rows_counted", "json_extract(output, '$.rows_deleted')")
_ENDED = (
    _Rule("aishell_runs_total", "runs", f"{_RUN}, 'status', {_STATUS}", _OVER),
    _Rule("aishell_run_duration_seconds_count", "runs", _RUN, _OVER),
    _Rule(
        "aishell_run_last_end_timestamp_seconds",
        "runs",
        f"{_RUN}, 'status', {_STATUS}",
        f"{_OVER} AND n.ended_at IS NOT NULL",
        "coalesce(CAST(strftime('%s', n.ended_at) AS INTEGER), 0)",
        newest=True,
    ),
)
#: The result gives the working time of a run even before it ends, when it waits or is paused.
_WORKED = (
    _Rule(
        "aishell_run_duration_seconds_sum",
        "runs",
        _RUN,
        "json_valid(n.result)",
        "coalesce(json_extract(n.result, '$.execution_time'), 0)",
    ),
)
_OUTCOMES = (
    _Rule(
        "aishell_steps_total",
        "steps",
        f"{_STEP}, 'status', n.status",
        "n.status IN ('done', 'failed', 'skipped', 'rejected', 'in_doubt')",
    ),
)
_TOOK = (
    _Rule("aishell_step_duration_seconds_count", "steps", _STEP, _RAN),
    _Rule("aishell_step_duration_seconds_sum", "steps", _STEP, _RAN, "n.seconds"),
)
_LEDGER = (
    _Rule(
        "aishell_schedule_runs_total",
        "schedule_runs",
        "'schedule', n.schedule, 'status', n.status",
        "n.status IN ('done', 'failed', 'missed', 'skipped')",
        "n.times",
    ),
)
#: Heartbeats and digests have no rule: the label is their kind.
_DELIVERED = (
    _Rule(
        "aishell_notifications_total",
        "outbox",
        "'rule', iif(n.rule = '', n.kind, n.rule), 'status', n.status",
        "n.status IN ('sent', 'failed')",
    ),
)


def _trigger(name: str, after: str, when: str, *statements: str) -> str:
    return f"CREATE TRIGGER {name} AFTER {after} WHEN {when} BEGIN {'; '.join(statements)}; END"


TOTALS = (
    """CREATE TABLE totals (
    metric TEXT NOT NULL,
    labels TEXT NOT NULL, -- JSON
    value NOT NULL,
    PRIMARY KEY (metric, labels)
) WITHOUT ROWID""",
    "ALTER TABLE steps ADD COLUMN bytes_counted INTEGER NOT NULL DEFAULT 0",  # the part of the step in the totals
    "ALTER TABLE steps ADD COLUMN rows_counted INTEGER NOT NULL DEFAULT 0",
    _trigger(
        "runs_ended",
        "UPDATE OF state ON runs",
        "NEW.state <> OLD.state",
        *(rule.of_this for rule in _ENDED),
    ),
    _trigger("runs_worked", "UPDATE OF result ON runs", "true", *(rule.of_this for rule in _WORKED)),
    _trigger(
        "steps_ended",
        "UPDATE OF ended_at ON steps",
        "NOT (NEW.status = 'in_doubt' AND OLD.status = 'in_doubt')",
        *(rule.of_this for rule in _OUTCOMES),
    ),
    _trigger("steps_took", "UPDATE OF ended_at ON steps", "OLD.status = 'started'", *(rule.of_this for rule in _TOOK)),
    *(
        _trigger(
            f"steps_{name}",
            "UPDATE OF output ON steps",
            "json_valid(NEW.output)",
            rule.of_this,
            f"{kept}rowid = NEW.rowid",
        )
        for name, (rule, kept) in (("bytes", _BYTES), ("rows", _ROWS))
    ),
    _trigger("schedule_runs_made", "INSERT ON schedule_runs", "true", *(rule.of_this for rule in _LEDGER)),
    _trigger(
        "schedule_runs_ended",
        "UPDATE OF status ON schedule_runs",
        "NEW.status <> OLD.status",
        *(rule.of_this for rule in _LEDGER),
    ),
    # To find the health checks among any number of steps.
    "CREATE INDEX steps_health ON steps (run_id) WHERE tool = 'analyze_database_health' AND status = 'done'",
)
#: Counts the rows that a store has when the table is created.
COUNTED_BEFORE = (
    *(rule.of_all for rule in (*_ENDED, *_WORKED, *_OUTCOMES, *_TOOK, *_LEDGER)),
    *(statement for rule, kept in (_BYTES, _ROWS) for statement in (rule.of_all, f"{kept}true")),
)
DELIVERED = (
    _trigger(
        "outbox_ended", "UPDATE OF status ON outbox", "NEW.status <> OLD.status", *(rule.of_this for rule in _DELIVERED)
    ),
)
DELIVERED_BEFORE = tuple(rule.of_all for rule in _DELIVERED)
