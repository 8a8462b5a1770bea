"""`ollama`: a test double of Ollama, on this host (tests/ollama_double.py says what it does, and how it is told)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.ollama_double import OllamaDouble, ollama_double


@pytest.fixture
def ollama() -> Iterator[OllamaDouble]:
    with ollama_double() as double:
        yield double
