"""The progress of a run: a bar per running step on a terminal, elsewhere a line per step."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from aishell.models import Step, StepResult, StepStatus
from aishell.reporting.units import duration, printable

if TYPE_CHECKING:
    from rich.progress import TaskID

    from aishell.cli.styled import Console

MARKS = {
    StepStatus.DONE: ("✓", "green"),
    StepStatus.SKIPPED: ("-", "dim"),
    StepStatus.FAILED: ("✗", "red"),
    StepStatus.REJECTED: ("✗", "yellow"),
    StepStatus.IN_DOUBT: ("?", "yellow"),
}


class PlainProgress:
    """One line per step, on standard error."""

    def __init__(self, err: Callable[[], Console], *, verbose: bool) -> None:
        self._err, self._verbose = err, verbose

    def step_started(self, step: Step, total: int) -> None: ...

    def step_progress(self, step: Step, done: float, total: float, label: str) -> None: ...

    def step_ended(self, step: Step, result: StepResult) -> None:
        if self._verbose or result.status is StepStatus.FAILED:
            self._err().print(ended(result), style=MARKS.get(result.status, ("", ""))[1])

    def notice(self, text: str) -> None:
        self._err().print(printable(text))


class RichProgress:
    """A bar for each running step, a line for each that has ended."""

    def __init__(self, err: Console) -> None:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[at]}", markup=False),
            TimeElapsedColumn(),
            console=err,
            transient=True,
            redirect_stdout=False,  # rich would interpret colours and links in other output
            redirect_stderr=False,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def pause(self) -> None:
        """Hide the bars during a prompt."""
        self._progress.stop()

    def go_on(self) -> None:
        self._progress.start()

    def step_started(self, step: Step, total: int) -> None:
        self._tasks[step.id] = self._progress.add_task(
            f"{step.index + 1}/{total} {printable(step.id)}", total=None, at=""
        )

    def step_progress(self, step: Step, done: float, total: float, label: str) -> None:
        if step.id in self._tasks:
            self._progress.update(self._tasks[step.id], completed=done, total=total or None, at=printable(label)[:40])

    def step_ended(self, step: Step, result: StepResult) -> None:
        task = self._tasks.pop(step.id, None)
        if task is not None:
            self._progress.remove_task(task)
        self._progress.console.print(ended(result), style=MARKS.get(result.status, ("", ""))[1])

    def notice(self, text: str) -> None:
        self._progress.console.print(printable(text), style="yellow")


def ended(result: StepResult) -> str:
    """The outcome of a step on one line."""
    mark = MARKS.get(result.status, ("·", ""))[0]
    why = result.error or result.reason
    return f"{mark} {printable(result.step_id):<28} {result.status:<9} {duration(result.execution_time):>8}" + (
        f"  {printable(why)}" if why else ""
    )
