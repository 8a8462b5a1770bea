"""The one function that turns a name into SQL text, and what GRANT calls an account and a database."""

from __future__ import annotations

from aishell.engines import profile
from aishell.errors import ParameterError


def quote(name: str, engine: str) -> str:
    """`name` as a quoted identifier of `engine`.

    Raises ParameterError for a name no object can have: empty, with a NUL, or longer than the engine allows.
    """
    if not name:
        raise ParameterError("an empty name cannot be an identifier")
    if "\x00" in name:
        raise ParameterError(f"the name {name!r} contains a NUL character")
    most, unit = profile(engine).longest_name or (None, "characters")
    length = len(name.encode("utf-8", "surrogatepass")) if unit == "bytes" else len(name)
    if most is not None and length > most:
        raise ParameterError(f"the name {name!r} is longer than {most} {unit}")
    mark = profile(engine).quote
    return mark + name.replace(mark, mark * 2) + mark


def literal(value: object) -> str:
    """A bound value as a person reads it in a preview. Never sent to a database."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    return "'" + str(value).replace("'", "''") + "'"


def account(current_user: str) -> str:
    """MySQL: an account as GRANT takes it, from what CURRENT_USER() says. As a name, a backslash is one in every SQL mode."""
    user, _, host = current_user.rpartition("@")
    return "@".join(quote(part, "mysql") if "\\" in part else literal(part) for part in (user, host))


def pattern(database: str) -> str:
    """MySQL: a database's name in GRANT, where _ and % stand for anything."""
    return quote(database.replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%"), "mysql")
