"""Login to a MySQL or MariaDB server: account, TLS, and one time limit for the whole login."""

from __future__ import annotations

import configparser
import os
import socket
import ssl
import struct
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
from pymysql.constants import CLIENT, CR
from pymysql.cursors import DictCursor

from aishell.databases import options, tls
from aishell.databases.base import watchdog
from aishell.databases.connections import Credentials
from aishell.databases.urls import URL
from aishell.errors import DatabaseError, UsageError

#: The options that aishell reads from an option file; the programs that it starts read the whole file.
_ACCOUNT, _TLS = ("user", "password", "host", "port", "socket", "database"), ("ca", "cert", "key", "mode")
_OFF = ("0", "off", "false", "no")


@dataclass(frozen=True)
class Login:
    """Who logs in, and where: the URL, and the option file for what the URL leaves out."""

    url: URL
    file: Path | None
    told: Mapping[str, str]  # the options of the file that are in `_ACCOUNT`
    tls: Mapping[str, str]  # always ssl_mode; ssl_ca, ssl_cert and ssl_key if they are set

    @classmethod
    def of(cls, url: URL) -> Login:
        """Return the login for a URL. Raises DatabaseError (connect) for an unreadable or contradictory option file."""
        file = option_file(url)
        found = {} if file is None else _client_options(file)
        given = {name: found[f"ssl-{name}"] for name in _TLS if f"ssl-{name}" in found}
        if "mode" not in given and found.get("ssl-verify-server-cert", "off").lower() not in _OFF:
            given["mode"] = "VERIFY_IDENTITY"
        given = {f"ssl_{name}": value for name, value in given.items()}
        chosen = {name: value for name, value in url.options.items() if name.startswith("ssl_")}
        if "ssl-capath" in found:
            raise DatabaseError(f"{file} names ssl-capath, which is not used here", kind="connect", hint="name ssl-ca")
        try:
            merged = options.verifying("mysql", {**given, **chosen}, str(file))
        except UsageError as error:
            raise DatabaseError(error.message, kind="connect", hint=error.hint) from error
        # On this host TLS costs 20 ms a connection and protects nothing, so it is used there only on request.
        usual = "DISABLED" if url.local and "ssl_cert" not in merged else "PREFERRED"
        account = {name: value for name, value in found.items() if name in _ACCOUNT}
        return cls(url, file, account, {"ssl_mode": usual, **merged})

    @property
    def mode(self) -> str:
        return self.tls["ssl_mode"].upper()

    @property
    def socket(self) -> str | None:
        return self.url.options.get("unix_socket")


def option_file(url: URL) -> Path | None:
    """Return the file that the URL names, else the user's own if the URL names no user."""
    if "read_default_file" in url.options:
        return Path(url.options["read_default_file"]).expanduser()
    own = Path("~/.my.cnf").expanduser()
    return own if url.user is None and own.exists() else None


def _client_options(file: Path) -> dict[str, str]:
    """Return the `[client]` section of an option file. No error quotes a line, since it may hold the password."""
    parser = configparser.RawConfigParser(allow_no_value=True, strict=False, delimiters=("=",))
    parser.optionxform = lambda name: name.lower().replace("_", "-")  # type: ignore[method-assign,assignment]
    try:
        parser.read_string(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        why = getattr(error, "strerror", None) or "it is not an option file"
        how = "write [client], and below it user=… and password=…"
        raise DatabaseError(f"{file} cannot be read: {why}", kind="connect", hint=how) from error
    if not parser.has_section("client"):
        return {}
    return {name: _unquoted(parser.get("client", name) or "") for name in parser.options("client")}


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value


def connect(credentials: Credentials, first: str | None = None) -> MySQLConnection:
    """Open a session in autocommit, and run the statement `first` in it. Raises DatabaseError (connect) or pymysql's errors."""
    login = Login.of(credentials.url)
    password = credentials.password()
    connection = MySQLConnection(login, password if password is not None else login.told.get("password", ""), first)
    connection.log_in(credentials.connect_timeout)
    return connection


class MySQLConnection(pymysql.connections.Connection):
    """PyMySQL's connection, with the TLS modes of MySQL's own clients and a time limit for the handshake.

    SET NAMES is not sent on connecting: the handshake has set utf8mb4, and the log of a dry run must contain reads only.
    """

    _sock: socket.socket | None
    server_capabilities: int
    _greeted = False

    def __init__(self, login: Login, password: str, first: str | None = None) -> None:
        self.login = login
        super().__init__(
            host=login.url.host or "localhost",
            port=login.url.port or 3306,
            user=login.url.user or login.told.get("user"),
            # As bytes: PyMySQL encodes text as Latin-1, and the server expects UTF-8.
            password=password.encode(),
            database=login.url.database or login.told.get("database"),
            unix_socket=login.socket,
            charset="utf8mb4",
            autocommit=True,
            cursorclass=DictCursor,
            program_name="aishell",
            init_command=first,
            ssl=tls.context(login.mode, login.tls),
            ssl_disabled=login.mode == "DISABLED",
            defer_connect=True,
        )

    def log_in(self, seconds: float) -> None:
        """Connect and log in within `seconds`, even if the other end stays silent, or sends a byte now and then."""
        deadline = time.monotonic() + seconds
        sock = self._reached(seconds)
        # A second handle on the same connection, since TLS moves the first into an object of its own.
        handle, late = socket.socket(fileno=os.dup(sock.fileno())), threading.Event()

        def cut() -> None:
            late.set()
            with suppress(OSError):  # the connection has just ended
                handle.shutdown(socket.SHUT_RDWR)

        timer = watchdog(max(0.001, deadline - time.monotonic()), cut)
        try:
            self.connect(sock)
        except (pymysql.Error, IndexError, ValueError, struct.error) as error:
            if late.is_set():
                why = f"no session within {seconds:g} s: what listens there does not answer as a MySQL server does"
                how = "check host and port; connect_timeout=SECONDS in the URL waits longer"
                raise DatabaseError(why, kind="connect", hint=how) from error
            if isinstance(error, pymysql.Error) and not isinstance(error, pymysql.InternalError):
                raise  # it is an error of a server; packets out of order are internal errors
            why = "what listens there does not speak MySQL's protocol"
            raise DatabaseError(why, kind="connect", hint="check host and port") from error
        finally:
            if timer is not None:
                timer.cancel()
            handle.close()

    def _reached(self, seconds: float) -> socket.socket:
        try:
            if self.login.socket is not None:
                sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                sock.settimeout(seconds)
                sock.connect(self.login.socket)
                self._secure = True
                return sock
            sock = socket.create_connection((self.host, self.port), seconds)
        except (OSError, UnicodeError) as error:  # the latter for an invalid host name
            text = f"Can't connect to MySQL server on {self.login.socket or self.host!r} ({error})"
            raise pymysql.OperationalError(CR.CR_CONN_HOST_ERROR, text) from error
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return sock

    def _request_authentication(self) -> None:
        """Check that TLS is offered if it is required, before any part of the account is sent."""
        offered = bool(self.server_capabilities & CLIENT.SSL)
        if not offered and self.login.mode not in ("DISABLED", "PREFERRED"):
            text = f"the server has no TLS, and ssl_mode={self.login.mode} asks for it"
            raise pymysql.OperationalError(CR.CR_SSL_CONNECTION_ERROR, text)
        if not offered:
            self.ssl, self.client_flag = False, self.client_flag & ~CLIENT.SSL
        super()._request_authentication()  # type: ignore[misc]

    def _process_auth(self, plugin_name: bytes, auth_packet: Any) -> Any:
        """Refuse to send the password in plain text over a connection that is not secure."""
        if plugin_name == b"mysql_clear_password" and not self._secure:
            text = "the server asks for the password in plain text, and there is no TLS"
            raise pymysql.OperationalError(CR.CR_AUTH_PLUGIN_CANNOT_LOAD, text)
        return super()._process_auth(plugin_name, auth_packet)  # type: ignore[misc]

    def set_character_set(self, charset: str, collation: str | None = None) -> None:
        if self._greeted:
            super().set_character_set(charset, collation)
            return
        self._greeted = True
        self.charset, self.collation = charset, collation
        self.encoding = pymysql.charset.charset_by_name(charset).encoding

    @property
    def encryption(self) -> tls.Encryption:
        """The encryption that was negotiated."""
        if not isinstance(self._sock, ssl.SSLSocket):
            return tls.Encryption()
        cipher = self._sock.cipher()
        return tls.Encryption(self._sock.version(), cipher[0] if cipher else None, tls.VERIFIES.get(self.login.mode))
