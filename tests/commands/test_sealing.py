"""Sealed parts of the audit log: moved out whole, checked against what stays, and never lost whenever a kill comes."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from aishell.state import audit
from aishell.state.store import Store
from tests.faults.killed import Fault
from tests.fix_aishell import Aishell, Ended


@pytest.fixture
def site(aishell: Aishell, bloated_sqlite: Any) -> Aishell:
    """Three runs that are over."""
    aishell.url = bloated_sqlite.make().url
    for _ in range(3):
        assert aishell.maintenance("quick").code == 0
    return aishell


def sealed(site: Aishell, path: Path, *more: str, fault: Fault | None = None) -> Ended:
    return site("audit", "export", "--seal", str(path), "--older-than", "0", *more, fault=fault)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def edited(site: Aishell, sql: str) -> None:
    with contextlib.closing(sqlite3.connect(site.state)) as state:
        state.execute(sql)
        state.commit()


def verified(site: Aishell, *against: Path | str) -> dict[str, Any]:
    arguments = [word for one in against for word in ("--against", str(one))]
    return site("audit", "verify", "--output", "json", *arguments).json


def problems(site: Aishell, *against: Path | str) -> list[str]:
    return [problem["text"] for problem in verified(site, *against)["problems"]]


def test_the_older_part_moves_and_the_log_stays_whole(site):
    whole = site("audit", "export").expect(0).out.splitlines()
    head, first, second = site.home / "head", site.home / "first.jsonl", site.home / "second.jsonl"
    head.write_bytes(site.state.with_name("state.db.head").read_bytes())
    copy = site.home / "copy.jsonl"
    copy.write_text("\n".join(whole))
    early = json.loads(whole[3])["hash"][:16]
    said = sealed(site, first).expect(0).out
    moved = lines(first)
    assert f"1 to {len(moved)}" in said
    assert moved[-1]["hash"] in said
    assert [json.loads(line) for line in whole[: len(moved)]] == moved
    assert first.stat().st_mode & 0o777 == 0o600
    left = [row[0] for row in site.rows("SELECT id FROM events ORDER BY id")]
    assert left[0] == len(moved) + 1
    assert {event["run_id"] for event in moved} & {row[0] for row in site.rows("SELECT run_id FROM events")} == set()
    said = site("audit", "verify").expect(0).out
    assert "not checked: give --against each sealed file" in said
    assert problems(site, first, copy, head, early) == []
    assert problems(site, early), "a head in the sealed part is known with its file alone"
    assert site.maintenance("quick").code == 0
    sealed(site, second).expect(0)
    assert lines(second)[0]["previous"] == moved[-1]["hash"]
    assert problems(site, second) == problems(site, second, first, copy, head) == []
    assert [part["through"] for part in verified(site)["sealed"]] == [moved[-1]["id"], lines(second)[-1]["id"]]
    assert len(site("runs", "list", "--output", "json").json) == 4


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda events: events[:-1], "are missing from the file"),
        (lambda events: events[1:], "are missing from the file"),
        (lambda events: [*events[:4], {**events[4], "type": "x"}, *events[5:]], "changed after it was sealed"),
        (lambda events: [{**events[0], "data": {}}, *events[1:]], "changed after it was sealed"),
    ],
)
def test_a_sealed_file_that_was_changed_shows(site, edit, said):
    path = site.home / "first.jsonl"
    sealed(site, path).expect(0)
    path.write_text("".join(json.dumps(event) + "\n" for event in edit(lines(path))))
    assert any(said in problem for problem in problems(site, path))


@pytest.mark.parametrize(
    "edit",
    [
        "DELETE FROM events WHERE type = 'audit_sealed'",
        "UPDATE events SET data = replace(data, '\"through\":', '\"through\":1') WHERE type = 'audit_sealed'",
        "DELETE FROM events WHERE id = (SELECT min(id) FROM events)",
        "UPDATE events SET data = '[]' WHERE id = (SELECT min(id) FROM events)",
    ],
)
def test_what_is_changed_in_the_log_after_sealing_shows(site, edit):
    sealed(site, site.home / "first.jsonl").expect(0)
    edited(site, edit)
    assert problems(site)


def test_a_seal_that_sealed_nothing_is_none(site):
    """It is appended as any event is, and carries what was never counted."""
    sealed(site, site.home / "first.jsonl").expect(0)
    ((told,),) = site.rows("SELECT data FROM events WHERE type = 'audit_sealed'")
    with contextlib.closing(Store.open(site.state)) as store, store.write() as connection:
        audit.append(connection, "audit_sealed", json.loads(told))
    assert problems(site)


def test_what_stands_of_sealed_runs_is_checked_with_their_file(site):
    path = site.home / "first.jsonl"
    sealed(site, path).expect(0)
    edited(site, "UPDATE runs SET state = 'cancelled' WHERE id = (SELECT id FROM runs ORDER BY created_at LIMIT 1)")
    assert problems(site) == []
    assert any("is cancelled, but" in problem for problem in problems(site, path))


def test_pruned_runs_are_counted_on(site):
    path = site.home / "first.jsonl"
    site("runs", "prune", "--keep", "2", "--older-than", "0").expect(0)
    sealed(site, path).expect(0)
    assert problems(site) == problems(site, path) == []
    site("runs", "prune", "--keep", "1", "--older-than", "0").expect(0)
    assert problems(site) == problems(site, path) == []
    edited(site, "DELETE FROM runs")
    assert any("of the log are missing" in problem for problem in problems(site))


def test_a_run_that_is_not_over_keeps_itself_and_what_came_after(site):
    edited(site, "UPDATE runs SET state = 'paused' WHERE id = (SELECT id FROM runs ORDER BY created_at LIMIT 1)")
    said = sealed(site, site.home / "first.jsonl").expect(2).err
    assert "is damaged" in said, "what the log does not tell of is not sealed"
    edited(site, "UPDATE runs SET state = 'completed'")
    path = site.configure("policy.yaml", "rules: [{tool: analyze_database_health, decision: confirm}]\n")
    assert site.maintenance("quick", yes=False).code == 3
    path.unlink()
    assert site.maintenance("quick").code == 0
    said = sealed(site, site.home / "second.jsonl").expect(0).out
    assert "which is waiting_approval, keeps the events after" in said


def test_what_is_there_is_never_written_over(site):
    path = site.home / "first.jsonl"
    path.write_text("mine\n")
    assert "already exists" in sealed(site, path).expect(2).err
    assert path.read_text() == "mine\n"
    good = site.home / "good.jsonl"
    sealed(site, good).expect(0)
    assert site.maintenance("quick").code == 0
    assert "already exists" in sealed(site, good).expect(2).err
    assert "cannot be written" in sealed(site, site.home / "no folder" / "x.jsonl").expect(2).err
    assert problems(site, good) == []


def test_a_sealed_run_is_not_resumed(site):
    with contextlib.closing(sqlite3.connect(site.state)) as state:
        (run,) = state.execute("SELECT id FROM runs ORDER BY created_at LIMIT 1").fetchone()
    sealed(site, site.home / "first.jsonl").expect(0)
    edited(site, f"UPDATE runs SET state = 'failed' WHERE id = '{run}'")
    assert "sealed" in site("runs", "resume", run).expect(2).err


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_its_commit_nothing_is_lost(site, when):
    """The file is whole before anything goes; killed before the commit, the same command goes on from the file."""
    whole, path = site("audit", "export").expect(0).out.splitlines(), site.home / "first.jsonl"
    for at in (1, 2):
        ended = sealed(site, path, fault=Fault(at, when))
        left = site("audit", "export").expect(0).out.splitlines()
        kept = {event["id"]: event["hash"] for event in lines(path)}
        kept |= {event["id"]: event["hash"] for event in map(json.loads, left)}
        for line in whole:
            event = json.loads(line)
            assert kept[event["id"]] == event["hash"]
        assert problems(site) == problems(site, path) == []
        if ended.code == 0:
            break
        if when == "before":
            sealed(site, path).expect(0)
            assert problems(site, path) == []
            break
    assert json.loads(site("audit", "export").expect(0).out.splitlines()[0])["id"] == len(lines(path)) + 1
    assert [one.name for one in site.home.glob(".first*")] == []


def test_two_that_seal_at_once_seal_once(site):
    running = [
        site.start("audit", "export", "--seal", str(site.home / f"{n}.jsonl"), "--older-than", "0") for n in "ab"
    ]
    ended = [one.wait() for one in running]
    assert 0 in [one.code for one in ended]
    files = [path for path in (site.home / "a.jsonl", site.home / "b.jsonl") if path.exists()]
    assert problems(site, *files) == []
    assert len(site.rows("SELECT id FROM events WHERE type = 'audit_sealed'")) == 1
