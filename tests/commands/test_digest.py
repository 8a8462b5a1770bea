"""`aishell digest` and `aishell runs report` as their users run them, on real runs: every figure is the one of `state.db`."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aishell.moments import nominal
from aishell.reporting.units import exact, size
from aishell.state.locks import FileLock, folder_of
from tests.bloated import Bloated
from tests.fix_aishell import Aishell
from tests.hostile_text import TEXT, raw
from tests.scheduled import back, nightly
from tests.unit.reporting.page_reader import Node, read

FORMATS = {"text": "txt", "markdown": "md", "json": "json", "html": "html"}


def cells(page: Node) -> set[str]:
    return {node.text for tag in ("th", "td", "dd") for node in page.all(tag)}


def quick(aishell: Aishell, name: str = "shop.db", *more: str, table: str = "t") -> str:
    """A quick run on a small database; its id."""
    if not (aishell.site / name).exists():
        with closing(sqlite3.connect(aishell.site / name)) as made, made:
            made.execute('CREATE TABLE "{}" (i INTEGER PRIMARY KEY, t TEXT)'.format(table.replace('"', '""')))
            made.execute('INSERT INTO "{}" (t) VALUES (1), (2)'.format(table.replace('"', '""')))
    where = ("--url", f"sqlite:///{name}", "--environment", "test", "--output", "json")
    return aishell("run", "maintenance", "--type", "quick", *where, *more).expect(0).run_id


@pytest.fixture
def worked(aishell: Aishell, bloated: Bloated) -> Aishell:
    """A site that has maintained a database on which there was something to do."""
    aishell.url = bloated.make().url
    aishell.maintenance("full").expect(0)
    return aishell


def test_every_figure_of_a_night_is_the_one_of_the_store(worked: Aishell) -> None:
    told = worked("digest", "--format", "json").expect(0).json
    steps = worked.rows("SELECT tool, seconds, output FROM steps WHERE seconds > 0")
    outputs = [(tool, json.loads(output)) for tool, _, output in steps]
    sized = [(o["bytes_before"], o["bytes_after"]) for _, o in outputs if o.get("bytes_before") is not None]
    assert sized, "there is something to compare"
    totals = told["totals"]
    assert totals["bytes_reclaimed"] == sum(before - after for before, after in sized)
    assert (totals["runs"], totals["steps"]) == (1, len(steps))
    assert totals["execution_time"] == pytest.approx(sum(seconds for _, seconds, _ in steps))
    took: dict[str, float] = {}
    for tool, seconds, _ in steps:
        took[tool] = took.get(tool, 0.0) + seconds
    assert {one["tool"]: one["execution_time"] for one in told["tools"]} == pytest.approx(took)
    ((own,),) = worked.rows("SELECT json_extract(result, '$.output_data.bytes_reclaimed') FROM runs")
    assert told["runs"][0]["bytes_reclaimed"] == totals["bytes_reclaimed"] == own
    objects = worked.rows(
        "SELECT object, bytes_before, bytes_after FROM table_history WHERE bytes_after IS NOT NULL ORDER BY id"
    )
    first, last = {name: before for name, before, _ in reversed(objects)}, {name: after for name, _, after in objects}
    found = {one["object"]: (one["bytes_before"], one["bytes_after"]) for one in told["sizes"]}
    assert found == {name: (first[name], last[name]) for name in first}
    (night,) = told["nights"]
    assert (night["bytes_reclaimed"], night["steps"]) == (totals["bytes_reclaimed"], len(steps))


@pytest.mark.sampled(1)
def test_the_same_figures_stand_in_every_format(worked: Aishell) -> None:
    told = worked("digest", "--format", "json").expect(0).json
    shown = {form: worked("digest", "--format", form).expect(0).out for form in ("text", "markdown", "html")}
    page = read(shown["html"])
    about = "about " if told["totals"]["bytes_method"] == "statistics" else ""
    for figure in (
        f"{about}{size(told['totals']['bytes_reclaimed'])}",
        *(size(one["bytes_before"]) for one in told["sizes"]),
        *(one["tool"] for one in told["tools"]),
    ):
        for form, text in shown.items():
            assert figure in (page.text if form == "html" else text.replace("\\", "")), (form, figure)
    assert size(told["sizes"][0]["bytes_after"]) in {cell.removeprefix("about ") for cell in cells(page)}


@pytest.mark.sampled(1)
def test_the_report_of_a_run_tells_each_of_its_steps(worked: Aishell) -> None:
    run_id = worked.only_run()
    told = worked("runs", "report", run_id[:8], "--format", "json").expect(0).json
    rows = worked.rows("SELECT step_id, tool, status FROM steps ORDER BY step_index")
    assert [(step["step_id"], step["tool"], step["status"]) for step in told["run"]["steps"]] == rows
    ((own,),) = worked.rows(
        "SELECT json_extract(output, '$.report') FROM steps WHERE tool = 'generate_maintenance_report'"
    )
    assert told["own_report"] == own
    page = read(worked("runs", "report", run_id, "--format", "html").expect(0).out)
    assert {exact(step) for step, _, _ in rows} <= cells(page)
    assert [node.text for node in page.all("pre")] == [own]
    text = worked("runs", "report", run_id).expect(0).out
    markdown = worked("runs", "report", run_id, "--format", "markdown").expect(0).out
    for step, _, _ in rows:
        assert step in text
        assert step in markdown.replace("\\", "")


def test_names_that_would_be_obeyed_are_shown(aishell: Aishell) -> None:
    run_id = quick(aishell, table=TEXT)
    for words in (("digest",), ("runs", "report", run_id)):
        for form in FORMATS:
            ended = aishell(*words, "--format", form).expect(0)
            assert raw(ended.out) == [], form
            assert raw(ended.err) == []
        page = read(ended.out)
        assert page.all("script") == []
    told = aishell("digest", "--format", "json").expect(0).json
    assert (
        aishell("runs", "report", run_id, "--format", "json").expect(0).json["run"]["target"]
        == told["runs"][0]["target"]
    )


@pytest.mark.parametrize(("name", "form"), [(f"night.{ending}", form) for form, ending in FORMATS.items()])
def test_a_file_is_of_the_format_that_its_name_says_and_for_its_owner(aishell: Aishell, name: str, form: str) -> None:
    quick(aishell)
    path = aishell.site / name
    path.write_text("an older one")
    assert aishell("digest", "-o", name).expect(0).out == f"written: {name}\n"
    written = path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    begins = {"text": "Digest of", "markdown": "# Digest of", "json": "{", "html": "<!doctype html>"}
    assert written.startswith(begins[form])
    assert sorted(one.name for one in aishell.site.iterdir()) == sorted(["config", name, "shop.db"])


def test_the_format_that_is_asked_for_wins(aishell: Aishell) -> None:
    run_id = quick(aishell)
    aishell("runs", "report", run_id, "--format", "json", "-o", "run.html").expect(0)
    assert json.loads((aishell.site / "run.html").read_text())["run"]["run_id"] == run_id


def test_what_cannot_be_done_is_refused(aishell: Aishell) -> None:
    assert "no run was made yet" in aishell("digest").expect(2).err
    assert not aishell.state.exists(), "looking makes no store"
    quick(aishell)
    assert "invalid timestamp 'yesterday'" in aishell("digest", "--since", "yesterday").expect(2).err
    assert "is in the future" in aishell("digest", "--since", "2099-01-01").expect(2).err
    assert "is out of range" in aishell("digest", "--since", "999999999d").expect(2).err
    assert "cannot be written to" in aishell("digest", "-o", "nowhere/night.html").expect(2).err
    assert "unknown run" in aishell("runs", "report", "zzz").expect(2).err


def test_since_is_a_duration_a_day_or_a_time(aishell: Aishell) -> None:
    quick(aishell)
    day = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"
    for since in ("1h", "90m", "7d", day, f"{day} 18:00", f"{day}T18:00:00+02:00"):
        assert len(aishell("digest", "--since", since, "--format", "json").expect(0).json["runs"]) == 1, since


def told(aishell: Aishell) -> list[dict[str, Any]]:
    return aishell("digest", "--format", "json").expect(0).json["needs"]


@pytest.fixture
def shop(aishell: Aishell) -> Path:
    """A production target with something to ask for, and with no backup."""
    path = aishell.site / "shop.db"
    with closing(sqlite3.connect(path)) as made, made:
        made.execute("CREATE TABLE t (i INTEGER PRIMARY KEY, t TEXT)")
        made.executemany("INSERT INTO t (t) VALUES (?)", [("x" * 200,)] * 10_000)
        made.execute("DELETE FROM t WHERE i % 10")
    aishell.configure("targets.yaml", "targets:\n  shop:\n    url: sqlite:///shop.db\n")
    return path


def test_an_approval_is_at_the_top_until_it_is_answered_and_a_backup_until_there_is_one(
    aishell: Aishell, shop: Path
) -> None:
    full = ("run", "maintenance", "--type", "full", "--target", "shop", "--non-interactive", "--output", "json")
    run_id = aishell(*full).expect(3).run_id
    asked, backup = told(aishell)
    ((approval,),) = aishell.rows("SELECT id FROM approvals")
    assert (asked["kind"], asked["run_id"]) == ("approval", run_id)
    assert asked["remedy"].endswith(f" approvals show {approval}")
    assert (backup["kind"], backup["text"]) == ("backup", "the newest verified backup: there is none")
    aishell("approvals", "approve", approval).expect(0)
    aishell("run", "backup", "--target", "shop", "--yes").expect(0)
    aishell.resume(run_id).expect(0)
    assert told(aishell) == []
    night = aishell("digest", "--format", "json").expect(0).json
    ((backup_id, bytes_),) = aishell.rows("SELECT backup_id, bytes FROM backups")
    (kept,) = night["backups"]
    assert (kept["backup_id"], kept["bytes"], kept["ok"]) == (backup_id, bytes_, True)
    assert 0 <= kept["age"] < 600
    page = aishell("digest", "--format", "html").expect(0).out
    assert [node.text for node in read(page).all("p", "good")] == ["Nothing needs a person."]


def test_a_run_that_failed_is_told_with_its_error(aishell: Aishell, shop: Path) -> None:
    aishell.configure("aishell.yaml", "backups: full\n")
    (aishell.site / "full").write_text("this is no folder")
    aishell("run", "backup", "--target", "shop", "--yes").expect(1)
    need = told(aishell)[0]
    ((step, error),) = aishell.rows("SELECT step_id, error FROM steps WHERE status = 'failed'")
    assert (need["kind"], need["text"]) == ("failure", f"backup, step {step}: {error}")


def test_a_night_that_was_missed_or_that_nothing_looks_for_is_told(aishell: Aishell, shop: Path) -> None:
    nightly(aishell, "sqlite:///shop.db")
    quick(aishell)
    assert [need["text"] for need in told(aishell) if need["kind"] == "missed"] == [
        "schedule nightly has never been checked for due times"
    ]
    back(aishell, "nightly", days=3)
    (silent,) = [need for need in told(aishell) if need["kind"] == "missed"]
    # Of what has come a quarter of an hour ago or less, somebody may still look.
    assert re.search(r"is not checked for due times; [23] time\(s\) have passed", silent["text"])
    aishell("schedule", "run-due").expect(4)
    (missed,) = [need for need in told(aishell) if need["kind"] == "missed"]
    rows = aishell.rows("SELECT local_at, reason FROM schedule_runs WHERE status = 'missed' ORDER BY id DESC")
    (last, why), *_, (first, _) = rows
    times = f" ({len(rows)} times since {nominal(first)})"
    assert missed["text"] == f"schedule nightly of {nominal(last)}{times}: missed, {why}"
    aishell.configure("schedules.yaml", "schedules: {nightly: {cron: nonsense}}\n")
    assert any("no schedule runs: " in need["text"] for need in told(aishell))
    daemon = FileLock(folder_of(aishell.state) / "daemon.lock", "daemon")
    try:
        assert any("goes on with the configuration before: " in need["text"] for need in told(aishell))
    finally:
        daemon.release()
