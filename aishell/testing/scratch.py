"""A site in its own folder, whose commands run as a user would run them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from aishell.testing.forked import Command, Forked

if TYPE_CHECKING:
    from aishell.site import Site


@dataclass(frozen=True)
class Ended:
    """The result of a command: its exit code and output."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on standard output. Raises AssertionError if there is none."""
        try:
            return json.loads(self.out)
        except ValueError:
            raise AssertionError(f"exit {self.code}, no document\n{self._said}") from None

    @property
    def run_id(self) -> str:
        """The id of the run that the document describes."""
        return str(self.json["run_id"])

    def statuses(self) -> dict[str, str]:
        """Return the status of each step, by its id."""
        return {action["step_id"]: action["status"] for action in self.json["actions_taken"]}

    def expect(self, code: int) -> Ended:
        """Return itself. Raises AssertionError, with the output, if the exit code differs."""
        if self.code != code:
            raise AssertionError(f"exit {self.code}, not {code}\n{self._said}")
        return self

    @property
    def _said(self) -> str:
        return f"{self.out[-3000:]}\n{self.err[-3000:]}"


class Running:
    """A command that was started and may still run."""

    def __init__(self, process: subprocess.Popen[bytes] | Forked, out: Path, err: Path, hang: float) -> None:
        self.process, self.out, self.err, self.hang = process, out, err, hang

    def signal(self, number: int = signal.SIGINT) -> None:
        """Send a signal, by default Ctrl-C."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """Send SIGKILL and wait for the end."""
        self.process.kill()
        self.process.wait()

    @property
    def ended(self) -> bool:
        """Whether the command has ended."""
        return self.process.poll() is not None

    def wait(self) -> Ended:
        """Wait and return the result. Raises AssertionError, with the stacks of all threads, if the command hangs."""
        try:
            code = self.process.wait(self.hang)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)  # PYTHONFAULTHANDLER prints the stacks
            self.process.wait()
            printed = self.err.read_text()[-6000:]
            raise AssertionError(f"still running after {self.hang:g} s: {self.process.args!r}\n{printed}") from None
        return Ended(code, self.out.read_text(), self.err.read_text())


class ScratchSite:
    """An empty site in `home`; call it to run a command: `site("run", "maintenance", "--target", "sample")`.

    The first command that needs a state store creates it. Use as a context manager, or call `close`.
    """

    #: Seconds after which a command that has not ended counts as hanging.
    hang: ClassVar[float] = 120.0

    def __init__(self, home: Path) -> None:
        self.home = home
        self.site = home / "site"
        self.state = home / "state" / "state.db"
        self.config = self.site / "config"
        for name in ("agents", "workflows"):
            (self.config / name).mkdir(parents=True)
        self.state.parent.mkdir()
        self._targets: dict[str, dict[str, Any]] = {}
        self._declared: dict[str, dict[str, str]] = {}
        self._running: list[Running] = []
        self._number = 0

    def write(self, name: str, text: str) -> Path:
        """Write a file of the site, such as `tools/sqlite/my_tool.sql`; Python finds modules beside `config`."""
        path = self.site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def configure(self, name: str, text: str) -> Path:
        """Write a file of the site's configuration, such as `agents/maintenance.yaml`."""
        return self.write(f"config/{name}", text)

    def add_target(self, name: str, url: str, **keys: Any) -> None:
        """Add a target to `targets.yaml`, with the keys of docs/configuration.md (default of `environment`: `test`)."""
        self._targets[name] = {"url": url, "environment": "test"} | keys
        self.configure("targets.yaml", json.dumps({"targets": self._targets}))

    def declare(self, group: str, name: str, reference: str) -> None:
        """Declare an entry point for this site's commands, as an installed package would.

        `site.declare("aishell.agents", "census", "census:Census")`; `write` can add the module to the site.
        """
        self._declared.setdefault(group, {})[name] = reference
        points = "\n".join(
            "\n".join((f"[{one}]", *(f"{key} = {value}" for key, value in names.items())))
            for one, names in self._declared.items()
        )
        folder = "scratch_site-0.dist-info"
        self.write(f"{folder}/METADATA", "Metadata-Version: 2.1\nName: scratch-site\nVersion: 0\n")
        self.write(f"{folder}/entry_points.txt", f"{points}\n")

    def open(self) -> Site:
        """Open the same site in this process, as a context manager. Entry points from `declare` are unknown here."""
        from aishell.site import Site

        return Site.open(self.site, state=self.state)

    def command(self, *arguments: str) -> list[str]:
        """Return a command's arguments with the options for this site."""
        return ["--site", str(self.site), "--state", str(self.state), *arguments]

    def environment(self, **more: str) -> dict[str, str]:
        """Return this process's environment without the user's own databases and settings."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "MYSQL", "AISHELL", "XDG"))}
        return kept | {"HOME": str(self.home), "NO_COLOR": "1", "PYTHONFAULTHANDLER": "1"} | more

    def start(
        self,
        *arguments: str,
        within: tuple[str, ...] = (),
        alone: bool = False,
        prepare: Callable[[], None] | None = None,
        **environment: Any,
    ) -> Running:
        """Start a command in a fork, after calling `prepare` there. Other keywords are its environment, as text.

        It is a separate process if `alone`, under the program `within`, or if Python reads its environment.
        """
        self._number += 1
        out, err = (self.home / f"{self._number}.{name}" for name in ("out", "err"))
        for path in (out, err):
            path.touch(0o600)
        words, env = tuple(self.command(*arguments)), self.environment(**environment)
        process: subprocess.Popen[bytes] | Forked
        if alone or within or any(name.startswith("PYTHON") for name in environment):
            if prepare is not None:
                raise AssertionError("only a fork can be prepared")
            if alone:  # an interrupt inside coverage's own code would keep its lock for ever
                env = {name: value for name, value in env.items() if not name.startswith("COVERAGE")}
            with out.open("wb") as stdout, err.open("wb") as stderr:
                process = subprocess.Popen(
                    [*within, sys.executable, "-m", "aishell", *words],
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=stderr,
                    cwd=self.site,
                    env=env,
                    start_new_session=True,  # a Ctrl-C at the tests must not reach the command
                )
        else:
            process = Forked(Command(words, self.site, out, err, env, prepare))
        running = Running(process, out, err, self.hang)
        self._running.append(running)
        return running

    def __call__(self, *arguments: str, **environment: Any) -> Ended:
        """Run a command to its end. Keywords are its environment."""
        return self.start(*arguments, **environment).wait()

    def close(self) -> None:
        """Kill commands that a failed test left running."""
        for running in self._running:
            if not running.ended:
                running.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
