"""What a plan on a target can learn from: people's notes and the results of earlier runs, most relevant first."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from aishell.state.full_text import best
from aishell.state.notes import Note, Notes
from aishell.state.runs import Runs

#: How many of the newest runs to search, and how many to return; the most characters of each summary.
LOOKED_AT, MOST_RUNS, LONGEST = 100, 8, 400


def recall(
    runs: Runs, notes: Notes, target: str, tables: Collection[tuple[str, str]] = (), text: str = ""
) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """Return `notes` and `past_runs` on a target, as JSON values, for a request about tables in these words."""
    return {
        "notes": [_note(note) for note in notes.relevant(target, tables, text)],
        "past_runs": past_runs(runs, target, " ".join([text, *(name for key in tables for name in key)])),
    }


def past_runs(runs: Runs, target: str, text: str = "", most: int = MOST_RUNS) -> list[dict[str, Any]]:
    """Return the ended runs on a target: first those whose summary has a word of the text, by BM25; then the newest."""
    rows = [row for row in runs.recent(limit=LOOKED_AT, target=target) if row.result]
    summaries = [_run(row) for row in rows]
    ranked = best([one["says"] for one in summaries], text)
    order = dict.fromkeys([*ranked, *range(len(summaries))])
    return [summaries[place] for place in order][:most]


def _run(row: Any) -> dict[str, Any]:
    result = json.loads(row.result)
    says = str(result.get("reasoning") or "")
    return {
        "run": row.id[:8],
        "agent": row.agent,
        "at": row.created_at,
        "status": result.get("status"),
        "says": says[:LONGEST],
    }


def _note(note: Note) -> dict[str, Any]:
    return {"note": note.id, "on": note.about, "says": note.text, "by": note.by}
