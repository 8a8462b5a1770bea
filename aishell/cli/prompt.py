"""Asking a person. The core is given this as a callback and knows nothing of terminals."""

from __future__ import annotations

import select
import sys
from collections.abc import Callable
from typing import Any

from rich.console import Console

from aishell.errors import AishellError
from aishell.reporting.units import duration, printable, size
from aishell.safety.approval import Answer, Approve, Edit, Later, Reject, Request, Skip
from aishell.safety.gates import locks_told
from aishell.state.runs import who

_KEYS = "[a]pprove  a[l]l of this tool  [e]dit  [s]kip  [r]eject  [d]etails  [q]uit and decide later"


class Prompt:
    """An approver at a terminal. An unanswered question is decided later: the run then waits and lets the target go."""

    def __init__(
        self,
        err: Console,
        seconds: float,
        *,
        pause: Callable[[], None] | None = None,
        go_on: Callable[[], None] | None = None,
    ) -> None:
        self._err, self._seconds = err, seconds
        self.pause, self.go_on = pause, go_on

    def __call__(self, request: Request) -> Answer:
        if self.pause:
            self.pause()
        try:
            return self._ask(request)
        finally:
            if self.go_on:
                self.go_on()

    def _ask(self, request: Request) -> Answer:
        self._show(request)
        while True:
            key = self._read(f"{_KEYS}\n? ")
            if key is None:
                return Later(f"no answer within {self._seconds:.0f} s")
            answer = self._answer(key.strip(), request)
            if answer is not None:
                return answer

    def _answer(self, key: str, request: Request) -> Answer | None:
        match key[:1]:
            case "a" if key in ("a", "approve"):
                return Approve(who()) if self._reviewed(request) else None
            case "l":
                return Approve(who(), all_of_tool=True) if self._reviewed(request) else None
            case "e":
                return self._edited(request)
            case "s":
                return Skip(who())
            case "r":
                reason = self._read("reason: ")
                return Reject(who(), (reason or "").strip() or "no reason given")
            case "d":
                self._details(request)
            case "q":
                return Later()
            case _:
                self._err.print("answer with one of the letters in brackets", style="yellow")
        return None

    def _reviewed(self, request: Request) -> bool:
        """A review makes the person type the target's name."""
        if request.level != "review":
            return True
        typed = self._read(f"this is reviewed: type the target's name ({printable(request.target.name)}) to approve: ")
        if (typed or "").strip() == request.target.name:
            return True
        self._err.print("that is not the target's name; nothing was approved", style="yellow")
        return False

    def _edited(self, request: Request) -> Answer | None:
        """New parameters, one by one; an empty line keeps the old value."""
        from aishell.yamlfile import parse

        params: dict[str, Any] = dict(request.params)
        for name, old in request.params.items():
            if request.tool.parameters[name].type == "identifier_list":
                continue
            typed = self._read(f"{name} [{printable(old)}]: ")
            if typed is None:
                return Later(f"no answer within {self._seconds:.0f} s")
            if not typed.strip():
                continue
            try:
                params[name] = parse(typed, name).data
                request.tool.prepare(params)
            except AishellError as error:
                self._err.print(printable(error.message), style="red", markup=False)
                params[name] = old
        return Edit(params, who()) if params != dict(request.params) else None

    def _show(self, request: Request) -> None:
        out, step = self._err, request.step
        colour = "red" if request.level == "review" or request.target.environment == "production" else "yellow"
        out.rule(f"approval: {printable(step.id)}", style=colour)
        out.print(
            f"{request.tool.name} on {printable(request.target.name)} ({request.target.environment})",
            style="bold",
            markup=False,
        )
        out.print(printable(request.server), style="dim", markup=False)
        out.print(printable(step.rationale), markup=False)
        for sent in request.statements[:5]:
            out.print(f"  {printable(sent.sql)}", style="cyan", markup=False)
        if len(request.statements) > 5:
            out.print(f"  … and {len(request.statements) - 5} more: [d]etails", style="dim", markup=False)
        if not request.statements:
            out.print("  its statements cannot be previewed", style="yellow")
        for text in locks_told(request.tool, request.step.found):
            out.print(f"lock {printable(text)}", markup=False)
        for table in request.tables[:5]:
            out.print(
                f"{printable(table.schema)}.{printable(table.table)}: {size(table.bytes)}, about {table.rows or 0:,} rows",
                markup=False,
            )
        estimate = f"about {duration(step.estimate.seconds)} ({step.estimate.based_on})"
        out.print(f"in use by {request.busy_sessions} other session(s); {request.undo}; {estimate}", markup=False)
        for reason in request.verdict.reasons:
            if reason.decision.rank >= 2:
                out.print(
                    f"asks because: {printable(reason.text)} ({printable(reason.rule)})", style="yellow", markup=False
                )

    def _details(self, request: Request) -> None:
        out = self._err
        out.print(printable(request.tool.description), markup=False)
        for sent in request.statements:
            out.print(f"  {printable(sent.sql)}  [{sent.source}]", style="cyan", markup=False)
        for evidence in request.step.evidence:
            how = ", ".join(filter(None, (evidence.method, evidence.error, f"{evidence.measured_at[:19]}Z")))
            out.print(printable(f"evidence: {evidence.metric} {evidence.value} ({how})"), markup=False)
        for name, value in request.params.items():
            out.print(f"parameter {name} = {printable(value)}", markup=False)
        for risk in request.verdict.risks:
            out.print(f"risk: {printable(risk)}", style="yellow", markup=False)
        for mitigation in request.verdict.mitigations:
            out.print(f"in force: {printable(mitigation)}", style="green", markup=False)
        if request.blockers:
            out.print(f"oldest transaction: {printable(request.blockers)}", markup=False)
        out.print(f"digest {request.digest}", style="dim", markup=False)

    def _read(self, text: str) -> str | None:
        """A line from the terminal, None when the time is up or the terminal is gone."""
        self._err.print(text, end="", markup=False)
        self._err.file.flush()
        ready, _, _ = select.select([sys.stdin], [], [], self._seconds)
        line = sys.stdin.readline() if ready else ""
        return line.rstrip("\n") if line else None
