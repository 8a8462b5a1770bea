"""Targets that are whole servers: the names of their databases' targets, which databases are chosen, and their URLs.

A database's target is named `SERVER/DATABASE`. Characters other than letters, digits and `_-.$` are percent-encoded.
So the name is one word in any shell, glob, path and report, and no two databases share one.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import quote, unquote

from aishell.databases.urls import URL, read_url
from aishell.engines import profile
from aishell.errors import UsageError

_PLAIN = "_-.$"
#: Files that SQLite keeps beside a database; they are not databases.
_BESIDE = ("-wal", "-shm", "-journal")


def name_of(server: str, database: str) -> str:
    """Return the name of a database's target."""
    words = (one if one.isalnum() or one in _PLAIN else quote(one, safe="") for one in database)
    return f"{server}/{''.join(words)}"


def database_in(server: str, target: str) -> str | None:
    """Return the database of a target's name, None if no database of the server has that name."""
    database = unquote(target.removeprefix(f"{server}/"))
    return database if name_of(server, database) == target else None


def wanted(globs: Collection[str], database: str) -> bool:
    """Whether the globs of a server choose a database: one matches, or all begin with `!`; and no `!glob` matches."""
    out = [glob[1:] for glob in globs if glob.startswith("!")]
    inside = [glob for glob in globs if not glob.startswith("!")] or ["*"]
    return any(fnmatchcase(database, glob) for glob in inside) and not any(fnmatchcase(database, glob) for glob in out)


def in_database(url: str, database: str) -> str:
    """Return a URL for another database of the same server or, for a folder, a file in it."""
    if url.startswith("sqlite:"):
        return f"{url.rstrip('/')}/{database}"
    found = re.fullmatch(r"([^/]+://[^/?]*)(?:/[^?]*)?(\?.*)?", url, re.DOTALL)
    assert found is not None  # noqa: S101  it was read when the file was
    return f"{found[1]}/{quote(database, safe='')}{found[2] or ''}"


def named_in(url: URL) -> str:
    """Return the database in a URL as its server names it; for a file, the file's name."""
    return (url.database or "").rpartition("/")[2] if profile(url.engine).is_file else url.database or ""


def reached(url: str) -> str:
    """Return the URL for listing databases. Without a database, PostgreSQL would use the one named like the user."""
    known = read_url(url)
    default = profile(known.engine).default_database
    if default is not None and not known.database and "service" not in known.options:
        return in_database(url, default)
    return url


def files_in(url: URL) -> list[str]:
    """Return the names of the SQLite files in a folder, sorted. Raises UsageError if it cannot be read."""
    folder = Path(url.database or "")
    try:
        found = [path.name for path in folder.iterdir() if path.is_file()]
    except OSError as error:
        raise UsageError(f"the folder {folder} cannot be read: {error.strerror}") from error
    return sorted(name for name in found if not name.startswith(".") and not name.endswith(_BESIDE))
