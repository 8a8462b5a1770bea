"""Check a language model's choice of steps before anything else sees it. Pure.

A model keeps steps of the agent's own draft by their ids, and adds calls of offered tools on tables of the inventory. It
writes no SQL, no free text that reaches a tool, no reference, no risk and no approval: the answer has no place for them,
and an answer with any further field is rejected as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aishell.errors import AishellError, ModelAnswerError
from aishell.models import Evidence, Inventory, Params, Risk, Step, Table
from aishell.planning.estimates import estimate
from aishell.planning.leaving_out import by_ids, referenced
from aishell.planning.variables import blanked, escaped, named_tables, resolve
from aishell.registry.schemas import check_schema
from aishell.registry.tool import Parameter, Tool

#: Parameter types that a model may fill in besides table names. No text of its own reaches a tool.
FILLED = frozenset({"integer", "number", "boolean", "keyword"})
#: The most steps of a plan that a person would still read.
MOST_STEPS = 100
#: Characters of a step's reason, and of the summary.
LONGEST_REASON, LONGEST_SUMMARY = 300, 1000
_NAME = {"type": "string", "minLength": 1, "maxLength": 200}
_TABLE = {
    "type": "object",
    "properties": {"schema": _NAME, "table": _NAME},
    "required": ["schema", "table"],
    "additionalProperties": False,
}
_WHY = {"type": "string", "maxLength": LONGEST_REASON}


@dataclass(frozen=True)
class Proposal:
    """The steps of an answer, in its order, with the agent's steps that it cannot drop; and the ids of those it dropped."""

    steps: tuple[Step, ...]
    added: frozenset[str]
    dropped: tuple[str, ...]
    summary: str


def offered(tools: Iterable[Tool], capabilities: Collection[str], categories: Collection[str]) -> dict[str, Tool]:
    """Return the tools that a model may call, by name: they need nothing but tables, numbers, switches and keywords.

    Tools that delete rows, work on archives, run a program or Python, undo something, or are critical are never offered: a
    model can only keep steps with them that the agent planned.
    """
    return {
        tool.name: tool
        for tool in sorted(tools, key=lambda tool: tool.name)
        if tool.category in categories
        and tool.required_capabilities <= frozenset(capabilities)
        and tool.risk_level.rank < Risk.CRITICAL.rank
        and not (tool.deletes or tool.archives or tool.undoing or tool.way.calls)
        and all(_filled(one) for one in tool.parameters.values() if one.required)
    }


def _filled(parameter: Parameter) -> bool:
    names_table = parameter.type == "identifier_list" or (
        parameter.type == "identifier" and parameter.name in ("schema", "table")
    )
    return names_table or parameter.type in FILLED


def params_schema(tool: Tool) -> dict[str, Any]:
    """Return the schema of the parameters that a model may give to a tool."""
    taken = {one.name: one for one in tool.parameters.values() if _filled(one)}
    return {
        "type": "object",
        "properties": {
            name: {"type": "array", "items": _TABLE, "minItems": 1}
            if one.type == "identifier_list"
            else _NAME
            if one.type == "identifier"
            else one.schema
            for name, one in taken.items()
        },
        "required": [one.name for one in taken.values() if one.required],
        "additionalProperties": False,
    }


def answer_schema(kept: Sequence[str], tools: Mapping[str, Tool]) -> dict[str, Any]:
    """Return the JSON Schema of an answer: the steps to keep, by their ids, and the calls to add."""
    forms: list[dict[str, Any]] = [_object({"tool": {"const": name}, "params": params_schema(tool)}, "tool", "params")
                                   for name, tool in tools.items()]  # fmt: skip
    if kept:
        forms.insert(0, _object({"keep": {"enum": list(kept)}}, "keep"))
    return {
        "type": "object",
        "properties": {
            "steps": {"type": "array", "items": {"anyOf": forms}, "maxItems": MOST_STEPS},
            "summary": {"type": "string", "maxLength": LONGEST_SUMMARY},
        },
        "required": ["steps", "summary"],
        "additionalProperties": False,
    }


def _object(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {**properties, "why": _WHY},
        "required": [*required, "why"],
        "additionalProperties": False,
    }


def accept(
    answer: Any,
    draft: Sequence[Step],
    shown: Collection[str],
    tools: Mapping[str, Tool],
    inventory: Inventory,
    join: Callable[[Step], Step] = lambda step: step,
) -> Proposal:
    """Return the steps that follow from an answer.

    `draft`: the agent's own steps; `shown`: the ids of those that the model saw; `join` gives an added step the dependencies
    of the agent's own. Steps that the model did not see, that always run, or that a kept step needs are kept.
    Raises ModelAnswerError, which names the place and what would be valid.
    """
    choice = _Choice({step.id: step for step in draft}, shown, join)
    tables = {table.key: table for table in inventory.tables}
    for number, item in enumerate(_items(answer)):
        where = f"steps[{number}]"
        if "keep" in item:
            choice.keep(item, where)
        else:
            choice.add(_call(item, tools, tables, inventory, where), where)
    steps, gone = choice.completed()
    return Proposal(steps, frozenset(choice.added), gone, str(answer["summary"]))


class _Choice:
    """The steps that an answer chose so far, by their ids. `own`: the steps of the agent's draft."""

    def __init__(self, own: Mapping[str, Step], shown: Collection[str], join: Callable[[Step], Step]) -> None:
        self.own, self.shown, self.join = own, shown, join
        self.chosen: dict[str, Step] = {}
        self.added: set[str] = set()

    def keep(self, item: Mapping[str, Any], where: str) -> None:
        """Keep a step of the draft."""
        _check(item, _object({"keep": {"type": "string"}}, "keep"), where)
        if item["keep"] not in self.own or item["keep"] not in self.shown:
            known = ", ".join(sorted(self.shown))
            raise ModelAnswerError(f"{where}: there is no step {item['keep']!r} to keep; there are {known}")
        self._put(replace(self.own[item["keep"]], proposed=item["why"]), where)

    def add(self, call: Step, where: str) -> None:
        """Add a call of a tool, or the draft's step with the same call, which also has evidence and dependencies."""
        same = next((step for step in self.own.values() if _calls_alike(step, call)), None)
        if same is not None:
            self._put(replace(same, proposed=call.proposed), where)
            return
        step = self.join(replace(call, id=_free_id(call, {*self.own, *self.chosen})))
        self._put(step, where)
        self.added.add(step.id)

    def _put(self, step: Step, where: str) -> None:
        again = any(_calls_alike(self.chosen[name], step) for name in self.added)
        if again or step.id in self.chosen:
            raise ModelAnswerError(f"{where}: the step {step.id!r} is there twice")
        self.chosen[step.id] = step

    def completed(self) -> tuple[tuple[Step, ...], tuple[str, ...]]:
        """Return the steps in order, with those that cannot be dropped; and the ids of dropped steps."""
        ids = list(self.own)
        whole = (*self.own.values(), *(self.chosen[name] for name in self.added))
        # Steps that always run do not need dropped steps, unless they reference them.
        needed = {step.id: {*(() if step.always else step.needs), *referenced(step, ids)} for step in whole}
        for step in self.own.values():
            if step.always or step.id not in self.shown:
                self.chosen.setdefault(step.id, step)
        _close(self.chosen, self.own, needed)
        gone = [one for one in ids if one not in self.chosen]
        steps = [by_ids(step, ids, gone) for step in _ordered(self.chosen, needed)]
        last = tuple(sorted(self.added))
        return tuple(replace(step, needs=(*step.needs, *last)) if step.always else step for step in steps), tuple(gone)


def _items(answer: Any) -> Sequence[Mapping[str, Any]]:
    """Return the steps of a well-formed answer. The fields of each step are checked later, so that errors are exact."""
    form = {
        "type": "object",
        "properties": {
            "steps": {"type": "array", "items": {"type": "object"}, "maxItems": MOST_STEPS},
            "summary": {"type": "string", "maxLength": LONGEST_SUMMARY},
        },
        "required": ["steps", "summary"],
        "additionalProperties": False,
    }
    _check(answer, form, "the answer")
    items: Sequence[Mapping[str, Any]] = answer["steps"]
    return items


def _check(value: Any, schema: Mapping[str, Any], where: str) -> None:
    try:
        check_schema(value, schema, where)
    except AishellError as error:
        raise ModelAnswerError(error.message) from error


def _call(
    item: Mapping[str, Any],
    tools: Mapping[str, Tool],
    tables: Mapping[tuple[str, str], Table],
    inventory: Inventory,
    where: str,
) -> Step:
    """Return a call of a tool on tables that exist."""
    _check(item, _object({"tool": {"type": "string"}, "params": {"type": "object"}}, "tool", "params"), where)
    tool = tools.get(item["tool"])
    if tool is None:
        raise ModelAnswerError(f"{where}: there is no tool {item['tool']!r} to add; there are {', '.join(tools)}")
    given = item["params"]
    _check(given, params_schema(tool), f"{where}.params")
    named = [(one["schema"], one["table"]) for one in given.get("tables") or ()]
    if given.get("table") is not None:
        named.append((given.get("schema") or "", given["table"]))
    for key in named:
        if key not in tables:
            raise ModelAnswerError(f"{where}.params: there is no table {'.'.join(key)!r} among the tables of this task")
    if given.get("table") is None and given.get("schema") not in {None, *(schema for schema, _ in tables)}:
        raise ModelAnswerError(f"{where}.params: there is no schema {given['schema']!r} among the tables of this task")
    params = _escaped(given)
    try:
        tool.prepare(resolve(params, lambda reference: None))
    except AishellError as error:
        raise ModelAnswerError(f"{where}.params: {error.message}") from error
    sizes = [(tables[key].bytes or 0) + (tables[key].index_bytes or 0) for key in named]
    label = ".".join(named[0]) if len(named) == 1 else ""
    return Step(
        id="",
        tool=tool.name,
        params=params,
        rationale=tool.description.partition("\n")[0].split(". ")[0].rstrip(".") + ".",
        evidence=tuple(_evidence(tables[key], inventory) for key in named[:5]),
        on_error="continue",
        estimate=estimate(inventory, tool.name, label, sum(sizes) if sizes else None),
        proposed=item["why"],
    )


def _escaped(params: Params) -> dict[str, Any]:
    """Return names as literal values: `${…}` in a name is not a reference."""

    def own(value: Any) -> Any:
        if isinstance(value, str):
            return escaped(value)
        if isinstance(value, Mapping):
            return {key: own(item) for key, item in value.items()}
        return [own(item) for item in value] if isinstance(value, list) else value

    return {name: own(value) for name, value in params.items()}


def _evidence(table: Table, inventory: Inventory) -> Evidence:
    """Return what inspection found about a table of a call."""
    metric = f"fragmentation_percent of {table.schema}.{table.table}"
    method = table.fragmentation_method or "not measured"
    return Evidence(metric, table.fragmentation_percent, method, inventory.measured_at, None, table.withheld)


def _calls_alike(one: Step, other: Step) -> bool:
    """Return whether two steps call one tool on the same tables."""
    return one.tool == other.tool and _objects(one) == _objects(other)


def _objects(step: Step) -> tuple[Any, ...]:
    params = blanked(step.params)
    return (params.get("schema"), params.get("table"), sorted(named_tables(params)))


def _free_id(step: Step, taken: Collection[str]) -> str:
    params = blanked(step.params)
    words = "".join(c if c.isascii() and c.isalnum() else "_" for c in str(params.get("table") or "").lower())[:30]
    base = f"{step.tool}_{words}".rstrip("_") if words else step.tool
    names = (base, *(f"{base}_{number}" for number in range(2, MOST_STEPS + 2)))
    return next(name for name in names if name not in taken)


def _close(chosen: dict[str, Step], own: Mapping[str, Step], needed: Mapping[str, set[str]]) -> None:
    """Add the steps that chosen steps need, directly or indirectly."""
    waiting = list(chosen)
    while waiting:
        needs = needed.get(waiting.pop(), ())
        for step in own.values():  # in the order of the draft
            if step.id in needs and step.id not in chosen:
                chosen[step.id] = step
                waiting.append(step.id)


def _ordered(chosen: Mapping[str, Step], needed: Mapping[str, set[str]]) -> list[Step]:
    """Return the steps in the order of the answer, each after the steps that it needs."""
    done: dict[str, Step] = {}

    def put(step: Step) -> None:
        if step.id in done:
            return
        for need in sorted(needed.get(step.id, set()), key=list(chosen).index):
            put(chosen[need])
        done[step.id] = step

    for step in sorted(chosen.values(), key=lambda step: step.always):  # the report comes last
        put(step)
    return list(done.values())
