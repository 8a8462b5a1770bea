"""Notifications as people get them: by a mail server and a web server on this host, that also refuse or hang."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import time
from datetime import UTC, datetime, timedelta

import pytest

from aishell.errors import SettingsError
from aishell.models import Task
from aishell.notifying.telling import tell
from aishell.site import Site
from tests.faults.killing import KILLED, SWEEPS, Sweep
from tests.fix_notified import Notified
from tests.scheduled import back
from tests.servers import wait_until

SECRETS = ("mailsecret", "webhooksecret")


@pytest.fixture
def site(notified: Notified) -> Notified:
    return notified


def test_a_run_is_told_of_once_by_mail_and_by_webhook(site: Notified):
    site.rules("name: all is well, event: run_succeeded, to: [admin, hook]")
    site.run()
    site("notify", "send").expect(0)
    (mail,) = site.mail.got
    assert mail["Subject"].strip() == "shop: maintenance: success"
    assert mail.get_content_type() == "text/plain"
    run_id = site.aishell.only_run()
    body = mail.get_content()
    assert f"more: aishell --site {site.aishell.site} --state" in body.replace("=\n", "")
    assert f"runs show {run_id[:8]}" in body
    ((path, hook),) = site.web.got
    assert (path, hook["title"], hook["type"]) == ("/hook/webhooksecret", "shop: maintenance: success", "info")
    assert [(row["service"], row["status"], row["attempts"]) for row in site.outbox()] == [
        ("hook", "sent", 1),
        ("admin", "sent", 1),
    ]
    site.run()
    assert (len(site.mail.got), len(site.web.got)) == (2, 2)
    causes = [event["cause"] for event in site.aishell.events("notification_decided")]
    assert len(causes) == len(set(causes)) == 2
    site("audit", "verify").expect(0)


def test_a_sink_that_is_down_fails_no_run_is_recorded_and_tried_again(site: Notified):
    site.rules("name: done, event: run_succeeded, to: [admin, hook]")
    site.mail.refusing.set()
    site.web.refusing.set()
    ended = site.run()
    assert "2 notification(s) could not be delivered and will be tried again" in ended.err
    for row in site.outbox():
        assert (row["status"], row["attempts"]) == ("waiting", 1)
        assert {"admin": "failed", "hook": "503"}[row["service"]] in row["reason"]
    assert len(site.aishell.events("notification_failed")) == 2
    site("notify", "send").expect(0)  # it is not tried again at once
    assert [row["attempts"] for row in site.outbox()] == [1, 1]
    site.later(minutes=1)
    assert "2 failed" in site("notify", "send").expect(1).out
    waits = [datetime.fromisoformat(row["next_at"]) - datetime.now(UTC) for row in site.outbox()]
    assert all(timedelta(minutes=1.5) < wait < timedelta(minutes=2.1) for wait in waits), "twice as long as the first"
    site.mail.refusing.clear()
    site.web.refusing.clear()
    site.later(minutes=2)
    site("notify", "send").expect(0)
    site("notify", "send").expect(0)
    assert (len(site.mail.got), len(site.web.got)) == (1, 1)
    assert {(row["status"], row["attempts"], row["reason"]) for row in site.outbox()} == {("sent", 3, None)}


def test_no_secret_is_in_any_message_log_or_file(site: Notified):
    site.rules("name: done, event: run_succeeded, to: [admin, hook]")
    said = [site.run(), site("notify", "list"), site("--debug", "notify", "list", "--output", "json")]
    site.mail.refusing.set()
    site.web.refusing.set()
    said += [
        site("notify", "test"),
        site("notify", "test", "--output", "json", HOOK_URL="jsn://127.0.0.1/webhooksecret"),
    ]
    told = "".join(ended.out + ended.err for ended in said)
    told += "".join(mail.as_string() for mail in site.mail.got) + json.dumps([body for _, body in site.web.got])
    kept = b"".join(path.read_bytes() for path in site.aishell.home.rglob("*") if path.is_file())
    for secret in SECRETS:
        assert secret not in told
        assert secret.encode() not in kept
    assert "apprise cannot read the URL of the service" in told


def test_a_hanging_sink_holds_nobody_up(site: Notified):
    site.rules("name: done, event: run_succeeded, to: [admin, hook]")
    site.mail.hanging.set()
    site.run()
    rows = {row["service"]: row for row in site.outbox()}
    assert (rows["hook"]["status"], rows["admin"]["status"]) == ("sent", "waiting")
    # A server that answers now and then is no silent one: nothing but the process's end bounds it.
    site.later(minutes=5)
    began = time.monotonic()
    with Site.open(site.aishell.site, state=site.aishell.state) as opened, pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADMIN_URL", site.mail.url)
        told = tell(opened, patience=2.0)
    assert (told.sent, told.failed) == (0, 1)
    assert time.monotonic() - began < 60
    assert {row["service"]: row["reason"] for row in site.outbox()}["admin"] == "it took longer than 2 s"


def test_what_fails_is_told_with_its_error_and_what_to_do(site: Notified):
    site.rules(
        "name: failed, event: [run_failed, run_partial], to: [hook]", "name: well, event: run_succeeded, to: [admin]"
    )
    site.fail()
    ((_, hook),) = site.web.got
    assert hook["title"] in ("shop: maintenance: partial", "shop: maintenance: failure")
    assert "error: " in hook["message"]
    assert site.mail.got == []


def test_a_success_of_a_schedule_is_called_out_once_when_its_last_target_has_ended_well(site: Notified):
    heartbeat = f"http://127.0.0.1:{site.web.port}/ping/heartbeatsecret"
    site.aishell.configure(
        "schedules.yaml",
        "schedules:\n  nightly:\n    every: 1d\n    agent: maintenance\n    input: {maintenance_type: quick}\n"
        f"    label: small\n    missed: once\n    approve_up_to: medium\n    heartbeat_url: {heartbeat}\n",
    )
    site.rules("name: could not, event: schedule_failed, schedule: night*, to: [hook]")
    targets = site.aishell.config / "targets.yaml"
    targets.write_text(
        targets.read_text() + "  crm: {url: 'sqlite:///missing.db', environment: test, labels: [small]}\n"
    )
    back(site.aishell, "nightly", days=1)
    site("schedule", "run-due").expect(2)
    ((path, hook),) = site.web.got
    assert (path, hook["title"]) == ("/hook/webhooksecret", "nightly on crm: could not run")
    with contextlib.closing(sqlite3.connect(site.aishell.site / "missing.db")) as crm:
        crm.execute("CREATE TABLE t (i INTEGER PRIMARY KEY)")
    back(site.aishell, "nightly", days=1)
    site.web.refusing.set()
    site("schedule", "run-due").expect(0)
    assert next((row["kind"], row["status"]) for row in site.outbox()) == ("heartbeat", "waiting")
    site.web.refusing.clear()
    site.later(minutes=1)
    for _ in range(2):
        site("schedule", "run-due").expect(0)
    assert site.web.got[1:] == [("/ping/heartbeatsecret", None)]
    kept = b"".join(path.read_bytes() for path in site.aishell.state.parent.rglob("*") if path.is_file())
    assert b"heartbeatsecret" not in kept


def test_a_missing_extra_is_told_when_a_service_is_configured(site: Notified):
    site.rules("name: done, event: run_succeeded, to: [admin]")
    with Site.open(site.aishell.site, state=site.aishell.state) as opened, pytest.MonkeyPatch.context() as patch:
        patch.setattr("aishell.notifying.rules.find_spec", lambda name: None)
        with pytest.raises(SettingsError, match=r"notifications\.yaml:2: .*not installed") as caught:
            assert opened.notifications
    assert caught.value.hint == "pip install 'aishell[notifications]'"


def test_wrong_rules_stop_a_run_before_it_begins(site: Notified):
    site.rules("name: done, when: execution_tmie > 5, to: [admin]")
    for command in (("run", "maintenance", "--target", "shop"), ("schedule", "run-due"), ("notify", "send")):
        assert "did you mean 'execution_time'?" in site(*command).expect(2).err
    assert not site.aishell.state.exists()
    site("runs", "list").expect(0)


@SWEEPS
def test_a_run_that_is_killed_at_a_commit_is_told_of_by_the_next_look(site: Notified, sweep: Sweep):
    """Killed before or after each commit of the run and of what tells of it: the outcome is decided once, whoever does."""
    site.rules("name: done, event: run_succeeded, to: [admin]", "name: never, when: last_backup_age > 1h, to: [admin]")
    site.urls.clear()  # nothing is delivered: it is about the decisions
    site("notify", "send").expect(0)
    for fault in sweep.faults(24):
        site.aishell.state.unlink(missing_ok=True)
        for left in site.aishell.state.parent.glob("state.db*"):
            left.unlink()
        ended = site.run_killed(fault)
        if site.aishell.state.exists():
            for (run_id,) in site.aishell.rows("SELECT id FROM runs WHERE state <> 'completed'"):
                site("runs", "resume", run_id, "--yes").expect(0)
            site("notify", "send")
            completed = site.aishell.rows("SELECT id FROM runs WHERE state = 'completed'")
            rules = [rule for (rule,) in site.aishell.rows("SELECT rule FROM outbox ORDER BY rule")]
            assert rules == ["done"] * len(completed) + ["never"], fault
            site("audit", "verify").expect(0)
        if ended.code != KILLED:
            break


def test_a_daemon_has_people_told_though_a_service_hangs(site: Notified):
    site.rules("name: done, event: run_succeeded, to: [hook, admin]")
    site.run()
    with Site.open(site.aishell.site, state=site.aishell.state) as opened:
        opened.run(Task("maintenance", "shop", {"maintenance_type": "quick"}))  # of which nobody is told by itself
    assert len(site.web.got) == 1
    site.mail.hanging.set()
    daemon = site.aishell.start("schedule", "start", **site.urls)
    wait_until(lambda: len(site.web.got) == 2, "the second run is told of")
    daemon.signal(signal.SIGTERM)
    assert "failed" not in daemon.wait().expect(0).err
