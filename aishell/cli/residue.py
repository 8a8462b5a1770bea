"""`aishell run residue`: what killed runs have left."""

from __future__ import annotations

from typing import Any

import click

from aishell.cli.common import run_options, target_options
from aishell.cli.run import AgentCommand, run_agent


def inputs() -> dict[str, Any]:
    """None: what there is to remove is looked up."""
    return {}


@click.command(
    "residue",
    cls=AgentCommand,
    agent="residue",
    inputs=inputs,
    epilog="Examples:  aishell run residue --dry-run   ·   aishell run residue --target shop --yes",
)
@target_options
@run_options
@click.pass_context
def residue(ctx: click.Context, /, **options: Any) -> None:
    """Remove what killed and abandoned runs left behind: scratch databases, replication slots, unfinished files.

    Only what certainly belongs to this site and to a run that is over, and is not in use. A run that can be resumed keeps
    what it has: `aishell runs cancel` gives it up.
    """
    run_agent(ctx, options)
