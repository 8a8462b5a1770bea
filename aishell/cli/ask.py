"""`aishell ask`: plain language in; a plan with its preview, the usual approval and run, or an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from aishell.cli.common import (
    chosen_targets,
    interactive,
    notifying,
    on_each,
    open_site,
    run_options,
    target_options,
    treat_sigterm_as_interrupt,
)
from aishell.cli.main import ShowsExamples
from aishell.cli.run import failure, planner_option, run_one
from aishell.cli.streams import Sentences, say
from aishell.commands import command, spelled
from aishell.errors import DeniedError, UsageError, worst
from aishell.models import Task

if TYPE_CHECKING:
    from aishell.asking.reader import Reading
    from aishell.asking.requests import Order
    from aishell.site import Site


@click.command(
    cls=ShowsExamples,
    epilog="Examples:  aishell ask 'delete audit_log rows older than 90 days, archive them first' --target shop --dry-run   ·   "
    "aishell ask 'back up shop, then vacuum everything but the ledger'   ·   aishell ask 'which backups could I lose?'",
)
@click.argument("text", nargs=-1, required=True)
@target_options
@planner_option
@run_options
@click.pass_context
def ask(ctx: click.Context, /, text: tuple[str, ...], planner: str | None, **options: Any) -> None:
    """Say in plain language what is to be done, or ask about a database.

    The words become tasks of agents and nothing else: their plans are previewed, judged, approved and run as by `aishell run`,
    and every step of medium risk or more needs approval. Rules read them; where a language model is configured (`llm` in
    config/aishell.yaml), it reads what the rules are not sure of, and may choose among the steps. It cannot approve anything.
    """
    from aishell.asking.reader import read_request

    site = open_site(ctx)
    treat_sigterm_as_interrupt()
    given = any((options["targets"], options["every"], options["label"], options["url"]))
    reading = read_request(site, " ".join(text), options["targets"], planner)
    if reading.request.unclear and interactive(options["non_interactive"], options["output"]):
        reading = asked_which(site, reading)
    ctx.exit(answer_or_run(ctx, site, reading, given=given, **options))


class Outcome:
    """A listener for the outcome of a request. A conversation records it; `aishell ask` does not."""

    def run(self, run_id: str) -> None:
        """Note that a run began."""

    def workflow(self, workflow_id: str) -> None:
        """Note that a run of a workflow began."""

    def reply(self, text: str) -> None:
        """Note what the person was told in the end: an answer, or the result of a task."""


def answer_or_run(
    ctx: click.Context,
    site: Site,
    reading: Reading,
    *,
    given: bool,
    dry_run: bool,
    output: str,
    outcome: Outcome | None = None,
    **options: Any,
) -> int:
    """Answer a question, or plan and run the work. Return the exit code. `given`: options name the targets, not the text."""
    outcome = outcome or Outcome()
    request, dry_run = reading.request, dry_run or reading.request.dry_run
    if request.refused:
        hint = f"`{command('run', 'maintenance', '--help')}` shows what one agent does"
        raise DeniedError(f"nothing was done: {spelled(request.refused)}", hint=hint)
    if request.question:
        return _answered(site, reading, given, output, outcome, options)
    if not request.orders:
        raise UsageError(
            _unclear(reading), hint=f"say it in other words, or see `{command('run', 'maintenance', '--help')}`"
        )
    if output == "table":
        _show(reading)
    if len(request.orders) > 1:
        return _several(ctx, site, reading, outcome, given=given, dry_run=dry_run, output=output, **options)
    return _one(site, reading, outcome, given=given, dry_run=dry_run, output=output, **options)


def _one(
    site: Site, reading: Reading, outcome: Outcome, *, given: bool, dry_run: bool, output: str, **options: Any
) -> int:
    """Run one agent's task on each of its targets. Return the exit code."""
    order = reading.request.orders[0]
    names = site.servers.expand(_targets(site, order, given, options))
    screen = {key: options.pop(key) for key in ("environment", "safety_level", "verbose")}

    def work(name: str) -> tuple[dict[str, Any], int]:
        from aishell.codec import plain

        task = Task(
            order.agent, name, dict(order.inputs), description=reading.request.text, metadata={"asked": reading.mark}
        )
        result = run_one(
            site,
            task,
            dry_run=dry_run,
            output=output,
            planner=reading.planner,
            created=outcome.run,
            **screen,
            **options,
        )
        outcome.reply(
            f"{order.agent.replace('_', '-')} on {result.target}: {result.status}. {result.reasoning}".strip()
        )
        return {**plain(result), "request": reading.as_json()}, result.exit_code

    if dry_run:
        return worst(on_each(names, work, failure, output))
    with notifying(site):
        return worst(on_each(names, work, failure, output))


def _targets(site: Site, order: Order, given: bool, options: dict[str, Any]) -> list[str | None]:
    """Return the targets of the options, else those that the text names, else the default (None)."""
    chosen = chosen_targets(site, options)  # takes its keys out of the options
    if given:
        if order.target is not None and chosen != [order.target]:
            raise UsageError(
                f"the text names the target {order.target}, and the options name others", hint="name one of them"
            )
        return chosen
    if order.everywhere:
        return list(site.settings.targets)
    if order.label is not None:
        return [name for name, target in site.settings.targets.items() if order.label in target.labels]
    return [order.target]


def _several(
    ctx: click.Context,
    site: Site,
    reading: Reading,
    outcome: Outcome,
    *,
    given: bool,
    dry_run: bool,
    output: str,
    **options: Any,
) -> int:
    """Run the tasks of several agents as a workflow, in the order of the text. Return the exit code."""
    from aishell.asking.stages import workflow_of
    from aishell.cli.workflow import begin, preview

    if options["url"] is not None:
        raise UsageError(
            "several tasks run on configured targets", hint="give the database a name in config/targets.yaml"
        )
    orders = reading.request.orders
    on = [[site.target(name).name for name in _targets(site, order, given, dict(options))] for order in orders]
    workflow = workflow_of(reading, dict(enumerate(on)))
    placed = [
        (stage.name, str(target)) for stage in workflow.stages for target in site.servers.expand(list(stage.targets))
    ]
    kept = {**options, "dry_run": dry_run, "output": output}
    if dry_run:
        return preview(site, workflow, placed, kept)
    return begin(ctx, site, workflow, placed, kept, outcome.workflow)


def _answered(site: Site, reading: Reading, given: bool, output: str, outcome: Outcome, options: dict[str, Any]) -> int:
    """Answer a question. Return the exit code."""
    from aishell.asking.answering import answer
    from aishell.cli.console import write_json
    from aishell.reporting.units import printable

    names = [str(name) for name in chosen_targets(site, options) if name is not None] if given else []
    shown = None if output == "json" else Sentences.on_terminal("The model {model} says, of the facts below:")
    found = answer(site, reading, [reading.target] if reading.target is not None and not names else names, shown)
    if shown is not None:
        shown.end()
    outcome.reply(found.told or "\n".join(fact.text for fact in found.facts))
    if output == "json":
        write_json({"request": reading.as_json(), **found.as_json()})
        return 0
    for line in found.lines():
        say(printable(line))
    return 0


def _show(reading: Reading) -> None:
    """Print how the text was read, before anything is planned."""
    from aishell.cli.console import console
    from aishell.reporting.units import printable

    out = console()
    for order, reason in zip(reading.request.orders, reading.reasons, strict=True):
        out.print(printable(f"Read as {described(order)}"), style="bold", hang=2)
        for words, meaning in order.because:
            out.print(f"  “{printable(words)}” → {printable(meaning)}", style="dim", hang=4)
        if reason:
            out.print(f"  the model says: {printable(reason)}", style="italic magenta", hang=4)
    if reading.request.ignored and reading.by is None:
        parts = ", ".join(f"“{printable(part)}”" for part in reading.request.ignored)
        out.print(f"  not read: {parts}", style="yellow", hang=4)
    out.print(printable(reading.told), style="dim", hang=2)
    out.print()


def described(order: Order) -> str:
    """Describe a task in one line."""
    where = "every target" if order.everywhere else f"targets labelled {order.label}" if order.label else order.target
    inputs = ", ".join(f"{name} {_value(value)}" for name, value in order.inputs.items())
    return f"{order.agent.replace('_', '-')}{f' on {where}' if where else ''}{f': {inputs}' if inputs else ''}"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return " ".join(f"{key}={item}" for key, item in value.items())
    return ", ".join(map(_value, value)) if isinstance(value, list) else str(value)


def _unclear(reading: Reading) -> str:
    agents = " or ".join(name.replace("_", "-") for name, _ in reading.request.unclear)
    return f"the request is unclear: {agents} may be meant" if agents else "no task was read in the request"


def asked_which(site: Site, reading: Reading) -> Reading:
    """Ask which agent is meant, and return the request as read for it; unchanged if the person chooses none."""
    from aishell.asking.reader import read_for
    from aishell.cli.asking import ask as asked

    names = [name for name, _ in reading.request.unclear]
    numbered = ", ".join(f"{number} {name.replace('_', '-')}" for number, name in enumerate(names, 1))
    while True:
        typed = asked(f"Which agent is meant: {numbered}? ")
        if not typed:
            return reading
        if typed.strip().isdigit() and 0 < int(typed) <= len(names):
            return read_for(site, reading, names[int(typed) - 1])
