"""Runs that are killed: at a commit to state.db, at a statement, or at random moments; and what finishes them."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fix_aishell import Aishell, Ended

KILLED = -9
#: Before a commit, or after it. `make sweeps` kills at both sides of each, in two sweeps; else one sweep kills before the first,
#: after it, before the third, after it, …: between any two commits it comes once.
IN_TURN = "turn"
WHENS = ("before", "after") if os.environ.get("AISHELL_SWEEPS") == "whole" else (IN_TURN,)
PROGRAM = Path(__file__).with_name("killed.py")


class Killer:
    """Runs commands that end themselves at a commit."""

    def __init__(self, aishell: Aishell) -> None:
        self.process = subprocess.Popen(
            [sys.executable, PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=aishell.site,
            env=aishell.environment(),
        )

    def run(self, aishell: Aishell, *arguments: str, at: int = 0, when: str = "before", of: str = "commit") -> Ended:
        assert self.process.stdin
        assert self.process.stdout
        if when == IN_TURN:
            at, when = (at, "before") if at % 2 else (at - 1, "after")
        out, err = aishell.home / "killed.out", aishell.home / "killed.err"
        request = {"arguments": aishell.command(*arguments), "out": str(out), "err": str(err)}
        request |= {"at": at, "when": when, "of": of}
        print(json.dumps(request), file=self.process.stdin, flush=True)
        return Ended(int(self.process.stdout.readline()), out.read_text(), err.read_text())

    def close(self) -> None:
        self.process.communicate()


@contextmanager
def killers(aishell: Aishell, number: int) -> Iterator[list[Killer]]:
    made = [Killer(aishell) for _ in range(number)]
    try:
        yield made
    finally:
        for killer in made:
            killer.close()


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


def finish(killer: Killer, site: Aishell, ended: Ended) -> None:
    """Resume a run that was killed; one that was not must have succeeded."""
    if ended.code == KILLED:
        ended = killer.run(site, "runs", "resume", site.only_run(), "--output", "json")
    assert ended.expect(0).json["status"] == "success"


def assert_sound(killer: Killer, site: Aishell) -> None:
    """A history without a repetition and without a gap."""
    assert_no_finished_step_ran_again(site)
    killer.run(site, "audit", "verify").expect(0)


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
