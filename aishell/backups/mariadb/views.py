"""Views and functions of a restored MariaDB or MySQL database, whose SQL SECURITY is set last.

A view with SQL SECURITY DEFINER is read with its definer's privileges. If these are missing, as on a database restored under
another name, no view on it can be created (error 1356), nor one that calls a function of such a definer (1370). So views and
functions are first created as SQL SECURITY INVOKER. Then each view gets its own back, dependent views first, so that no view is
created on one that has it already; functions come last.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from aishell.databases.quoting import quote

DEFINER, INVOKER = "DEFINER", "INVOKER"
_ACCOUNT = r"DEFINER=`(?:[^`]|``)*`(?:@`(?:[^`]|``)*`)?"
#: A view as the server shows it, and as in a dump: in comments that only newer servers execute.
_SHOWN = re.compile(rf"\A(CREATE ALGORITHM=\w+ {_ACCOUNT} SQL SECURITY )({DEFINER}|{INVOKER})( VIEW `)")
_DUMPED = re.compile(
    rf"\A(/\*!50001 CREATE ALGORITHM=\w+(?: \*/\n/\*!50013)? {_ACCOUNT} SQL SECURITY )({DEFINER}|{INVOKER})"
    r"((?: \*/\n/\*!50001)? VIEW `((?:[^`]|``)+)`)"
)


@dataclass
class Rights:
    """The views and functions of a database being restored that have SQL SECURITY INVOKER themselves.

    `as_invoker` returns the statement that gives a function its caller's privileges.
    """

    as_invoker: Callable[[str], str] = lambda name: ""
    views: set[str] = field(default_factory=set)
    functions: set[str] = field(default_factory=set)

    def view(self, name: str, security: str) -> None:
        """Record the SQL SECURITY of a view that is created or altered."""
        (self.views.add if security == INVOKER else self.views.discard)(name)

    def renamed(self, old: str, new: str) -> None:
        self.view(new, INVOKER if old in self.views else DEFINER)

    def function(self, name: str, security: str) -> str:
        """Record a function that is created or altered. Returns the statement to send after it, empty if none."""
        (self.functions.add if security == INVOKER else self.functions.discard)(name)
        return "" if security == INVOKER else self.as_invoker(name)

    def dumped(self, statement: str) -> str:
        """A dump's statement for a view, with SQL SECURITY INVOKER; any other statement is returned unchanged."""
        found = _DUMPED.match(statement)
        if found is None:
            return statement
        self.view(found[4].replace("``", "`"), found[2])
        return found[1] + INVOKER + statement[found.end(2) :]


def secured(statement: str, security: str) -> str:
    """A view as the server shows it, with this SQL SECURITY."""
    return _SHOWN.sub(lambda found: found[1] + security + found[3], statement, count=1)


def unqualified(statement: str, database: str) -> str:
    """A view as the server shows it if its definer has all privileges; else columns are qualified with the database."""
    name = re.escape(quote(database, "mysql"))
    own = re.compile(rf"('(?:[^'\\]|''|\\.)*')|{name}\.(?=`(?:[^`]|``)*`[.(])", re.DOTALL)
    return own.sub(lambda found: found[1] or "", statement)


def replacing(statement: str) -> str:
    """The statement as CREATE OR REPLACE."""
    return f"CREATE OR REPLACE{statement.removeprefix('CREATE')}"


def outermost_first(texts: Mapping[str, str], database: str) -> list[str]:
    """The names of views, each before those that it uses. `texts`: name -> query, with qualified names."""
    marks = {name: f"{quote(database, 'mysql')}.{quote(name, 'mysql')}" for name in texts}
    uses = {
        name: {other for other, mark in marks.items() if other != name and mark in text} for name, text in texts.items()
    }
    ordered: list[str] = []
    while uses:
        used = set[str]().union(*uses.values())
        # Texts may contain what looks like a name: if only a cycle is left, the order does not matter.
        outer = [name for name in uses if name not in used] or list(uses)[:1]
        ordered += outer
        uses = {name: others - set(outer) for name, others in uses.items() if name not in outer}
    return ordered
