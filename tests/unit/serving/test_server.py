"""The daemon's socket."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

from aishell.serving.server import bound


def test_who_asks_before_anything_serves_is_not_refused(tmp_path: Path) -> None:
    """The thread that serves is up a moment after the daemon says that it has begun."""
    path = tmp_path / "daemon.sock"
    with bound(path, None), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        asking.connect(str(path))
