"""`aishell state`: the state store itself."""

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

    Runs continue meanwhile, but their writes wait. A damaged file is left as it is (exit 2).
    """
    from aishell.state.pruning import maintain as maintained

    site = open_files(ctx)
    if not site.state_path.exists():
        raise StateError(f"there is no state store at {site.state_path}", hint="the first run makes it")
    done = maintained(site.store, compact=compact)
    if output == "json":
        write_json({"path": str(site.state_path), "problems": [], **asdict(done)})
        return
    say(f"{printable(site.state_path)} is whole: {size(done.bytes_before)}, {size(done.free_before)} of it free")
    if done.compacted:
        say(f"written anew in {duration(done.seconds)}: {size(done.bytes_after)} now")
