"""From a configuration to a client: the provider's own, with what is put around it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aishell.llm.client import LLMClient
from aishell.llm.wrappers import Breaking, Budgeted, Cached, Logged, Retrying, TokenBudget
from aishell.settings.language_models import ModelSettings
from aishell.state.answers import Answers
from aishell.state.breakers import ModelBreakers
from aishell.state.store import Store


def open_client(
    configured: ModelSettings | Mapping[str, Any], store: Store | None, budget: TokenBudget | None = None
) -> LLMClient:
    """A client that connects to nothing before it is asked. Raises SettingsError for an OLLAMA_HOST that is no address.

    `configured`: `Settings.llm`, or a checked mapping (`AgentConfig.llm_config`). `store`: where answers and failures are kept;
    without one neither is. `budget`: of a run, or of a turn of a conversation, where several clients share one; by default the
    client has one of its own, so a client is opened for each.

    From the outside in: what was answered before costs nothing; a budget is asked once, whatever the tries; the tries of one
    request are one failure of the breaker.
    """
    settings = configured if isinstance(configured, ModelSettings) else ModelSettings.of(configured)
    from aishell.llm.ollama_client import OllamaClient  # of the providers, the one there is

    client = OllamaClient(settings)
    made: LLMClient = Retrying(client, settings.retries, settings.timeout)
    if store is not None:
        name = f"{client.provider_name} at {client.url}"
        made = Breaking(made, ModelBreakers(store), name, settings.timeout)
    made = Budgeted(made, budget or TokenBudget(settings.budget), settings.max_tokens)
    if store is not None and settings.cache is not None:
        identity = {"provider": client.provider_name, "server": client.url, "model": client.model, **client.options}
        identity["max_tokens"] = settings.max_tokens
        answers = Answers(store, ttl=settings.cache.ttl, entries=settings.cache.entries)
        made = Cached(made, answers, identity)
    return Logged(made)
