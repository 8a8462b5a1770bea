"""`aishell run backup`: a backup that is known to restore."""

from __future__ import annotations

from typing import Any

import click

from aishell.cli.common import parse_inputs, run_options, target_options
from aishell.cli.run import AgentCommand, run_agent


def inputs(
    backup_type: str | None,
    destination: str | None,
    parent: str | None,
    physical: bool,
    compare: bool | None,
    restore_test: bool,
    cleanup_old: bool,
    options: tuple[str, ...],
    pairs: tuple[str, ...],
) -> dict[str, Any]:
    """The agent's inputs; an option goes before `--set` of the same key."""
    given = {
        "backup_type": backup_type,
        "destination": destination,
        "parent": parent,
        "physical": physical or None,
        "compare": compare,
        "restore_test": restore_test or None,
        "cleanup_old": cleanup_old or None,
        "options": parse_inputs(options) or None,
    }
    return parse_inputs(pairs) | {key: value for key, value in given.items() if value is not None}


@click.command(
    "backup",
    cls=AgentCommand,
    agent="backup",
    inputs=inputs,
    epilog="Examples:  aishell run backup --type full --dry-run   ·   aishell run backup --type full --restore-test --yes   ·   "
    "aishell run backup --type incremental --cleanup-old --set 'retention={count: 7}' --yes",
)
@click.option(
    "--type", "backup_type", type=click.Choice(["full", "incremental"]), help="Type of backup (default: full)."
)
@click.option("--destination", metavar="FOLDER", help="Subfolder of the backup store.")
@click.option(
    "--parent", metavar="BACKUP", help="Backup that an incremental one builds on (default: the newest verified one)."
)
@click.option(
    "--physical",
    is_flag=True,
    help="Copy the files of the whole server instead of the rows of this database; not for SQLite.",
)
@click.option(
    "--compare/--no-compare", default=None, help="Record a fingerprint of every table, to compare a restored copy with."
)
@click.option("--restore-test", is_flag=True, help="Restore it into a scratch place, compare, and remove the copy.")
@click.option("--cleanup-old", is_flag=True, help="Then remove backups past their retention.")
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter of the engine's tool, e.g. jobs=4; `aishell tools show backup_database_full` lists them.",
)
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="Any input of the agent.")
@target_options
@run_options
@click.pass_context
def backup(ctx: click.Context, /, **options: Any) -> None:
    """Back up a database, read the backup in full, and on request restore and compare it."""
    run_agent(ctx, options)
