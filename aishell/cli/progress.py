"""A run going by where nobody looks at a terminal: a line per step."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from aishell.models import Step, StepResult, StepStatus
from aishell.reporting.units import duration, printable

if TYPE_CHECKING:
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
            self._err().print(ended(result), markup=False, style=MARKS.get(result.status, ("", ""))[1])

    def said(self, text: str) -> None:
        self._err().print(printable(text), markup=False)


def ended(result: StepResult) -> str:
    """One line: what became of a step."""
    mark = MARKS.get(result.status, ("·", ""))[0]
    why = result.error or result.reason
    return f"{mark} {printable(result.step_id):<28} {result.status:<9} {duration(result.execution_time):>8}" + (
        f"  {printable(why)}" if why else ""
    )
