"""The options of an agent that did not come with aishell, made from its `inputs`: what JSON Schema says of each key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

#: Before the name under which click hands a value on: an input may be called like an option of every agent.
_OWN = "input_"


def options(inputs: Mapping[str, Mapping[str, Any]], taken: set[str]) -> list[click.Option]:
    """An option for each input whose values fit into one; `taken` are those there are already. The others are for `--set`."""
    made = (_option(name, rule) for name, rule in inputs.items() if _flag(name) not in taken)
    return [option for option in made if option is not None]


def given(options: dict[str, Any]) -> dict[str, Any]:
    """The inputs that were given by such options, which are taken out of `options`."""
    found = {name: options.pop(name) for name in list(options) if name.startswith(_OWN)}
    return {
        name.removeprefix(_OWN): list(value) if isinstance(value, tuple) else value
        for name, value in found.items()
        if value not in (None, ())
    }


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _option(name: str, rule: Mapping[str, Any]) -> click.Option | None:
    flag, kind = _flag(name), rule.get("type")
    more: dict[str, Any] = {"help": rule.get("description"), "default": None}
    if kind == "boolean":
        return click.Option([f"{flag}/--no-{name.replace('_', '-')}", _OWN + name], **more)
    if kind == "array":
        kind, more = (rule.get("items") or {}).get("type", "string"), {**more, "multiple": True}
    choices = rule.get("enum")
    if choices and all(isinstance(choice, str) for choice in choices):
        return click.Option([flag, _OWN + name], type=click.Choice(choices), **more)
    if choices or kind not in ("integer", "number", "string"):
        return None
    return click.Option([flag, _OWN + name], type=_type(str(kind), rule.get("minimum"), rule.get("maximum")), **more)


def _type(kind: str, least: Any, most: Any) -> click.ParamType[Any]:
    if kind == "string":
        return click.STRING
    return click.IntRange(least, most) if kind == "integer" else click.FloatRange(least, most)
