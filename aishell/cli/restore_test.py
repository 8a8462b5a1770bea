"""`aishell run restore-test`: the proof of a backup that has waited for it longest."""

from __future__ import annotations

from typing import Any

import click

from aishell.cli.common import run_options, target_options
from aishell.cli.run import AgentCommand, run_agent


def inputs() -> dict[str, Any]:
    """None: which backup it is, is looked up."""
    return {}


@click.command(
    "restore-test",
    cls=AgentCommand,
    agent="restore_test",
    inputs=inputs,
    epilog="Examples:  aishell run restore-test --dry-run   ·   aishell run restore-test --target shop --yes   ·   "
    "aishell run workflow weekly --all",
)
@target_options
@run_options
@click.pass_context
def restore_test(ctx: click.Context, /, **options: Any) -> None:
    """Restore the backup that has gone longest without proof into scratch, compare it, and remove that again.

    Run each week, it comes round to every backup. It takes as much room as the database does, on the target's own server (for
    SQLite, and for backups of a server's files, where backups are kept); no table of the target is touched.
    """
    run_agent(ctx, options)
