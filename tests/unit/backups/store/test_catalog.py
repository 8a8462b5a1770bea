"""The catalog: rungs that are climbed and lost, chains that are as good as their worst link, and a catalog that is made again."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from aishell.backups.store.backup_store import BackupStore, rebuild
from aishell.backups.store.catalog import COMPARED, GONE, OTHER_MANIFEST, VERIFICATION_LEVELS, VERIFIED, WRITTEN
from aishell.backups.store.repository import MANIFEST, NOTE, Repository
from aishell.errors import AmbiguousNameError, BackupError, ParameterError, UnknownNameError
from tests.unit.backups.made import backup_store, manifest, put


@pytest.fixture
def here(tmp_path):
    made = backup_store(tmp_path)
    yield made
    made.store().close()


def test_only_what_was_read_in_full_counts(here):
    for number, rung in enumerate(VERIFICATION_LEVELS, 1):
        assert put(here, number, rung=rung).verified is (rung in (VERIFIED, COMPARED)), rung
    assert [entry.verified for entry in here.catalog.all()] == [False, False, True, True]


def test_a_rung_is_climbed_with_its_date_and_a_lower_look_takes_none_away(here):
    entry = put(here, 1, rung=VERIFIED)
    assert entry.compared_at is None
    compared = here.catalog.proven(entry.backup_id, COMPARED)
    assert compared.compared
    again = here.catalog.proven(entry.backup_id, VERIFIED)
    assert (again.verification_level, again.compared_at) == (COMPARED, compared.compared_at)
    assert again.verification_level_at > compared.verification_level_at


def test_what_was_found_wrong_counts_until_it_is_looked_at_again(here):
    entry = put(here, 1, rung=COMPARED)
    here.catalog.failed(entry.backup_id, "it has holes")
    failed = here.catalog.find(entry.backup_id)
    assert (failed.verified, failed.compared, failed.problem) == (False, False, "it has holes")
    assert here.catalog.proven(entry.backup_id, VERIFIED).compared


def test_a_chain_is_as_good_as_its_worst_link(here):
    full = put(here, 1)
    one = put(here, 2, parent=full)
    two = put(here, 3, parent=one)
    assert [entry.verified for entry in here.catalog.all()] == [True, True, True]
    here.catalog.failed(full.backup_id, "it has holes")
    problems = {entry.backup_id: entry.problem for entry in here.catalog.all()}
    assert problems[one.backup_id] == f"it depends on {full.backup_id}, which is damaged"
    assert "is damaged" in str(problems[two.backup_id])
    assert here.newest("shop", "it") is None
    here.catalog.proven(full.backup_id, VERIFIED)
    assert [entry.verified for entry in here.catalog.all()] == [True, True, True]
    here.catalog.forget([one.backup_id])
    assert here.catalog.find(two.backup_id).problem == f"it depends on {one.backup_id}, which is missing"


def test_one_whose_folder_is_gone_is_no_backup(here):
    old, new = put(here, 1), put(here, 2)
    assert here.newest("shop", "it") == new
    shutil.rmtree(new.folder)
    assert here.catalog.find(new.backup_id).problem == GONE
    assert here.newest("shop", "it") == old


def test_the_newest_is_of_this_very_server(here):
    mine = put(here, 1)
    put(here, 2, identity="another server")
    put(here, 3, target="crm")
    assert here.newest("shop", "it") == mine
    assert here.newest("shop", "it", kind="incremental") is None
    assert here.newest("nobody", "it") is None


def test_the_latest_of_a_database_goes_by_its_identity_and_not_by_one_name_alone(here):
    put(here, 1)
    other = put(here, 2, target="the same by its URL")
    put(here, 3, target="another", database="of the same server")
    put(here, 4, identity="another server")
    put(here, 5, rung=WRITTEN)
    assert here.latest("it", "shop", {"shop.db"}) == other
    assert here.latest("", "shop", {"shop.db"}) is None, "a server that is not known has none"
    assert here.latest("nobody", "shop", {"shop.db"}) is None


def test_a_name_may_be_short_as_long_as_it_is_one(here):
    first, second = put(here, 1), put(here, 2)
    assert here.catalog.find("20261101") == first
    assert here.catalog.find(second.backup_id) == second
    for name in ("x", ""):
        with pytest.raises(UnknownNameError, match="unknown backup"):
            here.catalog.find(name)
    with pytest.raises(AmbiguousNameError, match="ambiguous backup '2026'") as caught:
        here.catalog.find("2026")
    assert all(one.backup_id in (caught.value.hint or "") for one in (first, second))


def test_pins_and_copies_are_kept_beside_the_backup_too(here):
    entry = put(here, 1)
    here.catalog.pin(entry.backup_id, True)
    here.catalog.copy_read(entry.backup_id, "/mnt/b")
    here.catalog.copy_read(entry.backup_id, "/mnt/a")
    here.catalog.copy_read(entry.backup_id, "/mnt/a")
    found = here.catalog.find(entry.backup_id)
    assert (found.pinned, found.copies) == (True, ("/mnt/a", "/mnt/b"))
    noted = here.repository.read_note(found.folder)
    assert (noted["pinned"], noted["copies"], noted["digest"]) == (True, ["/mnt/a", "/mnt/b"], found.digest)


def wiped(here):
    """The same folder with a state that knows nothing."""
    here.catalog.forget([entry.backup_id for entry in here.catalog.all()])
    assert here.catalog.all() == []


def test_a_catalog_is_made_again_as_it_was(here):
    full = put(here, 1, rung=COMPARED)
    put(here, 2, parent=full)
    bad = put(here, 3)
    here.catalog.pin(full.backup_id, True)
    here.catalog.failed(bad.backup_id, "it has holes")
    before = here.catalog.all()
    wiped(here)
    told = rebuild(here)
    assert here.catalog.all() == before
    assert told.added == [entry.backup_id for entry in before]
    assert (told.known, told.damaged, told.gone) == ([], [], [])
    assert rebuild(here).known == told.added


def test_without_a_note_beside_it_nothing_is_proven(here):
    lost, edited, odd = (put(here, day, rung=COMPARED) for day in (1, 2, 3))
    here.catalog.pin(edited.backup_id, True)
    (lost.folder / NOTE).unlink()
    note = json.loads((edited.folder / NOTE).read_text())
    (edited.folder / NOTE).write_text(json.dumps({**note, "digest": "of another manifest"}))
    (odd.folder / NOTE).write_text(json.dumps({"rung": "excellent", "digest": odd.digest, "copies": 7}))
    wiped(here)
    rebuild(here)
    assert [entry.verification_level for entry in here.catalog.all()] == [WRITTEN] * 3
    assert not any(entry.verified for entry in here.catalog.all())
    assert here.catalog.find(edited.backup_id).pinned, "what a person wanted kept stays kept"


def test_what_is_damaged_or_there_twice_is_named_and_not_entered(here):
    good, damaged = put(here, 1), put(here, 2)
    (damaged.folder / MANIFEST).write_text("{}")
    shutil.copytree(good.folder, here.repository.root / "copied" / good.backup_id)
    shutil.copytree(good.folder, good.folder.with_name(good.backup_id + "x"))
    told = rebuild(here)
    assert told.known == [good.backup_id]
    assert here.catalog.find(good.backup_id).path == good.path, "the place that is known goes before a copy of it"
    problems = sorted(problem.partition(":")[0] for _, problem in told.damaged)
    assert len(problems) == 3
    assert any("is the same backup" in problem for problem in problems)
    assert any("its manifest belongs to" in problem for problem in problems)


def test_a_manifest_that_was_exchanged_is_not_believed(here):
    """One with a right digest of its own: the catalog knows which one it was."""
    entry = put(here, 1)
    other = replace(here.repository.manifest(entry.folder), database="another")
    (entry.folder / MANIFEST).write_text(other.text())
    told = rebuild(here)
    assert [problem for _, problem in told.damaged] == [OTHER_MANIFEST]
    assert not here.catalog.find(entry.backup_id).verified
    with pytest.raises(BackupError, match=r"differs from the backup .* in the catalog"):
        here.chain(entry)


def test_backups_that_were_moved_are_found_again_and_those_that_are_gone_are_told(here, tmp_path):
    moved, gone = put(here, 1), put(here, 2)
    new = here.repository.root / "elsewhere" / moved.backup_id
    new.parent.mkdir()
    moved.folder.rename(new)
    shutil.rmtree(gone.folder)
    told = rebuild(here)
    assert here.catalog.find(moved.backup_id).folder == new
    assert here.catalog.find(moved.backup_id).verified
    assert told.gone == [gone.backup_id]
    assert here.catalog.find(gone.backup_id).problem == GONE, "nothing is forgotten by itself"


def test_a_disk_that_is_not_mounted_is_no_empty_folder(here):
    put(here, 1)
    here.repository.root.rename(here.repository.root.with_name("away"))
    with pytest.raises(BackupError, match="does not exist"):
        rebuild(here)
    assert len(here.catalog.all()) == 1


def test_a_chain_that_does_not_hang_together_is_refused(here):
    full = put(here, 1)
    child = put(here, 2, parent=full)
    other = put(here, 3, parent=full, identity="another server")
    assert [made.backup_id for _, made in here.chain(child)] == [full.backup_id, child.backup_id]
    with pytest.raises(BackupError, match="were made from different servers"):
        here.chain(other)
    loose = manifest("20261109T031500Z-incremental-1a2b3c4d-backup", kind="incremental", parent=full.backup_id)
    folder = here.repository.publish(here.repository.begin(here.repository.folder("shop"), loose.backup_id), loose)
    with pytest.raises(BackupError, match="has changed since"):
        here.chain(here.catalog.add(loose, folder))
    here.catalog.forget([full.backup_id])
    with pytest.raises(BackupError, match="which is missing"):
        here.chain(child)


# A site that was copied or moved looks at its own files


def wandered(here, tmp_path, how, *, absolute):
    """The same catalog over a folder of backups that was moved or copied, as by an aishell that noted whole paths."""
    elsewhere = tmp_path / "elsewhere"
    (shutil.copytree if how == "copied" else shutil.move)(here.repository.root, elsewhere / "backups")
    if absolute:
        with here.store().write() as connection:
            for row in connection.all("SELECT backup_id, path FROM backups"):
                whole = str(here.repository.root / row.path)
                connection.update("backups", "backup_id = :id", {"id": row.backup_id}, {"path": whole})
    return BackupStore(Repository(elsewhere / "backups"), here.store)


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("how", ["copied", "moved"])
def test_a_site_that_was_copied_or_moved_looks_at_its_own_files(here, tmp_path, how, absolute):
    old = put(here, 1)
    other = wandered(here, tmp_path, how, absolute=absolute)
    (found,) = other.catalog.all()
    assert found.folder == other.repository.root / old.folder.relative_to(here.repository.root)
    assert found.verified
    assert [folder for folder, _ in other.chain(found)] == [found.folder]
    shutil.rmtree(found.folder)
    assert other.catalog.find(old.backup_id).problem == GONE, "the other site's is none of ours"


def test_a_catalog_with_whole_paths_is_mended_when_it_is_made_again(here, tmp_path):
    put(here, 1)
    other = wandered(here, tmp_path, "copied", absolute=True)
    rebuild(other)
    with here.store().read() as connection:
        (row,) = connection.all("SELECT path FROM backups")
    assert not Path(row.path).is_absolute()
    assert other.catalog.all()[0].folder.is_dir()


def test_a_backup_outside_the_folder_of_backups_is_not_entered(here, tmp_path):
    entry = put(here, 1)
    shutil.copytree(entry.folder, tmp_path / "outside" / entry.backup_id)
    with pytest.raises(ParameterError, match="is not inside"):
        here.catalog.add(here.repository.manifest(entry.folder), tmp_path / "outside" / entry.backup_id)


def test_an_empty_mount_point_is_no_empty_folder_of_backups(here):
    known = [put(here, 1), put(here, 2)]
    root = here.repository.root
    root.rename(root.with_name("away"))
    root.mkdir()
    with pytest.raises(BackupError, match=r"none of the 2 backup\(s\) in the catalog is in"):
        rebuild(here)
    assert [entry.backup_id for entry in here.catalog.all()] == [entry.backup_id for entry in known]
    assert rebuild(here, all_gone=True).gone == [entry.backup_id for entry in known], "a person says that they are"
    shutil.copytree(root.with_name("away") / "shop" / known[0].backup_id, root / "shop" / known[0].backup_id)
    assert rebuild(here).gone == [known[1].backup_id]


# What reads whole and did not come back as it was


def test_what_did_not_come_back_as_it_was_counts_for_nothing_until_it_does(here):
    entry = put(here, 1, rung=COMPARED)
    child = put(here, 2, parent=entry)
    here.catalog.differed(entry.backup_id, "a row is missing")
    found = here.catalog.find(entry.backup_id)
    assert (found.verified, found.readable, found.compared, found.problem) == (False, True, False, None)
    assert found.wrong == "a row is missing"
    inherited = here.catalog.find(child.backup_id)
    assert (inherited.verified, inherited.problem) == (False, None)
    assert "whose restore test failed" in str(inherited.differs)
    assert not here.catalog.proven(entry.backup_id, VERIFIED).verified, "to read it tells nothing of that"
    wiped(here)
    rebuild(here)
    assert here.catalog.find(entry.backup_id).differs == "a row is missing"
    assert here.catalog.proven(entry.backup_id, COMPARED).compared
    assert here.catalog.find(child.backup_id).verified


def test_how_a_copy_was_is_kept_beside_the_backup_too(here):
    entry = put(here, 1)
    for place in ("/mnt/a", "/mnt/b"):
        here.catalog.copy_read(entry.backup_id, place)
    here.catalog.copy_read(entry.backup_id, "/mnt/b", "a file is missing")
    before = here.catalog.find(entry.backup_id)
    assert (before.copies, before.sound_copies) == (("/mnt/a", "/mnt/b"), ("/mnt/a",))
    assert before.verified, "a copy says nothing of the backup"
    wiped(here)
    rebuild(here)
    assert here.catalog.find(entry.backup_id) == before
    here.catalog.copy_read(entry.backup_id, "/mnt/b")
    assert here.catalog.find(entry.backup_id).sound_copies == ("/mnt/a", "/mnt/b")


@pytest.mark.parametrize(
    "noted", [7, [], {"/mnt/a": 7}, {"/mnt/a": {"at": 7}}, {"/mnt/a": {"at": "then", "problem": 7}}]
)
def test_a_note_of_copies_that_is_none_is_left_aside(here, noted):
    entry = put(here, 1)
    note = json.loads((entry.folder / NOTE).read_text())
    (entry.folder / NOTE).write_text(json.dumps({**note, "copies": ["/mnt/a"], "copies_read": noted}))
    wiped(here)
    rebuild(here)
    assert here.catalog.find(entry.backup_id).sound_copies == ("/mnt/a",)
