"""Holds, the emergency stop: no step begins on a target on hold. Checked inside the transaction that would begin a step."""

from __future__ import annotations

import json
from dataclasses import dataclass

from aishell.commands import command, on
from aishell.errors import HeldError, StateError
from aishell.models import RunState, now, server_of
from aishell.moments import at
from aishell.state import audit
from aishell.state.connection import Connection, Record
from aishell.state.store import Store

#: The target of a hold that is on all of them.
EVERYWHERE = ""
_IN_FORCE = "SELECT target, reason, placed_by, placed_at FROM holds ORDER BY target"
_ON = """SELECT target, reason, placed_by, placed_at FROM holds WHERE target IN ('', :target, :server)
    ORDER BY target LIMIT 1"""
_OF_RUN = "SELECT target FROM runs WHERE id = :run"


@dataclass(frozen=True)
class Hold:
    """Who stopped what, when and why. `target` is empty where everything is stopped; `at` is ISO 8601, UTC."""

    target: str
    reason: str
    by: str
    at: str

    @property
    def text(self) -> str:
        """One sentence."""
        what = "every target" if self.target == EVERYWHERE else self.target
        return f"{what} is on hold since {at(self.at)}, by {self.by}: {self.reason}"

    def covers(self, target: str) -> bool:
        """Whether nothing begins on a target: it stands here, its server, or everything."""
        return self.target in (EVERYWHERE, target, server_of(target))

    @property
    def lifted(self) -> str:
        """What was, once it is released."""
        what = "every target was" if self.target == EVERYWHERE else f"{self.target} was"
        return f"{what} on hold from {at(self.at)}, by {self.by}: {self.reason}"

    @property
    def way_out(self) -> str:
        """The command that lifts it."""
        return command("release", *(() if self.target == EVERYWHERE else on(self.target)))

    def refusal(self) -> HeldError:
        """The error of what must not begin."""
        return HeldError(self.text, hint=f"`{self.way_out}` lifts the hold; dry runs still work")


def of_run(connection: Connection, run_id: str) -> Hold | None:
    """The hold that a run's next step meets; to be asked in the transaction that would begin it."""
    return _on(connection, str(connection.value(_OF_RUN, {"run": run_id})))


def stopped(run: Record) -> bool:
    """Whether a run is paused since it met a hold."""
    return run.state == RunState.PAUSED and bool(json.loads(run.result or "{}").get("output_data", {}).get("held"))


class Holds:
    """The holds in a store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def place(self, target: str, reason: str, by: str) -> tuple[Hold, bool]:
        """Begin no further step on a target, or anywhere; the hold in force, and whether it is this one.

        One that is there already stays, with its reason: whoever lifts it has to know that one.
        """
        with self.store.write() as connection:
            there = connection.first("SELECT * FROM holds WHERE target = :target", {"target": target})
            if there is not None:
                return _made(there), False
            hold = Hold(target, str(audit.redact(reason)), by, now())
            row = {"target": hold.target, "reason": hold.reason, "placed_by": hold.by, "placed_at": hold.at}
            connection.insert("holds", row)
            audit.append(connection, "hold_placed", {"target": target or None, "reason": hold.reason, "by": by})
        return hold, True

    def release(self, target: str, by: str) -> Hold:
        """Lift the hold on a target, or the one on all; what it was. Raises StateError where there is none."""
        with self.store.write() as connection:
            gone = connection.first("DELETE FROM holds WHERE target = :target RETURNING *", {"target": target})
            if gone is None:
                others = [f"`{_made(row).way_out}`" for row in connection.all(_IN_FORCE)]
                if not others:
                    raise StateError("nothing is on hold")
                what = f"the target {target!r} is not on hold" if target else "there is no hold on all targets"
                raise StateError(what, hint=" or ".join(others))
            hold = _made(gone)
            data = {"target": target or None, "by": by, "placed_by": hold.by, "placed_at": hold.at}
            audit.append(connection, "hold_released", {**data, "reason": hold.reason})
        return hold

    def in_force(self) -> list[Hold]:
        """Every hold, the one on all targets first."""
        return [_made(row) for row in self.store.all(_IN_FORCE)]

    def on(self, target: str) -> Hold | None:
        """What keeps steps from beginning on a target."""
        with self.store.read() as connection:
            return _on(connection, target)

    def refuse(self, target: str) -> None:
        """Raises HeldError where nothing may begin on a target."""
        hold = self.on(target)
        if hold is not None:
            raise hold.refusal()


def _on(connection: Connection, target: str) -> Hold | None:
    row = connection.first(_ON, {"target": target, "server": server_of(target)})
    return _made(row) if row is not None else None


def _made(row: Record) -> Hold:
    return Hold(row.target, row.reason, row.placed_by, row.placed_at)
