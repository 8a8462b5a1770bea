"""TLS: the context for a mode of MySQL's, and the encryption of a connection. libpq handles PostgreSQL's itself."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass

from aishell.errors import DatabaseError

#: What each verifying mode verifies, in either engine's spelling; all others verify nothing.
VERIFIES = {
    "VERIFY_CA": "certificate",
    "VERIFY_IDENTITY": "certificate and host name",
    "verify-ca": "certificate",
    "verify-full": "certificate and host name",
}


@dataclass(frozen=True)
class Encryption:
    """How a connection is encrypted. `version` None: plain text; `verified` None: the server is not verified."""

    version: str | None = None
    cipher: str | None = None
    verified: str | None = None  # certificate | certificate and host name

    def __str__(self) -> str:
        if self.version is None:
            return "plain text"
        return f"{self.version}, {self.cipher}, {self.verified or 'server not'} verified"


def context(mode: str, options: Mapping[str, str]) -> ssl.SSLContext | None:
    """Return the context for a mode of MySQL's, with the files in `ssl_ca`, `ssl_cert` and `ssl_key`; None for DISABLED.

    Without a CA, those that the system trusts are used. Raises DatabaseError (connect) for a file that cannot be used.
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
            # An encrypted key would prompt for its password at the terminal; with an empty one it fails at once.
            made.load_cert_chain(options["ssl_cert"], options.get("ssl_key"), password="")
    except OSError as error:  # including ssl.SSLError
        why = f"{used} {options[used]} cannot be used: {error.strerror or error}"
        raise DatabaseError(why, kind="connect", hint="name a file in PEM format that this user can read") from error
    return made
