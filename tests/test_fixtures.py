"""The fixtures themselves: each server is real, fresh for every test, and can be ended and started."""

from __future__ import annotations

import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import psycopg
import pymysql
import pytest
from psycopg import sql

from tests.mariadb import quoted
from tests.servers import HOST, Server, wait_until

FIRST_OR_SECOND = pytest.mark.parametrize("turn", ["first", "second"])


def runs_as(server: Server) -> int:
    return Path(f"/proc/{server.pid}").stat().st_uid


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def test_postgresql_is_the_version_it_says(pg, request):
    ((version,),) = pg.execute("SHOW server_version")
    assert version.split()[0] == pg.server.version
    assert f"[pg{pg.server.major}]" in request.node.name
    assert runs_as(pg.server) != 0


@FIRST_OR_SECOND
def test_postgresql_database_is_fresh(pg, turn):
    assert pg.execute("SELECT 1 FROM pg_class WHERE relname = 'once'") == []
    pg.execute("CREATE TABLE once (id int PRIMARY KEY, note text)")
    pg.execute("INSERT INTO once VALUES (1, %s)", ["🐘"])
    ((tuples,),) = pg.execute("SELECT tuple_count FROM pgstattuple('once')")
    assert tuples == 1
    pg.execute("SELECT bt_index_check('once_pkey', true)")


def test_postgresql_settings(pg):
    shown = {name: pg.execute(f"SHOW {name}")[0][0] for name in ("autovacuum", "data_checksums", "wal_level")}
    assert shown == {"autovacuum": "off", "data_checksums": "on", "wal_level": "logical"}
    pg.execute("CREATE EXTENSION pg_stat_statements")
    assert pg.execute("SELECT count(*) > 0 FROM pg_stat_statements") == [(True,)]


def test_postgresql_url_and_socket(pg):
    with psycopg.connect(pg.url) as connection:
        assert connection.info.dbname == pg.dbname
    with pg.connect(host=str(pg.server.folder)) as connection:
        assert connection.execute("SELECT inet_client_addr()").fetchone() == (None,)


def test_postgresql_logs_statements(pg):
    pg.execute("SELECT 'seen in the log'")
    assert "SELECT 'seen in the log'" in pg.server.log_file.read_text()


def test_postgresql_client_programs(pg):
    dump = pg.server.run(pg.server.bin / "pg_dump", "--schema-only", "-d", pg.url)
    assert "CREATE EXTENSION IF NOT EXISTS pgstattuple" in dump


def test_postgresql_role_needs_its_password(pg):
    url = pg.make_role("limited", "right")
    with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("CREATE TABLE refused (id int)")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(pg.url_as("limited", "wrong"))


def test_postgresql_leftovers_do_not_keep_the_database(pg):
    pg.execute("CREATE TABLE held (id int)")
    connection = pg.connect(autocommit=False)
    connection.execute("LOCK TABLE held")
    with pg.connect() as other:
        other.execute("BEGIN")
        other.execute("CREATE TABLE prepared (id int)")
        other.execute("PREPARE TRANSACTION 'left behind'")


def test_postgresql_restart_and_crash(pg_current):
    pg_current.execute("CREATE TABLE kept (id int)")
    pg_current.server.restart()
    assert pg_current.execute("SELECT * FROM kept") == []
    connection = pg_current.connect()
    pg_current.server.crash()
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
    pg_current.server.start()
    assert pg_current.execute("SELECT * FROM kept") == []


def test_postgresql_next_test_finds_a_stopped_server_running(pg_current):
    pg_current.server.stop()
    assert not pg_current.server.running


@pytest.mark.parametrize("which", ["distribution", "current"])
def test_postgresql_server_of_its_own(pg_server_factory, which):
    server = pg_server_factory(which, settings={"autovacuum": "on", "max_wal_senders": "0", "wal_level": "minimal"})
    assert server.database("postgres").execute("SHOW autovacuum") == [("on",)]
    with psycopg.connect(server.create("app").url) as connection:
        assert connection.execute("SELECT extname FROM pg_extension WHERE extname = 'amcheck'").fetchone()


def test_postgresql_standby(pg_standby):
    pg_standby.primary.execute("CREATE TABLE copied AS SELECT 42 AS id")
    pg_standby.wait_for_replay(pg_standby.primary)
    assert pg_standby.execute("SELECT id, pg_is_in_recovery() FROM copied") == [(42, True)]
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        pg_standby.execute("DELETE FROM copied")


def test_mariadb_is_the_version_it_says(mariadb):
    ((version,),) = mariadb.execute("SELECT version()")
    assert version.startswith(f"{mariadb.server.version}-MariaDB")
    assert runs_as(mariadb.server) != 0


@FIRST_OR_SECOND
def test_mariadb_database_is_fresh(mariadb, turn):
    assert mariadb.execute("SHOW TABLES") == []
    mariadb.execute("CREATE TABLE once (id int PRIMARY KEY, note text)")
    mariadb.execute("INSERT INTO once VALUES (1, %s)", ["🐘"])
    assert mariadb.execute("SELECT note FROM once") == [("🐘",)]


def test_mariadb_socket_and_log(mariadb):
    with mariadb.connect(unix_socket=str(mariadb.server.socket)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 'seen in the log'")
    assert "SELECT 'seen in the log'" in mariadb.server.log_file.read_text()
    assert "ready for connections" in mariadb.server.error_log.read_text()


def test_mariadb_user_needs_its_password(mariadb):
    assert mariadb.make_user("limited", "right", grants="SELECT") == mariadb.url_as("limited", "right")
    mariadb.execute("CREATE TABLE known (id int)")
    login = {"user": "limited", "password": "right"}
    with mariadb.connect(**login) as connection, connection.cursor() as cursor:
        assert cursor.execute("SELECT * FROM known") == 0
        with pytest.raises(pymysql.err.OperationalError, match="command denied"):
            cursor.execute("INSERT INTO known VALUES (1)")
    with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
        mariadb.connect(**(login | {"password": "wrong"}))


def test_mariadb_has_no_other_users(mariadb):
    there = "SELECT DISTINCT user FROM mysql.user WHERE user NOT IN ('mariadb.sys', 'PUBLIC')"  # PUBLIC: from its first GRANT on
    users = mariadb.execute(there)
    assert users == [("root",)]


def test_mariadb_leftovers_do_not_keep_the_database(mariadb):
    mariadb.execute("CREATE TABLE held (id int)")
    connection = mariadb.connect()
    with connection.cursor() as cursor:
        cursor.execute("LOCK TABLES held WRITE")


def test_mariadb_restart_and_crash(mariadb):
    mariadb.execute("CREATE TABLE kept (id int)")
    mariadb.server.restart()
    mariadb.server.crash()
    mariadb.server.start()
    assert mariadb.execute("SHOW TABLES") == [("kept",)]
    mariadb.server.stop()


def test_mariadb_server_of_its_own(mariadb_server_factory):
    server = mariadb_server_factory({"read-only": "ON", "log-bin": "binlog"})
    database = server.create("app")
    assert database.execute("SELECT @@read_only, @@log_bin") == [(1, 1)]


@FIRST_OR_SECOND
def test_sqlite_is_fresh(sqlite, sqlite_path, sqlite_url, turn):
    assert sqlite.execute("SELECT * FROM sqlite_schema") == []
    assert sqlite_path.exists()
    assert sqlite_url == f"sqlite:///{sqlite_path}"
    connection = sqlite3.connect(sqlite_path)
    connection.execute("CREATE TABLE once (id int)")
    connection.close()
    assert sqlite.execute("SELECT name FROM sqlite_schema") == [("once",)]
    sqlite.connect()


def test_hostile_names_work_on_postgresql(hostile, pg):
    for name in hostile:
        assert len(name.encode()) <= 63
        pg.execute(sql.SQL("CREATE TABLE {0} ({0} int)").format(sql.Identifier(name)))
    made = pg.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert {name for (name,) in made} == set(hostile)


def test_hostile_names_work_on_mariadb(hostile_mysql, mariadb):
    for name in hostile_mysql:
        mariadb.execute(f"CREATE TABLE {quoted(name)} ({quoted(name)} int)")
    assert {name for (name,) in mariadb.execute("SHOW TABLES")} == set(hostile_mysql)


def test_hostile_names_work_on_sqlite(hostile, sqlite):
    for name in hostile:
        identifier = '"' + name.replace('"', '""') + '"'
        sqlite.execute(f"CREATE TABLE {identifier} ({identifier} int)")
    assert {name for (name,) in sqlite.execute("SELECT name FROM sqlite_schema")} == set(hostile)


def test_server_ends_with_the_process_that_started_it(tmp_path, pg_current):
    folder, port = tmp_path / "folder", tmp_path / "port"
    starter = f"""
import os, pathlib, signal
from tests.postgresql import PostgresqlServer, pypi_bin
server = PostgresqlServer(pypi_bin())
pathlib.Path({str(folder)!r}).write_text(str(server.folder))
pathlib.Path({str(port)!r}).write_text(str(server.port))
server.initialise()
server.start()
os.kill(os.getpid(), signal.SIGKILL)
"""
    root = Path(__file__).parents[1]
    killed = subprocess.run([sys.executable, "-c", starter], cwd=root)
    try:
        assert killed.returncode == -signal.SIGKILL
        wait_until(lambda: not listening(int(port.read_text())), "the orphaned server ends")
    finally:
        shutil.rmtree(folder.read_text())
