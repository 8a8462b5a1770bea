"""A daemon's chores, in processes of their own: send notifications, prune old runs, check `state.db`."""

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
    """A command run at intervals, with the log `name`. `quiet`: preferably while nothing runs, since runs wait for it."""

    name: str
    words: tuple[str, ...]
    quiet: bool = False

    def every(self, settings: DaemonSettings) -> int:
        """The interval in seconds; 0: never."""
        return seconds(settings.prune_every if self.name == "prune" else settings.maintain_every)


#: Pruning first: it leaves free pages, which maintenance releases.
TASKS = (StoreTask("prune", ("runs", "prune")), StoreTask("maintain", ("state", "maintain"), quiet=True))


@dataclass
class Upkeep:
    """A chore: start due tasks, one at a time. The modification time of a task's log is its last start."""

    starter: Starter
    _child: Popen[bytes] | None = None
    _task: StoreTask = TASKS[0]

    def __call__(self, site: SiteFiles) -> None:
        """Raises StateError for a task that has failed."""
        if self._child is not None:
            code = self._child.poll()
            if code is None:
                return
            self._child = None
            if code:
                log = log_of(site, self._task.name)
                task_words = " ".join(self._task.words)
                raise StateError(f"`aishell {task_words}` ended with exit code {code}", hint=f"see its log {log}")
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
        if not log.exists():  # the interval starts with the first daemon
            log.parent.mkdir(mode=0o700, exist_ok=True)
            log.touch(mode=0o600)
            return False
        age = time.time() - log.stat().st_mtime
        busy = task.quiet and bool(self.starter.running or self.starter.others)
        # If something always runs, it is done after twice the interval. A future time means that the clock was put back.
        return age < 0 or age >= every * (2 if busy else 1)


@dataclass
class Notifying:
    """A chore: decide and deliver notifications, in one process at a time, so that a hanging service delays no runs."""

    starter: Starter
    _child: Popen[bytes] | None = None

    def __call__(self, site: SiteFiles) -> None:
        if (self._child is None or self._child.poll() is not None) and wanted(site):
            self._start(site)

    def at_end(self, site: SiteFiles) -> None:
        """Notify that the daemon was stopped, if a rule asks for it, in a process that outlives the daemon."""
        if any("daemon_stopped" in rule.events for rule in site.notifications.rules):
            self._start(site)

    def _start(self, site: SiteFiles) -> None:
        words = [*self.starter.words, "notify", "send"]
        self._child = processes.start(words, log_of(site, "notifications"))
