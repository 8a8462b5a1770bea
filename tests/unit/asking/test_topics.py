"""What a question is about: each topic by its words in three languages, and every finding in a topic of its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aishell.asking.topics import TOPICS, topics_of

ROOT = Path(__file__).parents[3]
#: Findings that say what a health check could not see: they are told with the whole health, and are no topic.
BLIND = {"hidden_sessions", "unreadable_table", "broken_view", "no_server_view"}


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        ("who is blocking orders?", "locks"),
        ("wer sperrt die Tabelle orders?", "locks"),
        ("¿quién bloquea la tabla orders?", "locks"),
        ("what holds back vacuum on shop?", "vacuum_held_back"),
        ("which transaction is the oldest, and how long is the long running transaction open?", "vacuum_held_back"),
        ("how far behind is the standby?", "replication"),
        ("is any replication slot inactive?", "replication"),
        ("how near is shop to wraparound?", "wraparound"),
        ("wann ist die Platte voll?", "disk"),
        ("¿cuándo estará lleno el disco?", "disk"),
        ("when do we run out of space?", "disk"),
        ("which sequences are near their end?", "sequences"),
        ("welche Indizes sind doppelt?", "duplicate_indexes"),
        ("are there invalid indexes?", "invalid_indexes"),
        ("which indexes are unused?", "unused_indexes"),
        ("which indexes are not used?", "unused_indexes"),
        ("which tables have no primary key?", "primary_keys"),
        ("¿qué tablas no tienen clave primaria?", "primary_keys"),
        ("are the statistics up to date?", "statistics"),
        ("which tables are bloated?", "bloat"),
        ("is anything corrupted?", "corruption"),
        ("are there dangerous settings?", "settings"),
        ("how big is the database?", "size"),
        ("how big is shop?", "size"),
        ("¿qué tamaño tiene la base de datos?", "size"),
        ("how fast does audit_log grow?", "growth"),
        ("does any sequence run out soon?", "sequences"),
        ("what holds purge back?", "vacuum_held_back"),
    ],
)
def test_a_topic_is_told_by_its_words(text: str, topic: str) -> None:
    assert topic in [one.name for one in topics_of(text)]


@pytest.mark.parametrize("text", ["", "how are you?", "which backups could I lose?", "what will tonight do?", "?!"])
def test_other_questions_have_none(text: str) -> None:
    assert topics_of(text) == ()


def test_every_finding_of_a_health_check_belongs_to_a_topic() -> None:
    texts = [path.read_text() for path in (ROOT / "tools").rglob("*health*.sql")]
    found = {name for text in texts for name in re.findall(r"'([a-z_]+)' AS finding", text)}
    either = r"'([a-z_]+)' ELSE '([a-z_]+)' END AS finding"
    found |= {name for text in texts for pair in re.findall(either, text) for name in pair}
    assert len(found) > 15
    assert found - BLIND <= {name for topic in TOPICS for name in topic.findings}
