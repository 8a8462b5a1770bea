"""Run, kill, resume, approve, reject, expire, cancel, in any order: the promises of durability.md hold after each."""

from __future__ import annotations

import itertools
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.bloated import BloatedSqlite
from tests.faults.killed import Fault
from tests.faults.killing import KILLED
from tests.fix_aishell import Aishell, Ended
from tests.seed import SAMPLED

ENDS = ("completed", "cancelled")
#: 0: not killed. A run of five steps has about twenty commits.
KILLS = st.tuples(st.one_of(st.just(0), st.integers(1, 20)), st.sampled_from(["before", "after"]))
_numbers = itertools.count(1)


class AnyOrder(RuleBasedStateMachine):
    """One SQLite database on production, where the rewrite of the file needs an approval, and one state store."""

    bloated: BloatedSqlite
    home: Path

    @initialize()
    def begin(self) -> None:
        home = self.home / str(next(_numbers))
        home.mkdir()
        self.db = self.bloated.make()
        self.site = Aishell(home, self.db.url)
        self.content = self.bloated.content(self.db)
        self.spoken = 0
        self.expired: set[str] = set()

    def command(self, *arguments: str, kill: tuple[int, str] = (0, "before")) -> Ended:
        return self.site(*arguments, fault=Fault(*kill) if kill[0] else None)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.site.rows(query) if self.site.state.exists() else []

    def unfinished(self) -> list[str]:
        return [run for run, state in self.rows("SELECT id, state FROM runs ORDER BY created_at") if state not in ENDS]

    def pending(self) -> list[str]:
        return [
            name for (name,) in self.rows("SELECT id FROM approvals WHERE status = 'pending' ORDER BY requested_at")
        ]

    @rule(kill=KILLS)
    def run_anew(self, kill: tuple[int, str]) -> None:
        options = ("--url", self.db.url, "--environment", "production", "--output", "json")
        ended = self.command("run", "maintenance", "--type", "full", *options, kill=kill)
        assert ended.code in (0, 3, KILLED), ended

    @precondition(lambda self: self.unfinished())
    @rule(kill=KILLS, which=st.integers(0, 3))
    def resume(self, kill: tuple[int, str], which: int) -> None:
        runs = self.unfinished()
        ended = self.command("runs", "resume", runs[which % len(runs)], "--output", "json", kill=kill)
        assert ended.code in (0, 3, 5, KILLED), ended

    @precondition(lambda self: self.pending())
    @rule(which=st.integers(0, 3), answer=st.sampled_from(["approve", "approve", "reject"]))
    def answer(self, which: int, answer: str) -> None:
        waiting = self.pending()
        name = waiting[which % len(waiting)]
        ((expires, now),) = self.rows(
            f"SELECT expires_at, strftime('%Y-%m-%dT%H:%M:%f', 'now') FROM approvals WHERE id = '{name}'"
        )
        ended = self.command("approvals", answer, name, *(("--reason", "no") if answer == "reject" else ()))
        assert ended.code == (0 if expires > now else 2), ended

    @precondition(lambda self: self.pending())
    @rule()
    def let_expire(self) -> None:
        """A day goes by for what is asked; nothing but time may do so, and the audit log says that this was not time."""
        self.expired.update(self.pending())
        with sqlite3.connect(self.site.state) as connection:
            connection.execute(
                "UPDATE approvals SET expires_at = '2020-01-01T00:00:00.000000+00:00' WHERE status = 'pending'"
            )
        connection.close()

    @precondition(lambda self: self.unfinished())
    @rule(which=st.integers(0, 3))
    def cancel(self, which: int) -> None:
        runs = self.unfinished()
        ended = self.command("runs", "cancel", runs[which % len(runs)])
        assert ended.code == 0, ended

    @invariant()
    def every_outcome_is_recorded_once(self) -> None:
        ended: Counter[tuple[str, int]] = Counter()
        for run, index, kind in self.rows(
            "SELECT run_id, step_index, type FROM events WHERE step_index IS NOT NULL ORDER BY id"
        ):
            if kind in ("step_started", "statement_sent"):
                assert not ended[run, index], f"{kind} after the end of step {index}"
            if kind in ("step_completed", "step_failed", "step_skipped"):
                ended[run, index] += 1
        assert not [step for step, times in ended.items() if times > 1]

    @invariant()
    def nothing_is_sent_without_a_durable_intent_and_an_approval(self) -> None:
        """The file shrinks only by VACUUM: then some run has started that step, on an approval that it consumed."""
        ((free,),) = self.db.execute("PRAGMA freelist_count")
        started = self.rows(
            "SELECT run_id, approved_by FROM steps WHERE tool = 'optimize_table' AND status IN ('started', 'done')"
        )
        if free == 0:
            assert started
        consumed = self.rows("SELECT run_id, count(*) FROM approvals WHERE status = 'consumed' GROUP BY run_id")
        for run, by in started:
            assert by, "a step that needs an approval was started without one"
            assert dict(consumed)[run] == 1

    @invariant()
    def the_data_is_what_it_was(self) -> None:
        if hasattr(self, "db"):
            assert self.bloated.content(self.db) == self.content
            assert self.bloated.left_behind(self.db) == []

    @invariant()
    def the_audit_only_grows(self) -> None:
        if self.rows("SELECT 1 FROM sqlite_schema WHERE name = 'events'"):
            ((events,),) = self.rows("SELECT count(*) FROM events")
            assert events >= self.spoken
            self.spoken = events

    def teardown(self) -> None:
        """Whatever happened: every run that is not at its end can be brought there."""
        if not hasattr(self, "db"):
            return
        for _ in range(3):
            for name in self.pending():
                self.command("approvals", "approve", name)
            for run in self.unfinished():
                self.command("runs", "resume", run, "--output", "json")
        assert self.unfinished() == []
        verified = self.command("audit", "verify", "--output", "json")
        assert {problem["text"] for problem in verified.json["problems"]} == {
            f"the request of approval {name} differs from its digest in the log" for name in self.expired
        }
        self.the_data_is_what_it_was()
        self.every_outcome_is_recorded_once()


@SAMPLED
def test_the_promises_hold_whatever_comes_after_what(
    bloated_sqlite: BloatedSqlite, aishell: Aishell, whole: bool
) -> None:
    AnyOrder.bloated, AnyOrder.home = bloated_sqlite, aishell.home
    bounded = settings(
        max_examples=12 if whole else 3,
        stateful_step_count=10,
        deadline=None,
        derandomize=True,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(AnyOrder, settings=bounded)
