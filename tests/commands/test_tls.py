"""TLS on real servers: the right CA, a wrong one, a wrong host name, a server without it; by us and by client programs alike."""

from __future__ import annotations

import os
import subprocess

import pytest

from aishell.backups.mariadb.login import client_file
from aishell.backups.postgresql.libpq import conninfo
from aishell.databases.base import SessionOptions
from aishell.databases.connections import parse_url
from aishell.databases.opening import open_database
from aishell.errors import DatabaseError
from tests.certificates import NAME
from tests.commands.test_doctor import findings
from tests.mariadb import mariadb_program
from tests.servers import HOST

PG, MY = "tls_pg", "tls_mariadb"
#: What is asked for, at which of the server's names -> what was verified, None for plain text, or words of the refusal.
CASES = [
    (PG, HOST, "", ""),
    (PG, HOST, "sslmode=disable", None),
    (PG, HOST, "sslmode=require", ""),
    (PG, NAME, "sslrootcert={ca}", "certificate and host name"),
    (PG, HOST, "sslrootcert={ca}", "does not match host name"),
    (PG, HOST, "sslrootcert={ca}&sslmode=verify-ca", "certificate"),
    (PG, NAME, "sslrootcert={other_ca}", "certificate verify failed"),
    (PG, HOST, "sslrootcert={other_ca}&sslmode=verify-ca", "certificate verify failed"),
    (PG, NAME, "sslrootcert=/nowhere.pem", "/nowhere.pem"),
    (MY, HOST, "", None),
    (MY, HOST, "ssl_mode=DISABLED", None),
    (MY, HOST, "ssl_mode=PREFERRED", ""),
    (MY, HOST, "ssl-mode=required", ""),
    (MY, NAME, "ssl_ca={ca}", "certificate and host name"),
    (MY, HOST, "ssl_ca={ca}", "IP address mismatch"),
    (MY, HOST, "ssl_ca={ca}&ssl_mode=VERIFY_CA", "certificate"),
    (MY, NAME, "ssl-ca={other_ca}", "CERTIFICATE_VERIFY_FAILED"),
    (MY, HOST, "ssl_ca={other_ca}&ssl-mode=VERIFY_CA", "CERTIFICATE_VERIFY_FAILED"),
    (MY, NAME, "ssl_mode=VERIFY_IDENTITY", "CERTIFICATE_VERIFY_FAILED"),
    (MY, NAME, "ssl_ca=/nowhere.pem", "/nowhere.pem"),
]
VERIFIED = ("certificate", "certificate and host name")


@pytest.fixture
def url(request, server_certificates):
    """`url(fixture, host, query)` of a server with TLS."""

    def made(fixture: str, host: str, query: str) -> str:
        files = {name: getattr(server_certificates, name) for name in ("ca", "other_ca")}
        base = request.getfixturevalue(fixture).url.replace(f"@{HOST}:", f"@{host}:")
        return f"{base}?{query.format(**files)}" if query else base

    return made


@pytest.mark.parametrize(("fixture", "host", "query", "expected"), CASES)
def test_what_is_asked_for_is_what_there_is(url, fixture, host, query, expected):
    database = open_database(parse_url(url(fixture, host, query)))
    try:
        if expected in (None, "", *VERIFIED):
            with database.session(SessionOptions()) as session:
                found = session.encryption
            assert (found.version or "").startswith("TLSv1." if expected is not None else "")
            assert (found.version is None) is (expected is None)
            assert found.verified == (expected or None)
        else:
            with pytest.raises(DatabaseError, match=expected) as caught, database.session(SessionOptions()):
                pass
            assert caught.value.kind == "connect"
    finally:
        database.close()


@pytest.mark.parametrize(("fixture", "host", "query", "expected"), CASES)
def test_client_programs_ask_for_the_same(url, tmp_path, fixture, host, query, expected):
    """No program reaches what we do not. MariaDB's have no mode for the certificate alone, and look at the host's name too."""
    credentials = parse_url(url(fixture, host, query))
    if fixture == PG:
        asked = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        command = ["psql", "-XAt", "-d", conninfo(credentials), "-c", asked]
    else:
        file = tmp_path / "login.cnf"
        file.write_text(client_file(credentials, "mariadb", expected is not None))
        asked = "SHOW STATUS LIKE 'Ssl_version'"
        command = [str(mariadb_program("mariadb")), f"--defaults-file={file}", "-N", "-e", asked]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    said = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    reached = expected in (None, "", *VERIFIED) and not (fixture == MY and expected == "certificate")
    assert (said.returncode == 0) is reached, said.stderr
    if reached:
        assert ("TLSv1." in said.stdout) is (expected is not None), said.stdout


@pytest.mark.parametrize(
    ("fixture", "query", "said"),
    [
        ("pg_current", "sslmode=require", "does not support SSL"),
        ("pg_current", "sslrootcert={ca}", "does not support SSL"),
        ("mariadb", "ssl_mode=REQUIRED", "the server has no TLS"),
        ("mariadb", "ssl_ca={ca}", "the server has no TLS"),
        ("mariadb", "ssl_mode=PREFERRED", None),
        ("pg_current", "sslmode=prefer", None),
    ],
)
def test_a_server_without_tls_gets_nothing_where_it_is_asked_for(aishell, url, fixture, query, said):
    ended = aishell("doctor", "--url", url(fixture, HOST, query), "--output", "json")
    if said is None:
        assert findings(ended, 0)["tls"]["text"] == "plain text, on this host"
        return
    found = findings(ended, 1)["connection"]
    assert said in found["text"]
    assert "turn TLS on" in found["remedy"]
    assert aishell("run", "maintenance", "--dry-run", "--url", url(fixture, HOST, query)).expect(2).out == ""


@pytest.mark.parametrize(("fixture", "query"), [(PG, "sslrootcert={ca}"), (MY, "ssl_ca={ca}")])
def test_doctor_and_targets_test_show_what_was_negotiated(aishell, url, fixture, query):
    ended = aishell("doctor", "--url", url(fixture, NAME, query), "--output", "json")
    assert "certificate and host name verified" in findings(ended, 0)["tls"]["text"]
    (row,) = aishell("targets", "test", url(fixture, NAME, query), "--output", "json").expect(0).json
    assert row["tls"].startswith("TLSv1.")
    wrong = url(fixture, NAME, query.replace("{ca}", "{other_ca}"))
    found = findings(aishell("doctor", "--url", wrong, "--output", "json"), 1)["connection"]
    assert "not of the CA that is named" in found["remedy"]


@pytest.mark.parametrize(("fixture", "query"), [(PG, "sslrootcert={ca}"), (MY, "ssl_ca={ca}")])
def test_a_backup_goes_by_tls_from_its_first_statement_to_its_last_program(aishell, url, request, fixture, query):
    """A role that the server lets in by TLS only, with a password: dump, restore test and comparison."""
    db = request.getfixturevalue(fixture)
    db.execute("CREATE TABLE t (i int PRIMARY KEY)")
    if fixture == MY:
        db.make_user("app", "p4ss", "ALL")
        db.execute(f"ALTER USER app@'{HOST}' REQUIRE SSL")
        db.execute(f"GRANT ALL ON *.* TO app@'{HOST}'")
    else:
        db.make_role("app", "p4ss", "SUPERUSER")
        aishell.configure("aishell.yaml", f"programs: {db.server.bin}\n")
        rules = db.server.data / "pg_hba.conf"
        rules.write_text(f"hostnossl all app all reject\n{rules.read_text()}")
        db.execute("SELECT pg_reload_conf()")
    login = url(fixture, NAME, query).replace("//postgres@", "//app:p4ss@").replace("//root@", "//app:p4ss@")
    fixed = ("--url", login, "--environment", "test", "--yes", "--output", "json")
    made = aishell("run", "backup", "--type", "full", "--restore-test", *fixed).expect(0).json
    assert made["status"] == "success"


@pytest.mark.parametrize("name", ["PGSSLMODE", "PGSSLROOTCERT"])
def test_what_the_environment_says_reaches_programs_whose_environment_is_their_own(monkeypatch, name):
    monkeypatch.setenv(name, "verify-full" if name == "PGSSLMODE" else "/ca.pem")
    assert f"{name[2:].lower()}='" in conninfo(parse_url("postgresql://u@h/d"))
    assert "sslmode='disable'" in conninfo(parse_url("postgresql://u@h/d?sslmode=disable"))


def test_the_clear_password_is_given_to_nobody_without_tls(mariadb):
    """A server may ask for it as it is, and PyMySQL would send it."""
    import pymysql

    from aishell.databases.mysql_login import Login, MySQLConnection
    from aishell.databases.urls import read_url

    connection = MySQLConnection(Login.of(read_url(mariadb.url)), "geheim")
    with pytest.raises(pymysql.OperationalError, match="plain text"):
        connection._process_auth(b"mysql_clear_password", None)
