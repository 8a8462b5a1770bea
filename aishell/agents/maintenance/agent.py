"""The maintenance agent: quick, standard, full and emergency plans from the findings of inspection (spec: agents.md)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from aishell.agents import summary
from aishell.agents.backup.steps import backed_up, guard
from aishell.agents.base import FLAG, NAMES, Agent, Draft, Option, Surroundings, defaults_of, described
from aishell.agents.planner import Planner, full_size, named
from aishell.models import AgentConfig, Evidence, Index, Inventory, Params, Step, StepResult, Table, Task
from aishell.planning.estimates import estimate
from aishell.planning.leaving_out import as_allowed
from aishell.planning.privileges import privileges_of
from aishell.planning.variables import escaped
from aishell.reporting.units import size
from aishell.settings.schemas import MOST_BYTES, TEXTS, number, whole

TYPES = ("quick", "standard", "full", "emergency")
#: Kinds of relations that hold rows of their own.
STORED = frozenset({"table", "partition", "matview"})
#: Autovacuum's rule for ANALYZE (PostgreSQL docs, autovacuum_*_scale_factor and _threshold): 10 % + 50.
STALE_SHARE, STALE_ROWS = 0.10, 50
#: A full run also vacuums dead rows below autovacuum's threshold; a standard run waits for `optimize_threshold`.
FULL_DEAD_ROWS = 1000
WRAPAROUND_PERCENT = 90.0
MIN_TABLE_BYTES = 1 << 20
#: MySQL: statements that can be kept out of the binary log.
TAKES_BINLOG = frozenset({"optimize_table", "optimize_offline_table", "batch_update_statistics"})
#: MySQL storage engines that block reads while a table is optimised.
OFFLINE_ENGINES = frozenset({"myisam", "aria"})
#: SQLite reloads all statistics after each ANALYZE: in a file of 10,000 tables 0.1 s per table, or 0.2 s for all at once.
ANALYZE_ALL_ABOVE = 50
#: PostgreSQL: the least gain of a rewrite, in percent of the table, and the gain in bytes from which it is planned by default.
REWRITE_PERCENT, REWRITE_BYTES = 40.0, 1 << 30
#: The warning of a plan without a corruption check, or with one that can check nothing.
UNCHECKED = "nothing is checked for corruption: any changes of this plan are made unchecked"
USELESS_RUNS = 3  # a tool that gained nothing this often is left out until the object changes


class MaintenanceAgent(Agent):
    """Statistics, vacuum, index rebuilds, rewrites and checks, by evidence."""

    type: ClassVar[str] = "maintenance"
    vocabulary: ClassVar[str] = "aishell.agents.maintenance.words:WORDS"
    defaults: ClassVar[AgentConfig] = defaults_of(
        "maintenance",
        "database_read database_write schema_analyze index_manage query_optimize file_write backup_create",
        max_duration=3600,
    )
    inputs: ClassVar[dict[str, dict[str, Any]]] = {
        "maintenance_type": {
            "enum": list(TYPES),
            "title": "maintenance type",
            "description": "quick (statistics), standard (and vacuum), full (and indexes, rewrite, check), emergency.",
        },
        "tables": described(NAMES, "Only these tables; globs and schema.table allowed."),
        "exclude": described(NAMES, "Skip these tables; globs and schema.table allowed."),
        "all_tables": described(FLAG, "Refresh the statistics of every table, not only stale ones."),
        "create_backup": described(FLAG, "Make and verify a full backup first, unless a recent verified one exists."),
        "rebuild_indexes": described(FLAG, "Rebuild fragmented indexes (default: only in a full run)."),
        "update_stats": described(FLAG, "Refresh statistics (default: in all but an emergency run)."),
        "rebuild_tables": described(
            FLAG, "Rewrite tables on PostgreSQL, which locks them (default: those with much to gain, in a full run)."
        ),
        "fragmentation_threshold": described(
            number(0, 100), "Fragmentation in percent from which an index is rebuilt (default: 30)."
        ),
        "optimize_threshold": described(
            number(0, 100), "Free or dead space in percent from which a table is vacuumed or rewritten (default: 20)."
        ),
        "min_index_size": described(whole(0, MOST_BYTES), "Leave smaller indexes alone, bytes (default: 1 MiB)."),
        "binlog": {
            "enum": ["", "LOCAL"],
            "description": "MySQL and MariaDB: LOCAL keeps maintenance statements out of the binary log.",
        },
    }
    options: ClassVar[dict[str, Option]] = {
        "maintenance_type": Option("--type"),
        "tables": Option("--table", "T"),
        "exclude": Option(metavar="T"),
        "all_tables": Option("--all-tables"),
        "create_backup": Option("--create-backup/--no-backup"),
        "fragmentation_threshold": Option(metavar="PERCENT"),
        "optimize_threshold": Option(metavar="PERCENT"),
        "min_index_size": Option(metavar="BYTES"),
        "binlog": Option(metavar="LOCAL"),
    }
    help = "Statistics, vacuum, index rebuilds, corruption check and report."
    examples: ClassVar[tuple[str, ...]] = (
        "aishell run maintenance --type full --dry-run",
        "aishell run maintenance --url sqlite:///shop.db --yes",
    )
    categories: ClassVar[frozenset[str]] = frozenset({"analysis", "maintenance", "repair", "report"})

    settings: ClassVar[dict[str, dict[str, Any]]] = {"create_backup": FLAG, "exclude": TEXTS}

    def completed(self, inputs: Params, around: Surroundings) -> dict[str, Any]:
        given = super().completed(inputs, around)
        if around.target.binlog:
            given.setdefault("binlog", around.target.binlog)
        if around.config.own.get("create_backup"):  # back up before risky changes
            given.setdefault("create_backup", True)
        return given

    def candidates(self, task: Task, inventory: Inventory) -> Sequence[Table]:
        kind = task.input_data.get("maintenance_type", "standard")
        if kind not in ("standard", "full"):
            return ()
        return [
            table
            for table in inventory.tables
            if table.kind in STORED and ((size := full_size(table)) is None or size >= MIN_TABLE_BYTES)
        ]

    def draft(self, task: Task, inventory: Inventory) -> Draft:
        return backed_up(_MaintenancePlanner(task, inventory).draft(), task, inventory)

    def joined(self, step: Step, draft: Draft, inventory: Inventory, *, changes: bool) -> Step:
        checks = [one for one in draft.steps if changes and one.id == "corruption"]
        sound = " and ".join(_sound(one.id) for one in checks) or None
        guarded = replace(step, needs=("health", *(one.id for one in checks)), when=sound)
        return guard(guarded, draft.steps) if step.tool in inventory.guarded else guarded

    def summarise(self, task: Task, results: Sequence[StepResult]) -> tuple[dict[str, Any], str]:
        return summary.summarise(task, results)

    def alarming(self, data: Mapping[str, Any]) -> bool:
        return bool(data["corruption_found"])

    def urgent(self, step: Step) -> bool:
        return any(item.metric == "freeze_age_percent" for item in step.evidence)


class _MaintenancePlanner(Planner):
    def __init__(self, task: Task, inventory: Inventory) -> None:
        super().__init__(task, inventory)
        data = task.input_data
        self.kind = data.get("maintenance_type", "standard")
        self.threshold = float(data.get("fragmentation_threshold", 30))
        self.optimize_threshold = float(data.get("optimize_threshold", 20))
        self.min_index_size = int(data.get("min_index_size", MIN_TABLE_BYTES))
        self.rebuild_indexes = data.get("rebuild_indexes", self.kind == "full")
        self.update_stats = data.get("update_stats", self.kind != "emergency")
        self.rebuild_tables: bool | None = data.get("rebuild_tables")  # PostgreSQL; None: those with much to gain
        self.fresh: set[tuple[str, str]] = set()  # tables whose statistics another step refreshes
        self.unwritten: list[tuple[Table, float]] = []  # worth a rewrite that was not requested
        self.chosen = bool(data.get("tables") or data.get("exclude"))
        self.stored = [t for t in inventory.tables if t.kind in STORED]
        self.indexes: dict[tuple[str, str], list[Index]] = defaultdict(list)
        for index in inventory.indexes:
            self.indexes[index.schema, index.table].append(index)
        self.corruption: str | None = None  # the step that every change depends on

    def draft(self) -> Draft:
        thorough = self.kind in ("full", "emergency")
        self._add(
            "health",
            "analyze_database_health",
            {"tables": self._named(self.inventory.tables) if self.chosen else None, "check_corruption": thorough},
            "Inspect the whole database first; the findings go into the report.",
        )
        if thorough:
            self._corruption_check()
        if self.kind in ("standard", "full"):
            share = self._rewrites_file()
            if share is not None:
                self._whole_file(share)
            else:
                for table in sorted(self.stored, key=self._priority):
                    self._table(table)
        if self.unwritten:
            self.warnings.append(_unwritten(self.unwritten))
        if self.update_stats:
            self._statistics()
        tables = self._named(self.inventory.tables) if self.chosen else []
        cost = estimate(self.inventory, "generate_maintenance_report", "", None)
        self.report(tables, self.kind, "Report what was found and done, before and after.", estimate=cost)
        return Draft(
            tuple(self.steps),
            tuple(self.warnings),
            {"maintenance_type": self.kind, "tables": len(self.stored)},
            frozenset(step.id for step in self.steps if step.tool == "analyze_table_fragmentation"),
            tuple(self.left_out),
        )

    def _priority(self, table: Table) -> tuple[int, float]:
        """Return the sort key of a table: wraparound risk first, then bytes reclaimed per second."""
        at_risk = (table.freeze_age_percent or 0) >= WRAPAROUND_PERCENT
        gain = (table.bytes or 0) * (table.fragmentation_percent or 0) / 100
        gain += sum(index.reclaimable_bytes or 0 for index in self.indexes[table.key])
        cost = estimate(self.inventory, "optimize_table", f"{table.schema}.{table.table}", table.bytes).seconds or 0.01
        return (not at_risk, -gain / cost)

    def _table(self, table: Table) -> None:
        """Add the steps for one table: measure, vacuum or rewrite, rebuild bloated indexes, drop our invalid ones."""
        reasons = self._optimize_reasons(table) if not self.engine.rewrites_whole else []
        bloated = self._bloated(table) if self.rebuild_indexes else []
        rewritten = self._rewrite_reasons(table)
        blind = self._blind(table)
        # On PostgreSQL, too, a rewrite rebuilds every index of the table.
        rewrites = bool(rewritten or blind) or (self.engine.rebuilds_indexes_together and bool(reasons))
        if reasons or rewritten or blind:
            self._measured_change(table, reasons or blind, rewritten, unknown=bool(blind))
        if bloated and not rewrites:
            self._rebuild(table, bloated)
        invalid = [index for index in self.indexes[table.key] if not index.valid]
        if invalid and self.kind == "full" and "drop_invalid_indexes" in self.inventory.tools:
            self._drop_invalid(table, invalid)

    def _measured_change(
        self, table: Table, reasons: list[Evidence], rewritten: list[Evidence], *, unknown: bool
    ) -> None:
        """Measure a table, then vacuum it for `reasons` and rewrite it for `rewritten`. `unknown`: its statistics are stale."""
        measured = self._add(
            "measure",
            "analyze_table_fragmentation",
            named(table),
            "Measure exactly, just before the change.",
            table=table,
            needs=(self._refresh(table),) if unknown else (),
            size=full_size(table),
        )
        vacuumed = (self._optimize(table, reasons, measured),) if reasons else ()
        if rewritten:
            self._rewrite(table, rewritten, (measured, *vacuumed))

    def _drop_invalid(self, table: Table, invalid: list[Index]) -> None:
        """Drop the invalid indexes that our own rebuilds left. Only report others, which may be under construction."""
        names, recorded = ", ".join(index.index_name for index in invalid), self.inventory.rebuilt.get(table.key, ())
        if not recorded:
            self.warnings.append(
                f"{table.schema}.{table.table}: invalid indexes left as they are: {names}; no run of this site has rebuilt an "
                "index of the table: unless they are being built right now, DROP INDEX CONCURRENTLY removes them"
            )
            return
        self._change(
            "invalid",
            "drop_invalid_indexes",
            {**named(table), "recorded": [escaped(name) for name in recorded]},
            f"Invalid indexes on the table: {names}. Only those that aishell's own failed rebuilds left are dropped; others are "
            "reported.",
            table=table,
            evidence=[self._evidence("invalid_indexes", len(invalid), "catalog")],
            size=sum(index.bytes for index in invalid),
        )

    def _rewrite_reasons(self, table: Table) -> list[Evidence]:
        """Return the evidence for rewriting a PostgreSQL table: VACUUM does not return its free space to the disk."""
        percent, kinds = table.fragmentation_percent or 0.0, ("table", "partition")
        if not self.engine.vacuums or self.kind != "full" or table.kind not in kinds:
            return []
        gain = (table.bytes or 0) * percent / 100
        if percent <= REWRITE_PERCENT or gain < MIN_TABLE_BYTES or "rebuild_table" not in self.inventory.tools:
            return []
        if not (self.rebuild_tables or (self.rebuild_tables is None and gain >= REWRITE_BYTES)):
            self.unwritten.append((table, percent))
            return []
        if self._useless("rebuild_table", table):
            return []
        return [self._evidence("fragmentation_percent", percent, table.fragmentation_method or "estimate")]

    def _rewrite(self, table: Table, reasons: list[Evidence], needs: tuple[str, ...]) -> None:
        """Add VACUUM FULL, on condition that the measurement confirms the gain. It needs approval, since it locks the table."""
        size = full_size(table) or 0
        self._change(
            "rewrite",
            "rebuild_table",
            named(table),
            f"Rewrite the table and its indexes: about {reasons[0].value:.0f} % of it is unused, and VACUUM does not "
            "return that to the disk. Nobody can read or write it meanwhile.",
            table=table,
            evidence=reasons,
            needs=needs,
            when=f"${{steps.{needs[0]}.output.fragmentation_percent}} > {REWRITE_PERCENT:g}",
            size=size,
            scratch=size,
        )

    def _blind(self, table: Table) -> list[Evidence]:
        """Return the evidence for measuring a MySQL table of unknown fragmentation, whose statistics predate a clean-up."""
        unknown = self.engine.fragmentation_by_statistics and table.withheld and stale_statistics(table)
        if not unknown or self.kind != "full" or (full_size(table) or 0) < MIN_TABLE_BYTES:
            return []
        if self._useless("optimize_table", table):
            return []
        return [replace(self._evidence("fragmentation_percent", None, "not known yet"), withheld=table.withheld)]

    def _refresh(self, table: Table) -> str:
        """Refresh the statistics of a table, from which its fragmentation is calculated."""
        self.fresh.add(table.key)
        return self._change(
            "refresh",
            "batch_update_statistics",
            {"tables": self._named([table])},
            "Only fresh statistics tell how much of the table is unused.",
            table=table,
            size=table.bytes,
        )

    def _optimize_reasons(self, table: Table) -> list[Evidence]:
        """Return the evidence for vacuuming (PostgreSQL) or rewriting (MySQL) a table; empty if it needs neither."""
        found, age, percent = [], table.freeze_age_percent or 0, table.fragmentation_percent or 0
        if age >= WRAPAROUND_PERCENT:
            found.append(self._evidence("freeze_age_percent", round(age, 1), "age of relfrozenxid"))
        if self.engine.vacuums:
            return [*found, *self._dead_rows(table)]
        if self.kind != "full" or percent <= self.optimize_threshold:
            return found
        if self._useless("optimize_table", table):
            return []
        return [*found, self._evidence("fragmentation_percent", percent, table.fragmentation_method or "estimate")]

    def _dead_rows(self, table: Table) -> Iterator[Evidence]:
        dead, live = table.dead_rows or 0, _live(table)
        share = 100 * dead / (dead + live) if dead else 0.0
        if share >= self.optimize_threshold or (self.kind == "full" and dead >= FULL_DEAD_ROWS):
            yield self._evidence("dead_rows", dead, "cumulative statistics", error="since the last vacuum")
            yield self._evidence("dead_percent", round(share, 1), "dead / (dead + live)")

    def _optimize(self, table: Table, reasons: list[Evidence], measured: str) -> str:
        vacuum = self.engine.vacuums
        at_risk = any(item.metric == "freeze_age_percent" for item in reasons)
        condition = f"${{steps.{measured}.output.fragmentation_percent}} > {self.optimize_threshold:g}"
        size = full_size(table)
        if vacuum:
            self.fresh.add(table.key)  # VACUUM (ANALYZE)
        return self._change(
            "optimize",
            "optimize_offline_table" if table.storage.lower() in OFFLINE_ENGINES else "optimize_table",
            named(table),
            "Vacuum: dead rows slow queries and delay freezing. The application can use the table meanwhile."
            if vacuum
            else "Rewrite the table: enough space can be reclaimed to be worth it.",
            table=table,
            evidence=reasons,
            needs=(measured,),
            when=None if vacuum or at_risk else condition,
            size=size,
            scratch=None if vacuum else size,
        )

    def _bloated(self, table: Table) -> list[Index]:
        found = []
        for index in self.indexes[table.key]:
            if not index.valid or index.bytes < self.min_index_size:
                continue
            if index.withheld and index.fragmentation_percent is None:
                self.warnings.append(f"{index.schema}.{index.index_name}: no fragmentation figure: {index.withheld}")
            elif (index.fragmentation_percent or 0) > self.threshold and not self._useless(
                "rebuild_fragmented_indexes", table, None if self.engine.rebuilds_indexes_together else index.index_name
            ):
                found.append(index)
        return sorted(found, key=lambda index: -(index.reclaimable_bytes or 0))

    def _rebuild(self, table: Table, bloated: list[Index]) -> None:
        evidence = [
            self._evidence(f"fragmentation_percent of {i.index_name}", i.fragmentation_percent, i.method or "estimate")
            for i in bloated
        ]
        size = sum(index.bytes for index in bloated)
        gain = sum(index.reclaimable_bytes or 0 for index in bloated)
        self._change(
            "rebuild",
            "rebuild_fragmented_indexes",
            {**named(table), "fragmentation_threshold": self.threshold, "min_index_size": self.min_index_size},
            f"{len(bloated)} index(es) above {self.threshold:g} %: about {gain:,} bytes to reclaim.",
            table=table,
            evidence=evidence,
            size=size,
            scratch=size,
            # Only a measurement gives rows to freeze; with estimates alone the step looks the indexes up itself.
            found=tuple(dict(index.row) for index in bloated) if all(index.row for index in bloated) else None,
        )

    def _rewrites_file(self) -> float | None:
        """Return the share of a SQLite file, in percent, that a rewrite reclaims; None if it is not worth it."""
        server = self.inventory.server
        if not (self.engine.rewrites_whole and self.kind == "full" and server.database_bytes):
            return None
        share = 100 * self._reclaimable() / server.database_bytes
        if share <= self.optimize_threshold or self._useless("optimize_table", None):
            return None
        if self.task.input_data.get("exclude"):
            self.warnings.append(
                f"tables are excluded, so the file is not rewritten; a rewrite would reclaim {share:.0f} % of it"
            )
            return None
        return share

    def _reclaimable(self) -> float:
        if self.inventory.server.auto_vacuum == "incremental":
            return self.inventory.server.free_bytes or 0  # it returns free pages but packs nothing
        slack = sum((t.bytes or 0) * (t.fragmentation_percent or 0) / 100 for t in self.stored)
        slack += sum(index.reclaimable_bytes or 0 for index in self.inventory.indexes)
        return min((self.inventory.server.free_bytes or 0) + slack, self.inventory.server.database_bytes or 0)

    def _whole_file(self, share: float) -> None:
        """Add one rewrite for the whole database: SQLite cannot rewrite a single table."""
        server = self.inventory.server
        total, incremental = server.database_bytes or 0, server.auto_vacuum == "incremental"
        again = "Measure the file again, just before it is rewritten."
        measured = self._add("measure", "analyze_table_fragmentation", {"schema": "main"}, again, size=total)
        shrink = self._change(
            "optimize",
            "incremental_vacuum" if incremental else "optimize_table",
            {"schema": "main"},
            f"Reclaim {share:.0f} % of the file; indexes are packed too.",
            evidence=[
                self._evidence("free_bytes", server.free_bytes, "freelist_count * page_size"),
                self._evidence(
                    "reclaimable_bytes",
                    round(self._reclaimable()),
                    "freelist and dbstat forecast",
                    "about 1 % of the file",
                ),
                self._evidence("fragmentation_percent", round(share, 1), "reclaimable / file"),
            ],
            needs=(measured,),
            when=f"${{steps.{measured}.output.fragmentation_percent}} > {self.optimize_threshold:g}",
            size=total,
            scratch=None if incremental else 2 * total,
        )
        if server.journal_mode == "wal":
            reason = "In WAL mode the file shrinks with the next checkpoint."
            self._change("checkpoint", "checkpoint_wal", {"schema": "main"}, reason, needs=(shrink,), size=total)

    def _statistics(self) -> None:
        every = self.task.input_data.get("all_tables")
        stale = [t for t in self.stored if t.key not in self.fresh and (every or stale_statistics(t))]
        if not stale:
            return
        whole = "update_all_statistics" in self.inventory.tools and len(stale) > ANALYZE_ALL_ABOVE and not self.chosen
        self._change(
            "statistics",
            "update_all_statistics" if whole else "batch_update_statistics",
            {"schema": "main"} if whole else {"tables": self._named(stale)},
            f"{len(stale)} table(s) have missing or stale statistics, so the query planner works with wrong row counts.",
            evidence=[self._evidence("stale_tables", len(stale), "rows changed since the last ANALYZE")],
            size=sum(t.bytes or 0 for t in stale),
        )

    def _corruption_check(self) -> None:
        """Add the corruption check, which must find no damage before anything is changed. Warn if nothing can be checked."""
        if not self.stored:
            return
        checks = self._add(
            "corruption",
            "check_table_corruption",
            {"tables": self._named(self.stored)},
            "Check for corruption first: nothing is rewritten in a damaged database.",
            size=sum(full_size(table) or 0 for table in self.stored),
        )
        needed, role = self.inventory.requires("check_table_corruption"), privileges_of(self.inventory)
        allowed, lacks = as_allowed(self.steps[-1], needed, role)
        if allowed is not None:
            self.corruption = checks
            extension = self.engine.checked_by
            if extension is not None and extension not in self.inventory.server.features:
                self.warnings.append(
                    f"{UNCHECKED}: the extension {extension} is not installed (CREATE EXTENSION {extension})"
                )
            return
        self.steps.pop()
        self.left_out += lacks
        self.warnings.append(f"{UNCHECKED}: the role lacks the privilege for the check, which is left out")

    def _change(
        self, name: str, tool: str, params: dict[str, Any], rationale: str, *, needs: tuple[str, ...] = (), **rest: Any
    ) -> str:
        """Append a step that changes something. It runs after the corruption check, and only if that found no damage."""
        if self.corruption:
            rest["when"] = " and ".join(filter(None, (_sound(self.corruption), rest.get("when"))))
            needs = (*needs, self.corruption)
        if tool in TAKES_BINLOG and self.engine.logs_maintenance and self.task.input_data.get("binlog"):
            params = {**params, "binlog": self.task.input_data["binlog"]}
        return self._add(name, tool, params, rationale, needs=needs, **rest)

    def _add(
        self,
        name: str,
        tool: str,
        params: dict[str, Any],
        rationale: str,
        *,
        table: Table | None = None,
        needs: tuple[str, ...] = (),
        size: int | None = None,
        scratch: int | None = None,
        **rest: Any,
    ) -> str:
        """Append a step that depends on the health check, with the estimate for an object of `size` bytes."""
        label = f"{table.schema}.{table.table}" if table else ""
        return self.add(
            name,
            tool,
            params,
            rationale,
            table=table,
            needs=tuple(dict.fromkeys(("health", *needs) if self.steps else needs)),
            on_error="fail" if name == "health" else "continue",
            estimate=estimate(self.inventory, tool, label, size, scratch),
            **rest,
        )

    def _useless(self, tool: str, table: Table | None, name: str | None = None) -> bool:
        label = f"{table.schema}.{name or table.table}" if table else "main"
        known = self.inventory.history.get((tool, label))
        if known is None or known.idle_runs < USELESS_RUNS:
            return False
        self.warnings.append(f"{label}: {tool} reclaimed nothing the last {known.idle_runs} times and is left out")
        return True

    def _evidence(self, metric: str, value: Any, method: str, error: str | None = None) -> Evidence:
        return Evidence(metric, value, method, self.inventory.measured_at, error)

    def _named(self, tables: Sequence[Table]) -> list[dict[str, Any]]:
        return [named(table) for table in tables]


def _sound(check: str) -> str:
    """Return the condition that a check found no damage."""
    return f"${{steps.{check}.output.corrupted_tables}} == []"


def _unwritten(found: Sequence[tuple[Table, float]]) -> str:
    """Return the warning that lists tables worth a rewrite, those with most to gain first, and how to request it."""
    worst = sorted(found, key=lambda one: -(one[0].bytes or 0) * one[1])
    shown = ", ".join(f"{t.schema}.{t.table} {percent:.0f} % of {size(t.bytes)}" for t, percent in worst[:5])
    more = f" and {len(worst) - 5} more" if len(worst) > 5 else ""
    return (
        f"{len(worst)} table(s) are mostly unused space, which VACUUM does not give back: {shown}{more}; "
        "--set rebuild_tables=true plans a rewrite, which needs approval: nobody can use a table meanwhile"
    )


def _live(table: Table) -> int:
    """Return the number of live rows. `rows` still counts those that died since the last VACUUM or ANALYZE."""
    return max((table.rows if table.live_rows is None else table.live_rows) or 0, 0)


def stale_statistics(table: Table) -> bool:
    """Return whether the query planner's statistics for a table are missing or far off."""
    if table.statistics is not None:
        return table.statistics != "present"
    if table.last_analyze is None:
        return table.bytes != 0 or bool(table.rows)  # PostgreSQL has no size before the first VACUUM or ANALYZE
    return (table.modified_rows or 0) > STALE_SHARE * max(table.rows or 0, 0) + STALE_ROWS
