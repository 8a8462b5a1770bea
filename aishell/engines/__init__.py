"""What each kind of database is like, before any server is asked: a profile an engine, each in a module of its own.

Whoever needs such a fact asks `profile(engine)` for it and compares no names. A profile is text, numbers and answers that need
no connection; what is sent to a server is in `tools/`, and how, in `databases/`.
"""

from __future__ import annotations

from aishell.engines.base import Engine
from aishell.engines.mysql import MySQLProfile
from aishell.engines.postgresql import PostgreSQLProfile
from aishell.engines.sqlite import SQLiteProfile
from aishell.errors import UnknownNameError

#: By name, as folders of `tools/`, plans and manifests have it.
PROFILES: dict[str, Engine] = {engine.name: engine for engine in (PostgreSQLProfile(), MySQLProfile(), SQLiteProfile())}
#: The profile for tools that run on every engine.
STANDARD = Engine()


def profile(engine: str) -> Engine:
    """The profile of an engine. Raises UnknownNameError."""
    if engine not in PROFILES:
        raise UnknownNameError("engine", engine, PROFILES)
    return PROFILES[engine]
