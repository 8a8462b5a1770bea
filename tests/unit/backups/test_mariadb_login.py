"""What MariaDB's programs are told to log in with."""

from __future__ import annotations

from pathlib import Path

import pytest

from aishell.backups.mariadb.login import client_file
from aishell.databases.connections import parse_url
from aishell.databases.mysql_login import Login
from aishell.databases.urls import read_url
from aishell.errors import DatabaseError


def lines(url: str, *, password: str | None = None, product: str = "mariadb", encrypted: bool = False) -> list[str]:
    return client_file(parse_url(url, password=password), product, encrypted).splitlines()


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_it_goes_the_way_that_our_own_connections_do() -> None:
    assert lines("mysql://app@db.example:3307/shop", password="x") == [
        "[client]", 'user="app"', 'password="x"', 'protocol="tcp"', 'host="db.example"', 'port="3307"', "skip-ssl",
    ]  # fmt: skip
    there = lines("mysql://app@localhost/shop?unix_socket=/run/my.sock")
    assert 'protocol="socket"' in there
    assert 'socket="/run/my.sock"' in there
    assert not any(line.startswith("host") for line in there)
    assert "password=" in there, "nothing else may say one"


def test_a_password_is_quoted() -> None:
    assert 'password=":\\\\#\'\\" %\\n"' in lines("mysql://app@h/shop", password=":\\#'\" %\n")


@pytest.mark.parametrize("host", ["db.example", "127.0.0.1"])
@pytest.mark.parametrize(
    ("mode", "mariadb", "mysql"),
    [
        ("ssl_mode=DISABLED", ["skip-ssl"], "DISABLED"),
        ("ssl_mode=PREFERRED", ["ssl", "skip-ssl-verify-server-cert"], "REQUIRED"),
        ("ssl_mode=REQUIRED", ["ssl", "skip-ssl-verify-server-cert"], "REQUIRED"),
        ("ssl_mode=VERIFY_CA", ["ssl", "ssl-verify-server-cert"], "VERIFY_CA"),
        ("ssl_mode=VERIFY_IDENTITY", ["ssl", "ssl-verify-server-cert"], "VERIFY_IDENTITY"),
        ("ssl_ca=/etc/ca.pem", ["ssl", "ssl-verify-server-cert"], "VERIFY_IDENTITY"),
        ("ssl_ca=/etc/ca.pem&ssl-mode=verify_ca", ["ssl", "ssl-verify-server-cert"], "VERIFY_CA"),
    ],
)
def test_tls_as_our_own_connections_have_it(host: str, mode: str, mariadb: list[str], mysql: str) -> None:
    url = f"mysql://app@{host}/shop?{mode}&ssl_cert=/c&ssl_key=/k"
    found = lines(url, encrypted=True)
    assert found[-len(mariadb) :] == mariadb
    assert {'ssl-cert="/c"', 'ssl-key="/k"'} <= set(found)
    assert ('ssl-ca="/etc/ca.pem"' in found) is ("ssl_ca" in mode)
    assert lines(url, encrypted=True, product="mysql")[-1] == f"ssl-mode={mysql}"


def test_what_the_server_did_not_offer_is_not_asked_of_it_by_a_program_either() -> None:
    assert lines("mysql://app@h/shop?ssl_mode=PREFERRED", product="mysql")[-1] == "ssl-mode=DISABLED"
    assert lines("mysql://app@h/shop")[-1] == "skip-ssl"


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("ssl-ca=/etc/ca.pem", "VERIFY_IDENTITY"),
        ("ssl-ca=/etc/ca.pem\nssl-mode=VERIFY_CA", "VERIFY_CA"),
        ("ssl_mode=required", "REQUIRED"),
        ("ssl-verify-server-cert", "VERIFY_IDENTITY"),
        ("ssl-verify-server-cert=1", "VERIFY_IDENTITY"),
        ("ssl-verify-server-cert=OFF", "DISABLED"),
        ("", "DISABLED"),
    ],
)
def test_a_file_of_the_user_says_how_far_the_server_is_trusted(home: Path, text: str, mode: str) -> None:
    (home / ".my.cnf").write_text(f"[client]\nuser=app\n{text}\n")
    assert Login.of(read_url("mysql://127.0.0.1/shop")).mode == mode


@pytest.mark.parametrize(
    "text", ["[client]\npassword=geheim\n ]geheim[\n=", "password=geheim", "[client]\nssl-capath=/x", "\xff",
             "[client]\nssl-ca=/x\nssl-mode=REQUIRED"],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_told_without_a_line_of_it(home: Path, text: str) -> None:
    (home / ".my.cnf").write_bytes(text.encode("latin-1"))
    with pytest.raises(DatabaseError) as caught:
        Login.of(read_url("mysql://127.0.0.1/shop"))
    assert caught.value.kind == "connect"
    assert f"{home}/.my.cnf" in caught.value.message
    assert "geheim" not in f"{caught.value.message} {caught.value.hint}"


def test_a_file_of_the_user_is_read_only_where_we_read_it(home: Path) -> None:
    (home / ".my.cnf").write_text("[client]\n")
    assert lines("mysql://app@h/shop")[0] == "[client]"
    assert lines("mysql://h/shop")[0] == f"!include {home}/.my.cnf"
    assert "password=" not in lines("mysql://h/shop")
    (home / "x.cnf").write_text("[client]\nuser=app\n")
    assert lines(f"mysql://h/shop?read_default_file={home}/x.cnf")[0] == f"!include {home}/x.cnf"
