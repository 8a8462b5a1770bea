"""What every test can use: the servers' fixtures, and names made to break bad quoting."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path

import hypothesis
import pytest

# A shell starts what it puts into the background with Ctrl-C ignored, and children inherit that: some tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

#: Where files in memory are. Servers and state stores wait for the disk in most of their time, and no test needs one.
MEMORY = Path("/dev/shm")
ROOM = 6 * 2**30


def _memory_serves() -> bool:
    """Whether there is room, and programs that tests write may be run."""
    may = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC
    return may and shutil.disk_usage(MEMORY).free >= ROOM


if "TMPDIR" not in os.environ and _memory_serves():
    os.environ["TMPDIR"] = str(MEMORY)
    tempfile.tempdir = None  # asked anew

# A busy machine is not a failure: no test fails on a time. Every run draws the same: a change fails for what it did itself.
# --hypothesis-profile=explore draws anew.
hypothesis.settings.register_profile("aishell", deadline=None, derandomize=True)
hypothesis.settings.register_profile("explore", deadline=None, print_blob=True, max_examples=2000)
hypothesis.settings.load_profile("aishell")

pytest_plugins = (
    "aishell.testing",
    "tests.fix_postgresql",
    "tests.fix_mysql",
    "tests.fix_tls",
    "tests.fix_sqlite",
    "tests.fix_tools",
    "tests.fix_aishell",
    "tests.fix_notified",
    "tests.fix_ollama",
    "tests.fix_versions",
    "tests.logs",
    "tests.fix_tiers",
)


def pytest_report_header() -> str:
    return f"temporary files: {tempfile.gettempdir()}"


HOSTILE_NAMES = (
    'we"ird`x %s :y; -- 50% \\',
    "MiXed.Case",
    "two words",
    "new\nline",
    "%s",
    ":x",
    "emoji 🐘",
    "select",
    "x" * 63,
    "quote'single",
    '"double"',
)


# MariaDB's identifiers hold no character beyond U+FFFF.
HOSTILE_NAMES_MYSQL = tuple(name.replace("🐘", "象") for name in HOSTILE_NAMES)


@pytest.fixture
def hostile() -> tuple[str, ...]:
    """Names of tables, columns and indexes that only correct quoting survives."""
    return HOSTILE_NAMES


@pytest.fixture
def hostile_mysql() -> tuple[str, ...]:
    return HOSTILE_NAMES_MYSQL
