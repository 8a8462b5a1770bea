"""A daemon's chores, each a process as from cron: send notifications, prune old runs, check `state.db`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from subprocess import Popen

from aishell import processes
from aishell.errors import StateError
from aishell.notifying.telling import wanted
from aishell.scheduling.starting import Starter, log_of
from aishell.scheduling.times import seconds
from aishell.settings.settings import DaemonSettings
from aishell.site_files import SiteFiles


@dataclass(frozen=True)
class StoreTask:
    """A command that is run again and again; its log is named `name`. `quiet`: while no run goes on, for runs wait for it."""

    name: str
    words: tuple[str, ...]
    quiet: bool = False

    def every(self, settings: DaemonSettings) -> int:
        """Seconds between two of them; 0: never."""
        return seconds(settings.prune_every if self.name == "prune" else settings.maintain_every)


#: What is pruned leaves free pages, which are then given back.
TASKS = (StoreTask("prune", ("runs", "prune")), StoreTask("maintain", ("state", "maintain"), quiet=True))


@dataclass
class Upkeep:
    """A chore: begin what is due, one at a time. When each was begun last is the time of its log: it outlives a restart."""

    starter: Starter
    _child: Popen[bytes] | None = None
    _task: StoreTask = TASKS[0]

    def __call__(self, site: SiteFiles) -> None:
        """Raises StateError for one that has failed."""
        if self._child is not None:
            code = self._child.poll()
            if code is None:
                return
            self._child = None
            if code:
                log = log_of(site, self._task.name)
                told = " ".join(self._task.words)
                raise StateError(f"`aishell {told}` ended with {code}", hint=f"see its log {log}")
        for task in TASKS:
            if self._due(site, task):
                self._task, log = task, log_of(site, task.name)
                self._child = processes.start([*self.starter.words, *task.words], log)
                log.touch()
                return

    def _due(self, site: SiteFiles, task: StoreTask) -> bool:
        every, log = task.every(site.settings.daemon), log_of(site, task.name)
        if not every:
            return False
        if not log.exists():  # it counts from the first start of a daemon
            log.parent.mkdir(mode=0o700, exist_ok=True)
            log.touch(mode=0o600)
            return False
        age = time.time() - log.stat().st_mtime
        busy = task.quiet and bool(self.starter.running or self.starter.others)
        # Where something always runs it is done all the same; a time that is to come was written by a clock that was put back.
        return age < 0 or age >= every * (2 if busy else 1)


@dataclass
class Notifying:
    """A chore: decide and deliver notifications, one process at a time: a service that hangs must not hold the nights up."""

    starter: Starter
    _child: Popen[bytes] | None = None

    def __call__(self, site: SiteFiles) -> None:
        if (self._child is None or self._child.poll() is not None) and wanted(site):
            self._start(site)

    def at_end(self, site: SiteFiles) -> None:
        """Have it told that the daemon was stopped, where a rule asks for that, by a process that outlives it."""
        if any("daemon_stopped" in rule.events for rule in site.notifications.rules):
            self._start(site)

    def _start(self, site: SiteFiles) -> None:
        words = [*self.starter.words, "notify", "send"]
        self._child = processes.start(words, log_of(site, "notifications"))
