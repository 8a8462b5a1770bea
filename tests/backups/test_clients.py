"""Client programs: watched to their end, ended with the run, their secrets seen by nobody, their words kept."""

from __future__ import annotations

import ast
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aishell.clients.clients import PROCESS, TAIL_BYTES, WORK, Clients, end_leftover, secret
from aishell.databases.base import SessionOptions
from aishell.databases.connections import parse_url
from aishell.databases.opening import open_database
from aishell.errors import BackupError, DatabaseError, NotAtHandError
from aishell.registry.header import read_tool
from aishell.registry.programs import CLIENTS, environment
from aishell.running.context import Context
from tests.fix_sqlite import SqliteDatabase
from tests.servers import HANG

TOOL = """
name: try_programs
category: backup
risk: low
capabilities: [backup_create]
runs: program
implementation: aishell.backups.sqlite.copy:full
programs:
  dump: [pg_dump, ':words']
  twice: [pg_dump, '--one=:one', '--two=:two']
returns: {bytes: {type: integer}}
examples: [{params: {}}]
description: For tests.
"""
PASSWORD = "s3cret word"
PACKAGE = Path(__file__).parents[2] / "aishell"


@pytest.fixture
def clients(sqlite: SqliteDatabase, tmp_path: Path) -> Iterator[Callable[[str], Clients]]:
    """`clients(script)`: programs of a tool, of which `pg_dump` is this shell script."""
    tool = read_tool(TOOL, "common/try_programs.yaml", "common")
    credentials = parse_url(sqlite.url, password=PASSWORD)
    database = open_database(credentials)
    programs, work = tmp_path / "bin", tmp_path / "work"
    programs.mkdir()
    work.mkdir()

    def made(script: str) -> Clients:
        program = programs / "pg_dump"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return Clients(tool, Context(database, "test", SessionOptions()), work, bin_folder=programs)

    yield made
    database.close()


def test_a_program_that_others_end_says_nothing_of_what_it_read(clients: Callable[[str], Clients]) -> None:
    """As the kernel does when memory runs out; one that fails by itself does."""
    for signal in ("KILL", "TERM"):
        with pytest.raises(NotAtHandError, match="pg_dump ended with -"):
            clients(f"kill -{signal} $$").run("dump", {"words": []})
    with pytest.raises(BackupError, match="pg_dump ended with 3") as failed:
        clients("exit 3").run("dump", {"words": []})
    assert not isinstance(failed.value, NotAtHandError)


def test_arguments_arrive_as_they_are(clients):
    run = clients('for word; do echo "<$word>"; done')
    said = run.run("dump", {"words": ["a b", "$HOME `id`", "--x=;"]})
    assert said.splitlines() == ["<a b>", "<$HOME `id`>", "<--x=;>"]


def test_a_program_that_fails_tells_why(clients):
    with pytest.raises(BackupError, match=r"pg_dump ended with 3: disk on fire"):
        clients("echo disk on fire >&2; exit 3").run("dump", {"words": []})


def test_a_program_that_is_not_there_is_named(clients, tmp_path):
    run = clients("true")
    run.bin_folder = tmp_path
    with pytest.raises(BackupError, match="pg_dump is not installed here"):
        run.run("dump", {"words": []})


def test_what_it_said_is_kept_in_a_file_and_its_end_for_people(clients):
    run = clients("i=0; while [ $i -lt 4000 ]; do echo line $i; i=$((i+1)); done")
    said = run.run("dump", {"words": []})
    assert len(said) <= TAIL_BYTES
    assert said.endswith("line 3999\n")
    assert (run.work / "dump.log").read_text().startswith("line 0\n")


def test_what_it_said_is_kept_as_it_said_it(clients):
    """No program is told the password in words or variables, so none can say it; and one letter of it is in every text."""
    run = clients("tr '\\0' ' ' < /proc/$$/cmdline; tr '\\0' ' ' < /proc/$$/environ; echo done")
    said = run.run("dump", {"words": ["one"]})
    assert PASSWORD not in said
    assert said.endswith("done\n")


def test_input_and_output_go_through_us(clients):
    taken: list[bytes] = []
    size = 5 << 20

    def feed(pipe):
        pipe.write(b"x" * size)

    clients("cat").run(
        "dump", {"words": []}, feed=feed, drain=lambda pipe: taken.extend(iter(lambda: pipe.read(65536), b""))
    )
    assert sum(map(len, taken)) == size


def test_what_goes_wrong_with_its_output_ends_it(clients):
    def drain(pipe):
        raise BackupError("the disk is full")

    began = time.monotonic()
    with pytest.raises(BackupError, match="the disk is full"):
        clients("sleep 60; echo late").run("dump", {"words": []}, drain=drain)
    assert time.monotonic() - began < 15


def test_a_program_ends_with_the_run(clients):
    run = clients("trap '' INT; sleep 60 & wait")
    cancelled = threading.Event()
    run.context.cancelled = cancelled.is_set
    threading.Timer(0.3, cancelled.set).start()
    began = time.monotonic()
    with pytest.raises(DatabaseError) as caught:
        run.run("dump", {"words": []})
    assert caught.value.kind == "cancelled"
    assert time.monotonic() - began < 15
    assert not (run.work / PROCESS).exists()


def test_what_a_killed_process_left_running_is_ended(clients, tmp_path):
    run = clients(f"sleep 60 & echo $! > {tmp_path}/child; wait")

    def ended():
        with pytest.raises(BackupError, match="ended with -9"):
            run.run("dump", {"words": []})

    thread = threading.Thread(target=ended)
    thread.start()
    deadline = time.monotonic() + 10
    while not (tmp_path / "child").exists() or not (run.work / PROCESS).exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    end_leftover(run.work)
    thread.join(HANG)
    assert not thread.is_alive()


def test_a_number_that_belongs_to_another_process_by_now_is_left_alone(tmp_path):
    (tmp_path / PROCESS).write_text(f'{{"pid": {os.getpid()}, "started": "1"}}')
    end_leftover(tmp_path)  # this process goes on


def test_a_secret_is_read_by_the_child_and_lies_on_no_disk(clients):
    with secret("top: secret\n") as (path, descriptor):
        assert stat.S_IMODE(os.fstat(descriptor).st_mode) == 0o600
        said = clients(f'cat "{path}"; stat -L -c %a "{path}"').run("dump", {"words": []}, secrets=[descriptor])
    assert said == "top: secret\n600\n"
    assert not [line for line in clients("true").ran if "secret" in line]


#: What a shell with several targets' passwords has; `dump` is `pg_dump`, of a target with a password of its own.
CROWDED = {
    "PGPASSWORD": "of another target", "MYSQL_PWD": "of a third", "CRM_PASSWORD": "in its password_env",
    "CRM_URL": "mysql://a:b@c/d", "AWS_SECRET_ACCESS_KEY": "of a bucket", "PGBACKREST_REPO1_CIPHER_PASS": "of a repository",
    "LD_PRELOAD": "", "PGSSLROOTCERT": "/etc/ca.pem",
}  # fmt: skip


def test_a_program_sees_nothing_of_our_environment_that_it_does_not_need(clients, monkeypatch):
    for name, value in CROWDED.items():
        monkeypatch.setenv(name, value)
    run = clients("env | cut -d= -f1")
    seen = set(run.run("dump", {"words": []}).split())
    assert seen & CROWDED.keys() == {"PGSSLROOTCERT"}  # as psycopg takes it
    ours = """PATH HOME USER LOGNAME TMPDIR TZ LC_ALL LD_LIBRARY_PATH DYLD_LIBRARY_PATH SSL_CERT_FILE SSL_CERT_DIR
    KRB5CCNAME KRB5_CONFIG KRB5_CLIENT_KTNAME PGSSLROOTCERT""".split()
    assert seen <= {*ours, WORK, "PWD", "SHLVL", "OLDPWD", "_"}  # the last are the shell's own
    asked = set(clients("env | cut -d= -f1").banner("dump").split())
    assert asked & CROWDED.keys() == set()
    assert "PATH" in asked


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("password", [True, False])
def test_only_its_own_secrets_reach_a_program(client, password):
    """PostgreSQL's programs take PGPASSWORD where psycopg does: where the target has no password of its own."""
    seen = environment(CROWDED, client, password=password).keys() & CROWDED.keys()
    secrets = {"PGBACKREST_REPO1_CIPHER_PASS"} if client == "pgbackrest" else set()
    libpq = client.startswith(("pg", "psql"))
    assert seen - {"PGSSLROOTCERT"} == secrets | ({"PGPASSWORD"} if libpq and not password else set())
    assert ("PGSSLROOTCERT" in seen) == libpq


def test_no_program_is_started_with_the_whole_environment():
    """Every place in the package that starts one says what it is given; the test kit starts aishell itself."""
    started = []
    for path in PACKAGE.rglob("*.py"):
        if path.parent.name == "testing":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            if called.startswith(
                ("subprocess.", "os.exec", "os.spawn", "os.posix_spawn", "os.system", "os.popen", "asyncio.")
            ):
                started.append(f"{path.name}:{node.lineno}")
                given = {word.arg: ast.unparse(word.value) for word in node.keywords}
                if ast.unparse(node.args[0]) in ("ourselves", "_COMMAND"):
                    continue  # aishell itself, which takes passwords and URLs from its environment
                assert "environment(" in given.get("env", ""), f"{path}:{node.lineno} passes on the whole environment"
    assert len(started) >= 4


def test_without_a_value_nothing_is_started(clients):
    run = clients("true")
    assert run.run("twice", {"one": 1, "two": None}) == ""
    assert run.ran[-1].endswith("pg_dump --one=1")


def test_a_program_without_a_note_is_ended_with_what_it_started(tmp_path):
    """As when we were killed between its start and the note."""
    started = [sys.executable, "-c", "import subprocess; subprocess.run(['sleep', '60'])"]
    ours, other = (
        subprocess.Popen(started, env={**os.environ, WORK: str(folder)}) for folder in (tmp_path, tmp_path / "other")
    )
    try:
        end_leftover(tmp_path)
        assert ours.wait(HANG) == -9
        assert other.poll() is None
        end_leftover(tmp_path / "other")
        assert other.wait(HANG) == -9
    finally:
        for process in (ours, other):
            process.kill()
            process.wait()
