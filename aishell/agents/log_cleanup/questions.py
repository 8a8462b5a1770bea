"""The questions of the log_cleanup agent to a database, and its tables from the answers. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from aishell.agents.base import Question, is_excluded
from aishell.agents.log_cleanup import ages, partitions, relatives
from aishell.agents.log_cleanup.dates import Cutoff
from aishell.agents.log_cleanup.delete_strategy import ALONG
from aishell.agents.log_cleanup.retention_rules import RetentionRule, rule_of, rules_of
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
from aishell.models import Inventory, LeftOut, Row, Table, Task
from aishell.planning.privileges import Privileges, privileges_of

#: The privileges for reading the age of a table's rows; without them no question is asked about the table.
READ = ("SELECT",)
#: Only for SQLite: elsewhere a walk along the table is as fast in any order of its rows.
SAMPLE = "sample_log_order"
#: The share of sampled rows in the order of their dates from which a table counts as ordered, and the most rows of one date,
#: by which a batch that ends after a date may be too large.
IN_ORDER, SAME_DATE = 0.97, 1000


def questions(task: Task, inventory: Inventory) -> list[Question]:
    """Return the questions about the tables: catalog facts and cut-offs, then ages, then what depends on old rows.

    A round of questions is added once those before it are answered.
    """
    rounds, asked = _Rounds(task, inventory), list[Question]()
    for round_ in (rounds.rules, rounds.ages, rounds.order, rounds.leaves, rounds.old_rows):
        asked += round_()
        if not all(question.name in inventory.answers for question in asked):
            break
    return asked


class _Rounds:
    """The questions in rounds; those of a round need the same answers."""

    def __init__(self, task: Task, inventory: Inventory) -> None:
        self.task, self.inventory, self.limited = task, inventory, "max_rows" in task.input_data

    @cached_property
    def chosen(self) -> list[LogTable]:
        return divided(self.task, self.inventory)[0]

    @cached_property
    def aged(self) -> list[LogTable]:
        return aged_tables(self.chosen, self.inventory)

    def rules(self) -> Iterator[Question]:
        named = [{"schema": t.schema, "table": t.table} for t in self.inventory.tables]
        yield Question("tables", "inspect_log_tables", {"tables": named})
        for days in sorted({rule.retention_days for rule in rules_of(self.task)}):
            yield Question(f"cutoff {days}", "compute_cutoff", {"retention_days": days})

    def ages(self) -> Iterator[Question]:
        return map(_age_of, self.chosen)

    def order(self) -> Iterator[Question]:
        yield from (_order_of(log) for log in self.aged if _can_be_sampled(log, self.inventory))
        yield from filter(None, (partitions.question(log, self.inventory) for log in self.aged))

    def leaves(self) -> Iterator[Question]:
        """Yield questions about the tables in which rows are deleted, and about those whose rows are archived with them."""
        leaves = [leaf for log in self.aged for leaf in leaves_of(log, self.inventory, limited=self.limited)]
        yield from (_age_of(leaf) for leaf in leaves if leaf not in self.aged)
        for leaf in leaves:
            if leaf.rule.archive:
                yield Question(f"columns of {leaf.name}", "inspect_archive_columns", names_of(leaf))
        for log in self.aged:
            if log.rule.archive:
                yield from relatives.questions(log, self.inventory)

    def old_rows(self) -> Iterator[Question]:
        leaves = [leaf for log in self.aged for leaf in aged_leaves(log, self.inventory, limited=self.limited)]
        for along in (along for leaf in leaves if leaf.has_old for along in alongs(leaf)):
            yield from along.questions()
        for leaf in leaves:
            yield from ages.questions(leaf, self.inventory)


def divided(task: Task, inventory: Inventory) -> tuple[list[LogTable], list[LeftOut]]:
    """Return the task's tables with their date columns, and those left out since the role may not read them or dependent rows."""
    rules = rules_of(task)
    ruled = {table.key: (table, rule) for table in inventory.tables if (rule := rule_of(table, rules)) is not None}
    # A partition is cleaned up with its table.
    excluded = task.input_data.get("exclude") or ()
    for row in answers_of(inventory).get("parents", []):
        part, above = (row["schema"], row["table"]), (row["parent_schema"], row["parent_table"])
        if above in ruled or is_excluded(*above, excluded):
            ruled.pop(part, None)
    role = privileges_of(inventory)
    found = [_readable(table, rule, inventory, role) for table, rule in ruled.values()]
    return [one for one in found if isinstance(one, LogTable)], [one for one in found if isinstance(one, LeftOut)]


def _readable(table: Table, rule: RetentionRule, inventory: Inventory, role: Privileges) -> LogTable | LeftOut:
    """Return the table with its date column, if the role may read it and all dependent rows; else why not."""
    if (closed := role.refused("delete", ALONG, table.key, READ)) is not None:
        return closed
    log = choose(table, rule, answers_of(inventory), inventory.server.engine)
    others = (role.refused("delete", ALONG, (c["child_schema"], c["child_table"]), READ) for c in log.cascading)
    if (closed := next(filter(None, others), None)) is None:
        return log
    why = f"rows of {closed.object} go or change with its own, and {closed.reason}"
    return replace(closed, object=log.name, reason=why)


def aged_tables(chosen: Sequence[LogTable], inventory: Inventory) -> list[LogTable]:
    """Return the tables with their ages, referencing tables first."""
    found = []
    for log in chosen:
        answer = inventory.answers[f"cutoff {log.rule.retention_days}"]["cutoff"][0]
        cutoff = Cutoff(answer["utc"], answer["local"], answer["zone"], answer["now"])
        with_age = aged(log, inventory.answers[f"age of {log.name}"], cutoff, inventory.server.engine)
        order = inventory.answers.get(_order_of(log).name)
        found.append(replace(with_age, in_order=_is_in_order(order["order"][0])) if order else with_age)
    return sorted_by_references(found)


def leaves_of(log: LogTable, inventory: Inventory, *, limited: bool) -> list[LogTable]:
    """Return the tables in which a table's old rows are deleted: itself, or its partitions that are not dropped."""
    tables = partitions.decide(log, inventory, limited=limited).tables
    return [log] if tables is None else [replace(log, table=table, oldest=None, newest=None) for table in tables]


def aged_leaves(log: LogTable, inventory: Inventory, *, limited: bool) -> list[LogTable]:
    """Return the tables of `leaves_of` with their ages."""
    assert log.cutoff is not None  # noqa: S101  aged_tables sets it
    engine, answers = inventory.server.engine, inventory.answers
    return [
        ages.measured(aged(leaf, answers[_age_of(leaf).name], log.cutoff, engine), inventory)
        for leaf in leaves_of(log, inventory, limited=limited)
    ]


@dataclass(frozen=True)
class Along:
    """A table whose rows are deleted or changed with the old ones. `goes`: how many are deleted; None if all or none are."""

    name: str
    rows: Question
    goes: Question | None
    changes: bool  # without `goes`: whether all are changed

    def questions(self) -> Iterator[Question]:
        yield self.rows
        if self.goes is not None:
            yield self.goes


def alongs(log: LogTable) -> Iterator[Along]:
    """Yield the tables that reference a log table, each once, whichever foreign keys they have.

    Raises ParameterError if the deletion would be too slow for lack of an index.
    """
    for name in dict.fromkeys(map(child_name, log.cascading)):
        children = [child for child in log.cascading if child_name(child) == name]
        cascading = [child for child in children if child["on_delete"] == "cascade"]
        both = 0 < len(cascading) < len(children)
        goes = _referring(log, cascading) if both else None
        yield Along(name, _referring(log, children), goes, changes=not cascading)


def _referring(log: LogTable, children: Sequence[Row]) -> Question:
    """Return the question of how many rows of one table reference the old ones by any of these foreign keys."""
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


def names_of(log: LogTable) -> dict[str, str]:
    """Return the parameters that name a table."""
    return {"schema": log.table.schema, "table": log.table.table}
