"""Hooks: what comes before something can stop it, what comes after changes nothing, a tool on errors is a step like any other."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from aishell.errors import SettingsError
from aishell.registry.hook_programs import KEPT
from aishell.site import Site
from tests.bloated import Bloated
from tests.faults.killing import KILLED, SWEEPS, Sweep, assert_no_finished_step_ran_again, new_site
from tests.faults.test_rollback import Site as Marks
from tests.faults.test_rollback import step
from tests.fix_aishell import Aishell
from tests.scheduled import back, nightly, rows
from tests.servers import wait_until

#: Writes down what it was told; then it does as its own folder says.
SCRIPT = """#!/bin/sh
python3 -c '
import json, os
print(json.dumps({{name[8:].lower(): value for name, value in os.environ.items() if name.startswith("AISHELL_")}}))
' >> {log}
. {then}
"""


class Hooks:
    """Hooks of a site that write down each call; `then` is what they do after it."""

    def __init__(self, aishell: Aishell) -> None:
        self.aishell = aishell
        self.log, self.behaviour = aishell.home / "hooks.log", aishell.home / "then.sh"
        self.log.touch()
        self.then("")
        self.script = aishell.site / "hooks" / "note.sh"
        self.script.parent.mkdir()
        self.script.write_text(SCRIPT.format(log=self.log, then=self.behaviour))
        self.script.chmod(0o755)

    def then(self, lines: str) -> None:
        self.behaviour.write_text(lines)

    def on(self, *events: str, **more: Any) -> None:
        """Call the script on these events."""
        self.configure(*({"on": event, "command": ["hooks/note.sh"], **more} for event in events))

    def configure(self, *hooks: dict[str, Any]) -> None:
        self.aishell.configure("aishell.yaml", json.dumps({"hooks": hooks}))

    @property
    def told(self) -> list[dict[str, str]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    @property
    def events(self) -> list[str]:
        return [f"{one['event']} {one['step_id']} {one['status']}".replace("  ", " ").strip() for one in self.told]


@pytest.fixture
def hooks(aishell: Aishell) -> Hooks:
    return Hooks(aishell)


def with_rescue(aishell: Aishell) -> Marks:
    """A site whose tool `rescue` is of low risk: what is of medium risk asks where nobody knows what it takes."""
    site = Marks(aishell)
    tool = aishell.site / "tools" / "sqlite" / "mark.sql"
    text = tool.read_text().partition("-- undo:")[0].replace("name: mark", "name: rescue")
    tool.with_name("rescue.sql").write_text(text.replace("risk: medium", "risk: low"))
    return site


@pytest.fixture
def site(aishell: Aishell) -> Marks:
    return with_rescue(aishell)


def statuses(aishell: Aishell) -> list[tuple[str, str]]:
    return aishell.rows("SELECT step_id, status FROM steps ORDER BY step_index")  # type: ignore[return-value]


def test_a_run_and_its_steps_are_framed_on_every_engine(bloated: Bloated, aishell: Aishell, hooks: Hooks):
    aishell.url = bloated.make().url
    hooks.on("before_run", "before_step", "after_step", "after_run")
    ended = aishell.maintenance("quick").expect(0)
    begun = [name for name, status in ended.statuses().items() if status == "done"]
    framed = [line for name in begun for line in (f"before_step {name}", f"after_step {name} done")]
    assert hooks.events == ["before_run", *framed, "after_run success"]
    (first, *_), run = hooks.told, ended.run_id
    assert {name: first[name] for name in ("run_id", "agent", "environment", "schedule")} == {
        "run_id": run, "agent": "maintenance", "environment": "test", "schedule": "",
    }  # fmt: skip
    assert {one["tool"] for one in hooks.told if one["step_id"]} <= {one["tool"] for one in ended.json["actions_taken"]}
    assert len(aishell.events("hook_started")) == len(aishell.events("hook_ended")) == len(hooks.told)
    aishell("audit", "verify").expect(0)


REFUSALS = {
    "fails": ("echo draining; echo 'no replica is left' >&2; exit 7", "exit status 7: no replica is left"),
    "is killed": ("kill -9 $$", "terminated by signal 9"),
    "hangs": ("trap '' TERM; sleep 600", "did not end within 1 s"),
}


@pytest.mark.parametrize("how", REFUSALS)
def test_a_run_that_a_hook_refuses_sends_nothing_and_can_be_gone_on_with(site: Marks, hooks: Hooks, how: str):
    hooks.on("before_run", "after_run", timeout=1)
    before, (then, why) = site.path.stat().st_mtime_ns, REFUSALS[how]
    hooks.then(f'test "$AISHELL_EVENT" = after_run || {{ {then}; }}')
    refused = site.run(step("a")).expect(5)
    assert (refused.json["status"], refused.json["state"]) == ("rejected", "failed")
    assert why in refused.json["error"]["message"]
    assert site.words() == []
    assert site.path.stat().st_mtime_ns == before
    assert statuses(site.aishell) == [("a", "pending")]
    assert hooks.events == ["before_run", "after_run rejected"], "what was done before is taken back"
    assert why in hooks.told[-1]["error"]
    (failed,) = site.aishell.events("hook_failed")
    assert failed["reason"].startswith(why.partition(":")[0])
    hooks.then("")
    site.aishell.resume(refused.run_id).expect(0)
    assert site.words() == ["a"]
    site.aishell("audit", "verify").expect(0)


def test_a_step_that_a_hook_refuses_waits_while_others_go_on(site: Marks, hooks: Hooks):
    hooks.on("before_step", "after_step")
    hooks.then('test "$AISHELL_STEP_ID" != b || exit 1')
    refused = site.run(step("a"), step("b"), step("c", needs=["b"]), step("d")).expect(5)
    assert sorted(site.words()) == ["a", "d"]
    assert dict(statuses(site.aishell)) == {"a": "done", "b": "pending", "c": "pending", "d": "done"}
    (b,) = (one for one in refused.json["actions_taken"] if one["step_id"] == "b")
    assert (b["status"], "exit status 1" in b["reason"]) == ("pending", True)
    assert refused.json["output_data"]["refused"]
    assert refused.json["error"]["step_id"] == "b"
    hooks.then("")
    site.aishell.resume(refused.run_id).expect(0)
    assert sorted(site.words()) == ["a", "b", "c", "d"]
    assert hooks.events.count("before_step a") == 1


def test_gates_are_asked_again_behind_a_hook(site: Marks, hooks: Hooks):
    """What a hook takes long for may not be allowed any more: here by rules that it writes itself."""
    hooks.on("before_step")
    policy = site.aishell.config / "policy.yaml"
    hooks.then(f"echo 'rules: [{{tool: mark, decision: deny}}]' > {policy}")
    assert site.run(step("a")).expect(5).statuses() == {"a": "rejected"}
    assert site.words() == []


def test_an_approval_that_a_hook_refuses_is_neither_taken_nor_asked_for(site: Marks, hooks: Hooks):
    hooks.on("before_approval", "after_approval", "before_step")
    hooks.then('test "$AISHELL_EVENT" != before_approval')
    refused = site.run(step("a"), environment="production").expect(5)
    assert statuses(site.aishell) == [("a", "pending")]
    assert site.aishell.rows("SELECT id FROM approvals") == []
    assert hooks.events == ["before_approval a"]
    hooks.then("")
    waiting = site.aishell.resume(refused.run_id).expect(3)
    ((name,),) = site.aishell.rows("SELECT id FROM approvals")
    site.aishell("approvals", "approve", name).expect(0)
    site.aishell.resume(waiting.run_id).expect(0)
    assert hooks.events[1:] == ["before_approval a", "before_approval a", "after_approval a approved", "before_step a"]
    assert site.words() == ["a"]


def test_what_comes_after_changes_nothing_of_the_outcome(site: Marks, hooks: Hooks):
    hooks.on("after_step", "after_run", timeout=1)
    hooks.then(
        'case "$AISHELL_EVENT" in after_run) sleep 600;; *) yes "$(printf %1000s x)" | head -c 3000000; exit 4; esac'
    )
    ended = site.run(step("a")).expect(0)
    assert (ended.json["status"], site.words()) == ("success", ["a"])
    failed = {one["on"]: one["reason"] for one in ended.json["output_data"]["hooks_failed"]}
    assert failed["after_step"].startswith("exit status 4")
    assert failed["after_run"] == "did not end within 1 s"
    assert len(ended.json["output_data"]["warnings"]) == 2
    told = site.aishell.events("hook_failed")
    assert [len(one["output"].encode()) <= KEPT for one in told] == [True, True]


def test_a_step_that_fails_is_told_once(site: Marks, hooks: Hooks):
    hooks.on("on_error", "after_run")
    ended = site.run(step("a"), step("no", needs=["a"])).expect(1)
    assert hooks.events == ["on_error no failed", "after_run failure"]
    assert "CHECK constraint failed" in hooks.told[0]["error"]
    assert ended.json["error"]["step_id"] == "no"


RESCUE = {"on": "on_error", "name": "rescue", "tool": "rescue", "params": {"word": "rescued"}}


def test_the_tool_of_a_hook_runs_only_when_a_step_has_failed(site: Marks, hooks: Hooks):
    hooks.configure(RESCUE, {"on": "after_step", "command": ["hooks/note.sh"]})
    fine = site.run(step("a")).expect(0)
    assert fine.statuses() == {"a": "done", "on_error_rescue": "skipped"}
    assert fine.json["plan"]["steps"][1]["hook"] == "rescue"
    for on_error, status in (("fail", "failure"), ("continue", "partial")):
        failed = site.run(step("b"), step("no", needs=["b"], on_error=on_error)).expect(1)
        assert failed.statuses() == {"b": "done", "no": "failed", "on_error_rescue": "done"}
        assert (failed.json["status"], failed.json["error"]["step_id"]) == (status, "no")
    assert site.words() == ["a", "b", "rescued", "b", "rescued"]
    assert "after_step on_error_rescue done" in hooks.events, "it is a step like any other"


def test_the_tool_of_a_hook_goes_through_the_gates(site: Marks, hooks: Hooks):
    hooks.configure({**RESCUE, "tool": "note"})
    site.aishell.configure("policy.yaml", "rules: [{tool: note, decision: confirm}]\n")
    failed = site.run(step("no")).expect(1)
    assert (failed.json["status"], failed.json["state"]) == ("waiting_approval", "waiting_approval")
    assert site.words() == []
    ((name,),) = site.aishell.rows("SELECT id FROM approvals")
    site.aishell("approvals", "approve", name).expect(0)
    assert site.aishell.resume(failed.run_id).expect(1).statuses()["on_error_note"] == "done"
    assert site.words() == ["rescued"]
    site.aishell.configure("policy.yaml", "rules: [{tool: note, decision: deny}]\n")
    assert site.run(step("no")).expect(1).statuses()["on_error_note"] == "rejected"
    assert site.words() == ["rescued"]


def test_the_tool_of_a_hook_that_fails_is_told_and_called_for_no_further_hook(site: Marks, hooks: Hooks):
    hooks.configure({**RESCUE, "params": {"word": "no"}}, {"on": "on_error", "command": ["hooks/note.sh"]})
    failed = site.run(step("no")).expect(1)
    assert failed.json["error"]["step_id"] == "no"
    assert [one["name"] for one in failed.json["output_data"]["hooks_failed"]] == ["rescue"]
    assert [one["name"] for one in site.aishell.events("hook_failed")] == ["rescue"]
    assert hooks.events == ["on_error no failed"]


@SWEEPS
def test_killed_anywhere_the_tool_of_a_hook_runs_once(aishell: Aishell, sweep: Sweep):
    for fault in sweep.faults(16):
        site = with_rescue(new_site(aishell, str(fault).replace(" ", "_"), ""))
        site.aishell.configure("aishell.yaml", json.dumps({"hooks": [RESCUE]}))
        ended = site.run(step("no"), fault=fault)
        killed = ended.code == KILLED
        if killed and not (site.aishell.state.exists() and site.aishell.rows("SELECT id FROM runs")):
            continue
        run = site.aishell.only_run()
        if killed and site.aishell.state_of(run) != "failed":
            ended = site.aishell.resume(run).expect(1)
            assert ended.statuses() == {"no": "failed", "on_error_rescue": "done"}, fault
        assert site.words() == ["rescued"], fault
        assert_no_finished_step_ran_again(site.aishell)
        site.aishell("audit", "verify").expect(0)
        if not killed:
            break


def test_a_python_hook_is_told_by_name_and_may_raise(site: Marks, hooks: Hooks):
    (site.aishell.site / "gate.py").write_text(
        "import json, os, pathlib\n"
        "def check(facts):\n"
        f"    pathlib.Path({str(hooks.log)!r}).write_text(json.dumps(facts))\n"
        "    if facts['step_id'] == 'b':\n"
        "        raise RuntimeError('b is not for tonight')\n"
    )
    hooks.configure({"on": "before_step", "python": "gate:check"})
    refused = site.run(step("a"), step("b", needs=["a"])).expect(5)
    assert "RuntimeError: b is not for tonight" in refused.json["error"]["message"]
    assert site.words() == ["a"]
    assert hooks.told[0]["event"] == "before_step"
    hooks.configure({"on": "before_step", "python": "gate:os"})
    assert "is not callable" in site.run(step("a")).expect(2).err


def test_a_hook_is_for_the_targets_that_it_chooses(site: Marks, hooks: Hooks):
    url = f"sqlite:///{site.path}"
    named = {name: {"url": url, "environment": "test", "labels": [name[0]]} for name in ("shop", "crm")}
    site.aishell.configure("targets.yaml", json.dumps({"targets": named}))
    entries = ({"target": "s*", "name": "one"}, {"label": "c", "name": "two"})
    hooks.configure(*({"on": "after_run", "command": ["hooks/note.sh"], **one} for one in entries))
    for name in ("shop", "crm"):
        site.aishell("run", "maintenance", "--type", "quick", "--target", name).expect(0)
    assert [(one["target"]) for one in hooks.told] == ["shop", "crm"]
    found = site.aishell("doctor", "--output", "json").json["findings"]
    (told,) = (one["text"] for one in found if one["subject"] == "hooks")
    assert told == "after_run: one (the command hooks/note.sh); after_run: two (the command hooks/note.sh)"


def test_a_dry_run_calls_none_and_says_so(site: Marks, hooks: Hooks):
    hooks.on("before_run", "before_step", "after_run")
    url = f"sqlite:///{site.path}"
    dry = site.aishell("run", "maintenance", "--url", url, "--dry-run", "--output", "json").expect(0)
    assert "A dry run does not call these hooks: before_run note.sh" in dry.json["reasoning"]
    assert [one["on"] for one in dry.json["output_data"]["hooks"]] == ["before_run", "before_step", "after_run"]
    assert "not in a dry run" in site.aishell("run", "maintenance", "--url", url, "--dry-run").expect(0).out
    assert hooks.told == []


def test_no_secret_of_the_environment_is_passed_on(site: Marks, hooks: Hooks):
    hooks.on("before_run")
    hooks.then(f"env > {hooks.aishell.home}/env; pwd >> {hooks.aishell.home}/env")
    secrets = dict.fromkeys(("PGPASSWORD", "MYSQL_PWD", "SHOP_TOKEN"), "very secret")
    site.aishell.start(
        "run", "maintenance", "--url", f"sqlite:///{site.path}", "--environment", "test", **secrets
    ).wait().expect(0)
    seen = (hooks.aishell.home / "env").read_text()
    assert "very secret" not in seen
    assert seen.rstrip().endswith(str(site.aishell.site))


class TestStopped:
    """What a person or another process asks for while a hook runs is heard."""

    def begun(self, site: Marks, hooks: Hooks, on: str) -> Any:
        hooks.on(on, "after_run")
        hooks.then(f'test "$AISHELL_EVENT" != {on} || exec sleep 600')
        url = f"sqlite:///{site.path}"
        words = ("run", "maintenance", "--type", "quick", "--url", url, "--environment", "test", "--output", "json")
        running = site.aishell.start(*words)
        wait_until(lambda: bool(hooks.told), "the hook to begin")
        return running

    @pytest.mark.parametrize("on", ["before_run", "before_step"])
    def test_by_an_interrupt(self, site: Marks, hooks: Hooks, on: str):
        running = self.begun(site, hooks, on)
        running.signal()
        ended = running.wait().expect(130)
        assert (ended.json["status"], ended.json["state"]) == ("cancelled", "paused")
        assert hooks.events[-1] == "after_run cancelled"
        assert {status for _, status in statuses(site.aishell)} == {"pending"}
        hooks.then("")
        site.aishell.resume(ended.run_id).expect(0)

    def test_an_interrupt_ends_what_comes_after_and_leaves_the_outcome(self, site: Marks, hooks: Hooks):
        running = self.begun(site, hooks, "after_step")
        running.signal()
        assert hooks.events[0] == "after_step health done"
        ended = running.wait().expect(130)
        assert ended.statuses()["health"] == "done"

    @pytest.mark.parametrize("on", ["before_run", "before_step"])
    def test_by_a_pause(self, site: Marks, hooks: Hooks, on: str):
        running = self.begun(site, hooks, on)
        site.aishell("runs", "pause", site.aishell.only_run()).expect(0)
        ended = running.wait().expect(4)
        assert ended.json["state"] == "paused"
        assert {status for _, status in statuses(site.aishell)} == {"pending"}

    def test_by_a_hold(self, site: Marks, hooks: Hooks):
        go = hooks.aishell.home / "go"
        hooks.on("before_step", "after_step")
        hooks.then(f"while [ ! -e {go} ]; do sleep 0.05; done")
        url = f"sqlite:///{site.path}"
        running = site.aishell.start("run", "maintenance", "--url", url, "--environment", "test", "--output", "json")
        wait_until(lambda: bool(hooks.told), "the hook to begin")
        site.aishell("hold", "--reason", "disk replaced").expect(0)
        go.touch()
        assert running.wait().expect(4).json["output_data"]["held"]
        assert hooks.events == ["before_step health", "after_step health pending"]
        assert {status for _, status in statuses(site.aishell)} == {"pending"}


def test_a_scheduled_run_that_a_hook_refuses_stands_in_the_ledger(site: Marks, hooks: Hooks):
    nightly(site.aishell, f"sqlite:///{site.path}")
    hooks.on("before_run", "after_run")
    hooks.then('test "$AISHELL_EVENT" != before_run || { echo "the standby lags"; exit 1; }')
    back(site.aishell, "nightly", 1)
    site.aishell("schedule", "run-due").expect(5)
    (row,) = rows(site.aishell)
    assert (row.status, row.outcome, row.exit_code) == ("done", "rejected", 5)
    assert "the standby lags" in row.reason
    told = hooks.told[0]
    assert (told["schedule"], told["nominal_time"], told["target"]) == ("nightly", row.nominal_at, "shop")
    digest = site.aishell("digest", "--format", "json").json
    assert [one["kind"] for one in digest["needs"] if "the standby lags" in one["text"]] == ["refused"]


def test_the_stages_of_a_scheduled_workflow_have_hooks(site: Marks, hooks: Hooks):
    nightly(site.aishell, f"sqlite:///{site.path}")
    schedules = site.aishell.config / "schedules.yaml"
    lines = [line for line in schedules.read_text().splitlines() if "input:" not in line]
    schedules.write_text("\n".join(lines).replace("agent: maintenance", "workflow: night") + "\n")
    site.aishell.configure("workflows/night.yaml", "stages:\n  tidy: {agent: maintenance}\n")
    hooks.on("before_run")
    hooks.then("exit 1")
    back(site.aishell, "nightly", 1)
    site.aishell("schedule", "run-due").expect(5)
    assert [(one["schedule"], one["agent"]) for one in hooks.told] == [("nightly", "maintenance")]
    assert site.aishell.rows("SELECT stage, status, exit_code FROM workflow_stages") == [("tidy", "failed", 5)]


WRONG = {
    "{command: [hooks/note.sh]}": "a hook needs the key `on`",
    "{on: before_ran, command: [hooks/note.sh]}": "did you mean 'before_run'",
    "{on: before_run}": "a hook needs something to call",
    "{on: before_run, command: [hooks/note.sh], python: 'a:b'}": "several things to call: command, python",
    "{on: before_run, tool: note}": "a tool runs on_error alone",
    "{on: on_error, tool: nte}": "unknown tool 'nte'",
    "{on: on_error, tool: note, params: {wrd: a}}": "unknown parameter 'wrd'",
    "{on: on_error, tool: note, params: {word: '${steps.a.output.marked}'}}": "unknown step 'a'",
    "{on: on_error, tool: drop_scratch_database, params: {database: aishell_scratch_0123abcd}}": "which the target shop is",
    "{on: on_error, tool: note, timeout: 5}": "max_execution_time",
    "{on: before_run, command: [hooks/nte.sh]}": "does not exist",
    "{on: before_run, command: [./hooks]}": "cannot be started",
    "{on: before_run, command: [no-such-program-here]}": "it is not on the path",
    "{on: before_run, command: hooks/note.sh}": "command must be a list",
    "{on: before_run, command: []}": "command is empty",
    "{on: before_run, command: [hooks/note.sh], timeout: 0s}": "a timeout of 0 s",
    "{on: before_run, command: [hooks/note.sh], timeuot: 1}": "did you mean 'timeout'",
    "{on: before_run, command: [hooks/note.sh], target: crm}": "unknown target 'crm'",
    "{on: before_run, command: [hooks/note.sh], params: {a: 1}}": "this hook names none",
    "{on: after_run, command: [sh]}\n  - {on: after_run, command: [sh, -c, ls]}": "two hooks are called",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_said_at_load_with_file_and_line(site: Marks, hooks: Hooks, text: str):
    url = f"sqlite:///{site.path}"
    site.aishell.configure("targets.yaml", json.dumps({"targets": {"shop": {"url": url, "environment": "test"}}}))
    site.aishell.configure("aishell.yaml", f"jobs: 1\nhooks:\n  - {text}\n")
    with Site.open(site.aishell.site, state=site.aishell.state) as opened, pytest.raises(SettingsError) as caught:
        _ = opened.settings
    assert f"aishell.yaml:{3 + text.count(chr(10))}:" in caught.value.message
    assert WRONG[text] in f"{caught.value.message} {caught.value.hint}"


def test_a_mistake_ends_every_command_before_it_touches_anything(site: Marks, hooks: Hooks):
    hooks.configure({"on": "before_run", "command": ["hooks/nte.sh"]})
    for words in (("run", "maintenance", "--url", f"sqlite:///{site.path}"), ("targets", "list")):
        assert "aishell.yaml:1: the hook" in site.aishell(*words).expect(2).err
    assert not site.aishell.state.exists()


def test_a_program_that_others_can_write_is_refused(site: Marks, hooks: Hooks):
    given = site.aishell.home / "given.sh"
    given.write_text("exit 0\n")
    url = f"sqlite:///{site.path}"
    words = ("run", "maintenance", "--url", url, "--environment", "test")
    for path, command in ((hooks.script, ["hooks/note.sh"]), (given, ["sh", str(given)])):
        hooks.configure({"on": "before_run", "command": command})
        site.aishell(*words).expect(0)
        path.chmod(0o777)
        refused = site.aishell(*words).expect(2)
        assert f"{path} can be written by everybody" in refused.err
        path.chmod(0o755)


def test_a_hook_ends_with_what_it_has_started(site: Marks, hooks: Hooks):
    number = hooks.aishell.home / "pid"
    hooks.on("before_run", timeout=1)
    hooks.then(f"sleep 600 & echo $! > {number}; wait")
    site.run(step("a")).expect(5)
    wait_until(lambda: not Path(f"/proc/{number.read_text().strip()}").exists() or _zombie(number), "its child to end")


def _zombie(number: Path) -> bool:
    try:
        return Path(f"/proc/{number.read_text().strip()}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_what_a_hook_leaves_behind_is_not_waited_for(site: Marks, hooks: Hooks):
    number = hooks.aishell.home / "pid"
    hooks.on("before_run")
    hooks.then(f"sleep 600 & echo $! > {number}")
    site.run(step("a")).expect(0)
    os.kill(int(number.read_text()), signal.SIGKILL)  # it is there
