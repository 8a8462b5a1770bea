"""`aishell audit`: is the log whole, and what does it say."""

from __future__ import annotations

import json

import click

from aishell.cli.common import OUTPUT, open_files
from aishell.cli.main import LazyGroup


@click.group(cls=LazyGroup)
def audit() -> None:
    """The append-only log of everything that was decided and sent."""


@audit.command(epilog="Example:  aishell audit verify --head 6dfa81d17d5fe3f0")
@click.option("--head", metavar="HASH", help="A head that was printed earlier: shows a cut tail or a rewritten chain.")
@OUTPUT
@click.pass_context
def verify(ctx: click.Context, /, head: str | None, output: str) -> None:
    """Check the chain of hashes: edits, deletions, gaps. Exit 1 when it is broken."""
    from aishell.cli.console import write_json
    from aishell.state import audit as log

    with open_files(ctx).store.read() as connection:
        problems = log.verify(connection, head)
        number, newest = log.head(connection)
    if output == "json":
        write_json({"events": number, "head": newest, "problems": problems})
    else:
        for problem in problems:
            click.secho(f"event {problem.event_id}: {problem.text}", fg="red")
        if not problems:
            click.echo(f"the chain of {number} events is whole; head {newest}")
    ctx.exit(1 if problems else 0)


@audit.command(epilog="Example:  aishell audit export --run 3f2a > run.jsonl")
@click.option("--run", "run_id", metavar="ID", help="Only the events of one run.")
@click.pass_context
def export(ctx: click.Context, /, run_id: str | None) -> None:
    """Every event as a line of JSON, hashes included."""
    site = open_files(ctx)
    run = site.runs.find(run_id).id if run_id is not None else None
    with site.store.read() as connection:
        sql = "SELECT * FROM events WHERE :run IS NULL OR run_id = :run ORDER BY id"
        for row in connection.execute(sql, {"run": run}):
            click.echo(json.dumps({**dict(row), "data": json.loads(row["data"])}, ensure_ascii=False))
