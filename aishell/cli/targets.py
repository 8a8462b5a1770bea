"""`aishell targets`: list and test the configured databases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from aishell.cli.common import OUTPUT, open_files, open_site
from aishell.cli.console import write_json
from aishell.cli.listing import show_rows
from aishell.cli.main import LazyGroup
from aishell.cli.streams import say
from aishell.codec import plain
from aishell.commands import command
from aishell.errors import AishellError, DatabaseError, UnknownNameError, UsageError
from aishell.moments import at
from aishell.reporting.units import printable
from aishell.state.runs import who

if TYPE_CHECKING:
    from datetime import datetime

    from aishell.reporting.health import Health
    from aishell.settings.targets import Target
    from aishell.site import Site
    from aishell.state.breakers import Breaker


@click.group(cls=LazyGroup)
def targets() -> None:
    """The databases of config/targets.yaml."""


@targets.command("list", epilog="Examples:  aishell targets list   ·   aishell targets list --output json")
@OUTPUT
@click.pass_context
def list_(ctx: click.Context, /, output: str) -> None:
    """List every target with its environment and labels; passwords are masked.

    A target that is a whole server is followed by its databases as last seen; `targets test` looks again.
    """
    from aishell.databases.urls import read_url

    site = open_site(ctx)
    known = site.settings
    rows = [
        {
            "name": name,
            "url": str(read_url(target.url)),
            "environment": target.environment,
            "labels": list(target.labels),
            "time_zone": target.time_zone,
            "default": name == known.default_target if output == "json" else "*" * (name == known.default_target),
            **({"databases": list(target.databases), "server": target.server or None} if output == "json" else {}),
        }
        for name, target in _each(site)
    ]
    show_rows(
        rows, output, empty=f"no targets in {site.places.config / 'targets.yaml'}; `{command('init')}` makes a sample"
    )


def _each(site: Site) -> Iterator[tuple[str, Target]]:
    """The targets of the site, each whole server followed by its databases."""
    targets = site.settings.targets
    below = [name for name in site.target_names if name not in [*targets]]
    for name, target in targets.items():
        yield name, target
        yield from ((one, targets[one]) for one in below if targets[one].server == name)


@targets.command(epilog="Examples:  aishell targets test   ·   aishell targets test shop wiki --output json")
@click.argument("names", metavar="[NAME]…", nargs=-1)
@OUTPUT
@click.pass_context
def test(ctx: click.Context, /, names: tuple[str, ...], output: str) -> None:
    """Connect to every target, or those named: product, version, round trip. Exit 2 if one cannot be reached.

    Each database of a whole server is tested. Open breakers are ignored; that of a target that answers is closed, and waiting
    work continues at once.
    """
    site = open_site(ctx)
    wanted = site.servers.expand(names or list(site.settings.targets))
    chosen = [site.target(name) for name in wanted]
    if not chosen:
        raise UsageError(f"{site.places.config / 'targets.yaml'} has no targets", hint="add one")
    rows = [_tested(site, target) for target in chosen]
    failed = [row for row in rows if row["error"] is not None]
    hidden = () if output == "json" else ("error", "hint")
    show_rows([{key: row[key] for key in row if key not in hidden} for row in rows], output, empty="")
    for row in failed if output != "json" else ():
        say(printable(f"{row['target']}: {row['error']}".lstrip()), style="red")
        say(f"  → {printable(row['hint'])}")
    ctx.exit(2 if failed else 0)


def _tested(site: Site, target: Target) -> dict[str, Any]:
    from aishell.services.doctor import contact, unreachable

    row: dict[str, Any] = {"target": target.name, "mode": "unreachable", "server": None, "database": None, "user": None}
    row |= {"connect_ms": None, "statement_ms": None, "tls": None, "error": None, "hint": None}
    try:
        with site.look(target) as job:
            try:
                met = contact(job)
            except DatabaseError as error:
                found = unreachable(job, error)
                return row | {"error": found.text, "hint": found.remedy}
            if site.state_path.exists() and site.breakers.find(target.name) is not None:
                site.breakers.close(target.name, f"{who()} tested the target, and it answered")
    except AishellError as error:
        return row | {"error": error.message, "hint": error.hint or "correct config/targets.yaml"}
    server = met.server
    return row | {
        "server": f"{server.product} {server.version_text}",
        "database": server.database,
        "user": server.user or None,
        "mode": "standby" if server.standby else "read-only" if server.read_only else "read-write",
        "connect_ms": round(met.connect * 1000, 1),
        "statement_ms": round(met.round_trip * 1000, 2),
        "tls": None if met.encryption is None else str(met.encryption),
    }


@targets.command(
    epilog="Examples:  aishell targets health   ·   aishell targets health shop   ·   aishell targets health --output json"
)
@click.argument("names", metavar="[NAME]…", nargs=-1)
@OUTPUT
@click.pass_context
def health(ctx: click.Context, /, names: tuple[str, ...], output: str) -> None:
    """Show the health score of every target, or of those named, and what lowers it, by the newest health check.

    100 is the best; below 50 there is a critical finding. Open breakers are shown too: several connections in a row failed,
    and none is tried for a while; `aishell targets test` tries one now. No database is contacted.
    """
    from datetime import UTC, datetime

    from aishell.reporting.health import health as health_of
    from aishell.state import readings

    site = open_files(ctx)
    found = readings.read(site.store) if site.state_path.exists() else readings.Readings()
    known = {row.target: health_of(row.target, row.run_id, row.at, row.output) for row in found.health}
    breakers = {one.target: one for one in found.breakers}
    now = datetime.now(UTC)
    configured = site.target_names
    for name in names:
        if name not in {*known, *configured, *site.settings.targets}:
            raise UnknownNameError("target", name, {*known, *configured})
    chosen = list(names) or list(dict.fromkeys((*configured, *known, *breakers)))
    if output == "json":
        write_json([_document(name, known.get(name), breakers.get(name), now) for name in chosen])
        return
    for name in chosen:
        if name in breakers and breakers[name].opened_at is not None:
            _breaker(breakers[name], name, now)
        _health(name, known.get(name))
    if not chosen:
        say("no targets")


def _document(name: str, health: Health | None, breaker: Breaker | None, now: datetime) -> dict[str, Any]:
    known = {"target": name, "score": None} if health is None else plain(health)
    return {**known, "breaker": None if breaker is None else {"state": breaker.state(now), **plain(breaker)}}


def _breaker(breaker: Breaker, name: str, now: datetime) -> None:
    from aishell.state.breakers import HALF_OPEN

    half = breaker.state(now) == HALF_OPEN
    when = "one is tried next" if half else f"none is tried before {breaker.tried_after}"
    say(printable(breaker.text), style="red")
    say(f"  → {when}; `{command('targets', 'test', name)}` tries now")


def _health(name: str, one: Health | None) -> None:
    """Print the score and what lowers it."""
    if one is None:
        say(printable(f"{name}: unknown: no health check in the kept runs"))
        return
    say(printable(f"{name}: {one.score} of 100, by run {one.run_id[:8]} of {at(one.at)}"))
    for lowered in one.lowered:
        count = len(lowered.findings)
        say(f"  −{lowered.points}  {count} {lowered.severity} finding{'s' if count > 1 else ''}")
        for finding in lowered.findings:
            about = " ".join(str(finding[key]) for key in ("finding", "object") if finding.get(key))
            say(printable(f"       {about}: {finding.get('value')}"))
