"""Full-text search: rank texts by the words of a question, with SQLite's FTS5 in memory."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing

from aishell.errors import StateError

#: The most words of a question to search for.
MOST_WORDS = 50
_WORD = re.compile(r"\w{2,}")
_INDEX = "CREATE VIRTUAL TABLE texts USING fts5(text, tokenize = 'unicode61 remove_diacritics 2')"
_BEST = "SELECT rowid FROM texts WHERE texts MATCH ? ORDER BY bm25(texts), rowid"


def best(texts: Sequence[str], question: str) -> list[int]:
    """Return the indexes of the texts with a word of the question, by BM25. Raises StateError without FTS5 in SQLite.

    Words are quoted, so that none acts as an operator of FTS5.
    """
    words = list(dict.fromkeys(_WORD.findall(question)))[:MOST_WORDS]
    if not words or not texts:
        return []
    with closing(sqlite3.connect(":memory:")) as connection:
        try:
            connection.execute(_INDEX)
        except sqlite3.OperationalError as error:
            hint = "use a Python whose SQLite is built with FTS5"
            raise StateError(f"full-text search is not available: {error}", hint=hint) from error
        connection.executemany("INSERT INTO texts (rowid, text) VALUES (?, ?)", enumerate(texts))
        return [row[0] for row in connection.execute(_BEST, [" OR ".join(f'"{word}"' for word in words)])]
