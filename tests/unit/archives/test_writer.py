"""An archive on the disk: what is written is read back, what was not finished goes, what is damaged is told."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import zstandard

from aishell.archives import shelf
from aishell.archives.manifest import Chunk, Manifest, Piece, Relative
from aishell.archives.reader import Reader, converted, verify
from aishell.archives.values import Number, bound, values
from aishell.archives.writer import INDEX, Writer, checksum
from aishell.errors import ArchiveError, ParameterError, UnknownNameError

COLUMNS = ({"column": "id", "type": "bigint", "form": "plain"}, {"column": "m", "type": "text", "form": "plain"})


def manifest(**more) -> Manifest:
    made = Manifest(
        archive_id="a", created_at="2026-01-01T00:00:00+00:00", run_id="r", target="t", product="postgresql",
        server_version="15", schema="public", table="app_log", columns=COLUMNS, date_column="at", cutoff="2026-01-01",
        filters=(), extent={"horizon": "7"},
    )  # fmt: skip
    return replace(made, **more)


def lines(*numbers: int) -> bytes:
    return "\n".join(json.dumps({"id": n, "m": f"é\n{n}"}, ensure_ascii=False) for n in numbers).encode()


def chunk(position, upto, text: bytes) -> Chunk:
    return Chunk(position, upto, text.count(b"\n") + 1 if text else 0, checksum(text), "g", 0, 0)


def made(folder: Path, *lots: tuple[int, ...]) -> Manifest:
    writer = Writer(folder, manifest(archive_id=folder.name))
    for number, lot in enumerate(lots):
        writer.add(chunk(number, number + 1, lines(*lot)), lines(*lot))
    return writer.finish(whole=True)


def ids(folder: Path) -> list[int]:
    with Reader(folder, shelf.read_manifest(folder)) as reader:
        return [int(row[0]) for lot in reader.rows() for row in lot]


def test_what_is_written_is_read_back_and_counted(tmp_path):
    folder = tmp_path / "t" / "public.app_log" / "x-1"
    result = made(folder, (1, 2, 3), (4,))
    assert (result.rows, len(result.chunks), result.whole) == (4, 2, True)
    assert result.bytes == (folder / result.file).stat().st_size
    assert shelf.read_manifest(folder) == result
    assert ids(folder) == [1, 2, 3, 4]
    assert [path.name for path in folder.parent.iterdir()] == ["x-1"]


def test_a_chunk_that_is_not_what_the_database_summed_up_is_refused(tmp_path):
    writer = Writer(tmp_path / "x", manifest())
    writer.add(chunk(0, 1, lines(1, 2)), lines(1, 3))
    with pytest.raises(ArchiveError, match="does not have at byte 0 the rows that the database had"):
        writer.finish(whole=True)
    writer.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_chunk_without_rows_is_not_written(tmp_path):
    writer = Writer(tmp_path / "x", manifest())
    writer.add(chunk(0, 1, b""), b"")
    writer.add(chunk(1, 2, lines(1)), lines(1))
    assert len(writer.finish(whole=False).chunks) == 1


@pytest.mark.parametrize("torn", [b'{"position": 2, "up', b""])
def test_a_killed_writer_is_taken_up_after_its_last_whole_chunk(tmp_path, torn):
    folder = tmp_path / "x"
    killed = Writer(folder, manifest())
    killed.add(chunk(0, 1, lines(1, 2)), lines(1, 2))
    killed.add(chunk(1, 2, lines(3)), lines(3))
    killed.settle()
    killed.close()
    with (killed.partial / "rows.jsonl.zst").open("ab") as data, (killed.partial / INDEX).open("ab") as index:
        data.write(b"half a frame")
        index.write(torn)
    again = Writer(folder, manifest())
    assert [part.upto for part in again.chunks] == [1, 2]
    again.add(chunk(2, 3, lines(4)), lines(4))
    again.finish(whole=True)
    assert ids(folder) == [1, 2, 3, 4]


def test_an_index_that_says_more_than_the_file_has_is_refused(tmp_path):
    killed = Writer(tmp_path / "x", manifest())
    killed.add(chunk(0, 1, lines(1)), lines(1))
    killed.settle()
    killed.close()
    os.truncate(killed.partial / "rows.jsonl.zst", 3)
    with pytest.raises(ArchiveError, match="shorter than its index says"):
        Writer(tmp_path / "x", manifest())


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone", "longer"])
def test_damage_is_found(tmp_path, damage):
    folder = tmp_path / "x"
    file = folder / made(folder, (1, 2), (3, 4)).file
    data = bytearray(file.read_bytes())
    if damage == "gone":
        file.unlink()
    elif damage == "flipped":
        data[len(data) // 2] ^= 4
        file.write_bytes(data)
    else:
        file.write_bytes(data[:-5] if damage == "cut" else data + b"x")
    with pytest.raises(ArchiveError), Reader(folder, shelf.read_manifest(folder)) as reader:
        reader.verify()


def test_a_manifest_that_cannot_be_read_is_told_with_its_place(tmp_path):
    folder = tmp_path / "t" / "p.l" / "x"
    made(folder, (1,))
    (folder / "manifest.json").write_text("{}")
    with pytest.raises(ArchiveError, match="is not an archive manifest"):
        shelf.read_manifest(folder)
    ((path, error),) = shelf.archives(tmp_path)
    assert path == folder
    assert isinstance(error, ArchiveError)
    (folder / "manifest.json").write_text(manifest(version=99).text())
    with pytest.raises(ArchiveError, match="version 99"):
        shelf.read_manifest(folder)


def test_archives_are_found_by_id_and_by_folder(tmp_path):
    folder = tmp_path / "t" / "p.l" / "20260101T000000Z-abc-2"
    made(folder, (1,))
    made(folder.with_name("20260102T000000Z-abd-2"), (1,))
    Writer(folder.with_name("20260103T000000Z-abe-2"), manifest()).close()
    assert [path.name for path, _ in shelf.archives(tmp_path)] == ["20260101T000000Z-abc-2", "20260102T000000Z-abd-2"]
    assert shelf.unfinished(tmp_path) == [folder.with_name("20260103T000000Z-abe-2.partial")]
    assert shelf.find(tmp_path, folder.name)[0] == shelf.find(tmp_path, str(folder))[0] == folder
    with pytest.raises(UnknownNameError) as error:
        shelf.find(tmp_path, "20260101T000000Z-abc-3")
    assert error.value.nearest == folder.name
    assert shelf.taken_up(folder.parent, "abe-2") == folder.with_name("20260103T000000Z-abe-2")
    assert shelf.taken_up(folder.parent, "be-2") is None


@pytest.mark.parametrize("given", ["../x", "/etc", "a/../../x"])
def test_nothing_is_written_outside_the_folder_of_archives(tmp_path, given):
    with pytest.raises(ParameterError, match="outside"):
        shelf.inside(tmp_path / "archives", given)


def test_a_link_out_of_the_folder_of_archives_is_outside(tmp_path):
    (tmp_path / "archives").mkdir()
    (tmp_path / "archives" / "link").symlink_to(tmp_path)
    with pytest.raises(ParameterError, match="outside"):
        shelf.inside(tmp_path / "archives", "link/x")


def test_numbers_keep_their_digits_and_texts_are_no_numbers():
    row = values(
        b'{"a": 1.10, "b": "1.10", "c": null, "d": true, "e": {"hex": "00FF"}, "f": {"real": "-inf"}}', list("abcdef")
    )
    assert row == ["1.10", "1.10", None, True, {"hex": "00FF"}, {"real": "-inf"}]
    assert [type(value) is Number for value in row[:2]] == [True, False]
    assert [bound(value, typed=True) for value in row] == [1.1, "1.10", None, "true", b"\x00\xff", float("-inf")]
    assert [bound(value, typed=False) for value in row[:4]] == ["1.10", "1.10", None, "true"]
    assert bound(Number("9223372036854775807"), typed=True) == 9223372036854775807


HARD = [
    {"id": 1, "m": ""}, {"id": 2, "m": None}, {"id": 3, "m": 'a "quoted", line\r\nbreak'}, {"id": None, "m": "NULL"},
    {"id": 5, "m": "X'00'"}, {"id": 6, "m": "1.10"}, {"id": 7, "m": "true"}, {"id": 8, "m": "x" * 3_000_000},
]  # fmt: skip


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_other_formats_hold_the_same_rows(tmp_path, kind):
    text = "\n".join(json.dumps(row) for row in HARD).encode()
    writer = Writer(tmp_path / "x", manifest())
    writer.add(chunk(0, 1, text), text)
    result = writer.finish(whole=True, convert=partial(converted, wanted=kind))
    assert (result.format, result.rows) == (kind, len(HARD))
    assert sorted(path.name for path in (tmp_path / "x").iterdir()) == sorted([result.file, "manifest.json"])
    with Reader(tmp_path / "x", result) as reader:
        assert reader.verify() == len(HARD)
        rows = [row for lot in reader.rows() for row in lot]
    assert rows == [[None if row["id"] is None else str(row["id"]), row["m"]] for row in HARD]
    with (tmp_path / "x" / result.file).open("r+b") as file:
        file.seek(60)
        file.write(b"damage")
    with pytest.raises(ArchiveError, match="damaged"), Reader(tmp_path / "x", result) as reader:
        reader.verify()


def test_parquet_has_types_and_refuses_what_they_cannot_hold(tmp_path):
    import pyarrow.parquet as pq

    columns = [
        {"column": "at", "type": "timestamp with time zone", "form": "plain"},
        {"column": "n", "type": "numeric(10,2)", "form": "plain"},
        {"column": "ok", "type": "boolean", "form": "plain"},
        {"column": "v", "type": "", "form": "any"},
    ]
    row = {"at": "2026-01-01T10:00:00.5+02:00", "n": 1.10, "ok": True, "v": {"hex": "00ff"}}
    text = json.dumps(row).encode()
    writer = Writer(tmp_path / "x", manifest(columns=tuple(columns)))
    writer.add(chunk(0, 1, text), text)
    writer.finish(whole=True, convert=partial(converted, wanted="parquet"))
    schema = pq.read_schema(tmp_path / "x" / "rows.parquet")
    assert [str(field.type) for field in schema] == ["timestamp[us, tz=UTC]", "string", "bool", "binary"]
    for number, bad in enumerate(({**row, "at": "infinity"}, {**row, "v": 1})):
        text = "\n".join(json.dumps(one) for one in (row, bad)).encode()
        folder = tmp_path / str(number)
        writer = Writer(folder, manifest(columns=tuple(columns)))
        writer.add(chunk(0, 1, text), text)
        with pytest.raises(ArchiveError, match=r"'at' holds a value|several types") as error:
            writer.finish(whole=True, convert=partial(converted, wanted="parquet"))
        assert "infinity" not in f"{error.value} {error.value.hint}"
        assert not folder.exists()
        writer.discard()


def in_parquet(folder: Path, columns: list[dict[str, str]], *rows: dict[str, object]) -> list[list[object]]:
    """Rows as they are read back from an archive in Parquet."""
    text = "\n".join(map(json.dumps, rows)).encode()
    writer = Writer(folder, manifest(columns=tuple(columns)))
    writer.add(chunk(0, len(rows), text), text)
    result = writer.finish(whole=True, convert=partial(converted, wanted="parquet"))
    with Reader(folder, result) as reader:
        return [row for lot in reader.rows() for row in lot]


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        *((text, "NaN") for text in ("NaN", "nan")),
        *((text, "Inf") for text in ("Infinity", "inf", "Inf")),
        *((f"-{text}", "-Inf") for text in ("Infinity", "inf", "Inf")),
    ],
)
@pytest.mark.parametrize("form", ["plain", "any"])
def test_parquet_keeps_numbers_that_json_has_none_for(tmp_path, form, written, kept):
    """PostgreSQL writes them as a text, SQLite says that it is a real; every row around them is the same."""
    column = {"column": "x", "type": "double precision", "form": form}
    value = written if form == "plain" else {"real": written}
    rows = in_parquet(tmp_path / "x", [column], {"x": 0.1}, {"x": value}, {"x": None})
    assert rows == [["0.1"], [{"real": kept}], [None]]


def test_a_row_that_parquet_changes_is_named_without_its_values(tmp_path):
    """An integer that no float is, among floats. What is said names the row and the column, and tells nothing that they hold."""
    columns = [{"column": name, "type": "", "form": "any"} for name in ("v", "name")]
    whole = {"v": 2**53, "name": "Ada"}
    assert in_parquet(tmp_path / "a", columns, {"v": 0.5, "name": "Ada"}, whole)[1] == ["9007199254740992.0", "Ada"]
    with pytest.raises(ArchiveError, match="row 2 differs in 'v'") as error:
        in_parquet(tmp_path / "b", columns, {"v": 0.5, "name": "Ada"}, {**whole, "v": 2**53 + 1})
    assert not {"9007199254740993", "Ada"} & set(re.findall(r"\w+", f"{error.value} {error.value.hint}"))


@contextmanager
def largest_file(size: int):
    """No file may get larger: what a disk does that is full at this byte."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("missing", [1, 100, 4096, 8191, 8192, 8193, 20_000])
def test_a_disk_that_is_full_at_any_byte_of_a_chunk_is_said_and_nothing_stays(tmp_path, missing):
    """Also within the last bytes, which a buffer would have kept and tried to write again when it was closed."""
    text = json.dumps({"id": 1, "m": os.urandom(20_000).hex()}).encode()
    length = made_of(tmp_path / "whole", text).bytes
    writer = Writer(tmp_path / "x", manifest())
    with largest_file(length - missing):
        writer.add(chunk(0, 1, text), text)
        with pytest.raises(ArchiveError, match="File too large"):
            writer.settle()
        writer.discard()
    assert [path.name for path in tmp_path.iterdir()] == ["whole"]


def test_a_disk_that_is_full_at_the_index_is_said_and_nothing_stays(tmp_path):
    writer = Writer(tmp_path / "x", manifest())
    with largest_file(100):
        writer.add(chunk(0, 1, lines(1)), lines(1))
        with pytest.raises(ArchiveError, match="File too large"):
            writer.settle()
        writer.discard()
    assert list(tmp_path.iterdir()) == []


def made_of(folder: Path, text: bytes) -> Manifest:
    writer = Writer(folder, manifest(archive_id=folder.name))
    writer.add(chunk(0, 1, text), text)
    return writer.finish(whole=True)


def test_a_full_disk_is_said_and_nothing_half_made_is_listed(tmp_path, monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    writer = Writer(tmp_path / "t" / "p.l" / "x", manifest())
    monkeypatch.setattr("aishell.archives.writer.os.fsync", full)
    writer.add(chunk(0, 1, lines(1)), lines(1))
    with pytest.raises(ArchiveError, match="No space left on device") as error:
        writer.finish(whole=True)
    assert "--archive-to" in str(error.value.hint)
    assert list(shelf.archives(tmp_path)) == []
    monkeypatch.undo()
    writer.discard()


@pytest.mark.parametrize("relatives", [0, 1])
def test_a_file_without_rows_is_an_empty_frame(tmp_path, relatives):
    """`zstd -d` says of a file of no bytes that it ended too early."""
    folder = tmp_path / "t" / "public.app_log" / "x-1"
    others = tuple(Relative("public", f"other{n}", COLUMNS, ("id",)) for n in range(relatives))
    writer = Writer(folder, manifest(archive_id=folder.name, version=2 if relatives else 1, relatives=others))
    if relatives:
        text = lines(1)
        writer.add(replace(chunk(0, 1, text), pieces=(Piece(0, checksum(b"")),)), text, b"")
    result = writer.finish(whole=True)
    empty = folder / result.parts[-1].file
    assert empty.stat().st_size == result.parts[-1].bytes > 0
    assert zstandard.ZstdDecompressor().stream_reader(empty.read_bytes()).read() == b""
    assert verify(folder, shelf.read_manifest(folder)) == relatives
    if (program := shutil.which("zstd")) is not None:
        assert subprocess.run([program, "-dc", empty], check=True, capture_output=True).stdout == b""
