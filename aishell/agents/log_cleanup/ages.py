"""Estimate how many rows of a log table are old before they are counted: the queries, and what follows from the answers. Pure.

Nothing is interpolated between the oldest and newest dates: a single 9999-12-31 would turn a thousand rows into ten.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aishell.agents.base import Question
from aishell.agents.log_cleanup.dates import seconds_of
from aishell.agents.log_cleanup.discovery import estimated
from aishell.agents.log_cleanup.tables import LogTable, Old
from aishell.engines import profile
from aishell.models import Inventory, Row
from aishell.planning.spread import Spread, histogram, sampled

TOOL, RANGE = "measure_old_rows", "count_log_rows"
#: Bytes up to which a table is read whole if no index helps.
READ_ALL = 64 << 20
#: The limit of the count, in rows, for a table that is read whole.
EVERY = 1 << 40
#: Look-ups of a sample, and the fewest dates that it must find; a share is then accurate to a tenth.
POINTS, FEWEST = 500, 100
#: Seconds after which an estimate gives up the count, and then the sample: with outdated statistics, a server may scan the
#: table instead of the index.
PATIENCE = 3.0
#: Share of the old rows, the very oldest, that is ignored as outliers when their days are counted.
STRAY = 0.02
_WHOLE = re.compile(r"^(tiny|small|medium|big)?int", re.IGNORECASE)
DAY = 86_400


def questions(log: LogTable, inventory: Inventory) -> list[Question]:
    """Return the queries about a table's old rows. MariaDB also estimates the rows on both sides of an indexed cut-off."""
    if not log.has_old or TOOL not in inventory.tools:
        return []
    names = {"schema": log.table.schema, "table": log.table.table, "date_column": log.column}
    most = _most(log, inventory.server.engine)
    which = {**names, "cutoff": log.before, "filters": list(log.rule.filters), "most": most}
    params = {**which, **_places(log, inventory.server.engine)}
    found = [Question(_counted(log), TOOL, params, PATIENCE)]
    if inventory.answers.get(_counted(log)) == {}:
        found.append(Question(_sampled(log), TOOL, {**params, "most": 0}, PATIENCE))
    answer = _answer(log, inventory)
    if (
        not answer
        or not profile(inventory.server.engine).estimates_ranges
        or not log.indexed
        or _is_counted(log, answer, inventory)
    ):
        return found
    for side, start, finish in (("older", log.oldest, log.before), ("newer", log.before, log.newest)):
        found.append(
            Question(_side(log, side), RANGE, {**names, "start": start, "finish": finish, "most": 0}, PATIENCE)
        )
    return found


def measured(log: LogTable, inventory: Inventory) -> LogTable:
    """Return the table with what is known about its old rows."""
    if not log.has_old:
        return replace(log, old=Old(0, "by the oldest date") if log.oldest else Old(0, "no row has a date"))
    answer = _answer(log, inventory)
    if answer is None:
        return log
    return replace(log, old=_old(log, answer, inventory) if answer else Old(None, f"no answer within {PATIENCE:g} s"))


@dataclass(frozen=True)
class _Guess:
    """A share of the table's rows, from 0 to 1, and its source."""

    share: float
    method: str


def _old(log: LogTable, answer: Mapping[str, list[Row]], inventory: Inventory) -> Old:
    engine = inventory.server.engine
    spread = _spread(log, answer)
    days = _days(log, spread)
    counted = _count(answer)
    if _is_counted(log, answer, inventory):
        return Old(counted, "counted", days=days)
    rows = _rows(log, answer)
    guess = _dived(log, inventory) or _shared(log, spread, engine) or _whole(log)
    if guess is None or rows is None:
        why = "the table was never analyzed, or its statistics cannot be read" if profile(engine).keeps_histograms else (
            "no index begins with the date, and there is no whole number as the key to sample it by"
        )  # fmt: skip
        return Old(None, why, least=counted, days=days)
    expected = round(guess.share * rows)
    found = min(rows, max(expected, counted, 1))
    filtered = "before the filters, which leave fewer; " if log.rule.filters else ""
    method = f"at least: so many were counted, more than by {guess.method}" if counted > expected else guess.method
    return Old(found, f"{filtered}{method}", least=counted, days=days, exact=False)


def _dived(log: LogTable, inventory: Inventory) -> _Guess | None:
    """Return InnoDB's estimate. It never expects more than half of a table in a range, so only the smaller side is reliable."""
    sides = [inventory.answers.get(_side(log, side)) for side in ("older", "newer")]
    if sides[0] is None or sides[1] is None:
        return None
    older, newer = (estimated(side) for side in sides if side is not None)
    rows = log.table.rows
    if _whole(log) or not rows or (older is None and newer is None):
        return _whole(log)
    seen = older is not None and (newer is None or older <= newer)
    share = (older or 0) / rows if seen else 1 - (newer or 0) / rows
    return _Guess(min(1.0, max(0.0, share)), "the index's pages at both ends, as the server estimates")


def _whole(log: LogTable) -> _Guess | None:
    """Return the guess that all rows are old, if even the newest is; else None."""
    newest, moment = (seconds_of(log.kind, str(text)) for text in (log.newest, log.before))
    found = newest is not None and moment is not None and newest < moment
    return _Guess(1.0, "every date is before the cut-off") if found else None


def _shared(log: LogTable, spread: Spread | None, engine: str) -> _Guess | None:
    moment = seconds_of(log.kind, str(log.before))
    if spread is None or moment is None:
        return None
    method = (
        "the histogram of the last ANALYZE"
        if profile(engine).keeps_histograms
        else f"a sample of {len(spread.bounds)} rows"
    )
    return _Guess(spread.below(moment), method)


def _spread(log: LogTable, answer: Mapping[str, list[Row]]) -> Spread | None:
    """Return the distribution of the dates; None without a sample, or if it is too small."""
    rows = answer.get("sample", [])
    if not rows:
        return None
    if "share" not in rows[0]:
        values = [_seconds(log, row["date"]) for row in rows]
        return sampled(values) if len(values) >= FEWEST else None
    return _histogram(log, rows)


def _histogram(log: LogTable, rows: Sequence[Row]) -> Spread | None:
    """Return the distribution in the statistics: rows with a share are common values, those without are histogram bounds."""
    dated = [(at, row["share"]) for row in rows if (at := _seconds(log, row["date"])) is not None]
    points = [(at, float(share)) for at, share in dated if share is not None]
    bounds = [at for at, share in dated if share is None]
    nulls = sum(float(row["share"]) for row in rows if row["date"] is None)
    return histogram(points, bounds, nulls) if points or bounds else None


def _days(log: LogTable, spread: Spread | None) -> float | None:
    """Return the days over which the old rows were added, without early outliers; None if unknown.

    Sampled dates before the oldest one are of rows deleted since. The bound at which the days begin may be well after the
    outliers, so the days after it are scaled up by the share of the rows after it.
    """
    moment, first = (None if text is None else seconds_of(log.kind, str(text)) for text in (log.before, log.oldest))
    if spread is None or moment is None:
        return None
    gone = spread.below(first) if first is not None else 0.0
    part = spread.below(moment) - gone
    begin = spread.quantile(gone + STRAY * part)
    if begin is None or max(begin, first or begin) >= moment:
        return None
    begin = max(begin, first or begin)
    here = spread.below(moment) - spread.below(begin)
    if here <= 0:
        return None
    days = (moment - begin) * part / here
    return round((days if first is None else min(days, moment - first)) / DAY, 1)


def _seconds(log: LogTable, date: Any) -> float | None:
    return None if date is None else seconds_of(log.kind, str(date))


def _rows(log: LogTable, answer: Mapping[str, list[Row]]) -> int | None:
    """Return the table's rows: their density at the last VACUUM or ANALYZE times the present size, if the answer has that."""
    size = answer.get("size")
    return int(size[0]["rows"]) if size and size[0]["rows"] is not None else log.table.rows


def _most(log: LogTable, engine: str) -> int:
    """Return the limit of the count of old rows, so that it takes no longer on a large table."""
    small = log.table.bytes is not None and log.table.bytes <= READ_ALL
    if log.indexed and not log.rule.filters and not (small and log.table.rows is None):
        return profile(engine).most_counted
    return EVERY if small else 0


def _places(log: LogTable, engine: str) -> dict[str, Any]:
    """Return the parameters that rows are sampled by; PostgreSQL has its own sample."""
    if profile(engine).keeps_histograms:
        return {}
    declared = {str(row["column"]): str(row["type"] or "") for row in log.columns}
    numbered = profile(engine).walked_along == "row numbers"
    walks = len(log.key) == 1 and (numbered or bool(_WHOLE.match(declared.get(log.key[0], ""))))
    return {"key": log.key[0], "points": POINTS} if walks else {"key": log.column, "points": 0}


def _answer(log: LogTable, inventory: Inventory) -> Mapping[str, list[Row]] | None:
    """Return the answer to the count and sample, or to the sample alone; empty if both timed out, None if not asked."""
    return inventory.answers.get(_sampled(log), inventory.answers.get(_counted(log)))


def _is_counted(log: LogTable, answer: Mapping[str, Sequence[Row]], inventory: Inventory) -> bool:
    """Return whether the count ended below its limit."""
    whole = bool(inventory.answers[_counted(log)])
    return whole and _count(answer) < _most(log, inventory.server.engine)


def _count(answer: Mapping[str, Sequence[Row]]) -> int:
    return int(answer["counted"][0]["rows"])


def _counted(log: LogTable) -> str:
    return f"old rows of {log.name}"


def _sampled(log: LogTable) -> str:
    return f"sampled rows of {log.name}"


def _side(log: LogTable, side: str) -> str:
    return f"{side} rows of {log.name}"
