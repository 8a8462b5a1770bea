"""`aishell notify`: test, list and deliver notifications."""

from __future__ import annotations

import click

from aishell.cli.common import OUTPUT, open_files
from aishell.cli.listing import show_rows
from aishell.cli.main import LazyGroup
from aishell.cli.streams import say


@click.group(cls=LazyGroup)
def notify() -> None:
    """Notifications by config/notifications.yaml. They are sent at the end of `run`, `runs resume` and `schedule run-due`."""


@notify.command(
    epilog="Examples:  aishell notify test   ·   aishell notify test failures   ·   aishell notify test digest"
)
@click.argument("rule", metavar="[RULE]", required=False)
@OUTPUT
@click.pass_context
def test(ctx: click.Context, /, rule: str | None, output: str) -> None:
    """Send a test message to the services of every rule and the digest, or of one. Exit 1 if one fails."""
    from aishell.notifying.telling import try_out

    site = open_files(ctx)
    rules = site.notifications.trials if rule is None else (site.notifications.named(rule),)
    tried = list(try_out(site, rules))
    words = {True: "sent", False: "failed"}
    rows = [
        {
            "rule": name,
            "service": service,
            "sent": one.sent if output == "json" else words[one.sent],
            "reason": one.reason or None,
        }
        for name, service, one in tried
    ]
    show_rows(rows, output, empty=f"no rule of {site.notifications.path} notifies anyone")
    ctx.exit(0 if all(one.sent for _, _, one in tried) else 1)


@notify.command("list", epilog="Examples:  aishell notify list   ·   aishell notify list --waiting --output json")
@click.option("--waiting", is_flag=True, help="Only undelivered ones.")
@click.option("--limit", type=click.IntRange(1), default=30, show_default=True)
@OUTPUT
@click.pass_context
def list_(ctx: click.Context, /, waiting: bool, limit: int, output: str) -> None:
    """List notifications and their delivery, newest first."""
    site = open_files(ctx)
    found = site.outbox.recent(limit=limit, waiting=waiting) if site.state_path.exists() else []
    rows = [
        {
            **row.columns("id decided_at"),
            "rule": row.rule or row.kind,
            **row.columns("service severity title status attempts reason"),
            **(row.columns("kind body next_at ended_at") if output == "json" else {}),
        }
        for row in found
    ]
    empty = "no notification is pending" if waiting else "no notification yet"
    show_rows(rows, output, empty=empty, least=("severity", "attempts"), moments=("decided_at",), limit=limit)


@notify.command(epilog="Examples:  aishell notify incidents   ·   aishell notify incidents --closed")
@click.option("--closed", is_flag=True, help="Include closed ones.")
@click.option("--limit", type=click.IntRange(1), default=30, show_default=True)
@OUTPUT
@click.pass_context
def incidents(ctx: click.Context, /, closed: bool, limit: int, output: str) -> None:
    """List open incidents: each opens once and closes when its cause is gone."""
    site = open_files(ctx)
    found = site.outbox.incidents(limit=limit, every=closed) if site.state_path.exists() else []
    rows = [row.columns("id opened_at severity title rule closed_at") for row in found]
    show_rows(rows, output, empty="no incident is open", moments=("opened_at", "closed_at"), limit=limit)


@notify.command(epilog="Example:  aishell notify send")
@click.pass_context
def send(ctx: click.Context, /) -> None:
    """Evaluate the rules and deliver what is pending, for plain cron without schedules. Exit 1 if something failed."""
    from aishell.notifying.telling import tell

    counts = tell(open_files(ctx))
    if counts.decided or counts.sent or counts.failed:
        say(f"{counts.decided} decided, {counts.sent} sent, {counts.failed} failed")
    ctx.exit(1 if counts.failed else 0)


@notify.command(hidden=True, epilog="Example:  aishell notify deliver")
def deliver() -> None:
    """Deliver messages to one URL: the job as JSON on standard input, one line of output per message."""
    import json
    import sys

    from aishell.notifying.sending import send as sending

    for one in sending(json.load(sys.stdin)):
        say(one.text())
