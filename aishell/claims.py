"""Claims: the marks by which a step recognises, after a kill, the objects that it made."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256

#: The prefix of scratch databases and of scratch servers' folders; nothing else is ever dropped as scratch.
SCRATCH = "aishell_scratch_"
#: The whole name: with the first digits of the run's id, and a suffix for a database that is renamed when complete.
SCRATCH_NAME = SCRATCH + "[0-9a-f]{8}(?:_new)?"
#: The text before the claim in a comment: of an incomplete database, and of a complete one.
BEGUN, WHOLE = "aishell restores", "restored by aishell"
_KEPT = re.compile(rf"(?:(?:{BEGUN}|{WHOLE}) )?([0-9a-f]{{32}}):(\S+)")
_SCRATCH = re.compile(rf"{SCRATCH}([0-9a-f]{{8}})(?:_new)?")


def run_of_scratch(name: str) -> str | None:
    """Return the first digits of the id of the run that owns a scratch database or server, None for any other name."""
    found = _SCRATCH.fullmatch(name)
    return found[1] if found else None


@dataclass(frozen=True)
class Claim:
    """The step of a run that makes an object. After a kill, the same step continues only objects with its claim.

    Its text is stored with the object: in a database's comment or setting, in a file of a data directory, or as the
    annotation of a backup set. A folder has `ending` in its name. A file that can hold nothing but the database has
    `microsecond` in its modification time."""

    run_id: str
    step_id: str

    def __str__(self) -> str:
        return f"{self.run_id}:{self.step_id}"

    @classmethod
    def of(cls, kept: str) -> Claim | None:
        """Return the claim in the text of a database, None for a text that no run wrote."""
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
        """The suffix of a folder's name."""
        return f"{self.run_id[:8]}-{self.step_id}"

    @property
    def scratch(self) -> str:
        """The name of the run's scratch database or scratch server."""
        return SCRATCH + self.run_id[:8]

    @property
    def microsecond(self) -> int:
        """Microseconds, 0 to 999,999: every file system with modification times keeps at least these."""
        return int.from_bytes(sha256(str(self).encode()).digest()[:8]) % 10**6
