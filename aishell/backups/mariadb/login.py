"""How MariaDB's and MySQL's client programs reach the target: an option file in memory, and what the account may do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from aishell.backups.clients import secret
from aishell.backups.making import Work
from aishell.databases.connections import Credentials
from aishell.errors import BackupError

#: What a dump of everything takes. Without TRIGGER a dump has no triggers, and says nothing.
NEEDED = ("SELECT", "SHOW VIEW", "TRIGGER", "EVENT")
#: With one of these on the database an account sees its routines, and with none of them there seem to be none.
_ROUTINES = frozenset({"EXECUTE", "CREATE ROUTINE", "ALTER ROUTINE", "SHOW CREATE ROUTINE", "SHOW_ROUTINE"})
_GRANT = re.compile(
    r"^GRANT (?P<what>.+?) ON (?:TABLE )?(?P<database>\*|`(?:[^`]|``)*`)\.(?P<table>\*|`(?:[^`]|``)*`) TO ", re.DOTALL
)
_ON = ("1", "true", "yes", "on")


@contextmanager
def login(work: Work) -> Iterator[tuple[str, int]]:
    """The option file that the programs are given, by its path, and the descriptor that they inherit."""
    encrypted = any(row["Value"] for row in work.query("encryption"))
    with secret(option_file(work.context.database.credentials, work.context.database.product, encrypted)) as made:
        yield made


def option_file(credentials: Credentials, product: str, encrypted: bool) -> str:
    """The same way to the server that aishell's own connections take. No other option file is read beside it.

    `encrypted`: whether those use TLS.
    """
    url = credentials.url
    query = {str(key): value for key, value in url.query.items() if isinstance(value, str)}
    included = query.get("read_default_file") or _personal(credentials)
    lines = [f"!include {included}"] if included else []
    values: dict[str, str | None] = {"user": url.username, "password": credentials.password}
    if query.get("unix_socket"):
        values |= {"protocol": "socket", "socket": query["unix_socket"]}
    else:
        values |= {"protocol": "tcp", "host": url.host or "localhost", "port": str(url.port or 3306)}
    values |= {f"ssl-{name}": query.get(f"ssl_{name}") for name in ("ca", "cert", "key")}
    lines += ["[client]", *(f"{name}={_quoted(value)}" for name, value in values.items() if value is not None)]
    if credentials.password is None and not included:
        lines.append("password=")  # else MYSQL_PWD would be taken, or asked for
    strict = str(query.get("ssl_verify_cert", "")).lower() in _ON
    if product == "mysql":
        lines.append(f"ssl-mode={('VERIFY_CA' if strict else 'REQUIRED') if encrypted else 'DISABLED'}")
    elif encrypted:
        lines += ["ssl", "ssl-verify-server-cert" if strict else "skip-ssl-verify-server-cert"]
    else:
        lines.append("skip-ssl")
    return "\n".join(lines) + "\n"


def _personal(credentials: Credentials) -> str | None:
    """The file that aishell's own connections take the account from when the URL names none."""
    path = Path("~/.my.cnf").expanduser()
    return str(path) if not credentials.url.username and path.exists() else None


def _quoted(value: str) -> str:
    """A value as option files have it: without quotes what follows `#` is a comment."""
    marks = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return '"' + "".join(marks.get(letter, letter) for letter in value) + '"'


def privileges(grants: Iterable[str], database: str) -> Mapping[str, frozenset[str]]:
    """What SHOW GRANTS says: privileges on the `server`, on the `database`, and on the `routines` in mysql.proc."""
    found: dict[str, set[str]] = {"server": set(), "database": set(), "routines": set()}
    for line in grants:
        match = _GRANT.match(line)
        if match is None:
            continue
        words = {word.strip() for word in match["what"].upper().split(",")}
        where, table = (part.strip("`").replace("``", "`") for part in (match["database"], match["table"]))
        if (match["database"], match["table"]) == ("*", "*"):
            found["server"] |= words
        elif match["table"] == "*" and _like(where).fullmatch(database):
            found["database"] |= words
        if where == "mysql" and table in ("*", "proc"):
            found["routines"] |= words
    return {place: frozenset(words) for place, words in found.items()}


def _like(pattern: str) -> re.Pattern[str]:
    parts = re.findall(r"\\.|%|_|[^\\%_]+|\\", pattern, re.DOTALL)
    return re.compile(
        "".join({"%": ".*", "_": "."}.get(part, re.escape(part.removeprefix("\\") or part)) for part in parts),
        re.DOTALL,
    )


def check_privileges(grants: Iterable[str], database: str) -> None:
    """Raises BackupError for an account that would not see, or could not read, everything that a backup is of."""
    held = privileges(grants, database)
    everywhere, here = held["server"], held["server"] | held["database"]
    if "ALL PRIVILEGES" in here:
        return
    missing = [name for name in NEEDED if name not in here]
    if missing:
        raise BackupError(
            f"the account lacks {', '.join(missing)} on all of the database {database}",
            hint=f"GRANT {', '.join(NEEDED)} ON `{database}`.* TO the account",
        )
    if not (here & _ROUTINES or "SELECT" in everywhere or held["routines"] & {"SELECT", "ALL PRIVILEGES"}):
        raise BackupError(
            f"the account cannot see whether the database {database} has procedures and functions",
            hint=f"GRANT SELECT ON mysql.proc TO the account; on MySQL GRANT SHOW_ROUTINE ON *.*; else EXECUTE ON `{database}`.*",
        )
