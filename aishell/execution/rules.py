"""The rules of a site as they are now: written anew while a run goes or a question is open, they may only make it stricter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aishell.files import Stamp, stamp
from aishell.safety.constraints import Constraint
from aishell.settings.policy import Policy


@dataclass(frozen=True)
class Rules:
    """What a step is judged by."""

    policy: Policy
    constraints: Sequence[Constraint]


@dataclass
class Rereading:
    """`files`: each with its stamp from before it was read. `read` makes the rules of what stands in them now."""

    files: dict[Path, Stamp | None] = field(default_factory=dict)
    read: Callable[[], Rules | None] = lambda: None
    _known: Rules | None = None

    def newer(self) -> Rules | None:
        """The rules that were written since, None where none were. Raises SettingsError and UntrustedError.

        A look at the files is what it costs while they stay as they are.
        """
        now = {path: stamp(path) for path in self.files}
        if now != self.files:
            self._known = self.read()
            self.files = now
        return self._known
