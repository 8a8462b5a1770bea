"""Retries: only errors that say the statement did not happen, with doubling waits up to a limit."""

from __future__ import annotations

import itertools

import pytest

from aishell.errors import DatabaseError, StepError
from aishell.execution.retry import LONGEST_PAUSE, retrying, transient

KINDS = (
    "connect connection_lost lock_timeout deadlock serialization too_many_connections busy statement_timeout cancelled "
    "permission read_only missing_object disk_full corruption unsupported other"
).split()
AGAIN = {"connect", "lock_timeout", "deadlock", "serialization", "too_many_connections", "busy"}


@pytest.fixture
def waits(monkeypatch) -> list[float]:
    """The seconds that would have been waited."""
    waited: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", waited.append)
    return waited


class Call:
    """Fails with these errors, one a call, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def failed(kind: str) -> DatabaseError:
    return DatabaseError(f"it was {kind}", kind=kind)


def test_the_kinds_are_all_those_an_error_may_have():
    assert all(kind in (DatabaseError.__doc__ or "") for kind in KINDS)
    assert DatabaseError.TRANSIENT == AGAIN


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_did_not_happen_is_tried_again(waits, kind):
    call, told, cleaned = Call(failed(kind)), [], []
    attempt = retrying(3, lambda number, error: told.append((number, error)))
    if kind in AGAIN:
        assert attempt(call, lambda: cleaned.append(1)) == "done"
        assert (call.calls, len(waits)) == (2, 1)
        assert [(number, error.kind) for number, error in told] == [(1, kind)]
        assert cleaned == ([] if kind == "connect" else [1])
    else:
        with pytest.raises(DatabaseError) as caught:
            attempt(call, lambda: cleaned.append(1))
        assert caught.value.kind == kind
        assert (call.calls, waits, told, cleaned) == (1, [], [], [])


@pytest.mark.parametrize("error", [StepError("x"), ValueError("x"), KeyError("x")])
def test_other_errors_are_not_tried_again(waits, error):
    assert not transient(error)
    with pytest.raises(type(error)):
        retrying(3, lambda number, error: None)(Call(error), lambda: None)
    assert waits == []


@pytest.mark.parametrize("tries", [1, 2, 3, 5])
def test_after_the_last_try_the_last_error_is_raised_itself(waits, tries):
    errors = [failed("deadlock") for _ in range(9)]
    call = Call(*errors)
    with pytest.raises(DatabaseError) as caught:
        retrying(tries, lambda number, error: None)(call, lambda: None)
    assert caught.value is errors[tries - 1]
    assert (call.calls, len(waits)) == (tries, tries - 1)


def test_waits_double_from_a_second_to_a_minute_give_or_take_a_tenth(waits):
    call = Call(*(failed("busy") for _ in range(9)))
    assert retrying(10, lambda number, error: None)(call, lambda: None) == "done"
    for waited, meant in zip(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60], strict=True):
        assert meant * 0.9 <= waited <= meant * 1.1


def test_a_clean_up_that_fails_ends_the_tries(waits):
    def clean() -> None:
        raise failed("other")

    call = Call(failed("deadlock"))
    with pytest.raises(DatabaseError) as caught:
        retrying(3, lambda number, error: None)(call, clean)
    assert caught.value.kind == "other"
    assert call.calls == 1


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """Seconds that go by when they are waited for; each call takes a slice of a second."""
    now = [0.0]
    monkeypatch.setattr("tenacity.time.monotonic", lambda: now[0])
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    return now


@pytest.mark.parametrize("kind", ["lock_timeout", "busy"])
def test_a_lock_is_asked_for_in_slices_with_pauses_until_the_patience_is_over(clock, kind):
    asked: list[float] = []

    def call() -> None:
        asked.append(clock[0])
        clock[0] += 1.0
        raise failed(kind)

    with pytest.raises(DatabaseError):
        retrying(1, lambda number, error: None, patience=60)(call, lambda: None)
    pauses = [later - earlier - 1.0 for earlier, later in itertools.pairwise(asked)]
    assert len(asked) > 9
    assert all(0.89 < pause < LONGEST_PAUSE + 0.01 for pause in pauses), "everybody passes in between"
    assert 50 < clock[0] <= 61


def test_patience_for_locks_gives_other_failures_no_more_tries(clock):
    call = Call(*(failed("deadlock") for _ in range(9)))
    with pytest.raises(DatabaseError):
        retrying(2, lambda number, error: None, patience=60)(call, lambda: None)
    assert call.calls == 2


def test_a_long_statement_that_met_a_lock_at_its_end_is_not_begun_again(clock):
    """A rebuild waits for its exclusive lock when the work is done: after an hour of it the patience is over."""

    def call() -> None:
        clock[0] += 3600
        raise failed("lock_timeout")

    told: list[int] = []
    with pytest.raises(DatabaseError):
        retrying(3, lambda number, error: told.append(number), patience=15)(call, lambda: None)
    assert told == []
