"""The keys of a tool file, as a schema (`aishell.settings.validation`). Every number has a minimum and a maximum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aishell.engines import PROFILES
from aishell.models import CAPABILITIES, CATEGORIES, Risk
from aishell.registry.tool import PARAMETER_TYPES

RUNS = ("query", "statement", "each", "batched", "program", "python")
#: `archives` -> the parameters that its way of running reads itself.
ARCHIVES = {
    "write": frozenset({"path", "format"}),
    "delete": frozenset({"archive"}),
    "load": frozenset({"archive", "part", "more", "within"}),
}
#: Engine -> what a tool may need.
PRIVILEGES: Mapping[str, Sequence[str]] = {engine.name: engine.privileges for engine in PROFILES.values()}
_TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
_TEXTS: dict[str, Any] = {"type": "object", "additionalProperties": _TEXT}
_BIGINT: dict[str, Any] = {"type": "number", "minimum": -(2**63), "maximum": 2**63 - 1}
#: Seconds that a statement, or waiting for a lock, may take at most.
_WEEK, _HOUR = 7 * 86400, 3600
PARAMETER: dict[str, Any] = {
    "type": "object",
    "title": "a parameter",
    "properties": {
        "type": {"enum": list(PARAMETER_TYPES), "title": "type"},
        "default": {},
        "enum": {"type": "array", "minItems": 1, "unique": ()},
        "minimum": _BIGINT,
        "maximum": _BIGINT,
        "description": _TEXT,
        "editable": {"type": "boolean"},
        "items": {"type": "object"},
    },
    "required": ["type"],
    "additionalProperties": False,
}
#: The keys of a tool file (tools/README.md says what they mean).
HEADER: dict[str, Any] = {
    "type": "object",
    "title": "the header",
    "properties": {
        "name": _TEXT,
        "engine": _TEXT,
        "category": {"enum": sorted(CATEGORIES), "title": "category"},
        "risk": {"enum": [str(risk) for risk in Risk], "title": "risk"},
        "capabilities": {
            "type": "array",
            "items": {"enum": sorted(CAPABILITIES), "title": "capability"},
            "unique": (),
            "minItems": 1,
        },
        "runs": {"enum": list(RUNS), "title": "way of running"},
        "returns": {"type": "object", "additionalProperties": {"anyOf": [_TEXT, {"type": "object"}]}},
        "parameters": {"type": "object", "additionalProperties": PARAMETER},
        "privileges": {"type": "array", "items": _TEXT, "unique": (), "minItems": 1},
        "key": {"type": "array", "items": _TEXT, "unique": ()},
        "lock": _TEXT,
        "locks_too": _TEXTS,
        "transaction": {"enum": ["none", "single"], "title": "transaction"},
        "max_execution_time": {"type": "integer", "minimum": 1, "maximum": _WEEK},
        "lock_timeout": {"type": "number", "exclusiveMinimum": 0, "maximum": _HOUR},
        "rate_limit": {"type": "integer", "minimum": 1, "maximum": 100_000},
        "group": {"type": "integer", "minimum": 1, "maximum": 100_000},
        "batch": {"type": "integer", "minimum": 1, "maximum": 10_000_000},
        **{name: {"type": "boolean"} for name in ("idempotent", "requires_approval", "deletes")},
        "implementation": {"type": "string", "format": "code", "title": "implementation"},
        "foresees": {"type": "string", "format": "code", "title": "foresees"},
        "programs": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": {"type": "string"}, "minItems": 1},
        },
        "examples": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"params": {"type": "object"}, "description": _TEXT},
                "required": ["params"],
                "additionalProperties": False,
                "title": "an example",
            },
        },
        "description": _TEXT,
        "archives": {"enum": list(ARCHIVES), "title": "value of archives"},
        "forms": _TEXTS,
        "lists": {"type": "object", "additionalProperties": {"anyOf": [_TEXT, {"type": "object"}]}},
        "undo": {"type": "object"},
    },
    "required": ["name", "category", "risk", "capabilities", "runs", "returns", "description"],
    "additionalProperties": False,
}
