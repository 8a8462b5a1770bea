"""Night after night: what a window leaves undone stands in the backlog, and the next run begins with it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aishell.models import Task
from aishell.planning.backlog import work_of
from aishell.site import Site
from tests.bloated import Bloated
from tests.faults.killing import KILLED, SWEEPS, Sweep, assert_sound, new_site
from tests.fix_aishell import Aishell, Ended
from tests.scheduled import back, nightly

#: Old rows of each log, and new ones that stay.
OLD, NEW = 12_000, 100
LOGS = ("log_a", "log_b", "log_c", "log_d", "log_e")
_MAKE = {
    "postgresql": (
        "CREATE TABLE {t} (id bigint PRIMARY KEY, at timestamptz NOT NULL)",
        "INSERT INTO {t} SELECT i, now() - (CASE WHEN i <= {old} THEN 100 ELSE 10 END || ' days')::interval + i * interval '1 s'"
        " FROM generate_series(1, {all}) AS i",
    ),
    "mysql": (
        "CREATE TABLE {t} (id bigint PRIMARY KEY, at datetime NOT NULL)",
        "INSERT INTO {t} SELECT seq, NOW() - INTERVAL IF(seq <= {old}, 100, 10) DAY + INTERVAL seq SECOND FROM seq_1_to_{all}",
    ),
    "sqlite": (
        "CREATE TABLE {t} (id integer PRIMARY KEY, at text NOT NULL)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {all}) INSERT INTO {t} SELECT i,"
        " datetime('now', CASE WHEN i <= {old} THEN '-100 days' ELSE '-10 days' END, i || ' seconds') FROM n",
    ),
}


def make_log(db: Any, engine: str, name: str) -> None:
    for statement in (*_MAKE[engine], "CREATE INDEX {t}_at ON {t} (at)"):
        db.execute(statement.format(t=name, old=OLD, all=OLD + NEW))
    db.execute(f"ANALYZE TABLE {name}" if engine == "mysql" else f"ANALYZE {name}")


def night(site: Aishell, db: Any, seconds: float) -> Ended:
    """One night: a clean-up of all logs that pauses between batches, inside a window of so many seconds."""
    words = ("run", "log-cleanup", "--table", "log_*", "--retention-days", "30", "--set", "sleep=0.5")
    where = ("--url", db.url, "--environment", "test", "--yes", "--output", "json")
    return site(*words, *where, "--max-duration", str(seconds))


def listed(site: Aishell, *more: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = site("backlog", "list", "--output", "json", *more).expect(0).json
    return found


def deletions(document: Any) -> list[dict[str, Any]]:
    return [step for step in document["plan"]["steps"] if step["tool"].startswith("delete_")]


def is_left(step: dict[str, Any]) -> bool:
    return bool(step["evidence"]) and step["evidence"][0]["metric"] == "nights_left_undone"


@pytest.mark.sampled(1)
def test_night_after_night_the_window_ends_the_work_and_the_next_begins_with_what_it_left(
    aishell: Aishell, log_db: tuple[Any, str]
) -> None:
    """A window of 1.2 s over work with pauses of 5 s together: after some nights everything is done, and nothing twice.

    Where others have the processors for so long that nothing fits, the windows grow.
    """
    db, engine = log_db
    for name in LOGS:
        make_log(db, engine, name)
    ended = night(aishell, db, 1.2).expect(4)
    assert [is_left(step) for step in deletions(ended.json)] == [False] * len(LOGS)
    assert ended.json["output_data"]["backlog"]["items_before"] == 0
    make_log(db, engine, "log__new")  # arises in the next night; by itself a plan would not have it last
    documents, before = [ended.json], listed(aishell)
    while ended.code == 4:
        assert len(documents) < 40
        window = 1.2 * (1 + len(documents) // 12)
        data = ended.json["output_data"]["backlog"]
        assert data["items"] == len(before) > 0
        assert 0 <= data["window_seconds"] <= window
        assert ended.json["reasoning"].count("The backlog ") == 1
        # The last batch may have gone when the window closed, before anybody saw that it was the last: nothing is left then.
        undone = {name for name in (*LOGS, "log__new") if db.execute(f"SELECT 1 FROM {name} WHERE id <= {OLD} LIMIT 1")}
        ended = night(aishell, db, window)
        documents.append(ended.json)
        planned = deletions(ended.json)
        work = [item for item in before if item["tool"].startswith("delete_")]
        work = [item for item in work if item["object"].rpartition(".")[2] in undone]
        first = [f"{step['params']['schema']}.{step['params']['table']}" for step in planned[: len(work)]]
        assert first == [item["object"] for item in work]
        assert [is_left(step) for step in planned] == [n < len(work) for n in range(len(planned))]
        before = listed(aishell)
    ended.expect(0)
    assert before == []
    assert len(documents) > 2
    assert "The backlog is empty again" in documents[-1]["reasoning"]
    for name in (*LOGS, "log__new"):
        assert [tuple(row) for row in db.execute(f"SELECT min(id), count(*) FROM {name}")] == [(OLD + 1, NEW)]
    deleted = sum(document["output_data"]["rows_deleted"] for document in documents)
    assert deleted == OLD * (len(LOGS) + 1)  # each row once


def test_what_a_window_of_nothing_left_is_shown_and_done_first_and_goes_when_it_is_done(
    aishell: Aishell, bloated: Bloated
) -> None:
    db = bloated.make()
    aishell.url = db.url
    untouched = aishell.maintenance("full", "--dry-run").json
    aishell.maintenance("full", "--max-duration", "0").expect(4)
    items = listed(aishell)
    assert items
    assert {item["reason"] for item in items} <= {"the window has closed"} | {
        i["reason"] for i in items if "no output" in i["reason"]
    }
    assert all(item["nights"] == 1 and item["age_seconds"] >= 0 and item["agent"] == "maintenance" for item in items)
    text = aishell("backlog", "list").expect(0).out
    assert all(item["tool"] in text for item in items)
    assert f"{len(items)} item(s)" in text

    again = aishell.maintenance("full", "--dry-run").json
    assert [{**now, "age_seconds": 0} for now in listed(aishell)] == [{**item, "age_seconds": 0} for item in items]
    steps = {step["id"]: step for step in again["plan"]["steps"]}
    assert sorted(steps) == sorted(step["id"] for step in untouched["plan"]["steps"])
    told = [step["id"] for step in steps.values() if is_left(step)]
    assert {work_of(steps[name]["tool"]) for name in told} == {item["tool"] for item in items}
    assert all(steps[name]["rationale"].startswith("Left over from an earlier window") for name in told)
    done = aishell.maintenance("full").expect(0).json
    assert listed(aishell) == []
    assert aishell("backlog", "list").expect(0).out == "the backlog is empty\n"
    report = next(a["output"]["report"] for a in done["actions_taken"] if a["step_id"] == "report")
    assert "## Backlog" in report
    assert "The backlog is empty again" in report


def test_what_is_no_longer_needed_goes_and_a_dry_run_changes_nothing(aishell: Aishell, sqlite: Any) -> None:
    for name in LOGS[:2]:
        make_log(sqlite, "sqlite", name)
    night(aishell, sqlite, 0).expect(4)
    assert [item["object"] for item in listed(aishell)] == ["main.log_a", "main.log_b"]
    sqlite.execute(f"DELETE FROM log_a WHERE id <= {OLD}")  # somebody did it by hand
    aishell(
        "run", "log-cleanup", "--table", "log_*", "--retention-days", "30", "--url", sqlite.url, "--dry-run"
    ).expect(0)
    assert len(listed(aishell)) == 2
    ended = night(aishell, sqlite, 0).expect(4)
    (item,) = listed(aishell)
    assert (item["object"], item["nights"]) == ("main.log_b", 2)
    assert "The backlog shrank from 2 to 1 item(s)" in ended.json["reasoning"]


def test_an_item_is_dropped_with_a_reason_and_a_number_that_is_not_there_is_refused(
    aishell: Aishell, sqlite: Any
) -> None:
    for name in LOGS[:2]:
        make_log(sqlite, "sqlite", name)
    night(aishell, sqlite, 0).expect(4)
    first, second = listed(aishell)
    refused = aishell("backlog", "drop", "77").expect(2)
    assert "unknown item of the backlog" in refused.err
    assert aishell("backlog", "drop", str(first["id"]), "--reason", "retired").expect(0).out.startswith("dropped: ")
    assert [item["id"] for item in listed(aishell)] == [second["id"]]
    assert listed(aishell, "--target", "elsewhere") == listed(aishell, "--agent", "maintenance") == []
    assert len(listed(aishell, "--agent", "log-cleanup")) == 1
    (event,) = aishell.events("backlog_dropped")
    assert (event["object"], event["reason"]) == ("main.log_a", "retired")
    aishell("audit", "verify").expect(0)


def test_a_site_without_a_store_has_no_backlog_and_none_is_made(aishell: Aishell) -> None:
    assert listed(aishell) == []
    assert not aishell.state.exists()


@SWEEPS
def test_killed_at_a_commit_the_backlog_is_what_is_left(
    aishell: Aishell, bloated_sqlite: Bloated, sweep: Sweep
) -> None:
    """A second night is killed and gone on with: done once, and the backlog empty; between the two it has what is not done."""
    for fault in sweep.faults(16):
        db = bloated_sqlite.make()
        site = new_site(aishell, str(fault), db.url)
        site.maintenance("full", "--max-duration", "0").expect(4)
        ((first,),) = site.rows("SELECT id FROM runs")
        owed = {(item["tool"], item["object"]) for item in listed(site)}
        ended = site(*site.arguments("full"), fault=fault)
        if ended.code == KILLED:
            still = {(item["tool"], item["object"]) for item in listed(site)}
            runs = [run for (run,) in site.rows("SELECT id FROM runs WHERE id <> ?", first)]
            done = {
                work_of(tool)
                for run in runs
                for (tool,) in site.rows("SELECT tool FROM steps WHERE run_id = ? AND status = 'done'", run)
            }
            assert still == {(tool, name) for tool, name in owed if tool not in done}
            for run in runs:
                site.resume(run).expect(0) if site.state_of(run) != "completed" else None
            site.maintenance("full").expect(0) if not runs else None
        assert listed(site) == []
        assert site("audit", "verify").code == 0
        if ended.code != KILLED:
            ended.expect(0)
            break


def test_the_window_of_a_schedule_is_an_instant_and_its_runs_leave_a_backlog(
    aishell: Aishell, bloated_sqlite: Bloated
) -> None:
    """The end that the ledger has comes by the wall clock: what the night before left undone is done in the next."""
    nightly(aishell, bloated_sqlite.make().url, kind="full")
    back(aishell, "nightly", 1)
    with Site.open(aishell.site, state=aishell.state) as site:
        planned = site.plan(Task("maintenance", "shop", {"maintenance_type": "full", "min_index_size": 65536}))
        result = site.run(planned, yes=True, until=datetime.now(UTC) - timedelta(seconds=1))
    assert result.exit_code == 4
    items = listed(aishell, "--target", "shop")
    assert items
    aishell("schedule", "run-due").expect(0)
    assert listed(aishell) == []


def test_the_state_is_maintained_and_a_site_without_one_says_so(aishell: Aishell, bloated_sqlite: Bloated) -> None:
    refused = aishell("state", "maintain").expect(2)
    assert "does not exist" in refused.err
    aishell.url = bloated_sqlite.make().url
    aishell.maintenance("quick").expect(0)
    document = aishell("state", "maintain", "--compact", "--output", "json").expect(0).json
    assert document["problems"] == []
    assert document["compacted"]
    assert Path(document["path"]) == aishell.state
    assert json.dumps(document["bytes_after"]) == str(aishell.state.stat().st_size)
    assert "is intact" in aishell("state", "maintain").expect(0).out
    aishell("audit", "verify").expect(0)
    assert_sound(aishell)
