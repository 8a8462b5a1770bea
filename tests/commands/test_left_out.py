"""What the connected role may not do is left out when a run is planned, with the GRANT that lets it be done the next time."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.fix_aishell import bloated_on
from tests.fix_tools import POSTGRESQL, label

#: Agent -> its command line, on `orders` and `customers` of the bloated sample.
SMALL = ("--set", "min_index_size=65536")
AGENTS: dict[str, tuple[str, ...]] = {
    "maintenance": ("run", "maintenance", "--type", "full", *SMALL),
    "log_cleanup": ("run", "log-cleanup", "--table", "app_log", "--retention-days", "90"),
    "archive": ("run", "log-cleanup", "--table", "app_log", "--retention-days", "90", "--archive"),
    "partitions": ("run", "log-cleanup", "--table", "part_log", "--retention-days", "90"),
    "backup": ("run", "backup"),
}
LOGS = {
    "postgresql": (
        "CREATE TABLE app_log (id bigint PRIMARY KEY, created_at timestamp NOT NULL)",
        "INSERT INTO app_log SELECT i, now() - i * interval '1 day' - interval '1 hour' FROM generate_series(1, 200) AS i",
        "CREATE TABLE part_log (id bigint, created_at timestamp NOT NULL) PARTITION BY RANGE (created_at)",
        "CREATE TABLE part_log_old PARTITION OF part_log FOR VALUES FROM (MINVALUE) TO ('2020-01-01')",
        "CREATE TABLE part_log_new PARTITION OF part_log FOR VALUES FROM ('2020-01-01') TO (MAXVALUE)",
        "INSERT INTO part_log SELECT i, now() - i * interval '1 day' - interval '1 hour' FROM generate_series(1, 200) AS i",
        "INSERT INTO part_log VALUES (0, '2019-01-01')",
        "ANALYZE app_log",
        "ANALYZE part_log",
    ),
    "mysql": (
        "CREATE TABLE app_log (id bigint PRIMARY KEY, created_at datetime NOT NULL)",
        "INSERT INTO app_log SELECT seq, NOW() - INTERVAL seq DAY - INTERVAL 1 HOUR FROM seq_1_to_200",
        "CREATE TABLE part_log (id bigint, created_at datetime NOT NULL) PARTITION BY RANGE COLUMNS (created_at) "
        "(PARTITION old VALUES LESS THAN ('2020-01-01'), PARTITION new VALUES LESS THAN (MAXVALUE))",
        "INSERT INTO part_log SELECT seq, NOW() - INTERVAL seq DAY - INTERVAL 1 HOUR FROM seq_1_to_200",
        "INSERT INTO part_log VALUES (0, '2019-01-01')",
        "ANALYZE TABLE app_log, part_log",
    ),
}


class Target:
    """A database with work to do, and a role that may only connect and read what inspection reads."""

    def __init__(self, db: Any, engine: str) -> None:
        self.db, self.engine = db, engine
        for statement in LOGS[engine]:
            db.execute(statement)
        if engine == "postgresql":
            self.url = db.make_role("app")
            db.execute("GRANT pg_monitor TO app")
        else:
            self.url = db.make_user("app", grants="CREATE TEMPORARY TABLES")
            for what in ("PROCESS ON *.*", "SELECT ON mysql.innodb_table_stats", "SELECT ON mysql.innodb_index_stats"):
                db.execute(f"GRANT {what} TO app@'127.0.0.1'")
            for table in ("orders", "customers", "app_log", "part_log"):  # else there is nothing that it could see
                db.execute(f"GRANT REFERENCES ON {table} TO app@'127.0.0.1'")
            db.execute("GRANT SELECT ON mysql.proc TO app@'127.0.0.1'")  # what a dump asks for beside the database


@pytest.fixture(params=[*POSTGRESQL, "mariadb"], ids=label)
def narrow(request):
    with bloated_on(request, request.param) as made:
        db = made.make()
        target = Target(db, "mysql" if request.param == "mariadb" else "postgresql")
        yield target
        if target.engine == "postgresql":
            for table in ("orders", "customers", "app_log", "part_log", "part_log_old", "part_log_new"):
                if db.execute("SELECT to_regclass(%s) IS NOT NULL", [table])[0][0]:
                    db.execute(f"ALTER TABLE {table} OWNER TO postgres")


def run(aishell: Any, url: str, agent: str, *more: str) -> Any:
    return aishell(*AGENTS[agent], "--url", url, "--environment", "test", "--yes", "--output", "json", *more)


def test_what_is_granted_to_public_is_not_left_out(aishell, request):
    """MariaDB's views do not have it; SHOW GRANTS does."""
    with bloated_on(request, "mariadb") as made:
        target = Target(made.make(), "mysql")
        given: list[str] = []
        try:
            for _ in range(4):
                planned = run(aishell, target.url, "maintenance", "--dry-run").expect(0).json
                left = planned["output_data"]["left_out"]
                for grant in dict.fromkeys(grant for one in left for grant in one["grants"]):
                    given.append(re.sub(r" TO '.*;$", " TO PUBLIC", grant))
                    target.db.execute(given[-1])
            assert given
            assert left == []
            assert run(aishell, target.url, "maintenance").expect(0).json["status"] == "success"
        finally:
            for grant in given:
                target.db.execute(grant.replace("GRANT", "REVOKE", 1).replace(" TO PUBLIC", " FROM PUBLIC"))


@pytest.mark.sampled
@pytest.mark.parametrize("agent", AGENTS)
def test_nothing_can_be_done_until_it_is_granted(aishell, narrow, agent):
    aishell.configure("policy.yaml", "preapprove_max_risk: high\n")
    if narrow.engine == "postgresql":
        aishell.configure("aishell.yaml", f"programs: {narrow.db.server.bin}\n")
    first = run(aishell, narrow.url, agent, "--dry-run").expect(0).json
    left = first["output_data"]["left_out"]
    assert left
    changing = [
        step for step in first["plan"]["steps"] if step["statements"] and step["verdict"]["risk_level"] != "safe"
    ]
    assert changing == []
    # A run says so too, and is no success.
    ended = run(aishell, narrow.url, agent).expect(1).json
    assert ended["status"] == "partial"
    assert ended["output_data"]["left_out"] == left
    assert "Left out for lack of privileges" in ended["reasoning"]
    assert "Nothing needed to be changed" not in ended["reasoning"]
    # What is printed is granted, until nothing is left out: what was not even looked at before may lack something more.
    for _ in range(4):
        for statement in dict.fromkeys(grant for one in left for grant in one["grants"]):
            narrow.db.execute(statement)
        planned = run(aishell, narrow.url, agent, "--dry-run").expect(0).json
        left = planned["output_data"]["left_out"]
        if not left:
            break
        assert any(one["grants"] for one in left), left
    assert left == []
    done = run(aishell, narrow.url, agent).expect(0)
    assert "done" in done.statuses().values()
    assert not {"failed", "rejected"} & set(done.statuses().values())


def test_the_other_tables_are_worked_on(aishell, narrow):
    grant = {
        "postgresql": "ALTER TABLE customers OWNER TO app",
        "mysql": "GRANT SELECT, INSERT, ALTER ON customers TO app@'127.0.0.1'",
    }
    narrow.db.execute(grant[narrow.engine])
    ended = run(aishell, narrow.url, "maintenance").expect(1)
    left = ended.json["output_data"]["left_out"]
    schema = "public" if narrow.engine == "postgresql" else narrow.db.dbname
    assert {one["object"] for one in left if one["grants"]} >= {f"{schema}.orders"}
    assert f"{schema}.customers" not in {one["object"] for one in left}
    steps = {step["id"]: step for step in ended.json["plan"]["steps"]}
    assert [t["table"] for t in steps["statistics"]["params"]["tables"]] == ["customers"]
    assert "measure_orders" not in steps, "nothing is measured for a step that is left out"
    assert ended.statuses()["statistics"] == "done"


def test_people_read_what_is_left_out_and_what_allows_it(aishell, narrow):
    shown = aishell(*AGENTS["maintenance"], "--url", narrow.url, "--environment", "test", "--dry-run").expect(0).out
    assert "left out: " in shown
    assert "an administrator can allow it:" in shown
    ran = aishell(*AGENTS["maintenance"], "--url", narrow.url, "--environment", "test", "--yes").expect(1).out
    assert ran.count("an administrator can allow it:") == 2, "in the preview, and behind the outcome"
    assert "An administrator can allow what was left out:" in ran, "in the report"
    words = {"postgresql": ('"public"."orders"', '"app"'), "mysql": ("`orders`", "'app'@'127.0.0.1'")}[narrow.engine]
    granted = [line for line in ran.splitlines() if "orders" in line and ("GRANT" in line or "OWNER TO" in line)]
    assert granted
    assert all(word in granted[0] for word in words)


def test_a_clean_up_that_may_delete_and_not_vacuum_is_a_success(aishell, pg):
    target = Target(pg, "postgresql")
    pg.execute("GRANT SELECT, DELETE ON app_log TO app")
    ended = run(aishell, target.url, "log_cleanup").expect(0).json
    assert ended["output_data"]["rows_deleted"] == 111
    assert ended["output_data"]["left_out"] == []
    assert any("left to autovacuum" in warning for warning in ended["output_data"]["warnings"])


def test_a_referring_table_that_may_not_be_read_keeps_the_one_it_refers_to(aishell, pg):
    target = Target(pg, "postgresql")
    pg.execute("CREATE TABLE line (id int PRIMARY KEY, log bigint REFERENCES app_log ON DELETE CASCADE)")
    pg.execute("CREATE INDEX ON line (log)")
    pg.execute("GRANT SELECT, DELETE ON app_log TO app")
    (left,) = run(aishell, target.url, "log_cleanup").expect(1).json["output_data"]["left_out"]
    assert left["object"] == "public.app_log"
    assert "rows of public.line go or change with its own" in left["reason"]
    for grant in left["grants"]:
        pg.execute(grant)
    run(aishell, target.url, "log_cleanup", "--dry-run").expect(0)


def test_a_partition_of_another_owner_stays(aishell, pg):
    target = Target(pg, "postgresql")
    pg.execute("ALTER TABLE part_log OWNER TO app")
    pg.execute("ALTER TABLE part_log_new OWNER TO app")
    ended = run(aishell, target.url, "partitions").expect(1)
    (left,) = (one for one in ended.json["output_data"]["left_out"])
    assert left["object"] == "public.part_log_old"
    assert left["privileges"] == ["OWNERSHIP"]
    assert pg.execute("SELECT count(*) FROM part_log_old") == [(1,)]
    assert ended.json["output_data"]["rows_deleted"] == 111
    for table in ("part_log", "part_log_new"):
        pg.execute(f"ALTER TABLE {table} OWNER TO postgres")


#: Root without what lets it write everything.
WITHOUT_POWER = (
    "setpriv",
    "--bounding-set=-dac_override,-dac_read_search",
    "--inh-caps=-dac_override,-dac_read_search",
)


@pytest.mark.parametrize("closed", ["file", "folder"])
def test_a_file_that_may_not_be_written(aishell, bloated_sqlite, tmp_path, closed):
    within = WITHOUT_POWER if os.geteuid() == 0 else ()
    if within and shutil.which("setpriv") is None:
        pytest.skip("needs setpriv, for root to be told no")
    made = bloated_sqlite.make().path
    folder = tmp_path / "kept"
    folder.mkdir()
    path = Path(shutil.copy(made, folder / "shop.db"))
    before = path.read_bytes()
    shut, mode = (path, 0o444) if closed == "file" else (folder, 0o555)
    shut.chmod(mode)
    words = (*AGENTS["maintenance"], "--url", f"sqlite:///{path}", "--environment", "test", "--yes", "--output", "json")
    if closed == "folder":  # the lock that keeps a second run away cannot be made either
        assert "write permission on the folder" in aishell.start(*words, within=within).wait().expect(2).err
        ended = aishell.start(*words, "--dry-run", within=within).wait().expect(0).json
    else:
        ended = aishell.start(*words, within=within).wait().expect(1).json
        assert ended["status"] == "partial"
    left = ended["output_data"]["left_out"]
    assert left
    assert all("may not write the file" in one["reason"] for one in left if one["hint"])
    assert any("write permission" in (one["hint"] or "") for one in left)
    assert path.read_bytes() == before
    shut.chmod(0o755)
    again = aishell.start(*words, within=within).wait().expect(0)
    assert again.json["output_data"]["left_out"] == []
    assert again.json["output_data"]["bytes_reclaimed"] > 0
