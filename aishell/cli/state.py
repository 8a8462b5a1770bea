"""`aishell state`: check and compact the state store."""

from __future__ import annotations

from dataclasses import asdict

import click

from aishell.cli.common import OUTPUT, open_files
from aishell.cli.console import write_json
from aishell.cli.main import LazyGroup
from aishell.cli.streams import say
from aishell.errors import StateError
from aishell.reporting.units import duration, printable, size


@click.group(cls=LazyGroup)
def state() -> None:
    """`state.db`, which holds runs, approvals, schedules and the audit log."""


@state.command(
    epilog="Examples:  aishell state maintain   ·   aishell state maintain --compact",
)
@click.option("--compact", is_flag=True, help="Rewrite the file even if less than a tenth of it is free.")
@OUTPUT
@click.pass_context
def maintain(ctx: click.Context, /, compact: bool, output: str) -> None:
    """Check the whole file, rewrite it if much of it is free, and empty its write-ahead log.

    Runs continue meanwhile, but their writes wait. A damaged file is left unchanged (exit 2).
    """
    from aishell.state.pruning import maintain as maintained

    site = open_files(ctx)
    if not site.state_path.exists():
        raise StateError(f"the state store {site.state_path} does not exist", hint="start a run, which creates it")
    done = maintained(site.store, compact=compact)
    if output == "json":
        write_json({"path": str(site.state_path), "problems": [], **asdict(done)})
        return
    say(f"{printable(site.state_path)} is intact: {size(done.bytes_before)}, of which {size(done.free_before)} free")
    if done.compacted:
        say(f"rewritten in {duration(done.seconds)}: now {size(done.bytes_after)}")
