"""Earned autonomy on real databases: what was supervised often enough runs unasked, and asks again after one failure."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from aishell.execution.preview import Preview
from aishell.models import RunResult, Task
from aishell.safety.approval import Answer, Approve, Reject, Request
from aishell.site import Site
from tests.bloated import Bloated
from tests.commands.terminal import Terminal
from tests.faults.killed import Fault
from tests.faults.killing import KILLED
from tests.fix_aishell import Aishell, bloated_on
from tests.fix_tools import label

RULE = "{tool: optimize_table, after: 2, environment: production, max_risk: medium}"
BLOAT = {
    "sqlite": (
        "INSERT INTO orders (n, note) SELECT hex(randomblob(8)), hex(zeroblob(200)) FROM pragma_function_list, "
        "(SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6 UNION SELECT 7) LIMIT 4000",
        "DELETE FROM orders WHERE note = hex(zeroblob(200))",
    ),
    "postgresql": (
        "INSERT INTO orders SELECT i, md5(i::text), repeat('x', 100) FROM generate_series(100000, 104000) AS i",
        "DELETE FROM orders WHERE id >= 100000",
    ),
}


def yes(request: Request) -> Answer:
    return Approve("kim@host", terminal="/dev/pts/1")


def no(request: Request) -> Answer:
    return Reject("kim@host", "not tonight")


@dataclass
class Nights:
    """A production target and the nights on it, each with dead rows to clear away."""

    aishell: Aishell
    bloated: Bloated
    db: Any
    name: str = "shop"
    last: Preview | None = field(default=None, init=False)

    def configure(self, rule: str = RULE, more: str = "", environment: str = "production") -> None:
        self.agent()
        self.aishell.configure("policy.yaml", f"earned:\n  - {rule}\n{more}" if rule else more)
        url, labels = json.dumps(self.db.url), "labels: [small]"
        self.aishell.configure(
            "targets.yaml", f"targets:\n  {self.name}: {{url: {url}, environment: {environment}, {labels}}}\n"
        )

    def agent(self, more: str = "") -> None:
        """Whatever the time of day: a constraint on hours would ask too, and what was earned cannot answer that."""
        bound = "safety_constraints: [{type: max_table_size, max_rows: 5000000}]"
        self.aishell.configure("agents/maintenance.yaml", f"maintenance_agent: {{{bound}{more}}}\n")

    def night(self, answer: Callable[[Request], Answer] | None = None, **options: Any) -> RunResult:
        """A run, and what it previewed in `last`."""
        for statement in BLOAT[self.bloated.engine]:
            self.db.execute(statement)
        task = Task("maintenance", self.name, {"maintenance_type": "full", "tables": ["orders"]})
        with Site.open(self.aishell.site, state=self.aishell.state) as site:
            self.last = site.plan(task)
            before = options.pop("before", lambda: None)
            before()
            return site.run(self.last, approve=answer, **options)

    def step(self, result: RunResult) -> Any:
        (step,) = [one for one in result.actions_taken if one.tool == "optimize_table"]
        return step

    def verdict(self) -> Any:
        assert self.last is not None
        (item,) = [one for one in self.last.steps if one.tool.name == "optimize_table"]
        return item.verdict

    def earn(self, times: int = 2) -> None:
        """The first supervised run has no estimate to go by; each ends verified."""
        for _ in range(times):
            assert self.step(self.night(yes)).status == "done"
            self.count = self.verdict().earned


@contextlib.contextmanager
def nights_on(request: pytest.FixtureRequest, aishell: Aishell, engine: str) -> Iterator[Nights]:
    with bloated_on(request, engine) as bloated:
        made = Nights(aishell, bloated, bloated.make())
        made.configure()
        yield made


@pytest.fixture(params=("sqlite", "pg_current"), ids=label)
def nights(request: pytest.FixtureRequest, aishell: Aishell) -> Iterator[Nights]:
    with nights_on(request, aishell, request.param) as made:
        yield made


@pytest.fixture
def on_sqlite(request: pytest.FixtureRequest, aishell: Aishell) -> Iterator[Nights]:
    with nights_on(request, aishell, "sqlite") as made:
        yield made


def asks(nights: Nights) -> None:
    """Nobody is there: the step waits, and nothing was done. The run is cancelled."""
    result = nights.night()
    assert result.status == "waiting_approval", (nights.verdict(), result)
    assert nights.aishell("runs", "cancel", str(result.run_id)).code == 0


def test_it_is_earned_used_told_and_lost(nights):
    nights.night(yes)  # without a basis for an estimate it asks for that too: what is earned does not show yet
    nights.night(yes)
    result = nights.night()
    step, verdict = nights.step(result), nights.verdict()
    assert (result.status, step.status, step.approved_by) == (
        "success", "done", "earned autonomy: 2 supervised runs"
    )  # fmt: skip
    assert (verdict.decision, verdict.requires_approval, verdict.earned.granted) == ("notify", False, True)
    rests = [row[0] for row in nights.aishell.rows("SELECT id FROM events WHERE type = 'step_completed'")]
    assert set(verdict.earned.events) <= set(rests)
    (used,) = nights.aishell.events("autonomy_used")
    assert (used["count"], used["after"], used["events"]) == (2, 2, list(verdict.earned.events))
    assert used["subject"]["target"] == "shop"
    assert nights.night().status == "success"
    said = nights.aishell("policy", "test", "--tool", "optimize_table", "--target", "shop", "--output", "json").json
    assert (said["decision"], said["earned"]["count"]) == ("notify", 2)
    assert nights.night(no).status == "success", "nobody is asked, so nobody can say no"
    failing = nights.aishell.configure("policy.yaml", "earned: []\n")
    assert nights.night(no).status == "rejected", failing
    nights.configure()
    asks(nights)
    said = nights.aishell("policy", "test", "--tool", "optimize_table", "--target", "shop").expect(0).out
    assert "0 of 2 supervised runs" in said
    nights.aishell("audit", "verify").expect(0)


def test_a_person_at_a_terminal_supervises_and_the_preview_counts(on_sqlite):
    """By keys on a real terminal: at the prompt, and with `approvals approve`; a command in a script does not count."""
    aishell = on_sqlite.aishell
    for statement in BLOAT["sqlite"]:
        on_sqlite.db.execute(statement)
    run = ("run", "maintenance", "--target", "shop", "--type", "full", "--table", "orders")
    command = ["python", "-m", "aishell", *aishell.command(*run)]
    with person(on_sqlite, command) as terminal:
        terminal.until("? ")
        terminal.type("a")
        assert terminal.end() == 0
    for count, scripted in ((1, True), (1, False), (2, None)):
        for statement in BLOAT["sqlite"]:
            on_sqlite.db.execute(statement)
        dry = aishell(*run, "--dry-run", "--output", "json").expect(0).json
        (verdict,) = [step["verdict"] for step in dry["plan"]["steps"] if step["tool"] == "optimize_table"]
        assert (verdict["earned"]["count"], verdict["earned"]["granted"]) == (count, count == 2)
        assert f"{count}" in next(one["text"] for one in verdict["reasons"] if one["rule"] == "earned autonomy")
        assert "earned autonomy" in aishell(*run, "--dry-run").expect(0).out
        ended = aishell(*run, "--non-interactive", "--output", "json")
        if scripted is None:
            assert "optimize_table runs without approval, earned autonomy: 2 supervised runs" in ended.expect(0).err
            continue
        ended.expect(3)
        (waiting,) = aishell("approvals", "list", "--output", "json").json
        if scripted:
            aishell("approvals", "approve", waiting["id"]).expect(0)
        else:
            approve = ["python", "-m", "aishell", *aishell.command("approvals", "approve", waiting["id"])]
            with person(on_sqlite, approve) as terminal:
                assert terminal.end() == 0
        aishell("runs", "resume", waiting["run_id"]).expect(0)


def person(nights: Nights, command: list[str]) -> Terminal:
    import sys

    return Terminal([sys.executable, *command[1:]], env=nights.aishell.environment(), cwd=str(nights.aishell.site))


@pytest.mark.parametrize("options", [{"yes": True}, {"answer": lambda request: Approve("a program")}])
def test_what_no_person_looked_at_earns_nothing(on_sqlite, options):
    for _ in range(3):
        assert on_sqlite.night(options.get("answer"), yes=options.get("yes", False)).status == "success"
    assert on_sqlite.verdict().earned.count == 0
    asks(on_sqlite)


def test_a_failure_takes_it_away_and_the_log_tells(nights):
    nights.earn(3)
    with broken(nights) as before:
        result = nights.night(before=before)
    assert nights.step(result).status == "failed", nights.step(result)
    (lost,) = nights.aishell.events("autonomy_reset")
    assert (lost["count"], lost["subject"]["tool"]) == (2, "optimize_table")  # the third night had earned it
    assert "failed" in lost["because"]
    asks(nights)


@contextlib.contextmanager
def broken(nights: Nights) -> Iterator[Callable[[], None]]:
    """What comes between the plan and the step: somebody holds the file, or the table has another name."""
    if nights.bloated.engine == "postgresql":
        yield lambda: nights.db.execute("ALTER TABLE orders RENAME TO elsewhere")
        nights.db.execute("ALTER TABLE elsewhere RENAME TO orders")
        return
    nights.agent(", default_config: {max_retries: 1}")
    with contextlib.closing(sqlite3.connect(nights.db.path, isolation_level=None)) as other:
        yield lambda: other.execute("BEGIN IMMEDIATE") and None


PRODUCTION, OWN = "production", RULE.replace("}", ", target: shop}")
#: The name of the target, its environment, the rule that fits it then, what else the policy says, and whether it still asks.
CHANGES = {
    "the same": ("shop", PRODUCTION, RULE, "", False),
    "a rule for this target": ("shop", PRODUCTION, OWN, "", False),
    "another name": ("crm", PRODUCTION, RULE, "", True),
    "a rule for another target": ("shop", PRODUCTION, RULE.replace("}", ", target: crm}"), "", True),
    "a rule that asks for more": ("shop", PRODUCTION, RULE.replace("2", "3"), "", True),
    "no rule": ("shop", PRODUCTION, "", "", True),
    "a constraint that asks": (
        "shop",
        PRODUCTION,
        RULE,
        "constraints: [{type: backup_required, before_operations: [optimize_table], on_violation: ask}]\n",
        True,
    ),
    "a scoped rule that asks": ("shop", PRODUCTION, RULE, "rules: [{tool: optimize_table, decision: confirm}]\n", True),
    "another environment": (
        "shop",
        "test",
        RULE.replace(PRODUCTION, "test"),
        "matrix: {moderate: {medium: confirm}}\n",
        True,
    ),
}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("change", CHANGES)
def test_what_was_earned_is_for_that_target_and_that_kind_of_question(on_sqlite, change):
    on_sqlite.earn()
    on_sqlite.name, environment, rule, more, still_asks = CHANGES[change]
    on_sqlite.configure(rule, more, environment)
    if "target: crm" in rule:
        with (on_sqlite.aishell.config / "targets.yaml").open("a") as file:
            file.write("  crm: {url: 'sqlite:///x.db', environment: test}\n")
    if still_asks:
        asks(on_sqlite)
    else:
        assert on_sqlite.night().status == "success"


def test_another_database_under_the_name_has_earned_nothing(on_sqlite):
    on_sqlite.earn()
    on_sqlite.db = on_sqlite.bloated.make()
    on_sqlite.configure()
    asks(on_sqlite)


def subject(nights: Nights) -> dict[str, Any]:
    """What the steps are of, as the log tells it."""
    told = (event["subject"] for event in nights.aishell.events("step_started") if "subject" in event)
    return next(subject for subject in told if subject["tool"] == "optimize_table")


def test_what_is_lost_between_the_plan_and_the_step_is_not_granted(on_sqlite):
    """Another run's step is rejected after this one was planned: it is judged again when the step is about to start."""
    on_sqlite.earn()

    def rejected() -> None:
        with Site.open(on_sqlite.aishell.site, state=on_sqlite.aishell.state) as site:
            told = {"status": "rejected", "subject": subject(on_sqlite)}
            site.runs.event("approval_decided", told, run_id="another", step_index=0)

    result = on_sqlite.night(before=rejected)
    assert on_sqlite.verdict().earned.granted, "as it was planned"
    assert result.status == "waiting_approval"


def test_what_is_lost_after_the_gates_is_not_granted_either(on_sqlite, monkeypatch):
    """In the very moment before the step is recorded: the count is made once more in that transaction."""
    from aishell.execution import executor

    on_sqlite.earn()
    original, lost = executor._start, []

    def start(run: Any, step: Any, tool: Any, *more: Any) -> None:
        if tool.name == "optimize_table" and not lost:
            lost.append(step.id)
            told = {"status": "rejected", "subject": subject(on_sqlite)}
            run.runs.event("approval_decided", told, run_id="another", step_index=0)
        original(run, step, tool, *more)

    monkeypatch.setattr(executor, "_start", start)
    result = on_sqlite.night()
    assert lost
    assert result.status == "waiting_approval"
    assert on_sqlite.aishell.events("autonomy_used") == []


@pytest.mark.parametrize("still", [True, False])
def test_a_killed_step_that_nobody_was_asked_about_is_counted_anew(on_sqlite, still):
    """Killed when it had begun: resumed it runs unasked where it is still earned, and asks where it is not."""
    on_sqlite.earn()
    aishell = on_sqlite.aishell
    for statement in BLOAT["sqlite"]:
        on_sqlite.db.execute(statement)
    run = ("run", "maintenance", "--target", "shop", "--type", "full", "--table", "orders")
    begun_by = (
        "SELECT run_id FROM steps WHERE tool = 'optimize_table' AND status = 'started' AND approved_by LIKE 'earned%'"
    )
    for commit in range(5, 20):
        assert aishell(*run, fault=Fault(commit, "after")).code == KILLED
        if begun := aishell.rows(begun_by):
            break
        ((waiting,),) = aishell.rows("SELECT id FROM runs WHERE state = 'executing'")
        aishell("runs", "cancel", waiting).expect(0)
    ((run_id,),) = begun
    said = aishell("policy", "test", "--tool", "optimize_table", "--target", "shop").expect(0).out
    assert "resume or cancel that run" in said, "nothing else is earned meanwhile"
    if not still:
        on_sqlite.configure("")
    assert aishell.resume(run_id).code == (0 if still else 3)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("edit", ["counted", "reset", "anchor"])
def test_an_edited_log_has_earned_nothing(on_sqlite, edit):
    on_sqlite.earn()
    if edit == "reset":
        assert on_sqlite.night(yes).status == "success"
    with contextlib.closing(sqlite3.connect(on_sqlite.aishell.state)) as state:
        if edit == "counted":
            event = on_sqlite.verdict().earned.events[0]
            state.execute("UPDATE events SET data = data || ' ' WHERE id = ?", [event])
        elif edit == "reset":
            state.execute("UPDATE events SET type = 'policy_decided' WHERE type = 'autonomy_used'")
        else:
            state.execute("DELETE FROM events WHERE id = (SELECT max(id) FROM events)")
        state.commit()
    asks(on_sqlite)
    said = on_sqlite.aishell("policy", "test", "--tool", "optimize_table", "--target", "shop").expect(0).out
    assert "audit log" in said
    on_sqlite.aishell("audit", "verify").expect(1)
