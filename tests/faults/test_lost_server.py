"""The server goes away in the middle: restarted, or our session is ended. What was promised holds afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.bloated import Bloated, BloatedMariadb, BloatedPostgresql
from tests.faults.blocked import LONG, blocked_run, waiting
from tests.fix_aishell import Aishell
from tests.mariadb import MariadbServer
from tests.postgresql import PostgresqlServer
from tests.servers import wait_until


def end_session(bloated: Bloated, db: Any) -> None:
    ((session,),) = waiting(bloated.engine, db)
    if bloated.engine == "postgresql":
        db.execute("SELECT pg_terminate_backend(%s)", [session])
    else:
        db.execute(f"KILL CONNECTION {session}")


def test_a_dropped_connection_is_made_anew_and_the_statement_sent_again(
    bloated_server: Bloated, aishell: Aishell
) -> None:
    """REINDEX and OPTIMIZE are declared idempotent: nobody need be asked."""
    bloated = bloated_server
    db = bloated.make()
    aishell.url = db.url
    content = bloated.content(db)
    running, in_the_way = blocked_run(aishell, bloated, db)
    end_session(bloated, db)
    in_the_way.go()
    ended = running.wait().expect(0)
    assert ended.statuses()[LONG[bloated.engine]] == "done"
    assert bloated.content(db) == content
    assert bloated.left_behind(db) == [], "a rebuild that was cut off left nothing"
    aishell("audit", "verify").expect(0)


def test_a_run_whose_target_lock_is_lost_starts_no_further_step(bloated_pg: Bloated, aishell: Aishell) -> None:
    db = bloated_pg.make()
    aishell.url = db.url
    running, in_the_way = blocked_run(aishell, bloated_pg, db)
    holder = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
    assert db.execute(holder) == [(True,)]
    in_the_way.go()
    ended = running.wait().expect(1)
    assert "lock in the target was lost" in ended.json["error"]["message"]
    assert ended.statuses()["rebuild_orders"] == "done", "what was under way has come to its end"
    assert "statistics" not in ended.statuses()
    assert aishell.resume(ended.run_id).expect(0).statuses()["statistics"] == "done"


def assert_survives_a_restart(bloated: Bloated, aishell: Aishell, restart: Callable[[], None]) -> None:
    """Whatever the run itself could still do, resume brings the rest, and the database is as after a good night."""
    db = bloated.make()
    aishell.url = db.url
    content = bloated.content(db)
    running, _ = blocked_run(aishell, bloated, db)
    restart()
    ended = running.wait()
    assert "Traceback" not in ended.err
    assert ended.code == 1
    assert ended.json["error"]["hint"]
    resumed = aishell.resume(ended.run_id).expect(0)
    assert resumed.statuses()[LONG[bloated.engine]] == "done"
    assert bloated.content(db) == content
    assert bloated.left_behind(db) == []
    aishell("audit", "verify").expect(0)


def test_a_restart_of_postgresql_is_survived(
    pg_server_factory: Callable[..., PostgresqlServer], aishell: Aishell
) -> None:
    server = pg_server_factory()
    assert_survives_a_restart(BloatedPostgresql(server.create("first")), aishell, server.restart)


def test_a_crash_of_postgresql_is_survived(
    pg_server_factory: Callable[..., PostgresqlServer], aishell: Aishell
) -> None:
    server = pg_server_factory(settings={"fsync": "on"})

    def crash() -> None:
        server.crash()
        server.start()

    assert_survives_a_restart(BloatedPostgresql(server.create("first")), aishell, crash)


def test_a_crash_of_mariadb_is_survived(mariadb_server_factory: Callable[..., MariadbServer], aishell: Aishell) -> None:
    server = mariadb_server_factory({"innodb-flush-log-at-trx-commit": "1"})

    def crash() -> None:
        server.crash()
        server.start()

    assert_survives_a_restart(BloatedMariadb(server.create("first")), aishell, crash)


def test_a_server_that_stays_away_ends_the_run_with_a_reason(
    pg_server_factory: Callable[..., PostgresqlServer], aishell: Aishell
) -> None:
    server = pg_server_factory()
    bloated = BloatedPostgresql(server.create("first"))
    db = bloated.make()
    aishell.url = db.url
    running, _ = blocked_run(aishell, bloated, db)
    server.stop()
    wait_until(lambda: running.ended, "the run's end")
    ended = running.wait()
    assert ended.code == 1
    assert "Traceback" not in ended.err
    refused = aishell.resume(aishell.only_run()).expect(2)
    assert refused.json["error"]["type"] == "TargetUnavailableError"
    server.start()
    aishell.resume(aishell.only_run()).expect(0)
    assert bloated.left_behind(db) == []
