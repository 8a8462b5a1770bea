"""`aishell notes`: notes that people leave on targets, tables and tools, for plans to take into account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aishell.cli.common import OUTPUT, open_files
from aishell.cli.main import ShowsExamples
from aishell.cli.streams import say
from aishell.commands import command
from aishell.reporting.units import printable

if TYPE_CHECKING:
    from aishell.state.notes import Note


@click.group(
    epilog="Examples:  aishell notes add --table orders 'never vacuum full'   ·   aishell notes list --target shop"
)
def notes() -> None:
    """Leave notes for plans to know. A note can ask for approval or forbid; it never allows anything."""


@notes.command(
    "add",
    cls=ShowsExamples,
    epilog="Examples:  aishell notes add --target shop --table orders 'grows by 2 GB a night'   ·   "
    "aishell notes add --table orders --tool rebuild_table --require deny 'never vacuum full'",
)
@click.argument("text")
@click.option("--target", metavar="T", default="", help="Target it is on; globs allowed (default: every target).")
@click.option("--table", metavar="T", default="", help="Table it is on, TABLE or SCHEMA.TABLE; globs allowed.")
@click.option("--tool", metavar="TOOL", default="", help="Tool it is on; globs allowed.")
@click.option(
    "--require",
    "decision",
    type=click.Choice(["confirm", "review", "deny"]),
    help="Require this for every change that it is on: approval, review, or refusal.",
)
@click.pass_context
def add(ctx: click.Context, /, text: str, decision: str | None, **on: str) -> None:
    """Leave a note. A language model is told of it; with --require it also binds the policy, which it can only tighten."""
    from aishell.state.runs import who

    site = open_files(ctx)
    if on["target"] and not set(on["target"]) & set("*?["):
        from aishell.errors import UnknownNameError
        from aishell.models import server_of

        if not {on["target"], server_of(on["target"])} & site.settings.targets.keys() and "://" not in on["target"]:
            raise UnknownNameError("target", on["target"], site.settings.targets, "config/targets.yaml")
    note = site.notes.add(text, who(), decision=decision, **on)
    say(printable(f"note {note.id} on {note.about}{_required(note)}"))
    say(f"  → {command('notes', 'remove', note.id)} removes it")


@notes.command("list", cls=ShowsExamples, epilog="Examples:  aishell notes list   ·   aishell notes list --target shop")
@click.option("--target", metavar="T", help="Only notes that are on this target.")
@OUTPUT
@click.pass_context
def list_(ctx: click.Context, /, target: str | None, output: str) -> None:
    """List the notes, the oldest first."""
    from aishell.cli.listing import show_rows
    from aishell.moments import at

    rows = [as_row(note) for note in open_files(ctx).notes.all(target)]
    if output != "json":
        rows = [{**row, "at": at(row["at"])} for row in rows]
    show_rows(rows, output, empty="there are no notes")


@notes.command("remove", cls=ShowsExamples, epilog="Examples:  aishell notes remove 3")
@click.argument("number", type=click.IntRange(1), metavar="ID")
@click.pass_context
def remove(ctx: click.Context, /, number: int) -> None:
    """Remove a note. The audit log keeps that it was there, and who removed it."""
    from aishell.state.runs import who

    note = open_files(ctx).notes.remove(number, who())
    say(printable(f"removed note {note.id} on {note.about}: {note.text}"))


def as_row(note: Note) -> dict[str, Any]:
    """Return a note as a row of a table or of JSON."""
    return {
        "id": note.id,
        "target": note.target or None,
        "table": note.table or None,
        "tool": note.tool or None,
        "require": note.decision,
        "text": note.text,
        "by": note.by,
        "at": note.at,
    }


def _required(note: Note) -> str:
    words = {"confirm": "changes need approval", "review": "changes need review", "deny": "changes are refused"}
    return f": {words[note.decision]}" if note.decision else ""
