"""The audit log: every statement that reached a server stands in it or in one documented list; what is taken out shows."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from aishell.registry.tool import Block
from tests import families
from tests.bloated import Bloated
from tests.fix_aishell import Aishell
from tests.fix_tools import ROOT, registry
from tests.logs import fill
from tests.statement_log import StatementLog

_LISTS = re.compile(r"^```sql (\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
DOCUMENTED = {engine: text.splitlines() for engine, text in _LISTS.findall((ROOT / "docs" / "audit.md").read_text())}
#: The marker that MariaDB's statements begin with.
_MARKER = re.compile(r"^/\* aishell:[^*]* \*/ ")


def flat(text: str) -> str:
    return " ".join(text.split())


def compact(text: str) -> str:
    return "".join(text.split())


def is_made_of(text: str, parts: list[str]) -> bool:
    """Whether a text is these parts in this order, with anything in between. In linear time, as no regular expression is."""
    if len(parts) == 1:
        return text == parts[0]
    first, *inner, last = parts
    place, end = len(first), len(text) - len(last)
    for part in inner:
        found = text.find(part, place, end)
        if found < 0:
            return False
        place = found + len(part)
    return text.startswith(first) and text.endswith(last) and place <= end


def parts_of(block: Block) -> list[str]:
    """What a block looks like on a server: anything may stand for what is pasted or bound."""
    text = "".join(value if kind == "text" else "\0" for kind, value in block.pieces).strip().rstrip(";")
    return compact(text).split("\0")


class Told:
    """What the log of a site tells of the statements that were sent."""

    def __init__(self, aishell: Aishell) -> None:
        self.count: Counter[tuple[str, str]] = Counter()
        self.whole: list[str] = []
        for kind, data in aishell.rows("SELECT type, data FROM events ORDER BY id"):
            told = json.loads(data)
            if kind == "statement_sent":
                self.whole.append(told["sql"])
            if kind in ("statement_sent", "statement_repeated"):
                self.count[told["source"], told["block"]] += 1
            for read in told["statements"] if kind == "statements_read" else ():
                self.count[read["source"], read["block"]] += read["count"]


def assert_all_told(aishell: Aishell, log: StatementLog, engine: str) -> Told:
    """Every statement of the server's log is told of, or is one of those that sessions say by themselves."""
    told = Told(aishell)
    own = [compact(line).split("…") for line in DOCUMENTED[engine]]
    blocks = {(tool.source, block.name): parts_of(block) for tool in registry() for block in tool.blocks.values()}
    known = {key: blocks[key] for key in told.count}
    sent = [compact(_MARKER.sub("", flat(statement))) for statement in log.statements()]
    sent = [statement for statement in sent if not any(is_made_of(statement, one) for one in own)]
    strangers = [statement for statement in sent if not any(is_made_of(statement, one) for one in known.values())]
    assert strangers == [], "sent, and neither in the audit log nor in docs/audit.md"
    assert len(sent) == sum(told.count.values()), "as often as it was sent"
    return told


PARTITIONED = {
    "postgresql": (
        "CREATE TABLE app_log (id bigint, at timestamptz NOT NULL) PARTITION BY RANGE (at)",
        "CREATE TABLE app_log_old PARTITION OF app_log FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')",
        "CREATE TABLE app_log_now PARTITION OF app_log FOR VALUES FROM ('2021-01-01') TO (MAXVALUE)",
    ),
    "mysql": (
        "CREATE TABLE app_log (id bigint, at datetime NOT NULL) PARTITION BY RANGE COLUMNS (at) "
        "(PARTITION old VALUES LESS THAN ('2021-01-01'), PARTITION now VALUES LESS THAN (MAXVALUE))",
    ),
}


@pytest.fixture(params=["pg_current", "mariadb"])
def logged(request: pytest.FixtureRequest, aishell: Aishell) -> tuple[Aishell, Any, str]:
    db = request.getfixturevalue(request.param)
    aishell.url = db.url
    return aishell, db, "mysql" if request.param == "mariadb" else "postgresql"


def test_everything_that_maintenance_sends_is_told(bloated_server: Bloated, aishell: Aishell) -> None:
    db = bloated_server.make()
    aishell.url, log = db.url, StatementLog(db)
    assert aishell.maintenance("full").code in (0, 4)
    told = assert_all_told(aishell, log, bloated_server.engine)
    assert any(sql.startswith(("VACUUM", "OPTIMIZE", "REINDEX", "ALTER")) for sql in told.whole)


def cleaned(aishell: Aishell, table: str, *more: str) -> None:
    fixed = ("--url", aishell.url, "--environment", "test", "--yes", "--output", "json")
    ended = aishell("run", "log-cleanup", "--table", table, "--retention-days", "90", *more, *fixed)
    while ended.code == 3:  # it waits for an approval
        (waiting,) = aishell("approvals", "list", "--output", "json").expect(0).json
        aishell("approvals", "approve", waiting["id"]).expect(0)
        ended = aishell("runs", "resume", waiting["run_id"], "--yes", "--output", "json")
    ended.expect(0)


def test_everything_that_a_log_cleanup_sends_is_told(logged: tuple[Aishell, Any, str]) -> None:
    aishell, db, engine = logged
    fill(db, engine, 3000)
    log = StatementLog(db)
    cleaned(aishell, "app_log", "--archive")
    told = assert_all_told(aishell, log, engine)
    assert any("DELETE" in sql for sql in told.whole)


def test_everything_that_a_deletion_with_relatives_sends_is_told(logged: tuple[Aishell, Any, str]) -> None:
    aishell, db, engine = logged
    families.make(db, engine, rows=40)
    log = StatementLog(db)
    cleaned(aishell, "orders", "--archive")
    told = assert_all_told(aishell, log, engine)
    assert any("DELETE" in sql for sql in told.whole)


def test_everything_that_a_drop_of_partitions_sends_is_told(logged: tuple[Aishell, Any, str]) -> None:
    aishell, db, engine = logged
    for statement in (*PARTITIONED[engine], "INSERT INTO app_log VALUES (1, '2020-06-01 00:00:00')"):
        db.execute(statement)
    log = StatementLog(db)
    cleaned(aishell, "app_log")
    told = assert_all_told(aishell, log, engine)
    begun = {"postgresql": ("ALTER TABLE", "LOCK TABLE", "DROP TABLE"), "mysql": ("LOCK TABLES", "ALTER TABLE")}[engine]
    assert all(any(sql.startswith(words) for sql in told.whole) for words in begun), told.whole


# What is taken out shows.


@pytest.fixture
def kept(aishell: Aishell, sqlite: Any) -> Aishell:
    """A site whose log a run has written."""
    fill(sqlite, "sqlite", 50)
    aishell.url = sqlite.url
    aishell.maintenance("quick").expect(0)
    aishell("audit", "verify").expect(0)
    return aishell


def change(aishell: Aishell, *statements: str) -> None:
    """What somebody with a text editor for databases does."""
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(state(aishell), isolation_level=None)) as store:
        for statement in statements:
            store.execute(statement)


def state(aishell: Aishell) -> Path:
    return aishell.state


def broken(aishell: Aishell, *arguments: str) -> str:
    ended = aishell("audit", "verify", "--output", "json", *arguments).expect(1)
    return " | ".join(problem["text"] for problem in ended.json["problems"])


@pytest.mark.parametrize("data", ["CAST(data AS BLOB)", "x'ff00'", "'no JSON'", "'7'", "'{}'"])
def test_an_event_that_tells_nothing_any_more_shows(kept: Aishell, data: str) -> None:
    change(kept, f"UPDATE events SET data = {data} WHERE type = 'state_changed' OR type = 'step_completed'")
    ended = kept("audit", "verify", "--output", "json").expect(1)
    assert "it was changed after it was written" in ended.out
    assert "Traceback" not in ended.err
    assert "unexpected" not in ended.out + ended.err


def test_an_emptied_log_shows(kept: Aishell) -> None:
    change(kept, "DELETE FROM events")
    said = broken(kept)
    assert "but not in the log" in said
    assert "has 0: its tail was cut off" in said


@pytest.mark.parametrize("events", [1, 3])
def test_a_tail_that_was_cut_off_shows_though_a_new_run_was_added(kept: Aishell, events: int) -> None:
    change(kept, f"DELETE FROM events WHERE id > (SELECT max(id) - {events} FROM events)")
    ended = kept.maintenance("quick").expect(0)
    assert "the audit log is damaged" in ended.err
    said = broken(kept)
    assert "a run found on" in said, "it stays in the log, though the anchor is a new one"


def test_a_head_that_is_gone_shows_after_one_run_and_stays_told_when_another_has_left_one(kept: Aishell) -> None:
    head = kept.state.with_name(f"{kept.state.name}.head")
    head.unlink()
    assert "is missing beside the state store" in broken(kept)
    assert "the audit log is damaged" in kept.maintenance("quick").expect(0).err
    assert head.exists()
    assert "a run found on" in broken(kept)


def test_a_run_that_was_taken_out_with_all_its_events_shows(kept: Aishell) -> None:
    change(kept, "PRAGMA foreign_keys = ON", "DELETE FROM runs", "DELETE FROM events")
    assert "its tail was cut off" in broken(kept)


def test_a_run_without_its_row_shows(kept: Aishell) -> None:
    change(kept, "PRAGMA foreign_keys = ON", "DELETE FROM runs")
    assert "1 run(s) of the log are missing, but only 0 were pruned" in broken(kept)


def test_an_outcome_that_was_changed_shows(kept: Aishell) -> None:
    change(kept, "UPDATE steps SET status = 'skipped' WHERE step_index = 0")
    assert "is skipped, but done in the log" in broken(kept)


def waiting(aishell: Aishell, bloated: Bloated) -> tuple[str, Path]:
    """A run that waits for an approval, and the file that it is to change."""
    db = bloated.make()
    aishell.url = db.url
    return aishell.maintenance("full", "--environment", "production", yes=False).expect(3).run_id, db.path


@pytest.mark.parametrize("status", ["approved", "modified", "rejected"])
def test_an_answer_that_nobody_gave_counts_for_nothing(bloated_sqlite: Bloated, aishell: Aishell, status: str) -> None:
    run, path = waiting(aishell, bloated_sqlite)
    before = path.read_bytes()
    answer = f"status = '{status}', decided_by = 'eve@vm', decided_at = requested_at, modifications = '{{}}'"
    change(aishell, f"UPDATE approvals SET {answer}")
    assert f"is {status}, but pending in the log" in broken(aishell)
    ended = aishell.resume(run).expect(2)
    assert "the audit log has no such answer" in ended.json["error"]["message"]
    assert path.read_bytes() == before


@pytest.mark.parametrize("column", ["request", "tools"])
def test_a_run_that_was_asked_for_otherwise_is_not_gone_on_with(
    bloated_sqlite: Bloated, aishell: Aishell, column: str
) -> None:
    run, path = waiting(aishell, bloated_sqlite)
    before = path.read_bytes()
    was, now = {"request": ("production", "local"), "tools": ("risk: medium", "risk: safe")}[column]
    ((text,),) = aishell.rows(f"SELECT {column} FROM runs")
    assert was in text
    change(aishell, f"UPDATE runs SET {column} = replace({column}, '{was}', '{now}')")
    assert "the plan or the tools of run" in broken(aishell)
    assert "was changed after it was made" in aishell.resume(run).err
    assert path.read_bytes() == before


MADE = {
    "plan": "replace(plan, 'VACUUM', 'ANALYZE')",
    "target": "'another'",
    "agent": "'another'",
    "task_id": "'another'",
    "created_at": "'2020-01-01T00:00:00+00:00'",
}


def test_what_a_run_was_made_with_is_covered(bloated_sqlite: Bloated, aishell: Aishell) -> None:
    run, path = waiting(aishell, bloated_sqlite)
    before = path.read_bytes()
    for column, value in MADE.items():
        ((kept,),) = aishell.rows(f"SELECT {column} FROM runs")
        change(aishell, f"UPDATE runs SET {column} = {value}")
        if column == "plan":
            change(aishell, "UPDATE runs SET plan = replace(plan, '\"steps\"', '\"steps\" ')")
        assert "the plan or the tools of run" in broken(aishell), column
        assert aishell.resume(run).code in (1, 2), column
        change(aishell, f"UPDATE runs SET {column} = '{kept.replace(chr(39), chr(39) * 2)}'")
        aishell("audit", "verify").expect(0)
    for column in ("plan", "target"):
        ((kept,),) = aishell.rows(f"SELECT {column} FROM runs")
        for value in ("x'ff00'", "'no JSON'"):
            change(aishell, f"UPDATE runs SET {column} = {value}")
            assert "were changed" in broken(aishell), (column, value)
        change(aishell, f"UPDATE runs SET {column} = '{kept.replace(chr(39), chr(39) * 2)}'")
    assert path.read_bytes() == before


ASKED = (
    "request = replace(request, 'VACUUM', 'ANALYZE')",
    "expires_at = '2099-01-01T00:00:00+00:00'",
    "level = 'review'",
)


@pytest.mark.parametrize("answered", [False, True], ids=["asked", "answered"])
def test_a_question_that_was_changed_is_neither_shown_nor_answered_nor_used(
    bloated_sqlite: Bloated, aishell: Aishell, answered: bool
) -> None:
    run, path = waiting(aishell, bloated_sqlite)
    (asked,) = aishell("approvals", "list", "--output", "json").expect(0).json
    if answered:
        aishell("approvals", "approve", asked["id"]).expect(0)
    before, ((whole, until, level),) = (
        path.read_bytes(),
        aishell.rows("SELECT request, expires_at, level FROM approvals"),
    )
    for edit in (*ASKED, "request = x'ff00'"):
        change(aishell, f"UPDATE approvals SET {edit}")
        assert "differs from its digest in the log" in broken(aishell)
        shown = aishell("approvals", "show", asked["id"])
        approved = aishell("approvals", "approve", asked["id"], "--confirm-target", "x")
        for ended in (shown, approved, *([aishell.resume(run)] if answered else [])):
            assert "was changed in the state store" in ended.expect(2).out + ended.err
        request = whole.replace("'", "''")
        change(aishell, f"UPDATE approvals SET request = '{request}', expires_at = '{until}', level = '{level}'")
        aishell("audit", "verify").expect(0)
    assert path.read_bytes() == before


def test_a_rewritten_chain_shows_against_what_was_kept_elsewhere(kept: Aishell, tmp_path: Path) -> None:
    exported = tmp_path / "export.jsonl"
    exported.write_text(kept("audit", "export").expect(0).out)
    anchor = tmp_path / "anchor"
    anchor.write_text(kept.state.with_name("state.db.head").read_text())
    head = json.loads(anchor.read_text())["head"]
    for against in (str(exported), str(anchor), head, head[:16]):
        kept("audit", "verify", "--against", against).expect(0)
    change(kept, "UPDATE events SET hash = 'x' || substr(hash, 2) WHERE id = (SELECT max(id) FROM events)")
    for against in (str(exported), str(anchor), head):
        assert "event" in broken(kept, "--against", against)
    kept("audit", "verify", "--against", str(kept.state)).expect(2)


@pytest.mark.parametrize("option", ["--against", "--head"])
@pytest.mark.parametrize("told", ["", "{one}", "{short}", "zz", " "])
def test_what_is_no_head_is_compared_with_nothing(kept: Aishell, option: str, told: str) -> None:
    """A script's variable that is empty must not read as a log that is whole."""
    head = json.loads(kept.state.with_name("state.db.head").read_text())["head"]
    given = told.format(one=head[0], short=head[:15])
    assert "is neither the head of an audit log" in kept("audit", "verify", option, given).expect(2).err


def test_an_export_that_was_edited_is_another(kept: Aishell, tmp_path: Path) -> None:
    exported = tmp_path / "export.jsonl"
    text = kept("audit", "export").expect(0).out
    exported.write_text(text)
    kept("audit", "verify", "--against", str(exported)).expect(0)
    exported.write_text(text.replace('"by"', '"at"').replace('"to": "completed"', '"to": "failed"'))
    assert exported.read_text() != text
    assert "of the copy are missing from the log or differ from it" in broken(kept, "--against", str(exported))


def test_a_store_that_vanished_between_runs_is_noticed(kept: Aishell) -> None:
    for suffix in ("", "-wal", "-shm"):
        state(kept).with_name(f"state.db{suffix}").unlink(missing_ok=True)
    ended = kept.maintenance("quick")
    assert ended.code != 0
    assert "state.db is missing" in ended.err + ended.out
    assert not state(kept).exists(), "nothing is made in its place"
    kept.state.with_name("state.db.head").rename(kept.home / "old.head")
    kept.maintenance("quick").expect(0)
