"""Facts from a running server: its tables, sessions, lock holders, growth, and the findings of a health check.

A question only reads: each figure comes from a tool of `risk: safe`, through a connection that cannot write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from aishell.asking import kept
from aishell.asking.facts import MOST, Fact, sentence
from aishell.asking.topics import Topic
from aishell.errors import AishellError, DatabaseError, UnknownNameError
from aishell.execution.target_context import Job, choose, table_of
from aishell.models import Row, Server, Table
from aishell.moments import at
from aishell.reporting.health import Health, scored
from aishell.reporting.units import duration, in_days, size

if TYPE_CHECKING:
    from aishell.site import Site

HEALTH, LOCKS, WAITERS = "analyze_database_health", "show_lock_holders", "show_waiters"


class Look:
    """One target as queried for one question. What a tool returned is cached."""

    def __init__(self, site: Site, name: str, job: Job, about: Sequence[str]) -> None:
        self.site, self.name, self.job = site, name, job
        self.server: Server = job.refresh()
        self.about = about

    @cached_property
    def tables(self) -> list[Table]:
        return [table_of(row) for row in next(iter(self.job.read("inspect_tables").values()))]

    @cached_property
    def chosen(self) -> list[Table]:
        """Those tables of the target that the question names."""
        found: list[Table] = []
        for name in self.about:
            with suppress(UnknownNameError):  # a table of another target
                found += choose((name,), self.tables)
        return found

    @property
    def elsewhere(self) -> bool:
        """Whether the question names tables, but none of this target."""
        return bool(self.about) and not self.chosen

    def source(self, tool: str) -> str:
        return self.job.pick(tool).source

    @cached_property
    def findings(self) -> list[Row]:
        """The findings of a health check now, of the named tables if there are any."""
        params = {"tables": [{"schema": table.schema, "table": table.table} for table in self.chosen]}
        found = self.job.read(HEALTH, params if self.chosen else {})
        return [row for rows in found.values() for row in rows if row.get("finding")]

    def fact(self, text: str, tool: str, figures: Mapping[str, Any] | None = None) -> Fact:
        return Fact(f"{self.name}: {text}", self.source(tool), figures or {})


def looks(site: Site, names: Sequence[str], about: Sequence[str]) -> Iterator[Look | Fact]:
    """Yield each target, open for queries, or the fact that it cannot be queried."""
    for name in names:
        with ExitStack() as opened:
            try:
                look = Look(site, name, opened.enter_context(site.look(site.target(name))), about)
            except AishellError as error:
                yield Fact(f"{name} cannot be asked: {error.message}.", "connection")
                continue
            yield look


def topics(site: Site, names: Sequence[str], about: Sequence[str], wanted: Sequence[Topic]) -> Iterator[Fact]:
    """Yield the facts on the topics of a question; for a target that cannot be queried, those of its last health check."""
    findings = {finding for topic in wanted for finding in topic.findings}
    for name, look in zip(names, looks(site, names, about), strict=True):
        if isinstance(look, Fact):
            yield look
            yield from kept.findings(site, name, findings)
        elif not look.elsewhere:
            yield from _of_topics(look, wanted)


def _of_topics(look: Look, wanted: Sequence[Topic]) -> Iterator[Fact]:
    parts = [_PARTS[part] for topic in wanted for part in topic.reads]
    parts += [partial(_findings_of, topic=topic) for topic in wanted if topic.findings]
    for part in dict.fromkeys(parts):
        yield from answered(look, part)


def answered(look: Look, part: Callable[[Look], Iterator[Fact]]) -> Iterator[Fact]:
    """Yield the facts of a part, or why it cannot be read; other parts are not affected."""
    try:
        yield from part(look)
    except DatabaseError as error:
        yield Fact(f"{look.name}: not everything can be read: {error.message}.", "connection")


def _findings_of(look: Look, topic: Topic) -> Iterator[Fact]:
    found = [row for row in look.findings if row["finding"] in topic.findings]
    yield from _told(look, found, detail=True)
    if not found:
        yield look.fact(f"no {topic.label} was found.", HEALTH)


def _told(look: Look, found: Sequence[Row], *, detail: bool = False) -> Iterator[Fact]:
    """Yield the first MOST findings, each in a sentence, and the number of the others."""
    for row in found[:MOST]:
        yield look.fact(
            sentence(row, detail=detail), HEALTH, {key: row[key] for key in ("finding", "severity", "object")}
        )
    if len(found) > MOST:
        yield look.fact(f"{len(found) - MOST} more findings.", HEALTH, {"more": len(found) - MOST})


def _oldest_transaction(look: Look) -> Iterator[Fact]:
    server = look.server
    if server.oldest_transaction_seconds is None:
        yield look.fact("no open transaction can be seen.", "inspect_server")
        return
    who = f" ({server.oldest_transaction})" if server.oldest_transaction else ""
    yield look.fact(
        f"the oldest transaction{who} is open for {duration(server.oldest_transaction_seconds)}; rows that died after it began "
        "cannot be removed while it stays.",
        "inspect_server",
        {
            "oldest_transaction_seconds": server.oldest_transaction_seconds,
            "oldest_transaction": server.oldest_transaction,
        },
    )


def _replica_lag(look: Look) -> Iterator[Fact]:
    lag = look.server.replica_lag_seconds
    if lag is None:
        yield look.fact("no replica can be seen.", "inspect_server")
    else:
        yield look.fact(f"the replica is {lag:.1f} s behind.", "inspect_server", {"replica_lag_seconds": lag})


def _freeze_age(look: Look) -> Iterator[Fact]:
    age = look.server.freeze_age_percent
    if age is not None:
        text = f"the database is {age:.0f} % of the way to a forced freeze."
        yield look.fact(text, "inspect_server", {"freeze_age_percent": age})


def _size(look: Look) -> Iterator[Fact]:
    server = look.server
    if server.database_bytes is not None:
        free = f", {size(server.free_bytes)} of it on free pages" if server.free_bytes else ""
        figures = {"database_bytes": server.database_bytes, "free_bytes": server.free_bytes}
        yield look.fact(f"the size of the database is {size(server.database_bytes)}{free}.", "inspect_server", figures)


def _lock_holders(look: Look) -> Iterator[Fact]:
    """Yield the sessions that hold locks on the named tables, or on the largest ones."""
    if not look.job.registry.has(LOCKS, look.server):
        yield look.fact("this engine does not tell who has a lock.", "inspect_server")
        return
    for table in _tables_of(look):
        label = f"{table.schema}.{table.table}"
        found = next(iter(look.job.read(LOCKS, {"schema": table.schema, "table": table.table}).values()), [])
        for row in found:
            since = "" if row.get("seconds") is None else f", for {duration(row['seconds'])}"
            modes = f" ({row['modes']})" if row.get("modes") else ""
            who = f"session {row['session']}, {row.get('who') or 'unknown'}, {row.get('doing')}"
            text = f"{label} is locked{modes} by {who}{since}."
            yield look.fact(text, LOCKS, dict(row))
            yield from _waiters(look, str(row["session"]))
        if not found:
            yield look.fact(f"no session has a lock on {label}.", LOCKS)


def _waiters(look: Look, session: str) -> Iterator[Fact]:
    """Yield how many sessions wait for the locks of one, if any do."""
    if look.job.registry.has(WAITERS, look.server):
        waiting = look.job.read(WAITERS, {"session": session})["waiters"][0]["waiting"]
        if waiting:
            text = f"session {session} blocks {waiting} other session(s)."
            yield look.fact(text, WAITERS, {"session": session, "waiting": waiting})


def _growth(look: Look) -> Iterator[Fact]:
    """Yield how fast tables that look like logs grow, and when they fill the disk."""
    from aishell.agents.log_cleanup.discovery import RETENTION_DAYS
    from aishell.services.log_discovery import discover

    names = [f"{table.schema}.{table.table}" for table in look.chosen]
    found = discover(look.job, names, retention_days=RETENTION_DAYS, place=())
    disk, tool = found.disk, "measure_log_order"
    if disk.free_bytes is None:
        yield look.fact(f"{disk.unknown}.", tool)
    elif disk.days_until_full is None:
        text = f"{size(disk.free_bytes)} are free on the disk, and no log that grows was found."
        yield look.fact(text, tool, {"free_bytes": disk.free_bytes})
    else:
        yield look.fact(
            f"the logs grow by {size(disk.growth_bytes_per_day)} a day; with {size(disk.free_bytes)} free, "
            f"the disk is full in {in_days(disk.days_until_full)}.",
            tool,
            {
                "free_bytes": disk.free_bytes,
                "bytes_per_day": disk.growth_bytes_per_day,
                "days_until_full": disk.days_until_full,
            },
        )
    for one in found.candidates[:3]:
        if one.bytes_per_day:
            text = f"{one.schema}.{one.table} grows by {size(one.bytes_per_day)} a day."
            yield look.fact(text, tool, {"bytes_per_day": one.bytes_per_day})


_PARTS: dict[str, Callable[[Look], Iterator[Fact]]] = {
    "oldest_transaction": _oldest_transaction,
    "replica_lag": _replica_lag,
    "freeze_age": _freeze_age,
    "size": _size,
    "lock_holders": _lock_holders,
    "growth": _growth,
}


def tables(site: Site, names: Sequence[str], about: Sequence[str], *, alone: bool = True) -> Iterator[Fact]:
    """Yield the state of the named tables, or of the largest, and how long earlier work on them took.

    `alone`: the question has no other topic, so the oldest transaction and the findings of the tables are included.
    """
    for look in looks(site, names, about):
        if isinstance(look, Fact):
            yield look
        else:
            yield from answered(look, partial(_of_tables, site=site, alone=alone))


def _of_tables(look: Look, site: Site, *, alone: bool) -> Iterator[Fact]:
    for table in _tables_of(look):
        yield _table(look, table)
    if look.elsewhere:
        return
    if alone and look.server.oldest_transaction_seconds:
        yield from _oldest_transaction(look)
    if alone and look.chosen:
        yield from _told(look, [row for row in look.findings if _is_about(row, look.chosen)])
    yield from kept.past(site, look.name, _tables_of(look))


def health(site: Site, names: Sequence[str], about: Sequence[str]) -> Iterator[Fact]:
    """Yield the health of each target now, or at the last health check of a run if it cannot be queried."""
    for name, look in zip(names, looks(site, names, ()), strict=True):
        if isinstance(look, Fact):
            yield look
            yield from kept.health(site, (name,))
        else:
            yield from answered(look, _health)


def _health(look: Look) -> Iterator[Fact]:
    found = scored(look.name, "", "", look.findings)
    yield look.fact(f"health {found.score} of 100.", HEALTH, {"score": found.score})
    yield from _told(look, _gravest(found))


def _gravest(found: Health) -> list[Row]:
    return [dict(finding) for lowered in found.lowered for finding in lowered.findings]


def _tables_of(look: Look) -> list[Table]:
    """Return the named tables, else the three largest; none if the named tables belong to another target."""
    return [] if look.elsewhere else look.chosen or sorted(look.tables, key=lambda table: -(table.bytes or 0))[:3]


def _is_about(finding: Row, tables: Sequence[Table]) -> bool:
    """Return whether a finding's object is one of the tables or part of one (`schema.table`, `schema.table.column`)."""
    named = str(finding.get("object") or "")
    return any(f"{named}.".startswith(f"{table.schema}.{table.table}.") for table in tables)


def _table(look: Look, table: Table) -> Fact:
    """Return what is known of a table's state, in a sentence."""
    figures = {
        key: getattr(table, key)
        for key in ("rows", "bytes", "index_bytes", "dead_rows", "fragmentation_percent", "freeze_age_percent")
    }
    parts = [
        f"{table.rows:,} rows" if table.rows is not None else "",
        f"{size(table.bytes)} and {size(table.index_bytes)} of indexes" if table.bytes is not None else "",
        f"{table.dead_rows:,} dead rows" if table.dead_rows is not None else "",
        f"last vacuum {at(table.last_vacuum)}" if table.last_vacuum else "",
        f"last analyze {at(table.last_analyze)}" if table.last_analyze else "",
        f"{table.freeze_age_percent:.0f} % of the way to a forced freeze" if table.freeze_age_percent else "",
        f"no fragmentation figure: {table.withheld}" if table.withheld else "",
    ]
    text = f"{table.schema}.{table.table} has {', '.join(filter(None, parts))}."
    return look.fact(text, "inspect_tables", figures)
