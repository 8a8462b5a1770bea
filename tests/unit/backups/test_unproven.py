"""Which backup a restore test takes: what was never restored first, then what was not for the longest time."""

from __future__ import annotations

from typing import Any

from aishell.backups.store.catalog import CatalogEntry
from aishell.backups.store.pruning import longest_unproven, reason
from tests.unit.backups.made import manifest


def entry(day: int, compared: str | None = None, **facts: Any) -> CatalogEntry:
    made = manifest(f"202611{day:02}T031500Z-full-1a2b3c4d-backup")
    given = {name: getattr(made, name) for name in CatalogEntry.__dataclass_fields__ if hasattr(made, name)}
    known = {
        "path": "/",
        "verification_level": "readable",
        "verification_level_at": made.finished_at,
        "compared_at": compared,
        "pinned": False,
    }
    return CatalogEntry(**{**given, "copies": (), **known, **facts})


def chosen(*entries: CatalogEntry, **tried: str) -> int | None:
    found = longest_unproven(entries, "it", {one.backup_id: tried[f"d{one.backup_id[6:8]}"] for one in entries
                                             if f"d{one.backup_id[6:8]}" in tried})  # fmt: skip
    return None if found is None else int(found.backup_id[6:8])


def test_never_restored_goes_first_the_oldest_of_them():
    assert chosen(entry(1, "2026-11-02T00:00"), entry(3), entry(2), entry(4)) == 2


def test_else_the_one_that_was_not_for_the_longest_time():
    assert chosen(entry(1, "2026-11-20T00:00"), entry(2, "2026-11-10T00:00"), entry(3, "2026-11-15T00:00")) == 2


def test_what_cannot_come_back_is_not_tried():
    assert chosen(entry(1, problem="gone"), entry(2, differs="other"), entry(3, identity="another"), entry(4)) == 4
    assert chosen(entry(1, problem="gone")) is None


def test_one_without_fingerprints_has_its_turn_and_is_not_taken_again_before_the_others():
    assert chosen(entry(1), entry(2), d01="2026-11-20T00:00") == 2
    assert chosen(entry(1), entry(2, "2026-11-21T00:00"), d01="2026-11-20T00:00") == 1


def test_the_reason_says_since_when():
    assert reason(entry(1)) == "made 2026-11-01 03:15Z, never restored and compared"
    assert reason(entry(1, "2026-11-20T04:05:06")).endswith("last restored and compared 2026-11-20 04:05Z")
