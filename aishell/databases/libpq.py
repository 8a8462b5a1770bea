"""A PostgreSQL URL as libpq's keywords: the same for aishell's own connections and for PostgreSQL's programs."""

from __future__ import annotations

import os

from aishell.databases.urls import URL

#: The keywords that libpq takes from the environment where a URL is silent, by their variables. They are passed on, because a
#: client program's environment is not ours. https://www.postgresql.org/docs/current/libpq-envars.html
_VARIABLES = {
    "dbname": "PGDATABASE",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    **{
        keyword: f"PG{keyword.replace('_', '').upper()}"
        for keyword in """host hostaddr port user service passfile sslmode sslrootcert sslcert sslkey sslcrl sslcrldir sslsni
        sslnegotiation sslcertmode ssl_min_protocol_version ssl_max_protocol_version channel_binding gssencmode krbsrvname
        require_auth requirepeer target_session_attrs load_balance_hosts""".split()
    },
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
    # PGHOSTADDR too, where the URL names a host: libpq takes it then, and its programs must reach the same server.
    inherited = {key: os.environ[name] for key, name in _VARIABLES.items() if os.environ.get(name)}
    return {**inherited, **said}
