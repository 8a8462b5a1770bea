"""The archive_load agent: load the rows of an archive into a table (`aishell archives load`)."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from aishell.agents.base import Agent, Draft, Question, defaults_of
from aishell.agents.summary import total
from aishell.errors import ParameterError, UnknownNameError
from aishell.models import AgentConfig, Evidence, Inventory, Step, StepResult, StepStatus, Table, Task
from aishell.planning.estimates import estimate
from aishell.planning.variables import escaped
from aishell.settings.schemas import MOST_BYTES, TEXT, whole

LOADS, RESTORES, INSPECT = "load_archive", "restore_references", "inspect_relatives"
#: Why rows of an archive are not loaded.
LEFT_OUT = "the clean-up left them in the table, or the archive has them twice"


class ArchiveLoadAgent(Agent):
    """One archive into one table, which may be another than the one it came from; or, with the rows of other tables that went
    with them, into the tables that they came from.
    """

    type: ClassVar[str] = "archive_load"
    vocabulary: ClassVar[str] = "aishell.agents.log_cleanup.words:LOAD"
    by_hand: ClassVar[bool] = True
    defaults: ClassVar[AgentConfig] = defaults_of(
        "archive_load", "database_read database_write schema_analyze query_optimize", max_duration=3600
    )
    inputs: ClassVar[dict[str, dict[str, Any]]] = {
        "archive": TEXT,
        "table": TEXT,
        "columns": {"type": "array", "items": {"type": "object"}, "minItems": 1},
        "rows": whole(0, MOST_BYTES),
        "product": {"type": "string"},
        "parts": {"type": "array", "items": {"type": "object"}},
        "notes": {"type": "array", "items": {"type": "string"}},
    }

    def tables(self, task: Task) -> Sequence[str]:
        return list(dict.fromkeys(_name(part) for part in _parts(task))) or [task.input_data["table"]]

    def questions(self, task: Task, inventory: Inventory) -> Sequence[Question]:
        asked = ("columns", "inspect_archive_columns"), ("relatives", INSPECT)
        return [
            Question(f"{what} of {t.schema}.{t.table}", tool, {"schema": t.schema, "table": t.table})
            for t in inventory.tables
            for what, tool in asked
            if tool != INSPECT or (INSPECT in inventory.tools and _parts(task))
        ]

    def draft(self, task: Task, inventory: Inventory) -> Draft:
        data = task.input_data
        steps: list[Step] = []
        warnings: list[str] = []
        for part in _parts(task) or [_alone(data, inventory)]:
            for one in _in_order(part, inventory):
                steps += self._loading(data, one, inventory, steps)
                warnings += _set_off(one, inventory)
        if data.get("product") and data["product"] != inventory.server.product:
            warnings.append(f"the archive was made on {data['product']}, whose types may not fit")
        if data.get("parts") and not _parts(task):
            others = dict.fromkeys(_name(part) for part in data["parts"] if part["part"])
            warnings.append(f"what the archive has of {', '.join(others)} is not loaded: --table names another table")
        return Draft(tuple(steps), (*dict.fromkeys(warnings), *data.get("notes", ())))

    def _loading(
        self, data: Mapping[str, Any], part: Mapping[str, Any], inventory: Inventory, before: Sequence[Step]
    ) -> list[Step]:
        """Return the steps for one part. Raises UnknownNameError for a column that its table does not have."""
        where, restores = _name(part), bool(part.get("restores"))
        forms = {row["column"]: row for row in inventory.answers[f"columns of {where}"]["columns"]}
        for column in part["columns"]:
            if column["column"] not in forms:
                raise UnknownNameError("column", column["column"], forms, f"{where}: the archive has it")
        number = f"_{sum(step.tool in (LOADS, RESTORES) for step in before) + 1}" if before else ""
        named = {"schema": escaped(part["schema"]), "table": escaped(part["table"])}
        columns = [_escaped(column) for column in part["columns"]]
        rationale = (
            f"{part['rows']:,} rows of {where} get back what they held, unless it was changed meanwhile."
            if restores
            else f"The {part['rows']:,} rows of the archive go back into {where}; what is there already stays."
        )
        circle = part.get("circle_of")
        loading = Step(
            id=f"{'restore' if restores else 'load'}{number}",
            tool=RESTORES if restores else LOADS,
            params={
                **named,
                "archive": escaped(data["archive"]),
                **({"part": part["part"]} if part["part"] else {}),
                **({"more": part["more"]} if part.get("more") else {}),
                **({"within": part["within"]} if part.get("within") else {}),
                "columns": columns,
            },
            index=len(before),
            rationale="Rows that reference each other in a cycle get their references back." if circle else rationale,
            needs=tuple(step.id for step in before if step.tool in (LOADS, RESTORES)),
            when=None if not circle else f"${{steps.{_load_of(circle, before)}.output.rows_postponed}} > 0",
            evidence=(Evidence("rows", part["rows"], "the archive's manifest", inventory.measured_at),),
            estimate=estimate(inventory, RESTORES if restores else LOADS, where, part["rows"], unit="rows"),
        )
        statistics = Step(
            id=f"statistics{number}",
            tool="update_table_statistics",
            params=named,
            index=len(before) + 1,
            rationale="Refresh the query planner's statistics.",
            needs=(loading.id,),
            when=f"${{steps.{loading.id}.output.rows_loaded}} > 0",
        )
        return [loading] if circle else [loading, statistics]

    def summarise(self, task: Task, results: Sequence[StepResult]) -> tuple[dict[str, Any], str]:
        ended = [result for result in results if result.output is not None]
        loads = [result for result in ended if result.tool == LOADS]
        restores = [result for result in ended if result.tool == RESTORES]
        figures = ("rows_loaded", "rows_left", "rows_left_out", "rows_in_doubt")
        data = {
            "actions_count": sum(1 for result in results if result.status is StepStatus.DONE),
            "tables_processed": len({_name(result.params) for result in (*loads, *restores)}),
            **{name: total(loads, name) for name in figures},
        }
        if restores:
            data["rows_restored"] = total(restores, "rows_loaded")
        return data, _sentences(data, counted=not total(loads, "uncounted_batches"))


def _sentences(data: Mapping[str, int], *, counted: bool) -> str:
    text = f"{data['rows_loaded']:,} row(s) were loaded"
    if data["rows_left"]:
        text += f", {data['rows_left']:,} were there already"
    if not counted:
        text = f"At least {text}, or had been loaded right before the process was killed"
    if "rows_restored" in data:
        text += f"; {data['rows_restored']:,} got back what they referenced"
    if data["rows_left_out"]:
        text += f". {data['rows_left_out']:,} row(s) of the archive were left out: {LEFT_OUT}"
    if data["rows_in_doubt"]:
        text += f". For {data['rows_in_doubt']:,} row(s) there is no record of whether the clean-up deleted them"
    return f"{text}."


def _parts(task: Task) -> list[Mapping[str, Any]]:
    """Return the parts of the archive; none if its rows are loaded into a table other than their own."""
    data = task.input_data
    parts = data.get("parts") or []
    own = next((_name(part) for part in parts if part["part"] == 0), None)
    return list(parts) if own == data["table"] else []


def _in_order(part: Mapping[str, Any], inventory: Inventory) -> list[dict[str, Any]]:
    """Return what to do for a part, in order. If a table references itself, referenced rows are loaded first, and only rows in
    a cycle get their references back afterwards; references to other tables in a cycle are always restored afterwards.
    """
    later = part.get("later") or []
    within = _within(part, inventory) if later else []
    own = {column for one in within for column in one["nullable"]}
    if part.get("restores"):
        if not later:
            return [dict(part)]
        cycle = {"circle_of": (part["schema"], part["table"])}
        return [*_restoring(part, set(later) - own, {}), *_restoring(part, own, cycle)]
    columns = [column for column in part["columns"] if column["column"] in own or column["column"] not in later]
    return [{**part, "columns": columns, "within": [_escaped_names(one) for one in within]}]


def _restoring(part: Mapping[str, Any], names: Collection[str], more: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the part with only the changed columns in `names`; nothing if `names` is empty."""
    if names:
        columns = [c for c in part["columns"] if c["role"] != "changed" or c["column"] in names]
        yield {**part, "columns": columns, **more}


def _escaped_names(roles: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    return {role: [escaped(name) for name in names] for role, names in roles.items()}


def _within(part: Mapping[str, Any], inventory: Inventory) -> list[dict[str, list[str]]]:
    """Return a table's foreign keys to itself, except those that share a column with one to another table of the archive."""
    key = (part["schema"], part["table"])
    found = [
        (table.key, child)
        for table in inventory.tables
        for child in inventory.answers.get(f"relatives of {table.schema}.{table.table}", {}).get("children", ())
        if (child["child_schema"], child["child_table"]) == key
    ]
    shared = {column for parent, child in found if parent != key for column in json.loads(child["child_columns"])}
    own = [
        {
            "columns": (columns := json.loads(child["child_columns"])),
            "refers_to": json.loads(child["parent_columns"]),
            "nullable": [column for column in columns if column in part["later"]],
        }
        for parent, child in found
        if parent == key
    ]
    return [one for one in own if one["nullable"] and shared.isdisjoint(one["nullable"])]


def _set_off(part: Mapping[str, Any], inventory: Inventory) -> list[str]:
    """Return a warning with the triggers fired by an update of the part's rows, if any."""
    if not part.get("restores"):
        return []
    effects = inventory.answers.get(f"relatives of {_name(part)}", {}).get("effects", ())
    names = ", ".join(str(row["name"]) for row in effects if row["on_update"])
    circle = part.get("circle_of")
    which = "each row that refers to others in a circle" if circle else "each row that gets back what it held"
    return [f"{_name(part)}: {which} fires {names}"] if names else []


def _load_of(table: tuple[str, str], steps: Sequence[Step]) -> str:
    named = {"schema": escaped(table[0]), "table": escaped(table[1])}
    return next(step.id for step in steps if step.tool == LOADS and named.items() <= step.params.items())


def _alone(data: Mapping[str, Any], inventory: Inventory) -> dict[str, Any]:
    """Return the only table of an archive. Raises ParameterError if its name matches several."""
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
