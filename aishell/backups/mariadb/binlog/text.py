"""Rewrites the output of `mariadb-binlog` for a restored copy: the rows and statements of one database. Pure.

The output is a sequence of pieces between delimiters: settings, transactions, statements as they were run, and events in base64.
A piece is only passed on if it is known to affect nothing but the copy.
"""

from __future__ import annotations

import binascii
import re
import struct
from collections.abc import Collection, Iterable, Iterator
from zlib import crc32

from aishell.backups.mariadb.binlog.statements import Rewriter
from aishell.databases.quoting import quote
from aishell.errors import BackupError

DELIMITER = b"/*!*/;\n"
#: Comments, and changes of the delimiter between two files.
_COMMENTS = re.compile(rb"(?:(?:#|DELIMITER\b)[^\n]*(?:\n|\Z)|\s+)*")
_USE = re.compile(rb"use (`(?:[^`]|``)*`|\w+)\s*\Z")
_SQL_MODE = re.compile(rb"@@session\.sql_mode=(\d+)")
_CHARSET = re.compile(rb"/\*!\\C (\w+)")
#: Session settings of statements and rows. Those of replication (GTIDs, the server's id) are dropped.
_SETTING = re.compile(rb"SET (?:TIMESTAMP=|INSERT_ID=|LAST_INSERT_ID=|@@RAND_SEED1=|@@session\.)", re.IGNORECASE)
_DROPPED = re.compile(
    rb"(?:/\*[!M]*\d+\s*)?SET\s+@@(?:session|global)\.(?:gtid_|server_id|skip_parallel_replication|original_|immediate_"
    rb"|original_commit|sql_require_primary_key|default_table_encryption)",
    re.IGNORECASE,
)
_TRANSACTION = re.compile(rb"(?:START TRANSACTION|BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE SAVEPOINT)\b", re.IGNORECASE)
_XA = re.compile(rb"XA (\w+)", re.IGNORECASE)
EVENTS = b"\nBINLOG '\n"
#: Character sets in which the byte of a quote is never part of another character.
_READABLE = {b"utf8": "utf-8", b"utf8mb3": "utf-8", b"utf8mb4": "utf-8"}
_BYTEWISE = frozenset(
    b"latin1 latin2 latin5 latin7 ascii binary cp1250 cp1251 cp1256 cp1257 cp850 cp852 cp866 koi8r koi8u greek hebrew".split()
)
_HEADER = struct.Struct("<IBIIIH")  # time, type, server, length, end position, flags
_FORMAT, _TABLE_MAP = 15, 19
#: Write, update and delete: version 1 and 2, MySQL's partial JSON, MariaDB's compressed ones.
_WRITES = frozenset({23, 30, 166, 169})
_CHANGES = frozenset({24, 25, 31, 32, 39, 167, 168, 170, 171})
#: After the header: the table's number, in six bytes, and flags, one of which marks the end of the statement.
_NUMBER, _FLAGS = slice(_HEADER.size, _HEADER.size + 6), _HEADER.size + 6
_STATEMENT_ENDS = 1
_CRC32 = 1


def _unsupported(cause: str) -> BackupError:
    return BackupError(
        f"the binary log has {cause}, which cannot be applied to a copy", hint="make a full backup after it"
    )


def _unreadable(why: str) -> BackupError:
    return BackupError(f"the binary log cannot be read: {why}")


class Replay:
    """Rewrites the text of a binary log for the place. `statements` and `rows.count` count what was passed on."""

    def __init__(self, rewriter: Rewriter, largest: int = 4 << 20, inexact: Collection[str] = ()) -> None:
        self.rewriter = rewriter
        self.rows = RowEvents(rewriter, largest, inexact)
        self.statements = 0
        self._database: str | None = None
        self._sql_mode, self._charset = 0, b"utf8mb4"
        self._prepared = False

    def rewritten(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """The text for the client, from blocks of any size. Raises BackupError for anything that cannot be applied to a copy."""
        yield b"USE " + quote(self.rewriter.place, "mysql").encode() + b";\nDELIMITER " + DELIMITER
        for kind, text in _parts(blocks):
            if kind == "statement":
                sent: Iterable[bytes] = self._piece(text)
            else:
                events = self.rows.take(text) if kind == "events" else self.rows.end()
                sent = (EVENTS + piece + b"\n'" for piece in self._unprepared(events))
            for piece in sent:
                yield piece + b"\n" + DELIMITER
        yield b"ROLLBACK\n" + DELIMITER + b"DELIMITER ;\n"  # of a transaction cut off by the end

    def _unprepared(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            if self._prepared:
                raise _unsupported("a prepared (XA) transaction")
            yield piece

    def _piece(self, piece: bytes) -> Iterable[bytes]:
        found = _COMMENTS.match(piece)
        text = piece[found.end() if found else 0 :].strip()
        if not text or _DROPPED.match(text):
            return ()
        if (use := _USE.match(text)) is not None:
            name = use[1][1:-1].replace(b"``", b"`") if use[1].startswith(b"`") else use[1]
            self._database = name.decode(self._encoding, "surrogateescape")
            return ()
        if (charset := _CHARSET.match(text)) is not None:
            self._charset = charset[1]
            return (text,)
        if _SETTING.match(text):
            if (mode := _SQL_MODE.search(text)) is not None:
                self._sql_mode = int(mode[1])
            return (text,)
        if (prepared := _XA.match(text)) is not None:
            self._prepared = prepared[1].upper() in (b"START", b"BEGIN")
            return ()
        if text.startswith(b"BINLOG") or b"binlog_fragment" in text[:40]:
            raise _unsupported("events that are too large")
        return (text,) if _TRANSACTION.match(text) else self._statement(text)

    def _statement(self, text: bytes) -> Iterable[bytes]:
        decoded = text.decode(self._encoding, "surrogateescape")
        rewritten = self.rewriter.statements(decoded, self._database, self._sql_mode)
        self.statements += bool(rewritten)
        return [one.encode(self._encoding, "surrogateescape") for one in rewritten]

    @property
    def _encoding(self) -> str:
        """The codec that decodes the text without losing a byte."""
        if self._charset in _READABLE:
            return _READABLE[self._charset]
        if self._charset not in _BYTEWISE:
            raise _unsupported(f"a statement in {self._charset.decode()}")
        return "latin-1"


class _LogText:
    """The text received so far that is not taken yet, `left`."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks, self.left = iter(blocks), bytearray()

    def more(self) -> bool:
        """Wait for another block; False at the end."""
        block = next(self._blocks, None)
        self.left += block or b""
        return block is not None

    def find(self, *marks: bytes) -> tuple[int, bytes] | None:
        """The offset of the first of these marks, and the mark; None if there is none."""
        searched = 0
        while True:
            found = [(at, mark) for mark in marks if (at := self.left.find(mark, searched)) >= 0]
            if found:
                return min(found)
            searched = max(0, len(self.left) - max(map(len, marks)))
            if not self.more():
                return None

    def take(self, count: int) -> bytes:
        taken = bytes(self.left[:count])
        del self.left[:count]
        return taken


def _parts(blocks: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    """Each `statement` with the comments before it; lines of events as they are received (`events`), then `end`.

    The program's own text before the first delimiter and after the last is left out.
    """
    text = _LogText(blocks)
    found = text.find(b"DELIMITER " + DELIMITER)
    while found is not None:
        at, mark = found
        if mark == EVENTS:
            text.take(at + len(mark))
            yield from _events(text)
        else:
            if mark == DELIMITER:
                yield "statement", text.take(at)
                at = 0
            text.take(at + len(mark) - 1)  # the line break stays: events begin with one
        found = text.find(DELIMITER, EVENTS)


def _events(text: _LogText) -> Iterator[tuple[str, bytes]]:
    """The lines of events up to the closing quote and delimiter, whose line break stays."""
    while (quoted := text.left.find(b"'")) < 0 or len(text.left) <= quoted + len(DELIMITER):
        if lines := quoted if quoted >= 0 else text.left.rfind(b"\n") + 1:
            yield "events", text.take(lines)
        if not text.more():
            raise _unreadable("its events are cut off")
    if quoted:
        yield "events", text.take(quoted)
    if text.take(len(DELIMITER)) + text.left[:1] != b"'" + DELIMITER:
        raise _unreadable("unexpected text after its events")
    yield "end", b""


class RowEvents:
    """Rewrites the row events of each statement. `largest`: bytes of events in a piece, unless one event has more.

    `inexact`: tables whose rows in a copy differ from those in the log, and cannot be found by them.
    """

    def __init__(self, rewriter: Rewriter, largest: int, inexact: Collection[str] = ()) -> None:
        self.rewriter, self.largest, self.inexact = rewriter, largest, inexact
        self.checksums = False
        self.count = 0  # row events passed on
        self._left = bytearray()
        self._maps: dict[bytes, bytes] = {}
        self._inexact: dict[bytes, str] = {}
        self._rows: list[bytes] = []
        self._size = 0

    def take(self, encoded: bytes) -> Iterator[bytes]:
        """Add lines; yields pieces in base64 that are complete. Raises BackupError for an event of unknown type."""
        try:
            # Events are encoded separately, in lines of 76 characters, so each line can be decoded alone.
            self._left += b"".join(binascii.a2b_base64(line, strict_mode=True) for line in encoded.split(b"\n"))
        except binascii.Error as error:
            raise _unreadable("its events are not base64") from error
        for event in self._events():
            kind = event[4]
            if kind == _FORMAT:
                # The checksum algorithm of events is in the byte before the checksum, which this event always has.
                self.checksums = event[-5] == _CRC32
                yield binascii.b2a_base64(event, newline=False)
            elif kind == _TABLE_MAP:
                if (rewritten := self._rewritten_map(event)) is not None:
                    self._maps[event[_NUMBER]] = rewritten
            elif kind not in _WRITES | _CHANGES:
                raise _unsupported(f"an event of the unknown type {kind}")
            elif event[_NUMBER] in self._maps:
                yield from self._row(event)

    def end(self) -> Iterator[bytes]:
        """The rest of the statement; empty if all of it was for other databases."""
        if self._left:
            raise _unreadable("an event is cut off")
        if self._rows:
            yield self._piece()
        self._maps.clear()
        self._inexact.clear()

    def _row(self, event: bytes) -> Iterator[bytes]:
        """Keep a row event for the next piece; yields the piece before it, if that is full."""
        table = event[_NUMBER]
        if event[4] in _CHANGES and table in self._inexact:
            raise BackupError(
                f"rows of {self._inexact[table]} were changed, but it has a FLOAT column and no key without it: values in the "
                "dump are rounded, so the rows would not be found",
                hint="add a primary key, or make only full backups",
            )
        if self._rows and self._size + len(event) > self.largest:
            yield self._piece()
        self._rows.append(event)
        self._size += len(event)
        self.count += 1

    def _events(self) -> Iterator[bytes]:
        while len(self._left) >= _HEADER.size:
            size = _HEADER.unpack_from(self._left)[3]
            if size < _HEADER.size + 8:
                raise _unreadable(f"an event of {size} bytes")
            if len(self._left) < size:
                return
            yield bytes(self._left[:size])
            del self._left[:size]

    def _rewritten_map(self, event: bytes) -> bytes | None:
        """A table map event, rewritten for the place; None for a table of another database."""
        at = _FLAGS + 2
        size = event[at]
        if not self.rewriter.is_source(event[at + 1 : at + 1 + size].decode("utf-8", "surrogateescape")):
            return None
        name = event[at + 3 + size : at + 3 + size + event[at + 2 + size]].decode("utf-8", "surrogateescape")
        if name in self.inexact:
            self._inexact[event[_NUMBER]] = name
        place = self.rewriter.place.encode()
        return self._sealed(event[:at] + bytes([len(place)]) + place + event[at + 1 + size :])

    def _piece(self) -> bytes:
        """Row events after the maps of their tables; the last is marked as the end of the statement, which releases them."""
        rows, self._rows, self._size = self._rows, [], 0
        used, last = {event[_NUMBER] for event in rows}, rows[-1]
        (flags,) = struct.unpack_from("<H", last, _FLAGS)
        if not flags & _STATEMENT_ENDS:
            last = self._sealed(last[:_FLAGS] + struct.pack("<H", flags | _STATEMENT_ENDS) + last[_FLAGS + 2 :])
        events = [*(event for table, event in self._maps.items() if table in used), *rows[:-1], last]
        return b"\n".join(binascii.b2a_base64(event, newline=False) for event in events)

    def _sealed(self, event: bytes) -> bytes:
        """A changed event with its new length and checksum."""
        time, kind, server, _, end, flags = _HEADER.unpack_from(event)
        whole = _HEADER.pack(time, kind, server, len(event), end, flags) + event[_HEADER.size :]
        return whole[:-4] + struct.pack("<I", crc32(whole[:-4])) if self.checksums else whole
