"""How far a batched step has come: what is committed with every batch, and what a resumed step begins with."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from aishell.packing import pack, unpack


@dataclass(frozen=True, slots=True)
class Reached:
    """`position`: where the next batch begins, in the tool's own terms. `seconds`: all that passed between the begin of the first
    batch and the end of the last, pauses that were asked for aside; `longest`: what the database took for one, in seconds.

    `relatives`, `changed`: rows of other tables that went or changed with these. `uncounted`: interruptions after which a batch
    or two may have taken effect without being counted.
    """

    position: Any
    rows: int = 0
    batches: int = 0
    seconds: float = 0.0
    longest: float = 0.0
    sweep: int = 1
    uncounted: int = 0
    size: int | None = None
    relatives: int = 0
    changed: int = 0

    def text(self) -> str:
        return json.dumps(pack(asdict(self)), ensure_ascii=False)

    @classmethod
    def of(cls, text: str) -> Reached:
        return cls(**unpack(json.loads(text)))
