"""Which backups are kept and which may go, and by which rule. Pure.

A backup counts if it and all backups it depends on are verified (checksummed and fully read). The rules keep the newest
`count` full backups with their increments, those of the last `days`, and the newest of each of so many days, weeks, months and
years. Whatever the rules say, these are kept too: of each database the newest verified full backup, the newest that was restored
and compared, the newest with a second copy, and those newer than that full one; those not verified yet; those that are pinned;
and those that a kept one depends on. A damaged backup does not count, so it never displaces another. Neither does one that can
be read but failed its restore test, nor a safety backup, but these are kept as long as if they counted.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from aishell.backups.store.catalog import CatalogEntry
from aishell.backups.store.manifest import FULL

#: Rule -> the name of a backup's period, in UTC; of each of the latest periods with backups, the newest is kept.
PERIODS: dict[str, Callable[[datetime], str]] = {
    "daily": lambda at: at.strftime("%Y-%m-%d"),
    "weekly": lambda at: at.strftime("%G-W%V"),
    "monthly": lambda at: at.strftime("%Y-%m"),
    "yearly": lambda at: at.strftime("%Y"),
}
_DAY = 86_400


@dataclass(frozen=True)
class RetentionRules:
    """How many backups each rule keeps; 0 or None: none. `at_most`: the most that are removed in one run."""

    count: int = 0
    days: float | None = None
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    at_most: int | None = None

    @property
    def empty(self) -> bool:
        """Whether no rule is set: then nothing is removed."""
        return not any((self.count, self.days, self.daily, self.weekly, self.monthly, self.yearly))


@dataclass(frozen=True)
class RetentionDecision:
    """The decision on a backup: `rules` keep it, `waits` is why it stays for now, `turn` its turn to be removed (0: first)."""

    backup: CatalogEntry
    rules: tuple[str, ...] = ()
    waits: str | None = None
    turn: int | None = None

    @property
    def goes(self) -> bool:
        return self.turn is not None


def decide(
    backups: Iterable[CatalogEntry],
    rules: RetentionRules,
    now: datetime,
    *,
    selected: Callable[[CatalogEntry], bool] = lambda backup: True,
    frozen: Callable[[CatalogEntry], str | None] = lambda backup: None,
) -> list[RetentionDecision]:
    """A decision on every `selected` backup, the newest first.

    `backups` are all known ones: those not selected are kept, and so are those they depend on. `frozen` returns why one may not
    be removed now, such as a failed backup.
    """
    known = {backup.backup_id: backup for backup in backups}
    newest_first = sorted(known.values(), key=_age, reverse=True)
    why: dict[str, list[str]] = {
        backup.backup_id: [] if selected(backup) else ["not selected"] for backup in newest_first
    }
    _keep(known, newest_first, rules, now, why)
    _keep_parents(known, why)
    candidates = [backup for backup in newest_first if not why[backup.backup_id]]
    waits = {backup.backup_id: reason for backup in candidates if (reason := frozen(backup)) is not None}
    turns = _removal_order(known, [backup for backup in candidates if backup.backup_id not in waits], rules.at_most)
    full_up = rules.at_most is not None and len(turns) >= rules.at_most
    later = f"no more than {rules.at_most} in one run" if full_up else "what depends on it stays for now"
    staying = {backup.backup_id: later for backup in candidates if backup.backup_id not in turns} | waits
    return [
        RetentionDecision(
            backup,
            tuple(dict.fromkeys(why[backup.backup_id])),
            staying.get(backup.backup_id),
            turns.get(backup.backup_id),
        )
        for backup in newest_first
        if selected(backup)
    ]


def _age(backup: CatalogEntry) -> tuple[datetime, str]:
    return backup.at, backup.backup_id


def _keep(
    known: Mapping[str, CatalogEntry],
    newest_first: Sequence[CatalogEntry],
    rules: RetentionRules,
    now: datetime,
    why: Mapping[str, list[str]],
) -> None:
    """Add to `why` the reasons for keeping backups of each database."""
    groups: dict[str, list[CatalogEntry]] = defaultdict(list)
    for backup in newest_first:
        groups[backup.group].append(backup)
    counting = _sound(known) - {backup.backup_id for backup in newest_first if backup.replaced}
    readable = _sound(known, differing=True) - counting
    for mine in groups.values():
        group = _Group(mine, rules, now)
        group.guard(counting, why)
        group.keep(counting, why)
        for backup in (one for one in mine if one.backup_id in readable):
            why[backup.backup_id].extend(group.as_if_it_counted(backup, counting, known))


def _sound(known: Mapping[str, CatalogEntry], *, differing: bool = False) -> frozenset[str]:
    """The ids of backups that count: they and those they depend on are verified; `differing`: or at least fully read."""
    good = {name for name, one in known.items() if (one.readable if differing else one.verified)}
    children = _children(one for one in known.values() if one.backup_id in good and one.kind != FULL)
    fulls = [name for name in good if known[name].kind == FULL]
    return frozenset(fulls).union(*(_descendants(name, children) for name in fulls))


@dataclass(frozen=True)
class _Group:
    """The backups of one database, the newest first; its methods add the reasons for keeping them to `why`."""

    mine: Sequence[CatalogEntry]
    rules: RetentionRules
    now: datetime

    def guard(self, counting: frozenset[str], why: Mapping[str, list[str]]) -> None:
        """Add the reasons that hold whatever the rules say."""
        newest = next((backup for backup in self._counted(counting) if backup.kind == FULL), None)
        for backup in self.mine:
            reasons = {
                "pinned": backup.pinned,
                "no rule is set": self.rules.empty,
                "dated in the future": backup.at > self.now,  # a clock was wrong, so its age is unknown
                "not verified yet": not backup.readable and backup.problem is None,
                "no verified full backup yet": newest is None,  # without one, none can replace another
                "newer than the newest verified full": newest is not None and _age(backup) > _age(newest),
            }
            why[backup.backup_id].extend(reason for reason, applies in reasons.items() if applies)

    def keep(self, counting: frozenset[str], why: Mapping[str, list[str]]) -> None:
        """Add the reasons of the rules, for backups that count."""
        good = self._counted(counting)
        self._keep_newest(good, why)
        if not self.rules.empty:
            self._apply(good, why)

    def as_if_it_counted(
        self, backup: CatalogEntry, counting: frozenset[str], known: Mapping[str, CatalogEntry]
    ) -> list[str]:
        """The reasons for keeping a backup that failed its restore test, or a safety backup.

        It is kept as long as if it counted, and displaces no other.
        """
        alone: dict[str, list[str]] = defaultdict(list)
        self.keep(counting | _with_parents(backup, known), alone)
        reasons = alone[backup.backup_id]
        if backup.replaced and reasons:
            return [f"made before a restore; kept as if it counted ({', '.join(reasons)})"]
        return reasons

    def _keep_newest(self, good: Sequence[CatalogEntry], why: Mapping[str, list[str]]) -> None:
        """Add reasons for the newest of each kind, which is always kept."""
        for name, kind in (
            ("newest verified full", lambda backup: backup.kind == FULL),
            ("newest restored and compared", lambda backup: backup.compared_at is not None),
            ("newest with a second copy", lambda backup: bool(backup.sound_copies)),
        ):
            newest = next(filter(kind, good), None)
            if newest is not None:
                why[newest.backup_id].append(name)

    def _apply(self, good: Sequence[CatalogEntry], why: Mapping[str, list[str]]) -> None:
        """Add the reasons of each rule."""
        rules, fulls = self.rules, [backup for backup in good if backup.kind == FULL]
        names, children = {backup.backup_id for backup in good}, _children(self.mine)  # not those dated in the future
        for number, full in enumerate(fulls[: rules.count], 1):
            why[full.backup_id].append(f"#{number} of the {rules.count} newest")
            for child in names.intersection(_descendants(full.backup_id, children)):
                why[child].append(f"needed by #{number} of the {rules.count} newest")
        for backup in good:
            if rules.days and (self.now - backup.at).total_seconds() <= rules.days * _DAY:
                why[backup.backup_id].append(f"younger than {rules.days:g} day(s)")
        for name, period in PERIODS.items():
            newest: dict[str, CatalogEntry] = {}
            for backup in good:
                newest.setdefault(period(backup.at), backup)
            for label, backup in list(newest.items())[: getattr(rules, name)]:
                why[backup.backup_id].append(f"{name} {label}")

    def _counted(self, sound: frozenset[str]) -> list[CatalogEntry]:
        """Those that count; one dated in the future would otherwise stay the newest."""
        return [backup for backup in self.mine if backup.backup_id in sound and backup.at <= self.now]


def _with_parents(backup: CatalogEntry, known: Mapping[str, CatalogEntry]) -> frozenset[str]:
    """The ids of a backup and of all it depends on."""
    found, at = set[str](), known.get(backup.backup_id)
    while at is not None and at.backup_id not in found:
        found.add(at.backup_id)
        at = known.get(at.parent or "")
    return frozenset(found)


def _children(backups: Iterable[CatalogEntry]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for backup in backups:
        if backup.parent is not None:
            found[backup.parent].append(backup.backup_id)
    return found


def _descendants(name: str, children: Mapping[str, Sequence[str]]) -> list[str]:
    """All increments that depend on a backup, directly or not."""
    found, todo = dict[str, None](), [name]
    while todo:
        new = [child for child in children.get(todo.pop(), ()) if child not in found]
        found |= dict.fromkeys(new)
        todo += new
    return list(found)


def _keep_parents(known: Mapping[str, CatalogEntry], why: Mapping[str, list[str]]) -> None:
    """Keep all backups that a kept one depends on."""
    held: dict[str, list[str]] = defaultdict(list)
    todo = [name for name, reasons in why.items() if reasons]
    kept = set(todo)
    while todo:
        child = todo.pop()
        parent = known[child].parent
        if parent is None or parent not in known:
            continue
        held[parent].append(child)
        if parent not in kept:
            kept.add(parent)
            todo.append(parent)
    for parent, by in held.items():
        why[parent].append(f"{by[0]} depends on it" if len(by) == 1 else f"{len(by)} others depend on it")


def _removal_order(
    known: Mapping[str, CatalogEntry], going: Sequence[CatalogEntry], at_most: int | None
) -> dict[str, int]:
    """Backup id -> its turn to be removed: the oldest first of those without dependents, at most `at_most`."""
    living = {name: len(children) for name, children in _children(known.values()).items()}
    names = {backup.backup_id for backup in going}
    free = [_age(backup) for backup in going if not living.get(backup.backup_id)]
    heapq.heapify(free)
    turns: dict[str, int] = {}
    while free and (at_most is None or len(turns) < at_most):
        _, name = heapq.heappop(free)
        turns[name] = len(turns)
        parent = known[name].parent
        if parent is not None and parent in living:
            living[parent] -= 1
            if parent in names and not living[parent]:
                heapq.heappush(free, _age(known[parent]))
    return turns
