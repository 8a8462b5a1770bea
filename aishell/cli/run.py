"""`aishell run`: inspect, preview, ask, execute, report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import time as clock
from datetime import tzinfo
from functools import partial
from inspect import cleandoc, getdoc
from typing import TYPE_CHECKING, Any

import click

from aishell.agents.loading import SHOWN, load_agent
from aishell.cli.common import (
    assigned,
    chosen_targets,
    ends,
    interactive,
    notifying,
    on_each,
    open_files,
    open_site,
    run_options,
    target_options,
    treat_sigterm_as_interrupt,
)
from aishell.cli.console import error_document
from aishell.cli.main import LazyGroup, ShowsExamples
from aishell.cli.output import Screen
from aishell.commands import command as spelled
from aishell.errors import AishellError, worst
from aishell.models import RunResult, Task
from aishell.plugins import load

if TYPE_CHECKING:
    from aishell.agents.base import Agent
    from aishell.cli.output import Screen
    from aishell.execution.preview import Preview
    from aishell.site import Site

#: Keys of click's `meta`: names of agents that aishell does not ship, and the commands built so far.
_BROUGHT, _MADE = f"{__name__}.brought", f"{__name__}.made"
#: Not an agent: it runs several.
WORKFLOW = {"workflow": ("aishell.cli.workflow", "Run a workflow: the stages of config/workflows/NAME.yaml.")}


planner_option = click.option(
    "--planner",
    type=click.Choice(["rules", "llm"]),
    help="Planner: rules, or a language model that chooses among the steps of the rules and the tools it is offered.",
)


class AgentCommand(ShowsExamples):
    """The command that runs an agent; `aishell plan` uses it too."""

    def __init__(self, *args: Any, agent: Agent, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.agent = agent

    def taken(self, options: dict[str, Any]) -> dict[str, Any]:
        """The task's inputs, whose options are removed from `options`."""
        from aishell.cli.agent_inputs import given

        return given(self.agent, options, assigned("--set", options.pop("pairs")))


class AgentGroup(LazyGroup):
    """The built-in agents, and those declared by the site's `extensions/` or an installed package."""

    noun = "agent"

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*_dashed(SHOWN), *super().list_commands(ctx), *_dashed(self._brought(ctx))]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name.replace("_", "-"), text) for name, text in SHOWN.items()]
        rows += [(name, text) for name, (_, text) in self.lazy.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
        if brought := self._brought(ctx):
            with formatter.section("Agents of this site and of installed packages"):
                formatter.write_dl(
                    [(name.replace("_", "-"), f"see `{spelled('run', name)} --help`") for name in brought]
                )

    def _brought(self, ctx: click.Context) -> list[str]:
        """Names of agents that aishell does not ship. The site is known only after the options before the command."""
        from aishell.agents.loading import brought

        if ctx.find_root().obj is None:
            return sorted(brought())
        if _BROUGHT not in ctx.meta:
            open_files(ctx)
            ctx.meta[_BROUGHT] = sorted(brought())
        found: list[str] = ctx.meta[_BROUGHT]
        return found

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        wanted = name.replace("-", "_")
        if name in self.lazy or (wanted not in SHOWN and wanted not in self._brought(ctx)):
            return super().get_command(ctx, name)
        made: dict[str, click.Command] = ctx.meta.setdefault(_MADE, {})
        if wanted not in made:
            made[wanted] = command_of(load_agent(wanted))
        return made[wanted]


def _dashed(names: Iterable[str]) -> Iterator[str]:
    return (name.replace("_", "-") for name in names)


@click.group(cls=AgentGroup, lazy=WORKFLOW)
def run() -> None:
    """Inspect a database, preview the plan, ask about risky steps, and execute it."""


def command_of(agent: Agent) -> AgentCommand:
    """The command of an agent, with an option for each input that fits one; `--set` takes all."""
    from aishell.cli.agent_inputs import options as options_of

    examples = f"Examples:  {'   ·   '.join(agent.examples)}" if agent.examples else None
    text = cleandoc(agent.help) or getdoc(type(agent))

    @click.command(agent.type.replace("_", "-"), cls=AgentCommand, agent=agent, help=text, epilog=examples)
    @click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="Any input of the agent.")
    @target_options
    @planner_option
    @run_options
    @click.pass_context
    def command(ctx: click.Context, /, **options: Any) -> None:
        assert isinstance(ctx.command, AgentCommand)  # noqa: S101  it is this one
        ctx.exit(run_all(ctx, agent.type, ctx.command.taken(options), **options))

    taken = {flag for parameter in command.params for flag in parameter.opts}
    command.params[:0] = options_of(agent, taken)
    if agent.extends_command:
        load(agent.extends_command, "extension of a command")(command)
    return command


def run_all(
    ctx: click.Context,
    agent: str,
    inputs: dict[str, Any],
    *,
    output: str,
    then: Callable[[RunResult], None] | None = None,
    **options: Any,
) -> int:
    """Run a task on every chosen target in turn; the exit code. `then`: prints more of each result for people."""
    site = open_site(ctx)
    treat_sigterm_as_interrupt()
    names = site.servers.expand(chosen_targets(site, options))

    def work(name: str) -> tuple[dict[str, Any], int]:
        from aishell.codec import plain

        result = run_one(site, Task(agent, name, input_data=inputs), output=output, **options)
        if then is not None and output == "table":
            then(result)
        return plain(result), result.exit_code

    if options["dry_run"]:
        return worst(on_each(names, work, failure, output))
    with notifying(site):
        return worst(on_each(names, work, failure, output))


def failure(target: str, error: AishellError) -> dict[str, Any]:
    """The JSON of a target on which no run could start."""
    return {"run_id": None, "target": target, "status": "failure", "error": error_document(error)}


def run_one(
    site: Site,
    task: Task,
    *,
    environment: str | None,
    dry_run: bool,
    safety_level: str | None,
    output: str,
    verbose: bool,
    planner: str | None = None,
    created: Callable[[str], None] | None = None,
    **options: Any,
) -> RunResult:
    """Plan, preview and execute on one target. `created` is called with the run's id before its first step."""
    screen = Screen(output, verbose=verbose)
    if not dry_run:
        site.refuse_held(task.target, environment=environment)
    with screen.working(f"inspecting {task.target}"):
        planned = site.plan(
            task, environment=environment, safety_level=safety_level, look_only=dry_run, planner=planner or "rules"
        )
    screen.preview(planned)
    if dry_run:
        return site.preview_result(planned)
    return execute(site, planned, screen, output=output, created=created, **options)


def execute(
    site: Site, planned: Preview, screen: Screen, created: Callable[[str], None] | None = None, **options: Any
) -> RunResult:
    """Execute a previewed plan and print the result."""

    def begun(run_id: str) -> None:
        if created is not None:
            created(run_id)
        screen.created(run_id)

    start = partial(site.run, planned, on_created=begun)
    return driven(screen, start, planned.job.policy.prompt_seconds, planned.job.target.zone, **options)


def driven(
    screen: Screen,
    start: Callable[..., RunResult],
    prompt_seconds: float,
    zone: tzinfo | None,
    *,
    yes: bool,
    non_interactive: bool,
    until: clock | None,
    max_duration: float | None,
    jobs: int | None,
    output: str,
) -> RunResult:
    """Start or resume a run, with prompts if a person is at the terminal, and print the result."""
    approve = screen.approver(prompt_seconds) if interactive(non_interactive, output) else None
    with screen.progress() as observer:
        result = start(approve=approve, yes=yes, jobs=jobs, observer=observer, **ends(until, max_duration, zone))
    screen.result(result)
    return result
