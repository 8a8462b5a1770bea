"""Ctrl-C while a worker waits for an answer: whatever the moment, the worker is answered."""

from __future__ import annotations

import queue
import signal
import threading
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from aishell.execution.orchestrator import Orchestrator
from aishell.execution.run import Options, Run, Silent
from aishell.models import Decision, Risk, Sent, Step, Verdict
from aishell.safety.approval import Approve, Covered, Later, Request
from tests.servers import HANG
from tests.unit.making import make_plan, make_target, make_tool


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


def test_an_interrupt_that_wakes_nobody_is_noticed():
    """As one that comes just before the main thread goes to sleep: another thread is told of it by the system."""
    walk = Orchestrator(SimpleNamespace(ask=None, job=None), None, lambda request: pytest.fail("asked"))

    def interrupted() -> None:
        time.sleep(0.1)
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    with walk._handling_signals():
        thread = threading.Thread(target=interrupted)
        thread.start()
        assert walk._message() == ("interrupted", None)
        thread.join()


def asked(*prompts: Any) -> list[Any]:
    """What several steps that ask at once are answered; each prompt is one more question that is put."""
    left = list(prompts)
    run = Run("r", "o", SimpleNamespace(), make_plan(), None, None, Options(), Silent())  # type: ignore[arg-type]
    walk = Orchestrator(run, None, lambda request: left.pop(0))  # type: ignore[arg-type]
    answers = []
    for name in ("a", "b", "c"):
        reply: queue.SimpleQueue[Any] = queue.SimpleQueue()
        walk._answer(request(name), reply)
        answers.append(reply.get(timeout=HANG))
    assert walk._halted() == any(isinstance(answer, Later) for answer in answers)
    assert left == []
    return answers


def request(name: str, sql: str | None = None, decision: Decision = Decision.CONFIRM) -> Request:
    """A question of one of three steps of a tool, which names the other two."""
    others = (Covered(other, (Sent(f"ANALYZE {other}", "", ""),)) for other in "abc" if other != name)
    return Request(
        run_id="r", step=Step(name, "touch"), tool=make_tool(), params={}, target=make_target(), server="",
        statements=(Sent(sql or f"ANALYZE {name}", "", ""),), verdict=Verdict(Risk.MEDIUM, decision, True), digest="",
        others=tuple(others),
    )  # fmt: skip


def test_after_decide_later_nobody_is_asked_any_more():
    assert asked(Later()) == [Later()] * 3
    assert asked(Approve("ann"), Later("no answer")) == [Approve("ann"), Later("no answer"), Later("no answer")]


def test_an_answer_for_all_of_a_tool_is_given_once():
    first, *rest = asked(Approve("ann", all_of_tool=True))
    assert first == Approve("ann", all_of_tool=True)
    assert {answer.by for answer in rest} == {"ann (all touch, at a)"}
    assert asked(Approve("ann"), Approve("ann", all_of_tool=True))[2].by == "ann (all touch, at b)"


@pytest.mark.parametrize(
    ("sql", "decision", "covered"),
    [
        (None, Decision.CONFIRM, True),
        ("ANALYZE b; DROP TABLE b", Decision.CONFIRM, False),
        ("ANALYZE c", Decision.CONFIRM, False),
        (None, Decision.REVIEW, False),
    ],
)
def test_an_answer_for_all_covers_what_was_shown_and_is_no_review(sql, decision, covered):
    run = Run("r", "o", SimpleNamespace(), make_plan(), None, None, Options(), Silent())  # type: ignore[arg-type]
    run.agree(request("a"), Approve("ann", all_of_tool=True))
    assert (run.agreed(request("b", sql, decision)) is not None) is covered
    assert run.agreed(replace(request("b"), statements=())) is None  # what cannot be shown was not approved
