"""What a thread works on: the run and the step. Logs say so of what a library tells, which knows neither."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

_doing: ContextVar[Mapping[str, str]] = ContextVar("doing", default={})  # noqa: B039  it is never changed in place


@contextmanager
def doing(**names: str) -> Iterator[None]:
    """While inside, this thread works on that, beside what it did. A pool's thread needs a copied context to know of it."""
    token = _doing.set({**_doing.get(), **names})
    try:
        yield
    finally:
        _doing.reset(token)


def now_doing() -> Mapping[str, str]:
    """What this thread works on, by name."""
    return _doing.get()
