"""How MariaDB's and MySQL's client programs reach the target: an option file in memory, and what the account may do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from aishell.backups.clients import secret
from aishell.backups.making import Work
from aishell.databases.connections import Credentials
from aishell.databases.mysql_login import Login
from aishell.databases.tls import VERIFIES
from aishell.errors import BackupError

#: What a dump of everything takes. Without TRIGGER a dump has no triggers, and says nothing.
NEEDED = ("SELECT", "SHOW VIEW", "TRIGGER", "EVENT")
#: With one of these on the database an account sees its routines, and with none of them there seem to be none.
_ROUTINES = frozenset({"EXECUTE", "CREATE ROUTINE", "ALTER ROUTINE", "SHOW CREATE ROUTINE", "SHOW_ROUTINE"})
_GRANT = re.compile(
    r"^GRANT (?P<what>.+?) ON (?:TABLE )?(?P<database>\*|`(?:[^`]|``)*`)\.(?P<table>\*|`(?:[^`]|``)*`) TO ", re.DOTALL
)


@contextmanager
def login(work: Work) -> Iterator[tuple[str, int]]:
    """The option file that the programs are given, by its path, and the descriptor that they inherit."""
    encrypted = any(row["Value"] for row in work.query("encryption"))
    with secret(client_file(work.context.database.credentials, work.context.database.product, encrypted)) as made:
        yield made


def client_file(credentials: Credentials, product: str, encrypted: bool) -> str:
    """The same way to the server that aishell's own connections take. No other option file is read beside it.

    `encrypted`: whether those use TLS, which the mode PREFERRED leaves to the server.
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
        lines.append("password=")  # else MYSQL_PWD would be taken, or asked for
    return "\n".join([*lines, *_tls(login, product, encrypted)]) + "\n"


def _tls(login: Login, product: str, encrypted: bool) -> list[str]:
    """TLS as the programs spell it. MariaDB's know no mode that verifies the certificate without the host's name."""
    mode = login.mode if login.mode != "PREFERRED" else "REQUIRED" if encrypted else "DISABLED"
    if product == "mysql":
        return [f"ssl-mode={mode}"]
    if mode == "DISABLED":
        return ["skip-ssl"]
    return ["ssl", "ssl-verify-server-cert" if mode in VERIFIES else "skip-ssl-verify-server-cert"]


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
