"""Reading a request on a site: by the rules and, if they are not sure and a model is configured, by the model."""

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

#: The sentence for a site without a model.
NO_MODEL = "No language model is configured (`llm` in config/aishell.yaml): the rules read the request and plan."


@dataclass(frozen=True)
class Reading:
    """A request as it was read. `by`: the mark of the model that read it (None: the rules); `told`: who read it, in a sentence.

    `reasons`: the model's, one per order, empty if the rules read it. `planner`: who chooses the steps. `target`: the target
    that a question of a conversation is about; `turn`: the conversation and turn, as JSON.
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
        """Who read the request, as tasks carry it: visible to the gates and part of the plan's digest."""
        return {"by": "rules"} if self.by is None else {"by": "model", **self.by}

    def as_json(self) -> dict[str, Any]:
        """Return the request as it is in the JSON of a result."""
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
    """Read a text. `targets`: those that options name; `planner`: one of `aishell.site.PLANNERS` (None: the model, if one is
    configured); `context`: of the conversation, for one of its turns. Raises SettingsError for `llm` without a model.
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
    """Complete what the rules have read, with the configured model if the planner allows it."""
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
    """Return the configured targets that a text names."""
    words = {word.strip(".,;:!?'\"()").removesuffix("'s") for word in text.casefold().split()}
    return [name for name in site.settings.targets if name.casefold() in words]


def read_for(site: Site, reading: Reading, agent: str) -> Reading:
    """Read the request again for one agent, chosen by a person."""
    alone = replace(reading.known, agents={agent: reading.known.agents[agent]})
    request = understand(reading.request.text, alone)
    return replace(reading, request=request, by=None, reasons=("",) * len(request.orders))


def _known(site: Site) -> Known:
    zone = site.target(None).zone if site.settings.default_target else None
    labels = {name: target.labels for name, target in site.settings.targets.items()}
    return Known(datetime.now(zone).date(), {name: load_agent(name) for name in sorted(agent_types())}, labels)


def _tables(site: Site, named: str | None) -> list[str] | None:
    """Return the tables of the target of a request; None if it cannot be queried, which the run itself will report."""
    try:
        target = site.target(named)
        if target.databases:
            return None
        with site.look(target) as job:
            rows = next(iter(job.read("inspect_tables").values()))
    except AishellError:
        return None
    return [f"{row['schema']}.{row['table']}" for row in rows]
