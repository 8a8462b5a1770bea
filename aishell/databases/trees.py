"""What PostgreSQL makes of a statement before anything of it is computed: its tree, in which every object stands by its oid.

A planner computes: EXPLAIN calls functions that are marked as immutable. To parse and rewrite calls none, and unfolds views and
the policies of rows. The tree comes as a message of level LOG: the server's own log gets it too, but where the role may keep it
out.
"""

from __future__ import annotations

import re
from typing import Any

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ExecStatus

from aishell.databases.base import Statement

#: A bound value, or a percent sign, as psycopg reads a statement.
_BIND = re.compile(r"%(?:\((\w+)\)s|%)")
_TREES = {"debug_print_rewritten": "on", "client_min_messages": "log"}
#: What a superuser may set beside: the trees stay out of the server's log.
_UNLOGGED = {"log_min_messages": "fatal"}


def rewritten(connection: psycopg.Connection[Any], statement: Statement) -> str | None:
    """The tree of a statement, which is not run; None where the server tells none. Raises psycopg.Error.

    Within a transaction: what is set for it is set back before this ends.
    """
    names = dict.fromkeys(bind[1] for bind in _BIND.finditer(statement.sql) if bind[1])
    numbers = {name: f"${number}" for number, name in enumerate(names, 1)}
    sql = _BIND.sub(lambda bind: numbers[bind[1]] if bind[1] else "%", statement.sql)
    values = Transformer.from_context(connection)
    values.dump_sequence([statement.params[name] for name in numbers], [PyFormat.AUTO] * len(numbers))
    told: list[str] = []

    def keep(diagnostic: psycopg.errors.Diagnostic) -> None:
        told.append(diagnostic.message_detail or "")

    superuser = connection.info.parameter_status("is_superuser") == "on"
    settings = {**_TREES, **(_UNLOGGED if superuser else {})}
    connection.execute("; ".join(f"SET LOCAL {name} = {value}" for name, value in reversed(settings.items())).encode())
    connection.add_notice_handler(keep)
    try:
        made = connection.pgconn.prepare(b"", sql.encode(), values.types)
    finally:
        connection.remove_notice_handler(keep)
    if made.status != ExecStatus.COMMAND_OK:
        raise psycopg.errors.error_from_result(made)
    connection.execute("; ".join(f"SET LOCAL {name} TO DEFAULT" for name in settings).encode())
    return "\n".join(told) if any(told) else None
