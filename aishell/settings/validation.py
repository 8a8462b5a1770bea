"""Validate values of a file against a JSON Schema: the first fault, its place, and what to write instead.

The keywords are those of JSON Schema in KEYWORDS, and more. `title` names a value in messages; `description` is the
hint for a text that does not match its `pattern`. `names`: a text names something that exists (a tool, a target); with
`glob` it matches at least one. `unique`: the keys that identify an item in a list without duplicates. `format`: one of
FORMATS. `secret`: the value is never shown. jsonschema knows neither lines nor the nearest word, and its import costs
more than a dry run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from aishell.errors import SettingsError, UnknownNameError
from aishell.settings.yamlfile import Document

Schema = Mapping[str, Any]
#: The existing names of each kind that `names` can give, looked up on demand.
Known = Mapping[str, Callable[[], Collection[str]]]

TYPES: Mapping[str, tuple[tuple[type, ...], str]] = {
    "object": ((dict,), "a mapping"),
    "array": ((list, tuple), "a list"),
    "string": ((str,), "a text"),
    "integer": ((int,), "a whole number"),
    "number": ((int, float), "a number"),
    "boolean": ((bool,), "true or false"),
    "null": ((type(None),), "nothing"),
}
#: Every keyword that is supported; a test compares the schemas with it.
KEYWORDS = frozenset(
    """type properties required additionalProperties items minItems unique enum minimum maximum exclusiveMinimum minLength
    pattern anyOf format names glob secret title description default""".split()
)


@dataclass(frozen=True)
class Fault:
    """What is wrong, and where: `at` is the path of keys and list positions."""

    at: tuple[object, ...]
    message: str
    hint: str


def check(document: Document, schema: Schema, known: Known | None = None) -> dict[str, Any]:
    """Return the mapping that a file holds, empty for an empty file.

    Raises SettingsError for its first fault. Names are looked up only if everything else is valid.
    """
    data = {} if document.data is None else document.data
    for there in ({}, known) if known else ({},):
        for fault in faults(data, schema, there):
            raise wrong(document, *fault.at, message=fault.message, hint=fault.hint)
    checked: dict[str, Any] = data
    return checked


def wrong(document: Document, *at: object, message: str, hint: str | None = None) -> SettingsError:
    """Return a SettingsError with the file and line of a place in the document."""
    return SettingsError(f"{document.path}:{document.line(*at)}: {message}", hint=hint)


def faults(value: Any, schema: Schema, known: Known, at: tuple[object, ...] = ()) -> Iterator[Fault]:
    """Yield every fault of a value, outermost first. A key without a value counts as absent."""
    fitting = next((option for option in schema.get("anyOf", (schema,)) if _is(value, option)), None)
    if fitting is None:
        yield _misfit(value, schema, at)
    elif "anyOf" in schema:
        yield from faults(value, fitting, known, at)
    elif "enum" in schema:
        if value not in schema["enum"]:
            yield _unknown(schema.get("title", f"value of {_name(at)}"), value, schema["enum"], at)
    else:
        judge = next((judge for kind, judge in _JUDGES.items() if isinstance(value, kind)), None)
        yield from judge(value, schema, known, at) if judge is not None else ()


def described(schema: Schema) -> str:
    """Return what the schema accepts, in words."""
    if "anyOf" in schema:
        return " or ".join(described(option) for option in schema["anyOf"])
    if "enum" in schema:
        return f"one of {', '.join(map(str, schema['enum']))}"
    words = " or ".join(TYPES[name][1] for name in _types(schema))
    low, high = schema.get("minimum", schema.get("exclusiveMinimum")), schema.get("maximum")
    if low is not None and high is not None:
        words += f" {'above' if 'exclusiveMinimum' in schema else 'from'} {low} to {high}"
    return words


def _types(schema: Schema) -> list[str]:
    given = schema.get("type", "string" if "enum" in schema else [])
    return [given] if isinstance(given, str) else list(given)


def _is(value: Any, schema: Schema) -> bool:
    """Whether a value has a type of the schema; true and false are not numbers."""
    kinds = _types(schema)
    return not kinds or any(
        isinstance(value, TYPES[kind][0]) and (not isinstance(value, bool) or kind == "boolean") for kind in kinds
    )


def _number(value: float, schema: Schema, known: Known, at: tuple[object, ...]) -> Iterator[Fault]:
    low, above, high = (schema.get(word) for word in ("minimum", "exclusiveMinimum", "maximum"))
    # `.nan` is in no range: every comparison with it is false.
    if not ((low is None or value >= low) and (above is None or value > above) and (high is None or value <= high)):
        yield Fault(at, f"{_name(at)} is out of range: {value!r}", f"write {described(schema)}")


def _mapping(value: Mapping[Any, Any], schema: Schema, known: Known, at: tuple[object, ...]) -> Iterator[Fault]:
    properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    for key, item in value.items():
        if key in properties:
            if item is not None:
                yield from faults(item, properties[key], known, (*at, key))
        elif others is False:
            yield _unknown("key", str(key), properties, (*at, key))
        elif others is not True:
            if "names" in schema:
                yield from _text(str(key), {"names": schema["names"]}, known, (*at, key))
            yield from faults(item, others, known, (*at, key))
    for key in schema.get("required", ()):
        if value.get(key) is None:
            what = schema.get("title") or (_name(at) if at else "this file")
            yield Fault(at, f"{what} needs the key `{key}`", f"write {key}: {described(properties[key])}")


def _list(value: Collection[Any], schema: Schema, known: Known, at: tuple[object, ...]) -> Iterator[Fault]:
    if len(value) < schema.get("minItems", 0):
        yield Fault(at, f"{_name(at)} is empty", "write what it is to hold, or leave the key out")
    items, unique = schema.get("items", {}), schema.get("unique")
    seen: dict[str, int] = {}
    for number, item in enumerate(value):
        yield from faults(item, items, known, (*at, number))
        if unique is not None:
            key = repr(item)
            if unique and isinstance(item, dict):
                key = repr([item.get(name, items["properties"][name].get("default")) for name in unique])
            if key in seen:
                place = f"{_name(at)}[{seen[key]}]"
                yield Fault((*at, number), f"{_name((*at, number))} repeats {place}", "write it once")
            seen.setdefault(key, number)


def _text(value: str, schema: Schema, known: Known, at: tuple[object, ...]) -> Iterator[Fault]:
    if len(value) < schema.get("minLength", 0):
        yield Fault(at, f"{_name(at)} is empty", "write a text, or leave the key out")
    elif "pattern" in schema and not re.fullmatch(schema["pattern"], value):
        shown = "" if schema.get("secret") else f" {value!r}"
        wanted = f"text that fits {schema['pattern']}"  # for a schema without a title
        message = f"{_name(at)}{shown} is not {schema.get('title', wanted)}"
        yield Fault(at, message, f"write {schema.get('description', wanted)}")
    elif "format" in schema:
        valid, hint = FORMATS[schema["format"]]
        if not valid(value):
            write = hint(value) if callable(hint) else hint
            yield Fault(at, f"unknown {schema.get('title', _name(at))} {value!r}", write)
    elif (kind := schema.get("names", "")) in known and not _names_one(value, there := known[kind](), schema):
        yield _unknown(kind, value, there, at)


#: The check for each Python type.
_JUDGES: Mapping[Any, Callable[..., Iterator[Fault]]] = {
    dict: _mapping,
    (list, tuple): _list,
    str: _text,
    (int, float): _number,
}


def _names_one(value: str, there: Collection[str], schema: Schema) -> bool:
    """Whether a text names something that exists. With `glob` it may match several names, or be a database URL."""
    if value in there or not schema.get("glob", False):
        return value in there
    fits = getattr(there, "fits", lambda glob: any(fnmatchcase(name, glob) for name in there))
    return value == "*" or "://" in value or bool(fits(value))


def _misfit(value: Any, schema: Schema, at: tuple[object, ...]) -> Fault:
    given = (
        TYPES[next(kind for kind in TYPES if _is(value, {"type": kind}))][1] if schema.get("secret") else repr(value)
    )
    wanted = schema["title"] if "pattern" in schema and "title" in schema else described(schema)
    return Fault(at, f"{_name(at)} must be {wanted}, not {given}", f"write {wanted}")


def _unknown(kind: str, value: Any, known: Collection[Any], at: tuple[object, ...]) -> Fault:
    error = UnknownNameError(kind, str(value), [str(name) for name in known])
    return Fault(at, error.message, str(error.hint))


def _name(at: tuple[object, ...]) -> str:
    """Return a place in words: `labels[2]`, or its last key."""
    if not at:
        return "this file"
    return f"{_name(at[:-1])}[{at[-1]}]" if isinstance(at[-1], int) else str(at[-1])


def _is_zone(text: str) -> bool:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _near_zone(text: str) -> str:
    """Return the hint for an unknown time zone: the nearest name, if there is one."""
    import difflib
    from zoneinfo import available_timezones

    zones = {zone.casefold(): zone for zone in sorted(available_timezones())}
    near = difflib.get_close_matches(text.casefold().replace(" ", "_"), zones, n=1, cutoff=0.8)
    if near:
        return f"did you mean {zones[near[0]]!r}?"
    return "write a name of the time zone database, e.g. Europe/Berlin or UTC"


#: Format -> whether a text has it, and the hint for one that does not.
FORMATS: Mapping[str, tuple[Callable[[str], bool], str | Callable[[str], str]]] = {
    "time-zone": (_is_zone, _near_zone),
    "place": (
        lambda text: text.startswith("/") or "://" in text,
        "write an absolute path, or a URL that fsspec knows",
    ),
    "code": (
        lambda text: re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", text) is not None,
        "write module:attribute, e.g. my_package.hooks:Pager",
    ),
}
