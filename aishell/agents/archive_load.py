"""The archive_load agent: the rows of an archive back into a table (`aishell archives load`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from aishell.agents.base import Agent, Draft, Question
from aishell.errors import ParameterError, UnknownNameError
from aishell.models import AgentConfig, Estimate, Evidence, Inventory, Step, StepResult, StepStatus, Task
from aishell.planning.variables import escaped
from aishell.settings_schemas import MOST_BYTES, whole

#: Rows a second: a rough guess, not measured.
SPEED = {"postgresql": 60_000, "mysql": 60_000, "sqlite": 250_000}


class ArchiveLoadAgent(Agent):
    """One archive into one table, which may be another than the one it came from."""

    type: ClassVar[str] = "archive_load"
    defaults: ClassVar[AgentConfig] = AgentConfig(
        agent_id="archive_load_agent",
        agent_type="archive_load",
        capabilities=frozenset({"database_read", "database_write", "schema_analyze", "query_optimize"}),
        max_duration=3600,
    )
    inputs: ClassVar[dict[str, dict[str, Any]]] = {
        "archive": {"type": "string", "minLength": 1},
        "table": {"type": "string", "minLength": 1},
        "columns": {"type": "array", "items": {"type": "object"}, "minItems": 1},
        "rows": whole(0, MOST_BYTES),
        "product": {"type": "string"},
    }

    def tables(self, task: Task) -> Sequence[str]:
        return [task.input_data["table"]]

    def questions(self, task: Task, inventory: Inventory) -> Sequence[Question]:
        return [
            Question(
                f"columns of {t.schema}.{t.table}", "inspect_archive_columns", {"schema": t.schema, "table": t.table}
            )
            for t in inventory.tables
        ]

    def draft(self, task: Task, inventory: Inventory) -> Draft:
        data, engine = task.input_data, inventory.server.engine
        if len(inventory.tables) != 1:
            raise ParameterError(
                f"{data['table']!r} names {len(inventory.tables)} tables", hint="name one with --table"
            )
        table = inventory.tables[0]
        where = f"{table.schema}.{table.table}"
        forms = {row["column"]: row for row in inventory.answers[f"columns of {where}"]["columns"]}
        for column in data["columns"]:
            if column["column"] not in forms:
                raise UnknownNameError("column", column["column"], forms, f"{where}: the archive has it")
        named = {"schema": escaped(table.schema), "table": escaped(table.table)}
        columns = [{**column, "column": escaped(column["column"])} for column in data["columns"]]
        loading = Step(
            id="load",
            tool="load_archive",
            params={**named, "archive": escaped(data["archive"]), "columns": columns},
            rationale=f"The {data['rows']:,} rows of the archive go back into {where}; what is there already stays.",
            evidence=(Evidence("rows", data["rows"], "the archive's manifest", inventory.measured_at),),
            estimate=Estimate(round(data["rows"] / SPEED[engine], 3), None, "engine default"),
        )
        statistics = Step(
            id="statistics",
            tool="update_table_statistics",
            params=named,
            index=1,
            rationale="The planner of queries learns of the rows.",
            needs=("load",),
            when="${steps.load.output.rows_loaded} > 0",
        )
        warnings: tuple[str, ...] = ()
        if data.get("product") and data["product"] != inventory.server.product:
            warnings = (f"the archive was made on {data['product']}: the types may not fit",)
        return Draft((loading, statistics), warnings)

    def summarise(self, task: Task, results: Sequence[StepResult]) -> tuple[dict[str, Any], str]:
        output = next((r.output for r in results if r.tool == "load_archive" and r.output is not None), None) or {}
        loaded, there = int(output.get("rows_loaded") or 0), int(output.get("rows_left") or 0)
        done = sum(1 for result in results if result.status is StepStatus.DONE)
        text = f"{loaded:,} row(s) were loaded" + (f", {there:,} were there already" if there else "")
        if output.get("uncounted_batches"):
            text = f"At least {text}, or had been loaded right before the process was killed"
        data = {"actions_count": done, "tables_processed": int(bool(output)), "rows_loaded": loaded, "rows_left": there}
        return data, f"{text}."
