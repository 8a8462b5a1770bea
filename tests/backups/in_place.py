"""A restore in place as its user runs it: planned, approved elsewhere, resumed, and killed wherever one likes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.faults.killed import Fault
from tests.faults.killing import KILLED, Sweep
from tests.fix_aishell import Aishell, Ended

STEPS = ["calculate_backup_size", "backup_database_full", "validate_backup", "restore_backup", "replace_database"]
SAFETY = STEPS[:3]
#: The halves of a run that are killed, and more commits than which each has.
HALVES = {"killed_before_approval": 10, "killed_after_approval": 4}


class InPlace:
    """The command line on the database at `url`, each command killed wherever one likes."""

    def __init__(self, site: Aishell, url: str) -> None:
        self.site, self.url = site, url

    def run(self, *arguments: str, **kill: Any) -> Ended:
        return self.site(*arguments, **kill)

    def back_up(self, *more: str) -> str:
        """A verified backup; its id."""
        fixed = ("--url", self.url, "--environment", "test", "--yes", "--output", "json")
        return str(self.run("run", "backup", *fixed, *more).expect(0).json["output_data"]["backup_id"])

    def restore(self, backup_id: str, *more: str, **kill: Any) -> Ended:
        fixed = ("--url", self.url, "--environment", "test", "--yes", "--output", "json")
        return self.run("backups", "restore", backup_id, "--in-place", *fixed, *more, **kill)

    def resume(self, run: str, **kill: Any) -> Ended:
        return self.run("runs", "resume", run, "--output", "json", **kill)

    def approve(self) -> bool:
        """Answer what waits for a person, if anything does."""
        waiting = self.run("approvals", "list", "--output", "json").expect(0).json
        for one in waiting:
            self.run("approvals", "approve", one["id"], "--confirm-target", one["target"]).expect(0)
        return bool(waiting)

    def approved(self, waiting: Ended) -> Ended:
        """Go on with a restore that waits for its approval."""
        waiting.expect(3)
        assert self.approve()
        return self.resume(waiting.run_id)

    def restored(self, backup_id: str, *more: str) -> dict[str, Any]:
        """A whole one; its output_data."""
        return dict(self.approved(self.restore(backup_id, *more)).expect(0).json["output_data"])

    def finish(self, run: str) -> Ended:
        """Resume, and approve where that is asked for, until it is over."""
        ended = self.resume(run)
        while ended.code == 3:
            assert self.approve()
            ended = self.resume(run)
        return ended.expect(0)

    def undo(self, fault: Fault | None = None) -> tuple[Ended, bool]:
        """Take the newest restore back, approved and resumed, until it is over; whether it was killed there."""
        run, _ = self.newest_run() or ("", "")
        fixed = ("--url", self.url, "--environment", "test", "--yes", "--output", "json")
        waiting = self.run("runs", "undo", run, *fixed).expect(3)
        assert self.approve()
        ended = self.resume(waiting.run_id, fault=fault) if fault else self.resume(waiting.run_id)
        if ended.code != KILLED:
            return ended.expect(0), False
        if self.site.state_of(waiting.run_id) != "completed":
            self.finish(waiting.run_id)
        return ended, True

    def assert_sound(self) -> None:
        """The newest run is over, none of its finished steps was begun again, and nothing lies about."""
        run, state = self.newest_run() or ("", "")
        assert state == "completed"
        events = self.site.rows("SELECT step_index, type, data FROM events WHERE run_id = ? ORDER BY id", run)
        done: set[int] = set()
        for index, kind, data in events:
            assert kind not in ("step_started", "statement_sent") or index not in done, f"{kind} of step {index}"
            if kind == "step_completed" and json.loads(data)["status"] == "done":
                done.add(index)
        assert len(done) in (len(STEPS), len(STEPS) - len(SAFETY))
        assert not list((self.site.site / "backups").rglob(".*"))
        self.run("audit", "verify").expect(0)

    def newest_run(self) -> tuple[str, str] | None:
        """Its id and its state; nothing where none was begun."""
        if not self.site.state.exists():
            return None
        found = self.site.rows(
            "SELECT id, state FROM runs WHERE agent = 'backup_restore' ORDER BY created_at DESC LIMIT 1"
        )
        return (str(found[0][0]), str(found[0][1])) if found else None

    def killed_before_approval(self, backup_id: str, fault: Fault) -> bool:
        """Restore, killed there of the command, and finish it; whether it came so far."""
        ended = self.restore(backup_id, fault=fault)
        known = self.newest_run()
        if known is None or known[1] == "completed":  # it was promised nothing yet
            self.restored(backup_id)
        else:
            self.finish(known[0])
        return ended.code == KILLED

    def killed_after_approval(self, backup_id: str, fault: Fault) -> bool:
        """The same in the run that was resumed with an approval."""
        waiting = self.restore(backup_id).expect(3)
        assert self.approve()
        ended = self.resume(waiting.run_id, fault=fault)
        if self.site.state_of(waiting.run_id) != "completed":
            self.finish(waiting.run_id)
        return ended.code == KILLED

    def killed_at_every_change(self, backup_id: str, sweep: Sweep, look: Callable[[], object], known: int) -> int:
        """A run that is resumed, and killed at a change of the target again, one later each time, until it gets through.

        `look` is called after each kill and tells how far it is: of each stage the first change comes first again. `known` are
        the changes that it has at least. How often it was killed.
        """
        waiting = self.restore(backup_id, "--without-safety-backup").expect(3)
        assert self.approve()
        if not sweep.whole:
            (fault,) = sweep.faults(known, of="change")
            assert self.resume(waiting.run_id, fault=fault).code == KILLED
            look()
            self.resume(waiting.run_id).expect(0)
            return 1
        stage, at, killed = look(), 1, 0
        while (ended := self.resume(waiting.run_id, fault=Fault(at, sweep.side, "change"))).code == KILLED:
            killed += 1
            reached = look()
            stage, at = reached, at + 1 if reached == stage else 1
        ended.expect(0)
        assert killed >= known
        return killed
