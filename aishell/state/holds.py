"""Holds, the emergency stop: no step starts on a target on hold. Checked in the transaction that would start a step."""

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

#: The target of a hold on all targets.
EVERYWHERE = ""
_IN_FORCE = "SELECT target, reason, placed_by, placed_at FROM holds ORDER BY target"
_ON = """SELECT target, reason, placed_by, placed_at FROM holds WHERE target IN ('', :target, :server)
    ORDER BY target LIMIT 1"""
_OF_RUN = "SELECT target FROM runs WHERE id = :run"


@dataclass(frozen=True)
class Hold:
    """Who stopped what, when and why. `target` is empty for all targets; `at` is ISO 8601, UTC."""

    target: str
    reason: str
    by: str
    at: str

    @property
    def text(self) -> str:
        """A sentence for people."""
        what = "every target" if self.target == EVERYWHERE else self.target
        return f"{what} is on hold since {at(self.at)}, by {self.by}: {self.reason}"

    def covers(self, target: str) -> bool:
        """Whether it stops a target: it is on the target, its server, or all targets."""
        return self.target in (EVERYWHERE, target, server_of(target))

    @property
    def lifted(self) -> str:
        """The sentence after its release."""
        what = "every target was" if self.target == EVERYWHERE else f"{self.target} was"
        return f"{what} on hold from {at(self.at)}, by {self.by}: {self.reason}"

    @property
    def way_out(self) -> str:
        """The command that releases it."""
        return command("release", *(() if self.target == EVERYWHERE else on(self.target)))

    def refusal(self) -> HeldError:
        """Return the error for what must not start."""
        return HeldError(self.text, hint=f"`{self.way_out}` lifts the hold; dry runs still work")


def of_run(connection: Connection, run_id: str) -> Hold | None:
    """Return the hold on a run's next step. Call it in the transaction that would start the step."""
    return _on(connection, str(connection.value(_OF_RUN, {"run": run_id})))


def stopped(run: Record) -> bool:
    """Whether a hold paused a run."""
    return run.state == RunState.PAUSED and bool(json.loads(run.result or "{}").get("output_data", {}).get("held"))


class Holds:
    """The holds in a store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def place(self, target: str, reason: str, by: str) -> tuple[Hold, bool]:
        """Place a hold on a target, or on all; return the hold in force, and whether it is the new one.

        An existing hold stays, with its reason, which the person who releases it must know.
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
        """Release the hold on a target, or the one on all; return it. Raises StateError if there is none."""
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
        """Return every hold, the one on all targets first."""
        return [_made(row) for row in self.store.all(_IN_FORCE)]

    def on(self, target: str) -> Hold | None:
        """Return the hold that stops a target, None without one."""
        with self.store.read() as connection:
            return _on(connection, target)

    def refuse(self, target: str) -> None:
        """Raise HeldError if a target is on hold."""
        hold = self.on(target)
        if hold is not None:
            raise hold.refusal()


def _on(connection: Connection, target: str) -> Hold | None:
    row = connection.first(_ON, {"target": target, "server": server_of(target)})
    return _made(row) if row is not None else None


def _made(row: Record) -> Hold:
    return Hold(row.target, row.reason, row.placed_by, row.placed_at)
