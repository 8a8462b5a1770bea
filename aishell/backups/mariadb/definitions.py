"""Definitions that RENAME TABLE does not move: views, routines, triggers and events, as the server shows them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace

from aishell.backups.create.making import Work, require
from aishell.backups.mariadb.login import account
from aishell.backups.mariadb.views import DEFINER, INVOKER, Rights, outermost_first, replacing, secured, unqualified
from aishell.databases.base import Session
from aishell.databases.opening import open_beside
from aishell.errors import DatabaseError
from aishell.models import Row
from aishell.planning.backup_rights import of_routines

#: The origin of recorded definitions: the replaced database, or the restored one; or a record about the run.
REPLACED, RESTORED, ABOUT = "replaced", "restored", "about"
#: Kinds in the order of creation; only views may depend on later ones, which are views too.
VIEW, TRIGGER, EVENT = "view", "trigger", "event"
_PACKAGES = ("package", "package body")
ROUTINES = (*_PACKAGES, "function", "procedure")
EVERY_KIND = (*ROUTINES, VIEW, TRIGGER, EVENT)
#: Server errors for a view whose base table or view is missing or invalid.
_MISSING = ("1146", "1356")


@dataclass(frozen=True)
class Definition:
    """`statement` creates it in the session's database, under `sql_mode` and this charset and collation; `zone` is an event's."""

    kind: str
    name: str
    sql_mode: str
    charset: str
    collation: str
    statement: str
    zone: str | None = None


@contextmanager
def inside(work: Work, name: str) -> Iterator[Session]:
    """A new session in another database of the server."""
    credentials = work.context.database.credentials
    there = replace(credentials, url=replace(credentials.url, database=name))
    with closing(open_beside(work.context.database, there)) as database, work.session_in(database) as session:
        yield session


def definitions(work: Work, session: Session) -> list[Definition]:
    """The definitions of the session's database, in the order of creation.

    Raises BackupError for one that cannot be read.
    """
    mode = str(work.query("mode", session)[0]["sql_mode"])
    found = [_shown(work, session, kind, name, mode) for kind, name in _named(work, session)]
    for row in work.query("triggers_shown", session):
        found.append(Definition(TRIGGER, **{key: str(value) for key, value in row.items()}))
    return sorted(found, key=lambda one: EVERY_KIND.index(one.kind))


def make(work: Work, session: Session, wanted: Iterable[Definition]) -> None:
    """Create definitions in the session's database, in the given order. Raises DatabaseError."""
    given = list(wanted)
    views = [one for one in given if one.kind == VIEW]
    for one in given:
        if one.kind in ROUTINES:
            _make(work, session, one)
    if views:
        with _callers_rights(work, session):
            _make_views(work, session, views)
            _secure(work, session, views)
    for one in given:
        if one.kind not in (*ROUTINES, VIEW):
            _make(work, session, one)


def settle(work: Work, session: Session, rights: Rights) -> None:
    """Give the views and functions of a restored database, the session's, their own SQL SECURITY."""
    mode = str(work.query("mode", session)[0]["sql_mode"])
    names = [row["name"] for row in work.query("tables", session) if row["type"] == "VIEW"]
    views = [_shown(work, session, VIEW, name, mode) for name in names if name not in rights.views]
    _secure(work, session, [replace(one, statement=secured(one.statement, DEFINER)) for one in views])
    for name in _functions(work, session, INVOKER):
        if name not in rights.functions:
            work.query("as_definer", session, name=name)


@contextmanager
def _callers_rights(work: Work, session: Session) -> Iterator[None]:
    """Within, the functions of the session's database have their callers' privileges."""
    names = _functions(work, session, DEFINER)
    try:
        for name in names:
            work.query("as_invoker", session, name=name)
        yield
    finally:
        for name in names:
            work.query("as_definer", session, name=name)


def _functions(work: Work, session: Session, security: str) -> list[str]:
    rows = work.query("routines", session)
    return [row["name"] for row in rows if row["kind"] == "function" and row["security"] == security]


def _make_views(work: Work, session: Session, views: Sequence[Definition]) -> None:
    """Create views as SQL SECURITY INVOKER, each after those it uses."""
    left = [replace(one, statement=secured(one.statement, INVOKER)) for one in views]
    while left:
        later = []
        for one in left:
            try:
                _make(work, session, one)
            except DatabaseError as error:
                if error.code not in _MISSING:
                    raise
                later.append((one, error))
        if len(later) == len(left):
            raise later[0][1]
        left = [one for one, _ in later]


def _secure(work: Work, session: Session, views: Sequence[Definition]) -> None:
    """Recreate views with their own SQL SECURITY, each before those it uses (see `views`)."""
    if not views:
        return
    texts = {row["name"]: row["query"] for row in work.query("view_queries", session)}
    order = outermost_first(texts, str(work.query("here", session)[0]["name"]))
    for one in sorted(views, key=lambda one: order.index(one.name)):
        _make(work, session, replace(one, statement=replacing(one.statement)))


def drop(work: Work, session: Session, kinds: Sequence[str], keep: Iterable[Definition] = ()) -> None:
    """Drop the definitions of these kinds in the session's database, except those in `keep`."""
    kept = {(one.kind, one.name) for one in keep}
    if TRIGGER in kinds:
        for row in work.query("triggers_shown", session):
            work.query("drop_trigger", session, name=row["name"])
    for kind, name in _named(work, session):
        if kind not in kinds or (kind, name) in kept:
            continue
        if kind == "package":
            work.query("oracle", session)  # 10.11 requires sql_mode ORACLE for it
            work.query("drop_package", session, name=name)
            work.query("usual", session)
        elif kind != "package body":  # dropped with its package
            work.query(f"drop_{kind}", session, name=name)


def unchanged(there: Iterable[Definition], wanted: Iterable[Definition]) -> set[Definition]:
    """The definitions that are already as wanted and can stay, so that sessions using them do not block the replacement.

    A package stays only with its body, and views only all together, since one may use others. Triggers never stay: they are
    dropped before the tables are moved.
    """
    now, then = set(there), set(wanted)
    other = now ^ then
    packages = {one.name for one in other if one.kind in _PACKAGES}
    apart = {TRIGGER, *([VIEW] if any(one.kind == VIEW for one in other) else [])}
    return {one for one in now & then if one.kind not in apart and not (one.kind in _PACKAGES and one.name in packages)}


def note(work: Work, session: Session, origin: str, wanted: Iterable[Definition]) -> None:
    """Record these definitions."""
    for one in wanted:
        work.query("note", session, origin=origin, **asdict(one))


def noted(rows: Iterable[Row], origin: str) -> list[Definition]:
    """The recorded definitions of an origin."""
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
        require(of_routines([{"kind": kind, "name": name}], account(work, session)))
    if kind == VIEW:
        text = unqualified(str(text), str(work.query("here", session)[0]["name"]))
    mode, charset, collation = row.get("sql_mode", mode), row["character_set_client"], row["collation_connection"]
    return Definition(kind, name, str(mode), str(charset), str(collation), str(text), row.get("time_zone"))


def _make(work: Work, session: Session, one: Definition) -> None:
    work.query("text", session, statement=one.statement)
    work.query("manner", session, sql_mode=one.sql_mode, charset=one.charset, collation=one.collation)
    if one.zone is not None:
        work.query("zone", session, zone=one.zone)
    try:
        work.query("prepare", session)
        work.query("define", session)
    finally:
        work.query("plainly", session)
