"""A password that a program prints: started without a shell, in time, one line, and silent about all else."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from aishell.databases.passwords import told
from aishell.errors import DatabaseError
from aishell.settings.targets import Target


def python(script: str, *arguments: str) -> list[str]:
    return [sys.executable, "-I", "-c", script, *arguments]


@pytest.mark.parametrize("password", ["x", " two words ", "p@ss:w/o?rd#%", "größe 🐘", "$HOME `id`", "\t"])
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_what_it_prints_is_the_password(password, end):
    script = "import sys; sys.stdout.buffer.write((sys.argv[1] + sys.argv[2]).encode())"
    assert told(python(script, password, end)) == password


def test_it_has_our_environment_without_the_passwords_of_databases(monkeypatch):
    for name in ("VAULT_ADDR", "PGPASSWORD", "MYSQL_PWD"):
        monkeypatch.setenv(name, "here")
    assert told(python("import os; print(*sorted(n for n, v in os.environ.items() if v == 'here'))")) == "VAULT_ADDR"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["/nowhere/at/all", "geheim"], "cannot be started: No such file or directory"),
        (["/etc/passwd", "geheim"], "cannot be started: Permission denied"),
        (["nul\0", "geheim"], "cannot be started"),
        (python("import sys; print('geheim'); print('geheim', file=sys.stderr); sys.exit(3)"), "ended with 3"),
        (python("pass", "geheim"), "did not print one line"),
        (python("print('geheim'); print('geheim')"), "did not print one line"),
        (python("print('geheim' * 100_000)"), "did not print one line"),
        (python("print('geheim', end='\\0')"), "did not print one line"),
        (python("import sys; sys.stdout.buffer.write(b'geheim\\xff')"), "not UTF-8"),
    ],
)
def test_what_goes_wrong_is_told_without_arguments_and_output(command, said, capfd):
    with pytest.raises(DatabaseError, match=said) as caught:
        told(command)
    assert caught.value.kind == "connect"
    assert "geheim" not in f"{caught.value.message} {caught.value.hint} {''.join(capfd.readouterr())}"


def test_it_is_ended_when_it_takes_too_long_with_all_that_it_started(tmp_path: Path):
    started = tmp_path / "started"
    sleep = "subprocess.{}(['sleep', '60'])"
    script = f"import subprocess; {sleep.format('Popen')}; open({str(started)!r}, 'w'); {sleep.format('run')}"
    began = time.monotonic()
    with pytest.raises(DatabaseError, match="did not end within 2 s"):
        told(python(script), patience=2)
    assert started.exists()
    assert time.monotonic() - began < 50


def test_a_target_asks_it_each_time(tmp_path: Path):
    script = tmp_path / "tell"
    script.write_text(f"#!/bin/sh\necho >> {tmp_path}/calls\nwc -l < {tmp_path}/calls\n")
    script.chmod(0o700)
    target = Target("shop", "postgresql://h/d", password_command=(str(script),))
    assert [target.password(), target.password()] == ["1", "2"]
    assert target.without_password().password() is None
