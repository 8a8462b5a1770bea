"""A snapshot of the same moment as the dump's, so that the two can be compared while others write.

MariaDB cannot hand a snapshot from one session to another, but it tells for each where in the binary log it lies. So a row of
snapshots is taken while the dump begins; its first lines say which moment it is of. One of them is the same, or it is begun anew.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from threading import Event, Thread

from aishell.backups.create.making import Work
from aishell.databases.base import Session
from aishell.errors import BackupError, DatabaseError

#: Snapshots held at a time, each on a connection of its own; as long as nobody writes it is one.
HELD = 10
#: Seconds between two snapshots, and for which they are taken at all.
PAUSE, LONGEST = 0.002, 10.0

Position = tuple[str, int]


class OtherMomentError(BackupError):
    """The dump is of a moment that no snapshot of ours is of."""


@dataclass(frozen=True)
class Snapshot:
    """A session that sees one moment; `position` is None where the server does not tell."""

    session: Session
    position: Position | None
    at: float

    def release(self, work: Work) -> None:
        """Let the moment go, and the session."""
        try:
            work.query("release", self.session)
        finally:
            self.session.close()


def snapshot(work: Work) -> Snapshot:
    """A snapshot of now."""
    session = work.context.reading()
    try:
        work.query(f"unlimited_{work.context.database.product}", session)
        work.query("isolation", session)
        work.query("snapshot", session)
        told = {row["Variable_name"].lower(): row["Value"] for row in work.query("moment", session)}
    except DatabaseError:
        with suppress(DatabaseError):  # what has failed may have lost the connection
            work.query("release", session)
        session.close()
        raise
    file, position = told.get("binlog_snapshot_file"), told.get("binlog_snapshot_position")
    return Snapshot(session, (file, int(position or 0)) if file else None, time.monotonic())


class Moments:
    """Takes snapshots from its beginning until one is chosen. Use as a context manager: all others are let go."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self._held: list[Snapshot] = []
        self._ended = Event()
        self._thread = Thread(target=self._take, name="moments")

    def __enter__(self) -> Moments:
        self._held.append(snapshot(self.work))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        for one in self._held:
            with suppress(DatabaseError):  # its connection is gone, and the snapshot with it
                one.release(self.work)

    def chosen(self, position: Position | None) -> Snapshot:
        """The snapshot of this moment, which the caller lets go. Raises OtherMomentError where there is none."""
        self._end()
        found = next((one for one in self._held if one.position == position and position is not None), None)
        if found is None:
            raise OtherMomentError("others wrote while the dump began")
        self._held.remove(found)
        return found

    def _end(self) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _take(self) -> None:
        deadline = time.monotonic() + LONGEST
        with suppress(DatabaseError):  # no more connections: those that are there may do
            while not self._ended.wait(PAUSE) and time.monotonic() < deadline:
                taken = snapshot(self.work)
                if taken.position == self._held[-1].position:
                    taken.release(self.work)
                    continue
                self._held.append(taken)
                if len(self._held) > HELD:
                    self._thin()

    def _thin(self) -> None:
        """Let go the one whose neighbours are closest together: those that stay are spread over the whole time."""
        held = self._held
        least = min(range(1, len(held) - 1), key=lambda n: held[n + 1].at - held[n - 1].at)
        held.pop(least).release(self.work)
