"""Answers that come when the night may not go on: a blackout, a pause, a hold, a window that has closed."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from aishell.moments import at
from aishell.notifying.happenings import read
from aishell.site import Site
from aishell.state.outbox import _NEW
from tests.commands.test_daemon import fill
from tests.fix_aishell import Aishell
from tests.scheduled import back, nightly, rows


@pytest.fixture
def site(aishell: Aishell) -> Iterator[Aishell]:
    """A night that waits for an answer."""
    fill(aishell.site / "shop.db")
    nightly(aishell, "sqlite:///shop.db", environment="production", kind="full", approve="")
    back(aishell, "nightly", days=1)
    aishell("schedule", "run-due")
    assert rows(aishell)[0].status == "waiting"
    return aishell


def ends(site: Aishell, moment: datetime) -> str:
    """Have the window of the night close at a moment; the moment as it is written."""
    text = moment.astimezone(UTC).isoformat(timespec="microseconds")
    with contextlib.closing(sqlite3.connect(site.state)) as state:
        state.execute("UPDATE schedule_runs SET until = ?", [text])
        state.commit()
    return text


def approved(site: Aishell) -> str:
    """What is said to whoever approves it."""
    ((name,),) = site.rows("SELECT id FROM approvals WHERE status = 'pending'")
    return site("approvals", "approve", name).expect(0).out


def message(site: Aishell) -> str:
    """The notification of what waits."""
    with Site.open(site.site, state=site.state) as opened, opened.store.read() as connection:
        events = connection.all(_NEW.format(types="'approval_requested'"), {"after": 0, "oldest": ""})
        (told,) = (one for event in events for one in read(event, lambda target: ()))
    return told.body


def test_a_message_says_what_waits(site: Aishell):
    body = message(site)
    ((tool,),) = site.rows("SELECT request ->> 'tool' FROM approvals")
    assert f"tool: {tool} (" in body
    assert "answer by " in body


def test_in_a_pause_it_waits_and_goes_on_after_it(site: Aishell):
    site("schedule", "pause", "nightly", "--reason", "migration").expect(0)
    said = approved(site)
    assert "continues when the schedule nightly runs again" in said
    assert "migration" in said
    assert "paused by" in site("schedule", "run-due").expect(0).out
    assert site("schedule", "run-due").expect(0).out == "", "it is told once"
    (row,) = rows(site)
    assert (row.status, "migration" in row.reason) == ("waiting", True)
    site("schedule", "resume", "nightly").expect(0)
    site("schedule", "run-due").expect(0)
    assert [(row.status, row.outcome, row.reason) for row in rows(site)] == [("done", "success", "")]


def test_on_a_blackout_it_waits(site: Aishell):
    text = (site.config / "schedules.yaml").read_text()
    days = [str((datetime.now(UTC) + timedelta(days=days)).date()) for days in (-1, 0, 1)]
    site.configure("schedules.yaml", f"blackouts: [{', '.join(days)}]\n{text}")
    assert "blackout" in approved(site)
    site("schedule", "run-due")
    assert rows(site)[0].status == "waiting"
    assert "blackout" in rows(site)[0].reason
    assert site.rows("SELECT state FROM runs") == [("waiting_approval",)]
    site.configure("schedules.yaml", text)
    site("schedule", "run-due").expect(0)
    assert rows(site)[0].outcome == "success"


def test_after_its_window_nothing_goes_on_and_it_is_not_lost(site: Aishell):
    ends(site, datetime.now(UTC) - timedelta(minutes=1))
    said = approved(site)
    assert "does not continue by itself: its window closed at" in said
    ((run,),) = site.rows("SELECT id FROM runs")
    assert f"runs resume {run[:8]}" in said
    assert "its window closed at" in site("schedule", "run-due").expect(0).out
    (row,) = rows(site)
    assert (row.status, f"runs resume {run[:8]}" in row.reason) == ("waiting", True)
    (need,) = (need for need in site("digest", "--format", "json").expect(0).json["needs"] if need["kind"] == "paused")
    assert run[:8] in need["remedy"]
    site("runs", "resume", run[:8], "--non-interactive").expect(0)
    site("schedule", "run-due")
    assert [row.outcome for row in rows(site)] == ["success"]


def test_the_deadline_is_the_end_of_the_window_where_that_is_earlier(site: Aishell):
    listed = site("approvals", "list", "--output", "json").expect(0).json[0]
    assert listed["until"] == listed["expires_at"]
    end = ends(site, datetime.now(UTC) + timedelta(hours=1))
    (listed,) = site("approvals", "list", "--output", "json").expect(0).json
    assert (listed["until"], listed["expires_at"] > end) == (end[:19], True)
    shown = site("approvals", "show", listed["id"]).expect(0).out
    assert f"answer by {at(end)}" in shown
    assert "schedule nightly, whose window closes at" in shown
    assert "on shop (production): " in shown
    assert f"answer by {at(end)}" in message(site)
    assert "shop" in site("approvals", "list").expect(0).out
    assert "until its window closes at" in approved(site)


def test_under_a_hold_it_is_said_that_it_waits_for_the_release(site: Aishell):
    site("hold", "--reason", "disk replaced").expect(0)
    assert "continues when the hold is released" in approved(site)
    assert "released: every target was on hold from" in site("release").expect(0).out
    site("schedule", "run-due").expect(0)
    assert [(row.outcome, row.reason) for row in rows(site)] == [("success", "")]


def test_what_has_no_sql_is_shown_by_its_parameters(aishell: Aishell):
    fill(aishell.site / "shop.db")
    nightly(aishell, "sqlite:///shop.db", environment="production")
    aishell("run", "backup", "--target", "shop", "--yes", "--non-interactive").expect(0)
    (backup,) = aishell("backups", "list", "--output", "json").expect(0).json
    aishell(
        "backups", "restore", backup["backup_id"], "--to", str(aishell.site / "again.db"), "--non-interactive"
    ).expect(3)
    (one,) = aishell("approvals", "list", "--output", "json").expect(0).json
    shown = aishell("approvals", "show", one["id"]).expect(0).out
    assert f"parameter place = {aishell.site / 'again.db'}" in shown
    assert f"parameter backup_id = {backup['backup_id']}" in shown
    for edit in ("place=/tmp/x.db", "backup_id=other", "compare=false"):
        name = edit.partition("=")[0]
        assert f"cannot change {name}" in aishell("approvals", "edit", one["id"], "--set", edit).expect(2).err


def test_a_log_whose_anchor_is_gone_is_not_called_whole(site: Aishell):
    site("runs", "cancel", site.rows("SELECT id FROM runs")[0][0][:8])
    site("run", "maintenance", "--type", "quick", "--target", "shop", "--yes", "--non-interactive")
    site("audit", "verify").expect(0)
    site.state.with_name(f"{site.state.name}.head").unlink()
    assert "is missing beside the state store" in site("audit", "verify").expect(1).out


@pytest.mark.parametrize("url", ["http://kim:pw@127.0.0.1:9/x", "https://kim@hc.example/x"])
def test_a_heartbeat_that_can_never_be_called_is_refused(site: Aishell, url: str):
    text = (site.config / "schedules.yaml").read_text()
    site.configure("schedules.yaml", f"{text}    heartbeat_url: {url}\n")
    said = site("schedule", "list").expect(2).err
    assert "no user and password" in said
    assert "kim" not in said
    site.configure("schedules.yaml", f"{text}    heartbeat_url: http://127.0.0.1:9/x@y?a=b\n")
    site("schedule", "list").expect(0)
