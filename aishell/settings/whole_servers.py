"""Targets that are whole servers: how the target of a database is called, which are chosen, and where their URLs lead.

The target of a database is named `SERVER/DATABASE`. What is neither a letter nor a digit nor one of `_-.$` is written as in a
URL, so the name is one word in any shell, glob, path and report, and two databases never share one.
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
#: What SQLite keeps beside a database's file is none.
_BESIDE = ("-wal", "-shm", "-journal")


def name_of(server: str, database: str) -> str:
    """The name of a database's target."""
    words = (one if one.isalnum() or one in _PLAIN else quote(one, safe="") for one in database)
    return f"{server}/{''.join(words)}"


def database_in(server: str, target: str) -> str | None:
    """The database that a target's name is of; None for a name that no database of the server has."""
    database = unquote(target.removeprefix(f"{server}/"))
    return database if name_of(server, database) == target else None


def wanted(globs: Collection[str], database: str) -> bool:
    """Whether the globs of a server choose a database: one of them fits, or none says what is in, and no `!glob` fits."""
    out = [glob[1:] for glob in globs if glob.startswith("!")]
    inside = [glob for glob in globs if not glob.startswith("!")] or ["*"]
    return any(fnmatchcase(database, glob) for glob in inside) and not any(fnmatchcase(database, glob) for glob in out)


def in_database(url: str, database: str) -> str:
    """A URL that leads to another database of the same server; of a folder, to a file in it."""
    if url.startswith("sqlite:"):
        return f"{url.rstrip('/')}/{database}"
    found = re.fullmatch(r"([^/]+://[^/?]*)(?:/[^?]*)?(\?.*)?", url, re.DOTALL)
    assert found is not None  # noqa: S101  it was read when the file was
    return f"{found[1]}/{quote(database, safe='')}{found[2] or ''}"


def named_in(url: URL) -> str:
    """The database of a URL, as its server calls it: of a file its name."""
    return (url.database or "").rpartition("/")[2] if profile(url.engine).is_file else url.database or ""


def reached(url: str) -> str:
    """The URL that is asked which databases there are: without a database PostgreSQL would take one named as the user."""
    known = read_url(url)
    default = profile(known.engine).default_database
    if default is not None and not known.database and "service" not in known.options:
        return in_database(url, default)
    return url


def files_in(url: URL) -> list[str]:
    """The files of a folder of SQLite databases. Raises UsageError where it cannot be read."""
    folder = Path(url.database or "")
    try:
        found = [path.name for path in folder.iterdir() if path.is_file()]
    except OSError as error:
        raise UsageError(f"the folder {folder} cannot be read: {error.strerror}") from error
    return sorted(name for name in found if not name.startswith(".") and not name.endswith(_BESIDE))
