"""Every mistake that a schema knows: made from the schema itself, so that a new key is covered by its own declaration."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from aishell.settings.validation import FORMATS, TYPES, Schema

#: Values of every type that YAML has.
_VALUES: tuple[Any, ...] = ("a text", 5, 2.5, True, ["a"], {"a": 1})
#: A text that fits what a schema wants of it.
_FITTING = {"time-zone": "UTC", "place": "/mnt/backups", "code": "module:name"}
#: One of these fits each pattern.
_PATTERNED = (
    "age1qqqq",
    "2026-12-24",
    "22:00-05:30",
    "07:00",
    "90s",
    "127.0.0.1:9187",
    "sqlite",
    "https://hc.example/ping",
)
#: The name of whatever may have any.
NAME = "shop"
#: What there is of what a text names.
_NAMED = {"tool": "optimize_table", "target": NAME, "environment": "test"}


@dataclass(frozen=True)
class Mistake:
    """A wrong value, where it stands in its file, and how a document that has it is made. `near`: the word that was meant."""

    kind: str
    at: tuple[object, ...]
    document: Any
    line_of: tuple[object, ...]
    near: str | None = None

    @property
    def id(self) -> str:
        return f"{'.'.join(map(str, self.at))}: {self.kind}"


def mistakes(schema: Schema) -> Iterator[Mistake]:
    """One of each kind at each place of a schema."""
    for at, sub in places(schema):
        for kind, value, line_of, near in _wrong(sub):
            yield Mistake(kind, at, built(schema, at, value), (*at, *line_of), near)


def under(prefix: tuple[object, ...], mistake: Mistake, base: Any = None) -> Mistake:
    """The same mistake further inside a document."""
    document = mistake.document
    for key in reversed(prefix):
        document = [document] if isinstance(key, int) else {key: document}
    return replace(mistake, document=document, at=(*prefix, *mistake.at), line_of=(*prefix, *mistake.line_of))


def places(schema: Schema, at: tuple[object, ...] = ()) -> Iterator[tuple[tuple[object, ...], Schema]]:
    """Every place a schema has something to say about, with what it says there."""
    yield at, schema
    for option in schema.get("anyOf", ()):
        yield from ((place, sub) for place, sub in places(option, at) if place != at)
    for key, sub in schema.get("properties", {}).items():
        yield from places(sub, (*at, key))
    if isinstance(schema.get("additionalProperties"), Mapping):
        yield from places(schema["additionalProperties"], (*at, "staging" if "names" in schema else NAME))
    if isinstance(schema.get("items"), Mapping):
        yield from places(schema["items"], (*at, 0))


def valid(schema: Schema) -> Any:
    """The least value that fits."""
    if "anyOf" in schema:
        return valid(schema["anyOf"][0])
    if "enum" in schema:
        return schema["enum"][-1]
    kind = schema.get("type", "string")
    kind = kind if isinstance(kind, str) else kind[0]
    if kind == "object":
        return {key: valid(schema["properties"][key]) for key in schema.get("required", ())}
    if kind == "array":
        return [valid(schema.get("items", {}))] * schema.get("minItems", 0)
    if kind in ("integer", "number"):
        return schema.get("minimum", schema.get("maximum", 1))
    if kind == "boolean":
        return True
    if "names" in schema and not schema.get("glob"):
        return _NAMED.get(schema["names"], NAME)
    if "format" in schema:
        return _FITTING[schema["format"]]
    if "pattern" in schema:
        return next(text for text in _PATTERNED if re.fullmatch(schema["pattern"], text))
    return "sqlite:///shop.db"


def built(schema: Schema, at: tuple[object, ...], value: Any) -> Any:
    """The least document that has a value at a place."""
    if not at:
        return value
    key, *rest = at
    for option in schema.get("anyOf", ()):
        if any(place[: len(at)] == at for place, _ in places(option)):
            return built(option, at, value)
    if isinstance(key, int):
        return [built(schema["items"], tuple(rest), value)]
    inner = schema.get("properties", {}).get(key) or schema["additionalProperties"]
    made = {key: built(inner, tuple(rest), value)}
    missing = {name: valid(schema["properties"][name]) for name in schema.get("required", ()) if name not in made}
    return {**missing, **made}


def _wrong(schema: Schema) -> Iterator[tuple[str, Any, tuple[object, ...], str | None]]:
    """(kind, value, where in it the error's line is, the word that was meant)."""
    for value in _VALUES:
        if not _could_be(value, schema):
            yield f"{type(value).__name__} for {_type_words(schema)}", value, (), None
    for word, step in (("minimum", -1), ("exclusiveMinimum", 0), ("maximum", 1)):
        if word in schema:
            yield f"out of range ({word})", schema[word] + step, (), None
    if schema.get("type") == "number":
        yield "no number at all", float("nan"), (), None
    if "enum" in schema:
        longest = max(map(str, schema["enum"]), key=len)
        yield "misspelt value", _misspelt(longest), (), longest
    if "names" in schema and schema.get("type") == "string":
        yield "dangling reference", "nothing_of_this_name", (), None
    if schema.get("minLength"):
        yield "empty text", "", (), None
    if "pattern" in schema or "format" in schema:
        assert schema.get("format") is None or not FORMATS[schema["format"]][0]("- no -")
        yield "not of its form", "- no -", (), None
    if schema.get("minItems"):
        yield "empty list", [], (), None
    if "unique" in schema:
        item = valid(schema.get("items", {}))
        yield "said twice", [item, item], (1,), None
    if schema.get("additionalProperties") is False:
        for key in schema["properties"]:
            made = {name: valid(schema["properties"][name]) for name in schema.get("required", ()) if name != key}
            yield (
                f"misspelt key {key}",
                {_misspelt(key): valid(schema["properties"][key]), **made},
                (_misspelt(key),),
                key,
            )
    if "names" in schema and isinstance(schema.get("additionalProperties"), Mapping):
        yield "dangling key", {"nowhere": valid(schema["additionalProperties"])}, ("nowhere",), None
    for key in schema.get("required", ()):
        whole = {name: valid(schema["properties"][name]) for name in schema.get("required", ()) if name != key}
        yield f"{key} missing", whole, (), None


def _could_be(value: Any, schema: Schema) -> bool:
    if "anyOf" in schema:
        return any(_could_be(value, option) for option in schema["anyOf"])
    if "enum" in schema:
        return value in schema["enum"] or isinstance(value, str)  # misspelt, below
    kinds = schema.get("type", list(TYPES))
    kinds = [kinds] if isinstance(kinds, str) else kinds
    return any(isinstance(value, TYPES[k][0]) and (not isinstance(value, bool) or k == "boolean") for k in kinds)


def _type_words(schema: Schema) -> str:
    return "an enum" if "enum" in schema or "anyOf" in schema else str(schema.get("type", "anything"))


def _misspelt(word: str) -> str:
    """One letter twice."""
    return word[:2] + word[1:] if len(word) > 1 else f"{word}x"
