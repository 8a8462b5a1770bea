"""Views and functions of a MariaDB or MySQL database that is restored: with whose rights they run is set last.

A view of SQL SECURITY DEFINER is read with its definer's rights, and a view on it cannot even be made where those are wanting
(error 1356), nor can one that calls a function of such a definer (1370): rights on one database alone end where that is restored
under another name. So both are made as SQL SECURITY INVOKER first. Then each view gets what it had, the outermost first, so that
nothing is made any more that rests on one which has it already; and the functions last.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from aishell.databases.quoting import quote

DEFINER, INVOKER = "DEFINER", "INVOKER"
_ACCOUNT = r"DEFINER=`(?:[^`]|``)*`(?:@`(?:[^`]|``)*`)?"
#: How the server shows a view, and how a dump has that: as comments that only newer servers execute.
_SHOWN = re.compile(rf"\A(CREATE ALGORITHM=\w+ {_ACCOUNT} SQL SECURITY )({DEFINER}|{INVOKER})( VIEW `)")
_DUMPED = re.compile(
    rf"\A(/\*!50001 CREATE ALGORITHM=\w+(?: \*/\n/\*!50013)? {_ACCOUNT} SQL SECURITY )({DEFINER}|{INVOKER})"
    r"((?: \*/\n/\*!50001)? VIEW `((?:[^`]|``)+)`)"
)


@dataclass
class Rights:
    """What is seen of a database's views and functions while it is restored: those that had SQL SECURITY INVOKER themselves.

    `as_invoker` gives the statement that makes a function run with its caller's rights.
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
        """A function is made or altered; what has to be sent behind it, if anything has."""
        (self.functions.add if security == INVOKER else self.functions.discard)(name)
        return "" if security == INVOKER else self.as_invoker(name)

    def dumped(self, statement: str) -> str:
        """A view's statement out of a dump, as it is made first. What is no such statement stays as it is."""
        found = _DUMPED.match(statement)
        if found is None:
            return statement
        self.view(found[4].replace("``", "`"), found[2])
        return found[1] + INVOKER + statement[found.end(2) :]


def secured(statement: str, security: str) -> str:
    """A view as the server shows it, with this security."""
    return _SHOWN.sub(lambda found: found[1] + security + found[3], statement, count=1)


def unqualified(statement: str, database: str) -> str:
    """A view as the server shows it where its definer has all rights: without them its columns have their database's name."""
    name = re.escape(quote(database, "mysql"))
    own = re.compile(rf"('(?:[^'\\]|''|\\.)*')|{name}\.(?=`(?:[^`]|``)*`[.(])", re.DOTALL)
    return own.sub(lambda found: found[1] or "", statement)


def replacing(statement: str) -> str:
    """The statement as CREATE OR REPLACE."""
    return f"CREATE OR REPLACE{statement.removeprefix('CREATE')}"


def outermost_first(texts: Mapping[str, str], database: str) -> list[str]:
    """The names of views, each before those that it is made of. `texts`: their queries, in which each name has its database's."""
    marks = {name: f"{quote(database, 'mysql')}.{quote(name, 'mysql')}" for name in texts}
    uses = {
        name: {other for other, mark in marks.items() if other != name and mark in text} for name, text in texts.items()
    }
    ordered: list[str] = []
    while uses:
        used = set[str]().union(*uses.values())
        # A text may have what looks like a name: with nothing but a circle left, any order is as good.
        outer = [name for name in uses if name not in used] or list(uses)[:1]
        ordered += outer
        uses = {name: others - set(outer) for name, others in uses.items() if name not in outer}
    return ordered
