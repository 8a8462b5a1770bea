"""TLS: the context that a mode of MySQL's asks for, and what a connection has come to. libpq does PostgreSQL's itself."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass

from aishell.errors import DatabaseError

#: What each verifying mode verifies, in either engine's spelling; any other verifies nothing.
VERIFIES = {
    "VERIFY_CA": "certificate",
    "VERIFY_IDENTITY": "certificate and host name",
    "verify-ca": "certificate",
    "verify-full": "certificate and host name",
}


@dataclass(frozen=True)
class Encryption:
    """How one connection is protected on its way. `version` None: plain text; `verified` None: the server may be any."""

    version: str | None = None
    cipher: str | None = None
    verified: str | None = None  # certificate | certificate and host name

    def __str__(self) -> str:
        if self.version is None:
            return "plain text"
        return f"{self.version}, {self.cipher}, {self.verified or 'server not'} verified"


def context(mode: str, options: Mapping[str, str]) -> ssl.SSLContext | None:
    """The context of one of MySQL's modes, with the files that `ssl_ca`, `ssl_cert` and `ssl_key` name; None for DISABLED.

    Where no CA is named, those that the system trusts count. Raises DatabaseError (connect) for a file that cannot be used.
    """
    if mode == "DISABLED":
        return None
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = mode == "VERIFY_IDENTITY"
    made.verify_mode = ssl.CERT_REQUIRED if mode in VERIFIES else ssl.CERT_NONE
    used = ""
    try:
        if mode in VERIFIES and "ssl_ca" in options:
            used = "ssl_ca"
            made.load_verify_locations(options["ssl_ca"])
        elif mode in VERIFIES:
            made.load_default_certs()
        if "ssl_cert" in options:
            used = "ssl_cert"
            # An encrypted key would be asked for at the terminal: an empty password fails at once.
            made.load_cert_chain(options["ssl_cert"], options.get("ssl_key"), password="")
    except OSError as error:  # ssl.SSLError is one
        why = f"{used} {options[used]} cannot be used: {error.strerror or error}"
        raise DatabaseError(why, kind="connect", hint="name a file in PEM format that this user can read") from error
    return made
