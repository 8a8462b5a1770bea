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
@click.option("--backup", metavar="BACKUP", help="Test this backup, given by its id or the beginning of it.")
@target_options
@run_options
@click.pass_context
def restore_test(ctx: click.Context, /, **options: Any) -> None:
    """Restore the backup that has gone longest without a restore test, compare it, and remove the copy.

    The copy is a scratch database or file; the target is not changed. Exit 1 if there is no backup.
    """
    run_agent(ctx, options)
