"""`aishell run restore-test`: does a backup come back."""

from __future__ import annotations

from typing import Any

import click

from aishell.cli.common import run_options, target_options
from aishell.cli.run import AgentCommand, run_agent


def inputs(backup: str | None) -> dict[str, Any]:
    """The agent's inputs."""
    return {} if backup is None else {"backup": backup}


@click.command(
    "restore-test",
    cls=AgentCommand,
    agent="restore_test",
    inputs=inputs,
    epilog="Examples:  aishell run restore-test --dry-run   ·   aishell run restore-test --all --yes",
)
@click.option("--backup", metavar="BACKUP", help="This one, by its id or the beginning of it.")
@target_options
@run_options
@click.pass_context
def restore_test(ctx: click.Context, /, **options: Any) -> None:
    """Restore the backup of a target that was not restored for the longest time, compare it, and remove that again.

    Into a scratch database or file beside what is there; nothing of the target is changed. Exit 1 where there is no backup.
    """
    run_agent(ctx, options)
