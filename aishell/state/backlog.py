"""The backlog in the store: work that windows left undone, and its size before and after each run.

A step's change is written in the transaction of its outcome, so that a kill neither loses nor duplicates an item.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from aishell.errors import UnknownNameError
from aishell.models import BacklogSize, Left, Shift, now
from aishell.state import audit
from aishell.state.connection import Connection, Record, marks
from aishell.state.store import Store

#: The most and the fewest recent nights on which a window is judged too small.
NIGHTS, LEAST_NIGHTS = 7, 3
#: Growth counts only above this share of the backlog, since forecasts improve from run to run.
GROWTH = 0.1

_ON = "target = :target AND agent = :agent"
_LEAVE = """INSERT INTO backlog (target, agent, tool, object, reason, inputs, since, run_id, nights, seconds)
    VALUES (:target, :agent, :tool, :object, :reason, :inputs, :since, :run_id, 1, :seconds)
    ON CONFLICT (target, agent, tool, object) DO UPDATE SET reason = excluded.reason, inputs = excluded.inputs,
        seconds = excluded.seconds, nights = nights + (run_id <> excluded.run_id), run_id = excluded.run_id"""
_GONE = f"DELETE FROM backlog WHERE {_ON} AND tool = :tool AND object = :object"  # noqa: S608  our own
_EXPECT = f"UPDATE backlog SET seconds = :seconds WHERE {_ON} AND tool = :tool AND object = :object"  # noqa: S608  our own
#: Finished runs that had a window, newest first.
_MEASURED = f"""SELECT * FROM backlog_nights WHERE {_ON} AND "window" IS NOT NULL AND worked IS NOT NULL
    ORDER BY at DESC LIMIT {NIGHTS}"""  # noqa: S608  our own


@dataclass(frozen=True)
class PlannedWork:
    """A run for the backlog: a digest of its inputs, and its planned work by (tool, object), with the expected seconds.

    `window`: its length in seconds, None if it has no end.
    """

    target: str
    agent: str
    inputs: str
    called_for: Mapping[tuple[str, str], float | None] = field(default_factory=dict)
    window: float | None = None


@dataclass(frozen=True)
class BacklogNight:
    """The backlog before and after a run. `short`: (seconds of new work, seconds of finished work) of each recent
    night, if they show that the window is too small; else empty."""

    before: BacklogSize
    after: BacklogSize
    window: float | None
    short: tuple[tuple[float, float], ...] = ()


def begin(connection: Connection, run_id: str, facts: PlannedWork) -> None:
    """Remove items that are no longer needed, and record the backlog before the run with the present forecasts.

    An item is no longer needed if a plan with the same inputs as the run that left it does not contain it.
    """
    forecasts = [
        {"target": facts.target, "agent": facts.agent, "tool": tool, "object": name, "seconds": seconds}
        for (tool, name), seconds in facts.called_for.items()
        if seconds is not None
    ]
    connection.executemany(_EXPECT, forecasts)
    items = _items(connection, facts.target, facts.agent)
    needless = [i for i in items if i.inputs == facts.inputs and (i.tool, i.object) not in facts.called_for]
    found = size_of(items)
    connection.executemany("DELETE FROM backlog WHERE id = :id", [{"id": item.id} for item in needless])
    night = {
        "run_id": run_id,
        "target": facts.target,
        "agent": facts.agent,
        "at": now(),
        "window": facts.window,
        "items_before": found.items,
        "seconds_before": found.seconds,
        "needless": size_of(needless).seconds,
    }
    connection.insert("backlog_nights", night)


def change(connection: Connection, run_id: str, facts: PlannedWork, shift: Shift) -> None:
    """Apply a step's change to the backlog, in the transaction of its outcome."""
    which = {"target": facts.target, "agent": facts.agent}
    for tool, name in shift.gone:
        connection.execute(_GONE, {**which, "tool": tool, "object": name})
    for item in shift.left:
        left = {"tool": item.tool, "object": item.object, "reason": item.reason, "seconds": item.seconds}
        connection.execute(_LEAVE, {**which, **left, "inputs": facts.inputs, "since": now(), "run_id": run_id})


def size_of(items: Iterable[Record]) -> BacklogSize:
    """Return the size of a backlog of these rows."""
    rows = list(items)
    known = [row for row in rows if row.seconds is not None]
    return BacklogSize(
        items=len(rows),
        seconds=round(sum(row.seconds for row in known), 3),
        unknown=len(rows) - len(known),
        oldest=min((row.since for row in rows), default=None),
        longest=_left(max(known, key=lambda row: row.seconds)) if known else None,
    )


class Backlog:
    """The backlog in a store. Every method is one transaction."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def items(self, target: str, agent: str) -> tuple[Left, ...]:
        """Return what an agent left undone on a target, oldest first; its next plan begins with it."""
        with self.store.read() as connection:
            return tuple(map(_left, _items(connection, target, agent)))

    def rows(self, target: str | None = None, agent: str | None = None) -> list[Record]:
        """Return the items of a target, an agent, or all, by target and age."""
        sql = """SELECT * FROM backlog WHERE (:target IS NULL OR target = :target) AND (:agent IS NULL OR agent = :agent)
            ORDER BY target, since, id"""
        return self.store.all(sql, {"target": target, "agent": agent})

    def sizes(self) -> dict[str, BacklogSize]:
        """Return the backlog size of each target that has one."""
        rows = groupby(self.rows(), key=lambda row: str(row.target))
        return {name: size_of(some) for name, some in rows}

    def nights(self, since: str) -> dict[tuple[str, str], BacklogNight]:
        """Return the backlog of each target and agent that has or had one: before its first run since then, and now."""
        sql = "SELECT * FROM backlog_nights WHERE at > :since AND worked IS NOT NULL ORDER BY at"
        with self.store.read() as connection:
            stand = _by_agent(connection.all("SELECT * FROM backlog ORDER BY since, id"))
            began = _by_agent(connection.all(sql, {"since": since}))
            found = dict[tuple[str, str], BacklogNight]()
            for key in sorted(stand.keys() | began.keys()):
                nights, after = began[key], size_of(stand[key])
                before = BacklogSize(nights[0].items_before, nights[0].seconds_before) if nights else after
                if before.items or after.items:
                    measured = connection.all(_MEASURED, {"target": key[0], "agent": key[1]})
                    window = nights[-1].window if nights else None
                    found[key] = BacklogNight(before, after, window, _short(measured) if after.items else ())
        return found

    def drop(self, numbers: Collection[int], by: str, reason: str = "") -> list[Record]:
        """Remove items and return their rows. Raises UnknownNameError, and removes none, if one does not exist."""
        wanted, values = marks(numbers)
        with self.store.write() as connection:
            known = connection.all("SELECT * FROM backlog ORDER BY id")
            rows = [row for row in known if row.id in set(numbers)]
            missing = set(numbers) - {row.id for row in rows}
            if missing:
                raise UnknownNameError("item of the backlog", str(min(missing)), [str(row.id) for row in known])
            connection.execute(f"DELETE FROM backlog WHERE id IN ({wanted})", values)  # noqa: S608  nothing but marks
            for row in rows:
                data = {name: row[name] for name in ("target", "agent", "tool", "object", "nights", "since")}
                audit.append(connection, "backlog_dropped", {**data, "by": by, "reason": reason})
        return rows

    def ended(self, run_id: str, worked: float, *, cut: bool) -> BacklogNight | None:
        """Record the backlog after a run; return it with the backlog before, None if the run has no record.

        `worked`: total seconds of its steps; `cut`: whether it left something undone.
        """
        with self.store.write() as connection:
            night = connection.first("SELECT * FROM backlog_nights WHERE run_id = :run", {"run": run_id})
            if night is None:
                return None
            after = size_of(_items(connection, night.target, night.agent))
            values = {"worked": worked, "cut": int(cut), "items_after": after.items, "seconds_after": after.seconds}
            connection.update("backlog_nights", "run_id = :run", {"run": run_id}, values)
            measured = connection.all(_MEASURED, {"target": night.target, "agent": night.agent})
            short = _short(measured) if cut else ()
            if short:
                _log(connection, run_id, short, night.window)
        return BacklogNight(BacklogSize(night.items_before, night.seconds_before), after, night.window, short)


def _short(nights: Sequence[Record]) -> tuple[tuple[float, float], ...]:
    """Return new and finished work of each recent night, newest first, if the backlog grew over them; else empty.

    Only consecutive nights count that began with a backlog and left one: the first night finds years of old work, which
    tells nothing about new work.
    """
    counted = []
    for night in nights:
        if not (night.cut and night.items_before):
            break
        counted.append(night)
    if len(counted) < LEAST_NIGHTS:
        return ()
    grown = [night.seconds_after - night.seconds_before + night.needless for night in counted]
    newest = counted[0]  # a backlog that is small compared with the window proves nothing
    if sum(grown) <= GROWTH * counted[-1].seconds_before or newest.seconds_after <= GROWTH * newest.window:
        return ()
    return tuple((night.worked + more, night.worked) for night, more in zip(counted, grown, strict=True))


def _by_agent(rows: Iterable[Record]) -> defaultdict[tuple[str, str], list[Record]]:
    found = defaultdict[tuple[str, str], list[Record]](list)
    for row in rows:
        found[row.target, row.agent].append(row)
    return found


def _log(connection: Connection, run_id: str, short: Sequence[tuple[float, float]], window: float) -> None:
    """Record that a window is too small, once per run."""
    known = "SELECT 1 FROM events WHERE run_id = :run AND type = 'window_too_small'"
    if connection.first(known, {"run": run_id}) is None:
        arose, done = (round(sum(column) / len(short), 3) for column in zip(*short, strict=True))
        data = {"nights": len(short), "arose": arose, "done": done, "window": round(window, 3)}
        audit.append(connection, "window_too_small", data, run_id=run_id)


def _items(connection: Connection, target: str, agent: str) -> list[Record]:
    sql = f"SELECT * FROM backlog WHERE {_ON} ORDER BY since, id"  # noqa: S608  our own
    return connection.all(sql, {"target": target, "agent": agent})


def _left(row: Record) -> Left:
    return Left(row.tool, row.object, row.reason, row.since, row.nights, row.seconds)
