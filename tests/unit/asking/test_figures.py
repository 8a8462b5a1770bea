"""A figure that a model writes is one of the facts, or is found out."""

from __future__ import annotations

import pytest

from aishell.asking.figures import Figures

FACTS = {
    "target": "shop",
    "server": "PostgreSQL 15.18",
    "started_at": "2026-11-24T02:30:00+00:00",
    "execution_time": 200.4,
    "steps": [
        {"id": "optimize_orders", "bytes_before": 45088768, "bytes_after": 12897485},
        {"id": "x", "bytes_before": 0},
    ],
    "rows_deleted": 1250000,
    "dead_percent": 62.4,
    "reasoning": "3 tables were vacuumed; 7.5 GB were left.",
    "retention_days": 90,
}


@pytest.mark.parametrize(
    "text",
    [
        "Nothing was done.",
        "orders shrank from 43.0 MB to 12.3 MB; 62 % were dead.",
        "62.4 percent of the rows",
        "It took 3 min 20 s on PostgreSQL 15.18 at 02:30.",
        "1,250,000 rows older than 90 days were deleted",
        "Of two steps, both ended.",
        "3 tables; 7.5 GB left",
        "2026-11-24T02:30:00+00:00",
        "45088768 bytes",
    ],
)
def test_what_the_facts_say_is_known(text):
    assert Figures(FACTS).unknown(text) == []


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("orders shrank to 11.3 MB", ["11.3 MB"]),
        ("47 indexes were rebuilt", ["47"]),
        ("90 GB were reclaimed", ["90 GB"]),
        ("3 GB were reclaimed", ["3 GB"]),
        ("63 % were dead", ["63 %"]),
        ("it took 5 minutes", ["5 minutes"]),
        ("on PostgreSQL 16.1", ["16.1"]),
        ("forty tables were vacuumed", ["forty"]),
        ("at 04:30", ["04:30"]),
        ("1.3 million rows", ["1.3", "million"]),
    ],
)
def test_what_they_do_not_say_is_found(text, unknown):
    assert Figures(FACTS).unknown(text) == unknown
