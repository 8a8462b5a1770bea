"""Delay Ctrl-C, SIGTERM and SIGHUP during a block that must not be interrupted."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Handle signals that arrive during the block after it, even if the block fails.

    For code that holds Python locks: an exception from a signal handler between the lock and the `try` that releases it
    keeps the lock for ever (python/cpython#74174); during a commit, its outcome would be unknown. Only the main thread
    gets signals; in other threads this does nothing.
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
    """Yield a function that returns whether a signal arrived since its last call. The signals have no other effect.

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
