"""Retries, decided by the error's kind: only what says that the statement did not happen and may next time."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from aishell.errors import DatabaseError

FIRST_WAIT, LONGEST_WAIT, JITTER = 1.0, 60.0, 0.1  # seconds, seconds, share of each wait


def transient(error: BaseException) -> bool:
    """A step's own timeout is never retried; a statement that may have taken effect is for recovery, not for this."""
    return isinstance(error, DatabaseError) and error.transient


def retrying(
    tries: int, told: Callable[[int, BaseException], None]
) -> Callable[[Callable[[], Any], Callable[[], None]], Any]:
    """`attempt(call, before_retry)`: up to `tries` tries, 1 s doubling to 60 s; `told(attempt, error)` before each wait."""

    def attempt(call: Callable[[], Any], before_retry: Callable[[], None]) -> Any:
        try:
            return call()
        except DatabaseError as error:
            if not error.transient:
                raise
            failed = [error]

        def again() -> Any:
            if failed:
                raise failed.pop()
            return call()

        return _retried(again, tries, told, before_retry)

    return attempt


def _retried(
    call: Callable[[], Any], tries: int, told: Callable[[int, BaseException], None], before_retry: Callable[[], None]
) -> Any:
    """As tenacity does it, which brings asyncio with it: it is imported when something has failed."""
    from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential

    doubling = wait_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT)

    def wait(state: RetryCallState) -> float:
        """A tenth more or less, so that many runs do not come back at the same moment."""
        return doubling(state) * random.uniform(1 - JITTER, 1 + JITTER)

    def sleeping(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if error is not None:
            told(state.attempt_number, error)
        if not (isinstance(error, DatabaseError) and error.kind == "connect"):
            before_retry()

    policy = Retrying(
        stop=stop_after_attempt(tries),
        wait=wait,
        retry=retry_if_exception(transient),
        before_sleep=sleeping,
        reraise=True,
    )
    return policy(call)
