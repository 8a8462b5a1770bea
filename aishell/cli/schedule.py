"""`aishell schedule`: list schedules and their history, pause and skip them, start what is due."""

from __future__ import annotations

import signal
from datetime import UTC, datetime, timedelta
from itertools import islice
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from aishell.cli.common import OUTPUT, before_command, notifying, open_files, open_site, treat_sigterm_as_interrupt
from aishell.cli.listing import show_rows
from aishell.cli.main import LazyGroup
from aishell.cli.output import Screen
from aishell.cli.streams import Notices, say
from aishell.commands import command
from aishell.errors import DeniedError, SettingsError, UnknownNameError, UsageError, worst
from aishell.models import RunResult, server_of
from aishell.moments import at, given, nominal
from aishell.reporting.units import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aishell.scheduling.daemon import Daemon
    from aishell.scheduling.schedules import Schedule
    from aishell.scheduling.starting import Starter
    from aishell.site_files import SiteFiles
    from aishell.state.connection import Record

#: Status of a nominal time for which nothing is started -> exit code of `run-due`.
OVER = {"missed": 4, "skipped": 0, "failed": 1}


@click.group(cls=LazyGroup)
def schedule() -> None:
    """Runs at times of config/schedules.yaml.

    The daemon starts them (`start`), or plain cron: `* * * * * aishell --site DIR schedule run-due`.
    """


@schedule.command("list", epilog="Examples:  aishell schedule list   ·   aishell schedule list --output json")
@OUTPUT
@click.pass_context
def list_(ctx: click.Context, /, output: str) -> None:
    """List every schedule: when it runs, on what, and when next. Exit 2 if the file is invalid."""
    from aishell.scheduling.outlook import listed

    site = open_files(ctx)
    rows = listed(site, datetime.now(UTC))
    if output != "json":
        rows = [{**row, "next": row["next"] and nominal(row["next"])} for row in rows]
    show_rows(rows, output, empty=f"no schedules in {site.schedules.path}")


@schedule.command("next", epilog="Examples:  aishell schedule next   ·   aishell schedule next nightly --count 10")
@click.argument("name", metavar="[NAME]", required=False)
@click.option(
    "--count", type=click.IntRange(1, 1000), default=5, show_default=True, help="Number of times to show for each."
)
@OUTPUT
@click.pass_context
def next_(ctx: click.Context, /, name: str | None, count: int, output: str) -> None:
    """List the coming nominal times, without those that a blackout, a pause or `skip` removes."""
    from aishell.scheduling.outlook import times

    site = open_files(ctx)
    chosen = [site.schedules.named(name)] if name is not None else list(site.schedules.by_name.values())
    now = datetime.now(UTC)
    found = [(moment, one) for one in chosen for moment in islice(times(site, one, now), count)]
    rows: list[dict[str, Any]] = []
    for moment, one in sorted(found, key=lambda pair: pair[0]):
        local, targets, zone = one.timing.local(moment), one.on(site.settings), one.timing.zone.key
        if output == "json":
            row = {"local": local, "nominal_at": moment.isoformat(), "schedule": one.name, "targets": targets}
            rows.append({**row, "time_zone": zone})
        else:
            shown = {"local time": nominal(local), "time_zone": zone, "UTC": nominal(moment)}
            rows.append({**shown, "schedule": one.name, "targets": targets})
    show_rows(rows, output, empty=f"no schedules in {site.schedules.path}", least=("UTC",))


@schedule.command(epilog="Examples:  aishell schedule history   ·   aishell schedule history nightly --limit 100")
@click.argument("name", metavar="[NAME]", required=False)
@click.option("--limit", type=click.IntRange(1), default=30, show_default=True)
@OUTPUT
@click.pass_context
def history(ctx: click.Context, /, name: str | None, limit: int, output: str) -> None:
    """List nominal times and their outcome, newest first; missed and skipped ones with the reason."""
    site = open_files(ctx)
    found = site.ledger.history(name, limit=limit) if site.state_path.exists() else []
    if name is not None and not found:
        site.schedules.named(name)  # raises for an unknown name
    workflows = site.workflow_runs.names([row.run_id for row in found if row.run_id]) if found else {}

    rows = [_document(row, workflows) if output == "json" else _line(row, workflows) for row in found]
    show_rows(rows, output, empty="nothing has been due yet", limit=limit)


def _document(row: Record, workflows: Mapping[str, str]) -> dict[str, Any]:
    """A row of the ledger as JSON. `workflow`: set if `run_id` is a workflow run."""
    optional = {name: row[name] or None for name in ("target", "run_id", "reason")}
    columns = row.columns("id schedule status outcome exit_code nominal_at attempts times")
    return {**columns, **optional, "local": row.local_at, "workflow": workflows.get(row.run_id or "")}


def _line(row: Record, workflows: Mapping[str, str]) -> dict[str, Any]:
    kind = "workflow " if row.run_id in workflows else ""
    return {
        **row.columns("id schedule"),
        "local": nominal(row.local_at),
        **row.columns("target status outcome exit_code"),
        "run_id": f"{kind}{row.run_id[:8]}" if row.run_id else None,
        "reason": row.reason,
    }


@schedule.command(epilog="Example:  aishell schedule pause nightly --until 2026-12-01 --reason 'migration'")
@click.argument("name", metavar="NAME")
@click.option("--until", metavar="TIME", help="Day, or day and time, of the schedule's zone, e.g. '2026-12-01 06:00'.")
@click.option("--reason", default="", metavar="TEXT")
@click.pass_context
def pause(ctx: click.Context, /, name: str, until: str | None, reason: str) -> None:
    """Pause a schedule until a time, or until `schedule resume`. Running work continues."""
    site = open_files(ctx)
    one = site.schedules.named(name)
    end = _moment(one, until) if until is not None else None
    if end is not None and end <= datetime.now(UTC):
        raise UsageError(f"--until {until!r} is in the past", hint="write a future time")
    site.ledger.pause(name, one.timing.text, end, reason)
    until = f"until {one.timing.display(end)}" if end else f"until `{command('schedule', 'resume', name)}`"
    say(f"{name} is paused {until}")


@schedule.command(epilog="Example:  aishell schedule resume nightly")
@click.argument("name", metavar="NAME")
@click.pass_context
def resume(ctx: click.Context, /, name: str) -> None:
    """End a pause. Times that passed meanwhile are not made up."""
    from aishell.scheduling.outlook import times
    from aishell.scheduling.starting import settle_one

    site = open_files(ctx)
    one = site.schedules.named(name)
    settle_one(site, one, datetime.now(UTC))
    if not site.ledger.resume(name):
        raise UsageError(f"the schedule {name} is not paused", hint=f"see `{command('schedule', 'list')}`")
    following = next(times(site, one, datetime.now(UTC)), None)
    say(f"{name} is resumed{f', next at {one.timing.display(following)}' if following else ''}")


@schedule.command(
    epilog="Examples:  aishell schedule skip nightly   ·   aishell schedule skip nightly --at '2026-12-24 02:30'"
)
@click.argument("name", metavar="NAME")
@click.option("--at", metavar="TIME", help="The nominal time, in the schedule's zone (default: the next one).")
@click.option("--reason", default="", metavar="TEXT")
@click.pass_context
def skip(ctx: click.Context, /, name: str, at: str | None, reason: str) -> None:
    """Skip one nominal time: the next, or the one named."""
    from aishell.scheduling.outlook import times

    site = open_files(ctx)
    one = site.schedules.named(name)
    now = datetime.now(UTC)
    moment = next(times(site, one, now), None) if at is None else _moment(one, at)
    if moment is None:
        raise UsageError(f"the schedule {name} has no future time", hint=f"see `{command('schedule', 'next')}`")
    if moment <= now or next(one.timing.after(moment - timedelta(microseconds=1))) != moment:
        raise UsageError(
            f"{one.timing.display(moment)} is not a future time of the schedule {name}",
            hint=f"see `{command('schedule', 'next', name)}`",
        )
    site.ledger.skip(name, moment, one.timing.local(moment), reason)
    say(f"{name} will not run at {one.timing.display(moment)}")


@schedule.command(
    "run-now", epilog="Examples:  aishell schedule run-now nightly   ·   aishell schedule run-now nightly --target shop"
)
@click.argument("name", metavar="NAME")
@click.option("--target", "targets", multiple=True, metavar="T", help="Only these of its targets.")
@click.pass_context
def run_now(ctx: click.Context, /, name: str, targets: tuple[str, ...]) -> None:
    """Run a schedule now, paused or not, and wait for it. If its window is open, it ends when the window closes."""
    site = open_files(ctx)
    one, now = site.schedules.named(name), datetime.now(UTC)
    known = one.on(site.settings)
    if unknown := [target for target in targets if target not in known and server_of(target) not in known]:
        raise UnknownNameError("target", unknown[0], known, f"the schedule {name}")
    _refuse_blackout(one, now)
    for target in targets or known:
        site.holds.refuse(target)
    window = one.timing.window
    until = window.end(now, one.timing.zone) if window else None
    numbers = site.ledger.ask(name, targets or known, now, one.timing.local(now), until)
    with notifying(site, scheduled=True):
        codes = [0, *_starter(ctx, site).run(numbers)]
    rows = (site.ledger.row(number) for number in numbers)
    for row in rows:
        if row.status == "due" and row.pid is None and row.reason == "run-now":
            busy = (
                "the target is in use or the limit of concurrent runs is reached; a `run-due` within an hour starts it"
            )
            say(printable(f"{name} {row.target}: {busy}"))
            codes.append(6)
    ctx.exit(worst(codes))


def _refuse_blackout(one: Schedule, now: datetime) -> None:
    blackout = one.blackout(now)
    if blackout is not None:
        run = command("run", "workflow", one.workflow) if one.workflow else command("run", one.agent.replace("_", "-"))
        raise DeniedError(f"the schedule {one.name} does not run: {blackout.text}", hint=f"`{run}` does it now")


@schedule.command(
    "run-due", epilog="Examples:  aishell schedule run-due   ·   aishell --site /srv/shop schedule run-due"
)
@click.pass_context
def run_due(ctx: click.Context, /) -> None:
    """Run what is due, resume what was killed, wait for both, and exit. For plain cron, every minute.

    Several `run-due` may overlap; each nominal time still runs once. Prints nothing if nothing is due. Exit 4 if a time was
    missed.
    """
    from aishell.scheduling.starting import remove_old_logs, settle_all

    site = open_files(ctx)
    treat_sigterm_as_interrupt()
    codes = [0]
    with notifying(site, scheduled=True):
        for row in settle_all(site, datetime.now(UTC)):
            if row.status != "due":
                _print_row(site, row)
                codes.append(OVER.get(row.status, 0))
        codes += _starter(ctx, site).run()
    remove_old_logs(site)
    ctx.exit(worst(codes))


@schedule.command(hidden=True, epilog="Example:  aishell schedule work 17")
@click.argument("number", metavar="ID", type=click.IntRange(1))
@click.pass_context
def work(ctx: click.Context, /, number: int) -> None:
    """Work on one row of the ledger, in the process that `run-due` or the daemon starts for it."""
    from aishell.cli import workflow
    from aishell.scheduling import working

    treat_sigterm_as_interrupt()
    site, screen = open_site(ctx), Screen("table")
    with screen.progress() as observer:
        result = working.work(site, number, observer, options=before_command(ctx, site))
    if result is None:
        say(f"there is nothing to do for {number} now: see `{command('schedule', 'history')}`")
        return
    if isinstance(result, list):
        for target in result:
            say(printable(target))
        return
    if isinstance(result, RunResult):
        screen.result(result)
        ctx.exit(result.exit_code)
    workflow.print_result(result)
    ctx.exit(result["exit_code"])


def _starter(ctx: click.Context, site: SiteFiles) -> Starter:
    from aishell.scheduling.starting import Starter

    return Starter(site, before_command(ctx, site), lambda row, code: _print_row(site, row, code))


def row_lines(site: SiteFiles, row: Record, code: int = 0) -> list[str]:
    """Lines about a row that has ended, or whose process has. `code`: its exit code; negative, the signal that killed it."""
    from aishell.scheduling.starting import log_of

    ended = f"{row.outcome or ''} (exit {row.exit_code})" if row.exit_code is not None else row.status
    killed = code < 0 and row.status in ("due", "running")
    if killed:
        ended = f"its process was killed (signal {-code})"
    of_workflow = row.run_id and site.workflow_runs.there(row.run_id)
    kind = "workflow run" if of_workflow else "run"
    run = f" {kind} {row.run_id[:8]}" if row.run_id and row.exit_code is not None else ""
    why = f": {row.reason}" if row.reason else ""
    lines = [f"{row.schedule} {nominal(row.local_at)}{f' {row.target}' if row.target else ''}: {ended}{run}{why}"]
    if row.exit_code or row.status == "running" or killed:
        lines.append(f"  → {log_of(site, row.id)}")
    return [printable(line) for line in lines]


def _print_row(site: SiteFiles, row: Record, code: int = 0) -> None:
    for line in row_lines(site, row, code):
        say(line)


def _moment(one: Schedule, text: str) -> datetime:
    """`2026-12-24` or `2026-12-24 02:30`, of the schedule's zone. Raises UsageError."""
    from aishell.scheduling.times import instant

    hint = "write a day or a day and a time: '2026-12-24 02:30'"
    named, local = given(text, of="--until", hint=hint), datetime.fromisoformat(text)
    return named if local.tzinfo else instant(local, one.timing.zone)


@schedule.command(epilog="Examples:  aishell schedule start   ·   aishell --site /srv/shop schedule start")
@click.pass_context
def start(ctx: click.Context, /) -> None:
    """Run the daemon: start what is due, resume what was killed or approved, until SIGTERM or Ctrl-C (exit 0).

    It logs to standard error. A site has one daemon; a second one exits with 6. Changed configuration is loaded without a
    restart; if it is invalid, the daemon reports that and keeps the previous one. Runs continue when the daemon stops.
    """
    from aishell.scheduling.chores import Notifying, Upkeep
    from aishell.scheduling.configuration import Configuration
    from aishell.scheduling.daemon import CHORES, Chore, Daemon
    from aishell.scheduling.starting import Starter

    def log(text: str) -> None:
        if Notices.by_line is not None:
            say(printable(text), err=True)  # a log line has its own time
            return
        say(f"{at(datetime.now(UTC), seconds=True)} {printable(text)}", err=True)

    def log_row(row: Record, code: int = 0) -> None:
        for line in row_lines(configuration.site, row, code):
            log(line)

    configuration = Configuration(open_files(ctx))
    site = configuration.site
    starter = Starter(site, before_command(ctx, site), log_row)
    notifying_ = Notifying(starter)
    chores = (
        *CHORES,
        Chore("notifications", timedelta(minutes=1), notifying_),
        Chore("upkeep", timedelta(minutes=10), Upkeep(starter)),
    )
    daemon = Daemon(configuration, starter, log, log_row, chores=chores, serve=lambda daemon: _serve(daemon, log))

    def stop(number: int, _: FrameType | None) -> None:
        daemon.end(signal.Signals(number).name)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the terminal was closed; configuration is reread without a signal
    daemon.run()
    notifying_.at_end(daemon.site)


def _serve(daemon: Daemon, log: Callable[[str], None]) -> Callable[[], None]:
    """Open the daemon's sockets; a function that closes them. Raises SettingsError.

    Without the extra `daemon` it logs that it serves nothing; that is an error only if a socket is configured.
    """
    from importlib.util import find_spec

    site = daemon.site
    settings = site.settings.daemon
    if not (find_spec("uvicorn") and find_spec("starlette")):
        if settings.socket or settings.listen:
            message = "`daemon:` in aishell.yaml sets `socket` or `listen`, but uvicorn and starlette are not installed"
            raise SettingsError(message, hint="pip install 'aishell[daemon]', or remove these keys")
        log("no socket: pip install 'aishell[daemon]' for approvals from other users, /health and /ready")
        return lambda: None
    from aishell.serving.app import application
    from aishell.serving.server import DaemonServer, bound, listening, socket_path

    settings.token()  # raises if it cannot be read
    path = socket_path(site)
    opened = [bound(path, settings.socket_group)]
    port = listening(settings)
    server = DaemonServer(application(daemon, settings.token), [*opened, *([port] if port else [])], path)
    server.start()
    log(f"listening on {path}{f' and {settings.listen}' if port else ''}")
    return server.stop
