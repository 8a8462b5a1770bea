"""A PostgreSQL URL as libpq keywords: the same for aishell's own connections and for PostgreSQL's programs."""

from __future__ import annotations

import os

from aishell.databases.urls import URL

#: Keyword -> the variable from which libpq takes it if the URL does not set it. They are passed on, because a client program's
#: environment is not ours. https://www.postgresql.org/docs/current/libpq-envars.html
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
    """Return all that a URL sets except the password, and for what it does not set, the values in the environment.

    A service names the server and the user itself, so the environment must not override it.
    """
    ports = [str(host.port or "") for host in url.hosts]
    parts = {
        "host": ",".join(host.name for host in url.hosts),
        "port": ",".join(ports) if any(ports) else "",
        "user": url.user or "",
        "dbname": url.database or "",
    }
    given = {**{key: value for key, value in parts.items() if value}, **url.options}
    if "service" in given:
        return given
    # PGHOSTADDR, too, if the URL names a host: libpq uses it even then, and its programs must reach the same server.
    inherited = {key: os.environ[name] for key, name in _VARIABLES.items() if os.environ.get(name)}
    return {**inherited, **given}
