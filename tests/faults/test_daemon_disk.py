"""A real daemon whose disk is full, or read-only: it tells monitors, and outlives it. It opens no port that nobody asked for."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.commands.test_approvals_afar import free_port, get
from tests.commands.test_daemon import started
from tests.fix_aishell import Aishell, Running
from tests.servers import wait_until


@pytest.fixture
def disk(aishell: Aishell) -> Iterator[Path]:
    """A small disk for the state of the site."""
    place = aishell.state.parent
    words = ["mount", "-t", "tmpfs", "-o", "size=1500k,mode=700", "tmpfs", str(place)]
    mounted = subprocess.run(words, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"not run, nothing may be mounted here: {mounted.stderr.strip()}")
    yield place
    aishell.close()
    while place.is_mount():
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def asked(path: Path, address: str) -> tuple[int, Any]:
    """What a daemon answers at its socket."""
    connection = http.client.HTTPConnection("aishell")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(path))
    connection.request("GET", address)
    answer = connection.getresponse()
    found = answer.status, json.loads(answer.read())
    connection.close()
    return found


def listening(daemon: Running) -> list[tuple[str, int]]:
    """The TCP sockets on which a process listens: address in hexadecimal, as the kernel has it, and port."""
    pid = daemon.process.pid
    own = set()
    for one in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it opens and closes files meanwhile
            own.add(str(one.readlink()))
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            (
                _,
                local,
                _,
                state,
                *_,
            ) = line.split()
            if state == "0A" and f"socket:[{line.split()[9]}]" in own:
                host, _, port = local.rpartition(":")
                found.append((host, int(port, 16)))
    return found


@pytest.mark.parametrize("trouble", [pytest.param("full", marks=pytest.mark.thorough), "read-only"])
def test_a_daemon_that_cannot_write_is_not_ready_until_it_can(aishell: Aishell, disk: Path, trouble: str):
    aishell.configure("aishell.yaml", f"daemon: {{socket: {aishell.home}/d}}\n")
    daemon, path = started(aishell), aishell.home / "d"
    wait_until(lambda: asked(path, "/ready")[0] == 200, "it is ready")
    assert listening(daemon) == [], "no port that nobody asked for"
    if trouble == "full":
        (disk / "other").write_bytes(b"x" * (os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize))
    else:
        subprocess.run(["mount", "--bind", str(disk), str(disk)], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", str(disk)], check=True)
    code, found = asked(path, "/ready")
    assert (code, found["ready"]) == (503, False)
    assert any("state.db cannot be written" in problem for problem in found["problems"]), found
    assert asked(path, "/health") == (200, {"status": "alive"})
    if trouble == "full":
        (disk / "other").unlink()
    else:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
    wait_until(lambda: asked(path, "/ready")[0] == 200, "it is ready again")
    daemon.signal(signal.SIGTERM)
    daemon.wait().expect(0)


def test_every_address_is_listened_on_only_where_it_is_configured_and_asks_for_the_token(aishell: Aishell):
    (aishell.home / "token").write_text("s3cret\n")
    (aishell.home / "token").chmod(0o600)
    port = free_port()
    more = f"listen: '0.0.0.0:{port}', token_file: {aishell.home}/token"
    aishell.configure("aishell.yaml", f"daemon: {{socket: {aishell.home}/d, {more}}}\n")
    daemon = started(aishell)
    wait_until(lambda: asked(aishell.home / "d", "/health")[0] == 200, "it answers")
    assert listening(daemon) == [("00000000", port)]
    for address in ("/health", "/ready", "/metrics"):
        assert get(port, address)[0] == 401
        assert get(port, address, "another")[0] == 401
    assert get(port, "/health", "s3cret")[0] == 200
    daemon.signal(signal.SIGTERM)
    daemon.wait().expect(0)
