"""`aishell backups`: list, show, pin, verify, restore and prune backups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from aishell.backups.store.catalog import OTHER_MANIFEST
from aishell.cli.asking import confirm
from aishell.cli.common import OUTPUT, interactive, open_site
from aishell.cli.console import write_json
from aishell.cli.keeping import entries_of, keeper
from aishell.cli.listing import show_rows, title
from aishell.cli.main import LazyGroup
from aishell.cli.output import Screen
from aishell.cli.streams import say
from aishell.commands import command
from aishell.errors import AishellError, BackupError, DeniedError, NotAtHandError, UsageError
from aishell.moments import at
from aishell.reporting.units import few_names, printable, size
from aishell.state.runs import who

if TYPE_CHECKING:
    from aishell.backups.store.catalog import CatalogEntry
    from aishell.services.offline_backups import Keeper
    from aishell.site import Site

#: Columns of the list that are left out on a narrow terminal, in this order.
LEAST = ("depends_on", "copies", "size")
#: Mark and colour by whether a backup is sound; None: unknown.
_MARKS = {True: ("✓", None), False: ("✗", "red"), None: ("?", "yellow")}
#: The commands in modules of their own, as in `aishell.cli.main.COMMANDS`.
COMMANDS = {
    "restore": ("aishell.cli.backup_restore", "Restore a backup to a new place; nothing existing is overwritten."),
    "prune": (
        "aishell.cli.backup_prune",
        "Remove backups that no retention rule keeps, after showing them and asking.",
    ),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def backups() -> None:
    """Backups, and how far each was verified: written, checksummed, readable, restored and compared."""


@backups.command(
    "list",
    epilog="Examples:  aishell backups list   ·   aishell backups list --target shop --output json",
)
@click.option("--target", metavar="T", help="Only backups of this target.")
@OUTPUT
@click.pass_context
def list_(ctx: click.Context, /, target: str | None, output: str) -> None:
    """List every backup in the catalog, oldest first, then unfinished and damaged ones.

    Exit 1 if a manifest is damaged or a backup is missing.
    """
    site = open_site(ctx)
    entries = entries_of(site, target)
    rows = [_row(entry) if output == "json" else _line(entry) for entry in entries]
    show_rows(rows, output, empty=f"there is no backup in {site.backup_store.repository.root}", least=LEAST)
    damaged = _report_folder(site, target)
    ctx.exit(1 if damaged or any(not entry.folder.is_dir() for entry in entries) else 0)


def _report_folder(site: Site, target: str | None) -> bool:
    """Print damaged, unknown and unfinished backups of the backup folder; whether any is damaged."""
    from aishell.files import folder_name

    known = {entry.backup_id: entry for entry in site.backup_store.entries()}
    damaged, new = False, 0
    for folder, manifest in site.backup_store.repository.all():
        if target is not None and folder.parent.name != folder_name(target):
            continue
        if isinstance(manifest, BackupError):
            damaged = True
            say(f"{printable(folder.name)}: {printable(manifest.message)}", style="red", err=True)
        elif manifest.backup_id not in known:
            new += 1
        elif manifest.digest != known[manifest.backup_id].digest:
            damaged = True
            say(f"{printable(folder.name)}: {OTHER_MANIFEST}", style="red", err=True)
    if new:
        say(
            f"{new} backup(s) in the folder are not in the catalog: `{command('backups', 'rebuild-catalog')}`", err=True
        )
    for path in site.backup_store.repository.unfinished():
        say(
            f"unfinished: {printable(path)}; `{command('backups', 'prune')}` removes it when its run has ended",
            err=True,
        )
    for path in site.backup_store.repository.trash():
        say(f"half removed: {printable(path)}; `{command('backups', 'prune')}` removes the rest", err=True)
    return damaged


@backups.command(
    epilog="Examples:  aishell backups show 20261121T0315   ·   aishell backups show 20261121T0315 --output json",
)
@click.argument("backup", metavar="BACKUP")
@OUTPUT
@click.pass_context
def show(ctx: click.Context, /, backup: str, output: str) -> None:
    """Show one backup: its source, its files, what it depends on, and how far it was verified."""
    site = open_site(ctx)
    entry = site.backup_store.catalog.find(backup)
    document = _document(site, entry)
    if output == "json":
        write_json(document)
        return
    title(f"{entry.backup_id}  {entry.kind} of {entry.target}")
    proven = f"{_proven(entry)}, verified {at(entry.verification_level_at)}"
    lines = {
        "database": f"{entry.database} ({entry.engine}, {entry.identity})",
        "taken": f"{at(entry.started_at)} to {at(entry.finished_at)}",
        "size": f"{size(entry.bytes)}" + (f" of {size(entry.source_bytes)}" if entry.source_bytes else ""),
        "method": entry.method,
        "proven": proven + (f", compared {at(entry.compared_at)}" if entry.compared_at else ""),
        "place": entry.path,
        "copies": ", ".join(_copy(entry, name) for name in entry.copies) or "none: the backup is lost if its disk is",
        "depends on": ", ".join(document["rests_on"]) or "nothing",
        "basis of": ", ".join(document["basis_of"]) or "nothing",
        "pinned": "yes: retention does not apply" if entry.pinned else "no",
    }
    for name, value in lines.items():
        say(f"{name:<9} {printable(value)}")
    for line in document["commands"]:
        say(f"{'ran':<9} {printable(line)}")


def _document(site: Site, entry: CatalogEntry) -> dict[str, Any]:
    """The JSON of `show`: the catalog entry, the manifest, and the backups it depends on or that depend on it."""
    document = _row(entry) | {"manifest": None, "commands": [], "rests_on": [], "basis_of": []}
    known = {one.backup_id: one for one in site.backup_store.entries()}
    at: CatalogEntry | None = known.get(entry.parent or "")
    while at is not None and at.backup_id not in document["rests_on"]:
        document["rests_on"].append(at.backup_id)
        at = known.get(at.parent or "")
    document["basis_of"] = [one.backup_id for one in known.values() if one.parent == entry.backup_id]
    try:
        manifest = site.backup_store.repository.manifest(entry.folder)
    except BackupError as error:
        return document | {"problem": entry.wrong or error.message}
    return document | {"manifest": manifest.summary(), "commands": list(manifest.commands)}


@backups.command(epilog="Examples:  aishell backups pin 20261121T0315   ·   aishell backups unpin 20261121T0315")
@click.argument("names", nargs=-1, required=True, metavar="BACKUP...")
@click.pass_context
def pin(ctx: click.Context, /, names: tuple[str, ...]) -> None:
    """Keep backups, and those they depend on, whatever retention says."""
    _pin(open_site(ctx), names, True)


@backups.command(epilog="Example:  aishell backups unpin 20261121T0315")
@click.argument("names", nargs=-1, required=True, metavar="BACKUP...")
@click.pass_context
def unpin(ctx: click.Context, /, names: tuple[str, ...]) -> None:
    """Unpin backups: retention applies to them again."""
    _pin(open_site(ctx), names, False)


def _pin(site: Site, names: tuple[str, ...], pinned: bool) -> None:
    for entry in [site.backup_store.catalog.find(name) for name in names]:
        site.backup_store.catalog.pin(entry.backup_id, pinned)
        site.runs.event("backup_pinned", {"backup_id": entry.backup_id, "pinned": pinned, "by": who()})
        say(f"{'pinned' if pinned else 'unpinned'}: {entry.backup_id}")


@backups.command(
    "rebuild-catalog",
    epilog="Examples:  aishell backups rebuild-catalog   ·   aishell backups rebuild-catalog --yes --output json",
)
@click.option("--yes", is_flag=True, help="Forget missing backups without asking.")
@click.option("--all-gone", is_flag=True, help="Continue even if none of the known backups is in the folder.")
@OUTPUT
@click.pass_context
def rebuild_catalog(ctx: click.Context, /, yes: bool, all_gone: bool, output: str) -> None:
    """Enter every backup in the folder into the catalog, after state.db was lost or backups were moved or copied back.

    Verification levels are read from a note beside each backup; verify those without one with `aishell backups verify`. A backup
    with an unreadable note is pinned, as it may have been before. If none of the known backups is there, the disk may not be
    mounted, and the command refuses. Exit 1 if a manifest is damaged.
    """
    from dataclasses import asdict

    from aishell.backups.store.backup_store import rebuild

    site = open_site(ctx)
    rebuilt = rebuild(site.backup_store, all_gone=all_gone)
    forgotten = rebuilt.gone if yes or _may_forget(rebuilt.gone, output) else []
    if forgotten:
        site.backup_store.catalog.forget(forgotten)
    document = asdict(rebuilt) | {
        "damaged": [{"path": str(folder), "problem": problem} for folder, problem in rebuilt.damaged],
        "forgotten": forgotten,
    }
    site.runs.event("catalog_rebuilt", {**{name: len(value) for name, value in document.items()}, "by": who()})
    if output == "json":
        write_json(document)
        ctx.exit(1 if rebuilt.damaged else 0)
    for folder, problem in rebuilt.damaged:
        say(f"✗ {printable(folder)}: {printable(problem)}", style="red")
    for name in rebuilt.unnoted:
        unpin = command("backups", "unpin", name)
        say(f"! {name} was pinned: its note cannot be read, and it may have been pinned before; `{unpin}`")
    kept = len(rebuilt.gone) - len(forgotten)
    left = f"; {kept} missing from the folder are kept: --yes forgets them" if kept else ""
    say(f"{len(rebuilt.added)} entered, {len(rebuilt.known)} known, {len(forgotten)} forgotten{left}")
    ctx.exit(1 if rebuilt.damaged else 0)


def _may_forget(gone: Sequence[str], output: str) -> bool:
    """Whether a person agrees to forget missing backups."""
    if not gone:
        return False
    say(f"missing from the folder: {few_names(gone)}", err=True)
    return interactive(False, output) and confirm(f"forget {len(gone)} backup(s)?")


def _row(entry: CatalogEntry) -> dict[str, Any]:
    """The JSON of a backup in the catalog."""
    from dataclasses import asdict

    from aishell.backups.store.catalog import as_keys

    return as_keys(asdict(entry)) | {"problem": entry.wrong, "verified": entry.verified}


def _line(entry: CatalogEntry) -> dict[str, Any]:
    return {
        "backup": entry.backup_id,
        "target": entry.target,
        "kind": entry.kind,
        "size": size(entry.bytes),
        "proven": _proven(entry),
        "depends_on": entry.parent or "",
        "copies": len(entry.sound_copies) or "",
        "pinned": "pinned" if entry.pinned else "",
    }


def _copy(entry: CatalogEntry, place: str) -> str:
    """A second place, with the state of the copy there when it was last read."""
    read = entry.copies_read.get(place)
    if read is None:
        return place
    return f"{place} (DAMAGED: {read.problem})" if read.problem else f"{place} (read {at(read.at)})"


def _proven(entry: CatalogEntry) -> str:
    if entry.problem or entry.differs:
        return f"DAMAGED: {entry.problem}" if entry.problem else f"RESTORE TEST FAILED: {entry.differs}"
    return entry.verification_level.replace("-", " ")


@backups.command(
    epilog="Examples:  aishell backups verify   ·   aishell backups verify --target shop   ·   "
    "aishell backups verify 20261121T0315 --output json",
)
@click.argument("names", nargs=-1, metavar="[BACKUP]...")
@click.option("--target", metavar="T", help="Every backup of this target.")
@click.option("--copies", is_flag=True, help="Read the copies in second places instead.")
@OUTPUT
@click.pass_context
def verify(ctx: click.Context, /, names: tuple[str, ...], target: str | None, copies: bool, output: str) -> None:
    """Read backups, and those they depend on, in full: all of them, those of a target, or those named.

    Every file is compared with the manifest and then read by the engine's own programs. The database is not contacted.
    A damaged backup no longer counts as one; it is reported with what is wrong, exit 1. With --copies, the copies in second
    places are read instead; a damaged copy no longer counts, and the next backup replaces it.
    """
    if names and target is not None:
        raise UsageError("backup names and --target exclude each other")
    site = open_site(ctx)
    chosen = [site.backup_store.catalog.find(name) for name in names] if names else entries_of(site, target)
    results: list[dict[str, Any]] = []
    for result in _verified(keeper(site), site, chosen, copies=copies):
        results.append(result)
        if output != "json":
            mark, colour = _MARKS[result["sound"]]
            say(f"{mark} {printable(result['backup_id'])}: {printable(_seen(result))}", style=colour)
    if output == "json":
        write_json(results)
    elif not results:
        say("no backup has a copy" if copies else f"there is no backup in {site.backup_store.repository.root}")
    ctx.exit(1 if any(not result["sound"] for result in results) else 0)


def _seen(result: Mapping[str, Any]) -> str:
    """The verification level of a backup, or the places of its copies, or what is wrong with it."""
    if not result["sound"]:
        return str(result["problem"])
    proven = f"copied to {', '.join(result['places'])}" if "places" in result else result["rung"].replace("-", " ")
    return f"{proven}, but its restore test failed: {result['differs']}" if result["differs"] else str(proven)


def _verified(
    keeper: Keeper, site: Site, chosen: Sequence[CatalogEntry], *, copies: bool = False
) -> Iterator[dict[str, Any]]:
    """The result for each backup, or for the copies of those that have any.

    A backup that others depend on is read with them, so those come first and it is not read twice. `sound` is None for one that
    could not be read for lack of a program, a key or a place; that is reported, but does not count as damage.
    """
    read: set[str] = set()
    for entry in reversed([one for one in chosen if one.copies] if copies else chosen):
        sound, problem = (True, None) if entry.backup_id in read else _read_once(keeper, entry, copies, read)
        if problem is not None and entry.backup_id not in {one.backup_id for one in site.backup_store.entries()}:
            continue  # removed meanwhile, e.g. by `prune`
        event = {"backup_id": entry.backup_id, "sound": sound, "problem": problem, "by": who()}
        site.runs.event("copies_verified" if copies else "backup_verified", event)
        known = site.backup_store.catalog.find(entry.backup_id)
        yield {
            "backup_id": entry.backup_id,
            "target": entry.target,
            "sound": sound,
            "rung": known.verification_level,
            "problem": problem,
            "differs": known.differs,
            **({"places": list(known.sound_copies)} if copies else {}),
        }


def _read_once(keeper: Keeper, entry: CatalogEntry, copies: bool, read: set[str]) -> tuple[bool | None, str | None]:
    """Whether a backup is sound, else why not. Adds the ids of all that was read to `read`."""
    try:
        _read(keeper, entry, copies)
        if not copies:
            read |= {manifest.backup_id for _, manifest in keeper.backup_store.chain(entry)}
    except DeniedError:
        raise
    except AishellError as error:
        damaged = isinstance(error, BackupError) and not isinstance(error, NotAtHandError)
        return (False if damaged else None), error.message
    return True, None


def _read(keeper: Keeper, entry: CatalogEntry, copies: bool) -> None:
    """Read a backup in full, or its copies. Raises BackupError for damage, DeniedError if policy requires approval."""
    params, tool = {"backup_id": entry.backup_id}, "verify_copies" if copies else "validate_backup"
    verdict = keeper.judge(tool, params, entry)[1]
    if verdict.requires_approval or not verdict.safe:
        raise DeniedError(f"policy requires approval for {tool}", hint=f"run it with `{command('tools', 'run', tool)}`")
    with Screen("table").working(f"reading {entry.backup_id}"):
        keeper.call(tool, params, entry)
