"""Connections of PostgreSQL's client programs, with the password in a file in memory, and the choice of the programs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aishell.backups.create.making import Work
from aishell.clients.clients import secret
from aishell.databases.connections import CONNECT_TIMEOUT, Credentials
from aishell.databases.libpq import keywords
from aishell.registry.programs import environment

#: Where distributions install the programs of a version; `/usr/bin` has wrappers that choose one, for some programs.
_PLACES = ("/usr/lib/postgresql/{}/bin", "/usr/pgsql-{}/bin")
#: The newest version searched for.
_NEWEST = 30


@contextmanager
def connection(credentials: Credentials) -> Iterator[tuple[str, list[int]]]:
    """The connection string for `--dbname`, without a password, and the descriptors that a program must inherit."""
    password = credentials.password() or os.environ.get("PGPASSWORD")  # which aishell's own connections use too
    if not password:
        yield conninfo(credentials), []
        return
    with secret(password_line(password)) as (path, descriptor):
        yield conninfo(credentials, passfile=path), [descriptor]


def conninfo(credentials: Credentials, **more: str) -> str:
    """A target as `key='value'` words, without the password."""
    usual = {"connect_timeout": str(CONNECT_TIMEOUT), "application_name": "aishell"}
    words = {**usual, **keywords(credentials.url), **more}
    return " ".join(f"{key}={quoted(value)}" for key, value in words.items())


def quoted(value: str) -> str:
    """A value of a connection string. https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING"""
    escaped = re.sub(r"([\\'])", r"\\\1", value)
    return f"'{escaped}'"


def password_line(password: str) -> str:
    """The line of a password file, for any connection."""
    escaped = re.sub(r"([\\:])", r"\\\1", password)
    return f"*:*:*:*:{escaped}\n"


def use_programs(work: Work, program: str, major: int, *, exactly: bool = False) -> None:
    """Let `work` run the programs of PostgreSQL version `major`, else of the next newer one.

    `exactly`: not of a newer one, for programs that read a server's own files. If `programs:` is set, only that folder is used.
    Raises NotAtHandError, naming what was found, where none fits.
    """
    needed, programs = f"{major}" if exactly else f"{major} or newer", work.backup_store.programs
    work.clients.choose(
        program,
        program_folders(major) if programs is None else [programs],
        lambda found: found[0] == major or (found[0] > major and not exactly),
        f"the server is PostgreSQL {major}, and {work.tool.programs[program][0]} {needed}",
        f"install the programs of PostgreSQL {major}, or set `programs:` in config/aishell.yaml to their folder",
    )


def program_folders(major: int) -> list[Path | None]:
    """The folders to search for programs, those of this version first; None stands for the search path."""
    known: list[Path | None] = [Path(place.format(major)) for place in _PLACES]
    config = shutil.which("pg_config")
    if config is not None:
        words = [config, "--bindir"]
        ended = subprocess.run(words, capture_output=True, text=True, check=False, env=environment(os.environ))
        known += [Path(ended.stdout.strip())] if ended.stdout.strip() else []
    newer = [Path(place.format(number)) for number in range(major + 1, _NEWEST) for place in _PLACES]
    return [*known, *newer, None]
