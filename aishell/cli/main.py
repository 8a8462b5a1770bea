"""The entry point: a click group that imports a command only when it is called, and errors turned into exit codes.

`aishell --help` costs what click costs: nothing else may be imported at the top of this module (bench/bench_startup.py).
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from aishell import __version__
from aishell.commands import before, command

#: Command -> (its module, its line in `--help`).
COMMANDS = {
    "init": ("aishell.cli.init", "Make a site: commented configuration and a sample database."),
    "doctor": (
        "aishell.cli.doctor",
        "Check connection, privileges, extensions and disk, with a remedy for each finding.",
    ),
    "targets": ("aishell.cli.targets", "List the configured databases, or test them."),
    "run": ("aishell.cli.run", "Inspect, preview, ask and execute."),
    "ask": ("aishell.cli.ask", "Request work in plain language, or ask about a database."),
    "chat": ("aishell.cli.chat", "Ask in a conversation that keeps its context; list, resume and delete them."),
    "plan": ("aishell.cli.plan", "Make a plan and show or save it; execute nothing."),
    "apply": ("aishell.cli.plan", "Execute a saved plan."),
    "runs": ("aishell.cli.runs", "List, show, resume, pause and cancel runs."),
    "schedule": ("aishell.cli.schedule", "List schedules and their history; start what is due."),
    "workflows": ("aishell.cli.workflow", "List workflows and their runs."),
    "digest": ("aishell.cli.reports", "Report on one night over all targets, most urgent first."),
    "backlog": ("aishell.cli.backlog", "List work that did not fit into a window; the next run starts with it."),
    "notes": ("aishell.cli.notes", "Leave notes on targets and tables, which plans take into account."),
    "hold": ("aishell.cli.hold", "Emergency stop: start no new step, anywhere or on one target."),
    "release": ("aishell.cli.hold", "Lift a hold."),
    "notify": ("aishell.cli.notify", "Test notifications, and list those sent and pending."),
    "approvals": ("aishell.cli.approvals", "List, approve, edit or reject pending steps."),
    "policy": ("aishell.cli.policy", "Explain the policy's decision on a tool and a target."),
    "tools": ("aishell.cli.tools", "List what aishell can do to a database, and how often it has."),
    "backups": ("aishell.cli.backups", "List, check, restore and remove backups."),
    "archives": ("aishell.cli.archives", "List and check archived rows, and put them back."),
    "state": ("aishell.cli.state", "Check and compact state.db."),
    "metrics": ("aishell.cli.metrics", "Print metrics in Prometheus text format."),
    "audit": ("aishell.cli.audit", "Verify or export the audit log."),
}


class ShowsExamples(click.Command):
    """A command whose epilog, `Examples:  one   ·   another`, is shown one example per line."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.epilog:
            _, _, lines = self.epilog.partition(":")
            with formatter.section("Examples"):
                for line in lines.split("·"):
                    formatter.write(f"{'':>{formatter.current_indent}}{line.strip()}\n")


class LazyGroup(ShowsExamples, click.Group):
    """A group that imports commands when they are called, and suggests near names for unknown ones."""

    def __init__(self, *args: Any, lazy: dict[str, tuple[str, str]] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lazy = lazy or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.lazy, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self.lazy:
            return super().get_command(ctx, name)
        module, _ = self.lazy[name]
        found: click.Command = getattr(import_module(module), name)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0].replace("_", "-")
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            from aishell.errors import UnknownNameError

            unknown = UnknownNameError(self.noun, args[0], self.list_commands(ctx))
            below = [f"`{command(group, name)}`" for group in self._groups_with(ctx, name)]
            if below:
                unknown.hint = f"did you mean {', '.join(below)}?"
            raise unknown
        return super().resolve_command(ctx, [name, *args[1:]])

    def _groups_with(self, ctx: click.Context, name: str) -> list[str]:
        """The subgroups that have a command of this name, e.g. `schedule` for `run-due`."""
        groups = {group: self.get_command(ctx, group) for group in self.lazy}
        found = {group: of.get_command(ctx, name) for group, of in groups.items() if isinstance(of, click.Group)}
        return [group for group, there in found.items() if there is not None and not there.hidden]

    command_class = ShowsExamples
    #: The noun for a name in an error.
    noun = "command"

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing the lazy ones."""
        rows = [(name, text) for name, (_, text) in self.lazy.items()]
        shown = {name: command for name, command in self.commands.items() if not command.hidden}
        rows += [(name, command.get_short_help_str(90)) for name, command in shown.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.command(
    cls=LazyGroup,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Examples:  aishell init shop   ·   aishell run maintenance --dry-run   ·   aishell runs list",
)
@click.version_option(__version__, prog_name="aishell")
@click.option(
    "--site",
    metavar="DIR",
    help="Folder with config/, tools/ and state.db (default: $AISHELL_SITE, else the current folder).",
)
@click.option("--state", metavar="FILE", help="Use this state store instead of the site's state.db.")
@click.option("--trust-site", is_flag=True, help="Use the site even if users other than you and root can write to it.")
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    help="json: one line per event, on standard error or in the file set by `logging:` in aishell.yaml.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="Log events of this level and above (default: info); implies --log-format json.",
)
@click.option(
    "--log-file", metavar="FILE", help="Append the log to FILE, created with mode 0600; implies --log-format json."
)
@click.option(
    "--debug", is_flag=True, help="Print the full traceback of an error; keep a model's prompts in the audit log."
)
@click.option(
    "--config", metavar="DIR", hidden=True, help="Configuration folder of a daemon while the site's own is invalid."
)
@click.pass_context
def cli(
    ctx: click.Context,
    site: str | None,
    state: str | None,
    trust_site: bool,
    log_format: str | None,
    log_level: str | None,
    log_file: str | None,
    debug: bool,
    config: str | None,
) -> None:
    """Database maintenance for PostgreSQL, MySQL/MariaDB and SQLite: previewed, approved, recoverable and verified."""
    given = (("--site", site), ("--state", state))
    before(*(word for option, value in given if value for word in (option, value)), *(["--trust-site"] * trust_site))
    log = {"format": log_format, "level": log_level, "file": log_file}
    ctx.obj = {"site": site, "state": state, "trust_site": trust_site, "config": config, "log": log, "debug": debug}


def main() -> None:
    """Run the command line and leave with the exit code of model.md."""
    from aishell.cli.boundary import leave

    leave(lambda: cli.main(standalone_mode=False))
