"""Backups that somebody has meddled with, by every method: `verify` and `restore` refuse them and say what it is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.faults.backed import Backed
from tests.fix_aishell import Aishell
from tests.mariadb import MariadbServer
from tests.seed import SAMPLED, dice

#: Method -> the fixture of its database, what makes a full backup and what one on it, and the files that are damaged of each.
METHODS: Mapping[str, tuple[str, tuple[str, ...], tuple[str, ...] | None, str, str]] = {
    "sqlite": ("sqlite", (), ("--type", "incremental"), "database.sqlite", "pages.bin"),
    "pg_dump": ("pg_distribution", (), None, "dump/toc.dat", "globals.sql"),
    "pg_basebackup": ("pg_distribution", ("--physical",), ("--type", "incremental"), "base/PG_VERSION", "wal/0*"),
    "mariadb-dump": ("logging_server", (), ("--type", "incremental"), "dump.sql.zst", "binlog/binlog.0*"),
}


@dataclass
class Chain:
    """A backup, one on it where the method has that, and another one of the same database; and as they were at first."""

    one: Backed
    full: Path
    last: Path
    other: Path
    part: Path  # of the full one
    piece: Path  # of the last one
    whole: Path

    def put_back(self) -> None:
        """As if nobody had touched anything."""
        shutil.rmtree(self.one.root)
        shutil.copytree(self.whole, self.one.root)


@pytest.fixture(params=METHODS)
def chain(request: pytest.FixtureRequest, aishell: Aishell, tmp_path: Path) -> Iterator[Chain]:
    fixture, how, more, part, piece = METHODS[request.param]
    made: Any = request.getfixturevalue(fixture)
    db = made.create("meddled") if isinstance(made, MariadbServer) else made
    one = Backed.made(aishell, db, "meddled")
    try:
        first = one.back_up(*how)
        one.change()
        last = first if more is None else one.back_up(*more, "--parent", first)
        other = one.back_up(*how)
        full, last_, other_ = (next(one.root.rglob(name)) for name in (first, last, other))
        (found, *_) = sorted(last_.glob(piece))
        shutil.copytree(one.root, tmp_path / "whole")
        yield Chain(one, full, last_, other_, full / part, found, tmp_path / "whole")
    finally:
        if request.param == "pg_basebackup":
            db.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
        if isinstance(made, MariadbServer):
            db.drop()


def cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def edit(path: Path) -> None:
    text = path.read_text()
    assert '"engine"' in text
    path.write_text(text.replace('"engine"', '"Engine"'))


def swap(one: Path, other: Path) -> None:
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def part(chain: Chain) -> Path:
    return chain.part


def piece(chain: Chain) -> Path:
    return chain.piece


def manifest(chain: Chain) -> Path:
    return chain.full / "manifest.json"


#: The file, and what is done to it.
DAMAGE: Mapping[str, tuple[Callable[[Chain], Path], Callable[[Path], object]]] = {
    "cut off": (part, cut),
    "the last one cut off": (piece, cut),
    "a flipped bit": (part, flip),
    "a flipped bit in the last one": (piece, flip),
    "emptied": (piece, empty),
    "missing": (piece, Path.unlink),
    "a folder": (part, folder),
    "an extra file": (lambda chain: chain.last / "extra.sql", Path.touch),
    "an extra file beside a part": (lambda chain: chain.part.with_name("extra"), Path.touch),
    "manifest edited": (manifest, edit),
    "manifest emptied": (manifest, empty),
    "manifest missing": (manifest, Path.unlink),
    "a folder that is gone": (lambda chain: chain.full, shutil.rmtree),
}


def linked(chain: Chain) -> Path:
    """The same bytes, which go with something else."""
    chain.piece.unlink()
    chain.piece.symlink_to(chain.whole / chain.piece.relative_to(chain.one.root))
    return chain.piece


def of_another(chain: Chain) -> Path:
    shutil.copy(chain.other / "manifest.json", manifest(chain))
    return chain.full


def exchanged(chain: Chain) -> Path:
    swap(chain.full, chain.other)
    return chain.full


def damaged(of: Callable[[Chain], Path], damage: Callable[[Path], object]) -> Callable[[Chain], Path]:
    """The damage, and the path that it was done to."""

    def do(chain: Chain) -> Path:
        path = of(chain)
        damage(path)
        return path

    return do


#: What is done; it tells the path that has to be named.
MEDDLING: Mapping[str, Callable[[Chain], Path]] = {
    **{name: damaged(*how) for name, how in DAMAGE.items()},
    "a link in the place of a file": linked,
    "manifest of another": of_another,
    "folders exchanged": exchanged,
}


@SAMPLED
def test_what_was_meddled_with_is_refused_and_named(chain: Chain, tmp_path: Path, whole: bool) -> None:
    one, last = chain.one, chain.last.name
    tried = MEDDLING if whole else {name: MEDDLING[name] for name in dice().sample(list(MEDDLING), 3)}
    by_path = chain.part.name in ("database.sqlite", "PG_VERSION")
    place = str(tmp_path / "restored") if by_path else "restored"
    for name, meddle in tried.items():
        named = meddle(chain)
        for command in (("backups", "verify", last), one.on_it("backups", "restore", last, "--to", place)):
            ended = one.site(*command)
            assert (name, ended.code) == (name, 1), ended.out + ended.err
            assert named.name in ended.out + ended.err, name
            assert "Traceback" not in ended.err
        assert not Path(place).exists()
        (entry,) = (e for e in listed(one) if e["backup_id"] == last)
        assert not entry["verified"], name
        chain.put_back()
        one.site("backups", "verify", last).expect(0)
        (entry,) = (e for e in listed(one) if e["backup_id"] == last)
        assert entry["verified"], name
    if not by_path:
        schemas = "SELECT datname FROM pg_database" if one.db.url.startswith("postgresql") else "SHOW DATABASES"
        assert (place,) not in list(one.db.execute(schemas))


def listed(one: Backed) -> list[dict[str, Any]]:
    return list(one.site("backups", "list", "--output", "json").json)


@pytest.mark.parametrize("chain", ["sqlite"], indirect=True)
def test_a_note_that_claims_more_than_was_proven_helps_no_damaged_backup(chain: Chain, tmp_path: Path) -> None:
    """The catalog is made again from such notes; what is read and restored is looked at all the same."""
    one, note = chain.one, chain.full / "standing.json"
    claimed = {
        **json.loads(note.read_text()),
        "rung": "restored-and-compared",
        "compared_at": "2026-11-21T00:00:00+00:00",
    }
    note.write_text(json.dumps(claimed))
    flip(chain.part)
    for path in one.site.state.parent.glob("state.db*"):
        path.unlink()
    one.site("backups", "rebuild-catalog").expect(0)
    assert chain.part.name in one.site("backups", "verify", chain.full.name).expect(1).out
    place = tmp_path / "restored"
    restore = one.on_it("backups", "restore", chain.full.name, "--to", str(place))
    assert chain.part.name in one.site(*restore).expect(1).out
    assert not place.exists()
    assert [entry["verified"] for entry in listed(one)] == [False, False, True]
    assert json.loads(note.read_text())["problem"] is not None, "and now it says so"


@pytest.mark.sampled(3)
@pytest.mark.parametrize("chain", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "text",
    [
        b"", b"\0\xff", b"[]", b"7", b'{"rung": ["readable"]}', b'{"rung": "perfect", "digest": 1}', b'{"pinned": 1}',
        b'{"copies": 7, "rung_at": {}, "problem": []}',
    ],
)  # fmt: skip
def test_a_note_that_is_none_proves_nothing(chain: Chain, text: bytes) -> None:
    one = chain.one
    for name in (chain.full, chain.last, chain.other):
        (name / "standing.json").write_bytes(text)
    for path in one.site.state.parent.glob("state.db*"):
        path.unlink()
    rebuilt = one.site("backups", "rebuild-catalog", "--output", "json").expect(0).json
    pinned = {entry["backup_id"] for entry in listed(one) if entry["pinned"]}
    assert set(rebuilt["unnoted"]) <= pinned
    assert bool(rebuilt["unnoted"]) == (not text.startswith(b"{")), "a note that cannot be read may have pinned it"
    assert {entry["rung"] for entry in listed(one)} == {"written"}
    assert one.site("backups", "prune", "--set", "count=1", "--yes").expect(0).out.count("stays") == 3
    one.site("backups", "verify").expect(0)
    assert {entry["rung"] for entry in listed(one)} == {"readable"}


@pytest.mark.parametrize("chain", ["sqlite"], indirect=True)
def test_a_prune_removes_no_other_than_the_one_it_names(chain: Chain) -> None:
    """The folder of one that may go holds the only good one."""
    one = chain.one
    swap(chain.full, chain.other)
    ended = one.site("backups", "prune", "--set", "count=1", "--yes").expect(1)
    assert f"contains {chain.other.name}" in ended.err
    assert (chain.full / "manifest.json").is_file()
    swap(chain.full, chain.other)
    one.site("backups", "prune", "--set", "count=1", "--yes").expect(0)
    assert [entry["backup_id"] for entry in listed(one)] == [chain.other.name]
    one.site("backups", "verify").expect(0)
