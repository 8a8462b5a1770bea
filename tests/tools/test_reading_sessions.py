"""A session that reads, and what reads in a session that writes: held by the server, and nothing is left behind."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from aishell.databases.base import Session, SessionOptions, Statement
from aishell.errors import DatabaseError

READING, WRITING = SessionOptions(read_only=True), SessionOptions(read_only=False)


def plain(sql: str) -> Statement:
    return Statement(sql, {}, sql)


@pytest.fixture(params=[READING, WRITING], ids=["reading", "writing"])
def session(engine, request) -> Iterator[Session]:
    engine.db.execute("CREATE TABLE rows_of_ours (id int)")
    engine.db.execute("INSERT INTO rows_of_ours VALUES (1)")
    with engine.database.session(request.param) as session:
        session.mark(engine.marker)
        yield session


def count(engine) -> int:
    return engine.db.execute("SELECT count(*) FROM rows_of_ours")[0][0]


def test_a_query_cannot_write_and_the_session_goes_on(engine, session):
    for _ in range(2):
        with pytest.raises(DatabaseError) as refused:
            session.query(plain("DELETE FROM rows_of_ours"))
        assert refused.value.kind == "read_only"
        assert session.query(plain("SELECT count(*) AS n FROM rows_of_ours")) == [{"n": 1}]


def test_a_failed_query_leaves_the_session_as_it_was(engine, session):
    with pytest.raises(DatabaseError) as failed:
        session.query(plain("SELECT * FROM nothing_of_that_name"))
    assert failed.value.kind == "missing_object"
    assert session.query(plain("SELECT 1 AS n")) == [{"n": 1}]


def test_what_a_writing_session_sends_between_queries_is_written(engine):
    engine.db.execute("CREATE TABLE rows_of_ours (id int)")
    with engine.database.session(WRITING) as session:
        for number in range(3):
            assert session.query(plain("SELECT count(*) AS n FROM rows_of_ours")) == [{"n": number}]
            session.execute(plain(f"INSERT INTO rows_of_ours VALUES ({number})"))
        with session.transaction():
            session.execute(plain("DELETE FROM rows_of_ours"))
            assert session.query(plain("SELECT count(*) AS n FROM rows_of_ours")) == [{"n": 0}]
            session.execute(plain("INSERT INTO rows_of_ours VALUES (9)"))
    assert count(engine) == 1


def test_a_statement_of_a_tool_that_is_safe_cannot_write_either(engine):
    engine.db.execute("CREATE TABLE rows_of_ours (id int)")
    engine.db.execute("INSERT INTO rows_of_ours VALUES (1)")
    with engine.database.session(READING) as session:
        for sql in ("DELETE FROM rows_of_ours", "DROP TABLE rows_of_ours"):
            with pytest.raises(DatabaseError) as refused:
                session.execute(plain(sql))
            assert refused.value.kind == "read_only"
        assert session.execute(plain("SELECT count(*) AS n FROM rows_of_ours")).rows == [{"n": 1}]


def test_nothing_is_open_when_a_query_has_ended(server_engine):
    look = {
        "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE application_name = '{}' AND xact_start IS NOT NULL",
        "mysql": "SELECT COUNT(*) FROM information_schema.INNODB_TRX t JOIN information_schema.PROCESSLIST p"
        " ON p.ID = t.trx_mysql_thread_id WHERE p.DB = DATABASE() AND p.ID <> CONNECTION_ID()",
    }[server_engine.name]
    server_engine.db.execute("CREATE TABLE rows_of_ours (id int)")
    with server_engine.database.session(READING) as session:
        session.mark(server_engine.marker)
        session.query(plain("SELECT count(*) AS n FROM rows_of_ours"))
        assert server_engine.db.execute(look.format(server_engine.marker)) == [(0,)]
        server_engine.db.execute("ALTER TABLE rows_of_ours ADD COLUMN more int")  # no lock is in its way


def test_a_transaction_that_was_begun_is_kept(pg_engine):
    """Of a program: its snapshot is exported to others while it is open."""
    pg_engine.db.execute("CREATE TABLE rows_of_ours (id int)")
    with pg_engine.database.session(READING) as session, session.transaction():
        session.execute(plain("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        ((name,),) = (row.values() for row in session.query(plain("SELECT pg_export_snapshot() AS name")))
        pg_engine.db.execute("INSERT INTO rows_of_ours VALUES (1)")
        assert session.query(plain("SELECT count(*) AS n FROM rows_of_ours")) == [{"n": 0}]
        other = pg_engine.db.connect(autocommit=False)
        other.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        other.execute(f"SET TRANSACTION SNAPSHOT '{name}'")
        assert other.execute("SELECT count(*) FROM rows_of_ours").fetchone() == (0,)
        with pytest.raises(DatabaseError) as refused:
            session.query(plain("DELETE FROM rows_of_ours"))
        assert refused.value.kind == "read_only"


def test_what_a_query_sets_is_gone_with_it(pg_engine):
    with pg_engine.database.session(READING) as session:
        (before,) = session.query(plain("SELECT current_setting('search_path') AS path"))
        session.query(plain("SELECT set_config('search_path', 'elsewhere', false)"))
        assert session.query(plain("SELECT current_setting('search_path') AS path")) == [before]


def test_an_error_that_is_answered_while_more_is_sent_is_the_only_one_told(pg_engine, monkeypatch, caplog):
    """psycopg logs what it meets on its way out of a pipeline that an error has left: `pipeline aborted`, to standard error."""
    with pg_engine.database.session(READING) as session:
        session.mark(pg_engine.marker)
        send = session._connection.execute

        def slowly(sql, *arguments, **options):
            if sql == b"ROLLBACK":
                time.sleep(0.05)  # the answer to the statement before is there by then
            return send(sql, *arguments, **options)

        monkeypatch.setattr(session._connection, "execute", slowly)
        for asked in (session.query, session.execute):
            with pytest.raises(DatabaseError, match="no_such_function"):
                asked(plain("SELECT no_such_function()"))
            assert session.query(plain("SELECT 1 AS n")) == [{"n": 1}]
    assert caplog.messages == []


def test_an_error_among_many_rows_is_the_only_one_told(pg_engine, caplog):
    pg_engine.db.execute("CREATE TABLE rows_of_ours (id int PRIMARY KEY)")
    with pg_engine.database.session(WRITING) as session:
        session.mark(pg_engine.marker)
        insert = Statement("INSERT INTO rows_of_ours VALUES (%(id)s)", {}, "INSERT")
        with pytest.raises(DatabaseError, match="duplicate key") as error:
            session.execute_many(insert, [{"id": number % 100} for number in range(5000)])
        assert error.value.code == "23505"
        assert count(pg_engine) == 0
        assert session.execute_many(insert, [{"id": 1}, {"id": 2}]) == 2
    assert caplog.messages == []
