"""A transaction that cannot be committed is over: the same session can begin another."""

from __future__ import annotations

import pytest

from aishell.databases.base import SessionOptions, Statement
from aishell.databases.connections import parse_url
from aishell.databases.opening import open_database
from aishell.errors import DatabaseError


def test_a_commit_that_readers_are_in_the_way_of_is_rolled_back(sqlite):
    sqlite.execute("CREATE TABLE t (id integer)")
    sqlite.execute("INSERT INTO t VALUES (1)")
    insert = Statement("INSERT INTO t VALUES (2)", {}, "")
    database = open_database(parse_url(sqlite.url))
    reader = sqlite.connect()
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM t").fetchone()
    with database.session(SessionOptions(read_only=False, lock_timeout=0.1)) as session:
        with pytest.raises(DatabaseError) as failed, session.transaction():
            session.execute(insert)
        assert failed.value.kind == "busy"
        reader.execute("ROLLBACK")
        with session.transaction():
            session.execute(insert)
    database.close()
    assert sqlite.execute("SELECT count(*) FROM t") == [(2,)]
