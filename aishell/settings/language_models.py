"""`llm:` of `aishell.yaml` and `llm_config:` of an agent's file: the language model, its server and its limits."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from aishell.errors import SettingsError
from aishell.settings.validation import wrong
from aishell.settings.yamlfile import Document

OLLAMA_HOST = "OLLAMA_HOST"
#: Ollama's default port.
PORT = 11434


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """How long answers are cached, in seconds, and how many."""

    ttl: float = 86400
    entries: int = 500


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """A language model and how to call it. Times are in seconds; `timeout` bounds one whole request."""

    model: str
    provider: str = "ollama"
    host: str | None = None  # None: OLLAMA_HOST, else this host
    timeout: float = 120
    connect_timeout: float = 5
    num_ctx: int = 8192  # tokens of prompt and answer together
    max_tokens: int = 2048  # per answer
    temperature: float = 0
    seed: int = 0
    token_budget: int | None = None  # prompts and answers of a run or a turn; None: eight times `num_ctx`
    retries: int = 2
    cache: CacheSettings | None = field(default_factory=CacheSettings)  # None: answers are not cached

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> ModelSettings:
        """Build from a mapping that fits the schema. Missing or empty keys keep their defaults."""
        given = {key: value for key, value in data.items() if value is not None}
        cache = given.pop("cache", True)
        chosen = cache if isinstance(cache, Mapping) else {}
        kept = CacheSettings(**{key: value for key, value in chosen.items() if value is not None})
        return cls(**given, cache=kept if cache is not False else None)

    @property
    def budget(self) -> int:
        """The most tokens that a run, or a turn of a conversation, may use."""
        return self.token_budget if self.token_budget is not None else 8 * self.num_ctx

    def faults(self) -> Iterator[tuple[str, str, str]]:
        """Yield what is wrong although each value fits the schema: key, message, hint."""
        if self.host is not None:
            try:
                address(self.host)
            except ValueError as error:
                yield "host", f"host {error}", "write a host, or a URL such as http://127.0.0.1:11434"
        if self.max_tokens >= self.num_ctx:
            message = f"max_tokens ({self.max_tokens}) leaves no room for a prompt in num_ctx ({self.num_ctx})"
            yield "max_tokens", message, "write a smaller max_tokens, or a larger num_ctx"
        if self.budget < self.max_tokens:
            message = f"token_budget ({self.budget}) is less than one answer may take, max_tokens ({self.max_tokens})"
            yield "token_budget", message, "write a larger token_budget"
        if self.connect_timeout > self.timeout:
            message = f"connect_timeout ({self.connect_timeout:g}) is longer than timeout ({self.timeout:g})"
            yield "connect_timeout", message, "write a shorter one: timeout is that of the whole request"

    @property
    def url(self) -> str:
        """The server's URL. Raises SettingsError if OLLAMA_HOST is not an address or holds a password."""
        if self.host is not None:
            return address(self.host)
        try:
            return address(os.environ.get(OLLAMA_HOST) or "")
        except ValueError as error:
            hint = "write a host or a URL such as http://127.0.0.1:11434, without user and password"
            raise SettingsError(f"the environment variable {OLLAMA_HOST} {error}", hint=hint) from error


def read_model(document: Document, *at: str) -> ModelSettings | None:
    """Return the settings at a place in a checked file, None if absent. Raises SettingsError with file and line."""
    data = document.data
    for key in at:
        data = (data or {}).get(key)
    if data is None:
        return None
    settings = ModelSettings.of(data)
    for key, message, hint in settings.faults():
        raise wrong(document, *at, key, message=message, hint=hint)
    return settings


def address(host: str) -> str:
    """Return the URL of a host as Ollama writes it (`gpu`, `:11434`, `10.0.0.5:8080`, `https://gpu/ollama`).

    Without a scheme the port is 11434, else the scheme's own. Raises ValueError; its text does not repeat the host.
    """
    scheme, mark, rest = host.strip().partition("://")
    if not mark:
        scheme, rest = "http", host.strip()
    if scheme not in ("http", "https"):
        raise ValueError("is not an address of http or https")
    try:
        parts = urlsplit(f"//{rest}")
        port = parts.port or (PORT if not mark else {"http": 80, "https": 443}[scheme])
    except ValueError as error:
        raise ValueError("is not an address") from error
    if "@" in rest:
        raise ValueError("holds a user or a password")
    name = parts.hostname or "127.0.0.1"
    if parts.query or parts.fragment or re.search(r"[^\w.:%~/-]", name + parts.path):
        raise ValueError("is not an address")
    shown = f"[{name}]" if ":" in name else name
    return f"{scheme}://{shown}:{port}{parts.path.rstrip('/')}"
