"""The vocabulary of requests for an agent, and how its inputs are read from a text. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aishell.agents.negations import negated
from aishell.agents.patterns import LONGEST, find, words_of
from aishell.agents.word_classes import COMMON


@dataclass(frozen=True, slots=True)
class Reads:
    """How an input is read from a text. `kind`:

    - `choice`: `words` has the patterns of each value;
    - `flag`: `words` has the patterns of True, which mean False if negated, and those that always mean False;
    - `tables`, `exclude`: names of tables to work on, and to leave alone;
    - `age`: the days for which rows are kept;
    - `number`: the value of `#` in one of the patterns of `words[True]`, in `unit` (bytes, ms, seconds, percent,
    days or "");
    - `name`: the value of `@` in one of them;
    - `filters`: conditions on columns;
    - `rules`: a mapping; `words` has the patterns with `#` of each key.

    `implies`: inputs that are also set. `removes`: a flag that removes something, so a clause with a negation anywhere never
    sets it to True.
    """

    kind: str
    words: Mapping[Any, Sequence[str]] = field(default_factory=dict)
    unit: str = ""
    implies: Mapping[str, Any] = field(default_factory=dict)
    removes: bool = False


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The vocabulary of requests for an agent: patterns, each with its confidence (0 to 1), and how its inputs are read.

    `never`: patterns of clauses that are not for this agent. `part_of`: other agents, each with patterns of clauses that
    are inputs to its work if they follow it, unless a pattern after a `!` also matches.
    `instead`: what to do instead, for work that is not planned from a text.
    """

    asks: tuple[tuple[float, str], ...] = ()
    never: tuple[str, ...] = ()
    inputs: Mapping[str, Reads] = field(default_factory=dict)
    part_of: Mapping[str, Sequence[str]] = field(default_factory=dict)
    instead: str = ""

    def patterns(self) -> Iterator[str]:
        yield from (pattern for _, pattern in self.asks)
        yield from self.never
        for reads in self.inputs.values():
            for several in reads.words.values():
                yield from several

    def bid(self, text: str) -> float:
        """Return the confidence that a text is for this agent, 0 to 1."""
        words = words_of(text[:LONGEST])
        if any(next(find(pattern, words), None) for pattern in self.never):
            return 0.0
        found = (
            weight
            for weight, pattern in self.asks
            for match in find(pattern, words)
            if not any(negated(words, *part) for part in match.parts)
        )
        return max(found, default=0.0)


#: How the inputs of every agent are read.
COMMON_READS: Mapping[str, Reads] = {
    "on_error": Reads(
        "choice",
        {
            "fail": (
                "stop|halt|abort|stopp|stoppe|halte|brich|para|detente|deten|aborta .. error|errors|failure|"
                "fails|fail|fehler*|error"
                "|errores|falla|fallo|goes_wrong",
                "error|errors|failure|fails|fehler*|falla|fallo .. stop|halt|abort|stoppen|anhalten|abbrechen|parar",
            ),
            "continue": (
                "continue|carry_on|go_on|keep_going|proceed|weitermachen|mach_weiter|weiter|continua|sigue|"
                "seguir .. error|errors"
                "|failure|fails|fail|failing|fehler*|fehlschlag*|errores|falla|fallo|goes_wrong",
                "error|errors|failure|fails|fehler*|fehlschlag*|falla|fallo .. continue|carry_on|go_on|"
                "keep_going|weitermachen|weiter"
                "|continua|sigue|seguir",
                "even if|when .. fails|fail|failed|goes_wrong",
            ),
            "rollback": (
                "roll_back|rollback|undo|revert|ruckgangig|zuruckrollen|deshaz|revierte .. error|errors|"
                "failure|fails|fail|fehler*"
                "|errores|falla|fallo|goes_wrong",
                "error|errors|failure|fails|fail|fehler*|falla|fallo .. roll_back|rollback|undo|revert|"
                "ruckgangig|deshaz|revierte",
            ),
        },
    )
}


def derived(type_: str, inputs: Mapping[str, Mapping[str, Any]], help_: str) -> Vocabulary:
    """Return the vocabulary of an agent that declares none, from its type, its help, and the names and choices of its inputs."""
    name = type_.replace("_", " ").replace("-", " ")
    asks = [(0.85, name), (0.7, " + ".join(name.split()))] if name.strip() else []
    own = [
        word for word in words_of(help_[:500]) if len(word.form) > 4 and word.form.isalpha() and word.form not in COMMON
    ]
    asks += [(0.4, word.form) for word in own[:20]]
    reads = {key: _reads(key, schema) for key, schema in inputs.items()}
    return Vocabulary(tuple(asks), inputs={key: found for key, found in reads.items() if found is not None})


def _reads(key: str, schema: Mapping[str, Any]) -> Reads | None:
    """Return how an input is read, from its schema alone."""
    spoken = key.replace("_", " ")
    kind, choices = schema.get("type"), schema.get("enum")
    if choices:
        return Reads("choice", {one: (str(one).replace("_", " "),) for one in choices if str(one).strip()})
    if kind == "boolean":
        return Reads("flag", {True: (spoken,)})
    if kind in ("integer", "number"):
        return Reads("number", {True: (f"{spoken} (=|of|is|:) #", f"# {spoken}")})
    return Reads(key) if kind == "array" and key in ("tables", "exclude") else None
