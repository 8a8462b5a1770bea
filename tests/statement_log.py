"""What aishell sent, read from the server's own statement log."""

from __future__ import annotations

import re
from typing import Any

#: `log_line_prefix` of tests/postgresql.py, then one of the two ways by which a statement is logged.
_POSTGRESQL = re.compile(
    r"^\S+ \S+ \S+ \[\d+\] \w+@(?P<db>\S+) (?P<name>aishell.*?): LOG:  (?:statement|execute [^:]*): ", re.MULTILINE
)
_ENTRY = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \w+ \[\d+\] ", re.MULTILINE)
_MARIADB = re.compile(
    r"^(?:\d{6} [ \d]\d:\d\d:\d\d)?\t+ *(?P<id>\d+) (?P<what>Connect|Query|Quit|Init DB|Execute|Prepare)\t?", re.M
)
#: What PyMySQL says by itself when it connects.
_GREETING = "SET NAMES utf8mb4"


class StatementLog:
    """The statements of one server that were logged since this was made."""

    def __init__(self, db: Any) -> None:
        self.db = db
        self.start = db.server.log_file.stat().st_size

    def statements(self) -> list[str]:
        """What aishell sent to this database, in order, as it was sent."""
        with self.db.server.log_file.open("rb") as file:
            file.seek(self.start)
            text = file.read().decode(errors="replace")
        return _of_postgresql(text, self.db.dbname) if "postgres" in self.db.url else _of_mariadb(text, self.db.dbname)

    def changing(self) -> list[str]:
        """The statements that are neither SELECT nor SHOW, nor an EXPLAIN that runs nothing, nor what holds those to reading."""
        return [sql for sql in self.statements() if not _reads(sql)]


def _of_postgresql(text: str, dbname: str) -> list[str]:
    ends = [match.start() for match in _ENTRY.finditer(text)] + [len(text)]
    found = []
    for match in _POSTGRESQL.finditer(text):
        if match["db"] == dbname:
            end = next(end for end in ends if end > match.start())
            found.append(text[match.end() : end].strip())
    return found


def _of_mariadb(text: str, dbname: str) -> list[str]:
    """Sessions are known by the comment that marks aishell's statements; on a database of the test's own, by its name."""
    entries = list(_MARIADB.finditer(text))
    ours: set[str] = set()
    found = []
    for match, following in zip(entries, [*entries[1:], None], strict=True):
        said = text[match.end() : following.start() if following else len(text)].strip()
        if match["what"] == "Connect" and f" on {dbname} " in said:
            ours.add(match["id"])
        elif match["id"] in ours and match["what"] in ("Query", "Execute") and said != _GREETING:
            found.append(said)
    return found


def _reads(sql: str) -> bool:
    bare = re.sub(r"/\*.*?\*/|--[^\n]*", " ", sql, flags=re.DOTALL).strip()
    words = re.sub(r"'(?:[^'\\]|''|\\.)*'", "''", bare).upper()
    if re.fullmatch(r"SAVEPOINT \w+|ROLLBACK TO SAVEPOINT \w+|SET LOCAL SEARCH_PATH = PG_CATALOG", words):
        return True  # how a column's name is looked up (registry/touched.py)
    if words in ("BEGIN READ ONLY", "SET SESSION TRANSACTION READ ONLY", "START TRANSACTION READ ONLY", "ROLLBACK"):
        return True
    if not re.match(r"(SELECT|SHOW|WITH|EXPLAIN\s+(\(FORMAT JSON\)\s+)?SELECT)\b", words):
        return False
    return not re.search(
        r"\b(INSERT\s+INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|MERGE\s+INTO|SELECT\b.*\bINTO\s+\w)", words
    )
