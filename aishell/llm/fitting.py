"""Facts fitted into a budget of tokens: the most relevant first, the rest counted. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aishell.llm.client import tokens_of


@dataclass(frozen=True)
class Section:
    """A list of facts, the most relevant first. `row` makes a JSON value of an item, and is called only for those that may fit.

    `share`: how much of the tokens left by earlier sections it may take, from 0 to 1.
    """

    name: str
    items: Sequence[Any]
    row: Callable[[Any], Any] = lambda item: item
    share: float = 1.0


@dataclass(frozen=True)
class Fitted:
    """The facts as one JSON text, and how many items of each section are in it."""

    text: str
    shown: Mapping[str, int]


def fitted(head: Mapping[str, Any], sections: Sequence[Section], tokens: int) -> Fitted:
    """Return all of `head`, and the items of each section that fit; `<name>_not_shown` counts the others."""
    document: dict[str, Any] = dict(head)
    left = tokens - tokens_of(_text(document))
    shown = {}
    for section in sections:
        most, taken, rows = left * section.share, 0, []
        for item in section.items:
            row = section.row(item)
            size = tokens_of(_text(row)) + 1
            if taken + size > most:
                break
            taken += size
            rows.append(row)
        left -= taken
        document[section.name] = rows
        shown[section.name] = len(rows)
        if len(rows) < len(section.items):
            document[f"{section.name}_not_shown"] = len(section.items) - len(rows)
    return Fitted(_text(document), shown)


def _text(value: Any) -> str:
    """Return JSON in ASCII, in which a name can neither end the text nor hide anything."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"), default=str)
