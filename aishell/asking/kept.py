"""Facts from the site's own records: backups, schedules, runs, the last health check, history and notes. No server is queried."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from aishell.agents.configuration import configured
from aishell.agents.loading import load_agent
from aishell.asking.facts import MOST, Fact, sentence, some
from aishell.commands import command
from aishell.models import Table
from aishell.moments import at, nominal
from aishell.reporting.units import duration, size

if TYPE_CHECKING:
    from aishell.backups.store.catalog import CatalogEntry
    from aishell.backups.store.retention import RetentionRules
    from aishell.models import History
    from aishell.reporting.health import Health
    from aishell.site import Site

_CATALOG = "catalog in state.db"


def backups(site: Site, names: Sequence[str], about: Sequence[str]) -> Iterator[Fact]:
    """Yield how each target is protected: its newest verified backup, weak backups, and what retention would remove."""
    from aishell.backups.store.pruning import rules_of

    retention = configured(site.places.config, load_agent("backup")).own.get("retention")
    rules = rules_of(retention or {})
    now = datetime.now(UTC)
    for name in names:
        entries = [one for one in site.backup_store.entries(name) if one.folder.is_dir() or one.copies]
        if not entries:
            yield Fact(f"{name} has no backup: everything in it could be lost.", _CATALOG, {"backups": 0})
            continue
        yield _newest(name, entries, now)
        yield from _weak(name, entries)
        if not rules.empty:
            yield from _going(site, name, entries, rules, now)


def _newest(name: str, entries: Sequence[CatalogEntry], now: datetime) -> Fact:
    """Return since when changes are in no verified backup."""
    newest = max((one for one in entries if one.verified), key=lambda one: one.started_at, default=None)
    if newest is None:
        text = f"{name}: none of its {len(entries)} backups was verified."
        return Fact(text, _CATALOG, {"backups": len(entries)})
    age = (now - datetime.fromisoformat(newest.started_at)).total_seconds()
    return Fact(
        f"{name}: what changed since {at(newest.started_at)} ({duration(age)} ago) is in no verified backup; "
        f"the newest is {newest.backup_id}, {newest.verification_level}, {size(newest.bytes)}.",
        _CATALOG,
        {"backup_id": newest.backup_id, "age_seconds": age, "bytes": newest.bytes, "backups": len(entries)},
    )


def _weak(name: str, entries: Sequence[CatalogEntry]) -> Iterator[Fact]:
    """Yield backups that may not help: damaged, in one place only, or never restored."""
    for one in entries:
        if one.wrong:
            yield Fact(f"{one.backup_id} cannot be relied on: {one.wrong}.", _CATALOG)
    alone = sum(not one.copies for one in entries)
    if alone:
        text = f"{name}: {alone} of {len(entries)} backups are in one place only, and are lost with its disk."
        yield Fact(text, _CATALOG, {"single": alone})
    if not any(one.compared for one in entries):
        yield Fact(f"{name}: no backup was restored and compared yet (`{command('run', 'restore-test')}`).", _CATALOG)


def _going(
    site: Site, name: str, entries: Sequence[CatalogEntry], rules: RetentionRules, now: datetime
) -> Iterator[Fact]:
    """Yield the backups that the retention rules would remove."""
    from aishell.backups.store.pruning import decisions

    going = [one.backup.backup_id for one in decisions(site.backup_store, name, rules, now) if one.goes]
    if going:
        yield Fact(
            f"{name}: the retention rules would remove {len(going)} of {len(entries)} backups: {some(going)}.",
            f"config/agents/backup.yaml, as `{command('backups', 'prune', '--dry-run')}`",
            {"going": len(going)},
        )


def tonight(site: Site, names: Sequence[str], about: Sequence[str]) -> Iterator[Fact]:
    """Yield what the schedules will start in the next 24 hours, with holds and the backlog."""
    from aishell.scheduling.outlook import times

    now = datetime.now(UTC)
    for one in site.schedules.by_name.values():
        on = [name for name in one.on(site.settings) if name in names]
        moment = next(times(site, one, now), None)
        if on and moment is not None and moment <= now + timedelta(days=1):
            what = f"the workflow {one.workflow}" if one.workflow else f"the agent {one.agent}"
            local = nominal(one.timing.local(moment))
            yield Fact(f"{one.name} starts {what} on {some(on)} at {local}.", "config/schedules.yaml")
    if not site.schedules.by_name:
        yield Fact("There is no schedule: nothing starts by itself.", "config/schedules.yaml")
    for hold in site.held():
        yield Fact(f"{hold.text}.", "holds in state.db")
    yield from _waiting(site, names)


def _waiting(site: Site, names: Sequence[str]) -> Iterator[Fact]:
    """Yield the backlog of each target."""
    if not site.state_path.exists():
        return
    for name, backlog in site.backlog.sizes().items():
        if name in names and backlog.items:
            text = f"{name}: {backlog.items} pieces of work did not fit into earlier windows; the next run begins with them."
            yield Fact(text, "backlog in state.db", {"items": backlog.items, "seconds": backlog.seconds})


def past(site: Site, name: str, tables: Sequence[Table]) -> Iterator[Fact]:
    """Yield how long earlier steps on the tables took, and the notes on the tables."""
    if not site.state_path.exists():
        return
    from aishell.state import history as histories

    known = histories.load(site.store, name)
    labels = {f"{table.schema}.{table.table}" for table in tables}
    for (tool, label), one in sorted(known.items()):
        if label in labels and one.took:
            yield _took(name, tool, label, one)
    keys = [table.key for table in tables]
    for note in site.notes.all(name):
        if note.table and note.names(keys):
            yield Fact(f"Note {note.id} by {note.by} on {note.about}: {note.text}", "notes in state.db")


def _took(name: str, tool: str, label: str, known: History) -> Fact:
    seconds = [one.seconds for one in known.took]
    if len(seconds) == 1:
        took = f"{duration(seconds[0])} last time"
    else:
        took = f"{duration(min(seconds))} to {duration(max(seconds))} in {len(seconds)} runs"
    idle = f"; the last {known.idle_runs} gained nothing" if known.idle_runs else ""
    return Fact(f"{name}: {tool} on {label} took {took}{idle}.", "history in state.db", {"seconds": seconds})


def health(site: Site, names: Sequence[str]) -> Iterator[Fact]:
    """Yield the health of each target at the last health check of a run, and when that was."""
    known = _checks(site)
    for name in names:
        one = known.get(name)
        if one is None:
            again = command("run", "maintenance", "--type", "quick")
            yield Fact(f"{name}: no health check was run yet (`{again}`).", "runs in state.db")
            continue
        source = f"run {one.run_id[:8]} of {at(one.at)}"
        yield Fact(f"{name}: health {one.score} of 100 at {at(one.at)}.", source, {"score": one.score})
        findings = [finding for lowered in one.lowered for finding in lowered.findings]
        for finding in findings[:MOST]:
            yield Fact(f"{name}: {sentence(finding)}", source)
        if len(findings) > MOST:
            yield Fact(f"{name}: {len(findings) - MOST} more findings.", source, {"more": len(findings) - MOST})


def findings(site: Site, name: str, wanted: Collection[str]) -> Iterator[Fact]:
    """Yield the findings with these names of a target's last health check, and when that was."""
    one = _checks(site).get(name)
    if one is None or not wanted:
        return
    source = f"run {one.run_id[:8]} of {at(one.at)}"
    found = [row for lowered in one.lowered for row in lowered.findings if row.get("finding") in wanted]
    for finding in found[:MOST]:
        yield Fact(f"{name}: at {at(one.at)}: {sentence(finding, detail=True)}", source)
    if not found:
        yield Fact(f"{name}: the health check of {at(one.at)} found none.", source)


def _checks(site: Site) -> dict[str, Health]:
    """Return the last health check of each target."""
    from aishell.reporting.health import health as scored
    from aishell.state import readings

    found = readings.read(site.store) if site.state_path.exists() else readings.Readings()
    return {row.target: scored(row.target, row.run_id, row.at, row.output) for row in found.health}


def history(site: Site, names: Sequence[str], about: Sequence[str]) -> Iterator[Fact]:
    """Yield the outcome of the newest runs on each target."""
    from aishell.state.recall import past_runs

    for name in names:
        runs = past_runs(site.runs, name, most=5) if site.state_path.exists() else []
        if not runs:
            yield Fact(f"{name}: no run was made yet.", "runs in state.db")
        for run in runs:
            text = f"{name}: {run['agent']} of {at(run['at'])} ended with {run['status']}. {run['says']}"
            yield Fact(text.strip(), f"run {run['run']}")
