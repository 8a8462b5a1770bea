"""What the daemon has told to people: by a process of its own, for a service that hangs must not hold the nights up."""

from __future__ import annotations

from dataclasses import dataclass
from subprocess import Popen

from aishell import processes
from aishell.notifying.telling import wanted
from aishell.scheduling.starting import Starter, log_of
from aishell.site_files import SiteFiles


@dataclass
class Telling:
    """A chore: look what is to be told and deliver what waits, one process at a time."""

    starter: Starter
    _child: Popen[bytes] | None = None

    def __call__(self, site: SiteFiles) -> None:
        if (self._child is None or self._child.poll() is not None) and wanted(site):
            self._start(site)

    def at_end(self, site: SiteFiles) -> None:
        """Have told that the daemon was stopped, where that is wanted, by a process that outlives it."""
        if any("daemon_stopped" in rule.events for rule in site.notifications.rules):
            self._start(site)

    def _start(self, site: SiteFiles) -> None:
        words = [*self.starter.words, "notify", "send"]
        self._child = processes.start(words, log_of(site, "notifications"))
