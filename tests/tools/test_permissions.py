"""A role without rights: a tool skips or fails with the server's words, and is never `done`."""

from __future__ import annotations

import pytest

from aishell.databases.base import SessionOptions, Statement
from aishell.errors import DatabaseError

CHANGES = (
    "update_table_statistics",
    "batch_update_statistics",
    "optimize_table",
    "rebuild_table",
    "rebuild_fragmented_indexes",
    "drop_invalid_indexes",
)
WORDS = ("permission", "denied", "owner", "only table")  # how the servers say it


@pytest.fixture
def stranger(server_engine):
    """The tools as a role that may connect and see names, and nothing more."""
    server_engine.samples.bloated(rows=2000)
    if server_engine.name == "postgresql":
        return server_engine.connected(server_engine.db.make_role("stranger"))
    return server_engine.connected(server_engine.db.make_user("stranger", grants="CREATE TEMPORARY TABLES, SELECT"))


def storage(engine):
    if engine.name == "mysql":
        return engine.db.execute("SELECT last_update FROM mysql.innodb_table_stats WHERE table_name = 'bloated'")
    return engine.db.execute(
        "SELECT c.relfilenode, s.last_vacuum, s.last_analyze, x.relfilenode FROM pg_class c, pg_stat_user_tables s, pg_class x "
        "WHERE c.relname = 'bloated' AND s.relname = 'bloated' AND x.relname = 'bloated_n'"
    )


def test_no_change_is_ever_done(stranger):
    before = storage(stranger)
    for tool in CHANGES:
        params = {"schema": stranger.schema, "table": "bloated"}
        if tool == "batch_update_statistics":
            params = {"tables": stranger.named("bloated")}
        elif tool == "rebuild_fragmented_indexes":
            params |= {"min_index_size": 0, "fragmentation_threshold": 0}
        result = stranger.step(tool, **params)
        if tool == "drop_invalid_indexes":  # there is none, and so no server is asked to drop one
            assert result.objects == ()
            continue
        assert result.status in ("skipped", "failed"), tool
        assert {one.status for one in result.objects} <= {"skipped", "failed"}, tool
        for one in result.objects:
            assert any(word in one.reason for word in WORDS), (tool, one.reason)
        assert result.objects or result.reason, tool
    assert storage(stranger) == before


def test_a_stranger_can_inspect_what_the_server_shows(stranger):
    assert not stranger.rows("inspect_server")[0]["superuser"]
    for tool in ("inspect_tables", "inspect_indexes"):
        assert "bloated" in {row["table"] for row in stranger.rows(tool)}, tool


def test_hidden_statistics_are_withheld_not_guessed(pg_engine):
    """pg_stats is silently empty for a role that may not read the table."""
    pg_engine.samples.bloated(rows=2000)
    role = pg_engine.connected(pg_engine.db.make_role("stranger"))
    pg_engine.samples.do("GRANT pg_monitor TO stranger")
    row = role.row("inspect_tables", "bloated")
    assert row["fragmentation_percent"] is None
    assert "SELECT" in row["withheld"]
    pg_engine.samples.do("GRANT SELECT ON bloated TO stranger")
    assert role.row("inspect_tables", "bloated")["fragmentation_percent"] > 80


def test_a_check_without_rights_is_not_a_clean_bill(pg_engine):
    pg_engine.samples.table()
    role = pg_engine.connected(pg_engine.db.make_role("stranger"))
    result = role.call("check_table_corruption", tables=pg_engine.named("plain"))
    assert (result.status, result.denied) == ("failed", True)
    assert result.output["checked"] == []
    reasons = [row["reason"] for row in result.output["not_checked"]]
    denied = [reason for reason in reasons if "permission denied for function" in reason]
    too_old = [reason for reason in reasons if "checking its pages needs version 14" in reason]
    assert denied
    assert sorted(denied + too_old) == sorted(reasons)
    assert bool(too_old) == (pg_engine.database.version < (14,))


def test_half_of_a_check_is_none(pg_engine):
    """The server asks for the right to all that a statement names, whatever of it comes to be called."""
    if pg_engine.database.version < (14,):
        pytest.skip("one function alone checks before 14, so that there is no half")
    pg_engine.samples.table()
    role = pg_engine.connected(pg_engine.db.make_role("stranger"))
    pg_engine.samples.do("GRANT EXECUTE ON FUNCTION bt_index_check(regclass, boolean) TO stranger")
    result = role.call("check_table_corruption", tables=pg_engine.named("plain"))
    assert (result.status, result.denied) == ("failed", True)
    assert result.output["checked"] == []


def test_counting_without_rights_fails_with_the_servers_words(pg_engine):
    pg_engine.samples.table()
    role = pg_engine.connected(pg_engine.db.make_role("stranger"))
    with pytest.raises(DatabaseError, match="permission denied") as error:
        role.call("count_table_rows", schema="public", table="plain", exact=True)
    assert error.value.kind == "permission"


def test_an_owner_who_is_no_superuser_can_maintain(pg_engine):
    samples = pg_engine.samples
    samples.bloated(rows=2000)
    url = pg_engine.db.make_role("keeper")
    samples.do("ALTER TABLE bloated OWNER TO keeper", "GRANT pg_stat_scan_tables TO keeper")
    keeper = pg_engine.connected(url)
    for tool in ("update_table_statistics", "optimize_table", "rebuild_table"):
        assert keeper.call(tool, schema="public", table="bloated").status == "done"
    rebuilt = keeper.call("rebuild_fragmented_indexes", schema="public", table="bloated", min_index_size=0)
    assert rebuilt.status in ("done", "skipped")
    samples.do("ALTER TABLE bloated OWNER TO postgres")  # else the role cannot be dropped


def test_a_reading_session_cannot_change_the_file(sqlite_engine):
    sqlite_engine.samples.table()
    sqlite_engine.samples.do("PRAGMA journal_mode = wal")
    statement = Statement("ANALYZE main.plain", {}, "ANALYZE main.plain")
    reading = sqlite_engine.database.session(SessionOptions(read_only=True))
    with reading as session, pytest.raises(DatabaseError) as error:
        session.execute(statement)
    assert error.value.kind == "read_only"
