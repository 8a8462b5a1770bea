"""PostgreSQL's tree of a statement after parsing and rewriting, before anything is computed: it names every object by its oid.

Planning computes: EXPLAIN calls functions that are marked as immutable. Parsing and rewriting call none, and expand views and
row-level security policies. The tree arrives as a message of level LOG. The server's own log gets it, too, unless the role may
keep it out.
"""

from __future__ import annotations

import re
from typing import Any

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ExecStatus

from aishell.databases.base import Statement

#: A bound value, or a percent sign, in psycopg's syntax.
_BIND = re.compile(r"%(?:\((\w+)\)s|%)")
_TREES = {"debug_print_rewritten": "on", "client_min_messages": "log"}
#: What only a superuser may set: it keeps the trees out of the server's log.
_UNLOGGED = {"log_min_messages": "fatal"}


def rewritten(connection: psycopg.Connection[Any], statement: Statement) -> str | None:
    """Return the tree of a statement, without running it; None if the server reports none. Raises psycopg.Error.

    Call it within a transaction; its settings are reset before it returns.
    """
    names = dict.fromkeys(bind[1] for bind in _BIND.finditer(statement.sql) if bind[1])
    numbers = {name: f"${number}" for number, name in enumerate(names, 1)}
    sql = _BIND.sub(lambda bind: numbers[bind[1]] if bind[1] else "%", statement.sql)
    values = Transformer.from_context(connection)
    values.dump_sequence([statement.params[name] for name in numbers], [PyFormat.AUTO] * len(numbers))
    received: list[str] = []

    def keep(diagnostic: psycopg.errors.Diagnostic) -> None:
        received.append(diagnostic.message_detail or "")

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
    return "\n".join(received) if any(received) else None
