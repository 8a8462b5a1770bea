"""`aishell audit`: is the log whole, and what does it say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aishell.cli.common import OUTPUT, open_files
from aishell.cli.main import LazyGroup
from aishell.cli.streams import say
from aishell.commands import command
from aishell.errors import UsageError

if TYPE_CHECKING:
    from aishell.state.anchor import Anchor


_HEAD = re.compile(r"[0-9a-f]{16,64}")


@click.group(cls=LazyGroup)
def audit() -> None:
    """The append-only log of everything that was decided and sent."""


@audit.command(epilog="Example:  aishell audit verify --against 6dfa81d17d5fe3f0")
@click.option("--head", metavar="HASH", help="The same as --against HASH.")
@click.option(
    "--against",
    metavar="HEAD|FILE",
    multiple=True,
    help="A head that was printed earlier, an export, or a copy of the file beside the store; may be repeated.",
)
@OUTPUT
@click.pass_context
def verify(ctx: click.Context, /, head: str | None, against: tuple[str, ...], output: str) -> None:
    """Check the log: its hashes, the runs and steps it tells of, the head that the last run left. Exit 1 when broken."""
    from aishell.cli.console import write_json
    from aishell.reporting.units import printable
    from aishell.state import anchor
    from aishell.state import audit as log

    heads: list[str] = [] if head is None else [head]
    copies: list[Anchor | list[dict[str, Any]]] = []
    for given in against:
        if Path(given).is_file():
            copies.append(_copy(Path(given)))
        else:
            heads.append(given)
    for one in heads:
        if not _HEAD.fullmatch(one):
            raise UsageError(
                f"{one!r} is no head of an audit log, and no file",
                hint="give the 16 hexadecimal digits that a run prints at its end, or all 64",
            )
    site = open_files(ctx)
    with site.store.read() as connection:
        problems = log.verify(connection)
        for one in heads:
            problems += log.verify_head(connection, one)
        problems += log.verify_anchor(connection, anchor.read(anchor.path_of(site.state_path)))
        for copy in copies:
            problems += (
                log.verify_copy(connection, copy) if isinstance(copy, list) else log.verify_anchor(connection, copy)
            )
        problems += log.verify_records(connection)
        number, newest = log.head(connection)
    if output == "json":
        write_json({"events": number, "head": newest, "problems": problems})
    else:
        for problem in problems:
            text = printable(problem.text)
            say(f"event {problem.event_id}: {text}" if problem.event_id else text, style="red")
        if not problems:
            say(f"the chain of {number} events is whole; head {newest}")
    ctx.exit(1 if problems else 0)


def _copy(path: Path) -> Anchor | list[dict[str, Any]]:
    """What an export or an anchor holds. Raises UsageError for any other file."""
    from aishell.errors import StateError
    from aishell.state import anchor

    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        if lines and all("id" in line and "hash" in line for line in lines):
            return lines
        kept = anchor.read(path)
    except (OSError, ValueError, TypeError, StateError):
        kept = None
    if kept is None:
        raise UsageError(
            f"{path} is neither an export of an audit log nor the head of one",
            hint=f"give what `{command('audit', 'export')}` wrote, a copy of state.db.head, or a head that was printed",
        )
    return kept


@audit.command(epilog="Example:  aishell audit export --run 3f2a > run.jsonl")
@click.option("--run", "run_id", metavar="ID", help="Only the events of one run.")
@click.pass_context
def export(ctx: click.Context, /, run_id: str | None) -> None:
    """Every event as a line of JSON, hashes included."""
    from aishell.cli.console import write_json

    site = open_files(ctx)
    run = site.runs.find(run_id).id if run_id is not None else None
    with site.store.read() as connection:
        sql = "SELECT * FROM events WHERE :run IS NULL OR run_id = :run ORDER BY id"
        for row in connection.execute(sql, {"run": run}):
            write_json({**dict(row), "data": json.loads(row["data"])}, indent=None)
