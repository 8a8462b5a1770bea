"""Runs the client programs of a tool: found, given their secrets out of sight, watched, and ended when they have to be."""

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

#: What is kept of a program's messages for people; all of them are in its log file.
TAIL_BYTES = 10_000
#: Seconds a program has to end by itself when it is asked to, and between two looks at how far it has come.
GRACE, LOOK = 10.0, 0.5
PROCESS = ".process.json"
#: Bytes a pipe to or from a program holds.
PIPE = 1 << 20
#: What tells a program, in its environment, whose folder it works in.
WORK = "AISHELL_WORK"
#: Signals that others send, as the kernel does when memory runs out: they say nothing of what the program was doing.
_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM)
#: Fields of /proc/<pid>/stat after the program's name.
_STATE, _STARTED = 0, 19
#: The programs that run now, by their process group.
_RUNNING: set[int] = set()

Feed = Callable[[IO[bytes]], None]
#: Seconds of output that are read at a time, and so the longest wait between two looks at whether the program has ended.
_AT_A_TIME = 0.1


class Clients:
    """The programs of one tool, run in `work`: a folder of ours, for logs and for the process that may outlive us."""

    def __init__(self, tool: Tool, context: Context, work: Path, *, bin_folder: Path | None = None) -> None:
        self.tool, self.context, self.work, self.bin_folder = tool, context, work, bin_folder
        self.ran: list[str] = []

    def has(self, name: str) -> bool:
        """Whether a program of the tool is installed."""
        return self._found(name) is not None

    def path(self, name: str) -> str:
        """Where a program of the tool is. Raises NotAtHandError when it is not installed."""
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
        """Run the programs of the first of these folders whose version fits; None stands for the path.

        Raises NotAtHandError, with what is `needed` and what was found, where none does.
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
            tried.append(f"{self.path(name)} of version {'.'.join(map(str, found))}")
        raise NotAtHandError(f"{needed} was not found: {', '.join(tried) or 'there is none'}", hint=hint)

    def banner(self, name: str) -> str:
        """The output of a program's `--version`."""
        words = [self.path(name), "--version"]
        said = subprocess.run(words, capture_output=True, text=True, check=False, env=environment(os.environ))
        return said.stdout or said.stderr  # mariadb-backup tells it as an error

    def version(self, name: str) -> tuple[int, ...]:
        """The version of a program, such as (15, 18); MariaDB's programs have another beside that of their distribution."""
        said = self.banner(name)
        match = re.search(r"(?:Distrib|from) (\d+(?:\.\d+)+)", said) or re.search(r"(\d+(?:\.\d+)+)", said)
        if match is None:
            raise BackupError(f"{self.path(name)} does not report its version: {said.strip()!r}")
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
        """Run a program to its end and return the end of what it said.

        `feed` writes its input and `drain` reads its output, each in a thread of its own; `secrets` are descriptors it inherits;
        `size` tells the bytes it has made so far, of `expected`; `account` is who runs it, where that is not us, and `folder`
        where. Raises BackupError when it fails, with what it said, and DatabaseError (cancelled) when the run was interrupted.
        """
        words = [self.path(name), *arguments(self.tool.programs[name][1:], values)]
        self.ran.append(
            " ".join(re.sub(r"/proc/self/fd/\d+", "…", word) for word in words)
        )  # a number means nothing to people
        self.context.on_program(self.ran[-1], self.tool.source)
        has_password = self.context.database.credentials.password() is not None
        log = self.work / f"{name}.log"
        failures: list[BaseException] = []
        with writing(log):
            said = log.open("ab")
        started = time.monotonic()
        with said:
            begun = said.tell()
            process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
                stdout=subprocess.PIPE if drain else said,
                stderr=said,
                env={
                    **environment(os.environ, self.tool.programs[name][0], password=has_password),
                    WORK: str(self.work.resolve()),
                    **(env or {}),
                },
                pass_fds=tuple(secrets),
                start_new_session=True,  # Ctrl-C reaches us alone: we end it
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
                    Thread(target=_carried, args=(work, pipe, failures))
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
        tail = end_of(log, TAIL_BYTES, begun)
        seconds = round(time.monotonic() - started, 3)
        ended = log_warning if process.returncode else log_detail
        ended("program_ended", program=Path(words[0]).name, exit_code=process.returncode, seconds=seconds)
        if self.context.cancelled():
            raise DatabaseError(f"{words[0]} was ended", kind="cancelled")
        if failures:
            raise failures[0]
        if process.returncode:
            kind = NotAtHandError if -process.returncode in _FROM_OUTSIDE else BackupError
            # What it prints goes to the disk that it works on: a full one may be why there is nothing.
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
        """Report progress until the program ends or has to be ended."""
        pause = 0.02
        while process.poll() is None:
            if self.context.cancelled() or failures:
                _end(process)
                return
            with suppress(subprocess.TimeoutExpired):
                process.wait(pause)
            pause = min(LOOK, pause * 2)
            if size is not None:
                made = size()
                self.context.progress(made, max(expected, made), f"{name}: {made / 1e6:,.0f} MB")


def end_of(log: Path, last: int, begun: int = 0) -> str:
    """The last bytes of a program's log, none of them before the place `begun`."""
    with log.open("rb") as file:
        file.seek(max(begun, file.seek(0, os.SEEK_END) - last))
        return file.read().decode(errors="replace")


def end_running() -> None:
    """End what runs now, for a process that leaves at once: a dump would go on by itself until somebody resumes the run."""
    for group in tuple(_RUNNING):
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


def end_leftover(work: Path) -> None:
    """End the programs that an earlier process left behind in this folder, and what those have started, if they still run.

    One is known by its note, or by the folder in its environment where we were killed before we could write that.
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
        there = [pid for pid, started in noted if _stat(pid, _STARTED) == started]
        left = {*_inside(work), *(pid for pid in there if _stat(pid, _STATE) not in ("Z", None))}
        if not left:
            return
        for pid in left:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _inside(work: Path) -> list[int]:
    """The processes that run in this folder, by their environment: where the system does not show that there are none."""
    mark = f"\0{WORK}={work.resolve()}\0".encode()
    found = []
    for process in Path("/proc").iterdir():  # not by a glob, which raises where a process ends meanwhile
        with suppress(OSError):  # of another account, or ended
            if process.name.isdigit() and mark in b"\0" + (process / "environ").read_bytes():
                found.append(int(process.name))
    return found


@contextmanager
def secret(text: str) -> Iterator[tuple[str, int]]:
    """A file that holds a secret, by the path a child process can read it under, and the descriptor to let it inherit.

    It lives in memory where the system can do that: then nothing is left on a disk, whatever kills us.
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
    """Pipes that hold more, where the system lets us: each side waits less often for the other (1 GB: 6.5 s, not 7.9)."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None and hasattr(fcntl, "F_SETPIPE_SZ"):
            with suppress(OSError):  # a user may have so many pages of pipes
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE)


def _carried(work: Feed, pipe: IO[bytes], failures: list[BaseException]) -> None:
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
    """What the kernel says of a process; None where there is none of this number.

    `_STATE` is Z for one that has ended and waits for its parent; by `_STARTED` it cannot be mistaken for a later one.
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
        return bytes_ if self.rate is None else max(1, min(bytes_, int(self.rate * _AT_A_TIME)))

    def passed(self, bytes_: int) -> None:
        """Count bytes that were read, and wait until more may be."""
        if self.rate is None:
            return
        now = time.monotonic()
        self._due = max(self._due, now) + bytes_ / self.rate
        time.sleep(self._due - now)


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """The errors of a disk that is written to as ours: they say nothing of a backup that is looked at meanwhile."""
    try:
        yield
    except OSError as error:
        how = "make room, or name another folder with --destination"
        raise NotAtHandError(f"{place} cannot be written: {error.strerror or error}", hint=how) from error
