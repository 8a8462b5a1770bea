"""A server that refuses is answered with what is missing, and the statement that is printed for it lets the account in."""

from __future__ import annotations

import re

import pytest

from aishell.databases.remedies import remedy
from aishell.errors import DatabaseError

STATEMENT = re.compile(r"(?:GRANT|ALTER ROLE) .*?;")


def refused(aishell, url):
    """What `doctor` answers; a run says the same."""
    found = aishell("doctor", "--url", url, "--output", "json").expect(1).json["findings"]
    (told,) = (one["remedy"] for one in found if one["subject"] == "connection")
    assert f"→ {told}" in aishell("run", "maintenance", "--url", url, "--environment", "test", "--yes").expect(2).err
    return told


def let_in(aishell, db, url):
    """Run what is printed: then the account gets in."""
    (statement,) = STATEMENT.findall(refused(aishell, url))
    db.execute(statement.rstrip(";"))
    aishell("doctor", "--url", url).expect(0)


@pytest.mark.parametrize("name", ["maint", "o'brien"])
def test_an_account_without_any_privilege_on_the_database(aishell, mariadb, name):
    url = mariadb.make_user(name)
    assert "check user and password" not in refused(aishell, url)
    let_in(aishell, mariadb, url)


def test_what_else_keeps_an_account_of_mariadb_out(aishell, mariadb):
    mariadb.make_user("maint")
    assert refused(aishell, mariadb.url_as("maint", "wr0ng")).startswith("check user and password")
    assert refused(aishell, mariadb.url_as("maint")).startswith("set password_env")
    assert refused(aishell, mariadb.url.replace(mariadb.dbname, "nowhere")) == "check the name of the database"
    mariadb.execute("CREATE USER sock@'127.0.0.1' IDENTIFIED VIA unix_socket")
    try:
        assert "unix_socket=PATH" in refused(aishell, mariadb.url_as("sock", "x"))
    finally:
        mariadb.execute("DROP USER sock@'127.0.0.1'")


def test_a_role_that_may_not_connect(aishell, pg_distribution):
    db = pg_distribution
    url = db.make_role("maint")
    db.execute(f'REVOKE CONNECT ON DATABASE "{db.dbname}" FROM PUBLIC')
    let_in(aishell, db, url)


def test_a_role_that_may_not_log_in(aishell, pg_distribution):
    url = pg_distribution.make_role("maint")
    pg_distribution.execute("ALTER ROLE maint NOLOGIN")
    let_in(aishell, pg_distribution, url)


def test_what_else_keeps_a_role_of_postgresql_out(aishell, pg_distribution):
    db = pg_distribution
    url = db.make_role("maint")
    assert refused(aishell, url.replace("secret", "wr0ng")).startswith("check user and password")
    assert refused(aishell, db.url.replace(db.dbname, "nowhere")) == "check the name of the database"


@pytest.mark.parametrize(
    ("code", "message", "told"),
    [
        (
            "1142",
            "SELECT command denied to user 'maint'@'localhost' for table `shop`.`t`",
            "GRANT SELECT ON `shop`.`t` TO the account",
        ),
        (
            "1227",
            "Access denied; you need (at least one of) the RELOAD privilege(s) for this operation",
            "GRANT RELOAD ON *.* TO the account",
        ),
        ("1698", "Access denied for user 'root'@'localhost'", "unix_socket=PATH"),
        ("42501", "permission denied for schema o dd", 'GRANT USAGE ON SCHEMA "o dd" TO "maint";'),
    ],
)
def test_what_is_refused_later(code, message, told):
    assert told in str(remedy(DatabaseError(message, kind="permission", code=code), "maint"))


def test_a_code_that_is_anothers_is_not_answered():
    assert remedy(DatabaseError("Access denied for user 'a'@'b'", kind="connect", code="9999")) is None
