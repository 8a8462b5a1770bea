"""`aishell backups prune`: what no retention rule keeps goes, and what interrupted runs have left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aishell.cli.common import OUTPUT, open_site, parse_inputs
from aishell.cli.main import ShowsExamples
from aishell.cli.streams import say
from aishell.engines import profile
from aishell.errors import UsageError
from aishell.models import new_id

if TYPE_CHECKING:
    from aishell.backups.store.catalog import CatalogEntry
    from aishell.backups.store.retention import RetentionDecision, RetentionRules
    from aishell.site import Site


@click.command(
    cls=ShowsExamples,
    epilog="Examples:  aishell backups prune --dry-run   ·   aishell backups prune --target shop --yes   ·   "
    "aishell backups prune --set count=7 --set monthly=12 --dry-run",
)
@click.option("--target", metavar="T", help="Only backups of this target.")
@click.option("--dry-run", is_flag=True, help="Show what would be removed, and why the rest is kept.")
@click.option("--yes", is_flag=True, help="Remove without asking.")
@click.option("--set", "pairs", multiple=True, metavar="RULE=N", help="Override a retention rule.")
@click.option(
    "--despite-failure", is_flag=True, help="Remove even if the last backup failed, for example when the disk is full."
)
@OUTPUT
@click.pass_context
def prune(
    ctx: click.Context,
    /,
    target: str | None,
    dry_run: bool,
    yes: bool,
    pairs: tuple[str, ...],
    despite_failure: bool,
    output: str,
) -> None:
    """Remove backups that no rule of `retention` in config/agents/backup.yaml keeps. Shows why each is kept, and asks first.

    Always kept, whatever the rules say: of each database the newest verified full backup, the newest that was restored and
    compared, all that is newer, what was never verified, what is pinned, and what a kept one depends on. Nothing is removed
    after a failed backup.
    """
    from aishell.backups.store.pruning import decisions
    from aishell.cli.keeping import agree, entries_of, keeper

    site = open_site(ctx)
    rules, given = _rules(site, pairs)
    entries = {entry.backup_id: entry for entry in entries_of(site, target)}
    found = decisions(site.backup_store, target, rules, datetime.now(UTC), despite_failure=despite_failure)
    left = _unfinished(site, target)
    going = [entries[decision.backup.backup_id] for decision in found if decision.goes]
    clearing = [row for row in left if row["kept"] is None]
    removed: list[str] = []
    if output != "json":
        _show(found, entries, left, site)
    if (going or clearing) and not dry_run:
        names = {entry.target: entry for entry in going}
        verdicts = {name: keeper(site).judge_removal(entry, given) for name, entry in names.items()}
        unfinished = f" and {len(clearing)} unfinished one(s)" if clearing else ""
        if agree(site, verdicts, f"remove {len(going)} backup(s){unfinished}?", yes=yes, output=output):
            removed = _remove(site, going, rules, despite_failure=despite_failure)
            for row in clearing:
                _clear(site, row)
    _tell(found, entries, left, removed, dry_run=dry_run, output=output)


def _rules(site: Site, pairs: tuple[str, ...]) -> tuple[RetentionRules, Mapping[str, Any]]:
    """The rules that are configured, or given instead of those. Raises UsageError where there is none."""
    from aishell.backups.store.pruning import rules_of
    from aishell.cli.keeping import keeper

    configured = keeper(site).config.own.get("retention")
    given = {**(configured or {}), **parse_inputs(pairs)}
    rules = rules_of(given)
    if rules.empty:
        place = site.places.config / "agents" / "backup.yaml"
        raise UsageError(
            "no retention rule is set: nothing may be removed",
            hint=f"write `retention: {{count: 7}}` in {place}, or give --set count=7",
        )
    return rules, given


def _remove(site: Site, going: Sequence[CatalogEntry], rules: RetentionRules, *, despite_failure: bool) -> list[str]:
    """Remove what was shown and may still go, with the targets' locks held: nobody builds on one meanwhile."""
    from aishell.backups.store.pruning import decisions, finish, remove
    from aishell.cli.keeping import keeper
    from aishell.execution.locking import holding_files, target_file
    from aishell.state.runs import who

    def told(entry: CatalogEntry) -> None:
        site.runs.event("backup_removed", {"backup_id": entry.backup_id, "path": entry.path, "by": who()})

    shown, removed, mark = {entry.backup_id for entry in going}, [], new_id()
    folder = site.run_lock(mark).parent
    for target in dict.fromkeys(entry.target for entry in going):
        files = {
            target_file(folder, entry.identity, _file(entry))
            for entry in site.backup_store.entries(target)
            if not profile(entry.engine).is_file or _file(entry) is not None
        }
        with holding_files(files, mark, f"the target {target!r}"):
            finish(site.backup_store, target, keeper(site).removing)
            chosen = decisions(site.backup_store, target, rules, datetime.now(UTC), despite_failure=despite_failure)
            still = [decision for decision in chosen if decision.backup.backup_id in shown]
            removed += remove(site.backup_store, still, told, keeper(site).removing)
    return removed


def _file(entry: CatalogEntry) -> Path | None:
    """The SQLite file beside which a run of its target would hold its lock; None where there is no such place any more."""
    path = Path(entry.database)
    return path if profile(entry.engine).is_file and path.is_absolute() and path.parent.is_dir() else None


def _unfinished(site: Site, target: str | None) -> list[dict[str, Any]]:
    """What interrupted runs have left, and why it has to stay; None when its run is over for good."""
    from aishell.backups.leftovers import BACKUP, DELETED, WORKED, leftovers

    return [
        {"path": one.name, "run_id": one.run_id, "kept": one.kept, "removed": False}
        for one in leftovers(site.backup_store, site.archives, target)
        if one.kind in (BACKUP, DELETED, WORKED)
    ]


def _clear(site: Site, row: dict[str, Any]) -> None:
    """Remove what a run has left, and end the program that may still write there."""
    from aishell.backups.store.pruning import bury
    from aishell.backups.store.repository import TRASH
    from aishell.cli.keeping import keeper
    from aishell.clients.clients import end_leftover
    from aishell.state.runs import who

    path = Path(row["path"])
    end_leftover(path)
    if not path.exists():  # trash of a target that something else goes of too is gone by now
        site.backup_store.catalog.forget([path.name.removeprefix(TRASH)])
    elif path.name.startswith(TRASH):
        bury(site.backup_store, path, keeper(site).removing)
    else:
        site.backup_store.repository.delete(path)
    site.runs.event("unfinished_backup_removed", {"path": row["path"], "by": who()}, run_id=row["run_id"])
    row["removed"] = True


def _show(
    found: Sequence[RetentionDecision],
    entries: Mapping[str, CatalogEntry],
    left: Sequence[Mapping[str, Any]],
    site: Site,
) -> None:
    """The table of what stays and what goes, with the reason of each."""
    from aishell.cli.listing import show_rows
    from aishell.reporting.units import printable, size

    rows = [
        {
            "backup": decision.backup.backup_id,
            "target": entries[decision.backup.backup_id].target,
            "size": size(decision.backup.bytes),
            "becomes": "goes" if decision.goes else "waits" if decision.waits else "stays",
            "why": "no rule keeps it" if decision.goes else _why(decision),
        }
        for decision in found
    ]
    show_rows(rows, "table", empty=f"there is no backup in {site.backup_store.repository.root}")
    for row in left:
        say(printable(f"unfinished: {row['path']}: {row['kept'] or 'goes'}"))


def _why(decision: RetentionDecision) -> str:
    from aishell.backups.store.pruning import reasons

    return "; ".join(reasons(decision))


def _tell(
    found: Sequence[RetentionDecision],
    entries: Mapping[str, CatalogEntry],
    left: Sequence[Mapping[str, Any]],
    removed: Sequence[str],
    *,
    dry_run: bool,
    output: str,
) -> None:
    """What became of it."""
    from aishell.backups.store.pruning import reasons
    from aishell.cli.console import write_json
    from aishell.reporting.units import size

    total = sum(decision.backup.bytes for decision in found if decision.backup.backup_id in removed)
    if output != "json":
        cleared = sum(1 for row in left if row["removed"])
        if not dry_run:
            rest = f" and {cleared} unfinished one(s)" if cleared else ""
            say(f"{len(removed)} backup(s){rest} removed, {size(total)}")
        return
    backups = [
        {
            "backup_id": decision.backup.backup_id,
            "target": entries[decision.backup.backup_id].target,
            "kind": decision.backup.kind,
            "started_at": entries[decision.backup.backup_id].started_at,
            "bytes": decision.backup.bytes,
            "becomes": "goes" if decision.goes else "waits" if decision.waits else "stays",
            "reasons": reasons(decision),
            "removed": decision.backup.backup_id in removed,
        }
        for decision in found
    ]
    write_json(
        {
            "dry_run": dry_run,
            "removed": list(removed),
            "removed_bytes": total,
            "backups": backups,
            "unfinished": list(left),
        }
    )
