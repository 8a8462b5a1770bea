"""What RENAME TABLE does not move of a MariaDB database: views, routines, triggers and events, as the server shows them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace

from aishell.backups.making import Work
from aishell.databases.base import Session
from aishell.databases.opening import open_beside
from aishell.errors import BackupError, DatabaseError
from aishell.models import Row

#: Origin of what is written down: of the database that is replaced, or of the place.
REPLACED, RESTORED, ABOUT = "replaced", "restored", "about"
#: Kinds in the order they are made in; each needs nothing that comes after it but other views.
VIEW, TRIGGER, EVENT = "view", "trigger", "event"
ROUTINES = ("package", "package body", "function", "procedure")
_ORDER = (*ROUTINES, VIEW, TRIGGER, EVENT)
#: Server errors of a view that rests on another one.
_MISSING = ("1146", "1356")


@dataclass(frozen=True)
class Definition:
    """`statement` makes it in the session's own database, under `sql_mode` and these charsets; `zone` is an event's."""

    kind: str
    name: str
    sql_mode: str
    charset: str
    collation: str
    statement: str
    zone: str | None = None

    @property
    def carries(self) -> bool:
        """Whether its text, which we have in UTF-8, means the same when its own character set is said before."""
        return self.charset.startswith("utf8") or self.statement.isascii()


@contextmanager
def inside(work: Work, name: str) -> Iterator[Session]:
    """A session of its own in a database: what is set there is gone with it."""
    credentials = work.context.database.credentials
    there = replace(credentials, url=credentials.url.set(database=name))
    with (
        closing(open_beside(work.context.database, there)) as database,
        database.session(work.context.options) as session,
    ):
        session.mark(work.context.marker)
        yield session


def definitions(work: Work, session: Session) -> list[Definition]:
    """Those of the session's database, in the order they have to be made in.

    Raises BackupError for one that cannot be read, or whose text would not come out the same.
    """
    mode = str(work.query("mode", session)[0]["sql_mode"])
    found = [_shown(work, session, kind, name, mode) for kind, name in _named(work, session)]
    for row in work.query("triggers_shown", session):
        found.append(Definition(TRIGGER, **{key: str(value) for key, value in row.items()}))
    for one in found:
        if not one.carries:
            raise BackupError(
                f"the {one.kind} {one.name} is written in {one.charset}: its text cannot be made again exactly",
                hint="replace the database by hand, from the restored one",
            )
    return sorted(found, key=lambda one: _ORDER.index(one.kind))


def make(work: Work, session: Session, wanted: Iterable[Definition]) -> None:
    """Make them in the session's database; a view waits for those it rests on. Raises DatabaseError."""
    left = list(wanted)
    while left:
        later = []
        for one in left:
            try:
                _make(work, session, one)
            except DatabaseError as error:
                if one.kind != VIEW or error.code not in _MISSING:
                    raise
                later.append((one, error))
        if len(later) == len(left):
            raise later[0][1]
        left = [one for one, _ in later]


def drop(work: Work, session: Session, kinds: Sequence[str]) -> None:
    """Drop those of these kinds in the session's database."""
    if TRIGGER in kinds:
        for row in work.query("triggers_shown", session):
            work.query("drop_trigger", session, name=row["name"])
    for kind, name in _named(work, session):
        if kind in kinds and kind != "package body":  # it goes with its package
            work.query(f"drop_{kind}", session, name=name)


def note(work: Work, session: Session, origin: str, wanted: Iterable[Definition]) -> None:
    """Write them down."""
    for one in wanted:
        work.query("note", session, origin=origin, **asdict(one))


def noted(rows: Iterable[Row], origin: str) -> list[Definition]:
    """What was written down of an origin."""
    return [Definition(**{key: row[key] for key in row if key != "origin"}) for row in rows if row["origin"] == origin]


def _named(work: Work, session: Session) -> Iterator[tuple[str, str]]:
    for row in work.query("routines", session):
        yield row["kind"], row["name"]
    for row in work.query("tables", session):
        if row["type"] == "VIEW":
            yield VIEW, row["name"]
    for row in work.query("events", session):
        yield EVENT, row["name"]


def _shown(work: Work, session: Session, kind: str, name: str, mode: str) -> Definition:
    (row,) = work.query(f"show_{kind.replace(' ', '_')}", session, name=name)
    text = next((value for key, value in row.items() if key.startswith("Create ")), None)
    if text is None:
        raise BackupError(
            f"the account may not see what the {kind} {name} does",
            hint="GRANT SELECT ON mysql.proc TO the account",
        )
    return Definition(
        kind,
        name,
        str(row.get("sql_mode", mode)),
        str(row["character_set_client"]),
        str(row["collation_connection"]),
        str(text),
        row.get("time_zone"),
    )


def _make(work: Work, session: Session, one: Definition) -> None:
    work.query("manner", session, sql_mode=one.sql_mode, charset=one.charset, collation=one.collation)
    if one.zone is not None:
        work.query("zone", session, zone=one.zone)
    work.query("do_define", session, statement=one.statement)
