"""Find, check and resolve references such as `${steps.analyze.output.fragmentation_percent}`.

A value that is only a reference keeps its type; inside a longer text, a reference is interpolated; `$${` is a literal `${`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aishell.errors import PlanError, StepError

_REFERENCE = re.compile(r"\$(\$\{)|\$\{([^{}]*)\}")
_PART = re.compile(r"(?:^|\.)([A-Za-z_][\w-]*)|\[(\d+)\]")
ROOTS = ("task", "target", "run")
#: Roots that only workflows reference: an earlier stage's output, and the configuration of the stage's agent.
OF_WORKFLOWS = ("stage", "agent")


@dataclass(frozen=True)
class Reference:
    """A `path` of keys and list positions below a root: the output of a step or a stage, the task, the target or the run."""

    text: str
    step: str | int | None  # id, or index for `${step_0…}`; for a stage its name
    root: str
    path: tuple[str | int, ...]

    @property
    def told(self) -> str:
        """The value in words: `rows_deleted of delete_orders`."""
        name = ".".join(map(str, self.path))
        step = f"step {self.step}" if isinstance(self.step, int) else self.step
        return f"{name} of {step}" if step is not None else f"{name} of the {self.root}"


def parse(text: str) -> Reference:
    """Return the reference between `${` and `}`. Raises PlanError if it is not one."""
    parts: list[str | int] = []
    position = 0
    for match in _PART.finditer(text):
        if match.start() != position:
            break
        parts.append(match[1] if match[1] is not None else int(match[2]))
        position = match.end()
    if position != len(text) or not parts:
        raise PlanError(
            f"${{{text}}} is not a reference",
            hint="write e.g. ${steps.<id>.output.<field>} or ${task.input_data.tables}",
        )
    first = str(parts[0])
    if numbered := re.fullmatch(r"step_(\d+)", first):
        return _of_step(text, int(numbered[1]), parts[1:])
    if first == "steps":
        if len(parts) < 2:
            raise PlanError(f"${{{text}}} names no step")
        return _of_step(text, str(parts[1]), parts[2:])
    if first == "stages":
        return _of_stage(text, parts)
    if first not in (*ROOTS, "agent"):
        raise PlanError(
            f"${{{text}}}: unknown variable {first!r}", hint=f"known: steps.<id>, step_<n>, {', '.join(ROOTS)}"
        )
    return Reference(text, None, first, tuple(parts[1:]))


def _of_step(text: str, step: str | int, rest: list[str | int]) -> Reference:
    if not rest or rest[0] != "output":
        raise PlanError(f"${{{text}}} must name an output", hint="write ${steps.<id>.output.<field>}")
    return Reference(text, step, "output", tuple(rest[1:]))


def _of_stage(text: str, parts: list[str | int]) -> Reference:
    if len(parts) < 4 or parts[2] != "output":
        raise PlanError(f"${{{text}}} must name an output", hint="write ${stages.<name>.output.<field>}")
    return Reference(text, str(parts[1]), "stage", tuple(parts[3:]))


def escaped(text: str) -> str:
    """Return `text` as a literal value: a name from a database is never a reference."""
    return text.replace("${", "$${")


def references(value: Any) -> Iterator[Reference]:
    """Yield every reference in a value, including nested dicts and lists."""
    if isinstance(value, str):
        for match in _REFERENCE.finditer(value):
            if match[2] is not None:
                yield parse(match[2])
        if "${" in _REFERENCE.sub("", value):
            raise PlanError(
                f"{value!r} has an unclosed ${{", hint="close it with }, or write $${ for the characters themselves"
            )
    elif isinstance(value, (Mapping, list, tuple)):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from references(item)


def resolve(value: Any, lookup: Callable[[Reference], Any]) -> Any:
    """Return `value` with every reference replaced by what `lookup` finds."""
    return in_texts(value, lambda text: _resolve_text(text, lookup))


def blanked(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters as they will be, with None for every reference."""
    return {name: resolve(value, lambda reference: None) for name, value in params.items()}


def in_texts(value: Any, made: Callable[[str], Any]) -> Any:
    """Return `value` with `made` applied to every text in it, including nested dicts and lists."""
    if isinstance(value, str):
        return made(value)
    if isinstance(value, Mapping):
        return {key: in_texts(item, made) for key, item in value.items()}
    return [in_texts(item, made) for item in value] if isinstance(value, (list, tuple)) else value


def _resolve_text(text: str, lookup: Callable[[Reference], Any]) -> Any:
    whole = _REFERENCE.fullmatch(text)
    if whole and whole[2] is not None:
        return lookup(parse(whole[2]))

    def replaced(match: re.Match[str]) -> str:
        if match[1]:
            return "${"
        value = lookup(parse(match[2]))
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    return _REFERENCE.sub(replaced, text)


def worded(text: str) -> str:
    """Return a text, such as a condition, with its references in words."""
    return _REFERENCE.sub(lambda match: parse(match[2]).told if match[2] is not None else "${", text)


def walk(data: Any, reference: Reference) -> Any:
    """Return the value at a reference's path. Raises StepError, with the reference's text, if there is none."""
    for part in reference.path:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError) as error:
            raise StepError(f"${{{reference.text}}} has no value: {part!r} is not there") from error
    return data


def named_tables(params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the tables that a step's parameters name: `schema` and `table`, or a list of them under `tables`."""
    found = []
    if isinstance(params.get("schema"), str) and isinstance(params.get("table"), str):
        found.append((params["schema"], params["table"]))
    for item in params.get("tables") or ():
        if isinstance(item, Mapping) and "schema" in item and "table" in item:
            found.append((item["schema"], item["table"]))
    return found
