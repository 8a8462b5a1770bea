"""Which backups are kept and which may go, and by which rule. Pure.

A backup counts once it is verified: checksummed and fully read. Kept is the union of what the rules keep (the newest `count`
with their increments, those younger than `days`, and grandfather-father-son: the newest of each of so many days, weeks, months
and years), and whatever the rules say: the newest verified full of each database, the newest one that was restored and compared,
what is pinned, what a kept one rests on, and everything that is younger than the newest verified full.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from aishell.backups.manifest import FULL

#: Rule -> what names the period of a backup; the newest of each of the last so many periods is kept.
PERIODS: dict[str, Callable[[datetime], str]] = {
    "daily": lambda at: at.strftime("%Y-%m-%d"),
    "weekly": lambda at: at.strftime("%G-W%V"),
    "monthly": lambda at: at.strftime("%Y-%m"),
    "yearly": lambda at: at.strftime("%Y"),
}


@dataclass(frozen=True)
class Kept:
    """A backup as retention sees it. `verified`: checksummed and fully read; `compared`: restored and compared."""

    backup_id: str
    group: str  # the database it is of: backups of one never stand in for another's
    kind: str
    at: datetime
    parent: str | None = None
    bytes: int = 0
    verified: bool = True
    compared: bool = False
    pinned: bool = False


@dataclass(frozen=True)
class Rules:
    """How many to keep, by which rule; 0 or None means that the rule keeps nothing. `at_most` may go in one run."""

    count: int = 0
    days: float | None = None
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    at_most: int | None = None

    @property
    def empty(self) -> bool:
        """Whether no rule keeps anything: then nothing may be removed, because nothing was asked for."""
        return not any((self.count, self.days, self.daily, self.weekly, self.monthly, self.yearly))


@dataclass(frozen=True)
class Decision:
    """`rules` says why a backup is kept; one with none may go."""

    backup: Kept
    rules: tuple[str, ...] = ()
    waits: str | None = field(default=None)  # it could go, but not in this run

    @property
    def goes(self) -> bool:
        return not self.rules and self.waits is None


def decide(backups: Iterable[Kept], rules: Rules, now: datetime, *, frozen: str | None = None) -> list[Decision]:
    """A decision for every backup, the newest first. `frozen`: why nothing may go now, such as a backup that failed."""
    known = sorted(backups, key=lambda backup: (backup.at, backup.backup_id), reverse=True)
    why: dict[str, list[str]] = {backup.backup_id: [] for backup in known}
    for group in sorted({backup.group for backup in known}):
        _rules_of([backup for backup in known if backup.group == group], rules, now, why)
    _foundations(known, why)
    decisions, going = [], 0
    for backup in reversed(known):  # the oldest go first
        reasons = tuple(dict.fromkeys(why[backup.backup_id]))
        waits = None
        if not reasons:
            going += 1
            waits = frozen or (f"no more than {rules.at_most} in one run" if _over(going, rules) else None)
        decisions.append(Decision(backup, reasons, waits))
    return _with_children(decisions[::-1])


def _over(going: int, rules: Rules) -> bool:
    return rules.at_most is not None and going > rules.at_most


def _rules_of(mine: Sequence[Kept], rules: Rules, now: datetime, why: dict[str, list[str]]) -> None:
    """What the rules keep of one database's backups, the newest first."""
    good = [backup for backup in mine if backup.verified]
    fulls = [backup for backup in good if backup.kind == FULL]
    for backup in mine:
        if backup.pinned:
            why[backup.backup_id].append("pinned")
        if rules.empty:
            why[backup.backup_id].append("no rule is set")
    if not fulls:  # without one good full backup nothing is known to be replaceable
        for backup in mine:
            why[backup.backup_id].append("no verified full backup yet")
        return
    why[fulls[0].backup_id].append("newest verified full")
    compared = next((backup for backup in good if backup.compared), None)
    if compared is not None:
        why[compared.backup_id].append("newest restored and compared")
    for backup in mine:
        if backup.at > fulls[0].at:
            why[backup.backup_id].append("newer than the newest verified full")
        if backup.verified and rules.days is not None and now - backup.at <= timedelta(days=rules.days):
            why[backup.backup_id].append(f"younger than {rules.days:g} day(s)")
    for number, backup in enumerate(fulls[: rules.count], 1):
        why[backup.backup_id].append(f"number {number} of the newest {rules.count}")
        for child in _resting_on(backup, good):
            why[child.backup_id].append(f"rests on number {number} of the newest {rules.count}")
    for name, period in PERIODS.items():
        newest: dict[str, Kept] = {}
        for backup in fulls:
            newest.setdefault(period(backup.at), backup)
        for label, backup in list(newest.items())[: getattr(rules, name)]:
            why[backup.backup_id].append(f"{name} {label}")


def _resting_on(full: Kept, among: Sequence[Kept]) -> list[Kept]:
    """The increments of a full backup, whatever lies between."""
    found = {full.backup_id}
    children = []
    for backup in sorted(among, key=lambda backup: backup.at):
        if backup.parent in found:
            found.add(backup.backup_id)
            children.append(backup)
    return children


def _foundations(known: Sequence[Kept], why: dict[str, list[str]]) -> None:
    """A kept backup keeps what it rests on, and that what it rests on itself."""
    parents = {backup.backup_id: backup.parent for backup in known}
    for backup in known:
        if not why[backup.backup_id]:
            continue
        parent, seen = backup.parent, {backup.backup_id}
        while parent is not None and parent in why and parent not in seen:
            why[parent].append(f"{backup.backup_id} rests on it")
            seen.add(parent)
            parent = parents.get(parent)


def _with_children(decisions: list[Decision]) -> list[Decision]:
    """One that has to wait keeps what it rests on waiting too."""
    by_id = {decision.backup.backup_id: number for number, decision in enumerate(decisions)}
    for decision in list(decisions):
        if decision.waits is None:
            continue
        parent = decision.backup.parent
        while parent is not None and parent in by_id:
            number = by_id[parent]
            found = decisions[number]
            if found.goes:
                decisions[number] = Decision(found.backup, (), f"{decision.backup.backup_id} rests on it and waits")
            parent = found.backup.parent
    return decisions
