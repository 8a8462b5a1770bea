"""Ctrl-C, SIGTERM and SIGHUP during a block that must not be cut off: handled after it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Signals that arrive during the block are handled after it, also where the block fails.

    For code that holds locks in Python: an exception from a handler, between the lock and the `try` that releases it, keeps it
    for ever (python/cpython#74174); during a commit nobody knows whether it was made. Only the main thread gets signals: in
    others the block runs as it is.
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
    """A function that returns whether a signal arrived since its last call. None cuts the block off, or is handled after it.

    For code that waits for something that it can end itself. Only the main thread gets signals.
    """
    arrived = threading.Event()

    def interrupted() -> bool:
        seen = arrived.is_set()
        arrived.clear()
        return seen

    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    heard = {number: handler for number, handler in handlers.items() if callable(handler)}
    try:
        for number in heard:
            signal.signal(number, lambda number, frame: arrived.set())
        yield interrupted
    finally:
        for number, handler in heard.items():
            signal.signal(number, handler)
