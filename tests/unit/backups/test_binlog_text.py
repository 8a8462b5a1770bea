"""What mariadb-binlog prints, on its way to a copy: only what is of the database comes out, in pieces a server takes."""

from __future__ import annotations

import base64
import struct
from zlib import crc32

import pytest

from aishell.backups.mariadb.binlog.statements import Rewriter
from aishell.backups.mariadb.binlog.text import Replay
from aishell.errors import BackupError

TO = Rewriter("shop", "a longer name")
PROLOGUE = b"/*!50530 SET @@SESSION.PSEUDO_SLAVE_MODE=1*/;\nDELIMITER /*!*/;\n"
EPILOGUE = b"DELIMITER ;\n# End of log file\nROLLBACK /* added by mysqlbinlog */;\n"
START, END = b"USE `a longer name`;\nDELIMITER /*!*/;\n", b"ROLLBACK\n/*!*/;\nDELIMITER ;\n"
FORMAT, TABLE_MAP, WRITE, STATEMENT_ENDS = 15, 19, 23, 1


def event(kind: int, body: bytes) -> bytes:
    whole = struct.pack("<IBIIIH", 1_700_000_000, kind, 7, 19 + len(body) + 4, 1000, 0) + body
    return whole + struct.pack("<I", crc32(whole))


def table_map(number: int, database: str, table: str) -> bytes:
    names = b"".join(bytes([len(name.encode())]) + name.encode() + b"\0" for name in (database, table))
    return event(TABLE_MAP, number.to_bytes(6, "little") + b"\1\0" + names + b"\1\3\0\1")


def rows(number: int, flags: int = 0, size: int = 10) -> bytes:
    return event(WRITE, number.to_bytes(6, "little") + struct.pack("<H", flags) + b"\1\xff" + b"x" * size)


def lines(*events: bytes) -> bytes:
    """As the program prints them: each by itself, in lines of 76 characters."""
    return b"".join(base64.encodebytes(one) for one in events)


def binlog(*events: bytes, comments: bytes = b"# at 4\n#261121 server id 7\n") -> bytes:
    return comments + b"\nBINLOG '\n" + lines(*events) + b"'/*!*/;\n# Number of rows: 1\n"


BEGINNING = event(FORMAT, b"\4\0" + b"10.11".ljust(50, b"\0") + b"\0" * 4 + b"\x13" + b"\0" * 40 + b"\1")
ENDING = STATEMENT_ENDS


def rewritten(text: bytes, *, size: int = 1 << 16, largest: int = 1 << 20) -> bytes:
    blocks = [text[at : at + size] for at in range(0, len(text), size)]
    out = b"".join(Replay(TO, largest).rewritten(blocks))
    assert out.startswith(START)
    assert out.endswith(END)
    return out[len(START) : -len(END)]


def sent(out: bytes) -> list[list[bytes]]:
    """The events of each BINLOG statement."""
    found = []
    for piece in out.split(b"\nBINLOG '\n")[1:]:
        encoded, _, rest = piece.partition(b"\n'\n/*!*/;\n")
        assert rest.strip() in (b"", *KEPT), rest
        found.append([base64.b64decode(line) for line in encoded.split(b"\n")])
    return found


KEPT = (b"COMMIT\n/*!*/;", b"START TRANSACTION\n/*!*/;")
OURS, THEIRS = (1, "shop", "t"), (2, "other", "t")


@pytest.mark.parametrize("size", [1, 7, 100, 1 << 16])
def test_rows_of_the_database_come_out_under_the_new_name(size: int) -> None:
    text = PROLOGUE + b"ROLLBACK/*!*/;\n" + binlog(BEGINNING, comments=b"")[1:]  # as a file of a server's start has it
    text += b"START TRANSACTION\n/*!*/;\n" + binlog(table_map(*OURS), rows(1, ENDING)) + b"COMMIT/*!*/;\n" + EPILOGUE
    out = rewritten(text, size=size)
    assert out.startswith(b"ROLLBACK\n/*!*/;\n")
    first, second = sent(out)
    assert first == [BEGINNING]
    assert second == [table_map(1, "a longer name", "t"), rows(1, ENDING)]


def test_rows_of_others_are_left_out_and_the_statement_still_ends() -> None:
    text = PROLOGUE + binlog(BEGINNING) + binlog(table_map(*THEIRS), rows(2, ENDING))
    text += binlog(table_map(*OURS), table_map(*THEIRS), rows(1), rows(2), rows(2, ENDING)) + EPILOGUE
    _, mixed = sent(rewritten(text))
    assert mixed == [table_map(1, "a longer name", "t"), rows(1, ENDING)]


@pytest.mark.parametrize("size", [100, 1 << 16])
def test_a_statement_of_many_rows_comes_out_in_pieces(size: int) -> None:
    tables = table_map(*OURS), table_map(3, "shop", "u")
    many = [rows(1, size=300) for _ in range(10)] + [rows(3, ENDING, size=300)]
    pieces = sent(rewritten(PROLOGUE + binlog(BEGINNING) + binlog(*tables, *many) + EPILOGUE, size=size, largest=1000))[
        1:
    ]
    assert len(pieces) == 4
    changed = {row for piece in pieces for row in piece if row[4] == WRITE}
    assert sum(row[4] == WRITE for piece in pieces for row in piece) == 11
    assert changed <= {rows(1, size=300), rows(1, ENDING, size=300), rows(3, ENDING, size=300)}
    for piece in pieces:
        assert piece[0][4] == TABLE_MAP
        assert piece[-1][25] & STATEMENT_ENDS
        assert not any(row[25] & STATEMENT_ENDS for row in piece[:-1] if row[4] == WRITE)


def test_statements_follow_the_default_database_and_settings_stay() -> None:
    text = (
        PROLOGUE
        + b"""# at 379
/*M!100101 SET @@session.skip_parallel_replication=0*//*!*/;
/*M!100001 SET @@session.gtid_domain_id=0*//*!*/;
/*M!100001 SET @@session.server_id=7*//*!*/;
/*M!100001 SET @@session.gtid_seq_no=18*//*!*/;
SET @@SESSION.GTID_NEXT= 'AUTOMATIC'/*!*/;
/*!80001 SET @@session.original_commit_timestamp=1*//*!*/;
# at 421
SET TIMESTAMP=1795294504/*!*/;
SET @@session.sql_mode=4/*!*/;
/*!\\C utf8mb3 *//*!*/;
SET @@session.character_set_client=utf8mb3,@@session.collation_connection=33/*!*/;
create database other
/*!*/;
use `shop`/*!*/;
#261121 20:55:04 server id 7
create table "shop".t (a int)
/*!*/;
use `other`/*!*/;
create table t (a int)
/*!*/;
create table shop.u (a text comment 'DELIMITER ;')
/*!*/;
DELIMITER ;
DELIMITER /*!*/;
# at 4
"""
        + EPILOGUE
    )
    assert (
        rewritten(text).decode()
        == """SET TIMESTAMP=1795294504
/*!*/;
SET @@session.sql_mode=4
/*!*/;
/*!\\C utf8mb3 */
/*!*/;
SET @@session.character_set_client=utf8mb3,@@session.collation_connection=33
/*!*/;
create table `a longer name`.t (a int)
/*!*/;
create table `a longer name`.u (a text comment 'DELIMITER ;')
/*!*/;
"""
    )


def test_bytes_of_other_character_sets_are_kept() -> None:
    text = (
        PROLOGUE
        + b"/*!\\C latin1 *//*!*/;\nuse `shop`/*!*/;\ncreate table t (a text comment '\xe9\xff')\n/*!*/;\n"
        + EPILOGUE
    )
    assert b"comment '\xe9\xff')" in rewritten(text)


XA = b"XA START X'78',X'',1/*!*/;\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (binlog(BEGINNING) + XA + binlog(table_map(*OURS), rows(1, ENDING)), "XA"),
        (b"/*!\\C gbk *//*!*/;\nuse `shop`/*!*/;\ncreate table t (a int)\n/*!*/;\n", "gbk"),
        (binlog(BEGINNING) + binlog(event(99, b"\0" * 8)), "unknown type 99"),
        (binlog(BEGINNING) + binlog(rows(1)[:30]), "cut off"),
        (b"\nBINLOG '\n" + lines(BEGINNING), "cut off"),
        (b"\nBINLOG '\n!!!\n'/*!*/;\n", "not base64"),
        (b"\nBINLOG '\n" + lines(BEGINNING) + b"' and more, which is long enough", "unexpected text after its events"),
        (b"SET @binlog_fragment_0='abc'/*!*/;\n", "too large"),
        (b"use `shop`/*!*/;\ninsert into t values (1)\n/*!*/;\n", "where rows are needed"),
    ],
)
def test_what_cannot_be_carried_over_is_refused(text: bytes, told: str) -> None:
    with pytest.raises(BackupError, match=told):
        rewritten(PROLOGUE + text)


def test_prepared_transactions_of_others_are_no_matter() -> None:
    text = PROLOGUE + binlog(BEGINNING) + XA + binlog(table_map(*THEIRS), rows(2, ENDING)) + b"XA END X'78'/*!*/;\n"
    assert sent(rewritten(text + EPILOGUE)) == [[BEGINNING]]
