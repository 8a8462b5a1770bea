"""What the log_cleanup agent asks of a database, and its tables as the answers tell them. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from aishell.agents.base import Question, is_excluded
from aishell.agents.log_cleanup import ages, partitions, relatives
from aishell.agents.log_cleanup.dates import Cutoff
from aishell.agents.log_cleanup.delete_strategy import ALONG
from aishell.agents.log_cleanup.retention_rules import rule_of, rules_of
from aishell.agents.log_cleanup.tables import (
    LogTable,
    aged,
    answers_of,
    child_name,
    choose,
    references,
    sorted_by_references,
)
from aishell.errors import ParameterError
from aishell.models import Inventory, LeftOut, Row, Task
from aishell.planning.privileges import privileges_of

#: What it takes to know how old the rows of a table are; without it nothing is asked about one.
READ = ("SELECT",)
#: SQLite alone: elsewhere a walk along the table is as fast, in whatever order its rows lie.
SAMPLE = "sample_log_order"
#: A table lies in the order of its dates when so many of the sampled rows do; and a batch that ends behind a date takes no
#: more rows than it should by more than so many.
IN_ORDER, SAME_DATE = 0.97, 1000


def questions(task: Task, inventory: Inventory) -> list[Question]:
    """What is to be known of the tables: their catalog facts, the cut-offs, then their ages, then what depends on old rows."""
    named = [{"schema": t.schema, "table": t.table} for t in inventory.tables]
    asked = [Question("tables", "inspect_log_tables", {"tables": named})]
    asked += [
        Question(f"cutoff {days}", "compute_cutoff", {"retention_days": days})
        for days in sorted({rule.retention_days for rule in rules_of(task)})
    ]
    if "tables" not in inventory.answers:
        return asked
    chosen = chosen_tables(task, inventory)
    asked += [_age_of(log) for log in chosen]
    if not _answered(asked, inventory):
        return asked
    limited = "max_rows" in task.input_data
    aged = aged_tables(chosen, inventory)
    asked += [_order_of(log) for log in aged if _can_be_sampled(log, inventory)]
    asked += filter(None, (partitions.question(log, inventory) for log in aged))
    if not _answered(asked, inventory):
        return asked
    leaves = [leaf for log in aged for leaf in leaves_of(log, inventory, limited=limited)]
    asked += [_age_of(leaf) for leaf in leaves if leaf not in aged]
    asked += [
        Question(f"columns of {leaf.name}", "inspect_archive_columns", names_of(leaf))
        for leaf in leaves
        if leaf.rule.archive
    ]
    for log in aged:
        asked += relatives.questions(log, inventory) if log.rule.archive else ()
    if _answered(asked, inventory):
        with_age = [leaf for log in aged for leaf in aged_leaves(log, inventory, limited=limited)]
        asked += [one for leaf in with_age if leaf.has_old for along in alongs(leaf) for one in along.questions()]
        asked += [question for leaf in with_age for question in ages.questions(leaf, inventory)]
    return asked


def chosen_tables(task: Task, inventory: Inventory) -> list[LogTable]:
    """The tables of the task with their date columns, but for those that the role may not read."""
    return divided(task, inventory)[0]


def divided(task: Task, inventory: Inventory) -> tuple[list[LogTable], list[LeftOut]]:
    """The tables of the task with their date columns; and those that the role may not read, or not what goes with their rows."""
    rules = rules_of(task)
    ruled = {table.key: (table, rule) for table in inventory.tables if (rule := rule_of(table, rules)) is not None}
    # A partition is cleaned up with the table that it is a part of.
    excluded = task.input_data.get("exclude") or ()
    for row in answers_of(inventory).get("parents", []):
        part, above = (row["schema"], row["table"]), (row["parent_schema"], row["parent_table"])
        if above in ruled or is_excluded(*above, excluded):
            ruled.pop(part, None)
    role, chosen, left = privileges_of(inventory), list[LogTable](), list[LeftOut]()
    for table, rule in ruled.values():
        closed = role.refused("delete", ALONG, table.key, READ)
        if closed is None:
            log = choose(table, rule, answers_of(inventory), inventory.server.engine)
            others = (role.refused("delete", ALONG, (c["child_schema"], c["child_table"]), READ) for c in log.cascading)
            closed = next((_beside(one, log) for one in others if one is not None), None)
        if closed is None:
            chosen.append(log)
        else:
            left.append(closed)
    return chosen, left


def _beside(closed: LeftOut, log: LogTable) -> LeftOut:
    """A table that cannot be cleaned up since rows of another go or change with its own, and that one cannot be read."""
    return replace(
        closed, object=log.name, reason=f"rows of {closed.object} go or change with its own, and {closed.reason}"
    )


def aged_tables(chosen: Sequence[LogTable], inventory: Inventory) -> list[LogTable]:
    """The tables with their ages, those that refer to others first."""
    found = []
    for log in chosen:
        answer = inventory.answers[f"cutoff {log.rule.retention_days}"]["cutoff"][0]
        cutoff = Cutoff(answer["utc"], answer["local"], answer["zone"], answer["now"])
        with_age = aged(log, inventory.answers[f"age of {log.name}"], cutoff, inventory.server.engine)
        order = inventory.answers.get(_order_of(log).name)
        found.append(replace(with_age, in_order=_is_in_order(order["order"][0])) if order else with_age)
    return sorted_by_references(found)


def leaves_of(log: LogTable, inventory: Inventory, *, limited: bool) -> list[LogTable]:
    """The tables in which the old rows of a table are deleted: itself, or those of its partitions that stay."""
    tables = partitions.decide(log, inventory, limited=limited).tables
    return [log] if tables is None else [replace(log, table=table, oldest=None, newest=None) for table in tables]


def aged_leaves(log: LogTable, inventory: Inventory, *, limited: bool) -> list[LogTable]:
    """The same with their ages."""
    assert log.cutoff is not None  # noqa: S101  aged_tables sets it
    engine, answers = inventory.server.engine, inventory.answers
    return [
        ages.measured(aged(leaf, answers[_age_of(leaf).name], log.cutoff, engine), inventory)
        for leaf in leaves_of(log, inventory, limited=limited)
    ]


@dataclass(frozen=True)
class Along:
    """A table whose rows go or change with the old ones. `goes`: how many of them go; None where all of them do, or none does."""

    name: str
    rows: Question
    goes: Question | None
    changes: bool  # where there is nothing to ask: whether they are changed

    def questions(self) -> Iterator[Question]:
        yield self.rows
        if self.goes is not None:
            yield self.goes


def alongs(log: LogTable) -> Iterator[Along]:
    """The tables that refer to a log table, each once, by whichever of its foreign keys.

    Raises ParameterError where the database could not delete in time.
    """
    for name in dict.fromkeys(map(child_name, log.cascading)):
        children = [child for child in log.cascading if child_name(child) == name]
        cascading = [child for child in children if child["on_delete"] == "cascade"]
        both = 0 < len(cascading) < len(children)
        goes = _referring(log, cascading) if both else None
        yield Along(name, _referring(log, children), goes, changes=not cascading)


def _referring(log: LogTable, children: Sequence[Row]) -> Question:
    """How many rows of one table refer to the old ones by any of these foreign keys."""
    for child in children:
        if not child["indexed"]:
            raise ParameterError(
                f"{references(child)} references {log.name} without an index: every deleted row would scan all of it",
                hint="create an index first",
            )
    pairs = [
        list(zip(json.loads(child["child_columns"]), json.loads(child["parent_columns"]), strict=True))
        for child in children
    ]
    child = {"schema": children[0]["child_schema"], "table": children[0]["child_table"]}
    ours = dict.fromkeys(column for key in pairs for column, _ in key)
    params = {
        **names_of(log),
        "date_column": log.column,
        "cutoff": log.before,
        "filters": list(log.rule.filters),
        "child_schema": child["schema"],
        "child_table": child["table"],
        "relatives": {
            "tables": [{**child, "columns": [{"column": column, "form": "any"} for column in ours], "key": []}],
            "edges": [{"parent": 0, "child": 1, "pairs": [list(pair) for pair in key]} for key in pairs],
        },
    }
    by = ", ".join(str(child["name"]) for child in children)
    return Question(f"rows of {child_name(children[0])} by {by} of {log.name}", "count_referring_rows", params)


def _age_of(log: LogTable) -> Question:
    return Question(f"age of {log.name}", "measure_log_age", {**names_of(log), "date_column": log.column})


def _order_of(log: LogTable) -> Question:
    params = {**names_of(log), "date_column": log.column, "key": log.key[0] if log.key else log.column}
    return Question(f"order of {log.name}", SAMPLE, params)


def _can_be_sampled(log: LogTable, inventory: Inventory) -> bool:
    return SAMPLE in inventory.tools and log.indexed and len(log.key) == 1 and log.oldest is not None


def _is_in_order(row: Row) -> bool:
    return row["in_order"] is not None and row["in_order"] >= IN_ORDER and row["same_date"] <= SAME_DATE


def _answered(asked: Sequence[Question], inventory: Inventory) -> bool:
    return all(question.name in inventory.answers for question in asked)


def names_of(log: LogTable) -> dict[str, str]:
    """The parameters that name a table."""
    return {"schema": log.table.schema, "table": log.table.table}
