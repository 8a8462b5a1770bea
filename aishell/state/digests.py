"""Digests sent: one per local day, decided together with its rows in the outbox. Every method is one transaction."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime, timedelta

from aishell.models import timestamp
from aishell.state.connection import Record
from aishell.state.outbox import DIGEST, Notification, put
from aishell.state.store import Store

#: The longest period of a digest, however long ago the last one was.
LONGEST = timedelta(days=7)
#: The cause of a digest in the outbox. Rows from the future do not count: the clock was set back.
_CAUSE = "'night ' || night"
_NEWEST = "SELECT * FROM digests WHERE until <= :now ORDER BY night DESC LIMIT 1"
_DONE = f"""page IS NOT NULL AND NOT EXISTS (SELECT 1 FROM outbox
    WHERE kind = '{DIGEST}' AND cause = {_CAUSE} AND status = 'waiting')"""  # noqa: S608  our own


class Digests:
    """The digests in a store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def since(self, night: date, due: datetime, now: datetime) -> datetime | None:
        """Return the start of a night's digest, which is the end of the one before; None if nothing is to be sent.

        The first night is only recorded: the next digest begins where that one was due.
        """
        with self.store.read() as connection:
            there = connection.first("SELECT 1 FROM digests WHERE night = :night", {"night": str(night)})
            newest = connection.first(_NEWEST, {"now": timestamp(now)})
            known = newest or connection.first("SELECT 1 FROM digests")
        if known is None:
            with self.store.write() as connection:
                first = {"night": str(night), "since": timestamp(due), "until": timestamp(due), "format": ""}
                connection.insert("digests", first, known="ON CONFLICT (night) DO NOTHING")
            return None
        if there is not None or (newest is not None and newest.night >= str(night)):
            return None
        begun = datetime.fromisoformat(newest.until) if newest is not None else due - timedelta(days=1)
        return max(begun, now - LONGEST)

    def decide(
        self,
        night: date,
        since: datetime,
        now: datetime,
        page: str,
        form: str,
        message: tuple[str, str, str],
        to: Collection[str],
    ) -> int:
        """Queue the digest of a night, once for each service; return 1 if it is new, else 0.

        It is not new if another process was faster. `message`: severity, title, and a text if the `page` is too long.
        """
        severity, title, brief = message
        row = {"night": str(night), "since": timestamp(since), "until": timestamp(now), "format": form, "page": page}
        with self.store.write() as connection:
            before = connection.total_changes
            connection.insert("digests", row, known="ON CONFLICT (night) DO NOTHING")
            if connection.total_changes == before:
                return 0
            digest = Notification("", f"night {night}", "", tuple(to), severity, title, brief, kind=DIGEST)
            return put(connection, digest, now)

    def of(self, cause: str) -> Record | None:
        """Return the digest that a row of the outbox delivers."""
        return self.store.first(f"SELECT * FROM digests WHERE {_CAUSE} = :cause", {"cause": cause})  # noqa: S608  our own

    def tidy(self) -> None:
        """Remove the pages of delivered digests; the record that they were sent stays."""
        if self.store.first(f"SELECT 1 FROM digests WHERE {_DONE}") is None:  # noqa: S608  our own
            return
        with self.store.write() as connection:
            connection.execute(f"UPDATE digests SET page = NULL WHERE {_DONE}")  # noqa: S608  our own
