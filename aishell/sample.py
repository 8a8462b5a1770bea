"""Make the sample database: a small SQLite shop with real bloat, stale statistics and old log rows.

`python -m aishell.sample PATH`; the SQL is config/sample.sql.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from aishell.cli.streams import say
from aishell.errors import UsageError
from aishell.locations import built_in

_APPLICATION_ID = re.compile(r"^PRAGMA application_id = (\d+)", re.MULTILINE)
#: The application id of earlier samples. State stores have it too, but with a version.
_ONCE = 1634300776
_BESIDE = ("-journal", "-wal", "-shm")


def make(path: Path) -> None:
    """Make a fresh sample database at `path`, replacing an earlier sample. An interrupted run leaves `path` unchanged.

    Raises UsageError if anything other than an earlier sample exists there, or if the path cannot be written.
    """
    script = (built_in("config") / "sample.sql").read_text(encoding="utf-8")
    _check_replaceable(path, script)
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        _remove(new)
        with closing(_connect(new, "rwc")) as connection:
            # Nothing can be lost before the file has its final name: no journal, no fsync.
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("PRAGMA cache_size = -65536")
            connection.executescript(script)
        for ending in _BESIDE:  # an earlier sample's log must not be replayed into the new file
            path.with_name(path.name + ending).unlink(missing_ok=True)
        new.replace(path)
    except (OSError, sqlite3.Error) as error:
        raise UsageError(f"the sample database cannot be made at {path}: {error}") from error
    finally:
        _remove(new)


def _check_replaceable(path: Path, script: str) -> None:
    if not os.path.lexists(path):
        if not path.parent.is_dir():
            raise UsageError(f"there is no folder {path.parent}")
        return
    identifier = _APPLICATION_ID.search(script)
    if not path.is_file() or identifier is None or _marks(path) not in ((int(identifier[1]), 0), (_ONCE, 0)):
        raise UsageError(
            f"{path} already exists and was not made by aishell.sample: it is left alone", hint="choose another path"
        )


def _marks(path: Path) -> tuple[int, int] | None:
    """Return the application id and version in the file's header, None if it is not a readable database."""
    try:
        with closing(_connect(path, "ro")) as connection:
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            return int(application), int(version)
    except sqlite3.Error:
        return None


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode={mode}", uri=True, isolation_level=None)


def _remove(path: Path) -> None:
    for ending in ("", *_BESIDE):
        with contextlib.suppress(OSError):
            path.with_name(path.name + ending).unlink()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0 if the sample was made, else 2."""
    parser = argparse.ArgumentParser(
        prog="python -m aishell.sample", description="Make a sample SQLite database that needs maintenance."
    )
    parser.add_argument("path", type=Path, metavar="PATH", help="the file to make; an earlier sample is replaced")
    path: Path = parser.parse_args(arguments).path
    try:
        make(path)
    except UsageError as error:
        say(f"error: {error.message}" + (f" ({error.hint})" if error.hint else ""), err=True)
        return error.exit_code
    say(f"made {path} ({path.stat().st_size / 1e6:.0f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
