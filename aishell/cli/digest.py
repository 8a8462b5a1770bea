"""`aishell digest`: one report of a night, over all targets."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aishell.cli.common import open_files
from aishell.cli.main import ShowsExamples
from aishell.cli.reports import deliver, report_options
from aishell.commands import command
from aishell.errors import SettingsError, StateError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aishell.reporting.night import Need
    from aishell.site_files import SiteFiles


@click.command(
    cls=ShowsExamples,
    epilog="Examples:  aishell digest   ·   aishell digest -o night.html   ·   aishell digest --since 7d --format markdown",
)
@click.option(
    "--since",
    default="24h",
    show_default=True,
    metavar="WHEN",
    help="How long ago, as 12h or 7d, or a day or a time in UTC, as 2026-11-22 or '2026-11-22 18:00'.",
)
@report_options
@click.pass_context
def digest(ctx: click.Context, /, since: str, form: str | None, out: Path | None) -> None:
    """One report of a night over all targets: what needs a person, what was done, how that compares.

    It is made of what stands in state.db; no database is connected to. What is open is told whenever it began.
    """
    from aishell.reporting import pages
    from aishell.reporting.gathering import gather_night
    from aishell.reporting.night import document
    from aishell.state.locks import is_held

    site = open_files(ctx)
    until = datetime.now(UTC)
    begin = moment(since, until)
    if not site.state_path.exists():
        raise StateError("there is nothing to report: no run was made yet", hint=f"there is no {site.state_path}")
    night = gather_night(
        site.store,
        begin,
        until,
        targets=site.settings.targets,
        backups=site.vault.entries(),
        running=lambda run_id: is_held(site.run_lock(run_id)),
        further=_schedules(site, until),
        site=f"{socket.gethostname()}:{(site.places.root or site.state_path.parent).absolute()}",
    )
    deliver(lambda: pages.digest(night), lambda: document(night), form, out)


def _schedules(site: SiteFiles, until: datetime) -> Iterator[Need]:
    """Schedules that nothing looks at, or that cannot be read: a night is reported all the same."""
    from aishell.reporting.needs import overlooked
    from aishell.reporting.night import Need
    from aishell.scheduling.starting import paused

    try:
        yield from overlooked(site.schedules.by_name.values(), site.ledger.known(), paused, until)
    except SettingsError as error:
        yield Need("missed", "", f"no schedule runs: {error.message}", None, command("schedule", "list"))


def moment(text: str, now: datetime) -> datetime:
    """When `--since` is, in UTC: a duration before `now`, a day or a time. Raises UsageError."""
    from aishell.scheduling.times import seconds

    hint = "write a duration (12h, 7d), a day, or a day and a time: '2026-11-22 18:00'"
    try:
        begin = now - timedelta(seconds=seconds(text))
    except OverflowError as error:
        raise UsageError(f"--since {text!r} is before all times", hint=hint) from error
    except ValueError:
        try:
            given = datetime.fromisoformat(text)
        except ValueError as error:
            raise UsageError(f"invalid time {text!r}", hint=hint) from error
        begin = given.astimezone(UTC) if given.tzinfo else given.replace(tzinfo=UTC)
    if begin >= now:
        raise UsageError(f"--since {text!r} is not over yet", hint=hint)
    return begin
