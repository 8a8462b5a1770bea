"""A database server that a test starts itself, in a temporary folder, and stops by its process id."""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

HOST = "127.0.0.1"
#: Seconds after which what a test waits for is taken to hang. A loaded machine is slow, and that is no failure: no limit of a
#: test is shorter, but those of what must not happen. pytest's own, of 600 s, comes later.
HANG = 570


def free_port() -> int:
    """A port free now, below the range that clients get theirs from: it stays free over a restart."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        return port


def wait_until(true: Callable[[], Any], what: str, seconds: float = HANG) -> None:
    """Poll until `true()` is; fail after `seconds` with `what`."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} not within {seconds} s")
        time.sleep(0.02)


def processes(text: str, what: str = "cmdline") -> list[str]:
    """The command lines (or what environments, as `environ`) of what runs now and has this text in it."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with contextlib.suppress(OSError):  # it has just ended
                line = (process / what).read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found += [line] if text in line else []
    return found


class Server:
    """The process, folder, port and log files of one server.

    Servers refuse to run as root: for root they run as the first of `accounts` that exists, else as this
    user. They end with the test process, however that ends (`setpriv --pdeathsig`).
    """

    accounts: ClassVar[Sequence[str]] = ("nobody",)
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    crash_signal: ClassVar[signal.Signals] = signal.SIGKILL

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix=f"aishell-{name}-"))
        self.data = self.folder / "data"
        self.error_log = self.folder / "server.log"  # what the process prints
        self.log_file = self.error_log  # where the server writes each statement
        self.process: subprocess.Popen[bytes] | None = None
        self.connections: list[Any] = []
        self.as_user: dict[str, Any] = {}
        if os.geteuid() == 0:
            account = self.account()
            self.as_user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
            self.own(self.folder)

    @classmethod
    def account(cls) -> pwd.struct_passwd:
        """The unprivileged account that root runs this server as."""
        known = {entry.pw_name: entry for entry in pwd.getpwall()}
        return next(known[name] for name in cls.accounts if name in known)

    # What each kind of server says for itself.

    def command(self) -> list[str]:
        """The program and arguments that run the server in the foreground."""
        raise NotImplementedError

    def ping(self) -> None:
        """Connect once, or raise `ConnectionError`."""
        raise NotImplementedError

    # What they share.

    @property
    def pid(self) -> int:
        assert self.process is not None, f"{self.name} was not started"
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def run(self, *command: str | Path) -> str:
        """Run a helper program (initdb, pg_basebackup) as the server's user and return what it prints."""
        done = subprocess.run(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=self._environment(),
            **self.as_user,
        )
        if done.returncode:
            raise RuntimeError(f"{command[0]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def start(self) -> None:
        """Start the server and wait until it answers."""
        assert not self.running, f"{self.name} runs already"
        with self.error_log.open("ab") as log:
            self.process = subprocess.Popen(
                ["setpriv", f"--pdeathsig={self.stop_signal.name[3:]}", "--", *self.command()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=self._environment(),
                start_new_session=True,
                **self.as_user,
            )
        try:
            wait_until(self._answers, f"{self.name} answers", HANG)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Shut the server down cleanly; clients are disconnected."""
        self._end(self.stop_signal)

    def crash(self) -> None:
        """End the server without a shutdown: the next start recovers."""
        self._end(self.crash_signal)

    def restart(self) -> None:
        self.stop()
        self.start()

    def close_connections(self) -> None:
        """Close the connections that a test left open."""
        for connection in self.connections:
            with contextlib.suppress(Exception):  # closed by the test, or by a server that went away
                connection.close()
        self.connections.clear()

    def own(self, folder: Path) -> None:
        """Give `folder` to the server's user."""
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, self.as_user["user"], self.as_user["group"], follow_symlinks=False)

    def remove(self) -> None:
        """Stop the server and delete its folder."""
        self.close_connections()
        self.stop()
        shutil.rmtree(self.folder)

    def _answers(self) -> bool:
        if not self.running:
            tail = self.error_log.read_text(errors="replace")[-3000:]
            raise RuntimeError(f"{self.name} ended while starting:\n{tail}")
        try:
            self.ping()
        except ConnectionError:
            return False
        return True

    def _end(self, how: signal.Signals) -> None:
        if self.process is None:
            return
        if self.running:
            self.process.send_signal(how)
        try:
            self.process.wait(HANG)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def _environment(self) -> dict[str, str]:
        # A MariaDB that starts removes the temporary tables of all others in its TMPDIR: each server has a folder of its own.
        own = {"TMPDIR": str(self.folder)}
        return {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8", "TZ": "UTC", **own}
