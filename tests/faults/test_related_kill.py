"""kill -9 while rows are archived and deleted with those of other tables, and while they are put back: nothing is lost,
whenever it hits."""

from __future__ import annotations

import random
from typing import Any

import pytest

from aishell.archives import shelf
from aishell.archives.manifest import Manifest
from aishell.archives.reader import Reader, verify
from tests import families
from tests.faults.killing import SWEEPS, Sweep, assert_sound, finish, kill_at_random, new_site
from tests.fix_aishell import Aishell
from tests.fix_tools import ENGINES, label
from tests.seed import SAMPLED

ROWS = 120


@pytest.fixture(params=ENGINES, ids=label)
def empty(request: pytest.FixtureRequest) -> tuple[Any, str]:
    """An empty database on each server in turn, and its engine."""
    engine = {"pg": "postgresql", "mariadb": "mysql", "sqlite": "sqlite"}[request.param.split("_")[0]]
    return request.getfixturevalue(request.param), engine


def arguments(db: Any) -> tuple[str, ...]:
    fixed = ("--url", db.url, "--environment", "test", "--yes", "--output", "json")
    small = ("--set", "batch_target_ms=1")
    return ("run", "log-cleanup", "--table", "orders", "--retention-days", "90", "--archive", *small, *fixed)


def load(site: Aishell, db: Any, archive: str, **more: Any) -> Any:
    return site(
        "archives", "load", archive, "--url", db.url, "--environment", "test", "--yes", "--output", "json", **more
    )


def ids(db: Any, table: str) -> set[int]:
    return {row[0] for row in db.execute(f"SELECT id FROM {table}")}


def archived(site: Aishell, table: str) -> set[int]:
    """The ids of a table that the finished archives of a site have, each checked."""
    found = set[int]()
    for folder, manifest in shelf.archives(site.site / "archives"):
        assert isinstance(manifest, Manifest), manifest
        verify(folder, manifest)
        for number, part in enumerate(manifest.parts):
            if part.table == table:
                with Reader(folder, manifest, number) as reader:
                    place = list(part.names).index("id")
                    found |= {int(row[place]) for lot in reader.rows() for row in lot}
    return found


@SWEEPS
def test_killed_at_a_commit_nothing_is_lost(empty: tuple[Any, str], aishell: Aishell, sweep: Sweep) -> None:
    db, engine = empty
    families.make(db, engine, ROWS)
    before = families.prints(db, engine)
    for fault in sweep.among(7, 9, 11, 13, 14, 15, 16, 17, 18, 20):
        site = new_site(aishell, str(fault), db.url)
        finish(site, site(*arguments(db), fault=fault))
        assert families.prints(db, engine) != before
        assert not list((site.site / "archives").glob("*/*/*.partial"))
        assert_sound(site)
        ((archive, _),) = shelf.archives(site.site / "archives")
        other = new_site(aishell, f"{fault} load", db.url)
        (other.site / "archives").symlink_to(site.site / "archives")
        finish(other, load(other, db, archive.name, fault=fault))
        assert families.prints(db, engine) == before, fault
        assert_sound(other)


@SAMPLED
def test_killed_at_random_moments_what_is_gone_is_in_the_archive(
    empty: tuple[Any, str], aishell: Aishell, whole: bool
) -> None:
    db, engine = empty
    families.make(db, engine, (40 if whole else 10) * ROWS)
    before = families.prints(db, engine)
    rows = {table: ids(db, table) for table in ("orders", "items", "hens", "invoices")}

    def look() -> None:
        for table, known in rows.items():
            gone = known - ids(db, table)
            assert gone <= archived(aishell, table), f"a row of {table} is gone that no archive has"

    kill_at_random(aishell, arguments(db), random.Random(f"family {engine}"), 20 if whole else 1, look)
    ((archive, _),) = shelf.archives(aishell.site / "archives")
    load(aishell, db, archive.name).expect(0)
    assert families.prints(db, engine) == before
