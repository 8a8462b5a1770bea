"""Plan a log clean-up: count, delete, reclaim the space, report. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from aishell.agents.base import Draft, Question, is_excluded
from aishell.agents.log_cleanup import partitions
from aishell.agents.log_cleanup.delete_strategy import ALONG, archive_columns, archive_key, way_of
from aishell.agents.log_cleanup.questions import aged_leaves, aged_tables, alongs, divided
from aishell.agents.log_cleanup.relatives import Relatives, relatives_of
from aishell.agents.log_cleanup.tables import LogTable, child_name, references
from aishell.agents.maintenance.agent import OFFLINE_ENGINES
from aishell.agents.planner import Planner, full_size, named
from aishell.errors import ParameterError
from aishell.models import Estimate, Inventory, LeftOut, Row, Task
from aishell.planning.estimates import estimate
from aishell.planning.privileges import privileges_of
from aishell.planning.variables import escaped

#: Default duration of a batch, in milliseconds (`batch_target_ms` of the tools).
BATCH_TARGET_MS = 50
#: The share of deleted rows from which a vacuum is worth it.
WORTH_VACUUM = 0.05
#: The share of deleted rows from which OPTIMIZE or VACUUM is worth it, since they rewrite all remaining rows.
WORTH_REWRITE = 0.3
KEPT_SPACE = "freed space is reused for new rows; --shrink returns it to the disk"
_FILE = {"schema": "main"}
#: The tools that archive and delete rows of one table, and those that include dependent rows of other tables.
ALONE = ("archive_old_records", "delete_archived_records")
RELATED = ("archive_related_records", "delete_related_records")


class LogCleanupPlanner(Planner):
    """The planner of one log clean-up."""

    def __init__(self, task: Task, inventory: Inventory) -> None:
        super().__init__(task, inventory)
        self.warnings += inventory.absent
        self.limited = "max_rows" in task.input_data
        self.cutoffs: dict[str, str] = {}
        self.deletions: dict[str, tuple[str, ...]] = {}  # table -> ids of its deletions
        self.role = privileges_of(inventory)

    def draft(self) -> Draft:
        chosen, self.left_out = divided(self.task, self.inventory)
        for log in aged_tables(chosen, self.inventory):
            self._table(log)
        if self.deletions and self.engine.rewrites_whole:
            self._shrink_file()
        self.report([], "log cleanup", "Report what was deleted from each table, and what is left.")
        # Counting and archiving only serve the deletion.
        serving = frozenset(step.id for step in self.steps if step.tool in ("count_table_rows", ALONE[0], RELATED[0]))
        summary = {"cutoffs": self.cutoffs}
        return Draft(tuple(self.steps), tuple(self.warnings), summary, serving, tuple(self.left_out))

    def _table(self, log: LogTable) -> None:
        self.cutoffs[log.name] = str(log.cutoff)
        parts = partitions.decide(log, self.inventory, limited=self.limited)
        leaves = [leaf for leaf in aged_leaves(log, self.inventory, limited=self.limited) if leaf.has_old]
        self.left_out += parts.left_out
        if leaves or parts.dropped:
            self.warnings += parts.notes
            if not self._is_left_out(log):
                self._require_possible(log)
                self.warnings += self._costs(log)
                self.deletions[log.name] = tuple(self._deletions(log, parts, leaves))
        elif not parts.left_out:
            young = f"has nothing older than {log.cutoff}; its oldest row is from {log.oldest}"
            self.warnings.append(f"{log.name} {young if log.oldest else 'is empty'}")

    def _deletions(self, log: LogTable, parts: partitions.Partitions, leaves: Sequence[LogTable]) -> list[str]:
        """Add the steps that delete a table's old rows, with those that serve them; return the ids of the deletions."""
        counted = self._add(log, "count", "count_table_rows", {}, "Count the rows before.")
        before = (counted, *(step for child in log.blockers for step in self.deletions[child_name(child)]))
        steps = [self._drop(log, parts, before)] if parts.dropped else []
        needs = before
        if parts.tables is None:
            # MariaDB deletes from the whole table: partitions are dropped first, so that their rows are not deleted one by one.
            needs = (*before, *steps)
            leaves = [replace(leaf, elsewhere=parts.rows) for leaf in leaves]
        if self.limited and len(leaves) > 1:
            self.warnings.append(
                f"{log.name}: max_rows is for {leaves[0].name}; later runs continue with other partitions"
            )
            leaves = leaves[:1]
        for leaf in leaves:
            steps.append(self._archive(log, leaf, needs) if leaf.rule.archive else self._delete(leaf, needs))
            self._afterwards(leaf, steps[-1])
        return steps

    def _blockers(self, log: LogTable) -> list[Row]:
        """Return the foreign keys through which remaining rows prevent the deletion."""
        return [child for child in log.blockers if child_name(child) not in self.deletions]

    def _is_left_out(self, log: LogTable) -> bool:
        """Leave the table out if one that must be cleaned up first is left out; return whether it was."""
        aside = {one.object for one in self.left_out} & {child_name(child) for child in self._blockers(log)}
        if aside:
            why = f"rows of {min(aside)} reference it, and that table is left out"
            self.left_out.append(LeftOut("delete", ALONG, log.name, why))
        return bool(aside)

    def _require_possible(self, log: LogTable) -> None:
        """Raise ParameterError if the database would refuse the deletion, or more rows would be deleted than requested."""
        blockers = self._blockers(log)
        if blockers:
            referring = ", ".join(map(references, blockers))
            words = shlex.join([w for name in dict.fromkeys(map(child_name, blockers)) for w in ("--table", name)])
            raise ParameterError(
                f"rows of {log.name} are referenced by {referring}, so the database refuses to delete them",
                hint=f"clean them up in the same run by adding {words}; rows without a date must be deleted by hand first",
            )
        kept = [c for c in log.cascading if is_excluded(c["child_schema"], c["child_table"], log.rule.exclude)]
        if kept:
            raise ParameterError(
                f"rows of {', '.join(map(references, kept))} go or change with those of {log.name}, and that table is excluded",
                hint=f"exclude {log.name} too, or take the other table out of `exclude`",
            )
        own = [c for c in log.cascading if child_name(c) == log.name and c["on_delete"] == "cascade"]
        if self.limited and own:
            raise ParameterError(
                f"max_rows cannot limit what is deleted from {log.name}: deleting a row also deletes rows that reference it"
                f" by {', '.join(map(references, own))}",
                hint="leave max_rows out, or choose the rows with --where",
            )

    def _costs(self, log: LogTable) -> Iterator[str]:
        """Yield warnings of what slows the deletion down."""
        if not log.indexed and self.engine.walked_along != "pages":
            yield f"{log.name}: no index starts with {log.column!r}, so the whole table is read"
        if log.triggers:
            yield f"{log.name}: each deleted row fires {', '.join(str(row['name']) for row in log.triggers)}"

    def _cascades(self, log: LogTable) -> dict[str, Any]:
        """Return how many rows of other tables are deleted or changed with the old ones, and how many are only changed."""
        cascades: dict[str, int] = {}
        changes: dict[str, int] = {}
        for along in alongs(log):
            rows = self._counted(along.rows)
            # Rows are written between the two counts: no more are deleted than were counted.
            stay = rows - min(rows, self._counted(along.goes)) if along.goes else rows * along.changes
            cascades |= {along.name: rows} if rows else {}
            changes |= {along.name: stay} if stay else {}
        return {**({"cascades": cascades} if cascades else {}), **({"changes": changes} if changes else {})}

    def _counted(self, question: Question) -> int:
        return int(self.inventory.answers[question.name]["referring"][0]["rows"])

    def _drop(self, log: LogTable, parts: partitions.Partitions, needs: tuple[str, ...]) -> str:
        """Drop whole partitions. A failure may leave one detached that only a resume of this run finds, so it fails the run."""
        which = {"date_column": escaped(log.column), "cutoff": partitions.cutoff_of(log)}
        return self._add(
            log,
            "drop_partitions",
            parts.tool,
            which,
            f"{len(parts.dropped)} partition(s) can only hold rows whose {log.column!r} is before {log.cutoff}.",
            needs=needs,
            evidence=(*parts.evidence(self.inventory.measured_at), *log.evidence(self.inventory.measured_at)),
            estimate=parts.estimate(log, self.inventory),
            found=parts.dropped,
            on_error="fail" if self.engine.partitions_are_tables else "continue",
        )

    def _delete(self, log: LogTable, needs: tuple[str, ...]) -> str:
        way = way_of(log, self.inventory, limited=self.limited)
        if way.note:
            self.warnings.append(f"{log.name}: {way.note}")
        walk: dict[str, Any] = {"key": [escaped(column) for column in way.key]} if way.key else {}
        if log.indexed and way.along_the_table:
            walk["indexed"] = True
        return self._add(
            log,
            "delete",
            way.tool,
            {**walk, **self._which(log), **self._pace("batch_target_ms", "max_rows", "sleep"), **self._cascades(log)},
            f"Rows whose {log.column!r} is before {log.cutoff} are older than {log.rule.retention_days} days.",
            needs=needs,
            evidence=log.evidence(self.inventory.measured_at),
            estimate=self._estimate(log, way.tool, self.engine.rows_deleted_per_second),
        )

    def _archive(self, base: LogTable, log: LogTable, needs: tuple[str, ...]) -> str:
        """Archive the old rows and all dependent rows in a verified file, then delete the archived rows.

        `base`: the table that others reference, if `log` is a partition of it.
        """
        data = self.task.input_data
        answer, evidence = self.inventory.answers[f"columns of {log.name}"], log.evidence(self.inventory.measured_at)
        key = archive_key(log, answer, self.engine.name)
        family = relatives_of(base, log, self.inventory, self.deletions)
        self._tell_of(log, family)
        archives, deletes = RELATED if family.params else ALONE
        rows: dict[str, Any] = {
            **self._which(log),
            **({"key": key} if key else {}),
            # MariaDB and SQLite compare them for the deletion; loading the archive needs them on every engine.
            "columns": archive_columns(answer["columns"]),
            **({"relatives": family.params} if family.params else {}),
        }
        archived = self._add(
            log,
            "archive",
            archives,
            {
                **rows,
                **({"indexed": True} if log.indexed else {}),
                "path": data.get("archive_to", ""),
                "format": data.get("archive_format", "jsonl"),
                **self._pace("batch_target_ms", "max_rows", "sleep"),
            },
            f"Rows whose {log.column!r} is before {log.cutoff} are archived in a file, counted and verified, before they are "
            f"deleted{family.text}.",
            needs=needs,
            evidence=evidence,
            estimate=self._estimate(log, archives, self.engine.rows_archived_per_second),
        )
        output = f"${{steps.{archived}.output"
        return self._add(
            log,
            "delete",
            deletes,
            {
                **rows,
                **family.watched,
                "archive": f"{output}.archive_path}}",
                **self._pace("sleep"),
                **self._cascades(log),
            },
            "Only rows that are in the archive, and have not changed since, are deleted.",
            needs=(archived,),
            when=f"{output}.rows_archived}} > 0",
            evidence=evidence,
            estimate=self._estimate(log, deletes, self.engine.rows_deleted_per_second),
        )

    def _tell_of(self, log: LogTable, family: Relatives) -> None:
        """Warn of dependent rows. Raises ParameterError if this server has no tool that archives them."""
        if family.params and any(tool not in self.inventory.tools for tool in RELATED):
            raise ParameterError(
                f"rows of other tables go or change with those of {log.name}, and on this server they cannot be archived",
                hint="clean up the referring tables first, or clean up without --archive",
            )
        self.warnings += [note for note in family.notes if note not in self.warnings]

    def _which(self, log: LogTable) -> dict[str, Any]:
        """Return the parameters that select the old rows."""
        return {"date_column": escaped(log.column), "cutoff": log.before, "filters": list(log.rule.filters)}

    def _pace(self, *names: str) -> dict[str, Any]:
        return {name: self.task.input_data[name] for name in names if name in self.task.input_data}

    def _estimate(self, log: LogTable, tool: str, rate: float) -> Estimate:
        """Estimate the duration, by `rate` rows per second without a history, including the pauses between batches."""
        asked = self.task.input_data
        rows, most = log.old_rows, asked.get("max_rows")
        rate /= 1 + asked.get("sleep", 0) / (asked.get("batch_target_ms", BATCH_TARGET_MS) / 1000)
        if most is not None:
            rows = most if rows is None else min(rows, most)
        return estimate(self.inventory, tool, log.name, rows, unit="rows", rate=rate)

    def _afterwards(self, log: LogTable, deleted: str) -> None:
        """Free the space for new rows, or return it to the disk if enough was deleted for a rewrite."""
        if self.engine.vacuums:
            self._vacuum(log, deleted)
        elif not self.engine.rewrites_whole and log.table.rows and log.table.storage.lower() not in OFFLINE_ENGINES:
            self._rewrite(log, deleted, log.table.rows)

    def _vacuum(self, log: LogTable, deleted: str) -> None:
        tool, rows = "optimize_table", log.table.rows or 0
        lacks = self.role.refused("vacuum", tool, log.table.key, self.inventory.requires(tool))
        if lacks is not None:  # the requested deletion is still possible
            self.warnings.append(f"{log.name} is left to autovacuum: {lacks.reason}")
            return
        self._add(
            log,
            "vacuum",
            tool,
            {},
            "Vacuum, so that the deleted rows' space can be reused and the query planner has fresh statistics.",
            needs=(deleted,),
            when=f"${{steps.{deleted}.output.rows_deleted}} > {max(1000, round(rows * WORTH_VACUUM))}",
            estimate=estimate(self.inventory, tool, log.name, log.table.bytes),
        )

    def _rewrite(self, log: LogTable, deleted: str, rows: int) -> None:
        """Rewrite the table, if requested: at its end it blocks writers (0.6 s for 250 MB)."""
        if not self.task.input_data.get("shrink"):
            if self._may(log, deleted) and (log.share_by_rows or 0) >= WORTH_REWRITE:
                what = f"what stays of {log.name}" if log.elsewhere else log.name
                self.warnings.append(f"{what} keeps its size, {KEPT_SPACE}")
            return
        size = full_size(log.table) or 0
        self._add(
            log,
            "optimize",
            "optimize_table",
            {},
            "Rewrite the table: enough was deleted to return the space to the disk.",
            needs=(deleted,),
            when=f"${{steps.{deleted}.output.rows_deleted}} >= {max(1, round(rows * WORTH_REWRITE))}",
            estimate=estimate(self.inventory, "optimize_table", log.name, size, scratch=size),
        )

    def _may(self, log: LogTable, deleted: str) -> bool:
        """Return whether the role has the privileges for a deletion of the draft; else the plan leaves it out."""
        step = next(step for step in self.steps if step.id == deleted)
        return self.role.refused(step.id, step.tool, log.table.key, self.inventory.requires(step.tool)) is None

    def _shrink_file(self) -> None:
        """Rewrite a SQLite file once for all tables, if much of the file is free.

        A rewrite blocks all writes (1.6 s for a file of 500 MB), so it must be requested.
        """
        server = self.inventory.server
        total, incremental = server.database_bytes or 0, server.auto_vacuum == "incremental"
        if not incremental and not self.task.input_data.get("shrink"):
            self.warnings.append(f"the file keeps its size, {KEPT_SPACE}")
            return
        tool = "incremental_vacuum" if incremental else "optimize_table"
        gone = tuple(step for steps in self.deletions.values() for step in steps)
        again = "Measure how much of the file is free, to decide whether to shrink it."
        measured = self._add(None, "measure", "analyze_table_fragmentation", _FILE, again, needs=gone)
        shrunk = self._add(
            None,
            "shrink",
            tool,
            _FILE,
            "Return the free pages of the file to the disk.",
            needs=(measured,),
            when=f"${{steps.{measured}.output.fragmentation_percent}} >= {100 * WORTH_REWRITE:g}",
            estimate=estimate(self.inventory, tool, "", total, scratch=None if incremental else 2 * total),
        )
        if server.journal_mode == "wal":
            reason = "In WAL mode the file shrinks with the next checkpoint."
            cost = estimate(self.inventory, "checkpoint_wal", "", total)
            self._add(None, "checkpoint", "checkpoint_wal", _FILE, reason, needs=(shrunk,), estimate=cost)

    def _add(
        self, log: LogTable | None, name: str, tool: str, params: Mapping[str, Any], rationale: str, **fields: Any
    ) -> str:
        """Append a step on a log table, or on the whole file."""
        if log is None:
            return self.add(f"{name}_file", tool, params, rationale, **fields)
        return self.add(name, tool, {**named(log.table), **params}, rationale, table=log.table, **fields)
