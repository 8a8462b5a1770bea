"""What a backup in the making is made of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aishell.backups.create.making import total


def test_what_goes_while_it_is_counted_is_left_out(tmp_path: Path) -> None:
    """A program that has failed takes away what it had written, folders and all, while we look how far it has come."""
    (tmp_path / "one").write_bytes(b"12345")
    assert total([tmp_path / "one", tmp_path / "gone"]) == 5

    def walked() -> Iterator[Path]:
        yield tmp_path / "one"
        raise FileNotFoundError(2, "the next folder")

    assert total(walked()) == 5
