"""A person at a terminal: a pty, a program on it, what it showed, and keys."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import subprocess
import termios
import time
from types import TracebackType
from typing import Self

from tests.servers import HANG


class Terminal:
    """Runs a command on a pseudo terminal."""

    def __init__(self, command: list[str], *, env: dict[str, str], cwd: str, columns: int = 110) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**env, "TERM": "xterm", "COLUMNS": str(columns), "LINES": "60"},
            cwd=cwd,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(
                0, termios.TIOCSCTTY, 0
            ),  # Ctrl-C is a signal on a controlling terminal only
        )
        os.close(slave)
        self.screen = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self._master)

    def until(self, text: str) -> str:
        """Wait until `text` is shown; what was shown since the last wait."""
        begin, deadline = len(self.screen), time.monotonic() + HANG
        while text not in self.screen[begin:]:
            assert time.monotonic() < deadline, f"{text!r} did not appear:\n{self.screen[-3000:]}"
            assert self._read(), f"ended without {text!r}:\n{self.screen[-3000:]}"
        return self.screen[begin:]

    def type(self, text: str) -> None:
        self.write(text + "\n")

    def write(self, keys: str) -> None:
        """Press keys, without Enter at their end."""
        os.write(self._master, keys.encode())

    def read_for(self, seconds: float) -> None:
        """Take what is shown meanwhile."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._read(left)

    def interrupt(self) -> None:
        os.write(self._master, b"\x03")

    def end(self) -> int:
        """Read to the end; the exit code."""
        while self._read():
            pass
        return self.process.wait(HANG)

    def _read(self, seconds: float = 1.0) -> bool:
        ready, _, _ = select.select([self._master], [], [], seconds)
        if not ready:
            return self.process.poll() is None
        try:
            data = os.read(self._master, 65536)
        except OSError:  # EIO: the other side is closed
            return False
        self.screen += data.decode(errors="replace")
        return bool(data)
