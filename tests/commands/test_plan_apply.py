"""`aishell plan` and `apply`: a plan is executed as it was saved, or refused naming what has changed."""

from __future__ import annotations

import json
import os

import pytest

from tests.unit.test_trust import OTHER, needs_root

SMALL = ("--type", "full", "--set", "min_index_size=65536")


def path_of(aishell):
    return aishell.home / "shop.plan"


def plan(aishell, db, *more, url=None):
    path = path_of(aishell)
    arguments = ("plan", "maintenance", *SMALL, "--url", url or db.url, "--environment", "test", "--out", str(path))
    aishell(*arguments, *more).expect(0)
    return path


def apply(aishell, path, *more):
    return aishell("apply", str(path), "--environment", "test", "--yes", "--output", "json", *more)


def refusal(ended):
    """The message and hint of a plan that was refused as outgrown; nothing ran."""
    error = ended.expect(1).json["error"]
    assert error["type"] == "OutgrownError"
    assert error["hint"]
    return error["message"]


def test_a_saved_plan_is_what_runs(aishell, bloated):
    db = bloated.make()
    path = plan(aishell, db)
    saved = json.loads(path.read_text())
    preview = apply(aishell, path, "--dry-run").expect(0).json
    assert preview["status"] == "preview"
    done = apply(aishell, path).expect(0)
    for document in (preview, done.json):
        assert document["plan"]["digest"] == saved["digest"]
        assert [step["id"] for step in document["plan"]["steps"]] == [step["id"] for step in saved["plan"]["steps"]]
    assert set(done.statuses().values()) == {"done"}
    reference = bloated.make()
    aishell("run", "maintenance", *SMALL, "--url", reference.url, "--environment", "test", "--yes").expect(0)
    assert bloated.facts(db) == bloated.facts(reference)


def test_planning_writes_nothing_but_the_file(aishell, bloated):
    db = bloated.make()
    before, content = bloated.facts(db), bloated.content(db)
    path = plan(aishell, db)
    assert path.stat().st_mode & 0o777 == 0o600
    assert bloated.facts(db) == before
    assert bloated.content(db) == content
    assert not aishell.state.exists()


def test_a_plan_is_shown_as_a_dry_run_is(aishell, bloated_sqlite):
    db = bloated_sqlite.make()
    planned = (
        aishell("plan", "maintenance", *SMALL, "--url", db.url, "--environment", "test", "--output", "json")
        .expect(0)
        .json
    )
    shown = aishell(
        "run", "maintenance", *SMALL, "--url", db.url, "--environment", "test", "--output", "json", "--dry-run"
    ).json
    steps = [
        [(step["id"], step["statements"], step["verdict"]) for step in one["plan"]["steps"]] for one in (planned, shown)
    ]
    assert steps[0] == steps[1]
    assert planned["status"] == "preview"


def test_a_table_that_is_gone(aishell, bloated):
    db = bloated.make()
    path = plan(aishell, db)
    if bloated.engine == "mysql":
        db.execute("DO SLEEP(1)")  # the time of its creation is told to the second (tools/mysql/identify_objects.sql)
    db.execute("DROP TABLE orders")
    assert "orders no longer exists" in refusal(apply(aishell, path))
    assert not aishell.state.exists()


def test_a_table_that_was_replaced(aishell, bloated):
    db = bloated.make()
    path = plan(aishell, db)
    if bloated.engine == "mysql":
        db.execute("DO SLEEP(1)")  # the time of its creation is told to the second (tools/mysql/identify_objects.sql)
    db.execute("DROP TABLE orders")
    db.execute("CREATE TABLE orders (id integer PRIMARY KEY, other integer)")
    assert "orders was replaced, altered or rebuilt" in refusal(apply(aishell, path))


def test_a_table_that_has_grown(aishell, bloated_pg):
    db = bloated_pg.make()
    path = plan(aishell, db)
    db.execute("INSERT INTO orders SELECT i, md5(i::text), repeat('x', 500) FROM generate_series(100001, 140000) AS i")
    assert "public.orders grew from" in refusal(apply(aishell, path, "--dry-run"))


def test_a_file_that_has_grown(aishell, bloated_sqlite):
    """VACUUM names no table: what it was planned for is the whole file."""
    db = bloated_sqlite.make()
    path = plan(aishell, db)
    db.execute("CREATE TABLE more AS SELECT randomblob(20000000)")
    assert "the database grew from" in refusal(apply(aishell, path))


def test_another_database(aishell, bloated):
    path = plan(aishell, bloated.make())
    assert "made for another database" in refusal(apply(aishell, path, "--url", bloated.make().url))


def test_a_tool_that_was_changed(aishell, bloated_pg):
    """Another variant of the tool fits when the extension is gone: it measures otherwise than was approved."""
    db = bloated_pg.make()
    path = plan(aishell, db)
    db.execute("DROP EXTENSION pgstattuple")
    assert "another variant of it fits" in refusal(apply(aishell, path))


@pytest.mark.parametrize("place", [("plan", "objects"), ("plan", "steps")])
def test_an_edited_plan_is_refused(aishell, bloated_sqlite, place):
    path = plan(aishell, bloated_sqlite.make())
    document = json.loads(path.read_text())
    document[place[0]][place[1]] = document[place[0]][place[1]][1:]
    path.write_text(json.dumps(document))
    assert "was edited" in apply(aishell, path).expect(2).err


def test_what_is_no_plan_is_refused_and_left_alone(aishell, bloated_sqlite):
    db = bloated_sqlite.make()
    path = aishell.home / "notes"
    path.write_text("mine")
    assert "is not a saved plan" in apply(aishell, path).expect(2).err
    said = aishell("plan", "maintenance", "--url", db.url, "--out", str(path)).expect(2)
    assert "is not a saved plan" in said.err
    assert path.read_text() == "mine"


@pytest.mark.parametrize("way", ["file", "folder", pytest.param("owner", marks=needs_root)])
def test_a_plan_that_others_could_have_written_is_refused(aishell, bloated_sqlite, way):
    path = plan(aishell, bloated_sqlite.make())
    folder = aishell.home / "kept"
    folder.mkdir()
    path = path.rename(folder / path.name)
    if way == "owner":
        os.chown(path, OTHER, OTHER)
    else:
        (path if way == "file" else folder).chmod(0o777)
    refused = apply(aishell, path, "--dry-run").expect(2)
    assert refused.json["error"]["type"] == "UntrustedError"
    assert "trust" in refused.json["error"]["hint"]
    assert "steps" in aishell("--trust-site", "apply", str(path), "--environment", "test", "--dry-run").expect(0).out


def test_an_earlier_plan_is_replaced(aishell, bloated_sqlite):
    db = bloated_sqlite.make()
    before = plan(aishell, db).read_text()
    db.execute("CREATE TABLE more (i)")
    after = json.loads(plan(aishell, db, "--all-tables").read_text())
    assert after["digest"] != json.loads(before)["digest"]
    assert [p.name for p in path_of(aishell).parent.glob(".shop.plan*")] == []


def test_passwords_are_not_saved(aishell, bloated_pg):
    db = bloated_pg.make()
    db.make_role("keeper", "s3cret", "SUPERUSER")
    path = plan(aishell, db, url=db.url_as("keeper", "s3cret"))
    assert "s3cret" not in path.read_text()
    assert "give --url" in apply(aishell, path).expect(2).json["error"]["hint"]
    apply(aishell, path, "--url", db.url_as("keeper", "s3cret")).expect(0)


def test_a_plan_asks_as_a_run_does(aishell, bloated_sqlite):
    """Saved for a test database, applied to it as production."""
    path = plan(aishell, bloated_sqlite.make())
    waiting = aishell("apply", str(path), "--environment", "production", "--output", "json").expect(3)
    assert waiting.json["status"] == "waiting_approval"


def test_out_is_for_one_target(aishell, sqlite):
    aishell.configure("targets.yaml", f"targets: {{a: {{url: {sqlite.url!r}}}, b: {{url: {sqlite.url!r}}}}}")
    assert "--out saves the plan of one target" in aishell("plan", "maintenance", "--all", "--out", "x").expect(2).err
    both = aishell("plan", "maintenance", "--all", "--output", "json").expect(0).json["runs"]
    assert [one["target"] for one in both] == ["a", "b"]


def test_a_target_that_cannot_be_planned_does_not_stop_the_others(aishell, sqlite):
    aishell.configure("targets.yaml", f"targets: {{a: {{url: 'sqlite:///no.db'}}, b: {{url: {sqlite.url!r}}}}}")
    both = aishell("plan", "maintenance", "--all", "--output", "json").expect(2).json["runs"]
    assert [one["status"] for one in both] == ["failure", "preview"]
