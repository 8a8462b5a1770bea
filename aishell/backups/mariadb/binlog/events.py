"""The row events of a binary log, as `mariadb-binlog` hands them on in base64, turned to another database. Pure.

It hands on the rows of all databases, and those of a statement in one piece, however large: a server refuses what is larger than
its max_allowed_packet. So what comes out is of one database, under another name if need be, and in pieces of a bounded size.
https://mariadb.com/kb/en/2-binlog-event-header/ and /table_map_event/, /rows_event_v1v2/
"""

from __future__ import annotations

import binascii
import struct
from collections.abc import Collection, Iterator
from zlib import crc32

from aishell.backups.mariadb.binlog.statements import Turning
from aishell.errors import BackupError

_HEADER = struct.Struct("<IBIIIH")  # time, type, server, length, end position, flags
_FORMAT, _TABLE_MAP = 15, 19
#: Write, update and delete: version 1 and 2, MySQL's partial JSON, MariaDB's compressed ones.
_WRITES = frozenset({23, 30, 166, 169})
_CHANGES = frozenset({24, 25, 31, 32, 39, 167, 168, 170, 171})
#: Behind the header: the table's number, of six bytes, and flags, one of which says that the statement ends.
_NUMBER, _FLAGS = slice(_HEADER.size, _HEADER.size + 6), _HEADER.size + 6
_STATEMENT_ENDS = 1
_CRC32 = 1


class RowEvents:
    """Takes the events of one statement after the other. `largest`: bytes of events in a piece, if no event has more.

    `inexact`: tables whose rows are not found in a copy by what the log says of them.
    """

    def __init__(self, turning: Turning, largest: int, inexact: Collection[str] = ()) -> None:
        self.turning, self.largest, self.inexact = turning, largest, inexact
        self.checksums = False
        self.count = 0  # events of rows that were handed on
        self._left = bytearray()
        self._maps: dict[bytes, bytes] = {}
        self._inexact: dict[bytes, str] = {}
        self._rows: list[bytes] = []
        self._size = 0

    def take(self, encoded: bytes) -> Iterator[bytes]:
        """What can be sent already, in base64, once these lines are there. Raises BackupError for an event of unknown meaning."""
        try:
            # Each event is encoded by itself, in lines of 76 characters: each line can be decoded alone.
            self._left += b"".join(binascii.a2b_base64(line, strict_mode=True) for line in encoded.split(b"\n"))
        except binascii.Error as error:
            raise BackupError("the binary log cannot be read: its events are no base64") from error
        for event in self._events():
            kind, table = event[4], event[_NUMBER]
            if kind == _FORMAT:
                # A byte that says how events are checked stands before the checksum, which this one always has.
                self.checksums = event[-5] == _CRC32
                yield binascii.b2a_base64(event, newline=False)
            elif kind == _TABLE_MAP:
                if (turned := self._turned(event)) is not None:
                    self._maps[table] = turned
            elif kind not in _WRITES | _CHANGES:
                raise BackupError(
                    f"the binary log has an event of the unknown type {kind}", hint="make a full backup after it"
                )
            elif table in self._maps:
                if kind in _CHANGES and table in self._inexact:
                    raise BackupError(
                        f"rows of {self._inexact[table]} were changed, which has FLOAT and no key without: a dump's are rounded, "
                        "and would not be found again",
                        hint="give it a primary key, or make full backups only",
                    )
                if self._rows and self._size + len(event) > self.largest:
                    yield self._piece()
                self._rows.append(event)
                self._size += len(event)
                self.count += 1

    def end(self) -> Iterator[bytes]:
        """The rest of the statement: nothing when it was all of other databases."""
        if self._left:
            raise BackupError("the binary log cannot be read: an event is cut off")
        if self._rows:
            yield self._piece()
        self._maps.clear()
        self._inexact.clear()

    def _events(self) -> Iterator[bytes]:
        while len(self._left) >= _HEADER.size:
            size = _HEADER.unpack_from(self._left)[3]
            if size < _HEADER.size + 8:
                raise BackupError(f"the binary log cannot be read: an event of {size} bytes")
            if len(self._left) < size:
                return
            yield bytes(self._left[:size])
            del self._left[:size]

    def _turned(self, event: bytes) -> bytes | None:
        """The event that names a table, for the place; None for a table of another database."""
        at = _FLAGS + 2
        size = event[at]
        if not self.turning.is_source(event[at + 1 : at + 1 + size].decode("utf-8", "surrogateescape")):
            return None
        name = event[at + 3 + size : at + 3 + size + event[at + 2 + size]].decode("utf-8", "surrogateescape")
        if name in self.inexact:
            self._inexact[event[_NUMBER]] = name
        place = self.turning.place.encode()
        return self._sealed(event[:at] + bytes([len(place)]) + place + event[at + 1 + size :])

    def _piece(self) -> bytes:
        """Rows behind the names of their tables; the last says that the statement ends, where the tables are let go."""
        rows, self._rows, self._size = self._rows, [], 0
        used, last = {event[_NUMBER] for event in rows}, rows[-1]
        (flags,) = struct.unpack_from("<H", last, _FLAGS)
        if not flags & _STATEMENT_ENDS:
            last = self._sealed(last[:_FLAGS] + struct.pack("<H", flags | _STATEMENT_ENDS) + last[_FLAGS + 2 :])
        events = [*(event for table, event in self._maps.items() if table in used), *rows[:-1], last]
        return b"\n".join(binascii.b2a_base64(event, newline=False) for event in events)

    def _sealed(self, event: bytes) -> bytes:
        """A changed event with its length and its checksum set right."""
        time, kind, server, _, end, flags = _HEADER.unpack_from(event)
        whole = _HEADER.pack(time, kind, server, len(event), end, flags) + event[_HEADER.size :]
        return whole[:-4] + struct.pack("<I", crc32(whole[:-4])) if self.checksums else whole
