"""The progress of a batched step: recorded for every batch, and read when the step is resumed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from aishell.codec import pack, unpack
from aishell.models import Row


@dataclass(frozen=True, slots=True)
class BatchCheckpoint:
    """`position`: where the next batch begins, in the tool's own terms. `seconds`: time from the start of the first batch to the
    end of the last, without requested pauses; `longest`: the longest time that the database took for one, in seconds.

    `relatives`, `changed`: rows of other tables deleted, and rows changed, with these; `cascaded`: those of `rows` that were
    deleted only because rows that they reference were. `left`: archived rows that stay, in the chunks `stayed`; `partly`:
    deleted chunks of which some rows to be changed were missing. `sent`: the figures of the chunk being deleted, recorded
    before the commit. `uncounted`: interruptions after which a batch or two may have taken effect without being counted.
    `unseen`: chunks of an archive, from `position` on, that have to be looked up after an interruption; until then, some may
    be uncounted.

    Where `max_rows` limits the step: `pending`: the most rows that the current batch may change, recorded before it is sent;
    `assumed`: rows pending at an interruption, which may or may not have been changed: they count towards the limit, and not
    in `rows`.
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
        """Rows of the limit that may have been used."""
        return self.rows + self.assumed

    def interrupted(self) -> BatchCheckpoint:
        """Return the checkpoint after an interruption of unknown outcome: what may have run is assumed to have run."""
        return replace(self, uncounted=self.uncounted + 1, assumed=self.assumed + self.pending, pending=0)

    def looked_up(self, chunks: int) -> BatchCheckpoint:
        """Return the checkpoint after an interruption where `chunks` chunks have to be looked up."""
        return replace(self, unseen=max(self.unseen, chunks))

    def figures(self) -> Row:
        """Return the figures so far, by the names of `batches` in a tool's `returns`; `rows` has one for each kind of tool."""
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
