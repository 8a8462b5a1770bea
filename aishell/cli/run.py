"""`aishell run`: inspect, preview, ask, execute, report."""

from __future__ import annotations

from collections.abc import Callable
from datetime import time as clock
from inspect import getdoc, signature
from typing import TYPE_CHECKING, Any

import click

from aishell.cli.common import (
    chosen_targets,
    ends,
    hear_sigterm,
    interactive,
    notifying,
    on_each,
    open_files,
    open_site,
    parse_inputs,
    run_options,
    target_options,
)
from aishell.cli.main import LazyGroup, ShowsExamples
from aishell.commands import command as spelled
from aishell.errors import AishellError, worst
from aishell.models import RunResult, Task

if TYPE_CHECKING:
    from aishell.cli.output import Screen
    from aishell.execution.preview import Preview
    from aishell.site import Site

#: Where click keeps the agents that did not come with aishell, which are looked for once a command.
_BROUGHT = f"{__name__}.brought"
#: What is no agent: it runs several.
WORKFLOW = {
    "workflow": ("aishell.cli.workflow", "workflow", "Run a workflow: the stages of config/workflows/NAME.yaml.")
}
#: The agents whose commands stand in files of their own; as in `aishell.cli.main.COMMANDS`.
AGENTS = {
    "backup": ("aishell.cli.backup", "backup", "Back up a database, and verify that the backup can be read."),
    "log-cleanup": (
        "aishell.cli.log_cleanup",
        "log_cleanup",
        "Delete the rows of log tables that are older than their retention.",
    ),
    "restore-test": (
        "aishell.cli.restore_test",
        "restore_test",
        "Restore the backup that has gone longest without a restore test, and compare it.",
    ),
    "residue": ("aishell.cli.residue", "residue", "Remove what killed and abandoned runs left behind."),
}


class AgentCommand(ShowsExamples):
    """What runs an agent. `inputs` makes the task's inputs of the command's own options; `aishell plan` uses it too."""

    def __init__(self, *args: Any, agent: str, inputs: Callable[..., dict[str, Any]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.agent, self.inputs = agent, inputs

    def taken(self, options: dict[str, Any]) -> dict[str, Any]:
        """The task's inputs; what they were made of is taken out of `options`."""
        return self.inputs(**{name: options.pop(name) for name in signature(self.inputs).parameters})


class AgentGroup(LazyGroup):
    """The built-in agents, and those that the site's `extensions/` or an installed package declares."""

    noun = "agent"

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *(name.replace("_", "-") for name in self._brought(ctx))]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_commands(ctx, formatter)
        if brought := self._brought(ctx):
            with formatter.section("Agents of this site and of installed packages"):
                formatter.write_dl(
                    [(name.replace("_", "-"), f"see `{spelled('run', name)} --help`") for name in brought]
                )

    def _brought(self, ctx: click.Context) -> list[str]:
        """Their names. Which site it is, is known when the options before the command have been read."""
        from aishell.agents.loading import brought

        if ctx.find_root().obj is None:
            return sorted(brought())
        if _BROUGHT not in ctx.meta:
            open_files(ctx)
            ctx.meta[_BROUGHT] = sorted(brought())
        found: list[str] = ctx.meta[_BROUGHT]
        return found

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        known = super().get_command(ctx, name)
        if known is not None:
            return known
        wanted = name.replace("-", "_")
        return custom(wanted) if wanted in self._brought(ctx) else None


@click.group(cls=AgentGroup, lazy=AGENTS | WORKFLOW)
def run() -> None:
    """Inspect a database, preview the plan, ask about risky steps, and execute it."""


def maintenance_inputs(
    kind: str | None,
    tables: tuple[str, ...],
    exclude: tuple[str, ...],
    all_tables: bool,
    create_backup: bool | None,
    pairs: tuple[str, ...],
) -> dict[str, Any]:
    """The agent's inputs; an option goes before `--set` of the same key. Raises UnknownNameError for an unknown type."""
    from aishell.agents.maintenance.agent import TYPES
    from aishell.errors import UnknownNameError

    inputs = parse_inputs(pairs)
    if kind is not None:
        inputs["maintenance_type"] = kind
    if tables:
        inputs["tables"] = list(tables)
    if exclude:
        inputs["exclude"] = list(exclude)
    if all_tables:
        inputs["all_tables"] = True
    if create_backup is not None:
        inputs["create_backup"] = create_backup
    given = inputs.get("maintenance_type", "standard")
    if given not in TYPES:
        raise UnknownNameError("maintenance type", str(given), TYPES)
    return inputs


@run.command(
    cls=AgentCommand,
    agent="maintenance",
    inputs=maintenance_inputs,
    epilog="Examples:  aishell run maintenance --type full --dry-run   ·   aishell run maintenance --url sqlite:///shop.db --yes",
)
@click.option(
    "--type",
    "kind",
    default=None,
    metavar="TYPE",
    help="quick (statistics), standard (and vacuum), full (and indexes, rewrite, check), emergency.",
)
@click.option(
    "--table", "tables", multiple=True, metavar="T", help="Only these tables; globs and schema.table allowed."
)
@click.option("--exclude", multiple=True, metavar="T", help="Skip these tables; globs and schema.table allowed.")
@click.option("--all-tables", is_flag=True, help="Refresh the statistics of every table, not only stale ones.")
@click.option(
    "--create-backup/--no-backup",
    default=None,
    help="Make and verify a full backup first, unless a recent verified one exists.",
)
@click.option(
    "--set",
    "pairs",
    multiple=True,
    metavar="KEY=VALUE",
    help="Any input of the agent, e.g. fragmentation_threshold=40.",
)
@target_options
@run_options
@click.pass_context
def maintenance(ctx: click.Context, /, **options: Any) -> None:
    """Statistics, vacuum, index rebuilds, corruption check and report."""
    run_agent(ctx, options)


class BroughtCommand(AgentCommand):
    """What runs an agent that did not come with aishell: an option for each of its inputs, else `--set`."""

    def taken(self, options: dict[str, Any]) -> dict[str, Any]:
        from aishell.cli.agent_inputs import given

        own = given(options)
        return {**super().taken(options), **own}


def custom(name: str) -> AgentCommand:
    """The command of an agent that the site or an installed package brought."""
    from aishell.agents.loading import load_agent
    from aishell.cli.agent_inputs import options as options_of

    agent = load_agent(name)

    @click.command(name, cls=BroughtCommand, agent=name, inputs=parse_inputs, help=getdoc(type(agent)))
    @click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="An input of the agent.")
    @target_options
    @run_options
    @click.pass_context
    def command(ctx: click.Context, /, **options: Any) -> None:
        run_agent(ctx, options)

    taken = {flag for parameter in command.params for flag in parameter.opts}
    command.params[:0] = options_of(agent.inputs, taken)
    return command


def run_agent(ctx: click.Context, options: dict[str, Any]) -> None:
    """What a command of `aishell run` does."""
    assert isinstance(ctx.command, AgentCommand)  # noqa: S101  every command that calls this is one
    ctx.exit(run_all(ctx, ctx.command.agent, ctx.command.taken(options), **options))


def run_all(
    ctx: click.Context,
    agent: str,
    inputs: dict[str, Any],
    *,
    output: str,
    then: Callable[[RunResult], None] | None = None,
    **options: Any,
) -> int:
    """Run a task on every chosen target, one after the other; the exit code. `then`: shows what else there is for people."""
    site = open_site(ctx)
    hear_sigterm()
    names = site.servers.expand(chosen_targets(site, options))

    def work(name: str) -> tuple[dict[str, Any], int]:
        from aishell.execution.result import contract

        result = run_one(site, Task(agent, name, input_data=inputs), output=output, **options)
        if then is not None and output == "table":
            then(result)
        return contract(result), result.exit_code

    if options["dry_run"]:
        return worst(on_each(names, work, failure, output))
    with notifying(site):
        return worst(on_each(names, work, failure, output))


def failure(target: str, error: AishellError) -> dict[str, Any]:
    """The JSON of a target on which nothing could be begun."""
    described = {"type": type(error).__name__, "message": error.message, "step_id": None, "hint": error.hint}
    return {"run_id": None, "target": target, "status": "failure", "error": described}


def run_one(
    site: Site,
    task: Task,
    *,
    environment: str | None,
    dry_run: bool,
    safety_level: str | None,
    output: str,
    verbose: bool,
    **options: Any,
) -> RunResult:
    """Plan, preview and execute on one target."""
    from aishell.cli.output import Screen

    screen = Screen(output, verbose=verbose)
    if not dry_run:
        site.refuse_held(task.target, environment=environment)
    with screen.working(f"inspecting {task.target}"):
        planned = site.plan(task, environment=environment, safety_level=safety_level, look_only=dry_run)
    screen.preview(planned)
    return site.preview_result(planned) if dry_run else execute(site, planned, screen, output=output, **options)


def execute(
    site: Site,
    planned: Preview,
    screen: Screen,
    *,
    yes: bool,
    non_interactive: bool,
    until: clock | None,
    max_duration: float | None,
    jobs: int | None,
    output: str,
) -> RunResult:
    """Run what was previewed, and show what became of it."""
    job = planned.job
    window = ends(until, max_duration, job.target.zone)
    approve = screen.approver(job.policy.prompt_seconds) if interactive(non_interactive, output) else None
    with screen.progress() as observer:
        result = site.run(
            planned, approve=approve, yes=yes, jobs=jobs, observer=observer, on_created=screen.created, **window
        )
    screen.result(result)
    return result
