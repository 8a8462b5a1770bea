"""The unit that is shipped: systemd reads it, and it says what the daemon rests on."""

import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "contrib/systemd/aishell@.service"


def test_systemd_reads_the_unit(tmp_path: Path):
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/aishell/bin/aishell", "/bin/true").replace("=aishell\n", "=root\n"))
    ended = subprocess.run([program, "verify", str(copy)], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert UNIT.name not in ended.stderr, ended.stderr


def test_the_unit_leaves_runs_alone_and_each_site_its_folder():
    lines = UNIT.read_text().splitlines()
    assert {"KillMode=process", "RuntimeDirectory=aishell/%i", "RestartPreventExitStatus=2 6"} <= set(lines)
    assert not [line for line in lines if line.startswith(("PrivateTmp=", "PrivateUsers=", "ProtectProc="))]
