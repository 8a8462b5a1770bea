"""Retention over random histories: what must stay stays, what stays has a true reason, and nothing bad pushes anything out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aishell.backups.store.manifest import FULL, INCREMENTAL
from aishell.backups.store.retention import RetentionDecision, RetentionRules, decide

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Kept:
    """What retention looks at of a `CatalogEntry`, with the answers chosen by the test. `seen`: it was read in full."""

    backup_id: str
    group: str
    kind: str
    at: datetime
    parent: str | None = None
    bytes: int = 0
    seen: bool = True
    damaged: bool = False
    compared: bool = False
    pinned: bool = False
    differs: bool = False
    copied: bool = False
    replaced: bool = False

    @property
    def readable(self) -> bool:
        return (self.seen or self.differs) and not self.damaged

    @property
    def verified(self) -> bool:
        return self.readable and not self.differs

    @property
    def problem(self) -> str | None:
        return "it is damaged" if self.damaged else None

    @property
    def compared_at(self) -> str | None:
        return "some day" if self.compared else None

    @property
    def sound_copies(self) -> tuple[str, ...]:
        return ("/mnt",) if self.copied else ()


#: What somebody found out about a backup: sound, compared, copied, never looked at, damaged, not as it was when it was restored,
#: and whether it is of what a restore replaced.
STANDINGS = (
    {"seen": True},
    {"seen": True, "compared": True},
    {"seen": True, "copied": True},
    {"seen": True, "replaced": True},
    {"seen": True, "replaced": True, "copied": True},
    {"seen": False},
    {"seen": False, "damaged": True},
    {"seen": True, "damaged": True},
    {"seen": False, "differs": True},
    {"seen": False, "differs": True, "damaged": True, "copied": True},
)
BAD = [standing for standing in STANDINGS if not standing["seen"] or standing.keys() & {"damaged", "replaced"}]


@st.composite
def histories(draw: st.DrawFn) -> list[Kept]:
    """Backups of two databases: chains on whatever came before, parents that are gone, clocks that jump, equal times."""
    made: list[Kept] = []
    for number in range(draw(st.integers(0, 14))):
        hours = draw(st.integers(-24 * 40, 24 * 2))
        group = draw(st.sampled_from("ab"))
        before = [one.backup_id for one in made if one.group == group]
        parent = draw(st.sampled_from([None, "gone", *before])) if draw(st.booleans()) else None
        kind = INCREMENTAL if parent is not None else FULL
        standing = draw(st.sampled_from(STANDINGS))
        pinned = draw(st.integers(0, 9)) == 0
        at = NOW + timedelta(hours=hours)
        made.append(Kept(f"b{number:02}", group, kind, at, parent, 10, pinned=pinned, **standing))
    return made


RULES = st.builds(
    RetentionRules,
    count=st.integers(0, 3),
    days=st.sampled_from([None, 0, 0.5, 1, 7, 30]),
    daily=st.integers(0, 3),
    weekly=st.integers(0, 3),
    monthly=st.integers(0, 2),
    yearly=st.integers(0, 1),
    at_most=st.sampled_from([None, 0, 1, 2, 20]),
)


def sound(history: Iterable[Kept], *, differing: bool = False) -> set[str]:
    """What can be restored, by the definition: parents come before their children in these histories.

    `differing`: or reads whole at least.
    """
    good: set[str] = set()
    for one in history:
        fine = one.verified or (differing and one.differs)
        if fine and not one.damaged and (one.kind == FULL or one.parent in good):
            good.add(one.backup_id)
    return good


def expected(history: list[Kept], rules: RetentionRules) -> set[str]:
    """What has to stay, by the sentences of the documentation and as slowly as they read."""
    readable = sound(history, differing=True)
    good = sound(history) - {b.backup_id for b in history if b.replaced}
    stay = {b.backup_id for b in history if b.pinned or b.at > NOW or never_looked_at(b)}
    for group in "ab":
        mine = sorted((b for b in history if b.group == group), key=lambda b: (b.at, b.backup_id))
        usable = [b for b in mine if b.backup_id in good and b.at <= NOW]
        fulls = [b for b in usable if b.kind == FULL]
        if not fulls or rules.empty:
            stay |= {b.backup_id for b in mine}
            continue
        stay |= {b.backup_id for b in mine[mine.index(fulls[-1]) :]}
        stay |= kept_of(usable, rules, history)
        for name in readable - good:  # what did not come back as it was stays as if it counted, and is in nobody's way
            below = chain(name, history)
            counted = [b for b in mine if (b.backup_id in good or b.backup_id in below) and b.at <= NOW]
            stay |= kept_of(counted, rules, history) & {name}
    parents = {b.backup_id: b.parent for b in history}
    for name in list(stay):
        parent = parents[name]
        while parent in parents:
            stay.add(parent)
            parent = parents[parent]
    return stay


def kept_of(usable: list[Kept], rules: RetentionRules, history: list[Kept]) -> set[str]:
    """What promises and rules keep of those that count, the oldest first."""
    fulls = [b for b in usable if b.kind == FULL]
    promised = (fulls, [b for b in usable if b.compared], [b for b in usable if b.copied])
    newest = {b.backup_id for b in fulls[len(fulls) - min(rules.count, len(fulls)) :]}
    stay = {b.backup_id for b in usable if rules.days and NOW - b.at <= timedelta(days=rules.days)}
    stay |= {b.backup_id for some in promised for b in some[-1:]}
    stay |= newest | {b.backup_id for b in usable if root(b, history) in newest}
    for form, keep in (("%Y%m%d", rules.daily), ("%G%V", rules.weekly), ("%Y%m", rules.monthly), ("%Y", rules.yearly)):
        last = {b.at.strftime(form): b.backup_id for b in usable}  # the newest of a period comes last
        stay |= {last[label] for label in sorted(last)[len(last) - min(keep, len(last)) :]}
    return stay


def never_looked_at(backup: Kept) -> bool:
    return not backup.verified and not backup.damaged and not backup.differs


def chain(name: str | None, history: Iterable[Kept]) -> set[str]:
    """A backup with all that it rests on."""
    known, found = {b.backup_id: b for b in history}, set[str]()
    while name in known:
        found.add(name)
        name = known[name].parent
    return found


def root(backup: Kept, history: Iterable[Kept]) -> str:
    known = {b.backup_id: b for b in history}
    while backup.parent in known:
        backup = known[backup.parent]
    return backup.backup_id


def kept(decisions: Iterable[RetentionDecision]) -> set[str]:
    return {decision.backup.backup_id for decision in decisions if decision.rules}


@given(histories(), RULES)
@settings(max_examples=200)
def test_exactly_what_has_to_stay_has_a_reason(history, rules):
    decisions = decide(history, rules, NOW)
    assert kept(decisions) == expected(history, rules)
    assert [d.backup for d in decisions] == sorted(history, key=lambda b: (b.at, b.backup_id), reverse=True)
    for decision in decisions:
        assert [bool(decision.rules), decision.waits is not None, decision.goes].count(True) == 1, decision


@given(histories(), RULES)
@settings(max_examples=120)
def test_what_is_promised_never_goes(history, rules):
    """The sentences of the guarantee, without the rules: each looked up by itself."""
    gone = {d.backup.backup_id for d in decide(history, rules, NOW) if d.goes}
    good = sound(history) - {b.backup_id for b in history if b.replaced}
    for group in "ab":
        mine = [b for b in history if b.group == group]
        usable = [b for b in mine if b.backup_id in good and b.at <= NOW]
        fulls = sorted((b for b in usable if b.kind == FULL), key=lambda b: (b.at, b.backup_id))
        compared = sorted((b for b in usable if b.compared), key=lambda b: (b.at, b.backup_id))
        if not fulls:
            assert not gone & {b.backup_id for b in mine}, "without a good full backup nothing goes"
            continue
        assert fulls[-1].backup_id not in gone
        assert not compared or compared[-1].backup_id not in gone
        assert not gone & {b.backup_id for b in mine if (b.at, b.backup_id) > (fulls[-1].at, fulls[-1].backup_id)}
    assert not gone & {b.backup_id for b in history if b.pinned or never_looked_at(b)}
    living = [b for b in history if b.backup_id not in gone]
    assert not gone & {b.parent for b in living}, "what a living one rests on"


@given(histories(), RULES, st.integers(-24 * 40, 24 * 2), st.sampled_from(BAD), st.booleans())
@settings(max_examples=120)
def test_a_bad_backup_pushes_no_other_out(history, rules, hours, standing, full):
    before = kept(decide(history, rules, NOW))
    parent = None if full or not history else history[-1].backup_id
    kind = INCREMENTAL if parent else FULL
    bad = Kept("bad", history[-1].group if history else "a", kind, NOW + timedelta(hours=hours), parent, **standing)
    assert before <= kept(decide([*history, bad], rules, NOW))


@given(histories(), RULES)
@settings(max_examples=120)
def test_whenever_a_removal_is_cut_off_nothing_living_rests_on_what_is_gone(history, rules):
    decisions = decide(history, rules, NOW)
    order = sorted((d for d in decisions if d.goes), key=lambda d: d.turn or 0)
    assert [d.turn for d in order] == list(range(len(order)))
    assert rules.at_most is None or len(order) <= rules.at_most
    gone: set[str] = set()
    for decision in order:
        gone.add(decision.backup.backup_id)
        assert not gone & {b.parent for b in history if b.backup_id not in gone}
    waiting = [d for d in decisions if d.waits]
    if waiting:
        assert rules.at_most is not None
        assert len(order) == rules.at_most, "nothing waits while there is room in this run"


@given(histories(), RULES)
@settings(max_examples=60)
def test_run_after_run_removes_what_one_without_a_limit_would(history, rules):
    rules = replace(rules, at_most=1)
    left = history
    for _ in range(len(history) + 1):
        going = [d.backup for d in decide(left, rules, NOW) if d.goes]
        assert len(going) <= 1
        left = [b for b in left if b not in going]
    assert {b.backup_id for b in left} == expected(history, rules)


@given(histories(), RULES)
@settings(max_examples=60)
def test_only_what_is_asked_about_goes_and_the_rest_is_reckoned_with(history, rules):
    """Backups of one database under two names: a child under the other name still needs its parent."""
    decisions = decide(history, rules, NOW, selected=lambda backup: backup.group == "a")
    assert {d.backup.backup_id for d in decisions} == {b.backup_id for b in history if b.group == "a"}
    across = [replace(b, group="b") if b.kind == INCREMENTAL else b for b in history]
    gone = {d.backup.backup_id for d in decide(across, rules, NOW, selected=lambda b: b.group == "a") if d.goes}
    assert not gone & {b.parent for b in across if b.group == "b"}


@given(histories(), RULES)
@settings(max_examples=40)
def test_nothing_goes_while_it_is_frozen(history, rules):
    decisions = decide(history, rules, NOW, frozen=lambda backup: "it snowed")
    assert not any(d.goes for d in decisions)
    assert {d.waits for d in decisions} <= {None, "it snowed"}
    assert kept(decisions) == expected(history, rules), "what is kept anyway keeps its own reason"


def day(number: float, name: str = "", **facts: Any) -> Kept:
    """A full backup so many days ago."""
    return Kept(name or f"d{number:g}", "a", FULL, NOW - timedelta(days=number), **facts)


def increment(number: float, parent: str, **facts: Any) -> Kept:
    return Kept(f"i{number:g}", "a", INCREMENTAL, NOW - timedelta(days=number), parent, **facts)


def table(history: Iterable[Kept], rules: RetentionRules) -> Mapping[str, str]:
    """What becomes of each, as `prune` shows it."""
    return {d.backup.backup_id: "; ".join(d.rules) or d.waits or "goes" for d in decide(history, rules, NOW)}


@pytest.mark.parametrize(
    ("history", "rules", "told"),
    [
        ([], RetentionRules(count=1), {}),
        (
            [day(1, replaced=True), day(2), increment(1.5, "d2"), day(9, replaced=True)],
            RetentionRules(count=1),
            {
                "d1": "newer than the newest verified full; made before a restore; "
                "kept as if it counted (newest verified full, #1 of the 1 newest)",
                "i1.5": "newer than the newest verified full; needed by #1 of the 1 newest",
                "d2": "newest verified full; #1 of the 1 newest; i1.5 depends on it",
                "d9": "goes",
            },
        ),
        ([day(1), day(2)], RetentionRules(), {"d1": "no rule is set; newest verified full", "d2": "no rule is set"}),
        (
            [day(1), day(2), day(3)],
            RetentionRules(count=2),
            {"d1": "newest verified full; #1 of the 2 newest", "d2": "#2 of the 2 newest", "d3": "goes"},
        ),
        (
            [day(3), increment(2, "d3"), increment(1, "i2"), day(9)],
            RetentionRules(count=1),
            {
                "i1": "newer than the newest verified full; needed by #1 of the 1 newest",
                "i2": "newer than the newest verified full; needed by #1 of the 1 newest; i1 depends on it",
                "d3": "newest verified full; #1 of the 1 newest; i2 depends on it",
                "d9": "goes",
            },
        ),
        (
            [day(0.5, "bad", seen=False, damaged=True), day(1, seen=False), day(2), day(3)],
            RetentionRules(count=1),
            {
                "bad": "newer than the newest verified full",
                "d1": "not verified yet; newer than the newest verified full",
                "d2": "newest verified full; #1 of the 1 newest",
                "d3": "goes",
            },
        ),
        (
            [day(1), day(2, compared=True), day(3, compared=True), day(4, pinned=True)],
            RetentionRules(count=1),
            {
                "d1": "newest verified full; #1 of the 1 newest",
                "d2": "newest restored and compared",
                "d3": "goes",
                "d4": "pinned",
            },
        ),
        (
            [day(1, damaged=True), increment(0.5, "d1"), day(2)],
            RetentionRules(count=1),
            {
                "i0.5": "newer than the newest verified full",
                "d1": "newer than the newest verified full; i0.5 depends on it",
                "d2": "newest verified full; #1 of the 1 newest",
            },
        ),
        (
            [day(-2), day(1), day(2)],
            RetentionRules(count=1),
            {
                "d-2": "dated in the future; newer than the newest verified full",
                "d1": "newest verified full; #1 of the 1 newest",
                "d2": "goes",
            },
        ),
        (
            [day(1, damaged=True), day(2, seen=False), increment(1.5, "gone")],
            RetentionRules(count=1),
            {
                "d1": "no verified full backup yet",
                "i1.5": "no verified full backup yet",
                "d2": "not verified yet; no verified full backup yet",
            },
        ),
        (
            [day(0.1), day(0.2, "same day"), day(1), day(20)],
            RetentionRules(daily=2, monthly=1),
            {
                "d0.1": "newest verified full; daily 2026-11-21; monthly 2026-11",
                "same day": "goes",
                "d1": "daily 2026-11-20",
                "d20": "goes",
            },
        ),
        (
            [day(0), *(day(number) for number in range(1, 5))],
            RetentionRules(count=1, at_most=2),
            {
                "d0": "newest verified full; #1 of the 1 newest",
                "d4": "goes",
                "d3": "goes",
                "d2": "no more than 2 in one run",
                "d1": "no more than 2 in one run",
            },
        ),
        (
            [day(0), day(9), increment(8, "d9"), increment(7, "i8")],
            RetentionRules(count=1, at_most=1),
            {
                "d0": "newest verified full; #1 of the 1 newest",
                "i7": "goes",
                "i8": "no more than 1 in one run",
                "d9": "no more than 1 in one run",
            },
        ),
        (
            [day(0), day(9), increment(8, "d9"), increment(7, "d9")],
            RetentionRules(count=1, at_most=2),
            {
                "d0": "newest verified full; #1 of the 1 newest",
                "i8": "goes",
                "i7": "goes",
                "d9": "no more than 2 in one run",
            },
        ),
        (
            [day(0), day(7), day(7.1)],
            RetentionRules(days=7),
            {"d0": "newest verified full; younger than 7 day(s)", "d7": "younger than 7 day(s)", "d7.1": "goes"},
        ),
    ],
)
def test_the_reasons_as_they_are_shown(history, rules, told):
    assert table(history, rules) == told


def test_one_that_waits_keeps_what_it_rests_on_and_says_so():
    history = [day(0), day(9), increment(8, "d9")]
    decisions = decide(
        history, RetentionRules(count=1), NOW, frozen=lambda b: "its disk is away" if b.kind == INCREMENTAL else None
    )
    assert {d.backup.backup_id: d.waits for d in decisions} == {
        "d0": None, "i8": "its disk is away", "d9": "what depends on it stays for now",
    }  # fmt: skip


def test_a_circle_of_parents_is_left_alone():
    circle = [increment(8, "i7"), increment(7, "i8")]
    decisions = decide([day(0), *circle], RetentionRules(count=1), NOW)
    assert not any(d.goes for d in decisions)


@given(histories(), RULES, st.data())
@settings(max_examples=120)
def test_a_comparison_that_failed_makes_no_backup_go(history, rules, data):
    """What is removed because of it is nothing: neither the backup itself nor one that has its place in a rule."""
    sound_ones = [b for b in history if b.verified and not b.damaged]
    if not sound_ones:
        return
    failed = data.draw(st.sampled_from(sound_ones))
    before = {d.backup.backup_id for d in decide(history, replace(rules, at_most=None), NOW) if d.goes}
    after = [replace(b, seen=False, differs=True) if b == failed else b for b in history]
    gone = {d.backup.backup_id for d in decide(after, replace(rules, at_most=None), NOW) if d.goes}
    assert gone <= before
