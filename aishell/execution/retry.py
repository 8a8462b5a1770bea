"""Retries by the kind of error: only where the statement had no effect and may succeed next time.

A lock that readers queue for is requested repeatedly, for a short time each, with pauses in which they can pass.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from tenacity import RetryCallState, Retrying, retry_if_exception, wait_exponential

from aishell.errors import DatabaseError

FIRST_WAIT, LONGEST_WAIT, JITTER = 1.0, 60.0, 0.1  # seconds, seconds, share of each wait
#: The longest pause between two slices of waiting for a lock, seconds.
LONGEST_PAUSE = 4.0
_DOUBLING = wait_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT)


def transient(error: BaseException) -> bool:
    """Whether to retry. A step's own timeout is not; a statement that may have taken effect is left to recovery."""
    return isinstance(error, DatabaseError) and error.transient


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _locked(state: RetryCallState) -> bool:
    error = _error(state)
    return isinstance(error, DatabaseError) and error.kind in ("lock_timeout", "busy")


def retrying(
    tries: int, on_retry: Callable[[int, BaseException], None], patience: float | None = None
) -> Callable[[Callable[[], Any], Callable[[], None]], Any]:
    """`attempt(call, before_retry)`: up to `tries` tries, waiting 1 s, doubled up to 60 s; `on_retry(attempt, error)` first.

    Waits vary by a tenth, so that many runs do not retry at the same moment.
    `patience`: seconds for which a lock is requested again, whatever the number of tries.
    """

    def wait(state: RetryCallState) -> float:
        pause = _DOUBLING(state) * random.uniform(1 - JITTER, 1 + JITTER)
        return min(pause, LONGEST_PAUSE) if patience is not None and _locked(state) else pause

    def over(state: RetryCallState) -> bool:
        if patience is None or not _locked(state):
            return state.attempt_number >= tries
        return (state.seconds_since_start or 0.0) + state.upcoming_sleep > patience

    def attempt(call: Callable[[], Any], before_retry: Callable[[], None]) -> Any:
        def sleeping(state: RetryCallState) -> None:
            error = _error(state)
            if error is not None:
                on_retry(state.attempt_number, error)
            if not (isinstance(error, DatabaseError) and error.kind == "connect"):
                before_retry()

        retry = retry_if_exception(transient)
        return Retrying(stop=over, wait=wait, retry=retry, before_sleep=sleeping, reraise=True)(call)

    return attempt
