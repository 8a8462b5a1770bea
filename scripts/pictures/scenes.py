"""What the pictures show: the commands, in the order in which they are run in the shop, and the part of each screen."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

COLUMNS = 110


@dataclass(frozen=True)
class Scene:
    """A picture: from the first line of the screen that matches `begin` to the one before `end`, taken when `until` is seen."""

    name: str
    command: str
    begin: str
    end: str | None = None
    #: None: when the command has ended.
    until: str | None = None

    def part(self, lines: Sequence[str]) -> slice:
        """Which of the lines of the screen are shown. Raises ValueError when there is no first one."""
        first = next((number for number, line in enumerate(lines) if re.search(self.begin, line)), None)
        if first is None:
            raise ValueError(f"{self.name}: no line of `{self.command}` matches {self.begin!r}:\n" + "\n".join(lines))
        ends = (
            number for number, line in enumerate(lines) if self.end and number > first and re.search(self.end, line)
        )
        last = next(ends, len(lines))
        while not lines[last - 1].strip():
            last -= 1
        return slice(first, last)


_RUN = "aishell run maintenance --type full --target shop"
PREVIEW = Scene("preview", f"{_RUN} --dry-run", begin=r"^shop  ")
PROMPT = Scene("prompt", _RUN, begin="─ approval: ", until=r"^\?")
PROGRESS = Scene("progress", f"{_RUN} --yes", begin="^run ", until=r"rebuild_orders .*╺.* public\.orders_")
REPORT = Scene("report", f"{_RUN} --yes", begin="^ +Maintenance of shop")
DIGEST = Scene("digest", "aishell digest", begin="^AT A GLANCE", end="^Time by step")
SCENES = (PREVIEW, PROMPT, PROGRESS, REPORT, DIGEST)
