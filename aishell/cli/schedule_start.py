"""`aishell schedule start`: the daemon, for systemd, a container, or a terminal."""

from __future__ import annotations

import signal
from datetime import UTC, datetime, timedelta
from types import FrameType
from typing import TYPE_CHECKING

import click

from aishell.cli.common import before_command, open_files
from aishell.cli.main import ShowsExamples
from aishell.cli.schedule import told
from aishell.cli.streams import Notices, say
from aishell.errors import SettingsError
from aishell.moments import at

if TYPE_CHECKING:
    from collections.abc import Callable

    from aishell.scheduling.daemon import Daemon
    from aishell.state.connection import Record


@click.command(
    cls=ShowsExamples, epilog="Examples:  aishell schedule start   ·   aishell --site /srv/shop schedule start"
)
@click.pass_context
def start(ctx: click.Context, /) -> None:
    """Run the daemon: start what is due, resume what was killed or approved, until SIGTERM or Ctrl-C (exit 0).

    It logs to standard error. One runs in a site; a second one is told which (exit 6). Configuration that is changed is read by
    itself; where it is wrong, that is told, and what it said before goes on. Runs do not end with the daemon.
    """
    from aishell.reporting.units import printable
    from aishell.scheduling.configuration import Configuration
    from aishell.scheduling.daemon import CHORES, Chore, Daemon
    from aishell.scheduling.starting import Starter
    from aishell.scheduling.telling import Telling
    from aishell.scheduling.upkeep import Upkeep

    def log(text: str) -> None:
        if Notices.by_line is not None:
            say(printable(text), err=True)  # its line says when
            return
        say(f"{at(datetime.now(UTC), seconds=True)} {printable(text)}", err=True)

    def log_row(row: Record, code: int = 0) -> None:
        for line in told(configuration.site, row, code):
            log(line)

    configuration = Configuration(open_files(ctx))
    site = configuration.site
    starter = Starter(site, before_command(ctx, site), log_row)
    telling = Telling(starter)
    chores = (
        *CHORES,
        Chore("telling people", timedelta(minutes=1), telling),
        Chore("upkeep", timedelta(minutes=10), Upkeep(starter)),
    )
    daemon = Daemon(configuration, starter, log, log_row, chores=chores, serve=lambda daemon: _serve(daemon, log))

    def hear(number: int, _: FrameType | None) -> None:
        daemon.end(signal.Signals(number).name)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, hear)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a terminal that closes; files are read again by themselves
    daemon.run()
    telling.at_end(daemon.site)


def _serve(daemon: Daemon, log: Callable[[str], None]) -> Callable[[], None]:
    """Open the sockets; what closes them. Raises SettingsError.

    Without the extra a daemon still runs the nights: it says that it serves nothing, unless it was configured to.
    """
    from importlib.util import find_spec

    site = daemon.site
    settings = site.settings.daemon
    if not (find_spec("uvicorn") and find_spec("starlette")):
        if settings.socket or settings.listen:
            message = "`daemon:` in aishell.yaml names a socket or `listen`, and what serves them is not installed"
            raise SettingsError(message, hint="pip install 'aishell[daemon]', or leave them out")
        log("no socket: pip install 'aishell[daemon]' for approvals from other users, /health and /ready")
        return lambda: None
    from aishell.serving.app import application
    from aishell.serving.server import Server, bound, listening, socket_path

    settings.token()  # raises where it cannot be read
    path = socket_path(site)
    opened = [bound(path, settings.socket_group)]
    port = listening(settings)
    server = Server(application(daemon, settings.token), [*opened, *([port] if port else [])], path)
    server.start()
    log(f"answers at {path}{f' and {settings.listen}' if port else ''}")
    return server.stop
