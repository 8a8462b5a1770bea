"""Files of ours on a disk that may be full."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aishell.errors import NotAtHandError


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """The errors of a disk that is written to as ours: they say nothing of a backup that is looked at meanwhile."""
    try:
        yield
    except OSError as error:
        raise NotAtHandError(
            f"{place} cannot be written: {error.strerror or error}",
            hint="make room, or name another folder with --destination",
        ) from error
