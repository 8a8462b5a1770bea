"""Servers with TLS, one of each kind a session: `tls_pg` and `tls_mariadb` are a fresh database, and the certificates it has."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import fix_mysql, fix_postgresql
from tests.certificates import Certificates, certificates
from tests.mariadb import MariadbDatabase, MariadbServer
from tests.postgresql import PostgresqlDatabase, PostgresqlServer

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server_certificates() -> Iterator[Certificates]:
    with tempfile.TemporaryDirectory(prefix="aishell-tls-") as folder:
        Path(folder).chmod(0o755)  # servers run as somebody else
        yield certificates(Path(folder))


def _readable(made: Certificates, server: PostgresqlServer | MariadbServer) -> Certificates:
    """The key in a file of the server's own."""
    key = server.folder / "server.key"
    key.touch(0o600)
    key.write_bytes(made.key.read_bytes())
    if server.as_user:
        server.own(server.folder)
    return Certificates(made.ca, made.other_ca, made.certificate, key)


# PyPI's is built without TLS.
@pytest.fixture(scope="session")
def tls_pg_server(request: pytest.FixtureRequest, server_certificates: Certificates) -> Iterator[PostgresqlServer]:
    server = PostgresqlServer(fix_postgresql._programs(request.config, "distribution"))
    try:
        files = _readable(server_certificates, server)
        server.settings |= {"ssl": "on", "ssl_cert_file": str(files.certificate), "ssl_key_file": str(files.key)}
        server.initialise()
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def tls_mariadb_server(request: pytest.FixtureRequest, server_certificates: Certificates) -> Iterator[MariadbServer]:
    server = MariadbServer(fix_mysql._program(request.config))
    try:
        files = _readable(server_certificates, server)
        server.settings |= {"ssl-cert": str(files.certificate), "ssl-key": str(files.key), "ssl-ca": str(files.ca)}
        server.initialise()
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def tls_pg(tls_pg_server: PostgresqlServer) -> Iterator[PostgresqlDatabase]:
    database = tls_pg_server.create(f"test_{next(_numbers)}")
    yield database
    database.drop()


@pytest.fixture
def tls_mariadb(tls_mariadb_server: MariadbServer) -> Iterator[MariadbDatabase]:
    database = tls_mariadb_server.create(f"test_{next(_numbers)}")
    yield database
    database.drop()
