"""Which backups are kept and which may go, and by which rule. Pure.

A backup counts when it is sound: verified (checksummed and fully read), as is everything that it rests on. Kept is the union of
what the rules keep (the newest `count` full ones with their increments, those of the last `days`, and grandfather-father-son:
the newest of each of so many days, weeks, months and years), and whatever the rules say: of each database the newest sound full
backup, the newest that was restored and compared, the newest with a second copy, what is newer than that full one, what was
never looked at, what is pinned, and what a kept one rests on. What is known to be damaged counts for nothing, and so pushes
nothing out. What reads whole and did not come back as it was counts for nothing either, and stays as long as if it did; and so
does what was made of a state that a restore in place was about to replace: nobody wants that in the place of a good one.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from aishell.backups.store.manifest import FULL

#: Rule -> what names the period of a backup, in UTC; the newest of each of the last so many periods that have one is kept.
PERIODS: dict[str, Callable[[datetime], str]] = {
    "daily": lambda at: at.strftime("%Y-%m-%d"),
    "weekly": lambda at: at.strftime("%G-W%V"),
    "monthly": lambda at: at.strftime("%Y-%m"),
    "yearly": lambda at: at.strftime("%Y"),
}
_DAY = 86_400


@dataclass(frozen=True)
class Kept:
    """A backup as retention sees it, `at` in UTC.

    `verified`: checksummed and fully read; `damaged`: found to be wrong; `differs`: it was read in full too, and did not come
    back as it was when that was tried; `copied`: a second place has it, and was as it should be when it was last read;
    `replaced`: it is of what a restore in place was about to replace.
    """

    backup_id: str
    group: str  # the database it is of: backups of one never stand in for another's
    kind: str
    at: datetime
    parent: str | None = None
    bytes: int = 0
    verified: bool = True
    damaged: bool = False
    compared: bool = False  # restored and compared
    pinned: bool = False
    differs: bool = False
    copied: bool = False
    replaced: bool = False


@dataclass(frozen=True)
class RetentionRules:
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
class RetentionDecision:
    """What becomes of a backup: `rules` says why it is kept, `waits` why it stays for now, `turn` when it goes (0: first)."""

    backup: Kept
    rules: tuple[str, ...] = ()
    waits: str | None = None
    turn: int | None = None

    @property
    def goes(self) -> bool:
        return self.turn is not None


def decide(
    backups: Iterable[Kept],
    rules: RetentionRules,
    now: datetime,
    *,
    asked: Callable[[Kept], bool] = lambda backup: True,
    frozen: Callable[[Kept], str | None] = lambda backup: None,
) -> list[RetentionDecision]:
    """A decision for every backup that is `asked` about, the newest first.

    `backups` are all that are known: one that is not asked about stays, and so does what it rests on. `frozen` says why one may
    not go now, such as a backup that failed.
    """
    known = {backup.backup_id: backup for backup in backups}
    newest_first = sorted(known.values(), key=_age, reverse=True)
    why: dict[str, list[str]] = {name: [] for name in known}
    groups: dict[str, list[Kept]] = defaultdict(list)
    for backup in newest_first:
        groups[backup.group].append(backup)
        if not asked(backup):
            why[backup.backup_id].append("not asked about")
    readable = _sound(known, differing=True)
    counting = _sound(known) - {backup.backup_id for backup in newest_first if backup.replaced}
    for mine in groups.values():
        _guard(mine, counting, rules, now, why)
        _keep(mine, counting, rules, now, why)
        for backup in mine:
            # What came back otherwise than it was, or was replaced by a restore, stays as long as it would if it counted, and
            # pushes nothing out.
            if backup.backup_id in readable - counting:
                alone: dict[str, list[str]] = defaultdict(list)
                _keep(mine, counting | _below(backup, known), rules, now, alone)
                told = alone[backup.backup_id]
                if backup.replaced and told:
                    told = [f"of what a restore replaced; kept as the others are ({', '.join(told)})"]
                why[backup.backup_id] += told
    _support(known, why)
    candidates = [backup for backup in newest_first if not why[backup.backup_id]]
    waits = {backup.backup_id: reason for backup in candidates if (reason := frozen(backup)) is not None}
    turns = _turns(known, [backup for backup in candidates if backup.backup_id not in waits], rules.at_most)
    full_up = rules.at_most is not None and len(turns) >= rules.at_most
    later = f"no more than {rules.at_most} in one run" if full_up else "what depends on it stays for now"
    for backup in candidates:
        if backup.backup_id not in turns:
            waits.setdefault(backup.backup_id, later)
    return [
        RetentionDecision(
            backup,
            tuple(dict.fromkeys(why[backup.backup_id])),
            waits.get(backup.backup_id),
            turns.get(backup.backup_id),
        )
        for backup in newest_first
        if asked(backup)
    ]


def _age(backup: Kept) -> tuple[datetime, str]:
    return backup.at, backup.backup_id


def _sound(known: Mapping[str, Kept], *, differing: bool = False) -> frozenset[str]:
    """Those that can be restored: verified, and all that they rest on too; `differing`: or read in full at least."""
    told: dict[str, bool] = {}
    for backup in known.values():
        path: list[str] = []
        at: Kept | None = backup
        while at is not None and at.backup_id not in told and at.backup_id not in path:
            path.append(at.backup_id)
            at = known.get(at.parent) if at.parent is not None else None
        for name in reversed(path):  # the one at the bottom first
            mine = known[name]
            rests = mine.kind == FULL or (mine.parent is not None and told.get(mine.parent, False))
            told[name] = (mine.verified or (differing and mine.differs)) and not mine.damaged and rests
    return frozenset(name for name, good in told.items() if good)


def _guard(
    mine: Sequence[Kept], sound: frozenset[str], rules: RetentionRules, now: datetime, why: Mapping[str, list[str]]
) -> None:
    """What stays of one database's backups whatever the rules say."""
    for backup in mine:
        reasons = why[backup.backup_id]
        if backup.pinned:
            reasons.append("pinned")
        if rules.empty:
            reasons.append("no rule is set")
        if backup.at > now:
            reasons.append("dated in the future")  # some clock is wrong: nothing is known of its age
        if not backup.verified and not backup.damaged and not backup.differs:
            reasons.append("not verified yet")
    good = _counted(mine, sound, now)
    full = next((backup for backup in good if backup.kind == FULL), None)
    if full is None:  # without one sound full backup nothing is known to be replaceable
        for backup in mine:
            why[backup.backup_id].append("no verified full backup yet")
        return
    for backup in mine:
        if _age(backup) > _age(full):
            why[backup.backup_id].append("newer than the newest verified full")


def _keep(
    mine: Sequence[Kept], counting: frozenset[str], rules: RetentionRules, now: datetime, why: Mapping[str, list[str]]
) -> None:
    """What promises and rules keep of one database's backups, where these count."""
    _promise(_counted(mine, counting, now), why)
    if not rules.empty:
        _apply(mine, counting, rules, now, why)


def _below(backup: Kept, known: Mapping[str, Kept]) -> frozenset[str]:
    """A backup that can be read, and all that it rests on."""
    found, at = set[str](), known.get(backup.backup_id)
    while at is not None and at.backup_id not in found:
        found.add(at.backup_id)
        at = known.get(at.parent or "")
    return frozenset(found)


def _promise(good: Sequence[Kept], why: Mapping[str, list[str]]) -> None:
    """The newest of each kind of those that count, the newest first, which no rule lets go."""
    for name, kind in (
        ("newest verified full", lambda backup: backup.kind == FULL),
        ("newest restored and compared", lambda backup: backup.compared),
        ("newest with a second copy", lambda backup: backup.copied),
    ):
        newest = next(filter(kind, good), None)
        if newest is not None:
            why[newest.backup_id].append(name)


def _apply(
    mine: Sequence[Kept], sound: frozenset[str], rules: RetentionRules, now: datetime, why: Mapping[str, list[str]]
) -> None:
    """What the rules keep of one database's backups."""
    good = _counted(mine, sound, now)
    fulls = [backup for backup in good if backup.kind == FULL]
    names, children = {backup.backup_id for backup in good}, _children(mine)  # one between may be dated in the future
    for number, full in enumerate(fulls[: rules.count], 1):
        why[full.backup_id].append(f"#{number} of the {rules.count} newest")
        for child in names.intersection(_resting_on(full.backup_id, children)):
            why[child].append(f"needed by #{number} of the {rules.count} newest")
    for backup in good:
        if rules.days and (now - backup.at).total_seconds() <= rules.days * _DAY:
            why[backup.backup_id].append(f"younger than {rules.days:g} day(s)")
    for name, period in PERIODS.items():
        newest: dict[str, Kept] = {}
        for backup in good:
            newest.setdefault(period(backup.at), backup)
        for label, backup in list(newest.items())[: getattr(rules, name)]:
            why[backup.backup_id].append(f"{name} {label}")


def _counted(mine: Sequence[Kept], sound: frozenset[str], now: datetime) -> list[Kept]:
    """Those that count, the newest first; one from the future would stay the newest whatever came after it."""
    return [backup for backup in mine if backup.backup_id in sound and backup.at <= now]


def _children(backups: Iterable[Kept]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for backup in backups:
        if backup.parent is not None:
            found[backup.parent].append(backup.backup_id)
    return found


def _resting_on(name: str, children: Mapping[str, Sequence[str]]) -> list[str]:
    """The increments of a full backup, whatever lies between."""
    found: list[str] = []
    todo = [name]
    while todo:
        new = [child for child in children.get(todo.pop(), ()) if child not in found]
        found += new
        todo += new
    return found


def _support(known: Mapping[str, Kept], why: Mapping[str, list[str]]) -> None:
    """What a kept one rests on is kept, and that what it rests on itself."""
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


def _turns(known: Mapping[str, Kept], going: Sequence[Kept], at_most: int | None) -> dict[str, int]:
    """In which order they go: the oldest first of those that nothing rests on any more, no more than `at_most`."""
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
