"""A night as it is gathered from `state.db`: every figure, what needs a person, and what belongs to which night."""

from __future__ import annotations

from datetime import timedelta

import pytest

from aishell.reporting.gathering import gather_run
from aishell.reporting.needs import overlooked
from aishell.reporting.night import KINDS, document
from aishell.state.schedule_runs import Pause, ScheduleState
from aishell.state.store import Store
from tests.unit.reporting.nights_made import DAY, MORNING, Made, at

MB = 1 << 20


@pytest.fixture
def made(tmp_path):
    store = Store.open(tmp_path / "state.db")
    yield Made(store)
    store.close()


def sized(before, after, **more):
    return {"output": {"bytes_before": before, "bytes_after": after, **more}}


def kinds(night):
    return [need.kind for need in night.needs]


def test_a_quiet_night(made):
    night = made.night()
    assert (night.needs, night.runs, night.sizes, night.nights) == ((), (), (), ())
    assert document(night)["totals"]["bytes_reclaimed"] is None


def test_figures_of_a_night_are_those_of_its_steps(made):
    made.run(sized(10 * MB, 4 * MB), sized(2 * MB, 3 * MB), {"output": {"indexes_rebuilt": 2}, "seconds": 0.5})
    made.run({"tool": "delete_old_records", "output": {"rows_deleted": 700}}, target="crm", agent="log_cleanup")
    made.run(sized(MB, 0), status="failure", state="failed", target="crm")
    night = made.night()
    totals = document(night)["totals"]
    assert (totals["runs"], totals["targets"], totals["steps"]) == (3, 2, 5)
    assert totals["execution_time"] == 4.5
    assert (totals["bytes_before"], totals["bytes_after"], totals["bytes_reclaimed"]) == (13 * MB, 7 * MB, 6 * MB)
    assert (totals["rows_deleted"], totals["rows_at_least"], totals["counts"]) == (700, False, {"indexes_rebuilt": 2})
    assert totals["by_status"] == {"success": 2, "failure": 1}
    assert [(tool.tool, tool.steps, tool.execution_time) for tool in night.tools] == [
        ("optimize_table", 4, 3.5),
        ("delete_old_records", 1, 1.0),
    ]
    assert [run["bytes_reclaimed"] for run in document(night)["runs"]] == [5 * MB, None, MB]


def test_a_step_that_failed_gave_nothing_back_but_the_rows_it_deleted_are_gone(made):
    failed = {"status": "failed", "error": "lost", "output": {"bytes_before": 9, "bytes_after": 1, "rows_deleted": 40}}
    made.run(failed, status="failure", state="failed")
    effect = made.night().effect
    assert (effect.bytes_reclaimed, effect.rows_deleted) == (None, 40)


def test_what_may_be_missing_and_what_is_guessed_is_said(made):
    made.run({"tool": "delete_old_records", "output": {"rows_deleted": 5, "uncounted_batches": 1}})
    made.run(sized(8, 4, bytes_method="statistics"), sized(8, 4))
    effect = made.night().effect
    assert (effect.rows_at_least, effect.bytes_method) == (True, "statistics")


def test_a_killed_deletion_counts_what_it_had_reached(made):
    reached = '{"position":null,"rows":120,"batches":2}'
    step = {
        "tool": "delete_old_records",
        "status": "started",
        "started_at": at(4),
        "ended_at": None,
        "reached": reached,
    }
    made.run({**step, "seconds": None}, state="executing", status=None)
    night = made.night()
    assert (night.effect.rows_deleted, night.effect.rows_at_least) == (120, True)
    assert kinds(night) == ["killed"]


@pytest.mark.parametrize(("hours_ago", "counted"), [(0, True), (23.9, True), (24, False), (30, False), (-1, False)])
def test_what_belongs_to_a_night_is_what_ended_in_it(made, hours_ago, counted):
    made.run(sized(3, 1), hours_ago=hours_ago)
    night = made.night()
    assert bool(night.runs) is counted
    assert night.effect.bytes_reclaimed == (2 if counted else None)


def test_a_run_that_went_on_counts_in_this_night_for_what_it_did_in_this_night(made):
    earlier = {"step_id": "before", **sized(7, 2), "ended_at": at(30)}
    made.run(sized(30, 10), earlier, {**earlier, "step_id": "at its end", "ended_at": at(24)})
    night = made.night()
    assert night.effect.bytes_reclaimed == 20
    assert [step.counted for step in night.runs[0].steps] == [True, False, False]


def test_sizes_go_from_the_first_measurement_to_the_last(made):
    run = made.run()
    made.object(run, "main.a", 100, 80)
    made.object(run, "main.a", 80, 30)
    made.object(run, "main.b", 500, 500)
    made.object(run, "main.b", 7, 6, target="crm", before='{"bytes_method":"statistics"}')
    made.object(run, "main.c", None, None)
    made.object(run, "main.d", 9, 1, status="failed")
    found = [
        (one.target, one.object, one.bytes_before, one.bytes_after, one.bytes_method) for one in made.night().sizes
    ]
    assert found == [
        ("shop", "main.a", 100, 30, "file size"),
        ("crm", "main.b", 7, 6, "statistics"),
        ("shop", "main.b", 500, 500, "file size"),
    ]


def test_sums_of_days_add_up_to_what_each_night_said(made):
    for days in (0, 1, 1, 3):
        made.run(
            sized(1000 * (days + 1), 100),
            {"tool": "delete_old_records", "output": {"rows_deleted": 10 + days}, "status": "failed"},
            hours_ago=4 + 24 * days,
        )
    sums = made.night().nights
    assert [(one.steps, one.failed, one.bytes_reclaimed, one.rows_deleted) for one in sums] == [
        (2, 1, 3900, 13),
        (0, 0, 0, 0),
        (4, 2, 3800, 22),
        (2, 1, 900, 10),
    ]
    assert [one.until[:10] for one in sums] == ["2026-11-19", "2026-11-20", "2026-11-21", "2026-11-22"]
    assert sums[-1].bytes_reclaimed == made.night().effect.bytes_reclaimed


def test_trends_are_the_last_measurement_of_each_day(made):
    def health(size):
        return {"tool": "analyze_database_health", "output": {"database_bytes": size, "findings": []}}

    def bloat(percent):
        params = {"schema": "main", "table": "t"}
        return {"tool": "analyze_table_fragmentation", "params": params, "output": {"fragmentation_percent": percent}}

    for hours, size, percent in ((52, 10, 5.0), (30, 20, None), (28, 30, 7.5), (4, 40, 9.0)):
        run = made.run(health(size), bloat(percent), hours_ago=hours)
        made.object(run, "main.t", size, size // 2, at=at(hours))
    made.run(health(99), target="seen once")
    found = {(one.metric, one.target, one.object): [value for _, value in one.points] for one in made.night().trends}
    assert found == {
        ("database_bytes", "shop", ""): [10, 30, 40],
        ("fragmentation_percent", "shop", "main.t"): [5.0, 7.5, 9.0],
        ("object_bytes", "shop", "main.t"): [5, 15, 20],
    }


# What needs a person.


def test_each_kind_is_found_and_the_most_urgent_comes_first(made):
    made.run(
        {
            "tool": "check_table_corruption",
            "output": {"corrupted_tables": [{"schema": "m", "table": "t", "reason": "bad"}]},
        }
    )
    critical = {"severity": "critical", "finding": "wraparound", "object": "db", "value": "95 %", "detail": "Freeze."}
    made.run(
        {"tool": "analyze_database_health", "output": {"findings": [critical, {**critical, "severity": "warning"}]}}
    )
    made.insert("events", type="audit_broken", at=at(3), data='{"found":"cut"}', previous="", hash="")
    made.run({"status": "in_doubt"}, state="waiting_approval", status="waiting_approval")
    made.run(
        {"status": "failed", "error": "no disk"}, {"status": "failed", "error": "x"}, state="failed", status="failure"
    )
    made.run({"status": "rejected", "reason": "policy"}, status="rejected")
    made.run(state="executing", status=None)
    made.run(state="paused", status="partial")
    made.run(output={"left_out": [{"step": "optimize_t", "reason": "not the owner"}]}, status="partial")
    waiting = made.run(state="waiting_approval", status="waiting_approval")
    asked = made.approval(waiting, hours=2)
    made.approval(made.run(state="waiting_approval", status="waiting_approval", hours_ago=90), hours=-1)
    ledger = {
        "local_at": "2026-11-21T02:30:00+01:00",
        "times": 3,
        "attempts": 0,
        "decided_at": at(3),
        "nominal_at": at(6),
    }
    made.insert("schedule_runs", schedule="nightly", target="", status="missed", reason="nobody looked", **ledger)
    made.insert("schedule_runs", schedule="weekly", target="crm", status="failed", reason="unreachable", **ledger)
    later = {**ledger, "local_at": "2026-11-21T03:30:00+01:00", "times": 1, "nominal_at": at(5)}
    made.insert("schedule_runs", schedule="weekly", target="crm", status="failed", reason="no route", **later)
    made.hold("crm")
    made.incident("last_verified_backup_age > 26h", target="crm")
    made.message("chat", "failed")
    made.owed("shop", before=100.0, after=150.0)
    made.insert("events", type="daemon_started", at=at(3), data='{"host":"db1","pid":7}', previous="", hash="")
    night = made.night(targets=["shop"], daemon=False)
    assert list(dict.fromkeys(kinds(night))) == list(KINDS)
    told = {need.kind: need for need in reversed(night.needs)}
    assert told["damage"].text == "m.t is damaged: bad"
    assert told["finding"].text == "wraparound db 95 %: Freeze."
    assert [need.text for need in night.needs if need.kind == "failure"] == [
        "schedule weekly of 2026-11-21 03:30+01:00 (4 times since 2026-11-21 02:30+01:00): failed, no route",
        "maintenance, step step_0: no disk; 1 more step(s) failed",
    ]
    assert told["approval"].remedy == f"aishell approvals show {asked}"
    assert told["privileges"].text == "maintenance left out optimize_t: not the owner"
    assert (told["backup"].target, told["backup"].text) == ("shop", "the newest verified backup: there is none")


def test_a_hold_and_an_incident_stand_until_they_are_lifted(made):
    made.hold("")
    made.incident("last_verified_backup_age > 26h", target="crm")
    made.incident("notification_waiting > 1h", closed=True)
    hold, incident = made.night().needs
    assert (hold.text, hold.remedy) == ("no step begins on any target, by me@here: index damage", "aishell release")
    assert (incident.target, incident.text) == ("crm", "last_verified_backup_age > 26h (critical, rule late)")


def test_what_could_not_be_delivered_is_told_by_service(made):
    made.message("chat", "failed")
    made.message("chat", "failed", ended=90)  # told in an earlier night
    made.message("pager", "waiting")
    made.message("pager", "waiting")
    made.message("admin", "waiting", reason=None)  # its turn has not come
    made.message("admin", "sent")
    assert [need.text for need in made.night().needs if need.kind == "notification"] == [
        "service chat: 1 notification(s) given up, the first of 2026-11-22 03:00Z: no answer",
        "service pager: 2 notification(s) not delivered yet, the first of 2026-11-22 03:00Z: no answer",
    ]


@pytest.mark.parametrize(
    ("before", "after", "needed"),
    [(100.0, 150.0, True), (100.0, 105.0, False), (100.0, 40.0, False), (0.0, 500.0, False), (100.0, 0.0, False)],
)
def test_a_backlog_that_grows_needs_a_person_and_one_that_shrinks_none(made, before, after, needed):
    made.owed("shop", before=before, after=after)
    night = made.night()
    assert (kinds(night) == ["backlog"]) is needed
    (told,) = night.backlog
    assert (told.seconds_before, told.seconds, told.items) == (before, after, 2 if after else 0)


def test_a_window_that_is_too_small_needs_a_person(made):
    for number, hours in enumerate((76, 52, 28, 4)):
        made.owed("shop", before=100.0 + 20 * number, after=120.0 + 20 * number, hours_ago=hours)
    night = made.night()
    assert kinds(night) == ["backlog"]
    assert night.backlog[0].window_too_small
    assert "The window is too short: over the last 4 nights" in night.needs[0].text


def test_a_daemon_that_is_gone_is_missed_and_one_that_was_stopped_is_not(made):
    made.insert("events", type="daemon_started", at=at(30), data='{"host":"db1","pid":7}', previous="", hash="")
    assert kinds(made.night(daemon=True)) == []
    (need,) = made.night(daemon=False).needs
    assert need.text == "the daemon on db1 (process 7) ended unexpectedly"
    made.insert("events", type="daemon_stopped", at=at(3), data='{"reason":"SIGTERM"}', previous="", hash="")
    assert kinds(made.night(daemon=False)) == []


def test_runs_of_a_workflow_are_told_with_it(made):
    ours = {"definition": "{}", "options": "{}", "requested_by": "me@here", "host": "here", "event": 1}
    made.insert(
        "workflow_runs", id="w" * 32, workflow="nightly", status="partial", created_at=at(5), ended_at=at(4), **ours
    )
    made.insert(
        "workflow_runs", id="o" * 32, workflow="old", status="success", created_at=at(50), ended_at=at(49), **ours
    )
    run = made.run(workflow="nightly", stage="backup")
    for target, stage, status, run_id in (
        ("shop", "backup", "done", run),
        ("crm", "backup", "failed", None),
        ("shop", "tidy", "done", "p" * 32),
        ("crm", "tidy", "skipped", None),
    ):
        made.insert("workflow_stages", workflow_id="w" * 32, stage=stage, target=target, status=status,
                    reason="no room" if status == "failed" else "", attempts=1, run_id=run_id, ended_at=at(4))  # fmt: skip
    night = made.night()
    (told,) = night.workflows
    assert (told.workflow, told.status, told.targets) == ("nightly", "partial", 2)
    assert told.stages == {"backup": {"done": 1, "failed": 1}, "tidy": {"done": 1, "skipped": 1}}
    assert [(run.workflow, run.stage) for run in night.runs] == [("nightly", "backup")]
    assert [(need.target, need.text) for need in night.needs] == [("crm", "workflow nightly, stage backup: no room")]


def test_a_failure_that_was_made_up_for_is_told_with_that(made):
    failed = {"status": "failed", "error": "no disk"}
    first = made.run(failed, state="failed", status="failure", hours_ago=6)
    other = made.run(failed, state="failed", status="failure", hours_ago=6, agent="backup")
    again = made.run(hours_ago=5)
    made.run(hours_ago=5, target="crm", agent="backup")
    found = {need.run_id: need.text for need in made.night().needs}
    assert found[first].endswith(f"no disk (run {again[:8]} did the same later and succeeded)")
    assert found[other].endswith("no disk")


def test_a_run_that_is_at_work_needs_nobody(made):
    run = made.run(state="executing", status=None)
    night = made.night(running=lambda one: one == run)
    assert night.needs == ()
    assert night.runs[0].running


def test_what_a_person_has_given_up_needs_nobody(made):
    made.run({"status": "in_doubt"}, {"status": "failed", "error": "x"}, state="cancelled", status="waiting_approval")
    night = made.night()
    assert night.needs == ()
    assert night.runs[0].status == "cancelled"


def test_a_step_in_doubt_of_a_failed_run_is_told_however_old_it_is(made):
    made.run({"status": "in_doubt"}, state="failed", status="failure", hours_ago=24 * 9)
    assert "in_doubt" in kinds(made.night())


def test_what_was_found_in_an_earlier_night_is_not_found_again(made):
    damaged = {"tool": "check_table_corruption", "output": {"corrupted_tables": [{"table": "t", "reason": "bad"}]}}
    made.run({**damaged, "ended_at": at(40)}, {"status": "pending", "ended_at": None}, state="paused", status="partial")
    assert kinds(made.night()) == ["paused"]


def test_what_a_window_left_is_told_and_asks_nobody(made):
    left = [{"object": "main.t", "reason": "the window closes"}, {"step_id": "s", "object": "", "reason": "late"}]
    made.run(status="partial", output={"deferred": left})
    night = made.night()
    assert [(one.object, one.reason) for one in night.left] == [("main.t", "the window closes"), ("s", "late")]
    assert night.needs == ()


class Hourly:
    """A schedule of each full hour."""

    name, grace = "hourly", timedelta(minutes=15)

    def __init__(self):
        self.missed, self.blackout, self.timing = "skip", lambda moment: None, self

    window = zone = None

    def after(self, moment):
        first = moment.replace(minute=0, second=0, microsecond=0)
        return (first + timedelta(hours=n) for n in range(1, 10_000))

    def display(self, moment):
        return f"{moment:%d %H:%M}"


@pytest.mark.parametrize(
    ("settled", "paused", "told"),
    [
        (MORNING, None, []),
        (MORNING - timedelta(hours=1), None, []),  # 07:00 is within its grace
        (
            MORNING - timedelta(hours=3),
            None,
            ["is not checked for due times; 2 time(s) have passed since 22 05:00"],
        ),
        (MORNING - timedelta(hours=3), Pause(MORNING - DAY, "me"), []),
        (None, None, ["has never been checked for due times"]),
    ],
)
def test_a_schedule_that_nothing_looks_at_is_an_alarm(settled, paused, told):
    known = {} if settled is None else {"hourly": ScheduleState(settled, paused)}
    found = [need.text for need in overlooked([Hourly()], known, MORNING)]
    assert found == [f"schedule hourly {text}" for text in told]


def test_the_report_of_a_run_is_whole_whenever_its_steps_were(made):
    report = {"tool": "generate_maintenance_report", "output": {"report": "# Mine"}}
    run = made.run(sized(30, 10), {**sized(7, 2), "ended_at": at(300)}, report)
    made.run(sized(1000, 1))
    made.object(run, "main.a", 30, 10)
    told = gather_run(made.store, run, MORNING, running=lambda _: False)
    assert told.run.effect.bytes_reclaimed == 25
    assert (told.own_report, len(told.sizes)) == ("# Mine", 1)
    assert document(told)["run"]["bytes_reclaimed"] == 25
