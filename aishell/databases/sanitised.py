"""A statement's text for readers who must not see values: its constants become `?`; bound values are placeholders anyway."""

from __future__ import annotations

import re
from functools import lru_cache

_NUMBER = r"(?<![\w$\"`.%:@])[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?(?!\w)"
_STANDARD = re.compile(
    rf"""(?P<kept>"(?:[^"]|"")*"|`[^`]*`)
    |/\*.*?\*/|--[^\n]*
    |\b[eE]'(?:[^'\\]|\\.|'')*(?:'|$) | '(?:[^']|'')*(?:'|$) | \$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|$) | {_NUMBER}""",
    re.VERBOSE | re.DOTALL,
)
#: MySQL and MariaDB: a backslash escapes, and text in double quotes is a constant.
_MYSQL = re.compile(
    rf"""(?P<kept>`(?:[^`]|``)*`) |/\*(?!M?!).*?\*/|--[ ][^\n]*|\#[^\n]*
    | '(?:[^'\\]|\\.|'')*(?:'|$) | "(?:[^"\\]|\\.|"")*(?:"|$) | {_NUMBER}""",
    re.VERBOSE | re.DOTALL,
)


@lru_cache(256)
def sanitised(sql: str, system: str) -> str:
    """Return a statement without its comments and constants. `system`: postgresql, mysql, mariadb or sqlite."""
    pattern = _MYSQL if system in ("mysql", "mariadb") else _STANDARD

    def shown(found: re.Match[str]) -> str:
        if found["kept"]:
            return found[0]
        return " " if found[0].startswith(("/*", "--", "#")) else "?"

    return pattern.sub(shown, sql).strip()
