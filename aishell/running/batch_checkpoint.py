"""How far a batched step has come: what is committed with every batch, and what a resumed step begins with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from aishell.codec import pack, unpack
from aishell.models import Row


@dataclass(frozen=True, slots=True)
class BatchCheckpoint:
    """`position`: where the next batch begins, in the tool's own terms. `seconds`: all that passed between the begin of the first
    batch and the end of the last, pauses that were asked for aside; `longest`: what the database took for one, in seconds.

    `relatives`, `changed`: rows of other tables that went, and rows that were changed, with these; `cascaded`: of `rows`, those
    that went only because what they refer to did. `left`: archived rows that stay, in the chunks `stayed`; `partly`: chunks
    that went of which not every row was there to be changed. `sent`: the figures of the chunk whose deletion is under way,
    written down before it is committed. `uncounted`: interruptions after which a batch or two may have taken effect without being
    counted. `unseen`: of an archive, whose chunks tell whether they are gone, how many
    from `position` on have to be looked at after an interruption; until then it may have left some uncounted.

    Where `max_rows` limits the step: `pending`, the most rows that the batch under way may change, written down before it is
    sent; and `assumed`, what was pending when it was interrupted, which may have been changed or not: it counts for the limit,
    and not in `rows`.
    """

    position: Any
    rows: int = 0
    batches: int = 0
    seconds: float = 0.0
    longest: float = 0.0
    sweep: int = 1
    uncounted: int = 0
    size: int | None = None
    pending: int = 0
    assumed: int = 0
    relatives: int = 0
    changed: int = 0
    cascaded: int = 0
    left: int = 0
    stayed: Sequence[int] = ()
    partly: Sequence[int] = ()
    sent: Mapping[str, int] | None = None
    unseen: int = 0

    @property
    def spent(self) -> int:
        """Rows of a limit that may have been used up."""
        return self.rows + self.assumed

    def interrupted(self) -> BatchCheckpoint:
        """As it is to be taken after an interruption that nobody saw the end of: what may have run is assumed to have run."""
        return replace(self, uncounted=self.uncounted + 1, assumed=self.assumed + self.pending, pending=0)

    def looked_up(self, chunks: int) -> BatchCheckpoint:
        """As it is to be taken after an interruption, where so many chunks can be asked whether they are gone."""
        return replace(self, unseen=max(self.unseen, chunks))

    def figures(self) -> Row:
        """What was done by now, in the terms of `batches` in a tool's `returns`: the rows by what the tool does with them."""
        uncounted = self.uncounted + bool(self.unseen)
        return {
            **dict.fromkeys(("rows_deleted", "rows_archived", "rows_loaded"), self.rows),
            "rows_cascaded": self.cascaded,
            "relatives_deleted": self.relatives,
            "relatives_changed": self.changed,
            "batches": self.batches,
            "seconds": round(self.seconds, 3),
            "longest_batch_ms": round(self.longest * 1000, 1),
            "uncounted_batches": uncounted,
            "rows_uncounted": 0 if not uncounted else None if self.unseen else self.assumed or None,
        }

    def text(self) -> str:
        return json.dumps(pack(asdict(self)), ensure_ascii=False)

    @classmethod
    def of(cls, text: str) -> BatchCheckpoint:
        known: dict[str, Any] = unpack(json.loads(text))
        lists = {name: tuple(known.get(name, ())) for name in ("stayed", "partly")}
        return cls(**{**known, **lists})
