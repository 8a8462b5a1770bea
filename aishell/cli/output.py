"""The output of a run: rich on a terminal, plain text when piped, one JSON document with `--output json`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING

from aishell.cli import left_out
from aishell.cli.console import console
from aishell.cli.progress import PlainProgress, RichProgress
from aishell.cli.streams import say_lines
from aishell.commands import command, on
from aishell.models import RunResult
from aishell.reporting.units import duration, holds_command, printable, roughly, size

if TYPE_CHECKING:
    from rich.markdown import Markdown
    from rich.text import Text

    from aishell.cli.prompt import Prompt
    from aishell.cli.styled import Console
    from aishell.execution.preview import Preview
    from aishell.execution.run import Observer
    from aishell.safety.approval import Approver

#: Agents that `aishell run` does not offer.
_NO_COMMANDS = ("archive_load", "backup_restore", "one_tool")
#: More columns than any line of a report has.
_WIDE = 10_000
_COLOURS = {"success": "green", "preview": "cyan", "partial": "yellow", "waiting_approval": "yellow"}


class Screen:
    """The output of a run for people. With JSON, only progress and questions, on standard error."""

    def __init__(self, output: str, *, verbose: bool = False) -> None:
        self.json, self.verbose = output == "json", verbose
        self.prompt: Prompt | None = None

    @cached_property
    def out(self) -> Console:
        return console(stderr=self.json)

    @cached_property
    def err(self) -> Console:
        return console(stderr=True)

    @contextmanager
    def working(self, text: str) -> Iterator[None]:
        """Show a spinner during the block, on a terminal."""
        if not self.json and self.err.is_terminal:
            with self.err.working(printable(text)):
                yield
        else:
            yield

    def preview(self, planned: Preview) -> None:
        if not self.json:
            from aishell.cli import preview as previews

            previews.show(self.out, planned, verbose=self.verbose)

    def approver(self, seconds: float) -> Approver:
        """The approval prompt; progress bars stop while it is shown."""
        from aishell.cli.prompt import Prompt

        self.prompt = Prompt(self.err, seconds)
        return self.prompt

    @contextmanager
    def progress(self) -> Iterator[Observer]:
        """An observer for a run: bars on a terminal, a line per step elsewhere."""
        if not self.json and self.err.is_terminal:
            with RichProgress(self.err) as observer:
                if self.prompt is not None:
                    self.prompt.pause, self.prompt.go_on = observer.pause, observer.go_on
                yield observer
        else:
            yield PlainProgress(lambda: self.err, verbose=self.verbose or not self.json)

    def created(self, run_id: str) -> None:
        if not self.json:
            self.err.print(f"run {run_id[:8]}", style="dim")

    def result(self, result: RunResult) -> None:
        """Print the report, the outcome and, for an unfinished run, the command that continues it."""
        if self.json:
            return
        report = next(
            (a.output.get("report") for a in reversed(result.actions_taken) if a.output and "report" in a.output), None
        )
        if report:
            self._markdown(str(report))
        colour = _COLOURS.get(result.status, "red")
        run = (result.run_id or "")[:8]
        self.out.print()
        self.out.print(f"{result.status} in {duration(result.execution_time)}  run {run}", style=f"bold {colour}")
        self.out.print(printable(result.reasoning))
        left_out.show(self.out, result.output_data.get("left_out", ()), verbose=self.verbose)
        reclaimed = result.output_data.get("bytes_reclaimed")
        if reclaimed and reclaimed > 0:
            self.out.print(f"reclaimed: {roughly(result.output_data)}{size(reclaimed)}", style="bold")
        for text in result.output_data.get("waiting", ()):
            self.out.print(f"waiting: {printable(text)}", style="yellow")
        for failed in result.output_data.get("hooks_failed", ()):
            text = f"hook {failed['name']} ({failed['on']}) failed: {failed['reason']}"
            self.out.print(printable(text), style="yellow")
        if text := _continuation(result):
            self.out.print(text)
        error = result.error or {}
        if error:
            self.out.print(f"error: {printable(error['message'])}", style="red")
        if error.get("hint"):
            self.out.print(f"  → {printable(error['hint'])}", soft_wrap=True)
        if result.audit_head:
            self.out.print(f"audit head {result.audit_head[:16]}", style="dim")

    def _markdown(self, report: str) -> None:
        """Print Markdown, laid out on a terminal. Lines with a command are not wrapped, so that they can be copied whole."""
        if not self.out.is_terminal:
            say_lines(report)
            return
        from rich.markdown import Markdown

        for pasted, lines in groupby(report.split("\n"), holds_command):
            if not pasted:
                self.out.print(Markdown("\n".join(lines)))
                continue
            for line in lines:
                self.out.print(self._unbroken(Markdown(line)), soft_wrap=True)

    def _unbroken(self, line: Markdown) -> Text:
        """A line of Markdown, laid out on one line."""
        from rich.text import Text

        segments = self.out.render(line, self.out.options.update(width=_WIDE))
        text = Text.assemble(*((one.text.strip("\n"), one.style or "") for one in segments))
        text.rstrip()
        return text


def _continuation(result: RunResult) -> str | None:
    """How an unfinished run continues; None for one that is complete."""
    if result.exit_code in (3, 130) or result.state == "paused":
        return f"continue with: {command('runs', 'resume', (result.run_id or '')[:8])}"
    if result.exit_code != 4:
        return None
    if result.agent in _NO_COMMANDS:
        return "run the same command again for the deferred work"
    again = command("run", result.agent.replace("_", "-"), *on(result.target))
    return f"the next `{again}` starts with the deferred work"
