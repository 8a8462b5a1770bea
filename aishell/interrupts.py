"""Ctrl-C, SIGTERM and SIGHUP at a moment that must not be cut off: heard when it is over."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def uninterrupted() -> Iterator[None]:
    """What arrives during the block goes to its handler after it, also where the block fails.

    For what holds locks in Python: an exception from a handler, between the lock and the `try` that gives it back, keeps it for
    ever (python/cpython#74174); in the midst of a commit nobody knows whether it was made. Only the main thread hears
    signals: in others the block is as it is.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers: dict[int, Any] = {
        number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    arrived: list[tuple[int, FrameType | None]] = []

    def keep(number: int, frame: FrameType | None) -> None:
        arrived.append((number, frame))

    heard = {number: handler for number, handler in handlers.items() if callable(handler)}
    try:
        for number in heard:
            signal.signal(number, keep)
        yield
    finally:
        for number, handler in heard.items():
            signal.signal(number, handler)
        for arrival in arrived:
            heard[arrival[0]](*arrival)


@contextmanager
def noticing() -> Iterator[Callable[[], bool]]:
    """Whether one has come since it was asked last; none of them cuts the block off, and none is heard after it.

    For what waits for something that it can end itself. In other threads than the main one none ever comes.
    """
    came = threading.Event()

    def asked() -> bool:
        seen = came.is_set()
        came.clear()
        return seen

    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    heard = {number: handler for number, handler in handlers.items() if callable(handler)}
    try:
        for number in heard:
            signal.signal(number, lambda number, frame: came.set())
        yield asked
    finally:
        for number, handler in heard.items():
            signal.signal(number, handler)
