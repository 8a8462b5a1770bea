"""Shared by several commands: opening the site, common options, inputs."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, timedelta, tzinfo
from datetime import time as clock
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from aishell.cli.console import write_json
from aishell.cli.logs import begin
from aishell.cli.streams import say
from aishell.errors import AishellError, UnknownNameError, UsageError
from aishell.locations import state_file
from aishell.models import SAFETY_LEVELS
from aishell.reporting.units import printable

if TYPE_CHECKING:
    from aishell.site import Site
    from aishell.site_files import SiteFiles

S = TypeVar("S", bound="SiteFiles")
OUTPUT = click.option(
    "--output", type=click.Choice(["table", "json"]), default="table", help="json: one document on standard output."
)


def clock_time(_: click.Context, __: click.Parameter, value: str | None) -> clock | None:
    """The value of an `HH:MM` option. Raises UsageError."""
    try:
        return None if value is None else datetime.strptime(value, "%H:%M").time()  # noqa: DTZ007  the zone is the target's
    except ValueError as error:
        raise UsageError(
            f"invalid time of day {value!r} for --until", hint="write HH:MM, e.g. --until 05:30"
        ) from error


def open_site(ctx: click.Context) -> Site:
    """Open the site named by the options before the command; it is closed with the command."""
    from aishell.site import Site

    return _opened(ctx, Site)


def open_files(ctx: click.Context) -> SiteFiles:
    """Open only the configuration and state of that site, for commands that contact no database."""
    from aishell.site_files import SiteFiles

    return _opened(ctx, SiteFiles)


def _opened(ctx: click.Context, kind: type[S]) -> S:
    given = ctx.find_root().obj or {}
    state = state_file(given["state"]) if given.get("state") else None
    site = kind.open(given.get("site"), state=state, trust=bool(given.get("trust_site")), config=given.get("config"))
    site.keeps_prompts = bool(given.get("debug"))
    ctx.call_on_close(site.close)
    ctx.call_on_close(lambda: _send_spans(site))
    begin(site, given.get("log") or {})
    return site


def _send_spans(site: SiteFiles) -> None:
    """Send the remaining spans, after everything else."""
    lost = site.spans.close() if "spans" in site.__dict__ else None
    if lost is not None:
        say(lost, style="yellow", err=True)


def before_command(ctx: click.Context, site: SiteFiles) -> list[str]:
    """The options before the command with which another process works on the same site."""
    given = ctx.find_root().obj or {}
    root = site.places.root
    options = [] if root is None else ["--site", str(root.absolute())]
    options += ["--state", str(site.state_path.absolute())] if site.state_path != site.places.state else []
    options += ["--config", given["config"]] if given.get("config") else []
    log = dict(given.get("log") or {})
    if log.get("file"):
        log["file"] = str(Path(log["file"]).absolute())
    options += [word for name, value in log.items() if value for word in (f"--log-{name}", value)]
    return options + (["--trust-site"] if given.get("trust_site") else [])


def _adds(*options: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator that adds options, in the order in which `--help` lists them."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


TARGETS = click.option(
    "--target", "targets", multiple=True, metavar="T", help="A target of config/targets.yaml; may be repeated."
)
ALL = click.option("--all", "every", is_flag=True, help="Every configured target.")
LABEL = click.option("--label", metavar="L", help="Every target with this label.")
URL = click.option("--url", metavar="URL", help="A database that is not configured, e.g. sqlite:///shop.db.")
ENVIRONMENT = click.option("--environment", metavar="E", help="Environment of --url (default: production).")
DRY_RUN = click.option("--dry-run", is_flag=True, help="Inspect and preview; write nothing to the target.")
YES = click.option(
    "--yes",
    is_flag=True,
    help="Approve steps that the policy allows to be pre-approved (up to medium risk by default).",
)
NON_INTERACTIVE = click.option(
    "--non-interactive", is_flag=True, help="Never prompt: steps needing approval stay pending (exit 3)."
)
UNTIL = click.option(
    "--until",
    metavar="HH:MM",
    callback=clock_time,
    help="Start no step expected to run past this time, in the target's time zone.",
)
MAX_DURATION = click.option(
    "--max-duration",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Start no step expected to run longer than the rest of this time.",
)
JOBS = click.option(
    "--jobs", type=click.IntRange(1, 64), metavar="N", help="Steps to run at once; never two on one table."
)
SAFETY_LEVEL = click.option(
    "--safety-level", type=click.Choice(SAFETY_LEVELS), help="Use a stricter level than the configured one."
)
VERBOSE = click.option("-v", "--verbose", is_flag=True, help="Show every step in full.")

#: The databases to work on.
target_options = _adds(TARGETS, ALL, LABEL, URL, ENVIRONMENT)
#: How a plan is executed.
execution_options = _adds(YES, NON_INTERACTIVE, UNTIL, MAX_DURATION, JOBS)
#: How a task is planned, previewed and executed.
run_options = _adds(DRY_RUN, execution_options, SAFETY_LEVEL, OUTPUT, VERBOSE)


def chosen_targets(site: Site, options: dict[str, Any]) -> list[str | None]:
    """The targets named by `target_options`, which are removed from `options`; [None] is the site's default.

    Raises UsageError for options that exclude each other.
    """
    targets, every, label, url = (options.pop(name) for name in ("targets", "every", "label", "url"))
    ways = [bool(targets), every, label is not None, url is not None]
    if sum(ways) > 1:
        raise UsageError("--target, --all, --label and --url exclude each other")
    if url is not None:
        require_url(url)
        return [url]
    if every:
        return list(site.settings.targets)
    if label is not None:
        return list(_labelled(site, label))
    return list(targets) or [None]


def _labelled(site: Site, label: str) -> list[str]:
    found = [name for name, target in site.settings.targets.items() if label in target.labels]
    if not found:
        raise UnknownNameError("label", label, {one for it in site.settings.targets.values() for one in it.labels})
    return found


def require_url(text: str) -> None:
    """Raises UsageError for a value of `--url` that is not a URL."""
    if "://" not in text:
        raise UsageError(
            "--url is not a URL", hint="write e.g. sqlite:///shop.db; for a configured target use --target"
        )


def own_target(options: dict[str, Any], target: str) -> None:
    """Make `options` choose this target, by name or URL, if they choose none."""
    if options["targets"] or options["every"] or options["label"] is not None or options["url"] is not None:
        return
    if "://" not in target:
        options["targets"] = (target,)
        return
    options["url"] = target  # a URL stored without its password is refused later


def on_each(
    names: Sequence[str | None],
    work: Callable[[str], tuple[Any, int]],
    failed: Callable[[str, AishellError], Any],
    output: str,
    several: str = "runs",
) -> list[int]:
    """Do `work` on one target after the other and print what it returns as JSON; the exit codes.

    An error on one of several targets is printed and becomes the document that `failed` returns; the others continue. With a
    single target it is raised.
    """
    documents: list[Any] = []
    codes = [0]  # --all of a site without targets: nothing to do
    for name in names:
        try:
            document, code = work(name or "")
        except AishellError as error:
            if len(names) == 1:
                raise
            document, code = failed(name or "", error), error.exit_code
            say(f"{printable(name)}: {printable(error.message)}", style="red", err=True)
        documents.append(document)
        codes.append(code)
    if output == "json":
        write_json(documents[0] if len(names) == 1 else {several: documents})
    return codes


def notifying(site: SiteFiles, *, scheduled: bool = False) -> AbstractContextManager[None]:
    """A block after which notifications are sent. `scheduled`: heartbeats too.

    Raises SettingsError before the block if notifications are misconfigured.
    """
    from aishell.notifying.telling import notified_at_end

    return notified_at_end(site, lambda text: say(printable(text), style="yellow", err=True), scheduled=scheduled)


def assigned(option: str, pairs: tuple[str, ...]) -> dict[str, Any]:
    """The `key=value` pairs of an option, each value read as YAML. Raises UsageError."""
    from aishell.settings.yamlfile import parse

    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"{option} {pair!r} is not an assignment", hint=f"write {option} key=value")
        read = parse(value, f"{option} {key}").data
        found[key] = value.strip() if isinstance(read, date) else read  # JSON has no dates: tools take them as text
    return found


def ends(until: clock | None, max_duration: float | None, zone: tzinfo | None) -> dict[str, Any]:
    """`--max-duration` and `--until` as arguments of `Site.run`: `deadline`, monotonic clock, and `until`, wall clock.
    A time of day that has passed means tomorrow; it is in `zone`, None: the host's."""
    deadline = time.monotonic() + max_duration if max_duration is not None else None
    if until is None:
        return {"deadline": deadline, "until": None}
    moment = datetime.now(zone).replace(hour=until.hour, minute=until.minute, second=0, microsecond=0)
    if moment <= datetime.now(zone):
        moment += timedelta(days=1)
    return {"deadline": deadline, "until": datetime.fromtimestamp(moment.timestamp(), UTC)}


def interactive(non_interactive: bool, output: str) -> bool:
    """Whether there is a person at the terminal to ask."""
    return not non_interactive and output != "json" and sys.stdin.isatty() and sys.stderr.isatty()


def treat_sigterm_as_interrupt() -> None:
    """Treat SIGTERM and SIGHUP like Ctrl-C: cancel the statement on the server, record, and exit with 130."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
        signal.signal(signal.SIGHUP, signal.default_int_handler)
