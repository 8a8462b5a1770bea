"""The digest of a night as people get it, by a mail server and a web server on this host."""

from __future__ import annotations

import base64
import contextlib
import signal
import sqlite3
from datetime import UTC, date, datetime, timedelta

import pytest

from tests.faults.killing import KILLED, SWEEPS, Sweep
from tests.fix_notified import Notified
from tests.servers import wait_until
from tests.unit.reporting.page_reader import read

DIGEST = 'digest: {{at: "00:00", to: [admin, hook], format: {}}}'


def days_earlier(site: Notified, days: int = 1) -> None:
    """A night goes by: what was decided of digests is as much older."""
    with contextlib.closing(sqlite3.connect(site.aishell.state)) as state:
        state.execute("UPDATE outbox SET cause = cause || ' and ' || id || ' of a test' WHERE kind = 'digest'")
        for row in state.execute("SELECT night, since, until FROM digests ORDER BY night").fetchall():
            night, *moments = row
            earlier = [datetime.fromisoformat(text) - timedelta(days=days) for text in moments]
            since, until = (moment.isoformat(timespec="microseconds") for moment in earlier)
            before = str(date.fromisoformat(night) - timedelta(days=days))
            state.execute(
                "UPDATE digests SET night = ?, since = ?, until = ? WHERE night = ?", [before, since, until, night]
            )
        state.commit()


def configured(site: Notified, form: str = "html") -> None:
    """A site whose digest was first looked at yesterday."""
    site.rules(top=DIGEST.format(form))
    site.run()  # of which nobody is told
    site("notify", "send").expect(0)
    days_earlier(site)
    assert site.mail.got == site.web.got == []


def test_a_digest_is_a_mail_with_a_page_and_a_hook_with_the_gist(site: Notified) -> None:
    configured(site)
    site("notify", "send").expect(0)
    (mail,), ((_, hook),) = site.mail.got, site.web.got
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    assert mail["Subject"].strip().endswith(f"digest of {today}: 1 needs a person")
    gist, page = mail.iter_parts()
    assert gist.get_content_type() == "text/plain"
    assert f"Digest of {today}" in gist.get_content()
    assert "! backup (shop)" in gist.get_content()
    assert (page.get_content_type(), page.get_filename()) == ("text/html", f"digest-{today}.html")
    made = read(page.get_content())
    assert "the newest verified backup: there is none" in made.text
    assert "maintenance" in [node.text for node in made.all("td")]
    assert hook["message"] == gist.get_content().strip().replace("\r\n", "\n")
    ((attached,),) = [hook["attachments"]]
    assert base64.b64decode(attached["base64"]).decode() == page.get_content()
    assert [(row["rule"], row["service"], row["status"]) for row in site.outbox()] == [
        ("digest", "hook", "sent"),
        ("digest", "admin", "sent"),
    ]
    site("notify", "send").expect(0)
    assert (len(site.mail.got), len(site.web.got)) == (1, 1)
    assert site.aishell.rows("SELECT count(*) FROM digests WHERE page IS NOT NULL") == [(0,)]
    site("audit", "verify").expect(0)


def test_a_quiet_night_is_sent_and_is_short(site: Notified) -> None:
    site.rules(top='digest: {at: "00:00", to: [admin], format: text}')
    site.aishell.configure("targets.yaml", "targets: {}\n")  # no backups to be missed
    site("schedule", "run-due").expect(0)
    days_earlier(site)
    site("schedule", "run-due").expect(0)
    (mail,) = site.mail.got
    assert mail["Subject"].strip().endswith("nothing needs a person")
    assert mail.get_content_type() == "text/plain"
    text = mail.get_content()
    assert "Nothing needs a person." in text
    assert "Nothing ran." in text
    assert len(text.splitlines()) < 30


def test_sinks_that_are_down_get_it_later_and_that_is_recorded(site: Notified) -> None:
    configured(site, "markdown")
    site.mail.refusing.set()
    site.web.refusing.set()
    assert "2 failed" in site("notify", "send").expect(1).out
    assert [(row["status"], row["attempts"]) for row in site.outbox()] == [("waiting", 1)] * 2
    assert [event["kind"] for event in site.aishell.events("notification_failed")] == ["digest"] * 2
    site("notify", "send").expect(0)  # not at once again
    site.mail.refusing.clear()
    site.web.refusing.clear()
    site.later(minutes=1)
    site("notify", "send").expect(0)
    (mail,), ((_, hook),) = site.mail.got, site.web.got
    assert mail.get_content_type() == "text/plain"  # Markdown is read as it stands, and is made into nothing
    assert hook["message"].startswith("# Digest of ")
    assert [row["status"] for row in site.outbox()] == ["sent", "sent"]
    days_earlier(site)
    site.web.refusing.set()
    site("notify", "send").expect(1)
    days_earlier(site)
    site.web.refusing.clear()
    site("notify", "send").expect(0)  # the next tells that a message waits
    assert "not delivered" in site.web.got[-1][1]["message"]
    assert "503" in site.web.got[-1][1]["message"]


def test_nights_without_a_host_are_one_digest_that_says_of_which_day_it_is(site: Notified) -> None:
    site.rules(top='time_zone: UTC\ndigest: {at: "00:00", to: [hook]}')
    site.run()
    site("notify", "send").expect(0)
    days_earlier(site, 4)
    site("schedule", "run-due").expect(0)  # cron looks again
    ((_, hook),) = site.web.got
    now = datetime.now(UTC)
    assert hook["message"].splitlines()[0].startswith(f"Digest of {now:%Y-%m-%d}")
    assert f"{now - timedelta(days=4):%Y-%m-%d} 00:00Z to" in hook["message"].splitlines()[1]
    assert f", late: due at {now:%Y-%m-%d} 00:00Z" in hook["message"] or now.hour == 0


def test_a_daemon_sends_it(site: Notified) -> None:
    configured(site)
    daemon = site.aishell.start("schedule", "start", **site.urls)
    wait_until(lambda: site.mail.got and site.web.got, "the digest is there")
    daemon.signal(signal.SIGTERM)
    daemon.wait().expect(0)
    assert (len(site.mail.got), len(site.web.got)) == (1, 1)


@SWEEPS
def test_a_look_that_is_killed_at_a_commit_sends_it_all_the_same(site: Notified, sweep: Sweep) -> None:
    site.rules(top='digest: {at: "00:00", to: [hook]}')
    site("schedule", "run-due").expect(0)  # makes the store
    site("notify", "send").expect(0)
    days_earlier(site)
    for fault in sweep.faults(8):
        ended = site("notify", "send", fault=fault)
        site.later(minutes=5)
        site("notify", "send").expect(0)
        nights = site.aishell.rows("SELECT service, status FROM outbox WHERE cause LIKE 'night ____-__-__'")
        assert nights == [("hook", "sent")]
        days_earlier(site)
        site("audit", "verify").expect(0)
        if ended.code != KILLED:
            break


def test_a_digest_can_be_tried_out(site: Notified) -> None:
    site.rules(top='digest: {at: "00:00", to: [hook]}')
    site("notify", "test", "digest").expect(0)
    ((_, hook),) = site.web.got
    assert hook["title"] == "test of digest"
    assert hook["message"].startswith("A test of digest (one report a night)")


@pytest.fixture
def site(notified: Notified) -> Notified:
    return notified
