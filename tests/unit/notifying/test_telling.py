"""What is told, and when: causes of real runs and of time that goes by, decided once. Nothing is delivered: no URL is known."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aishell.errors import DatabaseError
from aishell.models import Task
from aishell.notifying.telling import Deliveries, notified_at_end, tell
from aishell.site import Site
from aishell.state.outbox import LEASE

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


class Place:
    """A site whose configuration and state change between two looks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "config" / "agents").mkdir(parents=True)
        with contextlib.closing(sqlite3.connect(folder / "shop.db")) as shop:
            shop.execute("CREATE TABLE t (i INTEGER)")
        self.write("targets", "targets:\n  shop: {url: 'sqlite:///shop.db', environment: test, labels: [small]}\n"
                   "  crm: {url: 'sqlite:///crm.db', environment: test, labels: [big]}\n")  # fmt: skip

    def write(self, name: str, text: str) -> None:
        (self.folder / "config" / f"{name}.yaml").write_text(text)

    def rules(self, *rules: str, top: str = "") -> None:
        text = f"{top}\nservices: {{admin: {{url_env: NOT_SET}}, chat: {{url_env: NOT_SET}}}}\nrules:\n"
        self.write("notifications", text + "".join(f"  - {{{rule}}}\n" for rule in rules))

    def alerts(self, *alerts: str) -> None:
        lines = "".join(f"      - {{{alert}}}\n" for alert in alerts)
        self.write("agents/maintenance", f"maintenance_agent:\n  monitoring:\n    alerts:\n{lines}")

    @contextlib.contextmanager
    def open(self) -> Iterator[Site]:
        with Site.open(self.folder, state=self.folder / "state.db") as site:
            yield site

    def look(self, at: datetime = NOW) -> Deliveries:
        with self.open() as site:
            return tell(site, at)

    def run(self, kind: str = "quick") -> str:
        """A run, told of at its end; its status."""
        with self.open() as site, notified_at_end(site, lambda text: None):
            return site.run(Task("maintenance", "shop", {"maintenance_type": kind}), yes=True).status

    def fail(self) -> str:
        """A run of which a step fails: SQLite does not know the function of an index."""
        with contextlib.closing(sqlite3.connect(self.folder / "shop.db")) as shop:
            shop.create_function("ours", 1, lambda value: value, deterministic=True)
            shop.execute("CREATE TABLE u (i INTEGER)")
            shop.execute("CREATE INDEX f ON u (ours(i))")
            shop.executemany("INSERT INTO u VALUES (?)", [(number,) for number in range(2000)])
            shop.commit()
        status = self.run("full")
        with contextlib.closing(sqlite3.connect(self.folder / "shop.db")) as shop:
            shop.execute("DROP TABLE u")
            shop.commit()
        return status

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with contextlib.closing(sqlite3.connect(self.folder / "state.db")) as state:
            found = state.execute(sql, values).fetchall()
            state.commit()
        return found

    def told(self) -> list[tuple[str, str, str]]:
        """Rule, service and title of all that was decided."""
        return self.rows("SELECT rule, service, title FROM outbox ORDER BY id")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_each_rule_is_told_of_its_events_alone_and_once(place: Place):
    place.rules(
        "name: well, event: run_succeeded, to: [chat]",
        "name: ill, event: [run_partial, run_failed], to: [admin, chat], target: shop, label: small",
        "name: severe, event: [run_failed, run_partial, run_rejected], severity: warning, to: [chat]",
        "name: other, event: run_succeeded, target: 's*p', label: '*', schedule: '*', to: [admin]",
        "name: backups, event: backup_failed, to: [admin]",
        "name: big, event: [run_succeeded, run_failed], label: b*, to: [chat]",
        "name: crm, event: [run_succeeded, run_failed], target: crm, to: [chat]",
    )
    assert place.run() == "success"
    assert place.fail() in ("partial", "failure")
    assert [(rule, service) for rule, service, _ in place.told()] == [
        ("well", "chat"), ("other", "admin"), ("ill", "admin"), ("ill", "chat"), ("severe", "chat"),
    ]  # fmt: skip
    before = place.told()
    for _ in range(3):
        place.look()
    assert place.told() == before
    place.rows("UPDATE outbox SET cause = 'another'")
    place.look()
    assert place.told() == before, "a cause is judged once, whatever stands in the outbox"
    assert place.rows("SELECT DISTINCT reason FROM outbox") == [
        ("the service 'chat': the environment variable NOT_SET is not set",),
        ("the service 'admin': the environment variable NOT_SET is not set",),
    ]


def test_a_stage_that_could_not_begin_is_told_of_and_one_whose_run_failed_once(place: Place):
    place.rules(
        "name: ill, event: run_failed, to: [chat]",
        "name: backups, event: backup_failed, label: big, to: [admin]",
        "name: of the night, event: run_failed, schedule: night*, to: [admin]",
    )
    place.alerts("condition: errors_encountered > 0, action: notify_admin")
    place.write("schedules", "schedules:\n  nightly: {cron: '0 1 * * *', agent: maintenance, label: big}\n")
    stages = {"stages": {"save": {"agent": "backup"}, "tidy": {"agent": "maintenance"}}}
    with place.open() as site:
        site.outbox.begin()
        runs = site.workflow_runs
        runs.begin("w1", "nights", stages, [("save", "crm"), ("tidy", "crm"), ("tidy", "shop")], {}, None)
        with site.store.write() as connection:
            row = {"schedule": "nightly", "nominal_at": "2026-01-01T01:00:00.000000+00:00", "target": "crm"}
            more = {
                "local_at": "",
                "decided_at": "",
                "status": "running",
                "run_id": "w1",
                "reason": "",
                "times": 1,
                "attempts": 1,
            }
            connection.insert("schedule_runs", {**row, **more})
        save, tidy, other = runs.stages("w1")
        for row, run_id in ((save, "r1"), (tidy, "r2")):
            runs.claim(row.id, run_id)
            runs.close(row.id, "failed", reason="cannot connect to crm", exit_code=2, outcome="failure")
        assert place.fail() in ("partial", "failure")
        ((run_id,),) = place.rows("SELECT id FROM runs")
        runs.claim(other.id, run_id)
        runs.close(other.id, "failed", exit_code=1, outcome="failure")
    for _ in range(2):
        place.look()
    told = [one for one in place.told() if "crm" in one[2]]
    assert told == [
        ("ill", "chat", "crm: save: failure"), ("backups", "admin", "crm: save: failure"),
        ("of the night", "admin", "crm: save: failure"), ("ill", "chat", "crm: tidy: failure"),
        ("of the night", "admin", "crm: tidy: failure"),
        ("maintenance: errors_encountered > 0 (notify_admin)", "admin", "crm: maintenance: errors_encountered > 0"),
    ]  # fmt: skip
    assert "cannot connect to crm" in place.rows("SELECT body FROM outbox WHERE title LIKE 'crm: save%'")[0][0]
    assert len([one for one in place.told() if "shop" in one[2] and one[0] == "ill"]) <= 1


def test_what_was_before_the_first_rule_is_not_told_of(place: Place):
    place.run()
    place.rules("name: well, event: run_succeeded, to: [chat]")
    place.look()
    assert place.told() == []
    place.run()
    assert len(place.told()) == 1
    place.rules()
    place.write("notifications", "")
    place.look()
    place.rows("DELETE FROM outbox")
    place.run()
    place.rules("name: well, event: run_succeeded, to: [chat]")
    place.look()
    assert place.told() == []


def test_what_persons_and_daemons_do_is_told(place: Place):
    place.rules(
        "name: held, event: hold_placed, target: s*, label: small, to: [chat]",
        "name: daemon, event: [daemon_started, daemon_stopped, configuration_refused], to: [admin]",
    )
    place.run()
    with place.open() as site:
        site.holds.place("shop", "index damage", "ann@db1")
        site.holds.place("crm", "of others", "ann@db1")
        site.runs.event("daemon_started", {"pid": 7, "host": "db1", "by": "ann@db1", "schedules": ["nightly"]})
        site.runs.event("configuration_refused", {"message": "schedules.yaml:3: no cron", "hint": "write five fields"})
        site.runs.event("daemon_stopped", {"reason": "SIGTERM", "pid": 7, "running": [1, 2]})
    place.look()
    told = place.rows("SELECT rule, severity, title, body FROM outbox ORDER BY id")
    assert [row[:3] for row in told] == [
        ("held", "warning", "shop is on hold"),
        ("daemon", "info", "the daemon has started"),
        ("daemon", "critical", "the changed configuration is invalid"),
        ("daemon", "warning", "the daemon was stopped"),
    ]
    bodies = [row[3] for row in told]
    assert bodies[0].startswith("ann@db1 has stopped shop: index damage\n")
    assert "release --target shop" in bodies[0]
    assert bodies[2].startswith("The previous one stays in force: schedules.yaml:3: no cron\nhint: write five fields")
    assert "2 run(s) continue without it." in bodies[3]


def test_a_window_that_is_too_small_is_told_once_for_a_run(place: Place):
    place.rules("name: small, event: window_too_small, target: shop, to: [chat]")
    place.run()
    ((run_id,),) = place.rows("SELECT id FROM runs")
    for night in range(4):
        place.rows(
            "INSERT OR REPLACE INTO backlog_nights VALUES (?, 'shop', 'maintenance', ?, 60, ?, ?, 0, 50, 1, 2, ?)",
            f"night{night}" if night < 3 else run_id, f"2026-01-0{night + 1}", 2, 100 + 20 * night, 120 + 20 * night,
        )  # fmt: skip
    for name in "ab":
        place.rows(
            "INSERT INTO backlog (target, agent, tool, object, reason, inputs, since, run_id, nights, seconds)"
            " VALUES ('shop', 'maintenance', 't', ?, '', '', '2026-01-01', ?, 1, 90)", name, run_id,
        )  # fmt: skip
    with place.open() as site:
        for _ in range(2):
            night = site.backlog.ended(run_id, 50.0, cut=True)
            assert night is not None
            assert night.short
    place.look()
    ((rule, severity, title, body),) = place.rows("SELECT rule, severity, title, body FROM outbox")
    assert (rule, severity, title) == ("small", "warning", "shop: the window is too small")
    assert "Over the last 4 nights about 1 min 10 s of work came up per night, and 50.0 s was done." in body
    assert f"run {run_id[:8]}" in body


def test_the_score_and_the_backlog_of_a_target_open_incidents(place: Place):
    place.rules(
        "name: ill, when: health_score <= 100, target: shop, to: [chat]",
        "name: well, when: health_score < 0, target: shop, to: [chat]",
        "name: many, when: backlog_items > 1, to: [chat]",
        "name: long, when: backlog_forecast > 1h, to: [chat]",
        "name: old, when: backlog_age > 1d, to: [chat]",
    )
    place.look()
    place.run()
    assert [rule for rule, _, _ in place.told()] == ["ill"]
    for name in "ab":
        place.rows(
            "INSERT INTO backlog (target, agent, tool, object, reason, inputs, since, run_id, nights, seconds)"
            " VALUES ('crm', 'maintenance', 't', ?, '', '', ?, 'r', 1, 2000)", name, (NOW - 2 * DAY).isoformat(),
        )  # fmt: skip
    place.look()
    assert sorted(place.rows("SELECT rule, subject FROM incidents WHERE closed_at IS NULL")) == [
        ("ill", "shop"), ("long", "crm"), ("many", "crm"), ("old", "crm"),
    ]  # fmt: skip
    place.rows("DELETE FROM backlog")
    place.look()
    assert place.rows("SELECT rule FROM incidents WHERE closed_at IS NULL") == [("ill",)]


def test_a_condition_on_runs_is_told_of_each_run_where_it_holds(place: Place):
    place.rules(
        "name: slow, when: execution_time > 30m, to: [chat]",
        "name: quick, when: execution_time < 30m, to: [chat]",
        "name: none, when: rows_deleted >= 0, to: [chat]",
    )
    place.run()
    place.run()
    assert [rule for rule, _, _ in place.told()] == ["quick", "quick"]
    ((body,), _) = place.rows("SELECT body FROM outbox")
    assert "execution_time: 0." in body


def test_every_bounds_how_often_a_rule_tells_of_the_same(place: Place):
    place.rules("name: well, event: run_succeeded, every: 1d, to: [chat]")
    place.run()
    place.run()
    assert len(place.told()) == 1
    place.rows("UPDATE outbox SET decided_at = ?", (NOW - DAY).isoformat())
    place.run()
    assert len(place.told()) == 2


def test_an_alert_of_an_agent_tells_admin_and_an_incident_opens_once_and_closes(place: Place):
    place.rules("name: routed, event: [incident_opened, incident_closed], to: [chat]")
    place.alerts(
        "condition: errors_encountered > 0, action: create_incident",
        "condition: execution_time > 0s, action: notify_admin",
    )
    name = "maintenance: errors_encountered > 0 (create_incident)"
    place.run()
    assert place.rows("SELECT * FROM incidents") == []
    place.fail()
    place.fail()
    assert place.rows("SELECT rule, subject, severity, closed_at FROM incidents") == [(name, "shop", "critical", None)]
    place.run("full")
    ((closed,),) = place.rows("SELECT closed_at FROM incidents")
    assert closed is not None
    of_incidents = [(rule, service, title) for rule, service, title in place.told() if "notify_admin" not in rule]
    title = "shop: maintenance: errors_encountered > 0"
    assert of_incidents == [
        (name, "admin", title),
        ("routed", "chat", f"incident: {title}"),
        (name, "admin", f"over: {title}"),
        ("routed", "chat", f"incident over: {title}"),
    ]
    assert sum("notify_admin" in rule for rule, _, _ in place.told()) == 4
    types = place.rows("SELECT type, count(*) FROM events WHERE type LIKE 'incident_%' GROUP BY type ORDER BY type")
    assert types == [("incident_closed", 1), ("incident_opened", 1)]


def test_an_incident_is_recorded_where_there_is_no_admin_and_a_plan_says_that_nobody_is_told(place: Place):
    place.alerts("condition: errors_encountered > 0, action: create_incident")
    place.fail()
    assert len(place.rows("SELECT 1 FROM incidents WHERE closed_at IS NULL")) == 1
    assert place.told() == []
    with place.open() as site:
        assert site.plan(Task("maintenance", "shop", {"maintenance_type": "quick"})).plan.warnings == ()
    place.alerts("condition: errors_encountered > 0, action: notify_admin")
    with place.open() as site:
        (warning,) = site.plan(Task("maintenance", "shop", {"maintenance_type": "quick"})).plan.warnings
    assert "no service `admin`" in warning
    place.look()
    ((closed,),) = place.rows("SELECT closed_at FROM incidents")
    assert closed is not None, "its rule is no longer configured"


def backup(place: Place, at: datetime, rung: str = "readable", problem: str | None = None) -> None:
    """A backup in the catalogue, and its folder."""
    (place.folder / "backups" / "p").mkdir(parents=True, exist_ok=True)
    place.rows(
        "INSERT INTO backups VALUES (?, 'shop', 'i', 'sqlite', 'full', 'm', NULL, 'd', ?, ?, 'p', 1, 1, 'r', 'd', ?, ?, NULL,"
        " ?, 0, '[]', NULL, '{}')",
        f"b{at:%Y%m%d%H%M%S%f}", at.isoformat(), at.isoformat(), rung, at.isoformat(), problem,
    )  # fmt: skip


def test_a_backup_that_grows_old_opens_an_incident_which_a_new_one_closes(place: Place):
    place.rules(
        "name: proven, when: last_verified_backup_age > 26h, severity: critical, every: 2d, label: small, to: [admin]",
        "name: any, when: last_backup_age > 26h, target: shop, to: [chat]",
    )
    place.run()  # there is a state store; there never was a backup
    assert [(rule, title) for rule, _, title in place.told()] == [
        ("proven", "shop: last_verified_backup_age > 26h"), ("any", "shop: last_backup_age > 26h"),
    ]  # fmt: skip
    assert ": none" in place.rows("SELECT body FROM outbox")[0][0]
    backup(place, NOW, rung="written")
    backup(place, NOW + timedelta(seconds=1), problem="damaged")
    place.look(NOW + timedelta(hours=1))
    assert [title for _, _, title in place.told()[2:]] == ["over: shop: last_backup_age > 26h"]
    place.look(NOW + timedelta(hours=25))
    assert len(place.told()) == 3
    for _ in range(2):
        place.look(NOW + timedelta(days=2, hours=1))
    assert [title for _, _, title in place.told()[3:]] == [
        "shop: last_backup_age > 26h", "still: shop: last_verified_backup_age > 26h",
    ] or [title for _, _, title in place.told()[3:]] == [
        "still: shop: last_verified_backup_age > 26h", "shop: last_backup_age > 26h",
    ]  # fmt: skip
    backup(place, NOW + timedelta(days=2))
    place.look(NOW + timedelta(days=2, hours=2))
    place.look(NOW + timedelta(days=2, hours=3))
    assert sorted(title for _, _, title in place.told()[5:]) == [
        "over: shop: last_backup_age > 26h", "over: shop: last_verified_backup_age > 26h",
    ]  # fmt: skip
    (place.folder / "backups").rename(place.folder / "elsewhere")
    place.look(NOW + timedelta(days=2, hours=4))
    still = place.rows("SELECT rule FROM incidents WHERE closed_at IS NULL ORDER BY rule")
    assert still == [("any",), ("proven",)], "what lies on a disk that is not mounted is no backup"
    severities = place.rows("SELECT DISTINCT severity FROM outbox WHERE rule = 'proven' ORDER BY 1")
    assert severities == [("critical",), ("info",)]


def test_quiet_hours_hold_back_what_is_not_critical(place: Place):
    """From six hours before to six after: what is critical is tried at once, the rest when they are over."""
    first, last = (f"{NOW + timedelta(hours=by):%H:%M}" for by in (-6, 6))
    place.rules(
        "name: well, event: run_succeeded, to: [chat]",
        "name: never, when: last_backup_age > 26h, severity: critical, label: small, to: [admin]",
        top=f"quiet_hours: '{first}-{last}'",
    )
    place.run()
    tried = dict(place.rows("SELECT rule, attempts FROM outbox"))
    assert tried == {"well": 0, "never": 1}
    ((at,),) = place.rows("SELECT next_at FROM outbox WHERE rule = 'well'")
    assert timedelta(hours=5, minutes=58) < datetime.fromisoformat(at) - NOW < timedelta(hours=6)
    place.look(NOW + timedelta(hours=5))
    assert dict(place.rows("SELECT rule, attempts FROM outbox WHERE rule = 'well'")) == {"well": 0}
    place.look(NOW + timedelta(hours=6, minutes=1))
    assert dict(place.rows("SELECT rule, attempts FROM outbox WHERE rule = 'well'")) == {"well": 1}


def test_what_cannot_be_delivered_is_given_up_after_three_days(place: Place):
    place.rules("name: well, event: run_succeeded, to: [chat]")
    place.run()
    at, tries = NOW, 1
    while at < NOW + timedelta(days=4):
        at += timedelta(minutes=1)
        ((due,),) = place.rows("SELECT next_at FROM outbox")
        if datetime.fromisoformat(due) <= at:
            place.look(at)
            tries += 1
        else:
            at = datetime.fromisoformat(due)
        if place.rows("SELECT status FROM outbox") == [("failed",)]:
            break
    assert timedelta(days=3) < at - NOW < timedelta(days=3, hours=2)
    assert 75 < tries < 90
    place.look(at + DAY)
    assert place.rows("SELECT attempts FROM outbox") == [(tries,)]


def test_a_service_that_is_no_longer_configured_is_given_up_at_once(place: Place):
    place.rules("name: well, event: run_succeeded, to: [chat]")
    place.run()
    place.write("notifications", "services: {admin: {url_env: NOT_SET}}\n")
    place.look(NOW + DAY)
    ((status, reason),) = place.rows("SELECT status, reason FROM outbox")
    assert (status, reason) == ("failed", "the service 'chat' is no longer configured")


@pytest.mark.parametrize("answered", [False, True])
def test_an_approval_that_waits_and_one_that_expires_are_told_of(place: Place, answered: bool):
    place.rules(
        "name: asked, event: approval_requested, to: [chat]",
        "name: expired, event: approval_expired, to: [chat]",
        "name: long, when: approval_waiting > 30m, to: [chat]",
    )
    with contextlib.closing(sqlite3.connect(place.folder / "shop.db")) as shop:
        shop.execute("CREATE INDEX t_i ON t (i)")
        shop.executemany("INSERT INTO t VALUES (?)", [(number,) for number in range(2000)])
        shop.commit()
    place.write("policy", "rules:\n  - {tool: '*statistics*', decision: confirm}\n")
    with place.open() as site, notified_at_end(site, lambda text: None):
        result = site.run(Task("maintenance", "shop", {"maintenance_type": "quick"}))
    assert result.status == "waiting_approval"
    assert [rule for rule, _, _ in place.told()] == ["asked"]
    place.look(NOW + timedelta(minutes=45))
    assert [rule for rule, _, _ in place.told()[1:]] == ["long"]
    if answered:
        place.rows("UPDATE approvals SET status = 'approved'")
    for _ in range(2):
        place.look(NOW + timedelta(hours=25))
    over = ("long", "over: shop: approval_waiting > 30m")
    expired = [] if answered else [("expired", "shop: an approval expired")]
    assert [(rule, title) for rule, _, title in place.told()[2:]] == [over, *expired]


def test_several_that_look_at_once_decide_once_and_try_once(place: Place):
    place.rules(
        "name: well, event: run_succeeded, to: [chat]",
        "name: never, when: last_backup_age > 1h, target: shop, to: [admin]",
    )
    with place.open() as site:
        site.outbox.begin()
        site.run(Task("maintenance", "shop", {"maintenance_type": "quick"}), yes=True)
    at, ready = datetime.now(UTC), threading.Barrier(8)

    def look() -> None:
        ready.wait()
        place.look(at)

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert place.rows("SELECT rule, attempts FROM outbox ORDER BY rule") == [("never", 1), ("well", 1)]
    decided = place.rows("SELECT data FROM events WHERE type = 'notification_decided'")
    assert sorted(json.loads(data)["rule"] for (data,) in decided) == ["never", "well"]


def test_who_claims_a_message_has_it_for_a_while(place: Place):
    place.rules("name: well, event: run_succeeded, to: [chat]")
    place.run()
    with place.open() as site:
        at = NOW + DAY
        (row,) = site.outbox.claim(lambda severity: None, at, 20)
        assert site.outbox.claim(lambda severity: None, at + LEASE / 2, 20) == []
        (again,) = site.outbox.claim(lambda severity: None, at + LEASE, 20)
        assert (again.id, again.attempts) == (row.id, row.attempts + 1)
        site.outbox.untried(again.id, at)
        (known,) = site.outbox.recent(limit=5)
        assert (known.attempts, known.status) == (again.attempts, "waiting")


def test_an_incident_that_nobody_was_told_of_is_not_told_to_be_over(place: Place):
    """It opens again within `every`: neither that nor its end is told."""
    place.rules("name: old, when: last_backup_age > 1h, target: shop, every: 1d, to: [chat]")
    place.run()
    for hours in (1, 3, 4):
        backup(place, NOW + timedelta(hours=hours))
        place.look(NOW + timedelta(hours=hours, minutes=30))
        place.look(NOW + timedelta(hours=hours, minutes=119))
    assert [title for _, _, title in place.told()] == ["shop: last_backup_age > 1h", "over: shop: last_backup_age > 1h"]
    assert len(place.rows("SELECT 1 FROM incidents")) == 4


def test_an_event_that_somebody_has_damaged_keeps_no_other_from_being_told(place: Place):
    place.rules("name: well, event: run_succeeded, to: [chat]", "name: missed, event: schedule_missed, to: [chat]")
    place.run()
    hash_ = "0" * 64
    for data in ("no JSON", "[1]", "{}"):
        for kind in ("state_changed", "schedule_decided", "approval_requested", "incident_opened"):
            place.rows(
                "INSERT INTO events VALUES (NULL, 'r', 0, ?, ?, ?, ?, ?)", kind, NOW.isoformat(), data, hash_, hash_
            )
    place.run()
    assert [rule for rule, _, _ in place.told()] == ["well", "well"]


def test_a_server_that_is_gone_is_told_of_once_and_when_it_answers(place: Place):
    place.rules(
        "name: gone, event: [target_unreachable, breaker_opened, breaker_closed], label: small, to: [chat]",
        "name: crm, event: breaker_opened, target: crm, to: [chat]",
    )
    place.run()
    place.look()
    with place.open() as site:
        watch = site.breakers.of("shop", 10)
        for _ in range(4):
            watch.failed(DatabaseError("connection refused\nby postgresql://u:secret@db/shop", kind="connect"))
        watch.answered()
    place.look()
    assert place.told() == [
        ("gone", "chat", "shop cannot be reached"),
        ("gone", "chat", "shop is not connected to for a while"),
        ("gone", "chat", "shop answers again"),
    ]
    bodies = [body for (body,) in place.rows("SELECT body FROM outbox ORDER BY id")]
    assert all("`aishell targets test shop`" in body and "secret" not in body for body in bodies)
