"""The approval prompt at a terminal: a callback, so that the rest of aishell needs no terminal."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from rich.text import Text

from aishell.cli.asking import ask, meant
from aishell.cli.console import sql_lines
from aishell.cli.styled import Console
from aishell.codec import plain
from aishell.errors import AishellError
from aishell.models import Sent
from aishell.moments import at
from aishell.reporting import step_requests as words
from aishell.reporting.units import about, exact, printable, size
from aishell.safety.approval import Answer, Approve, Edit, Later, Reject, Request, Skip
from aishell.safety.gates import locks_told
from aishell.state.approvals import terminal
from aishell.state.runs import who

_LETTERS = {"a": "approve", "e": "edit", "s": "skip", "r": "reject", "d": "details", "q": "quit"}
#: Statements shown for a step, and for a review; the details show all.
MAX_STATEMENTS, MAX_REVIEWED = 5, 50


class Prompt:
    """An approver at a terminal. Without an answer the step stays pending, and the run releases the target."""

    def __init__(self, err: Console, seconds: float) -> None:
        self._err, self._seconds = err, seconds
        #: Called before and after a question, to stop and restart the progress bars.
        self.pause: Callable[[], None] | None = None
        self.go_on: Callable[[], None] | None = None
        self._note = ""  # what was wrong with the last answer; shown with the next question

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
            typed = self._line(_menu(request))
            if typed is None:
                return Later("no answer")
            word = meant(typed, _LETTERS, ("all",) if request.others else ())
            if word is None:
                self._note = "answer with one of the letters in brackets, or the whole word"
                continue
            answer = self._answer(word, request)
            if answer is not None:
                return answer

    def _line(self, question: str) -> str | None:
        note, self._note = self._note, ""
        return ask(f"{note}\n{question}" if note else question, self._seconds)

    def _answer(self, word: str, request: Request) -> Answer | None:
        match word:
            case "approve":
                return Approve(who(), terminal=terminal()) if self._reviewed(request) else None
            case "all":
                return Approve(who(), all_of_tool=True, terminal=terminal())
            case "edit":
                return self._edited(request)
            case "skip":
                return Skip(who())
            case "reject":
                reason = self._line("reason: ")
                return Reject(who(), (reason or "").strip() or "no reason given")
            case "details":
                self._details(request)
                return None
            case _:
                return Later()

    def _reviewed(self, request: Request) -> bool:
        """A review makes the person type the target's name."""
        if request.level != "review":
            return True
        question = f"review: type the target's name ({printable(request.target.name)}) to approve: "
        if (self._line(question) or "").strip() == request.target.name:
            return True
        self._note = "that is not the target's name; nothing was approved"
        return False

    def _edited(self, request: Request) -> Answer | None:
        """New parameters, one by one; an empty line keeps the old value."""
        from aishell.settings.yamlfile import parse

        params: dict[str, Any] = dict(request.params)
        offered = [name for name in params if request.tool.parameters[name].editable]
        if not offered:
            self._note = "none of its parameters can be edited; skip it and make a new plan"
            return None
        for name in offered:
            old = params[name]
            typed = self._line(f"{name} [{printable(old)}]: ")
            if typed is None:
                return Later("no answer")
            if not typed.strip():
                continue
            try:
                params[name] = parse(typed, name).data
                request.tool.prepare(params)
            except AishellError as error:
                self._note = printable(error.message)
                params[name] = old
        return Edit(params, who()) if params != dict(request.params) else None

    def _show(self, request: Request) -> None:
        out, step = self._err, request.step
        colour = "red" if request.level == "review" or request.target.environment == "production" else "yellow"
        out.rule(Text(f"approval: {printable(step.id)}"), style=colour)
        out.print(
            f"{request.tool.name} on {printable(request.target.name)} ({printable(request.target.environment)})",
            style="bold",
        )
        out.print(printable(request.server), style="dim")
        out.print(printable(step.rationale))
        for line in (*words.edits(plain(request.edits)), *words.parameters(plain(request.parameters))):
            out.print(printable(line))
        most = MAX_REVIEWED if request.level == "review" else MAX_STATEMENTS
        self._statements(request.statements[:most])
        if len(request.statements) > most:
            out.print(f"  … and {len(request.statements) - most} more: [d]etails", style="dim")
        if not request.statements:
            out.print("  its statements cannot be previewed", style="yellow")
        for text in locks_told(request.tool, request.step.found):
            out.print(f"lock {printable(text)}")
        for table in request.tables[:5]:
            out.print(
                f"{exact(table.schema)}.{exact(table.table)}: {size(table.bytes)}, about {table.rows or 0:,} rows",
            )
        known = f"{about(step.estimate.seconds)} ({step.estimate.based_on})"
        estimate = "time unknown" if step.estimate.seconds is None else known
        out.print(f"in use by {request.busy_sessions} other session(s); {estimate}")
        out.print(printable(request.tool.undo_text), style="" if request.tool.undo else "bold")
        for reason in request.verdict.reasons:
            if reason.decision.rank >= 2:
                out.print(
                    f"needs approval because: {printable(reason.text)} ({printable(reason.rule)})",
                    style="yellow",
                )
        if request.others:
            out.print(f"`all` approves this and {len(request.others)} more of {request.tool.name}:")
            for other in request.others:
                out.print(f"  {printable(other.step_id)}", style="dim")
                self._statements(other.statements, indent=4)

    def _statements(self, statements: Iterable[Sent], *, indent: int = 2, source: bool = False) -> None:
        """Print statements without wrapping: rich would drop blanks inside a name."""
        for sent in statements:
            for line in sql_lines(sent):
                self._err.print(" " * indent + line, style="cyan", soft_wrap=True)
            if source:
                self._err.print(f"{' ' * indent}[{sent.source}]", style="dim")

    def _details(self, request: Request) -> None:
        out = self._err
        out.print(printable(request.tool.description))
        self._statements(request.statements, source=True)
        for evidence in request.step.evidence:
            how = ", ".join(filter(None, (evidence.method, evidence.error, at(evidence.measured_at))))
            value = "unknown" if evidence.value is None else evidence.value
            how = f"{evidence.withheld}; {how}" if evidence.withheld else how
            out.print(printable(f"evidence: {evidence.metric} {value} ({how})"))
        for name, value in request.params.items():
            if value not in (None, [], {}) and name not in request.parameters:  # neither unset nor already shown
                text = value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False)
                out.print(f"parameter {name} = {printable(text)}")
        for risk in request.verdict.risks:
            out.print(f"risk: {printable(risk)}", style="yellow")
        for mitigation in request.verdict.mitigations:
            out.print(f"in force: {printable(mitigation)}", style="green")
        if request.blockers:
            out.print(f"oldest transaction: {printable(request.blockers)}")
        out.print(f"digest {request.digest}", style="dim")


def _menu(request: Request) -> str:
    """The possible answers. `all` is offered if more steps of the tool follow, and never for a review."""
    words = ["[a]pprove", "[e]dit", "[s]kip", "[r]eject", "[d]etails", "[q]uit and decide later"]
    if request.others:
        words.insert(1, "all")
    return "  ".join(words) + "\n? "
