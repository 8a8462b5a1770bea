"""The archive_load agent: the rows of an archive back into a table (`aishell archives load`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from aishell.agents.base import Agent, Draft, Question
from aishell.errors import ParameterError, UnknownNameError
from aishell.models import AgentConfig, Evidence, Inventory, Step, StepResult, StepStatus, Table, Task
from aishell.planning.estimates import estimate
from aishell.planning.variables import escaped
from aishell.settings_schemas import MOST_BYTES, whole

LOADS, RESTORES = "load_archive", "restore_references"


class ArchiveLoadAgent(Agent):
    """One archive into one table, which may be another than the one it came from; or, with the rows of other tables that went
    with them, into the tables that they came from.
    """

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
        "parts": {"type": "array", "items": {"type": "object"}},
    }

    def tables(self, task: Task) -> Sequence[str]:
        return list(dict.fromkeys(_name(part) for part in _parts(task))) or [task.input_data["table"]]

    def questions(self, task: Task, inventory: Inventory) -> Sequence[Question]:
        return [
            Question(
                f"columns of {t.schema}.{t.table}", "inspect_archive_columns", {"schema": t.schema, "table": t.table}
            )
            for t in inventory.tables
        ]

    def draft(self, task: Task, inventory: Inventory) -> Draft:
        data = task.input_data
        steps: list[Step] = []
        for part in _parts(task) or [_alone(data, inventory)]:
            steps += self._loading(data, part, inventory, steps)
        warnings: list[str] = []
        if data.get("product") and data["product"] != inventory.server.product:
            warnings.append(f"the archive was made on {data['product']}: the types may not fit")
        if data.get("parts") and not _parts(task):
            others = dict.fromkeys(_name(part) for part in data["parts"] if part["part"])
            warnings.append(f"what the archive has of {', '.join(others)} is not loaded: --table names another table")
        return Draft(tuple(steps), tuple(warnings))

    def _loading(
        self, data: Mapping[str, Any], part: Mapping[str, Any], inventory: Inventory, before: Sequence[Step]
    ) -> list[Step]:
        """The steps for one part. Raises UnknownNameError for a column that its table does not have."""
        where, restores = _name(part), bool(part.get("restores"))
        forms = {row["column"]: row for row in inventory.answers[f"columns of {where}"]["columns"]}
        for column in part["columns"]:
            if column["column"] not in forms:
                raise UnknownNameError("column", column["column"], forms, f"{where}: the archive has it")
        number = f"_{len(before) // 2 + 1}" if before else ""
        named = {"schema": escaped(part["schema"]), "table": escaped(part["table"])}
        columns = [_escaped(column) for column in part["columns"]]
        told = (
            f"{part['rows']:,} rows of {where} get back what they held, unless they hold something else meanwhile."
            if restores
            else f"The {part['rows']:,} rows of the archive go back into {where}; what is there already stays."
        )
        loading = Step(
            id=f"{'restore' if restores else 'load'}{number}",
            tool=RESTORES if restores else LOADS,
            params={
                **named,
                "archive": escaped(data["archive"]),
                **({"part": part["part"]} if part["part"] else {}),
                "columns": columns,
            },
            index=len(before),
            rationale=told,
            needs=tuple(step.id for step in before if step.tool in (LOADS, RESTORES)),
            evidence=(Evidence("rows", part["rows"], "the archive's manifest", inventory.measured_at),),
            estimate=estimate(inventory, RESTORES if restores else LOADS, where, part["rows"], unit="rows"),
        )
        statistics = Step(
            id=f"statistics{number}",
            tool="update_table_statistics",
            params=named,
            index=len(before) + 1,
            rationale="The planner of queries learns of the rows.",
            needs=(loading.id,),
            when=f"${{steps.{loading.id}.output.rows_loaded}} > 0",
        )
        return [loading, statistics]

    def summarise(self, task: Task, results: Sequence[StepResult]) -> tuple[dict[str, Any], str]:
        ended = [result for result in results if result.output is not None]
        outputs = [result.output or {} for result in ended if result.tool == LOADS]
        loaded, there = (sum(int(o.get(name) or 0) for o in outputs) for name in ("rows_loaded", "rows_left"))
        restored = sum(int((r.output or {}).get("rows_loaded") or 0) for r in ended if r.tool == RESTORES)
        done = sum(1 for result in results if result.status is StepStatus.DONE)
        text = f"{loaded:,} row(s) were loaded" + (f", {there:,} were there already" if there else "")
        if any(one.get("uncounted_batches") for one in outputs):
            text = f"At least {text}, or had been loaded right before the process was killed"
        data = {
            "actions_count": done,
            "tables_processed": len({_name(r.params) for r in ended if r.tool in (LOADS, RESTORES)}),
            "rows_loaded": loaded,
            "rows_left": there,
        }
        if any(r.tool == RESTORES for r in ended):
            data["rows_restored"] = restored
            text += f"; {restored:,} got back what they referred to"
        return data, f"{text}."


def _parts(task: Task) -> list[Mapping[str, Any]]:
    """What is loaded besides one table; nothing where the rows go into another one than their own."""
    data = task.input_data
    parts = data.get("parts") or []
    own = next((_name(part) for part in parts if part["part"] == 0), None)
    return list(parts) if own == data["table"] else []


def _alone(data: Mapping[str, Any], inventory: Inventory) -> dict[str, Any]:
    """The one table of an archive without others. Raises ParameterError where its name fits several."""
    if len(inventory.tables) != 1:
        raise ParameterError(f"{data['table']!r} names {len(inventory.tables)} tables", hint="name one with --table")
    table: Table = inventory.tables[0]
    named = {"schema": table.schema, "table": table.table}
    return {"part": 0, **named, "columns": data["columns"], "rows": data["rows"]}


def _escaped(column: Mapping[str, Any]) -> dict[str, Any]:
    texts = {name: escaped(value) for name, value in column.items() if isinstance(value, str) and name != "type"}
    return {**column, **texts}


def _name(part: Mapping[str, Any]) -> str:
    return f"{part['schema']}.{part['table']}"
