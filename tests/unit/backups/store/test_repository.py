"""The folder of backups: whole under its name or not there, nothing outside, and nothing deleted that is not trash."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from aishell.backups.store import repository as module
from aishell.backups.store.repository import MANIFEST, PARTIAL, TRASH, WORK, Repository, begun_by, inside
from aishell.errors import BackupError, ParameterError
from tests.unit.backups.made import CONTENT, manifest

ID = manifest().backup_id


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "backups")


def publish(repository: Repository, target: str = "shop", backup_id: str = ID) -> Path:
    partial = repository.begin(repository.folder(target), backup_id)
    (partial / "deep").mkdir()
    (partial / "deep" / "rows").write_bytes(CONTENT)
    return repository.publish(partial, manifest(backup_id))


def test_a_backup_gets_its_name_when_it_is_whole(repository):
    partial = repository.begin(repository.folder("shop"), ID)
    assert partial.name == PARTIAL + ID
    assert list(repository.all()) == []
    assert repository.unfinished() == [partial]
    (partial / "rows").write_bytes(CONTENT)
    folder = repository.publish(partial, manifest())
    assert [(path, found) for path, found in repository.all()] == [(folder, manifest())]
    assert repository.unfinished() == []
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / MANIFEST).stat().st_mode) == stat.S_IMODE((folder / "rows").stat().st_mode) == 0o600


def test_everything_is_on_the_disk_before_the_name_and_the_name_after(repository, monkeypatch):
    """The order of what is made durable, as the kernel was asked for it."""
    done = []
    monkeypatch.setattr(module, "sync", lambda path: done.append(("sync", path.name)))
    rename = Path.rename
    monkeypatch.setattr(Path, "rename", lambda path, to: (done.append(("rename", path.name)), rename(path, to))[1])
    publish(repository)
    renamed = done.index(("rename", PARTIAL + ID))
    assert {("sync", name) for name in ("deep", "rows", MANIFEST, PARTIAL + ID)} <= set(done[:renamed])
    assert done[renamed + 1 :] == [("sync", "shop")]


def test_a_name_that_is_taken_is_not_taken_over(repository):
    first = publish(repository)
    partial = repository.begin(repository.folder("shop"), ID)
    (partial / "other").write_bytes(b"another one")
    with pytest.raises(BackupError, match="cannot be written"):
        repository.publish(partial, manifest())
    assert (first / "deep" / "rows").read_bytes() == CONTENT


def test_what_an_earlier_attempt_left_is_not_mixed_in(repository):
    (repository.begin(repository.folder("shop"), ID) / "old").write_bytes(b"old")
    assert list(repository.begin(repository.folder("shop"), ID).iterdir()) == []


@pytest.mark.parametrize("given", ["", " ", ".", "..", "../x", "/etc", "a/../..", "$HOME/x", "${BACKUPS}/x", "x$", "/"])
def test_places_outside_and_variables_that_nobody_filled_in_are_refused(tmp_path, given):
    with pytest.raises(ParameterError, match="is not inside"):
        inside(tmp_path / "backups", given)


def test_a_link_that_leads_outside_is_outside(tmp_path):
    root = tmp_path / "backups"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    with pytest.raises(ParameterError):
        inside(root, "link/elsewhere")
    assert inside(root, "a/b") == root / "a" / "b"
    assert inside(root, root / "a") == root / "a"


@pytest.mark.parametrize("destination", ["../x", "/tmp", ".trash-x", "a/.partial-x"])
def test_a_destination_is_a_folder_inside_and_not_one_of_ours(repository, destination):
    with pytest.raises(ParameterError):
        repository.folder("shop", destination)


def test_a_damaged_or_missing_manifest_comes_with_its_error(repository):
    first, second = publish(repository), publish(repository, backup_id=f"{ID}2")
    (first / MANIFEST).write_text((first / MANIFEST).read_text().replace("shop.db", "shop.dc"))
    (second / MANIFEST).unlink()
    found = {path.name: error for path, error in repository.all()}
    assert "was changed" in str(found[ID])
    assert "cannot be read" in str(found[f"{ID}2"])


def test_backups_lie_at_any_depth_and_what_is_in_them_is_not_looked_at(repository):
    folder = publish(repository)
    (folder / "deep" / MANIFEST).write_text("{}")
    home = repository.folder("shop", "2026/november")
    repository.publish(repository.begin(home, f"{ID}2"), manifest(f"{ID}2"))
    assert [path.name for path, _ in repository.all()] == [ID, f"{ID}2"]


def test_what_was_restored_is_no_backup_whatever_is_in_it(repository):
    publish(repository)
    place = repository.place(datetime(2026, 11, 21, 3, 15, tzinfo=UTC))
    (place / "shop" / ID).mkdir(parents=True)
    (place / "shop" / ID / MANIFEST).write_text("{}")
    assert [path.parent.name for path, _ in repository.all()] == ["shop"]


def test_a_removed_backup_has_no_name_from_the_first_moment(repository, monkeypatch):
    folder = publish(repository)
    trash = repository.move_to_trash(folder)
    assert trash.name == TRASH + ID
    assert not folder.exists()
    assert list(repository.all()) == []
    assert repository.trash() == [trash]
    repository.delete(trash)
    assert not trash.exists()


def test_a_removal_that_was_cut_off_is_finished_by_the_next_of_the_same(repository):
    trash = repository.move_to_trash(publish(repository))
    repository.remove(publish(repository))
    assert not trash.exists()
    assert repository.trash() == []


def test_only_what_has_the_name_of_a_backup_is_removed(repository, tmp_path):
    publish(repository)
    for place in (repository.root / "shop", tmp_path, repository.root, Path("/"), Path()):
        with pytest.raises((BackupError, ParameterError)):
            repository.remove(place)
    with pytest.raises(BackupError, match="is not a leftover"):
        repository.delete(repository.root / "shop" / ID)
    assert [path.name for path, _ in repository.all()] == [ID]


def test_a_link_in_the_place_of_a_backup_is_not_followed(repository, tmp_path):
    precious = tmp_path / ID
    precious.mkdir()
    (precious / "file").write_text("precious")
    (repository.root / "shop").mkdir(parents=True)
    (repository.root / "shop" / ID).symlink_to(precious)
    with pytest.raises(ParameterError):
        repository.remove(repository.root / "shop" / ID)
    assert (precious / "file").exists()


def test_a_note_beside_a_backup_is_there_whole_or_not_at_all(repository):
    folder = publish(repository)
    assert repository.read_note(folder) == {}
    repository.write_note(folder, {"rung": "readable"})
    assert repository.read_note(folder) == {"rung": "readable"}
    for text in ("", "[1]", '{"rung": '):
        (folder / module.NOTE).write_text(text)
        assert repository.read_note(folder) is None


@pytest.mark.parametrize(
    ("name", "run"),
    [
        (PARTIAL + ID, "1a2b3c4d"),
        (TRASH + ID, "1a2b3c4d"),
        (f"{WORK}1a2b3c4d-validate", "1a2b3c4d"),
        (".partial-x", None),
        ("x", None),
    ],
)
def test_a_leftover_names_its_run(name, run):
    assert begun_by(Path("/root") / name) == run


def test_a_full_disk_is_told_with_what_to_do(repository, monkeypatch):
    def full(path, text):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_write", full)
    with pytest.raises(BackupError, match="No space left on device") as caught:
        publish(repository)
    assert "make room" in str(caught.value.hint)
