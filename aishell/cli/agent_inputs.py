"""The command-line options of an agent, made from the schemas of its `inputs` and from `Agent.options`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import click

from aishell.agents.base import COMMON_INPUTS, Agent, Option
from aishell.errors import UnknownNameError, UsageError

#: Prefix of the parameter names of inputs, since an input may share its name with an option of every agent.
_OWN = "input_"
#: The operators of a condition, longest first.
_SIGNS = ("!=", "<=", ">=", "=", "<", ">")
#: A greater maximum than this is not shown in `--help`; the schema still applies.
_MAX_SHOWN = 1 << 31


def options(agent: Agent, taken: set[str]) -> list[click.Option]:
    """An option for each input whose values fit into one, except for flags already `taken`. `--set` gives the others."""
    made = (
        _option(name, rule, agent.options.get(name, Option()))
        for name, rule in {**agent.inputs, **COMMON_INPUTS}.items()
    )
    return [option for option in made if option is not None and not taken & set(option.opts)]


def given(agent: Agent, options: dict[str, Any], pairs: Mapping[str, Any]) -> dict[str, Any]:
    """The agent's inputs. Its own options, which are removed from `options`, take precedence over the `pairs` of `--set`."""
    found = {name.removeprefix(_OWN): options.pop(name) for name in list(options) if name.startswith(_OWN)}
    inputs = dict(pairs)
    for name, value in found.items():
        if value is None or value == ():
            continue
        option = agent.options.get(name, Option())
        if option.reads == "assignments":
            from aishell.cli.common import assigned

            inputs[name] = assigned(str(option.flag), value)
        elif option.reads == "conditions":
            inputs[name] = [*inputs.get(name, ()), *map(condition, value)]
        else:
            inputs[name] = list(value) if isinstance(value, tuple) else value
        inputs |= option.implies
    return inputs


class _OneOf(click.Choice[str]):
    """A choice of words whose error names the nearest one. `title`: the noun for such a word."""

    def __init__(self, choices: Collection[str], title: str) -> None:
        super().__init__(list(choices))
        self.title = title

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in self.choices:
            raise UnknownNameError(self.title, str(value), filter(None, self.choices))
        return str(value)


def _option(name: str, rule: Mapping[str, Any], how: Option) -> click.Option | None:
    """The option of an input, or None if its values do not fit into one."""
    flag = f"--{name.replace('_', '-')}" if how.flag is None else how.flag
    kind = rule.get("type")
    made: dict[str, Any] = {"help": rule.get("description"), "default": None}
    if how.reads:
        return click.Option([flag, _OWN + name], **made, metavar=how.metavar, multiple=True)
    if kind == "boolean" and flag:
        if how.flag is not None and "/" not in flag:
            return click.Option([flag, _OWN + name], **made, is_flag=True, flag_value=True)
        return click.Option([flag if how.flag else f"{flag}/--no-{flag[2:]}", _OWN + name], **made)
    if kind == "array":
        kind, made = (rule.get("items") or {}).get("type", "string"), {**made, "multiple": True}
    choices = rule.get("enum")
    if not flag or (not all(isinstance(word, str) for word in choices) if choices else kind not in _TYPES):
        return None
    values = _OneOf(choices, rule.get("title", name)) if choices else _TYPES[kind](*_range(rule))
    return click.Option([flag, _OWN + name], **made, metavar=how.metavar, type=values)


def _range(rule: Mapping[str, Any]) -> Iterator[Any]:
    """The minimum and the maximum to show, or None."""
    yield rule.get("minimum")
    yield rule["maximum"] if rule.get("maximum", _MAX_SHOWN) < _MAX_SHOWN else None


_TYPES: Mapping[Any, Any] = {
    "string": lambda least, most: click.STRING,
    "integer": click.IntRange,
    "number": click.FloatRange,
}


def condition(text: str) -> dict[str, Any]:
    """`level=debug` as a filter; `column=null` is `is null`. Raises UsageError for a text without an operator."""
    from aishell.settings.yamlfile import parse

    places = [(text.index(sign), -len(sign), sign) for sign in _SIGNS if sign in text]
    if not places or min(places)[0] == 0:
        raise UsageError(f"--where {text!r} is not a condition", hint="write COLUMN=VALUE, e.g. --where level=debug")
    at, _, sign = min(places)
    column, value = text[:at].strip(), parse(text[at + len(sign) :], "--where").data
    if value is None:
        return {"column": column, "operator": {"=": "is null", "!=": "is not null"}.get(sign, sign)}
    written = text[at + len(sign) :].strip()
    if isinstance(value, (int, float)) and not isinstance(value, bool) and str(value) != written:
        value = written  # YAML reads 007 and 12:30 as numbers; the column may hold text
    if isinstance(value, list):
        return {"column": column, "operator": {"=": "in", "!=": "not in"}.get(sign, sign), "value": value}
    return {"column": column, "operator": sign, "value": value}
