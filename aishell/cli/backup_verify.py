"""`aishell backups verify`: is what was backed up still there, and can it be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aishell.cli.common import OUTPUT, open_site
from aishell.cli.console import write_json
from aishell.cli.keeping import entries_of, keeper
from aishell.cli.main import ShowsExamples
from aishell.cli.output import Screen
from aishell.cli.streams import say
from aishell.errors import AishellError, BackupError, DeniedError, NotAtHandError, UsageError
from aishell.reporting.units import printable
from aishell.state.runs import who

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from aishell.backups.store.catalog import CatalogEntry
    from aishell.services.offline_backups import Keeper
    from aishell.site import Site

#: By whether a backup is sound; None: nothing was learnt.
_MARKS = {True: ("✓", None), False: ("✗", "red"), None: ("?", "yellow")}


@click.command(
    cls=ShowsExamples,
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

    Every file is compared with the manifest and then read by the engine's own programs. Asks nothing of the database, which
    may be gone. What is damaged counts for nothing from then on: exit 1, naming what is wrong. With --copies the same is done to
    what lies in second places, and a copy that is damaged counts as none; the next backup makes it anew.
    """
    if names and target is not None:
        raise UsageError("backups are named, or chosen by --target")
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
    """How far a backup is proven, or its copies, or what is wrong with it."""
    if not result["sound"]:
        return str(result["problem"])
    proven = f"copied to {', '.join(result['places'])}" if "places" in result else result["rung"].replace("-", " ")
    return f"{proven}, but its restore test failed: {result['differs']}" if result["differs"] else str(proven)


def _verified(
    keeper: Keeper, site: Site, chosen: Sequence[CatalogEntry], *, copies: bool = False
) -> Iterator[dict[str, Any]]:
    """What became of each, or of the copies of those that have any.

    A backup that others depend on is read with them: so those come first, and it is not read twice. `sound` is None where nothing
    was learnt of one, for want of a program, a key or a place: that is reported, and not held against it.
    """
    read: set[str] = set()
    for entry in reversed([one for one in chosen if one.copies] if copies else chosen):
        sound, problem = (True, None) if entry.backup_id in read else _tried(keeper, entry, copies, read)
        if problem is not None and entry.backup_id not in {one.backup_id for one in site.backup_store.entries()}:
            continue  # it was removed meanwhile, as by `prune`
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


def _tried(keeper: Keeper, entry: CatalogEntry, copies: bool, read: set[str]) -> tuple[bool | None, str | None]:
    """Whether a backup is sound, and why not; all that was read goes into `read`."""
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
    """Read a backup in full, or its copies. Raises BackupError for damage, DeniedError where policy wants a question."""
    params, tool = {"backup_id": entry.backup_id}, "verify_copies" if copies else "validate_backup"
    verdict = keeper.judge_copies(params, entry) if copies else keeper.judge(tool, params, entry)[1]
    if verdict.requires_approval or not verdict.safe:
        raise DeniedError(f"policy requires approval for {tool}: run it as a tool of a run")
    with Screen("table").working(f"reading {entry.backup_id}"):
        if copies:
            keeper.read_copies(params, entry)
        else:
            keeper.call(tool, params, entry)
