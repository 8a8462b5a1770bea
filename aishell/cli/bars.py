"""A run going by on a terminal: a bar per running step."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from aishell.cli.progress import MARKS, ended
from aishell.cli.styled import Console
from aishell.models import Step, StepResult
from aishell.reporting.units import printable


class RichProgress:
    """Bars for what runs, lines for what has ended."""

    def __init__(self, err: Console) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[at]}", markup=False),
            TimeElapsedColumn(),
            console=err,
            transient=True,
            redirect_stdout=False,  # rich would obey the colours and links in what others write
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
        """Out of the way of a prompt."""
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
        self._progress.console.print(ended(result), markup=False, style=MARKS.get(result.status, ("", ""))[1])

    def said(self, text: str) -> None:
        self._progress.console.print(printable(text), markup=False, style="yellow")
