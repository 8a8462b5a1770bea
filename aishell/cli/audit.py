"""`aishell audit`: verify and export the audit log."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aishell.cli.common import OUTPUT, open_files
from aishell.cli.console import write_json
from aishell.cli.main import LazyGroup
from aishell.cli.streams import say
from aishell.commands import command
from aishell.errors import StateError, UsageError
from aishell.moments import at
from aishell.reporting.units import printable

if TYPE_CHECKING:
    from aishell.site_files import SiteFiles
    from aishell.state.anchor import Anchor
    from aishell.state.audit import Problem, Seal


#: Default age from which events are sealed; days.
SEALED_AFTER = 90
_HEAD = re.compile(r"[0-9a-f]{16,64}")


@click.group(cls=LazyGroup)
def audit() -> None:
    """The append-only log of every decision and statement."""


@audit.command(epilog="Example:  aishell audit verify --against 6dfa81d17d5fe3f0")
@click.option("--head", metavar="HASH", help="The same as --against HASH.")
@click.option(
    "--against",
    metavar="HEAD|FILE",
    multiple=True,
    help="A head printed earlier, an export, or a copy of the anchor file beside the store; may be repeated.",
)
@OUTPUT
@click.pass_context
def verify(ctx: click.Context, /, head: str | None, against: tuple[str, ...], output: str) -> None:
    """Verify the log: its hashes, its runs and steps, and the head left by the last run. Exit 1 if it is broken.

    Sealed events are verified if their files are given with --against.
    """
    from aishell.state import anchor, sealing
    from aishell.state import audit as log
    from aishell.state.audit import newest_seal
    from aishell.state.audit_records import verify_records

    files = [Path(given) for given in against if Path(given).is_file()]
    heads = _heads([*([] if head is None else [head]), *(given for given in against if not Path(given).is_file())])
    exports, anchors = _copies(files)
    site = open_files(ctx)
    with site.store.read() as connection:
        problems, seal = log.verify(connection), newest_seal(connection)
        wrong, sealed = sealing.verify_files(seal, exports)
        kept = anchor.read(anchor.path_of(site.state_path))
        problems += wrong
        problems += chain.from_iterable(log.verify_head(connection, one, sealed) for one in heads)
        problems += [*log.missing_anchor(connection, kept), *log.verify_anchor(connection, kept)]
        problems += chain.from_iterable(log.verify_copy(connection, copy) for copy in exports)
        problems += chain.from_iterable(log.verify_anchor(connection, copy, sealed) for copy in anchors)
        problems += verify_records(connection, sealed)
        number, newest = log.head(connection)
    if output == "json":
        write_json({"events": number, "head": newest, "sealed": seal.parts, "problems": problems})
    elif problems:
        _say_problems(problems)
    else:
        _say_whole(number, newest, seal, bool(sealed))
    ctx.exit(1 if problems else 0)


def _say_problems(problems: Sequence[Problem]) -> None:
    for problem in problems:
        text = printable(problem.text)
        say(f"event {problem.event_id}: {text}" if problem.event_id else text, style="red")


def _say_whole(number: int, head: str, seal: Seal, files_checked: bool) -> None:
    if not seal.parts:
        say(f"the chain of {number} events is whole; head {head}")
        return
    checked = "checked too" if files_checked else "not checked: give --against each sealed file"
    say(f"the chain is whole from event {seal.through + 1} to {number}; head {head}")
    say(f"events up to {seal.through} were sealed into {len(seal.parts)} file(s), {checked}")


def _heads(given: list[str]) -> list[str]:
    """`given`, checked. Raises UsageError for a text that is not a head."""
    for one in given:
        if not _HEAD.fullmatch(one):
            raise UsageError(
                f"{one!r} is neither the head of an audit log nor a file",
                hint="give the 16 hexadecimal digits that a run prints at its end, or all 64",
            )
    return given


def _copies(paths: Iterable[Path]) -> tuple[list[list[dict[str, Any]]], list[Anchor]]:
    """The events of exports and sealed files, and anchors. Raises UsageError for any other file."""
    from aishell.state import anchor, sealing

    exports, anchors = [], []
    for path in paths:
        with suppress(OSError, ValueError):
            exports.append(sealing.read(path))
            continue
        with suppress(StateError):
            if (kept := anchor.read(path)) is not None:
                anchors.append(kept)
                continue
        raise UsageError(
            f"{path} is neither an export of an audit log nor the head of one",
            hint=f"give what `{command('audit', 'export')}` wrote, a copy of state.db.head, or a head that was printed",
        )
    return exports, anchors


@audit.command(
    epilog="Examples:  aishell audit export --run 3f2a > run.jsonl   ·   "
    "aishell audit export --seal /mnt/audit/2026-q3.jsonl --older-than 90"
)
@click.option("--run", "run_id", metavar="ID", help="Only the events of one run.")
@click.option(
    "--seal",
    "path",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Move the older part of the log out of the state store into a new file.",
)
@click.option(
    "--older-than",
    "days",
    metavar="DAYS",
    type=click.FloatRange(0, 36_525),
    help=f"With --seal: move events older than this (default: {SEALED_AFTER}).",
)
@click.pass_context
def export(ctx: click.Context, /, run_id: str | None, path: Path | None, days: float | None) -> None:
    """Export every event as a line of JSON, with its hash.

    With --seal the older part (whole runs that have ended) is moved into FILE. The log stays complete, and
    `audit verify --against FILE` checks FILE against it.
    """
    if path is None and days is not None:
        raise UsageError("--older-than applies only to --seal", hint="add --seal FILE")
    if path is not None and run_id is not None:
        raise UsageError(
            "--run and --seal exclude each other", hint="leave one out; --seal moves every run that is old enough"
        )
    site = open_files(ctx)
    if path is not None:
        _seal(site, path, SEALED_AFTER if days is None else days)
        return
    run = site.runs.find(run_id).id if run_id is not None else None
    with site.store.read() as connection:
        sql = "SELECT * FROM events WHERE :run IS NULL OR run_id = :run ORDER BY id"
        for row in connection.execute(sql, {"run": run}):
            write_json({**dict(row), "data": json.loads(row["data"])}, indent=None)


def _seal(site: SiteFiles, path: Path, days: float) -> None:
    from datetime import UTC, datetime, timedelta

    from aishell.state.sealing import seal

    before = datetime.now(UTC) - timedelta(days=days)
    cut, part = seal(site.store, path, before.isoformat(timespec="microseconds"))
    if part is None:
        say(f"nothing was sealed: no run ended completely before {at(before)}")
    else:
        say(f"{cut.count} events, {part.first} to {part.through}, were moved to {printable(path)}; head {part.head}")
    if cut.held is not None:
        say(printable(cut.held))
