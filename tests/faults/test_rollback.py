"""`on_error: rollback`: what a run has done is taken back in reverse order, through the gates, wherever it is killed."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from tests import logs
from tests.faults.killing import KILLED, SWEEPS, Sweep, assert_no_finished_step_ran_again, new_site
from tests.faults.test_partitions_kill import fill as fill_partitions
from tests.fix_aishell import Aishell, Ended
from tests.fix_tools import ENGINES, label

HEADER = """-- name: {name}
-- engine: sqlite >= 3.35
-- category: database_write
-- risk: medium
-- capabilities: [database_read, database_write]
-- runs: {runs}
-- lock: RESERVED
-- key: [{key}]
-- parameters:
--   word: {{type: string}}
-- returns: {{marked: count(ok)}}
-- examples: [{{params: {{word: a}}}}]
--
-- Writes a mark.

"""
#: One row a mark, in the order they were written; `gone` has those that were taken back, in the order of that.
MARK = """-- do: write it
INSERT INTO marks (word) VALUES (:word)

-- verify: it is there
SELECT EXISTS (SELECT 1 FROM marks WHERE word = :word) AS ok
"""
UNDO = """
-- undo: the mark is removed
DELETE FROM marks WHERE word = :word

-- undone: whether it is gone
SELECT NOT EXISTS (SELECT 1 FROM marks WHERE word = :word) AS ok,
       (SELECT 'it was sealed' FROM marks WHERE word = :word AND sealed) AS reason
"""
EACH = """-- find: three marks
SELECT :word || value AS one FROM json_each('[1, 2, 3]')

-- do: write one
INSERT INTO marks (word) VALUES (:one)

-- verify: it is there
SELECT EXISTS (SELECT 1 FROM marks WHERE word = :one) AS ok

-- undo: the marks are removed
DELETE FROM marks WHERE word = :one

-- undone: whether it is gone
SELECT NOT EXISTS (SELECT 1 FROM marks WHERE word = :one) AS ok, NULL AS reason
"""
AGENT = '''"""An agent whose steps are its input."""

from aishell.agents.base import Agent, Draft
from aishell.models import AgentConfig, Estimate, Step


class Roller(Agent):
    type = "roller"
    defaults = AgentConfig("roller", "roller", capabilities=frozenset({"database_read", "database_write"}))
    inputs = {"steps": {"type": "array"}}

    def draft(self, task, inventory):
        return Draft(tuple(Step(estimate=Estimate(0.1, None, "a guess"), **step) for step in task.input_data["steps"]))

    def summarise(self, task, results):
        return {}, "Marks were written."
'''


class Site:
    """A site with tools that write marks, an agent that runs any steps, and a database of marks."""

    def __init__(self, aishell: Aishell) -> None:
        self.aishell, self.path = aishell, aishell.home / "marks.db"
        folder = aishell.site / "tools" / "sqlite"
        folder.mkdir(parents=True)
        for name, runs, key, blocks in (
            ("mark", "statement", "", MARK + UNDO),
            ("note", "statement", "", MARK),
            ("mark_each", "each", "one", EACH),
        ):
            header = HEADER.format(name=name, runs=runs, key=key).replace("-- key: []\n", "")
            (folder / f"{name}.sql").write_text(header + blocks)
        (aishell.site / "roller.py").write_text(AGENT)
        info = aishell.site / "roller-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Name: roller\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[aishell.agents]\nroller = roller:Roller\n")
        with closing(sqlite3.connect(self.path)) as db:
            db.executescript(
                """
                CREATE TABLE marks (
                    id INTEGER PRIMARY KEY, word TEXT NOT NULL CHECK (word <> 'no'), sealed INTEGER NOT NULL DEFAULT 0);
                CREATE TABLE gone (id INTEGER PRIMARY KEY, word TEXT);
                CREATE TRIGGER going AFTER DELETE ON marks BEGIN INSERT INTO gone (word) VALUES (old.word); END;"""
            )

    def do(self, sql: str) -> None:
        with closing(sqlite3.connect(self.path)) as db:
            db.executescript(sql)

    def words(self, table: str = "marks") -> list[str]:
        with closing(sqlite3.connect(self.path)) as db:
            return [row[0] for row in db.execute(f"SELECT word FROM {table} ORDER BY id")]

    def run(self, *steps: dict[str, Any], environment: str = "test", **more: Any) -> Ended:
        fixed = ("--url", f"sqlite:///{self.path}", "--environment", environment, "--output", "json")
        return self.aishell("run", "roller", "--set", f"steps={json.dumps(steps)}", *fixed, **more)


@pytest.fixture
def site(aishell: Aishell) -> Site:
    return Site(aishell)


def step(word: str, tool: str = "mark", on_error: str = "fail", **more: Any) -> dict[str, Any]:
    return {"id": word, "tool": tool, "params": {"word": word}, "on_error": on_error, **more}


#: Two marks, one that cannot be undone, three at once, and a step that fails: `no` is no word.
STEPS = [step("a"), step("b", needs=["a"]), step("n", "note", needs=["b"]), step("c", "mark_each", needs=["n"]),
         step("no", on_error="rollback", needs=["c"]), step("d", needs=["no"])]  # fmt: skip
GONE = ["c3", "c2", "c1", "b", "a"]


WHEN = "CREATE TRIGGER {name} AFTER INSERT ON marks WHEN new.word = '{word}' BEGIN {do}; END"


def assert_rolled_back(site: Site, ended: Ended) -> None:
    document = ended.expect(1).json
    assert (site.words(), site.words("gone")) == (["n"], GONE)
    assert (document["status"], document["state"]) == ("failure", "failed")
    data = document["output_data"]
    assert data["rolled_back"] == ["a", "b", "c"]
    assert data["not_rolled_back"] == [{"step_id": "n", "reason": "it cannot be undone"}]
    assert "Rolled back: a, b, c. Not rolled back: n (it cannot be undone)." in document["reasoning"]
    statuses = ended.statuses()
    assert [statuses[name] for name in ("a", "no", "d", "undo_a")] == ["done", "failed", "skipped", "done"]
    assert_no_finished_step_ran_again(site.aishell)
    site.aishell("audit", "verify").expect(0)


def test_what_was_done_is_taken_back_in_reverse(site: Site) -> None:
    ended = site.run(*STEPS)
    assert_rolled_back(site, ended)
    checkpoints = ended.json["checkpoints"]
    assert [name for name in checkpoints if name.endswith("_completed")] == [
        *(f"step_{n}_completed" for n in (0, 1, 2, 3, 8, 9, 10)),
        "workflow_completed",
    ]
    assert "was rolled back" in site.aishell.resume(ended.run_id).expect(2).err


def test_where_nothing_fails_nothing_is_taken_back(site: Site) -> None:
    ended = site.run(*(one for one in STEPS if one["id"] not in ("no", "d"))).expect(0)
    assert "undo_a" not in ended.statuses()
    ended = site.run(step("x", on_error="rollback")).expect(0)
    assert ended.statuses() == {"x": "done", "undo_x": "skipped"}
    assert site.words("gone") == []


@pytest.mark.parametrize("on_error", ["fail", "continue"])
def test_other_failures_take_nothing_back(site: Site, on_error: str) -> None:
    site.run(step("a"), step("no", on_error=on_error, needs=["a"])).expect(1)
    assert (site.words(), site.words("gone")) == (["a"], [])


@pytest.mark.parametrize("on_error", ["banana", "Rollback", "", "roll back"])
def test_an_unknown_on_error_is_refused_before_anything(site: Site, on_error: str) -> None:
    said = site.run(step("a"), step("no", on_error=on_error, needs=["a"])).expect(2)
    assert "on_error" in said.err
    assert "rollback" in said.err
    assert site.words() == []
    given = ("--url", f"sqlite:///{site.path}", "--set", f"on_error={on_error or 'x'}")
    assert "on_error" in site.aishell("run", "maintenance", *given).expect(2).err


def test_the_preview_says_what_can_be_undone_and_what_cannot(site: Site) -> None:
    fixed = ("--url", f"sqlite:///{site.path}", "--environment", "test", "--dry-run")
    shown = site.aishell("run", "roller", "--set", f"steps={json.dumps(STEPS)}", *fixed).expect(0).out
    assert shown.count("can be undone: the mark is removed\n") == 4
    assert shown.count("can be undone: the marks are removed\n") == 1
    assert "only if the run is rolled back" in shown
    steps = site.run(*STEPS[:3], step("no", on_error="rollback"), environment="production").json["plan"]["steps"]
    assert {one["id"]: one["undo"] for one in steps if one["undoes"] is None} == {
        "a": "the mark is removed", "b": "the mark is removed", "n": None, "no": "the mark is removed",
    }  # fmt: skip


def test_what_cannot_be_taken_back_any_more_stays_and_is_named(site: Site) -> None:
    site.do(
        "CREATE TRIGGER seal AFTER INSERT ON marks WHEN new.word = 'b' BEGIN UPDATE marks SET sealed = 1 WHERE word = 'b'; END"
    )
    data = site.run(step("s"), step("t", needs=["s"]), *STEPS).expect(1).json["output_data"]
    assert (site.words(), site.words("gone")) == (["s", "t", "a", "b", "n"], ["c3", "c2", "c1"])
    assert data["rolled_back"] == ["c"]
    assert data["not_rolled_back"] == [
        *({"step_id": name, "reason": "needs step 'undo_b', which failed"} for name in ("s", "t", "a")),
        {"step_id": "b", "reason": "cannot be undone: it was sealed"},
        {"step_id": "n", "reason": "it cannot be undone"},
    ]
    site.do("DROP TRIGGER seal; UPDATE marks SET sealed = 0")  # and once it can, resume goes on backwards, and only so
    ended = site.aishell.resume(site.aishell.only_run()).expect(1)
    assert (site.words(), site.words("gone")) == (["n"], [*GONE, "t", "s"])
    assert ended.json["output_data"]["rolled_back"] == ["s", "t", "a", "b", "c"]


def test_what_others_took_back_already_is_left_alone(site: Site) -> None:
    site.do(
        "CREATE TRIGGER gone AFTER INSERT ON marks WHEN new.word = 'c2' BEGIN DELETE FROM marks WHERE word = 'a'; END"
    )
    data = site.run(*STEPS).expect(1).json["output_data"]
    assert (site.words(), site.words("gone")) == (["n"], ["a", "c3", "c2", "c1", "b"])
    assert data["rolled_back"] == ["b", "c"]
    assert [one["step_id"] for one in data["not_rolled_back"]] == ["n"]


def approve_all(site: Site) -> int:
    waiting = site.aishell("approvals", "list", "--output", "json").expect(0).json
    for one in waiting:
        site.aishell("approvals", "approve", one["id"]).expect(0)
    return len(waiting)


def test_the_way_back_asks_as_the_way_there(site: Site) -> None:
    """On production each step asks, and so does each that takes one back."""
    ended = site.run(*STEPS, environment="production").expect(3)
    there = 0
    while ended.code == 3:
        assert approve_all(site) == 1
        there += 1
        ended = site.aishell.resume(ended.run_id)
    assert there == 5  # a, b, n, c, and the one that failed then
    assert site.words("gone") == []
    back = 0
    while ended.json["state"] == "waiting_approval":
        assert ended.code == 1
        (waits,) = site.aishell("approvals", "list", "--output", "json").expect(0).json
        assert waits["tool"] in ("undo_mark", "undo_mark_each")
        assert approve_all(site) == 1
        back += 1
        ended = site.aishell.resume(ended.run_id)
    assert back == 3
    assert_rolled_back(site, ended)


def test_the_policy_decides_on_the_way_back_too(site: Site) -> None:
    site.aishell.configure("policy.yaml", "rules: [{tool: undo_mark, decision: deny}]\n")
    data = site.run(*STEPS).expect(1).json["output_data"]
    assert site.words() == ["a", "b", "n"]
    assert data["rolled_back"] == ["c"]
    assert "policy rule" in next(one["reason"] for one in data["not_rolled_back"] if one["step_id"] == "b")


@SWEEPS
def test_killed_anywhere_it_is_rolled_back_once(aishell: Aishell, sweep: Sweep) -> None:
    """At each commit to the store: whatever was done is taken back, in reverse, each once."""
    for fault in sweep.faults(38):
        site = Site(new_site(aishell, str(fault).replace(" ", "_"), ""))
        ended = site.run(*STEPS, fault=fault)
        killed = ended.code == KILLED
        if killed and not site.aishell.state.exists():
            continue
        if killed and not site.aishell.rows("SELECT id FROM runs"):
            continue
        if killed:
            run = site.aishell.only_run()
            if site.aishell.state_of(run) != "failed":
                ended = site.aishell.resume(run)
                assert_rolled_back(site, ended)
            else:
                assert site.words("gone") == GONE
        else:
            assert_rolled_back(site, ended)
            break


def undo(site: Site, run: str, *more: str, **kill: Any) -> Ended:
    return site.aishell("runs", "undo", run, "--environment", "test", "--yes", "--output", "json", *more, **kill)


def test_a_run_that_is_over_is_undone_by_a_run_of_its_own(site: Site) -> None:
    run = site.run(*STEPS[:4]).expect(0).run_id
    assert undo(site, run, "--dry-run").expect(0).json["status"] == "preview"
    assert site.words("gone") == []
    done = undo(site, run).expect(0).json
    assert (site.words(), site.words("gone")) == (["n"], GONE)
    assert done["output_data"]["rolled_back"] == ["c", "b", "a"]
    assert done["output_data"]["warnings"] == ["n cannot be undone and stays"]
    assert [one["status"] for one in undo(site, run).expect(0).json["actions_taken"]] == [
        "skipped"
    ] * 3  # nothing is left of it
    assert "nothing of the run" in undo(site, done["run_id"]).expect(2).err
    assert "undo_a" in undo(site, done["run_id"]).expect(2).err


def test_a_run_that_waits_is_not_undone(site: Site) -> None:
    run = site.run(*STEPS[:2], environment="production").expect(3).run_id
    assert "runs cancel" in undo(site, run).expect(2).err


def test_what_a_rollback_took_back_is_not_taken_back_again(site: Site) -> None:
    run = site.run(*STEPS).expect(1).run_id
    assert "nothing of the run" in undo(site, run).expect(2).err
    assert site.words("gone") == GONE


@SWEEPS
def test_killed_anywhere_an_undo_is_finished_by_resume(aishell: Aishell, sweep: Sweep) -> None:
    for fault in sweep.faults(12):
        site = Site(new_site(aishell, str(fault).replace(" ", "_"), ""))
        first = site.run(*STEPS[:4]).expect(0).run_id
        killed = undo(site, first, fault=fault).code == KILLED
        for run, state in site.aishell.rows("SELECT id, state FROM runs WHERE agent = 'undo'"):
            if state not in ("completed", "failed"):
                site.aishell.resume(run).expect(0)
            assert (site.words(), site.words("gone")) == (["n"], GONE), fault
        site.aishell("audit", "verify").expect(0)
        if not killed:
            break


# What is shipped.


@pytest.fixture(params=ENGINES, ids=label)
def log_db(request: pytest.FixtureRequest) -> tuple[Any, str]:
    db = request.getfixturevalue(request.param)
    engine = {"pg": "postgresql", "mariadb": "mysql", "sqlite": "sqlite"}[request.param.split("_")[0]]
    logs.fill(db, engine, 2_000)
    return db, engine


REFUSE = {
    "postgresql": [
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not today'; END $$",
        "CREATE TRIGGER refuse BEFORE DELETE ON z_log FOR EACH ROW EXECUTE FUNCTION refuse()",
    ],
    "mysql": ["CREATE TRIGGER refuse BEFORE DELETE ON z_log FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not today'"],
    "sqlite": ["CREATE TRIGGER refuse BEFORE DELETE ON z_log BEGIN SELECT RAISE(ABORT, 'not today'); END"],
}  # fmt: skip


def test_an_archive_is_loaded_back_after_its_deletion(aishell: Aishell, log_db: tuple[Any, str]) -> None:
    """The clean-up of the second table fails: the rows of the first come back, as they were."""
    db, engine = log_db
    db.execute("CREATE TABLE z_log (id integer PRIMARY KEY, created_at timestamp NULL)")
    db.execute("INSERT INTO z_log VALUES (1, '2020-01-01 00:00:00'), (2, '2030-01-01 00:00:00')")
    for statement in REFUSE[engine]:
        db.execute(statement)
    rows = "SELECT * FROM app_log ORDER BY id"
    before = db.execute(rows)
    tables = (
        "--table",
        "app_log",
        "--table",
        "z_log",
        "--retention-days",
        "90",
        "--archive",
        "--set",
        "on_error=rollback",
    )
    fixed = ("--url", db.url, "--environment", "test", "--output", "json", "--yes")
    ended = aishell("run", "log-cleanup", *tables, *fixed).expect(1)
    data = ended.json["output_data"]
    assert "not today" in ended.json["error"]["message"]
    assert ended.statuses()["delete_app_log"] == "done"
    assert "delete_app_log" in data["rolled_back"]
    assert db.execute(rows) == before
    assert db.execute("SELECT count(*) FROM z_log") == [(2,)]


PARTITIONS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'app_log'::regclass ORDER BY 1"
BOUNDS = """SELECT inhrelid::regclass::text, pg_get_expr(relpartbound, inhrelid) FROM pg_inherits JOIN pg_class ON oid = inhrelid
WHERE inhparent = 'app_log'::regclass ORDER BY 1"""


def test_a_partition_that_was_detached_is_attached_again(aishell: Aishell, pg: Any) -> None:
    """Its drop is refused: the table is whole again, with the same partitions, bounds and rows."""
    fill_partitions(pg, "postgresql")
    rows = "SELECT tableoid::regclass::text, id, at FROM app_log ORDER BY id"
    before = pg.execute(BOUNDS), pg.execute(rows)
    pg.execute(
        "CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not today'; END $$"
    )
    pg.execute("CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ('DROP TABLE') EXECUTE FUNCTION refuse()")
    aishell.configure("policy.yaml", "preapprove_max_risk: high\n")
    clean = (
        "run",
        "log-cleanup",
        "--table",
        "app_log",
        "--retention-days",
        "75",
        "--set",
        "on_error=rollback",
        "--yes",
    )
    fixed = ("--url", pg.url, "--environment", "test", "--output", "json")
    shown = aishell(*clean, "--url", pg.url, "--environment", "test", "--dry-run").expect(0).out
    assert (
        "can be undone: a partition that is only detached is attached again; a dropped one cannot be restored" in shown
    )
    ended = aishell(*clean, *fixed).expect(1)
    assert "not today" in ended.json["error"]["message"]
    assert ended.json["output_data"]["rolled_back"] == ["drop_partitions_app_log"]
    assert (pg.execute(BOUNDS), pg.execute(rows)) == before
    pg.execute("DROP EVENT TRIGGER refuse")


def test_a_partition_that_was_dropped_is_named_as_gone(aishell: Aishell, pg: Any) -> None:
    """One of two drops is refused: what is detached comes back, and the run says that the other does not."""
    fill_partitions(pg, "postgresql")
    old = [name for (name,) in pg.execute(PARTITIONS)]
    pg.execute(
        f"""CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
        IF EXISTS (SELECT 1 FROM pg_event_trigger_dropped_objects() WHERE object_identity = 'public.{old[1]}') THEN
        RAISE EXCEPTION 'not today'; END IF; END $$"""
    )
    pg.execute("CREATE EVENT TRIGGER refuse ON sql_drop WHEN TAG IN ('DROP TABLE') EXECUTE FUNCTION refuse()")
    aishell.configure("policy.yaml", "preapprove_max_risk: high\n")
    clean = (
        "run",
        "log-cleanup",
        "--table",
        "app_log",
        "--retention-days",
        "75",
        "--set",
        "on_error=rollback",
        "--yes",
    )
    ended = aishell(*clean, "--url", pg.url, "--environment", "test", "--output", "json").expect(1)
    (left,) = ended.json["output_data"]["not_rolled_back"]
    assert left["step_id"] == "drop_partitions_app_log"
    assert "it was dropped" in left["reason"]
    now = [name for (name,) in pg.execute(PARTITIONS)]
    assert old[1] in now
    assert old[0] not in now
    pg.execute("DROP EVENT TRIGGER refuse")
