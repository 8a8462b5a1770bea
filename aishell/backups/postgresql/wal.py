"""PostgreSQL's write-ahead log: places in it, the segments of an increment, and the slot that keeps them on the server."""

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
    """The segments from the place where a parent ends up to `end`, where one begins: all of them are whole."""

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
    """The slot of a target in one folder of backups: two of them must not advance each other's."""
    return f"aishell_{hashlib.sha256(repr((identity, target, str(root.resolve()))).encode()).hexdigest()[:8]}"


@contextmanager
def held(work: Work, holder: str) -> Iterator[Session]:
    """WAL stays on the server from now on, by a temporary slot: it goes with its session, whatever becomes of us."""
    with work.context.reading() as session:
        work.query("hold", session, holder=holder)
        try:
            yield session
        except BaseException:
            with suppress(DatabaseError):  # the server may be why; what went wrong is told by the other error
                work.query("drop_slot", session, slot=holder)
            raise
        work.query("drop_slot", session, slot=holder)


def keep(work: Work, session: Session, holder: str, slot: str) -> None:
    """Make the lasting slot of a temporary one. One that is there stays: it keeps what earlier backups need."""
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
    """Whether the server has removed what the slot was to keep."""
    return slot["wal_status"] == "lost" or slot["restart_lsn"] is None


def advance(work: Work, slot: str, lsn: str) -> None:
    """Let the server remove what lies before a verified backup's end."""
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
    """Raises BackupError where the server may have removed WAL since the parent."""
    known = None if slot is None else found(work, slot)
    if known is None:
        why = f"no replication slot keeps the WAL since {parent} on the server"
    elif lost(known):
        why = f"the server has removed WAL since {parent}: its slot {slot} had more to keep than max_slot_wal_keep_size"
    elif number_of(known["restart_lsn"]) > begin:
        why = f"the slot {slot} keeps WAL from {known['restart_lsn']} on only, and {parent} ends at {text_of(begin)}"
    else:
        return
    raise full_needed(work.context, why, PHYSICAL)


def received(
    work: Work, timeline: int, begin: int, size: int, dbname: str, secrets: Sequence[int]
) -> tuple[Segments, str]:
    """All WAL from the segment that `begin` lies in up to now, into the folder `wal`; and the moment it reaches to.

    The server is made to end its segment, so that nothing stays in one that is not whole. A segment before the first, which is
    all that the program looks at to know where to go on, stands there meanwhile: by a slot it would let the WAL go before we
    are done.
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
        # It ends when it is beyond this: at the last byte of a segment that is when the segment is whole and has its name.
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
    refuse_gaps(folder, segments)
    return segments, marked["at"]


def refuse_gaps(folder: Path, segments: Segments) -> None:
    """Raises BackupError unless every segment is there, whole, and nothing else is."""
    names = set(segments.names)
    there = {path.name: path.stat().st_size for path in folder.iterdir()} if folder.is_dir() else {}
    problems = [f"{one} is missing" for one in sorted(names - there.keys())]
    problems += [f"{one} is not a segment of it" for one in sorted(there.keys() - names)]
    problems += [
        f"{one} has {size:,} bytes" for one, size in sorted(there.items()) if one in names and size != segments.bytes
    ]
    if problems:
        raise BackupError(f"the WAL in {folder} is not whole: {'; '.join(problems[:5])}")


def read(work: Work, folder: Path, segments: Segments) -> None:
    """Read every record from the first to the last."""
    work.clients.run("waldump", {"folder": folder, **_range(segments)})


def makes_tablespace(work: Work, segments: Segments) -> bool:
    """Whether this WAL does, as far as there is a program that can read it: one may be gone again since."""
    try:
        use_programs(work, "tablespaces", work.context.database.version[0], exactly=True)
    except BackupError:
        return False
    return "CREATE" in work.clients.run("tablespaces", {"folder": work.folder / WAL, **_range(segments)})


def _range(segments: Segments) -> dict[str, object]:
    return {"begin": text_of(segments.begin), "end": text_of(segments.end), "timeline": segments.timeline}


def segments_of(manifest: BackupManifest) -> Segments:
    """The segments of an increment, as its manifest tells them."""
    details, position = manifest.details, manifest.position
    begin, end = number_of(details["from"]), number_of(position["lsn"])
    return Segments(position["timeline"], begin, end, details["segment_bytes"])
