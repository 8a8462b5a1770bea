"""PostgreSQL's write-ahead log: positions, the segments of an increment, and the slot that keeps them on the server."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from aishell.backups.create.making import PHYSICAL, Work, full_needed
from aishell.backups.postgresql.libpq import use_programs
from aishell.backups.store.manifest import BackupManifest
from aishell.clients.clients import writing
from aishell.databases.base import Session
from aishell.errors import BackupError, DatabaseError
from aishell.models import Row

WAL = "wal"
_HALF = 1 << 32


@dataclass(frozen=True)
class Segments:
    """Whole segments from `begin`, at or before the end of the parent, to `end`, both on segment boundaries."""

    timeline: int
    begin: int
    end: int
    bytes: int  # of each

    @property
    def names(self) -> list[str]:
        return [
            name(self.timeline, number, self.bytes)
            for number in range(self.begin // self.bytes, self.end // self.bytes)
        ]

    @property
    def before(self) -> str:
        """The name of the segment before the first."""
        return name(self.timeline, self.begin // self.bytes - 1, self.bytes)


def number_of(lsn: str) -> int:
    """`16/B374D848` as a number of bytes."""
    high, _, low = lsn.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def text_of(lsn: int) -> str:
    """The inverse of `number_of`."""
    return f"{lsn >> 32:X}/{lsn & (_HALF - 1):X}"


def name(timeline: int, number: int, size: int) -> str:
    """The file name of a segment."""
    high, low = divmod(number, _HALF // size)
    return f"{timeline:08X}{high:08X}{low:08X}"


def slot_name(identity: str, target: str, root: Path) -> str:
    """The name of a target's slot, which depends on the backup folder too: two folders must not share a slot."""
    return f"aishell_{hashlib.sha256(repr((identity, target, str(root.resolve()))).encode()).hexdigest()[:8]}"


@contextmanager
def held(work: Work, holder: str) -> Iterator[Session]:
    """Keep WAL on the server by a temporary slot, which is dropped with its session even if we are killed."""
    with work.context.reading() as session:
        work.query("hold", session, holder=holder)
        try:
            yield session
        except BaseException:
            with suppress(DatabaseError):  # the first error is the one to report
                work.query("drop_slot", session, slot=holder)
            raise
        work.query("drop_slot", session, slot=holder)


def keep(work: Work, session: Session, holder: str, slot: str) -> None:
    """Create the permanent slot from a temporary one. An existing slot stays: it keeps WAL for earlier backups."""
    known = found(work, slot, session)
    if known is not None and not lost(known):
        return
    if known is not None:
        work.query("drop_slot", session, slot=slot)
    work.query("keep", session, holder=holder, slot=slot)


def found(work: Work, slot: str, session: Session | None = None) -> Row | None:
    """The slot on the server, if it exists."""
    return next(iter(work.query("slot", session, slot=slot)), None)


def lost(slot: Row) -> bool:
    """Whether the server has removed WAL that the slot should have kept."""
    return slot["wal_status"] == "lost" or slot["restart_lsn"] is None


def advance(work: Work, slot: str, lsn: str) -> None:
    """Let the server remove WAL from before `lsn`, the end of a verified backup."""
    known = found(work, slot)
    if known is not None and not lost(known) and number_of(known["restart_lsn"]) < number_of(lsn):
        with work.context.reading() as session:
            work.query("advance", session, slot=slot, lsn=lsn)


def drop(work: Work, slot: str) -> None:
    """Drop the slot if it exists."""
    if found(work, slot) is not None:
        with work.context.reading() as session:
            work.query("drop_slot", session, slot=slot)


def require_kept(work: Work, slot: str | None, begin: int, parent: str) -> None:
    """Raises BackupError if the server may have removed WAL written since the parent."""
    known = None if slot is None else found(work, slot)
    if known is None:
        why = f"no replication slot keeps the WAL written since {parent}"
    elif lost(known):
        why = f"the server has removed WAL written since {parent}: slot {slot} exceeded max_slot_wal_keep_size"
    elif number_of(known["restart_lsn"]) > begin:
        why = f"slot {slot} keeps WAL only from {known['restart_lsn']} on, but {parent} ends at {text_of(begin)}"
    else:
        return
    raise full_needed(work.context, why, PHYSICAL)


def receive(
    work: Work, timeline: int, begin: int, size: int, dbname: str, secrets: Sequence[int]
) -> tuple[Segments, str]:
    """Receive all WAL from the segment of `begin` up to now, into the folder `wal`; also returns the time it reaches to.

    The server is made to switch segments, so that all are whole. A dummy of the segment before the first tells the program
    where to start: by a slot, it would let the server remove the WAL before the backup is complete.
    """
    with work.context.reading() as session:
        marked = work.query("mark", session, marker=str(work.context.claim))[0]
        switched = number_of(work.query("switch", session)[0]["lsn"])
    folder, first = work.folder / WAL, begin // size * size
    segments = Segments(timeline, first, -(-switched // size) * size, size)
    with writing(folder):
        folder.mkdir(mode=0o700)
        with (folder / segments.before).open("wb") as before:
            before.truncate(size)
    work.clients.run(
        "receivewal",
        # It ends when it is past this position, the last byte of a segment: the segment is whole and has its name then.
        {"folder": folder, "endpos": text_of(segments.end - 1), "dbname": dbname},
        secrets=secrets,
        size=lambda: sum(1 for _ in folder.iterdir()) * size,
        expected=segments.end - first,
    )
    with writing(folder):
        (folder / segments.before).unlink()
        for path in folder.iterdir():
            if path.name.endswith(".partial"):
                path.unlink()
    require_complete(folder, segments)
    return segments, marked["at"]


def require_complete(folder: Path, segments: Segments) -> None:
    """Raises BackupError unless the folder has exactly these segments, and each is whole."""
    names = set(segments.names)
    there = {path.name: path.stat().st_size for path in folder.iterdir()} if folder.is_dir() else {}
    problems = [f"{one} is missing" for one in sorted(names - there.keys())]
    problems += [f"{one} is not one of its segments" for one in sorted(there.keys() - names)]
    problems += [
        f"{one} has {size:,} bytes" for one, size in sorted(there.items()) if one in names and size != segments.bytes
    ]
    if problems:
        raise BackupError(f"the WAL in {folder} is incomplete: {'; '.join(problems[:5])}")


def read(work: Work, folder: Path, segments: Segments) -> None:
    """Read every WAL record."""
    work.clients.run("waldump", {"folder": folder, **_range(segments)})


def makes_tablespace(work: Work, segments: Segments) -> bool:
    """Whether this WAL creates a tablespace, which may no longer exist; false without a program that can read it."""
    try:
        use_programs(work, "tablespaces", work.context.database.version[0], exactly=True)
    except BackupError:
        return False
    return "CREATE" in work.clients.run("tablespaces", {"folder": work.folder / WAL, **_range(segments)})


def _range(segments: Segments) -> dict[str, object]:
    return {"begin": text_of(segments.begin), "end": text_of(segments.end), "timeline": segments.timeline}


def segments_of(manifest: BackupManifest) -> Segments:
    """The segments of an increment, from its manifest."""
    details, position = manifest.details, manifest.position
    begin, end = number_of(details["from"]), number_of(position["lsn"])
    return Segments(position["timeline"], begin, end, details["segment_bytes"])
