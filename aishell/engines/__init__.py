"""What is known of each kind of database without a server: one profile per engine, each in its own module.

Code that needs such a fact takes it from `profile(engine)` and compares no names. A profile has text, numbers and functions that
need no connection; the statements sent to a server are in `tools/`, and the code that sends them in `databases/`.
"""

from __future__ import annotations

from aishell.engines.base import Engine
from aishell.engines.mysql import MySQLProfile
from aishell.engines.postgresql import PostgreSQLProfile
from aishell.engines.sqlite import SQLiteProfile
from aishell.errors import UnknownNameError

#: Name, as in the folders of `tools/`, plans and manifests -> profile.
PROFILES: dict[str, Engine] = {engine.name: engine for engine in (PostgreSQLProfile(), MySQLProfile(), SQLiteProfile())}
#: The profile for tools that run on every engine.
STANDARD = Engine()


def profile(engine: str) -> Engine:
    """Return the profile of an engine. Raises UnknownNameError."""
    if engine not in PROFILES:
        raise UnknownNameError("engine", engine, PROFILES)
    return PROFILES[engine]
