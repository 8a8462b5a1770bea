"""Runs the client programs of a tool: finds them, passes secrets out of sight, watches them and stops them when necessary."""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import IO, Any

from aishell.engines import profile
from aishell.errors import BackupError, DatabaseError, NotAtHandError
from aishell.registry.programs import CLIENTS, arguments, environment
from aishell.registry.tool import Tool
from aishell.running.context import Context
from aishell.telemetry.logs import log_detail, log_warning

#: Bytes at the end of a program's messages that are shown to people; its log file has all of them.
TAIL_BYTES = 10_000
#: Seconds a program has to end after SIGTERM, and between two reports of progress.
GRACE, POLL = 10.0, 0.5
PROCESS = ".process.json"
#: Bytes a pipe to or from a program holds.
PIPE = 1 << 20
#: The environment variable with the folder that a program works in.
WORK = "AISHELL_WORK"
#: Signals sent from outside, as by the kernel when memory runs out: they say nothing about the program's work.
_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM)
#: Fields of /proc/<pid>/stat after the program's name.
_STATE, _STARTED = 0, 19
#: The process groups of the programs that run now.
_RUNNING: set[int] = set()

Feed = Callable[[IO[bytes]], None]
#: Seconds of throttled output that are read at a time, and so the longest wait until the end of the program is noticed.
_SLICE = 0.1


class Clients:
    """The programs of one tool, run in `work`, a folder of ours for logs and for the note of the running process."""

    def __init__(self, tool: Tool, context: Context, work: Path, *, bin_folder: Path | None = None) -> None:
        self.tool, self.context, self.work, self.bin_folder = tool, context, work, bin_folder
        self.ran: list[str] = []

    def has(self, name: str) -> bool:
        """Whether a program of the tool is installed."""
        return self._found(name) is not None

    def path(self, name: str) -> str:
        """The path of a program of the tool. Raises NotAtHandError when it is not installed."""
        found = self._found(name)
        if found is None:
            how = "install the engine's client package, or set `programs:` in config/aishell.yaml"
            raise NotAtHandError(f"{self.tool.programs[name][0]} is not installed here", hint=how)
        return found

    def _found(self, name: str) -> str | None:
        folder = None if self.bin_folder is None else str(self.bin_folder)
        database = self.context.database
        names = profile(database.engine).client_names(CLIENTS[self.tool.programs[name][0]], database.product)
        return next(filter(None, (shutil.which(program, path=folder) for program in names)), None)

    def choose(
        self, name: str, folders: Iterable[Path | None], fits: Callable[[tuple[int, ...]], bool], needed: str, hint: str
    ) -> None:
        """Choose the first of these folders whose programs have a version that `fits`; None is the search path.

        Raises NotAtHandError, with what is `needed` and what was found, where there is none.
        """
        tried = []
        for folder in folders:
            self.bin_folder = folder
            try:
                found = self.version(name)
            except BackupError:
                continue
            if fits(found):
                return
            tried.append(f"{self.path(name)} is version {'.'.join(map(str, found))}")
        raise NotAtHandError(f"{needed} was not found: {', '.join(tried) or 'none is installed'}", hint=hint)

    def banner(self, name: str) -> str:
        """The output of a program's `--version`."""
        words = [self.path(name), "--version"]
        ended = subprocess.run(words, capture_output=True, text=True, check=False, env=environment(os.environ))
        return ended.stdout or ended.stderr  # mariadb-backup prints it to standard error

    def version(self, name: str) -> tuple[int, ...]:
        """The version of a program, such as (15, 18); of the two that MariaDB's programs print, the server's."""
        banner = self.banner(name)
        match = re.search(r"(?:Distrib|from) (\d+(?:\.\d+)+)", banner) or re.search(r"(\d+(?:\.\d+)+)", banner)
        if match is None:
            raise BackupError(f"{self.path(name)} does not report its version: {banner.strip()!r}")
        return tuple(map(int, match[1].split(".")))

    def run(
        self,
        name: str,
        values: Mapping[str, Any],
        *,
        env: Mapping[str, str] | None = None,
        secrets: Sequence[int] = (),
        feed: Feed | None = None,
        drain: Feed | None = None,
        size: Callable[[], int] | None = None,
        expected: int = 0,
        account: pwd.struct_passwd | None = None,
        folder: Path | None = None,
    ) -> str:
        """Run a program to its end and return the end of its messages.

        `feed` writes its input and `drain` reads its output, each in a thread of its own; `secrets` are descriptors it inherits;
        `size` returns the bytes written so far, of `expected`; `account` runs it, by default ours, in `folder`. Raises
        BackupError with its messages when it fails, and DatabaseError (cancelled) when the run was interrupted.
        """
        words = [self.path(name), *arguments(self.tool.programs[name][1:], values)]
        self.ran.append(
            " ".join(re.sub(r"/proc/self/fd/\d+", "…", word) for word in words)
        )  # the descriptor's number means nothing to people
        self.context.on_program(self.ran[-1], self.tool.source)
        has_password = self.context.database.credentials.password() is not None
        log = self.work / f"{name}.log"
        failures: list[BaseException] = []
        with writing(log):
            messages = log.open("ab")
        started = time.monotonic()
        with messages:
            start = messages.tell()
            process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
                stdout=subprocess.PIPE if drain else messages,
                stderr=messages,
                env={
                    **environment(os.environ, self.tool.programs[name][0], password=has_password),
                    WORK: str(self.work.resolve()),
                    **(env or {}),
                },
                pass_fds=tuple(secrets),
                start_new_session=True,  # Ctrl-C reaches only us, and we stop it
                cwd=folder,
                user=account.pw_uid if account else None,
                group=account.pw_gid if account else None,
                extra_groups=[] if account else None,
                close_fds=True,
            )
            _RUNNING.add(process.pid)
            _widen(process)
            try:
                with writing(self.work):
                    known = {"pid": process.pid, "started": _stat(process.pid, _STARTED)}
                    (self.work / PROCESS).write_text(json.dumps(known), encoding="utf-8")
                threads = [
                    Thread(target=_transfer, args=(work, pipe, failures))
                    for work, pipe in ((feed, process.stdin), (drain, process.stdout))
                    if work is not None and pipe is not None
                ]
                for thread in threads:
                    thread.start()
                self._watch(process, failures, size, expected, name)
                for thread in threads:
                    thread.join()
            finally:
                _end(process)
                _RUNNING.discard(process.pid)
                (self.work / PROCESS).unlink(missing_ok=True)
        tail = log_tail(log, TAIL_BYTES, start)
        seconds = round(time.monotonic() - started, 3)
        log_end = log_warning if process.returncode else log_detail
        log_end("program_ended", program=Path(words[0]).name, exit_code=process.returncode, seconds=seconds)
        if self.context.cancelled():
            raise DatabaseError(f"{words[0]} was stopped", kind="cancelled")
        if failures:
            raise failures[0]
        if process.returncode:
            kind = NotAtHandError if -process.returncode in _FROM_OUTSIDE else BackupError
            # Its log is on the disk that it works on, which may be full.
            silent = f"it printed nothing, and {shutil.disk_usage(self.work).free:,} bytes are free at {self.work}"
            raise kind(f"{Path(words[0]).name} ended with {process.returncode}: {tail.strip() or silent}")
        return tail

    def _watch(
        self,
        process: subprocess.Popen[bytes],
        failures: Sequence[BaseException],
        size: Callable[[], int] | None,
        expected: int,
        name: str,
    ) -> None:
        """Report progress until the program ends or has to be stopped."""
        pause = 0.02
        while process.poll() is None:
            if self.context.cancelled() or failures:
                _end(process)
                return
            with suppress(subprocess.TimeoutExpired):
                process.wait(pause)
            pause = min(POLL, pause * 2)
            if size is not None:
                made = size()
                self.context.progress(made, max(expected, made), f"{name}: {made / 1e6:,.0f} MB")


def log_tail(log: Path, last: int, start: int = 0) -> str:
    """The last bytes of a program's log, none of them before the offset `start`."""
    with log.open("rb") as file:
        file.seek(max(start, file.seek(0, os.SEEK_END) - last))
        return file.read().decode(errors="replace")


def end_running() -> None:
    """Kill the programs that run now, for a process that exits at once: a dump would otherwise go on by itself."""
    for group in tuple(_RUNNING):
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


def end_leftover(work: Path) -> None:
    """Kill the programs that an earlier process left running in this folder, and the processes they started.

    They are found by the note of the process, and by the folder in their environment if we were killed before writing it.
    """
    try:
        known = json.loads((work / PROCESS).read_text(encoding="utf-8"))
        noted = [(int(known["pid"]), str(known["started"]))]
    except (OSError, ValueError, KeyError, TypeError):
        noted = []
    for pid, started in noted:
        if _stat(pid, _STARTED) == started:
            with suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
    deadline = time.monotonic() + GRACE
    while time.monotonic() < deadline:
        alive = [pid for pid, started in noted if _stat(pid, _STARTED) == started]
        left = {*_processes_in(work), *(pid for pid in alive if _stat(pid, _STATE) not in ("Z", None))}
        if not left:
            return
        for pid in left:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _processes_in(work: Path) -> list[int]:
    """The ids of the processes with this folder in their environment; none where the system does not show it."""
    mark = f"\0{WORK}={work.resolve()}\0".encode()
    found = []
    for process in Path("/proc").iterdir():  # a glob raises when a process ends meanwhile
        with suppress(OSError):  # of another account, or ended
            if process.name.isdigit() and mark in b"\0" + (process / "environ").read_bytes():
                found.append(int(process.name))
    return found


@contextmanager
def secret(text: str) -> Iterator[tuple[str, int]]:
    """A file with a secret: the path under which a child process can read it, and the descriptor that it must inherit.

    The file is in memory where the system supports that, so that a kill leaves nothing on a disk.
    """
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("aishell", 0)
        try:
            os.fchmod(descriptor, 0o600)  # libpq refuses a password file that others could read
            os.write(descriptor, text.encode())
            yield f"/proc/self/fd/{descriptor}", descriptor
        finally:
            os.close(descriptor)
        return
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:  # 0600
        file.write(text)
        file.flush()
        yield file.name, file.fileno()


def _widen(process: subprocess.Popen[bytes]) -> None:
    """Enlarge the pipes where the system can, so that each side waits less for the other (1 GB: 6.5 s, not 7.9)."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None and hasattr(fcntl, "F_SETPIPE_SZ"):
            with suppress(OSError):  # the user's limit of pages in pipes is reached
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE)


def _transfer(work: Feed, pipe: IO[bytes], failures: list[BaseException]) -> None:
    try:
        with pipe:
            work(pipe)
    except BrokenPipeError:
        return  # the program has ended; its exit code says why
    except Exception as error:  # raised again by `run`, in the thread that waits for it
        failures.append(error)


def _end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, then SIGKILL."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _stat(pid: int, field: int) -> str | None:
    """A field of /proc/<pid>/stat; None if the process does not exist.

    `_STATE` is Z for a zombie; `_STARTED` tells the process from a later one with the same id.
    """
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[field]
    except OSError:
        return None


class Throttle:
    """`rate` in kB (1024 bytes) a second, as pg_basebackup counts; None lets everything through."""

    def __init__(self, rate: int | None) -> None:
        self.rate = None if rate is None else rate * 1024
        self._due = 0.0

    def most(self, bytes_: int) -> int:
        """The bytes to read at a time, at most `bytes_`."""
        return bytes_ if self.rate is None else max(1, min(bytes_, int(self.rate * _SLICE)))

    def passed(self, bytes_: int) -> None:
        """Count bytes that were read, and wait until more may be."""
        if self.rate is None:
            return
        now = time.monotonic()
        self._due = max(self._due, now) + bytes_ / self.rate
        time.sleep(self._due - now)


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Turn errors of writing to a disk into NotAtHandError, since they say nothing about the backup being read."""
    try:
        yield
    except OSError as error:
        how = "make room, or name another folder with --destination"
        raise NotAtHandError(f"{place} cannot be written: {error.strerror or error}", hint=how) from error
