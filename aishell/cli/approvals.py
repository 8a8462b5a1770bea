"""`aishell approvals`: answer pending approvals, as the site's user, or as another user at a daemon's socket."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

import click

from aishell.cli.asking import ask
from aishell.cli.common import OUTPUT, assigned, open_files
from aishell.cli.console import sql_lines, write_json
from aishell.cli.daemon_client import SOCKET, Kind, document, documents, fitting
from aishell.cli.listing import show_rows, title
from aishell.cli.main import LazyGroup
from aishell.cli.streams import say
from aishell.commands import command
from aishell.errors import DeniedError, UsageError
from aishell.models import Sent
from aishell.moments import at, nominal
from aishell.reporting import step_requests as words
from aishell.reporting.units import printable

#: The keys of an approval request, from the site or from a daemon.
_TEXTS = ("id", "run_id", "status", "level", "digest", "tool", "risk", "server", "step", "target", "requested_by")
_REQUEST: dict[str, Kind] = {
    **dict.fromkeys(_TEXTS, str),
    **dict.fromkeys(("requested_at", "expires_at"), datetime),
    **dict.fromkeys(("until", "window_ends"), datetime | None),
    **dict.fromkeys(("statements", "reasons", "risks", "approved_by"), list),
}
#: Further keys of a step's request, and those of a stage review instead.
_STEP: dict[str, Kind] = {"params": dict}
_REVIEW: dict[str, Kind] = {
    **dict.fromkeys(("stage", "workflow", "workflow_id", "status", "reasoning"), str),
    "referred": list,
    "output_data": dict,
}
#: The keys of a pending request in the list.
_PENDING: dict[str, Kind] = {"id": str, "asked_at": datetime, "until": datetime}


@click.group(cls=LazyGroup)
def approvals() -> None:
    """Steps, and results of workflow stages with `review: true`, that need a person's approval."""


@approvals.command(
    "list",
    epilog="Examples:  aishell approvals list --output json   ·   aishell approvals list --socket /run/aishell/shop.sock",
)
@SOCKET
@OUTPUT
@click.pass_context
def list_(ctx: click.Context, /, socket_: str | None, output: str) -> None:
    """List pending approvals."""
    from aishell.serving.answers import waiting

    found = documents(socket_, "approvals", keys=_PENDING) if socket_ else waiting(open_files(ctx))
    left = () if output == "json" else ("run_id", "server", "people", "expires_at")
    rows = [{key: value for key, value in row.items() if key not in left} for row in found]
    show_rows(rows, output, empty="nothing is pending", least=("step", "asked_at"), moments=("asked_at", "until"))


@approvals.command(
    epilog="Examples:  aishell approvals show 1b2c   ·   aishell approvals show 1b2c --socket /run/aishell/shop.sock"
)
@click.argument("approval", metavar="ID")
@SOCKET
@OUTPUT
@click.pass_context
def show(ctx: click.Context, /, approval: str, socket_: str | None, output: str) -> None:
    """Show exactly what would run, why it needs approval, and what the approval is bound to."""
    asked = _asked(ctx, socket_, approval)
    if output == "json":
        write_json(asked)
        return
    if asked["level"] == "stage":
        _show_review(asked)
        return
    title(f"approval {asked['id']}  {asked['status']}  {asked['tool']} ({asked['risk']} risk), {asked['level']}")
    for line in _lines(asked):
        say(line)


@approvals.command(epilog="Example:  aishell approvals approve 1b2c --reason 'window agreed with the shop team'")
@click.argument("approval", metavar="ID")
@click.option("--reason", default="", metavar="TEXT")
@click.option("--confirm-target", metavar="NAME", help="Name of the target, required by a review.")
@SOCKET
@click.pass_context
def approve(ctx: click.Context, /, approval: str, reason: str, confirm_target: str | None, socket_: str | None) -> None:
    """Approve a step exactly as shown; any change before it runs voids the approval."""
    asked = _asked(ctx, socket_, approval)
    target = asked["target"]
    if asked["level"] == "review":
        if confirm_target is None and not sys.stdin.isatty():
            at = ("--socket", socket_) if socket_ else ()
            hint = command("approvals", "approve", asked["id"], "--confirm-target", target, *at)
            raise UsageError("a review requires the target's name", hint=hint)
        confirm_target = confirm_target or ask(f"review: type the target's name ({printable(target)}): ")
        if confirm_target != target:
            raise DeniedError("that is not the target's name; nothing was approved")
    answer = {"reason": reason, "digest": asked["digest"], "target": confirm_target}
    outcome = _answered(ctx, socket_, asked["id"], "approve", answer)
    pending = outcome["status"] == "pending"
    _say_outcome("approved; a second person must approve it too" if pending else "approved", outcome)


@approvals.command(
    epilog="Example:  aishell approvals edit 1b2c --set fragmentation_threshold=50 --reason 'the worst only'"
)
@click.argument("approval", metavar="ID")
@click.option("--set", "pairs", multiple=True, required=True, metavar="KEY=VALUE", help="A parameter of the step.")
@click.option("--reason", default="", metavar="TEXT")
@SOCKET
@click.pass_context
def edit(ctx: click.Context, /, approval: str, pairs: tuple[str, ...], reason: str, socket_: str | None) -> None:
    """Change a step's parameters. It is then pending again, with new statements and a new digest.

    Only parameters for amount and pace can be edited (`editable` in `tools show`), never the object of a step.
    """
    answer = {"params": assigned("--set", pairs), "reason": reason}
    outcome = _answered(ctx, socket_, approval, "edit", answer)
    review = "workflow_id" in outcome
    _say_outcome("edited" if review else "edited; it needs approval again when the run continues", outcome)


@approvals.command(epilog="Example:  aishell approvals reject 1b2c --reason 'not before the release'")
@click.argument("approval", metavar="ID")
@click.option("--reason", required=True, metavar="TEXT")
@SOCKET
@click.pass_context
def reject(ctx: click.Context, /, approval: str, reason: str, socket_: str | None) -> None:
    """Reject a step; the run continues without it."""
    _say_outcome("rejected", _answered(ctx, socket_, approval, "reject", {"reason": reason}))


def _show_review(asked: Mapping[str, Any]) -> None:
    """The result of a stage, for its reviewer."""
    review = asked["review"]
    title(
        f"review {asked['id']}  {asked['status']}  stage {review['stage']} of {review['workflow']} on {asked['target']}"
    )
    say(printable(f"{review['status']}: {review['reasoning']}"))
    for name in review["referred"]:
        say(printable(f"  {name} = {review['output_data'].get(name)!r}  (goes to later stages, and can be edited)"))
    say(f"every step: {command('runs', 'report', asked['run_id'][:8])}")
    since, until = at(asked["requested_at"]), at(asked["expires_at"])
    say(f"workflow run {review['workflow_id'][:8]}; requested {since}, expires {until}")
    say(f"digest {asked['digest']}")


def _asked(ctx: click.Context, socket_: str | None, approval: str) -> dict[str, Any]:
    from aishell.serving.answers import asked

    if not socket_:
        return asked(open_files(ctx), approval)
    found = document(socket_, "approvals", approval, keys=_REQUEST)
    if found["level"] == "stage":
        fitting(socket_, found.get("review"), _REVIEW)
    else:
        fitting(socket_, found, _STEP)
    return found


def _answered(
    ctx: click.Context, socket_: str | None, approval: str, verb: str, answer: dict[str, Any]
) -> Mapping[str, Any]:
    """Send `approve`, `edit` or `reject` to a daemon's socket, else decide it in the site; the request's new status."""
    from aishell.serving import answers

    if socket_:
        body = {"confirm_target" if name == "target" else name: value for name, value in answer.items()}
        return document(socket_, "approvals", approval, verb, keys={"status": str, "run_id": str}, body=body)
    verbs: dict[str, Callable[..., Mapping[str, Any]]]
    verbs = {"approve": answers.approve, "edit": answers.edit, "reject": answers.reject}
    return verbs[verb](open_files(ctx), approval, person=answers.Person.here(), **answer)


def _say_outcome(answer: str, outcome: Mapping[str, Any]) -> None:
    say(f"{answer}; {printable(outcome['goes_on'])}" if outcome.get("goes_on") else answer)


def _lines(asked: Mapping[str, Any]) -> Iterator[str]:
    """What would run, on what, why it needs approval, who edited it, and when it expires."""
    environment = f" ({printable(asked['environment'])})" if asked.get("environment") else ""
    yield f"on {printable(asked['target'])}{environment}: {printable(asked['server'])}"
    if asked.get("rationale"):
        yield printable(asked["rationale"])
    yield from map(printable, words.edits(asked.get("edits") or ()))
    for statement in asked["statements"]:
        sent = Sent(**statement)
        yield from (f"  {line}" for line in sql_lines(sent))
        yield f"    lock {printable(sent.lock)}  [{printable(sent.source)}]"
    if asked["statements"]:
        yield "  (a value after `:` is bound when the statement is sent; each batch has its own values for the others)"
    given = asked.get("parameters")  # absent from requests of an older aishell
    if given is None:
        given = {} if asked["statements"] else asked["params"]
    yield from words.parameters(given)
    yield from map(printable, words.objects(asked))
    yield from (f"measured: {printable(text)}" for text in words.figures(asked))
    if asked.get("busy_sessions"):
        yield f"in use by {asked['busy_sessions']} other session(s)"
    if (takes := words.duration(asked)) is not None:
        yield f"takes {printable(takes)}"
    if "undo" in asked:  # absent from requests of an older aishell
        yield printable(asked["undo"])
    yield from _why(asked)
    yield from _who_and_when(asked)


def _why(asked: Mapping[str, Any]) -> Iterator[str]:
    given = set()
    for reason in asked["reasons"]:
        if reason["decision"] in ("confirm", "review", "deny"):
            given.add(reason["text"])
            yield f"needs approval because: {printable(reason['text'])} ({printable(reason['rule'])})"
    yield from (f"risk: {printable(risk)}" for risk in asked["risks"] if risk not in given)


def _who_and_when(asked: Mapping[str, Any]) -> Iterator[str]:
    if asked.get("people", 1) > 1:
        before = f"; {printable(asked['approved_by'][0])} already has" if asked["approved_by"] else ""
        editors = ", ".join(sorted({edit["by"] for edit in asked.get("edits") or ()}))
        nor = f" and {printable(editors)}, who edited it" if editors else ""
        yield f"two people must approve, other than {printable(asked['requested_by'])}{nor}{before}"
    if asked.get("schedule"):
        window = (
            f", whose window closes at {printable(nominal(asked['window_ends']))}" if asked.get("window_ends") else ""
        )
        yield f"schedule {printable(asked['schedule'])}{window}"
    since, until = at(asked["requested_at"]), at(asked.get("until") or asked["expires_at"])
    yield f"run {asked['run_id'][:8]}, step {printable(asked['step'])}; requested {since}, answer by {until}"
    yield f"digest {asked['digest']}"
