"""The text of a dump: finding its position and end, and rewriting it for a restore into another database. Pure.

Rows are on lines that begin with `(` or `INSERT`, without line breaks, and are not changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from aishell.backups.mariadb.binlog.statements import ANSI_QUOTES, NO_BACKSLASH_ESCAPES, Rewriter
from aishell.databases.quoting import quote

#: The beginning of the last line of a complete dump.
END = b"-- Dump completed"
#: Bytes searched for the position, and for the last line; the actual ones are far smaller.
HEAD_BYTES, END_BYTES = 65536, 200
_POSITION = re.compile(
    rb"^-- CHANGE (?:MASTER|REPLICATION SOURCE) TO (?:MASTER|SOURCE)_LOG_FILE='([^']+)', (?:MASTER|SOURCE)_LOG_POS=(\d+);$",
    re.MULTILINE,
)
_BEGUN = re.compile(rb"^(?:DROP|CREATE|/\*!50106|/\*!50003) ", re.MULTILINE)
_MODE = re.compile(rb"SET sql_mode\s*= '([^']*)'")
#: The beginnings and ends of statements that are rewritten. Triggers and events are stored as typed, and may name their
#: database; for views and functions see `views`.
_VIEW, _ROUTINE = b"\n/*!50001 CREATE ALGORITHM=", b"\nCREATE DEFINER="
_MADE = {
    b"\n/*!50003 CREATE*/ /*!50017 DEFINER": b";;\n",
    b"\n/*!50106 CREATE*/ /*!50117 DEFINER": b";;\n",
    _VIEW: b"*/;\n",
    _ROUTINE: b";;\n",
}
_COLUMN = re.compile(rb"^  `.*$", re.MULTILINE)


class DumpWatch:
    """Watches a dump as it is received: `head` is complete when the program has its snapshot, `end` has the last bytes."""

    def __init__(self) -> None:
        self.head, self.end = b"", b""
        self.begun = False

    def see(self, block: bytes) -> bool:
        """Add a block; whether it is the one that shows that the snapshot was taken."""
        self.end = (self.end + block)[-END_BYTES:]
        if self.begun:
            return False
        self.head += block
        self.begun = len(self.head) >= HEAD_BYTES or _BEGUN.search(self.head) is not None
        return self.begun

    @property
    def position(self) -> tuple[str, int] | None:
        """The binary log position of the snapshot, if the dump has it."""
        found = _POSITION.search(self.head)
        return (found[1].decode(), int(found[2])) if found else None

    @property
    def complete(self) -> bool:
        return self.end.rstrip(b"\n").rpartition(b"\n")[2].startswith(END)


def rewritten(blocks: Iterable[bytes], rewriter: Rewriter) -> Iterator[bytes]:
    """A dump for another database: names in triggers, events and defaults, events disabled, views as SQL SECURITY INVOKER."""
    source, place = (quote(name, "mysql").encode() for name in (rewriter.source, rewriter.place))
    qualified, own = b"DEFAULT nextval(" + source + b".", b"DEFAULT nextval(" + place + b"."
    default = re.compile(rb"('(?:[^'\\]|''|\\.)*')|" + re.escape(qualified))
    mode, first = 0, True
    for text, statement in _parts(blocks):
        text, first = text.removeprefix(b"\n") if first else text, False
        if qualified in text:
            text = _COLUMN.sub(lambda line: default.sub(lambda match: match[1] or own, line[0]), text)
        yield text
        for found in _MODE.finditer(text[-4096:]):
            mode = _bits(found[1])
        if statement:
            yield _rewrite_statement(statement.decode("utf-8", "surrogateescape"), rewriter, mode).encode(
                "utf-8", "surrogateescape"
            )


def _rewrite_statement(statement: str, rewriter: Rewriter, mode: int) -> str:
    if statement.startswith(_VIEW[1:].decode()):
        return rewriter.rights.dumped(statement)
    if statement.startswith(_ROUTINE[1:].decode()):
        following = rewriter.dumped_function(statement, mode)
        return f"{statement};;\n{following} " if following else statement
    return rewriter.statement(statement, rewriter.source, mode) or ""


def _parts(blocks: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """The text in order, in whole lines, each part with the trigger, event, view or routine that follows it."""
    text, searched = bytearray(b"\n"), 0  # marks begin with a line break
    for block in blocks:
        text += block
        while (at := _found(text, searched)) >= 0:
            end = next(end for mark, end in _MADE.items() if text.startswith(mark, at))
            if (stop := text.find(end, at)) < 0:
                break
            yield bytes(text[: at + 1]), bytes(text[at + 1 : stop])
            del text[:stop]
            searched = 0
        if at >= 0:
            searched = at  # the rest of the statement follows
        elif (cut := text.rfind(b"\n", searched)) > 0:
            yield bytes(text[:cut]), b""
            del text[:cut]
            searched = 0
        else:
            searched = max(0, len(text) - max(map(len, _MADE)))
    yield bytes(text), b""


def _found(text: bytearray, start: int) -> int:
    """The offset of the next of these statements; -1 if there is none."""
    return min((at for mark in _MADE if (at := text.find(mark, start)) >= 0), default=-1)


def _bits(mode: bytes) -> int:
    bits = {b"ANSI_QUOTES": ANSI_QUOTES, b"NO_BACKSLASH_ESCAPES": NO_BACKSLASH_ESCAPES}
    return sum(bits.get(word, 0) for word in set(mode.upper().split(b",")))
