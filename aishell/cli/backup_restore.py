"""`aishell backups restore`: restore a backup to a new place or, with `--in-place`, over the database."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aishell.backups.methods import method_class
from aishell.cli.common import ENVIRONMENT, assigned, open_site, own_target, run_options
from aishell.cli.console import write_json
from aishell.cli.keeping import agree, keeper
from aishell.cli.main import ShowsExamples
from aishell.cli.output import Screen
from aishell.cli.run import run_all
from aishell.cli.streams import say
from aishell.commands import command
from aishell.engines import profile
from aishell.errors import BackupError, ParameterError, TargetUnavailableError, UnknownNameError, UsageError
from aishell.moments import at, given
from aishell.reporting.units import printable
from aishell.state.runs import who

if TYPE_CHECKING:
    from aishell.backups.store.catalog import CatalogEntry
    from aishell.backups.store.manifest import BackupManifest
    from aishell.site import Site

#: Bytes of the database's name at the start of a generated one; servers allow 63 or 64, `_restored_` and the time take 29.
_CUT = 34


@click.command(
    cls=ShowsExamples,
    epilog="Examples:  aishell backups restore 20261121T0315 --dry-run   ·   aishell backups restore 20261121T0315 --yes   ·   "
    "aishell backups restore 20261121T0315 --to shop_monday --point-in-time 2026-11-21T14:05 --yes   ·   "
    "aishell backups restore 20261121T0315 --to ./shop.db --yes   ·   aishell backups restore 20261121T0315 --in-place --yes",
)
@click.argument("backup", metavar="BACKUP")
@click.option(
    "--to",
    "place",
    metavar="PLACE",
    help="New database, file or data directory (default: a generated name, which is printed).",
)
@click.option(
    "--point-in-time", metavar="T", help="Restore to this time (ISO 8601), if the backup's method supports it."
)
@click.option("--tables", "only", metavar="T,T", help="Restore only these tables, if the backup's method supports it.")
@click.option(
    "--in-place",
    is_flag=True,
    help="Replace the database with the restored copy; the old one is kept under another name, after a safety backup.",
)
@click.option(
    "--without-safety-backup",
    is_flag=True,
    help="With --in-place: skip the safety backup of a database too broken for one.",
)
@click.option("--terminate", is_flag=True, help="With --in-place on PostgreSQL: terminate sessions in the database.")
@click.option("--no-compare", is_flag=True, help="Do not compare the restored data with the backup.")
@click.option(
    "--option",
    "pairs",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter of the engine's tool, e.g. jobs=4; `aishell tools show restore_backup` lists them.",
)
@click.option("--target", metavar="T", help="Server to restore into (default: the backup's own target).")
@click.option("--url", metavar="URL", help="A server that is not configured, e.g. postgresql://dba@db2/postgres.")
@ENVIRONMENT
@run_options
@click.pass_context
def restore(
    ctx: click.Context,
    /,
    backup: str,
    place: str | None,
    point_in_time: str | None,
    only: str | None,
    in_place: bool,
    without_safety_backup: bool,
    terminate: bool,
    no_compare: bool,
    pairs: tuple[str, ...],
    target: str | None,
    url: str | None,
    **options: Any,
) -> None:
    """Restore a backup to a new place, which is printed, and compare it with the backup. Nothing existing is overwritten.

    With --in-place the restored copy replaces the database after the comparison; that step is reviewed even with --yes.
    Every file of the backup, and of those it depends on, is checked first. Previews and asks for approval like `run`. A SQLite
    file or a data directory can be restored even if the target can no longer be reached.
    """
    from aishell.backups.store.manifest import chain_summary

    site = open_site(ctx)
    entry = site.backup_store.catalog.find(backup)
    if profile(entry.engine).is_file and (point_in_time is not None or only is not None):
        raise ParameterError("a SQLite backup is restored as a whole, as of its own time")
    exchange = {"without_safety_backup": without_safety_backup, "terminate": terminate}
    _check_place(in_place, place, exchange)
    manifest, chain = site.backup_store.repository.manifest(entry.folder), _chain(site, entry)
    inputs: dict[str, Any] = {
        "backup": entry.backup_id,
        "place": _place(site, entry, place),
        "manifest": chain_summary(chain) if chain else manifest.summary(),
        "rung": _proof_text(entry),
        "rung_at": entry.verification_level_at,
        "compare": not no_compare,
    }
    if point_in_time is not None:
        inputs["until"] = _moment(site, entry, manifest, point_in_time)
    if only is not None:
        inputs["only"] = list(filter(None, map(str.strip, only.split(","))))
    if pairs:
        inputs["options"] = assigned("--option", pairs)
    if in_place:
        inputs |= {"in_place": True, "kept": _place(site, entry, None, word="replaced"), **exchange}
    where: dict[str, Any] = {"targets": (target,) if target else (), "url": url, "every": False, "label": None}
    own_target(where, entry.target)
    try:
        ctx.exit(run_all(ctx, "backup_restore", inputs, **where, **options))
    except (TargetUnavailableError, UnknownNameError):
        if any((in_place, target, url, options["dry_run"], method_class(entry.method).path_suffix is None)):
            raise
    ctx.exit(_by_hand(site, entry, inputs, yes=options["yes"], output=options["output"]))


def _check_place(in_place: bool, place: str | None, exchange: dict[str, bool]) -> None:
    """Raises UsageError for options that exclude each other."""
    if in_place and place is not None:
        raise UsageError("--to and --in-place exclude each other")
    if not in_place and any(exchange.values()):
        raise UsageError("--without-safety-backup and --terminate are for a restore in place", hint="add --in-place")


def _chain(site: Site, entry: CatalogEntry) -> list[BackupManifest]:
    """Its manifest after those of all that it depends on; empty if one is missing or differs, which the restore reports."""
    try:
        return [manifest for _, manifest in site.backup_store.chain(entry)]
    except BackupError:
        return []


def _proof_text(entry: CatalogEntry) -> str:
    """The verification level of a backup, or what is wrong with it."""
    if entry.problem is not None:
        return f"damaged: {entry.problem}"
    return f"restore test failed: {entry.differs}" if entry.differs is not None else entry.verification_level


def _place(site: Site, entry: CatalogEntry, given: str | None, *, word: str = "restored") -> str:
    """The place as given, else a new name that contains `word`. Paths are made absolute for a run resumed elsewhere."""
    stamp = datetime.now(UTC)
    suffix = method_class(entry.method).path_suffix
    if suffix is not None:
        made = site.backup_store.repository.place(stamp, suffix, word)
        return str(Path(given).expanduser().absolute() if given is not None else made)
    if given is not None:
        return given
    name = re.sub(r"\W+", "_", entry.database, flags=re.ASCII)[:_CUT]
    return f"{name}_{word}_{stamp:%Y%m%d_%H%M%S}_{stamp.microsecond // 1000:03}"


def _moment(site: Site, entry: CatalogEntry, manifest: BackupManifest, text: str) -> str:
    """A time in UTC; without a zone it is in the target's. Raises UsageError for a time that the backup does not cover."""
    known = site.settings.targets.get(entry.target)
    moment = given(text, known.zone if known else UTC, of="--point-in-time")
    chain = site.backup_store.chain(entry)
    first, last = chain[0][1].started_at, manifest.finished_at
    if not datetime.fromisoformat(first) <= moment <= datetime.fromisoformat(last):
        ends = [at(one, seconds=True) for one in (first, last, moment)]
        raise UsageError(
            f"{entry.backup_id} covers {ends[0]} to {ends[1]}, not {ends[2]}",
            hint=f"`{command('backups', 'list')}` lists the others; a later incremental backup covers later times",
        )
    return moment.isoformat(timespec="microseconds")


def _by_hand(site: Site, entry: CatalogEntry, inputs: dict[str, Any], *, yes: bool, output: str) -> int:
    """Restore without a run, as its database cannot be reached; the exit code."""
    compare = inputs["compare"] and inputs["manifest"]["compared"] and "until" not in inputs
    params = {"backup_id": entry.backup_id, "place": inputs["place"], "compare": compare}
    params |= {name: inputs[name] for name in ("until", "only") if name in inputs} | inputs.get("options", {})
    mine = keeper(site)
    say("the database cannot be reached: the backup is restored without a run", err=True)
    _, verdict = mine.judge("restore_backup", params, entry)
    question = f"restore {entry.backup_id} into {inputs['place']}?"
    if not agree(site, {entry.target: verdict}, question, yes=yes, output=output):
        return 5
    with Screen(output).working(f"restoring {entry.backup_id}"):
        result = mine.call("restore_backup", params, entry)
    site.runs.event("backup_restored", {"backup_id": entry.backup_id, "place": inputs["place"], "by": who()})
    if output == "json":
        write_json({"run_id": None, "status": "failure" if result["differences"] else "success", "output_data": result})
    else:
        compared = "; every object matches the backup" if result["compared"] else ""
        restored = f"{entry.backup_id} was restored into {inputs['place']}{compared}"
        say(printable("; ".join(result["differences"]) or restored))
        for note in result["notes"]:
            say(f"  {printable(note)}")
    return 1 if result["differences"] else 0
