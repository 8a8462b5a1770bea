"""Check a target for `aishell doctor` and `aishell targets test`: connection, server, privileges. Reads only."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from aishell.databases.base import SessionOptions, Statement
from aishell.databases.remedies import remedy
from aishell.databases.tls import Encryption
from aishell.engines import profile
from aishell.errors import AishellError, DatabaseError
from aishell.execution.target_context import INSPECTION, PRIVILEGES, Job
from aishell.models import OK, PROBLEM, Finding, Server
from aishell.registry.programs import environment
from aishell.reporting.diagnosis import TargetFacts, failed, judge

#: A limit that no server has by default: reading it back shows whether limits reach the server. Seconds.
_LIMIT = 7.0
_PLACE = """SELECT pg_backend_pid() AS pid, s.setting::int AS milliseconds FROM pg_settings AS s WHERE s.name = 'lock_timeout'"""
#: SQLSTATEs for a prepared statement that already exists or is missing: a server connection is shared with others.
_MIXED_UP = ("42P05", "26000")
#: The hint if the table of remedies has none.
_UNREACHED = "check the host, the port, the firewall, and that the server is running"
_POOLER = "give aishell a URL that leads to the server itself; the application can keep its pooler"
#: Messages only of PgBouncer: it rejects startup options before authentication, and queues clients for a pool.
_PGBOUNCER = ("unsupported startup parameter", "query_wait_timeout")
#: The most seconds for a program to print its version.
PATIENCE = 2.0


@dataclass(frozen=True)
class Contact:
    """A target that answered. Times in seconds."""

    server: Server
    connect: float
    round_trip: float
    encryption: Encryption | None = None  # None if no traffic crosses a network


def contact(job: Job) -> Contact:
    """Connect, run a trivial statement, and inspect the server. Raises DatabaseError."""
    started = time.monotonic()
    with job.database.session(INSPECTION) as session:
        connected = time.monotonic()
        session.execute(Statement("SELECT 1 AS one", {}, "SELECT 1"))
        answered = time.monotonic()
        encryption = session.encryption
    return Contact(job.refresh(), connected - started, answered - connected, encryption)


def examine(job: Job, programs: Path | None = None) -> Iterator[Finding]:
    """Yield every finding on a target. `programs`: the configured folder of client programs, if any."""
    try:
        if profile(job.database.engine).may_be_pooled:
            pooled = pooler(job)
            if pooled is not None:
                yield pooled  # any other finding would be about the pooler
                return
        yield from judge(_facts(job, contact(job), programs))
    except DatabaseError as error:
        yield unreachable(job, error)
    except AishellError as error:
        yield failed("target", error)


def inspector(job: Job) -> Finding:
    """Return whether the role of `inspection_url` can connect and inspect."""
    try:
        server = contact(job).server
    except DatabaseError as error:
        return replace(unreachable(job, error), subject="inspector")
    as_whom = f"connected as {server.user or 'nobody in particular'}"
    return Finding(OK, "inspector", f"{job.database.credentials.display}: {as_whom}")


def unreachable(job: Job, error: DatabaseError) -> Finding:
    """Return why a target does not answer, with a remedy for this kind of failure."""
    place = job.database.credentials
    text = f"{place.display}: {error.message}"
    if any(words in error.message for words in _PGBOUNCER):
        return Finding(PROBLEM, "pooler", f"{text}: this is PgBouncer, not the server", _POOLER)
    return Finding(PROBLEM, "connection", text, error.hint or remedy(error, place.url.user) or _UNREACHED)


def pooler(job: Job) -> Finding | None:
    """Return a finding if the target is a pooler that pools by transaction or drops the session's limits.

    Two open sessions in one server process share it in turns, so session locks and settings do not hold.
    """
    options = SessionOptions(read_only=True, lock_timeout=_LIMIT, statement_timeout=10)
    question = Statement(_PLACE, {}, _PLACE)
    try:
        with job.database.session(options) as one, job.database.session(options) as other:
            first, second = (session.execute(question).rows[0] for session in (one, other))
    except DatabaseError as error:
        if error.code not in _MIXED_UP:
            raise
        why = "server connections change between statements (a pool in transaction mode)"
    else:
        if first["pid"] == second["pid"]:
            why = "two sessions share one server process (a pool in transaction mode): session locks and limits do not hold"
        elif first["milliseconds"] != _LIMIT * 1000:
            why = "a pooler drops startup options: lock and statement timeouts do not reach the server"
        else:
            return None
    return Finding(PROBLEM, "pooler", why, _POOLER)


def _facts(job: Job, met: Contact, programs: Path | None) -> TargetFacts:
    free, seen = job.free_disk()
    return TargetFacts(
        server=met.server,
        display=job.database.credentials.display,
        connect=met.connect,
        round_trip=met.round_trip,
        encryption=met.encryption,
        local=job.database.credentials.url.local,
        access=job.read(PRIVILEGES) if job.registry.has(PRIVILEGES, met.server) else None,
        free_disk=free,
        disk_seen=seen,
        writable=job.writable,
        programs={
            name: found_program(name, met.server, programs)
            for names in profile(met.server.engine).programs
            for name in names
        },
    )


def found_program(name: str, server: Server, folder: Path | None) -> str | None:
    """Return the version of the client program that a backup would use; None if it is missing or does not answer.

    Several versions of PostgreSQL may be installed: the server's own comes first, then a newer one, then the path's.
    """
    places: list[Path | None] = [folder]
    if folder is None and profile(server.engine).programs_by_version:
        from aishell.backups.postgresql.libpq import program_folders

        places = program_folders(server.version[0])
    return next((output for place in places if (output := _version_of(name, place)) is not None), None)


def _version_of(name: str, folder: Path | None) -> str | None:
    path = shutil.which(name, path=None if folder is None else str(folder))
    if path is None:
        return None
    try:
        output = subprocess.run(
            [path, "--version"],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            env=environment(os.environ),
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"\d+(\.\d+)+", output.stdout.split("istrib")[-1])  # mariadb: "Ver 15.1 Distrib 10.11.6-MariaDB"
    return found[0] if found else None
