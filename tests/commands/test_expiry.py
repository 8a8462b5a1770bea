"""Requests for an approval that nobody answers in time: the step is rejected, the run ends with 5, and the next run asks anew."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.commands.test_daemon import fill, over, started
from tests.fix_aishell import Aishell
from tests.scheduled import back, nightly, rows
from tests.servers import wait_until
from tests.workflows import stages, workflow


@pytest.fixture
def site(aishell: Aishell) -> Aishell:
    """A night that asks, and does not wait for long: until a second after it has asked."""
    fill(aishell.site / "shop.db")
    nightly(aishell, "sqlite:///shop.db", environment="production", kind="full", approve="")
    aishell.configure("policy.yaml", "approval_hours: 0.0003\n")
    back(aishell, "nightly", days=1)
    return aishell


def size(site: Aishell) -> int:
    return (site.site / "shop.db").stat().st_size


def close_the_window(site: Aishell) -> None:
    """What runs of the night had until now."""
    with contextlib.closing(sqlite3.connect(site.state)) as state:
        past = (datetime.now(UTC) - timedelta(hours=1)).isoformat(timespec="microseconds")
        state.execute("UPDATE schedule_runs SET until = ?", [past])
        state.commit()


def expire(site: Aishell) -> str:
    """Wait until what was asked is over; its id."""
    ((name, until),) = site.rows("SELECT id, expires_at FROM approvals WHERE status = 'pending'")
    wait_until(lambda: datetime.now(UTC) > datetime.fromisoformat(until), "the request's end")
    return str(name)


def outcome(site: Aishell, name: str) -> None:
    """The step is rejected by nobody, wherever one looks."""
    (event,) = [one for one in site.events("approval_decided") if one["status"] == "expired"]
    assert (event["approval"], event["by"]) == (name, "nobody")
    assert event["reason"].startswith("nobody had answered until ")
    rejected = site.rows("SELECT cause, reason FROM steps WHERE status = 'rejected'")
    assert rejected == [("expired", f"expired: {event['reason']}")]
    assert not site.events("autonomy_reset")
    needs = site("digest", "--format", "json").expect(0).json["needs"]
    assert [need["kind"] for need in needs if need["kind"] in ("expired", "refused", "approval")] == ["expired"]
    site("audit", "verify").expect(0)


@pytest.mark.parametrize("window", ["open", pytest.param("closed", marks=pytest.mark.thorough)])
def test_a_daemon_ends_by_itself_what_nobody_answers_and_the_next_night_asks_anew(site: Aishell, window: str):
    before = size(site)
    if window == "closed":  # before it expires
        site.configure("policy.yaml", "approval_hours: 0.003\n")
    daemon = started(site)
    wait_until(lambda: site.rows("SELECT id FROM approvals"), "it asks")
    if window == "closed":
        wait_until(lambda: rows(site)[0].status == "waiting", "it waits")
        close_the_window(site)
    wait_until(lambda: over(site), "the night is over")
    assert [(row.exit_code, row.outcome) for row in rows(site)] == [(5, "rejected")]
    ((name, expires),) = site.rows("SELECT id, expires_at FROM approvals")
    (ended,) = site.rows("SELECT ended_at FROM runs")
    taken = datetime.fromisoformat(ended[0]) - datetime.fromisoformat(expires)
    assert timedelta(0) < taken < timedelta(seconds=60), "a machine under test may be slow"
    outcome(site, name)
    assert size(site) == before
    site.configure("policy.yaml", "approval_hours: 24\n")
    daemon.signal(signal.SIGTERM)
    daemon.wait().expect(0)
    back(site, "nightly", days=1)
    site("schedule", "run-due").expect(3)
    assert site.rows("SELECT count(*), count(DISTINCT run_id) FROM approvals") == [(2, 2)]


@pytest.mark.parametrize(
    "answer",
    ["", pytest.param("reject", marks=pytest.mark.thorough), pytest.param("approve", marks=pytest.mark.thorough)],
)
def test_after_its_window_a_line_of_cron_ends_what_comes_to_nothing(site: Aishell, answer: str):
    """As long as it can be answered, or the answer be used, a person may go on with it by hand."""
    site.configure("policy.yaml", f"approval_hours: {0.0005 if answer == '' else 0.002}\n")
    before = size(site)
    site("schedule", "run-due").expect(3)
    close_the_window(site)
    ((name, until),) = site.rows("SELECT id, expires_at FROM approvals")
    if answer:
        assert site("schedule", "run-due").expect(0).out == ""
        site("approvals", answer, name, "--reason", "not before the release").expect(0)
    if answer != "reject":
        wait_until(lambda: datetime.now(UTC) > datetime.fromisoformat(until), "its end")
    if not answer:
        assert "has expired" in site("approvals", "approve", name).expect(2).err
        assert site("approvals", "show", name, "--output", "json").expect(0).json["status"] == "expired"
    site("schedule", "run-due").expect(4 if answer == "approve" else 5)
    ((cause,),) = site.rows("SELECT cause FROM steps WHERE tool = 'optimize_table'")
    assert cause == {"": "expired", "reject": None, "approve": "deferred"}[answer]
    if not answer:
        outcome(site, name)
    assert size(site) == before
    assert site("schedule", "run-due").expect(0).out == ""


@pytest.mark.parametrize("how", [("--yes",), pytest.param((), marks=pytest.mark.thorough)])
def test_a_person_who_goes_on_with_it_is_told_and_what_needs_it_is_left_out(
    bloated_sqlite, aishell: Aishell, how: tuple[str, ...]
):
    aishell.configure("policy.yaml", "approval_hours: 0.0003\n")
    db = bloated_sqlite.make()
    words = ("run", "maintenance", "--type", "full", "--url", db.url, "--environment", "production")
    run = aishell(*words, "--output", "json").expect(3).run_id
    before = Path(db.path).read_bytes()
    name = expire(aishell)
    ended = aishell("runs", "resume", run, *how, "--output", "json").expect(5)
    (step,) = [one for one in ended.json["actions_taken"] if one["status"] == "rejected"]
    assert (step["tool"], step["cause"], step["attempts"]) == ("optimize_table", "expired", 0)
    outcome(aishell, name)
    assert Path(db.path).read_bytes() == before
    assert aishell(*words).expect(3)


def test_a_stage_whose_request_expired_holds_back_what_needs_it(site: Aishell):
    tidy = "\n  tidy: {agent: maintenance, input: {maintenance_type: full}}\n"
    workflow(site, f"{tidy}  backup: {{agent: backup, needs: [tidy]}}\n")
    waits = site("run", "workflow", "night", "--target", "shop", "--output", "json").expect(3).json
    name = expire(site)
    site("run", "workflow", "--resume", waits["workflow_id"]).expect(5)
    assert stages(site) == {("tidy", "shop"): ("failed", 5), ("backup", "shop"): ("skipped", None)}
    outcome(site, name)
