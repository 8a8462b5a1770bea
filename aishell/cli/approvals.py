"""`aishell approvals`: answer what waits, from any shell of the same user."""

from __future__ import annotations

import sys

import click

from aishell.cli.common import OUTPUT, open_files
from aishell.cli.main import LazyGroup
from aishell.cli.streams import say
from aishell.commands import command
from aishell.errors import DeniedError, UsageError


@click.group(cls=LazyGroup)
def approvals() -> None:
    """Steps that wait for a person."""


@approvals.command("list", epilog="Example:  aishell approvals list --output json")
@OUTPUT
@click.pass_context
def list_(ctx: click.Context, /, output: str) -> None:
    """What waits now."""
    from aishell.cli.listing import show_rows
    from aishell.state.approvals import shown

    site = open_files(ctx)
    rows = [
        {
            "id": row.id,
            "run": row.run_id[:8],
            "target": site.runs.find(row.run_id).target,
            "step": row.step_id,
            "tool": shown(row)["tool"],
            "level": row.level,
            "expires_at": row.expires_at[:19],
        }
        | ({"run_id": row.run_id, "server": shown(row)["server"]} if output == "json" else {})
        for row in site.approvals.pending()
    ]
    show_rows(rows, output, empty="nothing waits for an approval", least=("step",))


@approvals.command(epilog="Example:  aishell approvals show 1b2c")
@click.argument("approval", metavar="ID")
@OUTPUT
@click.pass_context
def show(ctx: click.Context, /, approval: str, output: str) -> None:
    """Exactly what would run, why it asks, and what it is bound to."""
    from aishell.cli.console import sql_lines, write_json
    from aishell.cli.listing import title
    from aishell.models import Sent
    from aishell.reporting.units import printable
    from aishell.state.approvals import shown

    row = open_files(ctx).approvals.as_asked(approval)
    asked = shown(row)
    if output == "json":
        write_json(
            {
                "id": row.id,
                "run_id": row.run_id,
                "status": row.status,
                "level": row.level,
                "digest": row.digest,
                **asked,
            }
        )
        return
    title(f"approval {row.id}  {row.status}  {asked['tool']} ({asked['risk']} risk), {row.level}")
    say(printable(asked["server"]))
    for sent in asked["statements"]:
        for line in sql_lines(Sent(**sent)):
            say(f"  {line}")
        say(f"    lock {printable(sent['lock'])}  [{printable(sent['source'])}]")
    if "undo" in asked:  # not in what an older aishell asked
        say(printable(asked["undo"]))
    for reason in asked["reasons"]:
        if reason["decision"] in ("confirm", "review", "deny"):
            say(f"asks because: {printable(reason['text'])} ({printable(reason['rule'])})")
    for risk in asked["risks"]:
        say(f"risk: {printable(risk)}")
    say(
        f"run {row.run_id[:8]}, step {printable(row.step_id)}; asked {row.requested_at[:19]}Z, expires {row.expires_at[:19]}Z"
    )
    say(f"digest {row.digest}")


@approvals.command(epilog="Example:  aishell approvals approve 1b2c --reason 'window agreed with the shop team'")
@click.argument("approval", metavar="ID")
@click.option("--reason", default="", metavar="TEXT")
@click.option("--confirm-target", metavar="NAME", help="The target's name, which a review asks for.")
@click.pass_context
def approve(ctx: click.Context, /, approval: str, reason: str, confirm_target: str | None) -> None:
    """Approve a step exactly as shown; what has changed until it runs voids the answer."""
    from aishell.cli.asking import ask
    from aishell.reporting.units import printable
    from aishell.state.runs import who

    site = open_files(ctx)
    row = site.approvals.as_asked(approval)
    target = site.runs.find(row.run_id).target
    if row.level == "review":
        if confirm_target is None and not sys.stdin.isatty():
            answer = command("approvals", "approve", row.id, "--confirm-target", target)
            raise UsageError("this is reviewed: the target's name has to be given", hint=answer)
        if (confirm_target or ask(f"this is reviewed: type the target's name ({printable(target)}): ")) != target:
            raise DeniedError("that is not the target's name; nothing was approved")
    site.approvals.decide(row.id, "approved", by=who(), reason=reason)
    say(f"approved; go on with: {command('runs', 'resume', row.run_id[:8])}")


@approvals.command(epilog="Example:  aishell approvals reject 1b2c --reason 'not before the release'")
@click.argument("approval", metavar="ID")
@click.option("--reason", required=True, metavar="TEXT")
@click.pass_context
def reject(ctx: click.Context, /, approval: str, reason: str) -> None:
    """Refuse a step; the run goes on without it."""
    from aishell.state.runs import who

    site = open_files(ctx)
    row = site.approvals.find(approval)
    site.approvals.decide(row.id, "rejected", by=who(), reason=reason)
    say(f"rejected; go on with: {command('runs', 'resume', row.run_id[:8])}")
