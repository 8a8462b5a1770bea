"""Ctrl-C while a worker waits for an answer: whatever the moment, the worker is answered."""

from __future__ import annotations

import queue
import signal
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from aishell.execution.orchestrator import Orchestrator
from aishell.safety.approval import Approve, Later
from tests.servers import HANG


def answered(prompt: Any, before: int = 0) -> tuple[Any, Orchestrator]:
    run = SimpleNamespace(ask=None, agreed=lambda request: None, agree=lambda request, answer: None)
    walk = Orchestrator(run, None, lambda request: prompt(walk))
    for _ in range(before):
        walk._signalled(signal.SIGINT, None)
    reply: queue.SimpleQueue[Any] = queue.SimpleQueue()
    walk._answer(None, reply)
    return reply.get(timeout=HANG), walk


def test_an_answer_is_passed_on():
    assert answered(lambda walk: Approve("ann"))[0] == Approve("ann")


def test_after_an_interrupt_nobody_is_asked():
    answer, walk = answered(lambda walk: pytest.fail("asked"), before=1)
    assert answer == Later("interrupted")
    assert walk.messages.get(timeout=HANG) == ("interrupted", None)


def test_an_interrupt_at_the_prompt_leaves_it():
    answer, walk = answered(lambda walk: walk._signalled(signal.SIGINT, None))
    assert answer == Later("interrupted")
    assert walk.messages.get(timeout=HANG) == ("interrupted", None)


def test_a_second_interrupt_leaves_at_once():
    _, walk = answered(lambda walk: Approve("ann"), before=1)
    with pytest.raises(KeyboardInterrupt):
        walk._signalled(signal.SIGINT, None)


def test_an_interrupt_that_wakes_nobody_is_heard():
    """As one that comes just before the main thread goes to sleep: another thread is told of it by the system."""
    walk = Orchestrator(SimpleNamespace(ask=None, job=None), None, lambda request: pytest.fail("asked"))

    def interrupted() -> None:
        time.sleep(0.1)
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    with walk._hearing_signals():
        thread = threading.Thread(target=interrupted)
        thread.start()
        assert walk._message() == ("interrupted", None)
        thread.join()
