"""How a step knows again, after a kill, what it has made itself: by the claim that it leaves on each thing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256

#: What the name of a scratch database, or of a scratch server's folder, begins with; nothing else is ever dropped as scratch.
SCRATCH = "aishell_scratch_"
#: The whole name: with the first digits of the run's id, and an ending for a database that gets another name when it is whole.
SCRATCH_NAME = SCRATCH + "[0-9a-f]{8}(?:_new)?"
#: What a comment says before the claim: of a database that is not whole yet, and of one that is.
BEGUN, WHOLE = "aishell restores", "restored by aishell"
_KEPT = re.compile(rf"(?:(?:{BEGUN}|{WHOLE}) )?([0-9a-f]{{32}}):(\S+)")
_SCRATCH = re.compile(rf"{SCRATCH}([0-9a-f]{{8}})(?:_new)?")


def run_of_scratch(name: str) -> str | None:
    """The first digits of the id of the run that a scratch database or server belongs to; None for a name that no run gives."""
    found = _SCRATCH.fullmatch(name)
    return found[1] if found else None


@dataclass(frozen=True)
class Claim:
    """The step of a run that makes a thing. Another process of the same step goes on with what has its claim, and with no other.

    Its text is kept where the thing has room for one: in the comment or a setting of a database, in a file of a data directory,
    as the annotation of a backup set. A folder has `ending` in its name; a file that holds nothing but the database has
    `microsecond` in its time of change.
    """

    run_id: str
    step_id: str

    def __str__(self) -> str:
        return f"{self.run_id}:{self.step_id}"

    @classmethod
    def of(cls, kept: str) -> Claim | None:
        """The claim in the text that a database carries; None for a text that no run has written."""
        found = _KEPT.fullmatch(kept)
        return cls(found[1], found[2]) if found else None

    @property
    def begun(self) -> str:
        """The comment of a database that is being filled."""
        return f"{BEGUN} {self}"

    @property
    def whole(self) -> str:
        """The comment of a database that is complete."""
        return f"{WHOLE} {self}"

    @property
    def ending(self) -> str:
        """What the name of a folder ends in."""
        return f"{self.run_id[:8]}-{self.step_id}"

    @property
    def scratch(self) -> str:
        """The name of the run's scratch database or scratch server."""
        return SCRATCH + self.run_id[:8]

    @property
    def microsecond(self) -> int:
        """A fraction of a second, 0 to 999,999: every file system that keeps times of change keeps microseconds at least."""
        return int.from_bytes(sha256(str(self).encode()).digest()[:8]) % 10**6
