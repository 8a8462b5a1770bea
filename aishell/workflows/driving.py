"""Drives a workflow to its end: each stage on each target is a process of its own, which can outlive this one."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from aishell import processes
from aishell.errors import AishellError, OutgrownError, StateError, TargetBusyError
from aishell.planning.conditions import described, holds
from aishell.planning.variables import Reference
from aishell.site import Site
from aishell.site_files import SiteFiles
from aishell.state.connection import Record
from aishell.state.locks import is_held, soon
from aishell.state.slots import give_back
from aishell.workflows import reviewing
from aishell.workflows.deciding import Board, Limits, Status, Why, concluded
from aishell.workflows.workflows import Workflow
from aishell.workflows.working import INTERRUPTED, kept, lookup, settled

#: The number of stage logs to keep, the newest.
LOGS = 1000
#: Seconds between two checks of processes that others have started.
LOOK = 0.5
#: Seconds after the interrupt in which a stage that timed out can cancel its statement on the server.
GRACE = 60.0


@dataclass
class WorkflowDriver:
    """Drives one workflow. `options`: those before the command; `on_end` is called for each stage that has ended on a target."""

    site: Site
    workflow_id: str
    options: Collection[str]
    on_end: Callable[[Record], None] = lambda row: None
    interrupted: bool = False
    _children: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)
    _ends: dict[int, float] = field(default_factory=dict)  # when a child is interrupted, on the monotonic clock
    _overdue: set[int] = field(default_factory=set)
    _let_be: set[int] = field(default_factory=set)  # rows that wait or were interrupted, left to a later resume

    def drive(self, resumed: Callable[[], None] = lambda: None) -> tuple[str, int]:
        """Status and exit code at the end. `resumed` records that it is resumed, as soon as no other process drives it.

        Raises TargetBusyError where another process drives it, OutgrownError where its stored definition was changed, and
        StateError where the event of its beginning is no longer in the log.
        """
        lock = soon(self.site.workflow_lock(self.workflow_id), self.workflow_id)
        if lock is None:
            short = self.workflow_id[:8]
            raise TargetBusyError(f"the workflow run {short} is being driven by another process", hint="wait for it")
        try:
            self._demand_whole()
            resumed()
            self._row = self.site.workflow_runs.find(self.workflow_id)
            self._workflow = kept(self._row)
            self._limits = self._bounds()
            facts = {"aishell.workflow.id": self.workflow_id, "aishell.workflow": self._workflow.name}
            with self.site.spans.whole(f"workflow {self._workflow.name}", self.workflow_id, facts) as self._span:
                self._walk()
                rows = self.site.workflow_runs.stages(self.workflow_id)
                cut = self.interrupted or any(row.id in self._let_be for row in rows if row.status == Status.PENDING)
                status, code = concluded(rows, interrupted=cut)
                self.site.workflow_runs.end(self.workflow_id, status, code)
                self._span.tell({"aishell.workflow.status": status, "aishell.workflow.exit_code": code})
                if code == 1:
                    self._span.failed(status)
            return status, code
        finally:
            lock.release()

    def _demand_whole(self) -> None:
        row, short = self.site.workflow_runs.find(self.workflow_id), self.workflow_id[:8]
        if self.site.workflow_runs.is_sealed(row):
            message = f"the workflow run {short} cannot be resumed: its audit events were sealed"
            raise StateError(message, hint="run it anew")
        if not self.site.workflow_runs.is_unchanged(row):
            raise OutgrownError(f"the stored workflow run {short} was changed after it began", hint="run it anew")

    def _bounds(self) -> Limits:
        workflow, runs = self._workflow, self.site.workflow_runs
        host = cache(self.site.host_of)
        return Limits(workflow.max_concurrent, workflow.max_concurrent_per_host, host, cache(runs.seconds))

    def _walk(self) -> None:
        """Start stages until nothing runs and nothing is left to start."""
        while True:
            try:
                if not self._turn():
                    return
            except KeyboardInterrupt:
                if self.interrupted:
                    raise  # the second time: the children continue or end by themselves
                self.interrupted = True
                for child in self._children.values():
                    child.terminate()

    def _turn(self) -> bool:
        """Start what can be started and wait for the next event; False where nothing is left to do."""
        others = not self.interrupted and self._start()
        pause = LOOK if others else self._patience()
        if self._children:
            self._wait(pause)
        elif pause is None:
            return False
        else:
            time.sleep(pause)
        return True

    def _start(self) -> bool:
        """Start what can be started; whether to look again soon, because processes of others still work or hold slots."""
        fresh, others = self._candidates()
        chosen = self._board.startable(fresh, {*others, *self._children}, self._limits)
        started = [self._begin(row) for row in chosen]
        return bool(others) or not all(started)

    def _candidates(self) -> tuple[list[Record], set[int]]:
        """The rows that may be started, and those that processes of others work on.

        Skipped rows are closed first, since others may then be skipped or begin.
        """
        while True:
            self._looked = datetime.now(UTC)
            self._board = Board(self._workflow, self.site.workflow_runs.stages(self.workflow_id))
            taken = self._let_be | self._children.keys()
            ready = [row for row in self._board.ready(self._looked) if row.id not in taken]
            others = {row.id for row in ready if self._is_held(row)}
            fresh = [row for row in ready if row.id not in others]
            if not [row for row in fresh if self._left_out(row)]:
                return fresh, others

    def _begin(self, row: Record) -> bool:
        """Start the process of a stage on a target; False where other workflows or schedules have all slots."""
        slots = self.site.slots(row.target, self._limits.per_host)
        if isinstance(slots, str):
            return False
        timeout = self._workflow.stage(row.stage).timeout
        try:
            self._children[row.id] = self._process(row, slots)
        finally:
            give_back(slots)
        if timeout is not None:
            self._ends[row.id] = time.monotonic() + timeout
        return True

    def _is_held(self, row: Record) -> bool:
        return is_held(self.site.stage_lock(row.id))

    def _left_out(self, row: Record) -> bool:
        """Close a row that is not to run, because it has ended or must be skipped; whether it was closed."""
        if not settled(self.site, row):
            if row.status in (Status.RUNNING, Status.WAITING):
                return False  # it was begun
            try:
                against = self._against(row)
            except StateError:
                raise
            except AishellError as error:
                self._fail(row, error.message, error.exit_code)
            else:
                if against is None:
                    return False
                self.site.workflow_runs.close(row.id, Status.SKIPPED, cause=against[0], reason=against[1])
        row = self.site.workflow_runs.stage(row.id)
        if row.status == Status.WAITING:
            self._let_be.add(row.id)  # for a reviewer
        self.on_end(row)
        return True

    def _against(self, row: Record) -> tuple[Why, str] | None:
        """Why a stage must not run on a target. Raises AishellError for a condition that cannot be evaluated."""
        stage = self._workflow.stage(row.stage)
        need = self._board.hindered(row)
        if need is not None:
            return Why.NEED, need
        if self._row.until is not None and datetime.fromisoformat(self._row.until) <= datetime.now(UTC):
            return Why.DEFERRED, "deferred: the window has closed"

        def value(reference: Reference) -> Any:
            return lookup(self.site, self.workflow_id, self._workflow, stage, row.target, reference)

        if stage.when is not None and not holds(stage.when, value):
            return Why.CONDITION, described(stage.when, value)
        return None

    def _fail(self, row: Record, reason: str, exit_code: int = 1) -> None:
        self.site.workflow_runs.close(row.id, Status.FAILED, reason=reason, exit_code=exit_code, outcome="failure")

    def _process(self, row: Record, slots: Collection[int]) -> subprocess.Popen[bytes]:
        words = [*self.options, "run", "workflow", "--stage", str(row.id)]
        above = {"TRACEPARENT": self._span.parent} if self._span.parent is not None else {}
        return processes.start(words, log_of(self.site, row.id), slots, **above)

    def _patience(self) -> float | None:
        """Seconds until the next timeout or retry; None where there is none."""
        moments = [end - time.monotonic() for end in self._ends.values()]
        again = None if self.interrupted else self._board.next_retry(self._looked)
        if again is not None:
            moments.append((again - datetime.now(UTC)).total_seconds())
        return max(0.01, min(moments)) if moments else None

    def _wait(self, timeout: float | None) -> None:
        """Wait for a process to end, for at most `timeout` seconds, and handle timeouts."""
        for number in processes.ended(self._children, timeout):
            code = self._children.pop(number).wait()
            self._ends.pop(number, None)
            self._ended(self.site.workflow_runs.stage(number), code)
        for number, end in list(self._ends.items()):
            if time.monotonic() >= end:
                self._out_of_time(number)

    def _out_of_time(self, number: int) -> None:
        """Interrupt a stage that has timed out, or kill it if that did not help; a resume looks up its outcome."""
        child = self._children[number]
        if number in self._overdue:
            child.kill()
            del self._ends[number]
        else:
            child.terminate()
            self._overdue.add(number)
            self._ends[number] = time.monotonic() + GRACE

    def _ended(self, row: Record, code: int) -> None:
        """Handle the end of a process, and close its row if the process could not."""
        over = row.id in self._overdue
        self._overdue.discard(row.id)
        if row.status in (Status.PENDING, Status.RUNNING) and not settled(self.site, row):
            if self._is_held(row):
                return  # by another process, which was faster
            if over and not self.interrupted:
                self._fail(row, f"it took longer than {self._workflow.stage(row.stage).timeout} s")
            elif code < 0 and not self.interrupted:
                self._fail(row, f"its process was killed (signal {-code})")
            elif code != INTERRUPTED and not self.interrupted:
                self._fail(row, f"its process ended with exit {code}; see its log {log_of(self.site, row.id)}")
        row = self.site.workflow_runs.stage(row.id)
        if row.status in (Status.PENDING, Status.RUNNING, Status.WAITING):
            self._let_be.add(row.id)
        self.on_end(row)


def _review(site: Site, workflow_id: str, workflow: Workflow, row: Record) -> Mapping[str, Any]:
    """The review of a stage on a target as a field of its document, empty without one."""
    known = reviewing.of(site, workflow_id, workflow.stage(row.stage), row.target)
    if known is None:
        return {}
    edits = json.loads(known.modifications) if known.modifications else None
    review = {"id": known.id, "status": known.status, "by": known.decided_by, "reason": known.reason or None}
    return {"review": {**review, "edited": edits, "expires_at": known.expires_at}}


def log_of(site: SiteFiles, number: int) -> Path:
    """The log of the process of a stage on a target."""
    return site.state_path.parent / "workflow-logs" / f"{number}.log"


def result_of(site: Site, workflow_id: str) -> Mapping[str, Any]:
    """A workflow as the document of `--output json`: its status, and each stage on each target with its run's output."""
    row = site.workflow_runs.find(workflow_id)
    workflow = kept(row)
    stages = [
        {
            "stage": one.stage,
            "target": one.target,
            "agent": workflow.stage(one.stage).agent,
            "needs": workflow.stage(one.stage).needs,
            "status": one.status,
            "reason": one.reason or None,
            "outcome": one.outcome,
            "exit_code": one.exit_code,
            "attempts": one.attempts,
            "run_id": one.run_id if one.attempts else None,
            "started_at": one.started_at,
            "ended_at": one.ended_at,
            "output_data": reviewing.output(site, row.id, workflow.stage(one.stage), one.target),
            **_review(site, row.id, workflow, one),
        }
        for one in site.workflow_runs.stages(row.id)
    ]
    head = {"workflow_id": row.id, "workflow": row.workflow, "dry_run": False, "status": site.workflow_status(row)}
    times = {"created_at": row.created_at, "ended_at": row.ended_at, "until": row.until}
    return {**head, "exit_code": row.exit_code, **times, "options": json.loads(row.options), "stages": stages}
