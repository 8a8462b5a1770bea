"""What MariaDB's programs are told to log in with, and what an account may do."""

from __future__ import annotations

from pathlib import Path

import pytest

from aishell.backups.mariadb.login import NEEDED, check_privileges, option_file, privileges
from aishell.databases.connections import parse_url
from aishell.errors import BackupError


def lines(url: str, *, password: str | None = None, product: str = "mariadb", encrypted: bool = False) -> list[str]:
    return option_file(parse_url(url, password=password), product, encrypted).splitlines()


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


def test_tls_as_our_own_connections_have_it() -> None:
    url = "mysql://app@h/shop?ssl_ca=/etc/ca.pem&ssl_cert=/c&ssl_key=/k"
    found = lines(url, encrypted=True)
    assert found[-2:] == ["ssl", "skip-ssl-verify-server-cert"]
    assert {'ssl-ca="/etc/ca.pem"', 'ssl-cert="/c"', 'ssl-key="/k"'} <= set(found)
    assert lines(f"{url}&ssl_verify_cert=true", encrypted=True)[-1] == "ssl-verify-server-cert"
    assert lines(url, encrypted=True, product="mysql")[-1] == "ssl-mode=REQUIRED"
    assert lines(f"{url}&ssl_verify_cert=1", encrypted=True, product="mysql")[-1] == "ssl-mode=VERIFY_CA"
    assert lines(url, product="mysql")[-1] == "ssl-mode=DISABLED"


def test_a_file_of_the_user_is_read_only_where_we_read_it(home: Path) -> None:
    (home / ".my.cnf").write_text("[client]\n")
    assert lines("mysql://app@h/shop")[0] == "[client]"
    assert lines("mysql://h/shop")[0] == f"!include {home}/.my.cnf"
    assert "password=" not in lines("mysql://h/shop")
    assert lines("mysql://h/shop?read_default_file=/etc/x.cnf")[0] == "!include /etc/x.cnf"


GRANTS = [
    "GRANT USAGE ON *.* TO `app`@`%` IDENTIFIED BY PASSWORD '*6BB4'",
    "GRANT SELECT, SHOW VIEW, TRIGGER ON `my\\_shop`.* TO `app`@`%`",
    "GRANT EVENT ON `my%`.* TO `app`@`%`",
    "GRANT SELECT (`a`) ON `my_shop`.`t` TO `app`@`%`",
    "GRANT EXECUTE ON PROCEDURE `my_shop`.`p` TO `app`@`%`",
    "GRANT SELECT ON `mysql`.`proc` TO `app`@`%`",
]


def test_privileges_are_those_of_the_server_and_of_patterns_that_fit() -> None:
    held = privileges(GRANTS, "my_shop")
    assert held["database"] == {"SELECT", "SHOW VIEW", "TRIGGER", "EVENT"}
    assert held["server"] == {"USAGE"}
    assert held["routines"] == {"SELECT"}
    assert privileges(GRANTS, "myxshop")["database"] == {"EVENT"}
    check_privileges(GRANTS, "my_shop")


@pytest.mark.parametrize(
    "grants",
    [
        ["GRANT ALL PRIVILEGES ON *.* TO `root`@`%` WITH GRANT OPTION"],
        ["GRANT ALL PRIVILEGES ON `my_shop`.* TO `app`@`%`"],
        [f"GRANT {', '.join(NEEDED)} ON *.* TO `app`@`%`"],
        [f"GRANT {', '.join(NEEDED)}, EXECUTE ON `my_shop`.* TO `app`@`%`"],
        [*GRANTS[:5], "GRANT SHOW_ROUTINE ON *.* TO `app`@`%`"],
    ],
)
def test_enough_is_enough(grants: list[str]) -> None:
    check_privileges(grants, "my_shop")


@pytest.mark.parametrize(
    ("grants", "told"),
    [
        ([], "lacks SELECT, SHOW VIEW, TRIGGER, EVENT"),
        ([*GRANTS[:2], *GRANTS[3:]], "lacks EVENT"),
        (GRANTS[:5], "cannot see whether"),
        (["GRANT ALL PRIVILEGES ON `myyshop`.* TO `app`@`%`"], "lacks SELECT"),
    ],
)
def test_what_is_missing_is_named(grants: list[str], told: str) -> None:
    with pytest.raises(BackupError, match=told):
        check_privileges(grants, "my_shop")
