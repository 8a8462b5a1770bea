"""Connections of MariaDB's and MySQL's client programs: an option file in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aishell.backups.create.making import Work
from aishell.clients.clients import secret
from aishell.databases.base import Session
from aishell.databases.connections import Credentials
from aishell.databases.mysql_login import Login
from aishell.databases.tls import VERIFIES
from aishell.planning.backup_rights import Account


@contextmanager
def login(work: Work) -> Iterator[tuple[str, int]]:
    """The path of the option file for the programs, and the descriptor that they must inherit."""
    encrypted = any(row["Value"] for row in work.query("encryption"))
    with secret(client_file(work.context.database.credentials, work.context.database.product, encrypted)) as made:
        yield made


def client_file(credentials: Credentials, product: str, encrypted: bool) -> str:
    """An option file that connects as aishell's own connections do; the programs read no other.

    `encrypted`: whether those connections use TLS, which the mode PREFERRED leaves to the server.
    """
    url, password = credentials.url, credentials.password()
    login = Login.of(url)
    lines = [f"!include {login.file}"] if login.file else []
    values: dict[str, str | None] = {"user": url.user, "password": password}
    if login.socket:
        values |= {"protocol": "socket", "socket": login.socket}
    else:
        values |= {"protocol": "tcp", "host": url.host or "localhost", "port": str(url.port or 3306)}
    values |= {f"ssl-{name}": login.tls.get(f"ssl_{name}") for name in ("ca", "cert", "key")}
    lines += ["[client]", *(f"{name}={_quoted(value)}" for name, value in values.items() if value is not None)]
    if password is None and not login.file:
        lines.append("password=")  # else MYSQL_PWD is used, or the program prompts
    return "\n".join([*lines, *_tls(login, product, encrypted)]) + "\n"


def _tls(login: Login, product: str, encrypted: bool) -> list[str]:
    """The programs' options for TLS. MariaDB's cannot verify the certificate without the host name."""
    mode = login.mode if login.mode != "PREFERRED" else "REQUIRED" if encrypted else "DISABLED"
    if product == "mysql":
        return [f"ssl-mode={mode}"]
    if mode == "DISABLED":
        return ["skip-ssl"]
    return ["ssl", "ssl-verify-server-cert" if mode in VERIFIES else "skip-ssl-verify-server-cert"]


def _quoted(value: str) -> str:
    """A quoted value of an option file; without quotes, `#` begins a comment."""
    marks = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return '"' + "".join(marks.get(letter, letter) for letter in value) + '"'


def account(work: Work, session: Session | None = None) -> Account:
    """Our account on the server, which may differ from that of an earlier inspection."""
    database = work.context.database
    return Account(str(work.query("account", session)[0]["name"]), database.product, database.version)
