"""MariaDB for tests: where its programs are, a server, and a database on it."""

from __future__ import annotations

import contextlib
import functools
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pymysql

from tests.servers import HOST, Server

SEARCHED = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin:/usr/libexec"
SETTINGS = {
    "skip-name-resolve": "ON",
    "character-set-server": "utf8mb4",
    "innodb-buffer-pool-size": "32M",
    "innodb-log-file-size": "16M",
    "innodb-flush-log-at-trx-commit": "0",
    "innodb-lock-wait-timeout": "10",
    "max-connections": "60",
    "default-time-zone": "+00:00",
    "general-log": "ON",
}


def mariadb_program(*names: str) -> Path | None:
    """The first of these programs that is installed."""
    found = (shutil.which(name, path=SEARCHED) for name in names)
    return next((Path(path) for path in found if path), None)


def server_program() -> Path | None:
    return mariadb_program("mariadbd")


@functools.cache
def version_of(program: Path) -> str:
    """For example `10.11.19`."""
    said = subprocess.run([program, "--no-defaults", "--version"], capture_output=True, text=True, check=True)
    return said.stdout.split("Ver ")[1].split("-")[0]


class MariadbServer(Server):
    """A server listening on a unix socket in its folder and on a loopback port."""

    accounts = ("mysql", "nobody")

    def __init__(self, program: Path, settings: dict[str, str] | None = None) -> None:
        self.version = version_of(program)
        super().__init__("mariadb")
        self.program = program
        self.bin = Path("/usr/bin")
        self.socket = self.folder / "mariadb.sock"
        self.log_file = self.folder / "general.log"
        self.settings = SETTINGS | (settings or {})

    def command(self) -> list[str]:
        own = {
            "datadir": str(self.data),
            "socket": str(self.socket),
            "pid-file": str(self.folder / "mariadb.pid"),
            "bind-address": HOST,
            "port": str(self.port),
            "general-log-file": str(self.log_file),
        }
        options = [f"--{name}={value}" for name, value in (self.settings | own).items()]
        return [str(self.program), "--no-defaults", *options]

    def ping(self) -> None:
        try:
            self.database(None).connect(connect_timeout=5).close()
        except pymysql.OperationalError as error:
            raise ConnectionError(str(error)) from error

    def initialise(self) -> None:
        """Make the data folder, with a root that has no password."""
        program = mariadb_program("mariadb-install-db")
        assert program is not None, "mariadb-install-db is missing"
        self.run(
            program,
            "--no-defaults",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-log-bin",
            f"--datadir={self.data}",
        )

    def database(self, dbname: str | None) -> MariadbDatabase:
        return MariadbDatabase(self, dbname)

    def create(self, dbname: str) -> MariadbDatabase:
        self.database(None).execute(f"CREATE DATABASE {quoted(dbname)} CHARACTER SET utf8mb4")
        return self.database(dbname)


def quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


class MariadbDatabase:
    """One database on a server; its connections are root's unless said otherwise."""

    def __init__(self, server: MariadbServer, dbname: str | None) -> None:
        self.server = server
        self.dbname = dbname
        self.url = self.url_as("root")
        self._users: list[str] = []

    def url_as(self, user: str, password: str | None = None) -> str:
        login = ":".join(quote(part, safe="") for part in (user, password) if part is not None)
        return f"mysql://{login}@{HOST}:{self.server.port}/{quote(self.dbname or '', safe='')}"

    def connect(self, **options: Any) -> pymysql.Connection[Any]:
        """An autocommit connection, closed after the test at the latest."""
        # Without ssl_disabled PyMySQL prepares TLS anew for each connection, which takes 20 ms.
        where = {"host": HOST, "port": self.server.port, "user": "root", "database": self.dbname, "ssl_disabled": True}
        connection = pymysql.connect(**(where | {"autocommit": True, "charset": "utf8mb4"} | options))
        self.server.connections.append(connection)
        return connection

    def execute(self, statement: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        """Run one statement on a connection of its own; the rows, if it has any."""
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return list(cursor.fetchall())

    def make_user(self, name: str = "app", password: str = "secret", grants: str = "") -> str:
        """A user with `grants` on this database, dropped after the test; returns its URL."""
        user = f"{quoted(name)}@'{HOST}'"
        self.execute(f"CREATE USER {user} IDENTIFIED BY %s", [password])
        self._users.append(user)
        if grants:
            self.execute(f"GRANT {grants} ON {quoted(self.dbname or '')}.* TO {user}")
        return self.url_as(name, password)

    def drop(self) -> None:
        """Drop the database, whoever is connected, and the users made with it."""
        self.server.close_connections()
        maintenance = self.server.database(None)
        busy = "SELECT id FROM information_schema.processlist WHERE db = %s"
        for (number,) in maintenance.execute(busy, [self.dbname]):
            with contextlib.suppress(pymysql.Error):  # gone meanwhile
                maintenance.execute(f"KILL {number}")
        maintenance.execute(f"DROP DATABASE IF EXISTS {quoted(self.dbname or '')}")
        for user in self._users:
            maintenance.execute(f"DROP USER IF EXISTS {user}")
