"""Inspects a target: a fixed number of catalog queries, whatever the number of tables, then measures the candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from aishell.agents.base import Question, is_excluded
from aishell.errors import DatabaseError, UnknownNameError
from aishell.execution.target_context import Job, choose, table_of
from aishell.models import History, Index, Inventory, Left, Risk, Row, Table, now
from aishell.safety.constraints import BackupRequired

#: Above this a table is estimated, not measured: pgstattuple reads it (0.33 s for 669 MB, approximately 0.21 s).
MEASURE_MAX_BYTES = 20 << 30
#: Kinds of errors that leave an optional question unanswered.
_UNANSWERED = ("statement_timeout", "lock_timeout", "cancelled", "permission")
#: Objects measured in one statement; the rest is measured by the plan's own steps.
MEASURE_MAX_TABLES = 5000


def inspect(
    job: Job, *, history: Mapping[tuple[str, str], History] | None = None, backlog: Sequence[Left] = ()
) -> Inventory:
    """What is in the target. Reads only.

    Raises UnknownNameError when the task names a table that does not exist.
    """
    server = job.refresh()
    tables = [table_of(row) for row in _rows(job, "inspect_tables")]
    indexes = [_index(row) for row in _rows(job, "inspect_indexes")]
    excluded = job.task.input_data.get("exclude") or ()
    named, absent = _named(job, tables)
    chosen = tuple(table for table in named if not is_excluded(table.schema, table.table, excluded))
    keys = {table.key for table in chosen}
    tools = job.registry.known(job.known_server())
    inventory = Inventory(
        server=server,
        tables=chosen,
        indexes=tuple(index for index in indexes if (index.schema, index.table) in keys),
        measured_at=now(),
        tools=tools,
        backlog=tuple(backlog),
        absent=absent,
        history=history or {},
        access=job.access(),
        requires=lambda name: job.pick(name).privileges if name in tools else (),
    )
    if job.task.input_data.get("create_backup"):
        inventory = replace(inventory, guarded=_guarded(job), last_backup=_young_backup(job))
    if any(not index.valid for index in inventory.indexes) and (backups := job.backups) is not None:
        from aishell.execution.residue import rebuilt  # only where an index failed to build

        inventory = replace(inventory, rebuilt=rebuilt(backups, job.target.name))
    if job.agent.clears and (backups := job.backups) is not None and job.archives is not None:
        from aishell.execution.residue import residue  # only for the agent that removes it

        inventory = replace(inventory, residue=tuple(residue(job, backups, job.archives)))
    return _answered(job, _measured(job, inventory))


def _named(job: Job, tables: Sequence[Table]) -> tuple[tuple[Table, ...], tuple[str, ...]]:
    """The tables of the task, and a sentence for each name or glob that matches none, where that is not an error."""
    names = job.agent.tables(job.task)
    if job.agent.needs_tables(job.task):
        return choose(names, tables), ()
    found: dict[tuple[str, str], Table] = {}
    absent = []
    for name in names:
        try:
            found |= {table.key: table for table in choose((name,), tables)}
        except UnknownNameError as error:
            near = f": {error.hint}" if (error.hint or "").startswith("did you mean") else ""
            absent.append(f"table {name} does not exist, but a rule of the configuration names it{near}")
    return tuple(found.values()), tuple(absent)


def _guarded(job: Job) -> frozenset[str]:
    """The dangerous tools: those of high or critical risk, and those for which a constraint requires a backup."""
    named = {name for one in job.constraints if isinstance(one, BackupRequired) for name in one.before_operations}
    known = job.registry.known(job.known_server())
    return frozenset(name for name in known if name in named or job.pick(name).risk_level.rank >= Risk.HIGH.rank)


def _young_backup(job: Job) -> dict[str, str] | None:
    """The newest verified backup, if it is recent enough for the strictest constraint, a day by default; else None."""
    limits = [one for one in job.constraints if isinstance(one, BackupRequired)] or [BackupRequired()]
    entry = job.newest_backup()
    if entry is None:
        return None
    age = datetime.now(UTC) - datetime.fromisoformat(entry.started_at)
    young = timedelta() <= age <= timedelta(hours=min(one.max_age_hours for one in limits))
    return {"backup_id": entry.backup_id, "started_at": entry.started_at} if young else None


def _answered(job: Job, inventory: Inventory) -> Inventory:
    while True:
        questions = [q for q in job.agent.questions(job.task, inventory) if q.name not in inventory.answers]
        if not questions:
            return inventory
        answers = {question.name: _answer(job, question) for question in questions}
        inventory = replace(inventory, answers={**inventory.answers, **answers})


def _answer(job: Job, question: Question) -> Mapping[str, list[Row]]:
    """The rows by block; empty where the question is optional and cannot be answered in time."""
    try:
        return job.read(question.tool, question.params, within=question.patience)
    except DatabaseError as error:
        if question.patience is None or error.kind not in _UNANSWERED:
            raise
        return {}


def _measured(job: Job, inventory: Inventory) -> Inventory:
    candidates = list(job.agent.candidates(job.task, inventory))
    if not candidates:
        return inventory
    candidates.sort(key=lambda table: -((table.bytes or 0) + (table.index_bytes or 0)))
    named = [{"schema": t.schema, "table": t.table} for t in candidates[:MEASURE_MAX_TABLES]]
    warnings = list(inventory.warnings)
    if len(candidates) > MEASURE_MAX_TABLES:
        warnings.append(f"{len(candidates) - MEASURE_MAX_TABLES} smaller tables were estimated, not measured")
    tables = _try(job, "measure_tables", {"tables": named, "max_bytes": MEASURE_MAX_BYTES}, warnings)
    smallest = {key: job.task.input_data[key] for key in ("min_index_size",) if key in job.task.input_data}
    indexes = _try(job, "measure_indexes", {"tables": named, **smallest}, warnings)
    found = {(row["schema"], row["table"]): row for row in tables}
    # A MySQL index's name is unique within its table only.
    better = {(row["schema"], row["table"], row["index_name"]): row for row in indexes}
    return replace(
        inventory,
        tables=tuple(_with_figures(table, found.get(table.key)) for table in inventory.tables),
        indexes=tuple(
            _index(better.get((known.schema, known.table, known.index_name)), known) for known in inventory.indexes
        ),
        warnings=tuple(warnings),
    )


def _try(job: Job, name: str, params: dict[str, Any], warnings: list[str]) -> list[Row]:
    """Measure, which reads data files: where damage or a lock prevents that, add a warning and keep the estimates."""
    tool = job.pick(name)
    try:
        return _rows(job, name, {key: value for key, value in params.items() if key in tool.parameters})
    except DatabaseError as error:
        if error.kind not in ("corruption", "lock_timeout", "statement_timeout", "permission"):
            raise
        warnings.append(f"{name} could not measure, estimates are used: {error.message}")
        return []


def _rows(job: Job, name: str, params: Mapping[str, Any] | None = None) -> list[Row]:
    return next(iter(job.read(name, params).values()))


def _with_figures(table: Table, row: Row | None) -> Table:
    if row is None:
        return table
    percent = row.get("fragmentation_percent")
    return replace(
        table,
        fragmentation_percent=float(percent) if percent is not None else None,
        fragmentation_method=row.get("method"),
        withheld=row.get("withheld"),
    )


def _index(row: Row | None, known: Index | None = None) -> Index:
    """An index from its row; `known`: the index before it was measured."""
    if row is None:
        assert known is not None  # noqa: S101  one of the two is there
        return known
    percent = row.get("fragmentation_percent", row.get("fragmentation"))
    bytes_, reclaimable = int(row.get("bytes") or 0), row.get("reclaimable_bytes")
    return Index(
        schema=row["schema"],
        table=row["table"],
        index_name=row["index_name"],
        bytes=bytes_,
        valid=known.valid if known else bool(row.get("valid", True)),
        fragmentation_percent=float(percent) if percent is not None else None,
        method=row.get("method"),
        reclaimable_bytes=max(0, min(int(reclaimable), bytes_)) if reclaimable is not None else None,
        withheld=row.get("withheld"),
        row=row if known else {},
    )
