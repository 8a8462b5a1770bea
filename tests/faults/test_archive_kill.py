"""kill -9 while rows are archived and deleted: archive and table together are the original, whenever it hits."""

from __future__ import annotations

import random
from typing import Any

from aishell.archives import shelf
from aishell.archives.manifest import Manifest
from aishell.archives.reader import Reader
from tests import logs
from tests.faults.killing import SWEEPS, Sweep, assert_sound, finish, kill_at_random, new_site
from tests.faults.test_log_cleanup_kill import ROWS, arguments, renewed
from tests.fix_aishell import Aishell


def archived(site: Aishell) -> list[int]:
    """The ids that the archives of a site have, every archive checked."""
    found: list[int] = []
    for folder, manifest in shelf.archives(site.site / "archives"):
        assert isinstance(manifest, Manifest), manifest
        with Reader(folder, manifest) as reader:
            assert reader.verify() == manifest.rows
            place = list(manifest.names).index("id")
            found += [int(row[place]) for lot in reader.rows() for row in lot]
    return sorted(found)


def assert_together_whole(db: Any, site: Aishell) -> None:
    assert logs.left(db) == logs.kept(ROWS)
    assert archived(site) == [number for number in range(1, ROWS + 1) if number % 2]
    assert not list((site.site / "archives").glob("*/*/*.partial"))


@SWEEPS
def test_an_archive_killed_at_a_commit_goes_on_from_there(
    log_db: tuple[Any, str], aishell: Aishell, sweep: Sweep
) -> None:
    db, engine = log_db
    for fault in sweep.among(4, 7, 10, 17, 25):
        renewed(db, engine)
        site = new_site(aishell, str(fault), db.url)
        killed = site(*arguments(db), "--archive", fault=fault)
        assert set(logs.kept(ROWS)) <= set(logs.left(db)), "a new row is gone"
        finish(site, killed)
        assert_together_whole(db, site)
        assert_sound(site)


def test_an_archive_killed_at_random_moments_is_whole_in_the_end(log_db: tuple[Any, str], aishell: Aishell) -> None:
    db, engine = log_db
    renewed(db, engine)

    def look() -> None:
        gone = set(range(1, ROWS + 1)) - set(logs.left(db))
        assert gone <= set(archived(aishell)), "a row is gone that no archive has"

    kill_at_random(aishell, (*arguments(db), "--archive"), random.Random(f"archive {engine}"), 8, look)
    assert_together_whole(db, aishell)
    (archive, _), *_ = shelf.archives(aishell.site / "archives")
    aishell("archives", "load", archive.name, "--url", db.url, "--environment", "test", "--yes").expect(0)
    assert logs.left(db) == list(range(1, ROWS + 1))
