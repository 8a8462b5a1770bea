"""Opening a client from a configuration: the provider's own, with its wrappers."""

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
    """Open a client, which connects only when it is asked. Raises SettingsError for an OLLAMA_HOST that is not an address.

    `configured`: `Settings.llm`, or a checked mapping (`AgentConfig.llm_config`). `store`: where answers and failures are kept;
    None: they are not kept. `budget`: that of a run, or of a turn of a conversation, if several clients share it. By default
    the client has its own budget, so each run needs its own client.

    The order of the wrappers means that a cached answer costs nothing, that all tries of a request count once against the
    budget, and that they are one failure of the breaker.
    """
    settings = configured if isinstance(configured, ModelSettings) else ModelSettings.of(configured)
    from aishell.llm.ollama_client import OllamaClient  # the only provider

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
