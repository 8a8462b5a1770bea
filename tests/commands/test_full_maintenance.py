"""One full run does what is needed: rewrites what is asked for, measures what stale statistics hide, drops what is ours."""

from __future__ import annotations

import pytest
from psycopg import errors

from tests.fix_aishell import Aishell
from tests.mariadb import MariadbDatabase
from tests.postgresql import PostgresqlDatabase

FULL = ("run", "maintenance", "--type", "full", "--environment", "test", "--output", "json")
INVALID = "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE NOT i.indisvalid ORDER BY 1"


def full(aishell: Aishell, url: str, *more: str, code: int = 0):
    return aishell(*FULL, "--url", url, *more).expect(code).json


@pytest.fixture
def worn(pg_current: PostgresqlDatabase) -> PostgresqlDatabase:
    """A table of which nine rows in ten were deleted, and vacuumed."""
    for statement in (
        "CREATE TABLE worn (id int PRIMARY KEY, n text) WITH (autovacuum_enabled = off)",
        "CREATE INDEX worn_n ON worn (n)",
        "INSERT INTO worn SELECT i, repeat('x', 100) || i FROM generate_series(1, 40000) AS i",
        "DELETE FROM worn WHERE id % 10 <> 0",
        "VACUUM ANALYZE worn",
    ):
        pg_current.execute(statement)
    return pg_current


def test_postgresql_names_a_worn_table_and_rewrites_it_on_request(aishell: Aishell, worn: PostgresqlDatabase) -> None:
    def bytes_() -> int:
        return int(worn.execute("SELECT pg_relation_size('worn')")[0][0])

    before, rows = bytes_(), worn.execute("SELECT count(*), sum(id) FROM worn")
    told = full(aishell, worn.url, "--yes")
    (note,) = [text for text in told["output_data"]["warnings"] if "mostly unused space" in text]
    assert "public.worn 8" in note
    assert bytes_() == before
    asked = aishell(*FULL, "--url", worn.url, "--yes", "--set", "rebuild_tables=true").expect(3)
    (waiting,) = aishell("approvals", "list", "--output", "json").expect(0).json
    assert waiting["tool"] == "rebuild_table", "it asks, whatever --yes says"
    assert bytes_() == before
    aishell("approvals", "approve", waiting["id"], "--confirm-target", waiting["target"]).expect(0)
    done = aishell.resume(asked.run_id).expect(0).json
    assert "rewrote 1 table(s)" in done["reasoning"]
    assert bytes_() < before / 5
    assert worn.execute("SELECT count(*), sum(id) FROM worn") == rows
    assert done["output_data"]["bytes_reclaimed"] > before / 2
    again = full(aishell, worn.url, "--yes", "--set", "rebuild_tables=true")
    assert "rebuild_table" not in [step["tool"] for step in again["plan"]["steps"]], "nothing is left to do"


def test_postgresql_drops_what_a_rebuild_of_ours_left_and_no_other(aishell: Aishell, worn: PostgresqlDatabase) -> None:
    worn.execute("CREATE TABLE twice AS SELECT 1 AS id UNION ALL SELECT 1")
    with pytest.raises(errors.UniqueViolation):
        worn.execute("CREATE UNIQUE INDEX CONCURRENTLY twice_id ON twice (id)")
    rebuilt = full(aishell, worn.url, "--yes", "--set", "min_index_size=0")
    assert rebuilt["output_data"]["indexes_rebuilt"] >= 1
    (note,) = [text for text in rebuilt["output_data"]["warnings"] if "invalid" in text]
    assert "public.twice: invalid indexes left as they are: twice_id" in note
    # As a REINDEX CONCURRENTLY leaves it that ends before it is through.
    worn.execute("CREATE INDEX worn_n_ccnew ON worn (n)")
    worn.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'worn_n_ccnew'::regclass")
    assert worn.execute(INVALID) == [("twice_id",), ("worn_n_ccnew",)]
    told = full(aishell, worn.url, "--yes", "--set", "min_index_size=0")
    (dropped,) = [step for step in told["actions_taken"] if step["tool"] == "drop_invalid_indexes"]
    assert dropped["output"]["indexes_dropped"] == 1
    assert worn.execute(INVALID) == [("twice_id",)], "whose that is nobody knows"


def test_mariadb_rewrites_what_was_cleaned_up_in_the_first_run(aishell: Aishell, mariadb: MariadbDatabase) -> None:
    for statement in (
        "CREATE TABLE worn (id int PRIMARY KEY, note varchar(200)) STATS_AUTO_RECALC=0",
        "INSERT INTO worn SELECT seq, repeat('x', 200) FROM seq_1_to_120000",
        "ANALYZE TABLE worn",
        "DELETE FROM worn WHERE id > 10000",
        "SET GLOBAL innodb_max_purge_lag_wait = 0",  # returns when what was deleted is purged
    ):
        mariadb.execute(statement)
    told = full(aishell, mariadb.url, "--yes")
    tools = [step["tool"] for step in told["actions_taken"] if step["status"] == "done"]
    assert "optimize_table" in tools
    assert tools.index("batch_update_statistics") < tools.index("analyze_table_fragmentation")
    again = full(aishell, mariadb.url, "--yes")
    assert "optimize_table" not in [step["tool"] for step in again["actions_taken"] if step["status"] == "done"]
    assert mariadb.execute("SELECT count(*) FROM worn") == [(10000,)]
