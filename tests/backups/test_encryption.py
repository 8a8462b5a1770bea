"""Encrypted backups: readable to who has the key and to nobody else, and damage is found with the key and without."""

from __future__ import annotations

import json
from pathlib import Path

import pyrage
import pytest

from tests.backups.test_sqlite import back_up, change, content, fill, flip, listed, made
from tests.fix_aishell import Aishell
from tests.fix_sqlite import SqliteDatabase


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return new_key(tmp_path / "backup.agekey")


def new_key(path: Path) -> Path:
    """The file of a key, as age-keygen writes it."""
    identity = pyrage.x25519.Identity.generate()
    path.touch(0o600)
    path.write_text(f"# public key: {identity.to_public()}\n{identity}\n")
    return path


def configure(aishell: Aishell, key: Path, *, at_hand: bool) -> None:
    public = key.read_text().split("public key: ")[1].splitlines()[0]
    chosen = {"backup_recipients": [public]} | ({"backup_identity": str(key)} if at_hand else {})
    aishell.configure("aishell.yaml", json.dumps(chosen))


def test_nothing_of_it_can_be_read_without_the_key(
    aishell: Aishell, sqlite: SqliteDatabase, key: Path, tmp_path: Path
) -> None:
    configure(aishell, key, at_hand=False)
    fill(sqlite)
    found = made(back_up(aishell, sqlite))
    assert found["rung"] == "readable"
    assert [path.name for path in Path(found["backup_path"]).iterdir() if path.suffix == ".age"] == [
        "database.sqlite.age"
    ]
    for path in (aishell.site / "backups").glob("*/**/*"):
        assert path.is_dir() or b"changed" not in path.read_bytes()
        assert path.is_dir() or b"SQLite format 3" not in path.read_bytes()
    place = tmp_path / "restored.db"
    options = ("--to", str(place), "--url", sqlite.url, "--environment", "test", "--yes")
    refused = aishell("backups", "restore", found["backup_id"], *options).expect(1)
    assert "is encrypted" in refused.out + refused.err
    assert "backup_identity" in refused.out + refused.err
    configure(aishell, key, at_hand=True)
    aishell("backups", "restore", found["backup_id"], *options).expect(0)
    assert content(place) == content(sqlite.path)
    assert not list((aishell.site / "backups").rglob("database.sqlite"))


def test_a_chain_with_the_key_at_hand(aishell: Aishell, sqlite: SqliteDatabase, key: Path) -> None:
    configure(aishell, key, at_hand=True)
    fill(sqlite)
    assert made(back_up(aishell, sqlite, "--restore-test"))["rung"] == "restored-and-compared"
    change(sqlite, 0)
    assert made(back_up(aishell, sqlite, "--type", "incremental", "--restore-test"))["rung"] == "restored-and-compared"
    assert not list((aishell.site / "backups").rglob("database.sqlite"))


@pytest.mark.parametrize("at_hand", [True, False])
def test_damage_is_found_with_the_key_and_without(
    aishell: Aishell, sqlite: SqliteDatabase, key: Path, at_hand: bool
) -> None:
    configure(aishell, key, at_hand=at_hand)
    fill(sqlite, 500)
    found = made(back_up(aishell, sqlite))
    flip(Path(found["backup_path"]) / "database.sqlite.age")
    told = aishell("backups", "verify", found["backup_id"]).expect(1)
    assert "was changed or is damaged" in told.out + told.err
    assert not listed(aishell)[0]["verified"]


def test_another_key_is_held_against_no_backup(
    aishell: Aishell, sqlite: SqliteDatabase, key: Path, tmp_path: Path
) -> None:
    configure(aishell, key, at_hand=True)
    fill(sqlite, 500)
    found = made(back_up(aishell, sqlite))
    configure(aishell, new_key(tmp_path / "other.agekey"), at_hand=True)
    told = aishell("backups", "verify", found["backup_id"]).expect(1)
    assert "cannot be decrypted with the key at hand" in told.out + told.err
    assert listed(aishell)[0]["verified"], "it is the key that does not fit"
    flip(Path(found["backup_path"]) / "database.sqlite.age")
    told = aishell("backups", "verify", found["backup_id"]).expect(1)
    assert "was changed or is damaged" in told.out + told.err
    assert not listed(aishell)[0]["verified"]


def test_what_is_no_key_is_refused_and_nothing_stays(aishell: Aishell, sqlite: SqliteDatabase) -> None:
    aishell.configure("aishell.yaml", json.dumps({"backup_recipients": ["age1nonsense"]}))
    fill(sqlite, 100)
    told = back_up(aishell, sqlite).expect(1)
    assert "is not an age key" in told.out
    assert listed(aishell) == []
    assert not [path for path in (aishell.site / "backups").rglob("*") if path.is_file()]
