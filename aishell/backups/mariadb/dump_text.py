"""The text of a dump: its position and its end when it is made, and what has to be changed in it to restore it elsewhere. Pure.

Rows stand on lines that begin with `(` or `INSERT` and hold no line breaks: they pass as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from aishell.backups.mariadb.binlog.statements import ANSI_QUOTES, NO_BACKSLASH_ESCAPES, Turning
from aishell.databases.quoting import quote

#: The last line of a dump that was not cut off.
END = b"-- Dump completed"
#: What is looked through for the position, and for the last line; the head and the last line of a dump are far smaller.
HEAD_BYTES, END_BYTES = 65536, 200
_POSITION = re.compile(
    rb"^-- CHANGE (?:MASTER|REPLICATION SOURCE) TO (?:MASTER|SOURCE)_LOG_FILE='([^']+)', (?:MASTER|SOURCE)_LOG_POS=(\d+);$",
    re.MULTILINE,
)
_BEGUN = re.compile(rb"^(?:DROP|CREATE|/\*!50106|/\*!50003) ", re.MULTILINE)
_MODE = re.compile(rb"SET sql_mode\s*= '([^']*)'")
#: What a statement that is changed begins with, and what is behind it. A trigger or an event is made as it was typed, and may
#: name its database; of views and functions see `views`.
_VIEW, _ROUTINE = b"\n/*!50001 CREATE ALGORITHM=", b"\nCREATE DEFINER="
_MADE = {
    b"\n/*!50003 CREATE*/ /*!50017 DEFINER": b";;\n",
    b"\n/*!50106 CREATE*/ /*!50117 DEFINER": b";;\n",
    _VIEW: b"*/;\n",
    _ROUTINE: b";;\n",
}
_COLUMN = re.compile(rb"^  `.*$", re.MULTILINE)


class DumpWatch:
    """Looks at a dump as it comes: `head` is complete once the program has its snapshot, `end` holds the last bytes."""

    def __init__(self) -> None:
        self.head, self.end = b"", b""
        self.begun = False

    def see(self, block: bytes) -> bool:
        """Whether it is now, with this block, that the snapshot is known to have been taken."""
        self.end = (self.end + block)[-END_BYTES:]
        if self.begun:
            return False
        self.head += block
        self.begun = len(self.head) >= HEAD_BYTES or _BEGUN.search(self.head) is not None
        return self.begun

    @property
    def position(self) -> tuple[str, int] | None:
        """Where in the binary log the snapshot lies, if the dump says."""
        found = _POSITION.search(self.head)
        return (found[1].decode(), int(found[2])) if found else None

    @property
    def complete(self) -> bool:
        return self.end.rstrip(b"\n").rpartition(b"\n")[2].startswith(END)


def turned(blocks: Iterable[bytes], turning: Turning) -> Iterator[bytes]:
    """A dump for the place: its names in triggers, events and defaults, events disabled, views without definers' rights."""
    source, place = (quote(name, "mysql").encode() for name in (turning.source, turning.place))
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
            yield _turned(statement.decode("utf-8", "surrogateescape"), turning, mode).encode(
                "utf-8", "surrogateescape"
            )


def _turned(statement: str, turning: Turning, mode: int) -> str:
    if statement.startswith(_VIEW[1:].decode()):
        return turning.rights.dumped(statement)
    if statement.startswith(_ROUTINE[1:].decode()):
        behind = turning.dumped_function(statement, mode)
        return f"{statement};;\n{behind} " if behind else statement
    return turning.statement(statement, turning.source, mode) or ""


def _parts(blocks: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """The text in order, whole lines at a time, each part with the trigger, event, view or routine that follows it."""
    text, searched = bytearray(b"\n"), 0  # marks are looked for behind line breaks
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
            searched = at  # the rest of it is to come
        elif (cut := text.rfind(b"\n", searched)) > 0:
            yield bytes(text[:cut]), b""
            del text[:cut]
            searched = 0
        else:
            searched = max(0, len(text) - max(map(len, _MADE)))
    yield bytes(text), b""


def _found(text: bytearray, start: int) -> int:
    """Where the next of these statements begins; -1 if there is none."""
    return min((at for mark in _MADE if (at := text.find(mark, start)) >= 0), default=-1)


def _bits(mode: bytes) -> int:
    bits = {b"ANSI_QUOTES": ANSI_QUOTES, b"NO_BACKSLASH_ESCAPES": NO_BACKSLASH_ESCAPES}
    return sum(bits.get(word, 0) for word in set(mode.upper().split(b",")))
