"""Runs that are killed: at a commit to state.db, at a statement, or at random moments; and what finishes them."""

from __future__ import annotations

import itertools
import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.faults.killed import Fault
from tests.fix_aishell import Aishell, Ended
from tests.seed import dice
from tests.totals import assert_totals_exact

KILLED = -9


@dataclass(frozen=True)
class Sweep:
    """Where runs of one kind are killed: before or after each of their commits; without `when`, at one that is drawn."""

    when: str | None = None

    def __str__(self) -> str:
        return self.when or "one"

    @property
    def whole(self) -> bool:
        return self.when is not None

    @property
    def side(self) -> str:
        """The side of all its kills, or that of the one."""
        return self.when or dice("side").choice(["before", "after"])

    def faults(self, known: int, of: str = "commit", first: int = 1) -> Iterator[Fault]:
        """One kill after the other without an end, or one of the first `known`, of which every run has more."""
        numbers = itertools.count(first) if self.whole else [dice(of).randint(first, known)]
        return (Fault(at, self.side, of) for at in numbers)

    def among(self, *numbers: int, of: str = "commit") -> Iterator[Fault]:
        """A kill at each of these, or at one of them."""
        return (Fault(at, self.side, of) for at in (numbers if self.whole else [dice(of).choice(numbers)]))


#: One kill in `make test`, all of them in `make test-all`.
SWEEPS = pytest.mark.parametrize(
    "sweep",
    [Sweep(), *(pytest.param(Sweep(when), marks=pytest.mark.thorough) for when in ("before", "after"))],
    ids=str,
)


def new_site(aishell: Aishell, name: str, url: str) -> Aishell:
    home = aishell.home / name
    home.mkdir()
    return Aishell(home, url)


def assert_no_finished_step_ran_again(site: Aishell) -> None:
    ended: set[int] = set()
    told = site.rows("SELECT step_index, type, data FROM events WHERE step_index IS NOT NULL ORDER BY id")
    for index, kind, data in told:
        if kind in ("step_started", "statement_sent", "step_completed", "step_skipped", "step_failed"):
            assert index not in ended, f"step {index} had ended, then came {kind}"
        ends = kind in ("step_completed", "step_skipped", "step_failed")
        if ends and json.loads(data)["status"] != "in_doubt":
            ended.add(index)


def finish(site: Aishell, ended: Ended) -> None:
    """Resume a run that was killed; one that was not must have succeeded, and so must one that was killed behind its end."""
    if ended.code == KILLED and site.state_of(site.only_run()) != "completed":
        ended = site("runs", "resume", site.only_run(), "--output", "json")
    if ended.code != KILLED:
        assert ended.expect(0).json["status"] == "success"


def assert_sound(site: Aishell) -> None:
    """A history without a repetition and without a gap, and totals that are exact."""
    assert_no_finished_step_ran_again(site)
    assert_totals_exact(site)
    site("audit", "verify").expect(0)


def kill_at_random(
    aishell: Aishell, arguments: tuple[str, ...], dice: random.Random, times: int, look: Callable[[], None]
) -> None:
    """A run, then one resume after the other, each killed a random moment after its start, until one ends; `look` in between."""
    running = aishell.start(*arguments)
    for _ in range(times):
        time.sleep(dice.uniform(0.3, 1.6))
        if running.ended:
            break
        running.kill()
        look()
        if not aishell.state.exists() or not aishell.rows("SELECT id FROM runs"):
            running = aishell.start(*arguments)
        else:
            running = aishell.start("runs", "resume", aishell.only_run(), "--output", "json")
    running.wait()
    if aishell.state_of(aishell.only_run()) != "completed":
        aishell.resume(aishell.only_run()).expect(0)
    assert aishell.state_of(aishell.only_run()) == "completed"
    aishell("audit", "verify").expect(0)
