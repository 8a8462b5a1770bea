"""Log clean-up of partitioned tables by the command line: what is old goes, wherever it is killed, and what is new stays."""

from __future__ import annotations

import signal
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from tests.faults.killing import KILLED, SWEEPS, Sweep, assert_sound, finish, new_site
from tests.fix_aishell import Aishell
from tests.fix_tools import label
from tests.servers import wait_until

DAYS, KEPT_DAYS = 140, 75
POLICY = "preapprove_max_risk: high\n"
FIXTURES = ("pg_distribution", "pg_current", "mariadb")


def fill(db: Any, engine: str) -> None:
    """A partition for each month, and two rows for each of the last days: at noon of the database's clock, so to say."""
    now = datetime.now(UTC).replace(tzinfo=None)
    first = (now - timedelta(days=DAYS + 1)).replace(day=1)
    months = [first + timedelta(days=31 * number) for number in range(7)]
    starts = [f"{month:%Y-%m}-01" for month in months]
    db.execute("DROP TABLE IF EXISTS app_log")
    if engine == "postgresql":
        db.execute("CREATE TABLE app_log (id bigint, at timestamptz NOT NULL) PARTITION BY RANGE (at)")
        for number, (start, end) in enumerate(pairwise(starts)):
            db.execute(f"CREATE TABLE app_log_{number} PARTITION OF app_log FOR VALUES FROM ('{start}') TO ('{end}')")
    else:
        parts = [f"PARTITION p{n} VALUES LESS THAN (TO_DAYS('{end}'))" for n, end in enumerate(starts[1:])]
        db.execute(
            "CREATE TABLE app_log (id bigint, at datetime NOT NULL, KEY (at)) "
            f"PARTITION BY RANGE (TO_DAYS(at)) ({', '.join(parts)})"
        )
    rows = [(number, now - timedelta(days=number // 2, hours=12)) for number in range(2 * DAYS)]
    db.execute(
        "INSERT INTO app_log VALUES " + ", ".join(f"({number}, '{at:%Y-%m-%d %H:%M:%S}')" for number, at in rows)
    )
    db.execute("ANALYZE app_log" if engine == "postgresql" else "ANALYZE TABLE app_log")


def left(db: Any) -> list[int]:
    return [row[0] for row in db.execute("SELECT id FROM app_log ORDER BY id")]


KEPT = list(range(2 * KEPT_DAYS))


def arguments(db: Any, *more: str) -> tuple[str, ...]:
    fixed = ("--url", db.url, "--environment", "test", "--yes", "--output", "json")
    return ("run", "log-cleanup", "--table", "app_log", "--retention-days", str(KEPT_DAYS), *fixed, *more)


@pytest.fixture(params=FIXTURES, ids=label)
def log_db(request: pytest.FixtureRequest) -> tuple[Any, str]:
    return request.getfixturevalue(request.param), "mysql" if request.param == "mariadb" else "postgresql"


def test_partitions_go_whole_and_the_remainder_in_batches(log_db: tuple[Any, str], aishell: Aishell) -> None:
    db, engine = log_db
    fill(db, engine)
    aishell.configure("policy.yaml", POLICY)
    done = aishell(*arguments(db)).expect(0).json
    assert left(db) == KEPT
    data = done["output_data"]
    assert data["partitions_dropped"] >= 2
    assert data["bytes_reclaimed"] > 0
    table = data["tables"][f"{'public' if engine == 'postgresql' else db.dbname}.app_log"]
    assert table["rows_dropped"] + data["rows_deleted"] == 2 * DAYS - len(KEPT)
    assert all(row["bytes"] > 0 for row in table["partitions"])
    assert "old partition(s) of" in done["reasoning"]


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        (("--where", "id>=0"), "not all of its old rows are to go"),
        (("--max-rows", "100000"), "no more than max_rows are to go"),
    ],
)
def test_what_is_more_than_whole_partitions_is_done_in_batches(
    log_db: tuple[Any, str], aishell: Aishell, inputs: tuple[str, ...], why: str
) -> None:
    db, engine = log_db
    fill(db, engine)
    done = aishell(*arguments(db, *inputs)).expect(0).json
    assert why in " ".join(done["output_data"]["warnings"])
    assert "partitions_dropped" not in done["output_data"]
    if "--where" in inputs:
        assert left(db) == KEPT


def test_without_an_approval_the_partitions_wait_and_the_rest_goes_on(
    log_db: tuple[Any, str], aishell: Aishell
) -> None:
    db, engine = log_db
    fill(db, engine)
    waiting = aishell(*arguments(db)).expect(3)
    assert waiting.statuses().get("drop_partitions_app_log") is None
    assert set(KEPT) < set(left(db))
    (waits,) = aishell("approvals", "list", "--output", "json").json
    aishell("approvals", "approve", waits["id"]).expect(0)
    assert aishell.resume(waiting.run_id).expect(0).statuses()["drop_partitions_app_log"] == "done"
    assert left(db) == KEPT


def test_a_table_that_others_work_on_is_left_for_the_next_run(pg: Any, aishell: Aishell) -> None:
    fill(pg, "postgresql")
    aishell.configure("policy.yaml", POLICY)
    before = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'app_log'::regclass"
    ((there,),) = pg.execute(before)
    with pg.connect(autocommit=False) as other:
        other.execute("LOCK TABLE ONLY app_log IN SHARE UPDATE EXCLUSIVE MODE")
        left_over = aishell(*arguments(pg)).expect(4).json
    assert {item["object"] for item in left_over["output_data"]["deferred"]} == {"public.app_log"}
    assert "locked by another session" in left_over["output_data"]["deferred"][0]["reason"]
    assert pg.execute(before) == [(there,)]
    aishell(*arguments(pg)).expect(0)
    assert left(pg) == KEPT


#: What was detached and not dropped.
BESIDE = "SELECT relname FROM pg_class WHERE relname LIKE 'app_log_%' AND relkind = 'r' AND NOT relispartition"
WAITING = (
    "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'ALTER TABLE%DETACH%CONCURRENTLY' AND wait_event_type = 'Lock'"
)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill"])
def test_interrupted_while_a_detach_waits_for_a_reader(pg: Any, aishell: Aishell, how: signal.Signals) -> None:
    fill(pg, "postgresql")
    aishell.configure("policy.yaml", POLICY)
    with pg.connect(autocommit=False) as reader:
        reader.execute("SELECT count(*) FROM app_log")
        running = aishell.start(*arguments(pg))
        wait_until(lambda: pg.execute(WAITING), "a detach waits")
        running.signal(how)
        assert running.wait().code == (130 if how == signal.SIGINT else -9)
    assert set(KEPT) <= set(left(pg))
    resumed = aishell.resume(aishell.only_run()).expect(0)
    assert resumed.statuses()["drop_partitions_app_log"] == "done"
    assert left(pg) == KEPT
    assert pg.execute(BESIDE) == []


@SWEEPS
def test_killed_at_any_statement_it_goes_on_from_there(log_db: tuple[Any, str], aishell: Aishell, sweep: Sweep) -> None:
    """Between a detach and the drop that follows it nothing is written down: what was done shows in the database only."""
    db, engine = log_db
    least = 4 if engine == "postgresql" else 2
    for fault in sweep.faults(least, of="statement"):
        fill(db, engine)
        site = new_site(aishell, str(fault), db.url)
        site.configure("policy.yaml", POLICY)
        ended = site(*arguments(db), fault=fault)
        if ended.code != KILLED:
            ended.expect(0)
            assert fault.at > least
            break
        finish(site, ended)
        assert left(db) == KEPT, fault
        assert_sound(site)
        if engine == "postgresql":
            assert db.execute(BESIDE) == []
