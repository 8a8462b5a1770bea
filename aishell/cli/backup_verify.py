"""`aishell backups verify`: is what was backed up still there, and can it be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aishell.cli.common import OUTPUT, open_site
from aishell.cli.main import ShowsExamples
from aishell.cli.streams import say
from aishell.errors import AishellError, BackupError, DeniedError, NotAtHandError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aishell.backups.store.catalog import CatalogEntry
    from aishell.services.offline_backups import Keeper
    from aishell.site import Site


COPIES = "verify_copies"


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
    from aishell.cli.console import write_json
    from aishell.cli.keeping import entries_of, keeper
    from aishell.errors import UsageError
    from aishell.reporting.units import printable

    if names and target is not None:
        raise UsageError("backups are named, or chosen by --target")
    site = open_site(ctx)
    chosen = [site.backup_store.catalog.find(name) for name in names] if names else entries_of(site, target)
    results: list[dict[str, Any]] = []
    for result in (_copies if copies else _verified)(keeper(site), site, chosen):
        results.append(result)
        if output != "json":
            seen = f"copied to {', '.join(result['places'])}" if copies else result["rung"].replace("-", " ")
            differs = result.get("differs")
            seen += f", but its restore test failed: {differs}" if differs else ""
            text = seen if result["sound"] else result["problem"]
            mark, colour = (
                ("✓", None) if result["sound"] else ("✗", "red") if result["sound"] is False else ("?", "yellow")
            )
            say(f"{mark} {printable(result['backup_id'])}: {printable(text)}", style=colour)
    if output == "json":
        write_json(results)
    elif not results:
        say("no backup has a copy" if copies else f"there is no backup in {site.backup_store.repository.root}")
    ctx.exit(1 if any(not result["sound"] for result in results) else 0)


def _verified(keeper: Keeper, site: Site, chosen: Sequence[CatalogEntry]) -> Iterator[dict[str, Any]]:
    """What became of each. One that others rest on was read with them: so those come first, and it is not read twice."""
    from aishell.state.runs import who

    read: set[str] = set()
    for entry in reversed(chosen):
        sound: bool | None = True
        problem: str | None = None
        if entry.backup_id not in read:
            try:
                _look(keeper, entry)
                read |= _chain(keeper, entry)
            except DeniedError:
                raise
            except AishellError as error:
                # Without a program or a key nothing was learnt of it: that is told, and not held against it.
                if entry.backup_id not in {one.backup_id for one in site.backup_store.entries()}:
                    continue  # it was removed meanwhile, as by `prune`
                damaged = isinstance(error, BackupError) and not isinstance(error, NotAtHandError)
                sound, problem = (False if damaged else None), error.message
        told = {"backup_id": entry.backup_id, "sound": sound, "problem": problem, "by": who()}
        site.runs.event("backup_verified", told)
        known = site.backup_store.catalog.find(entry.backup_id)
        yield {
            "backup_id": entry.backup_id,
            "target": entry.target,
            "sound": sound,
            "rung": known.verification_level,
            "problem": problem,
            "differs": known.differs,
        }


def _copies(keeper: Keeper, site: Site, chosen: Sequence[CatalogEntry]) -> Iterator[dict[str, Any]]:
    """What became of the copies of each that has any; `sound` is None where a place could not be looked at."""
    from aishell.state.runs import who

    for entry in (one for one in reversed(chosen) if one.copies):
        sound: bool | None = True
        problem: str | None = None
        try:
            _look(keeper, entry, COPIES)
        except DeniedError:
            raise
        except AishellError as error:
            damaged = isinstance(error, BackupError) and not isinstance(error, NotAtHandError)
            sound, problem = (False if damaged else None), error.message
        told = {"backup_id": entry.backup_id, "sound": sound, "problem": problem, "by": who()}
        site.runs.event("copies_verified", told)
        known = site.backup_store.catalog.find(entry.backup_id)
        yield {
            "backup_id": entry.backup_id,
            "target": entry.target,
            "sound": sound,
            "rung": known.verification_level,
            "problem": problem,
            "differs": known.differs,
            "places": list(known.sound_copies),
        }


def _look(keeper: Keeper, entry: CatalogEntry, tool: str = "validate_backup") -> None:
    from aishell.cli.output import Screen

    params, copies = {"backup_id": entry.backup_id}, tool == COPIES
    verdict = keeper.judge_copies(params, entry) if copies else keeper.judge(tool, params, entry)[1]
    if verdict.requires_approval or not verdict.safe:
        raise DeniedError(f"policy does not let {tool} run without being asked: run it as a tool of a run")
    with Screen("table").working(f"reading {entry.backup_id}"):
        if copies:
            keeper.read_copies(params, entry)
        else:
            keeper.call(tool, params, entry)


def _chain(keeper: Keeper, entry: CatalogEntry) -> set[str]:
    return {manifest.backup_id for _, manifest in keeper.backup_store.chain(entry)}
