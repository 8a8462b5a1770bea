"""The head of the audit log, kept in a file beside the store to detect events removed from the store.

Written before the first run and at the end of each run, checked at the start of the next; steps do not touch it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from aishell.errors import StateError
from aishell.files import write_whole
from aishell.models import now


@dataclass(frozen=True)
class Anchor:
    """The log when a run ended: the number of events, and the hash of the newest."""

    events: int
    head: str
    at: str


def path_of(store: Path) -> Path:
    """Return the path of a store's anchor file."""
    return store.with_name(f"{store.name}.head")


def read(path: Path) -> Anchor | None:
    """Return the anchor in a file, None if the file does not exist. Raises StateError if the file is not an anchor."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return Anchor(int(data["events"]), str(data["head"]), str(data["at"]))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StateError(
            f"{path} cannot be read as the head of an audit log: {error}",
            hint="check the log against a copy of its head, then move the file away",
        ) from error


def write(path: Path, events: int, head: str) -> None:
    """Replace the anchor in a file, atomically. Raises StateError."""
    try:
        write_whole(path, json.dumps(asdict(Anchor(events, head, now()))) + "\n", durable=True)
    except OSError as error:
        raise StateError(
            f"the head of the audit log cannot be written to {path}: {error.strerror}",
            hint="give this user write permission on the folder, or free disk space",
        ) from error
