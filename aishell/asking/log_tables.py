"""Facts on tables that look like logs: what `aishell run log-cleanup --discover` finds, for a question about them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from aishell.asking.facts import MOST, Fact
from aishell.asking.live import Look, answered, looks
from aishell.commands import on
from aishell.reporting.units import size

if TYPE_CHECKING:
    from aishell.agents.log_cleanup.discovery import Candidate
    from aishell.site import Site

_SOURCE = "measure_log_order"


def log_tables(site: Site, names: Sequence[str], about: Sequence[str]) -> Iterator[Fact]:
    """Yield each table of the targets that looks like a log, likeliest first, and how many more there may be."""
    for look in looks(site, names, about):
        if isinstance(look, Fact):
            yield look
        else:
            yield from answered(look, _found)


def _found(look: Look) -> Iterator[Fact]:
    from aishell.agents.log_cleanup.discovery import RETENTION_DAYS
    from aishell.services.log_discovery import discover

    named = [f"{table.schema}.{table.table}" for table in look.chosen]
    found = discover(look.job, named, retention_days=RETENTION_DAYS, place=on(look.name))
    for candidate in found.candidates[:MOST]:
        yield _told(look, candidate)
    more = len(found.candidates[MOST:]) + found.not_measured
    if more:
        yield look.fact(f"{more} more table(s) may be logs.", _SOURCE, {"more": more})
    if not found.candidates:
        yield look.fact("no table looks like a log.", _SOURCE, {"logs": 0})


def _told(look: Look, one: Candidate) -> Fact:
    parts = [
        f"{one.rows:,} rows" if one.rows is not None else "",
        size(one.bytes) if one.bytes is not None else "",
        f"the oldest of {one.oldest}" if one.oldest else "",
        f"{size(one.bytes_per_day)} more a day" if one.bytes_per_day else "",
    ]
    known = ", ".join(filter(None, parts))
    text = f"{one.schema}.{one.table} looks like a log ({', '.join(one.reasons)}){': ' if known else ''}{known}."
    figures = {
        "table": f"{one.schema}.{one.table}",
        "rows": one.rows,
        "bytes": one.bytes,
        "oldest": one.oldest,
        "bytes_per_day": one.bytes_per_day,
        "command": one.command,
    }
    return look.fact(f"{text}{f' `{one.command}` shows what would go.' if one.command else ''}", _SOURCE, figures)
