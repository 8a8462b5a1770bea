"""`aishell notify`: who is told what: try it, see what was told and what waits, deliver what waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aishell.cli.common import OUTPUT, open_files
from aishell.cli.listing import show_rows
from aishell.cli.main import LazyGroup
from aishell.cli.streams import say
from aishell.moments import at

if TYPE_CHECKING:
    from aishell.site_files import SiteFiles


@click.group(cls=LazyGroup)
def notify() -> None:
    """Notifications of config/notifications.yaml. They are sent at the end of `run`, `runs resume` and `schedule run-due`."""


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
    tried = [
        {"rule": name, "service": service, "sent": one.sent, "reason": one.reason or None}
        for name, service, one in try_out(site, rules)
    ]
    if output == "table":
        tried = [{**row, "sent": "sent" if row["sent"] else "failed"} for row in tried]
    show_rows(tried, output, empty=f"no rule of {site.notifications.path} notifies anyone")
    ctx.exit(1 if any(row["sent"] not in (True, "sent") for row in tried) else 0)


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
            "id": row.id,
            "decided_at": row.decided_at if output == "json" else at(row.decided_at),
            "rule": row.rule or row.kind,
            "service": row.service,
            "severity": row.severity,
            "title": row.title,
            "status": row.status,
            "attempts": row.attempts,
            "reason": row.reason,
            **(
                {"kind": row.kind, "body": row.body, "next_at": row.next_at, "ended_at": row.ended_at}
                if output == "json"
                else {}
            ),
        }
        for row in found
    ]
    show_rows(
        rows,
        output,
        empty="nothing waits" if waiting else "no notification yet",
        least=("severity", "attempts"),
        limit=limit,
    )


@notify.command(epilog="Examples:  aishell notify incidents   ·   aishell notify incidents --closed")
@click.option("--closed", is_flag=True, help="Include closed ones.")
@click.option("--limit", type=click.IntRange(1), default=30, show_default=True)
@OUTPUT
@click.pass_context
def incidents(ctx: click.Context, /, closed: bool, limit: int, output: str) -> None:
    """List open incidents: each opens once and closes when its cause is gone."""
    site = open_files(ctx)
    found = site.outbox.incidents(limit=limit, every=closed) if site.state_path.exists() else []
    rows: list[dict[str, Any]] = [
        {
            "id": row.id,
            "opened_at": row.opened_at if output == "json" else at(row.opened_at),
            "severity": row.severity,
            "title": row.title,
            "rule": row.rule,
            "closed_at": row.closed_at if output == "json" or not row.closed_at else at(row.closed_at),
        }
        for row in found
    ]
    show_rows(rows, output, empty="no incident is open", limit=limit)


@notify.command(epilog="Example:  aishell notify send")
@click.pass_context
def send(ctx: click.Context, /) -> None:
    """Evaluate the rules and deliver what is pending, for plain cron without schedules. Exit 1 if something failed."""
    from aishell.notifying.telling import tell

    site: SiteFiles = open_files(ctx)
    told = tell(site)
    if told.decided or told.sent or told.failed:
        say(f"{told.decided} decided, {told.sent} sent, {told.failed} failed")
    ctx.exit(1 if told.failed else 0)


@notify.command(hidden=True, epilog="Example:  aishell notify deliver")
def deliver() -> None:
    """What delivers messages to one URL as a process of its own; a job of JSON on standard input, a line a message back."""
    import json
    import sys

    from aishell.notifying.sending import send as sending

    for one in sending(json.load(sys.stdin)):
        say(one.text())
