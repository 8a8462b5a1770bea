"""`aishell backups prune`: remove what no retention rule keeps, and the remains of interrupted runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aishell.cli.common import OUTPUT, assigned, open_site
from aishell.cli.console import write_json
from aishell.cli.keeping import agree, entries_of, keeper
from aishell.cli.listing import show_rows
from aishell.cli.main import ShowsExamples
from aishell.cli.streams import say
from aishell.engines import profile
from aishell.errors import UsageError
from aishell.models import new_id
from aishell.reporting.units import printable, size
from aishell.state.runs import who

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

    Always kept, whatever the rules say: each database's newest verified full backup, its newest backup that was restored and
    compared, all newer ones, unverified and pinned ones, and those that a kept one depends on. Nothing is removed after a
    failed backup.
    """
    from aishell.backups.store.pruning import decisions

    site = open_site(ctx)
    rules, given = _rules(site, pairs)
    entries = {entry.backup_id: entry for entry in entries_of(site, target)}
    found = decisions(site.backup_store, target, rules, datetime.now(UTC), despite_failure=despite_failure)
    going = [entries[decision.backup.backup_id] for decision in found if decision.goes]
    backups = [_document(decision, entries[decision.backup.backup_id]) for decision in found]
    left = _unfinished(site, target)
    clearing = [row for row in left if row["kept"] is None]
    if output != "json":
        _show(backups, left, site)
    removed: list[str] = []
    if not dry_run and _agreed(site, going, len(clearing), given, yes=yes, output=output):
        removed = _remove(site, going, rules, despite_failure=despite_failure)
        _clear(site, clearing)
    total = sum(entries[backup_id].bytes for backup_id in removed)
    if output == "json":
        backups = [backup | {"removed": backup["backup_id"] in removed} for backup in backups]
        document = {"dry_run": dry_run, "removed": removed, "removed_bytes": total}
        write_json({**document, "backups": backups, "unfinished": left})
    elif not dry_run:
        say(f"{_counted(len(removed), sum(row['removed'] for row in left))} removed, {size(total)}")


def _counted(backups: int, unfinished: int) -> str:
    return f"{backups} backup(s)" + (f" and {unfinished} unfinished one(s)" if unfinished else "")


def _agreed(
    site: Site, going: Sequence[CatalogEntry], clearing: int, rules: Mapping[str, Any], *, yes: bool, output: str
) -> bool:
    """Whether there is anything to remove, and a person or --yes agrees. `clearing`: number of unfinished backups."""
    if not going and not clearing:
        return False
    params = {"retention": dict(rules)}
    verdicts = {entry.target: keeper(site).judge("cleanup_old_backups", params, entry)[1] for entry in going}
    return agree(site, verdicts, f"remove {_counted(len(going), clearing)}?", yes=yes, output=output)


def _rules(site: Site, pairs: tuple[str, ...]) -> tuple[RetentionRules, Mapping[str, Any]]:
    """The configured rules, overridden by `pairs`. Raises UsageError if there is none."""
    from aishell.backups.store.pruning import rules_of

    configured = keeper(site).config.own.get("retention")
    given = {**(configured or {}), **assigned("--set", pairs)}
    rules = rules_of(given)
    if rules.empty:
        place = site.places.config / "agents" / "backup.yaml"
        raise UsageError(
            "no retention rule is set, so nothing can be removed",
            hint=f"write `retention: {{count: 7}}` in {place}, or give --set count=7",
        )
    return rules, given


def _remove(site: Site, going: Sequence[CatalogEntry], rules: RetentionRules, *, despite_failure: bool) -> list[str]:
    """Remove what was shown and may still be removed. The targets' locks are held, so that no new backup depends on one."""
    from aishell.backups.store.pruning import decisions, finish, remove
    from aishell.execution.locking import holding_files, target_file

    def record(entry: CatalogEntry) -> None:
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
            removed += remove(site.backup_store, still, record, keeper(site).removing)
    return removed


def _file(entry: CatalogEntry) -> Path | None:
    """The SQLite file beside which a run on the target holds its lock; None if its folder no longer exists."""
    path = Path(entry.database)
    return path if profile(entry.engine).is_file and path.is_absolute() and path.parent.is_dir() else None


def _unfinished(site: Site, target: str | None) -> list[dict[str, Any]]:
    """The remains of interrupted runs. `kept`: why one has to stay; None if its run can no longer be resumed."""
    from aishell.backups.leftovers import BACKUP, DELETED, WORKED, leftovers

    return [
        {"path": one.name, "run_id": one.run_id, "kept": one.kept, "removed": False}
        for one in leftovers(site.backup_store, site.archives, target)
        if one.kind in (BACKUP, DELETED, WORKED)
    ]


def _clear(site: Site, rows: Sequence[dict[str, Any]]) -> None:
    """Remove the remains of runs, and end programs that may still write there."""
    from aishell.backups.store.pruning import finish_removal
    from aishell.backups.store.repository import TRASH
    from aishell.clients.clients import end_leftover

    for row in rows:
        path = Path(row["path"])
        end_leftover(path)
        if not path.exists():  # already removed with another backup of its target
            site.backup_store.catalog.forget([path.name.removeprefix(TRASH)])
        elif path.name.startswith(TRASH):
            finish_removal(site.backup_store, path, keeper(site).removing)
        else:
            site.backup_store.repository.delete(path)
        site.runs.event("unfinished_backup_removed", {"path": row["path"], "by": who()}, run_id=row["run_id"])
        row["removed"] = True


def _document(decision: RetentionDecision, entry: CatalogEntry) -> dict[str, Any]:
    """The decision on a backup, with its reasons, as JSON."""
    from aishell.backups.store.pruning import reasons

    return {
        "backup_id": entry.backup_id,
        "target": entry.target,
        "kind": entry.kind,
        "started_at": entry.started_at,
        "bytes": entry.bytes,
        "becomes": "goes" if decision.goes else "waits" if decision.waits else "stays",
        "reasons": reasons(decision),
    }


def _show(backups: Sequence[Mapping[str, Any]], left: Sequence[Mapping[str, Any]], site: Site) -> None:
    """Print each backup with the decision on it and the reasons."""
    rows = [
        {
            "backup": backup["backup_id"],
            "target": backup["target"],
            "size": size(backup["bytes"]),
            "becomes": backup["becomes"],
            "why": "no rule keeps it" if backup["becomes"] == "goes" else "; ".join(backup["reasons"]),
        }
        for backup in backups
    ]
    show_rows(rows, "table", empty=f"there is no backup in {site.backup_store.repository.root}")
    for row in left:
        say(printable(f"unfinished: {row['path']}: {row['kept'] or 'goes'}"))
