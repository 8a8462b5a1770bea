"""A PostgreSQL URL as libpq's keywords: the same for aishell's own connections and for PostgreSQL's programs."""

from __future__ import annotations

import os

from aishell.databases.urls import URL

#: What libpq takes from the environment where a URL is silent. It is written out, because a program's environment is not ours.
#: https://www.postgresql.org/docs/current/libpq-envars.html
_VARIABLES = {
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "port": "PGPORT",
    "user": "PGUSER",
    "dbname": "PGDATABASE",
    "service": "PGSERVICE",
    "passfile": "PGPASSFILE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslcrl": "PGSSLCRL",
    "sslcrldir": "PGSSLCRLDIR",
    "sslsni": "PGSSLSNI",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "sslcertmode": "PGSSLCERTMODE",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION",
    "channel_binding": "PGCHANNELBINDING",
    "gssencmode": "PGGSSENCMODE",
    "krbsrvname": "PGKRBSRVNAME",
    "require_auth": "PGREQUIREAUTH",
    "requirepeer": "PGREQUIREPEER",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "load_balance_hosts": "PGLOADBALANCEHOSTS",
    "connect_timeout": "PGCONNECT_TIMEOUT",
}


def keywords(url: URL) -> dict[str, str]:
    """Everything that a URL says but the password, and what the environment says where it is silent.

    A service names the server and the account itself, so nothing of the environment goes before it.
    """
    ports = [str(host.port or "") for host in url.hosts]
    parts = {
        "host": ",".join(host.name for host in url.hosts),
        "port": ",".join(ports) if any(ports) else "",
        "user": url.user or "",
        "dbname": url.database or "",
    }
    said = {**{key: value for key, value in parts.items() if value}, **url.options}
    if "service" in said:
        return said
    # PGHOSTADDR too, where the URL names a host: libpq takes it then, and its programs must go where the sessions go.
    inherited = {key: os.environ[name] for key, name in _VARIABLES.items() if os.environ.get(name)}
    return {**inherited, **said}
