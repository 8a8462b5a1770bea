"""`aishell runs watch`: follow a run of another process by reading state.db every second. Nothing is written."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from aishell.cli.common import open_files
from aishell.cli.main import ShowsExamples
from aishell.cli.streams import say
from aishell.commands import command
from aishell.models import RunState, StepStatus
from aishell.moments import at
from aishell.reporting.units import duration, printable
from aishell.state.locks import is_held

if TYPE_CHECKING:
    from aishell.site_files import SiteFiles
    from aishell.state.connection import Record

#: Seconds between two polls, and between two lines on a deletion's progress.
LOOK, SO_FAR = 1.0, 10.0
_ACTIVE = (RunState.IDLE, RunState.PLANNING, RunState.EXECUTING, RunState.CHECKPOINTING)


@click.command(cls=ShowsExamples, epilog="Example:  aishell runs watch 3f2a")
@click.argument("run_id", metavar="ID")
@click.pass_context
def watch(ctx: click.Context, /, run_id: str) -> None:
    """Follow a run: each step as it starts and ends, until the run is over, pending or paused.

    Exits with the run's exit code, or 1 if its process is gone. Ctrl-C ends only the watching.
    """
    site = open_files(ctx)
    row = site.runs.find(run_id)
    say(printable(f"run {row.id[:8]}  {row.agent} on {row.target}, by {row.requested_by}, {at(row.created_at)}"))
    try:
        ctx.exit(_followed(site, row.id))
    except KeyboardInterrupt:
        say(f"the run continues; `{command('runs', 'show', row.id[:8])}` shows its outcome", err=True)
        ctx.exit(130)


def _followed(site: SiteFiles, run_id: str) -> int:
    """Print a run's progress until it ends or stops; the exit code."""
    from aishell.state.readings import follow

    news = _StepNews()
    while True:
        row, steps = follow(site.store, run_id)
        for line in news.lines(steps, time.monotonic()):
            say(line)
        state = RunState(row.state)
        if state not in _ACTIVE:
            return _over(row, state)
        if _gone(site, row):
            now, _ = follow(site.store, run_id)  # it may have ended in between
            if RunState(now.state) in _ACTIVE and now.pid == row.pid:
                say("the process of the run has ended, but the run has not")
                say(f"continue with: {command('runs', 'resume', run_id[:8])}")
                return 1
            continue
        time.sleep(LOOK)


def _over(row: Record, state: RunState) -> int:
    """Print the outcome of a run that no process drives; its exit code."""
    result = json.loads(row.result) if row.result else {}
    if state is RunState.CANCELLED:  # by a person while no process drove it; the stored result is older
        say("cancelled")
        return 1
    status = result.get("status", state.value)
    say(f"{status} in {duration(result['execution_time'])}" if "execution_time" in result else status)
    if "reasoning" in result:
        say(printable(result["reasoning"]))
    for waiting in result.get("output_data", {}).get("waiting", ()):
        say(f"waiting: {printable(waiting)}")
    if state is not RunState.COMPLETED:
        say(f"continue with: {command('runs', 'resume', row.id[:8])}")
    return int(result.get("exit_code", 1))


def _gone(site: SiteFiles, row: Record) -> bool:
    """Whether the process that drove a run has ended, as far as this host can tell. The lock is tested last: the test holds
    it for a moment and could block a `resume`."""
    if row.host != socket.gethostname():
        return False
    try:
        os.kill(row.pid, 0)
    except ProcessLookupError:
        return not is_held(site.run_lock(row.id))
    except PermissionError:
        return False  # another user's
    return False


class _StepNews:
    """The changes of a run's steps since they were last printed."""

    def __init__(self) -> None:
        self._steps: dict[int, tuple[str, int]] = {}
        self._so_far: dict[int, tuple[float, str]] = {}

    def lines(self, steps: list[Record], at: float) -> Iterator[str]:
        """A line for each step that has started or ended since, and from time to time a deletion's progress."""
        for step in steps:
            now = (step.status, step.attempt)
            if self._steps.get(step.step_index) != now:
                self._steps[step.step_index] = now
                line = _line(step, len(steps))
                if line is not None:
                    yield line
            if step.status == StepStatus.STARTED:
                yield from self._far(step, at)

    def _far(self, step: Record, at: float) -> Iterator[str]:
        from aishell.reporting.so_far import far

        printed_at, before = self._so_far.get(step.step_index, (float("-inf"), ""))
        text = far(step)
        if text and text != before and at >= printed_at + SO_FAR:
            self._so_far[step.step_index] = (at, text)
            yield printable(f"  {step.step_id}: {text}")


def _line(step: Record, total: int) -> str | None:
    from aishell.cli.progress import MARKS

    status = StepStatus(step.status)
    if status is StepStatus.PENDING and not step.attempt:
        return None
    number = f"{step.step_index + 1}/{total}"
    if status is StepStatus.STARTED:
        again = f", attempt {step.attempt}" if step.attempt > 1 else ""
        return printable(f"· {number} {step.step_id} ({step.tool}) began{again}")
    why = step.error or step.reason
    took = f" in {duration(step.seconds)}" if step.seconds else ""
    text = f"{MARKS.get(status, ('·', ''))[0]} {number} {step.step_id} {status}{took}{f': {why}' if why else ''}"
    return printable(text)
