"""Reads a request on a site: by the rules, and where these are not sure and a model is configured, by the model too."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from aishell.agents.loading import agent_types, load_agent
from aishell.asking.following import Context, filled, follow
from aishell.asking.requests import Known, Request
from aishell.asking.understanding import understand
from aishell.codec import plain
from aishell.errors import AishellError, ModelError
from aishell.llm.correcting import mark
from aishell.site import LLM, RULES

if TYPE_CHECKING:
    from aishell.site import Site

#: Said where nothing but the rules can read.
NO_MODEL = "No language model is configured (`llm` in config/aishell.yaml): the rules read the request and plan."


@dataclass(frozen=True)
class Reading:
    """A request as it was read. `by`: the model whose answer it is, else the rules; `told`: who read it, in a sentence.

    `reasons`: the model's, one for each order, empty where the rules read it. `planner`: who chooses the steps. `target`: that a
    question of a conversation is about; `turn`: which turn of which conversation it is, as JSON.
    """

    request: Request
    known: Known
    told: str
    planner: str
    by: dict[str, str] | None = None
    reasons: tuple[str, ...] = ()
    target: str | None = None
    turn: Mapping[str, Any] | None = None

    @property
    def mark(self) -> dict[str, Any]:
        """What a task carries of it: the gates and the digest of its plan see it."""
        return {"by": "rules"} if self.by is None else {"by": "model", **self.by}

    def as_json(self) -> dict[str, Any]:
        """The request in the JSON of a result."""
        found: dict[str, Any] = plain(self.request)
        in_conversation = {} if self.turn is None else {"conversation": dict(self.turn)}
        return {**found, "read": self.mark, "reasons": list(self.reasons), **in_conversation}


def read_request(
    site: Site,
    text: str,
    targets: Collection[str] = (),
    planner: str | None = None,
    context: Context | None = None,
) -> Reading:
    """Read a text. `targets`: those that options name; `planner`: one of `aishell.site.PLANNERS`, None: a model where one is
    configured; `context`: of the conversation that the text is a turn of. Raises SettingsError for `llm` where no model is.
    """
    known = _known(site)
    first, target = _understood(text, known, context)
    spoken_of = context.target if context is not None else None
    orders = [order.target for order in first.orders]
    candidates = [*targets, *orders, *named_targets(site, text), target, spoken_of]
    named = next(filter(None, candidates), None)
    tables = _tables(site, named)
    if tables is not None:
        known = replace(known, tables=tables)
        first, target = _understood(text, known, context)
    reading = _read(site, first, known, planner, context or Context())
    return replace(reading, target=target)


def _understood(text: str, known: Known, context: Context | None) -> tuple[Request, str | None]:
    request = understand(text, known)
    return (request, None) if context is None else follow(request, known, context)


def _read(site: Site, first: Request, known: Known, planner: str | None, context: Context) -> Reading:
    """By the rules, or by them and the model that is configured."""
    found = None if planner == RULES else site.model()
    if found is None:
        if planner == LLM:
            site.require_model()
        told = "Read by rules." if planner == RULES else NO_MODEL
        return Reading(first, known, told, RULES, reasons=("",) * len(first.orders))
    return _with_model(site, first, known, context, *found)


def _with_model(site: Site, first: Request, known: Known, context: Context, client: Any, chosen: Any) -> Reading:
    from aishell.asking.model_reading import is_sure, read_by_model

    if is_sure(first):
        told = f"Read by rules, which were sure of all of it; {client.model} may choose the steps."
        return Reading(first, known, told, LLM, reasons=("",) * len(first.orders))
    try:
        read = read_by_model(first, known, client, chosen.num_ctx, site.record_model_answer, context)
    except ModelError as error:
        told = f"Read by rules: the model {client.model} gave no reading that can be used ({error.message})."
        return Reading(first, known, told, LLM, reasons=("",) * len(first.orders))
    told = (
        f"Read by the model {read.completion.model}; whatever changes the database needs approval from medium risk on."
    )
    request = filled(read.request, known, context)
    return Reading(request, known, told, LLM, mark(read.completion), read.reasons or ("",) * len(request.orders))


def named_targets(site: Site, text: str) -> list[str]:
    """The configured targets that a text names."""
    words = {word.strip(".,;:!?'\"()").removesuffix("'s") for word in text.casefold().split()}
    return [name for name in site.settings.targets if name.casefold() in words]


def read_for(site: Site, reading: Reading, agent: str) -> Reading:
    """The request as one agent reads it, which a person chose."""
    alone = replace(reading.known, agents={agent: reading.known.agents[agent]})
    request = understand(reading.request.text, alone)
    return replace(reading, request=request, by=None, reasons=("",) * len(request.orders))


def _known(site: Site) -> Known:
    zone = site.target(None).zone if site.settings.default_target else None
    labels = {name: target.labels for name, target in site.settings.targets.items()}
    return Known(datetime.now(zone).date(), {name: load_agent(name) for name in sorted(agent_types())}, labels)


def _tables(site: Site, named: str | None) -> list[str] | None:
    """The tables of the target that a request is for; None where it cannot be asked, which whoever works on it will say."""
    try:
        target = site.target(named)
        if target.databases:
            return None
        with site.look(target) as job:
            rows = next(iter(job.read("inspect_tables").values()))
    except AishellError:
        return None
    return [f"{row['schema']}.{row['table']}" for row in rows]
