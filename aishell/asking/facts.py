"""A fact that answers a question: a sentence, its source, and the figures in it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: Facts of one kind that are listed; the rest are counted.
MOST = 12


@dataclass(frozen=True)
class Fact:
    """A sentence, its source (a tool's file, a table of the state store, a file), and the figures in it."""

    text: str
    source: str
    figures: Mapping[str, Any] = field(default_factory=dict)


def some(names: Sequence[str]) -> str:
    """Return the first names as a list in words, with the number of the others."""
    return ", ".join(names[:MOST]) + (f" and {len(names) - MOST} more" if len(names) > MOST else "")


def sentence(finding: Mapping[str, Any], *, detail: bool = False) -> str:
    """Return a finding in words: severity, name, object and value; with `detail`, what to do about it."""
    words = " ".join(str(finding[key]) for key in ("severity", "finding", "object") if finding.get(key))
    why = f" {finding['detail']}" if detail and finding.get("detail") else ""
    return f"{words}: {finding.get('value')}.{why}" if finding.get("value") is not None else f"{words}.{why}"
