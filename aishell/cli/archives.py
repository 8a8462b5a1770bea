"""`aishell archives`: the rows that log clean-ups archived before they deleted them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from aishell.cli.asking import confirm
from aishell.cli.common import OUTPUT, interactive, open_site, own_target, run_options, target_options
from aishell.cli.console import write_json
from aishell.cli.listing import show_rows
from aishell.cli.main import LazyGroup
from aishell.cli.run import run_all
from aishell.cli.streams import say
from aishell.commands import command
from aishell.errors import ArchiveError, UsageError
from aishell.reporting.units import printable, size
from aishell.state.runs import who

if TYPE_CHECKING:
    from pathlib import Path

    from aishell.archives.fates import Share
    from aishell.site import Site


_UNKNOWN: Mapping[str, int | None] = {"rows_left_out": None, "rows_in_doubt": None}


@click.group(cls=LazyGroup)
def archives() -> None:
    """Archived rows, in files verified against the database."""


@archives.command("list", epilog="Examples:  aishell archives list   ·   aishell archives list --output json")
@OUTPUT
@click.pass_context
def list_(ctx: click.Context, /, output: str) -> None:
    """List every archive of the site, oldest first."""
    from aishell.archives import fates, shelf

    site = open_site(ctx)
    rows: list[dict[str, Any]] = []
    damaged: list[tuple[Path, ArchiveError]] = []
    for folder, manifest in shelf.archives(site.archives):
        try:
            if isinstance(manifest, ArchiveError):
                raise manifest
            row = manifest.summary() | {"path": str(folder), **_counts(*fates.shares(folder, manifest))}
        except ArchiveError as unreadable:
            damaged.append((folder, unreadable))
        else:
            rows.append(row if output == "json" else _line(row))
    show_rows(rows, output, empty=f"there is no archive in {site.archives}", least=("format", "size", "target"))
    for folder, error in damaged:
        say(f"{printable(folder.name)}: {printable(error.message)}", style="red", err=True)
    for path in shelf.unfinished(site.archives):
        say(
            f"unfinished: {printable(path)}; `{command('archives', 'prune')}` removes it when its run has ended",
            err=True,
        )
    ctx.exit(1 if damaged else 0)


@archives.command(
    epilog="Examples:  aishell archives verify   ·   aishell archives verify 20261121T031500Z-1a2b3c4d-archive_app_log",
)
@click.argument("names", nargs=-1, metavar="[ARCHIVE]...")
@OUTPUT
@click.pass_context
def verify(ctx: click.Context, /, names: tuple[str, ...], output: str) -> None:
    """Read archives in full and compare them with what the database counted: all of them, or those named.

    Exit 1 when one is damaged.
    """
    from aishell.archives import fates, reader, shelf

    site = open_site(ctx)
    chosen = [shelf.find(site.archives, name) for name in names] if names else list(shelf.archives(site.archives))
    results: list[dict[str, Any]] = []
    for folder, manifest in chosen:
        rows, counts, problem = 0, _UNKNOWN, None
        try:
            if isinstance(manifest, ArchiveError):
                raise manifest
            rows = reader.verify(folder, manifest)
            counts = _counts(*fates.shares(folder, manifest))
        except ArchiveError as error:
            rows, problem = 0, error.message
        result = {"archive_id": folder.name, "sound": problem is None, "rows": rows, "problem": problem, **counts}
        results.append(result)
        if output != "json":
            _say_verified(result)
    if output == "json":
        write_json(results)
    elif not results:
        say(f"there is no archive in {printable(site.archives)}")
    ctx.exit(1 if any(not result["sound"] for result in results) else 0)


@archives.command(
    epilog="Examples:  aishell archives load 20261121T031500Z-1a2b3c4d-archive_app_log --dry-run   ·   "
    "aishell archives load 20261121T031500Z-1a2b3c4d-archive_app_log --table scratch.app_log --yes",
)
@click.argument("name", metavar="ARCHIVE")
@click.option("--table", metavar="T", help="Table to load into (default: the one the rows came from).")
@target_options
@run_options
@click.pass_context
def load(ctx: click.Context, /, name: str, table: str | None, **options: Any) -> None:
    """Load the rows of an archive into the table they came from, or another with the same columns.

    Dependent rows that were deleted or changed with them are restored too, unless --table names another table. The default
    target is the database they came from. Rows whose key already exists are left unchanged, and rows that the
    clean-up did not delete are left out. The archive is verified while it is read. Previews and asks for approval like `run`.
    """
    from aishell.archives import fates, shelf

    site = open_site(ctx)
    folder, manifest = shelf.find(site.archives, name)
    found, noted = fates.shares(folder, manifest)
    counts = [one.loaded for one in found]
    own = f"{manifest.schema}.{manifest.table}"
    notes = _notes(found if noted else None)
    inputs: dict[str, Any] = {
        "archive": folder.name if folder.name.startswith(name) else name,
        "table": table or own,
        "columns": [dict(column) for column in manifest.columns],
        "rows": counts[0],
        "product": manifest.product,
        "notes": notes,
    }
    newer = shelf.newer(site.archives, manifest)
    if newer and inputs["table"] == own:
        later = f"the archive {newer[-1]} has" if len(newer) == 1 else f"{len(newer)} archives, up to {newer[-1]}, have"
        notes.append(
            f"{later} rows of {own} that were deleted later: if both have a row, the one loaded first is kept; load the "
            "newest archive first"
        )
    if manifest.relatives:
        inputs["parts"] = manifest.loading(counts)
    own_target(options, manifest.target)
    ctx.exit(run_all(ctx, "archive_load", inputs, **options))


@archives.command(epilog="Examples:  aishell archives prune   ·   aishell archives prune --yes --output json")
@click.option("--yes", is_flag=True, help="Remove without asking.")
@OUTPUT
@click.pass_context
def prune(ctx: click.Context, /, yes: bool, output: str) -> None:
    """Remove unfinished archives of runs that have ended, after asking.

    Finished archives are kept, and so are those of a run that can still be resumed: cancel the run first to remove them.
    """
    from aishell.backups.leftovers import ARCHIVE, leftovers

    site = open_site(ctx)
    rows: list[dict[str, Any]] = [
        {"path": one.name, "run_id": one.run_id, "kept": one.kept, "removed": False}
        for one in leftovers(site.backup_store, site.archives)
        if one.kind == ARCHIVE
    ]
    going = [row for row in rows if row["kept"] is None]
    if going and not yes:
        if not interactive(False, output):
            raise UsageError(f"{len(going)} unfinished archive(s) can be removed", hint="confirm with --yes")
        for row in going:
            say(printable(row["path"]))
        yes = confirm(f"remove {len(going)} unfinished archive(s)?")
    for row in going if yes else ():
        _remove(site, row)
    show_rows(rows, output, empty=f"there is no unfinished archive in {site.archives}")


def _say_verified(result: Mapping[str, Any]) -> None:
    name = printable(result["archive_id"])
    if result["sound"]:
        say(f"✓ {name}: {result['rows']:,} rows, as the database counted them{_deletion(result)}")
    else:
        say(f"✗ {name}: {printable(result['problem'])}", style="red")


def _counts(found: Sequence[Share], noted: bool) -> Mapping[str, int | None]:
    """Counts over all tables of the rows not deleted and those possibly not deleted; None: not recorded."""
    from aishell.archives.fates import summed

    return summed(found) if noted else _UNKNOWN


def _line(row: Mapping[str, Any]) -> dict[str, Any]:
    """An archive in the list for people."""
    from aishell.agents.log_cleanup.dates import as_date

    relatives = "".join(f" + {one['rows']:,} of {one['table']}" for one in row["relatives"])
    return {
        "archive": row["archive_id"],
        "table": f"{row['schema']}.{row['table']}",
        "target": row["target"],
        "older than": as_date(row["cutoff"]),
        "rows": f"{row['rows']:,}{relatives}{_deletion(row)}",
        "size": size(row["bytes"] + sum(one["bytes"] for one in row["relatives"])),
        "format": row["format"],
    }


def _deletion(counts: Mapping[str, Any]) -> str:
    """A note for a number of rows: how many of them are not known to be deleted."""
    left, doubt = counts["rows_left_out"], counts["rows_in_doubt"]
    if left is None or doubt is None:
        return " (deletion not recorded)"
    parts = ", ".join(
        f"{count:,} {label}" for label, count in (("not to be loaded", left), ("in doubt", doubt)) if count
    )
    return f" ({parts})" if parts else ""


def _notes(found: Sequence[Share] | None) -> list[str]:
    """Notes for the preview of a load. None: the archive does not record which rows were deleted."""
    from aishell.agents.log_cleanup.archive_load import LEFT_OUT
    from aishell.archives.fates import summed

    if found is None:
        return ["this archive does not record which rows the clean-up deleted: all of them are loaded"]
    counts = summed(found)
    notes = []
    if left := counts["rows_left_out"]:
        notes.append(f"{left:,} row(s) are left out: {LEFT_OUT}")
    if doubt := counts["rows_in_doubt"]:
        notes.append(
            f"{doubt:,} row(s) are loaded that may not have been deleted: the clean-up was interrupted at their chunks"
        )
    return notes


def _remove(site: Site, row: dict[str, Any]) -> None:
    """Remove a folder and record that in the audit log. Raises ArchiveError."""
    import shutil

    try:
        shutil.rmtree(row["path"])
    except OSError as error:
        raise ArchiveError(f"{row['path']} cannot be removed: {error.strerror or error}") from error
    site.runs.event("archive_removed", {"path": row["path"], "by": who()}, run_id=row["run_id"])
    row["removed"] = True
