"""The only function that turns a name into SQL text, and the forms of accounts and databases in MySQL's GRANT."""

from __future__ import annotations

from aishell.engines import profile
from aishell.errors import ParameterError


def quote(name: str, engine: str) -> str:
    """Return `name` as a quoted identifier of `engine`.

    Raises ParameterError for a name that no object can have: empty, with a NUL, or longer than the engine allows.
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
    """Return a bound value as a literal for previews. It is never sent to a database."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    return "'" + str(value).replace("'", "''") + "'"


def account(current_user: str) -> str:
    """MySQL: return CURRENT_USER() as GRANT takes it. In a quoted name, a backslash means itself in every SQL mode."""
    user, _, host = current_user.rpartition("@")
    return "@".join(quote(part, "mysql") if "\\" in part else literal(part) for part in (user, host))


def pattern(database: str) -> str:
    """MySQL: return a database's name for GRANT, where an unescaped _ or % is a wildcard."""
    return quote(database.replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%"), "mysql")
