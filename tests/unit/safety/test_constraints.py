"""Each constraint: what it stops, what it lets pass, and whether it asks or blocks."""

from __future__ import annotations

from datetime import datetime

import pytest

from aishell.models import Decision, Estimate, Step
from aishell.safety import constraints as c
from tests.unit.making import VERIFY, make_context, make_server, make_table, make_target, make_tool, query_tool

CONFIRM, DENY = Decision.CONFIRM, Decision.DENY
STEP = Step("a", "touch", {"table": "t"})
BIG = make_table(rows=2_000_000, bytes=5_000)
PRODUCTION = make_target(environment="production")
MEDIUM, LOW, CRITICAL = make_tool(), make_tool(risk="low"), make_tool(risk="critical")
READING = query_tool()
EXCLUSIVE = make_tool({"do": "VACUUM (FULL) {table}", "verify": VERIFY}, "postgresql", lock="ACCESS EXCLUSIVE")
DETACHING = make_tool(
    {
        "find": "SELECT 'p' AS part",
        "check": "SELECT NULL AS next, NULL AS reason",
        "detach": "ALTER TABLE {table} DETACH PARTITION {part} CONCURRENTLY",
        "do": "DROP TABLE {part}",
        "verify": VERIFY,
    },
    "postgresql",
    runs="each",
    idempotent="true",
    risk="high",
)
CONCURRENT = make_tool({"do": "REINDEX INDEX CONCURRENTLY {table}", "verify": VERIFY}, "postgresql")
PLAIN_VACUUM = make_tool({"do": "VACUUM {table}", "verify": VERIFY}, "postgresql")
REPORT = make_tool(category="report")
LIMITED = make_tool(rate_limit="3")
NEEDS = Step("a", "touch", estimate=Estimate(1, 1000))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def made_at(moment: str):
    """At 23:00 UTC, with a backup that was begun then."""
    return make_context(MEDIUM, now=at("2026-11-21T23:00+00:00"), last_backup=at(moment))


NEEDS_BACKUP = c.BackupRequired(before_operations=("touch",))
SATURDAY, MONDAY = "2026-11-21T", "2026-11-23T"


def old(seconds: float):
    return make_server(oldest_transaction_seconds=seconds, oldest_transaction="pid 7")


@pytest.mark.parametrize(
    ("constraint", "step", "context", "expected"),
    [
        (c.MaxTableSize(), STEP, make_context(MEDIUM, tables=(BIG,)), CONFIRM),
        (c.MaxTableSize(on_violation="block"), STEP, make_context(MEDIUM, tables=(BIG,)), DENY),
        (c.MaxTableSize(), STEP, make_context(LOW, tables=(BIG,)), None),
        (c.MaxTableSize(max_rows=2_000_000), STEP, make_context(MEDIUM, tables=(BIG,)), None),
        (c.MaxTableSize(max_rows=None), STEP, make_context(MEDIUM, tables=(BIG,)), None),
        (c.MaxTableSize(max_rows=None, max_bytes=4_999), STEP, make_context(MEDIUM, tables=(BIG,)), CONFIRM),
        (c.MaxTableSize(max_rows=None, max_bytes=5_000), STEP, make_context(MEDIUM, tables=(BIG,)), None),
        (c.MaxTableSize(), STEP, make_context(MEDIUM, tables=(make_table(rows=1), BIG)), CONFIRM),
        (c.MaxTableSize(), STEP, make_context(MEDIUM, tables=(make_table(rows=None, bytes=None),)), None),
        (c.ProductionHours(), STEP, make_context(MEDIUM, target=PRODUCTION, now=at(SATURDAY + "12:00")), CONFIRM),
        (c.ProductionHours(), STEP, make_context(MEDIUM, target=PRODUCTION, now=at(SATURDAY + "06:00")), CONFIRM),
        (c.ProductionHours(), STEP, make_context(MEDIUM, target=PRODUCTION, now=at(SATURDAY + "05:59")), None),
        (c.ProductionHours(), STEP, make_context(MEDIUM, target=PRODUCTION, now=at(SATURDAY + "22:00")), None),
        (c.ProductionHours(), STEP, make_context(LOW, target=PRODUCTION, now=at(SATURDAY + "12:00")), None),
        (c.ProductionHours(), STEP, make_context(MEDIUM, now=at(SATURDAY + "12:00")), None),
        (c.ProductionHours(allowed_hours=(12,)), STEP, make_context(MEDIUM, target=PRODUCTION, now=at(SATURDAY + "12:30")), None),
        (c.BusinessHours(), STEP, make_context(CRITICAL, now=at(MONDAY + "09:00")), CONFIRM),
        (c.BusinessHours(), STEP, make_context(CRITICAL, now=at(MONDAY + "16:59")), CONFIRM),
        (c.BusinessHours(), STEP, make_context(CRITICAL, now=at(MONDAY + "17:00")), None),
        (c.BusinessHours(), STEP, make_context(CRITICAL, now=at(MONDAY + "08:59")), None),
        (c.BusinessHours(), STEP, make_context(CRITICAL, now=at(SATURDAY + "12:00")), None),
        (c.BusinessHours(), STEP, make_context(MEDIUM, now=at(MONDAY + "12:00")), None),
        (c.MaxReplicaLag(), STEP, make_context(MEDIUM, server=make_server(replica_lag_seconds=31)), DENY),
        (c.MaxReplicaLag(on_violation="ask"), STEP, make_context(MEDIUM, server=make_server(replica_lag_seconds=31)), CONFIRM),
        (c.MaxReplicaLag(), STEP, make_context(MEDIUM, server=make_server(replica_lag_seconds=30)), None),
        (c.MaxReplicaLag(), STEP, make_context(MEDIUM, server=make_server(replica_lag_seconds=None)), None),
        (c.MaxReplicaLag(), STEP, make_context(READING, server=make_server(replica_lag_seconds=99)), None),
        (c.MaxLoad(), STEP, make_context(MEDIUM, server=make_server(active_sessions=51)), DENY),
        (c.MaxLoad(), STEP, make_context(MEDIUM, server=make_server(active_sessions=50)), None),
        (c.MaxLoad(), STEP, make_context(READING, server=make_server(active_sessions=99)), None),
        (c.FreeDisk(), NEEDS, make_context(MEDIUM, free_disk=1199), DENY),
        (c.FreeDisk(), NEEDS, make_context(MEDIUM, free_disk=1200), None),
        (c.FreeDisk(), NEEDS, make_context(MEDIUM, free_disk=0), DENY),
        (c.FreeDisk(margin=2), NEEDS, make_context(MEDIUM, free_disk=1999), DENY),
        (c.FreeDisk(), NEEDS, make_context(MEDIUM, free_disk=None), CONFIRM),
        (c.FreeDisk(), STEP, make_context(MEDIUM, free_disk=0), None),
        (c.FreeDisk(), NEEDS, make_context(READING, free_disk=0), None),
        (c.NoLongTransactions(), STEP, make_context(EXCLUSIVE, server=old(301)), DENY),
        (c.NoLongTransactions(), STEP, make_context(CONCURRENT, server=old(301)), DENY),
        (c.NoLongTransactions(), STEP, make_context(DETACHING, server=old(301)), DENY),
        (c.NoLongTransactions(on_violation="ask"), STEP, make_context(CONCURRENT, server=old(301)), CONFIRM),
        (c.NoLongTransactions(), STEP, make_context(EXCLUSIVE, server=old(300)), None),
        (c.NoLongTransactions(max_seconds=5), STEP, make_context(EXCLUSIVE, server=old(6)), DENY),
        (c.NoLongTransactions(), STEP, make_context(PLAIN_VACUUM, server=old(9999)), None),
        (c.NoLongTransactions(), STEP, make_context(EXCLUSIVE), None),
        (c.NoCascade(), STEP, make_context(MEDIUM, cascade_children={"items": 7}), CONFIRM),
        (c.NoCascade(), STEP, make_context(MEDIUM), None),
        (c.NotAStandby(), STEP, make_context(LOW, server=make_server(standby=True)), DENY),
        (c.NotAStandby(), STEP, make_context(LOW, server=make_server(read_only=True)), DENY),
        (c.NotAStandby(on_violation="ask"), STEP, make_context(LOW, server=make_server(standby=True)), DENY),
        (c.NotAStandby(), STEP, make_context(READING, server=make_server(standby=True)), None),
        (c.NotAStandby(), STEP, make_context(REPORT, server=make_server(standby=True)), None),
        (c.NotAStandby(), STEP, make_context(LOW), None),
        (c.RateLimit(), STEP, make_context(LIMITED, calls_last_minute=3), DENY),
        (c.RateLimit(), STEP, make_context(LIMITED, calls_last_minute=2), None),
        (c.RateLimit(), STEP, make_context(MEDIUM, calls_last_minute=999), None),
        (c.BackupRequired(before_operations=("touch",)), STEP, make_context(MEDIUM), CONFIRM),
        (c.BackupRequired(before_operations=("touch",), on_violation="block"), STEP, make_context(MEDIUM), DENY),
        (c.BackupRequired(before_operations=("drop",)), STEP, make_context(MEDIUM), None),
        (NEEDS_BACKUP, STEP, made_at("2026-11-20T23:00+00:00"), None),
        (NEEDS_BACKUP, STEP, made_at("2026-11-20T22:59+00:00"), CONFIRM),
        (NEEDS_BACKUP, STEP, made_at("2026-11-20T23:59+01:00"), CONFIRM),
        (NEEDS_BACKUP, STEP, made_at("2026-11-21T00:00+01:00"), None),
        (NEEDS_BACKUP, STEP, made_at("2026-11-21T23:01+00:00"), CONFIRM),
        (c.BackupRequired(before_operations=("touch",), max_age_hours=1), STEP, made_at("2026-11-21T21:59+00:00"), CONFIRM),
        (c.BackupRequired(before_operations=("touch",), on_violation="block"), STEP, made_at("2026-11-01T00:00+00:00"), DENY),
        (c.NotAStandby(), STEP, make_context(make_tool(category="backup", risk="low"), server=make_server(standby=True)), None),
        (c.NotAStandby(), STEP, make_context(make_tool(category="restore"), server=make_server(standby=True)), DENY),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, Decision) else value.value,
)  # fmt: skip
def test_a_constraint_stops_what_it_is_for_and_nothing_else(constraint, step, context, expected):
    violation = constraint.check(step, context)
    assert (violation and violation.decision) is expected
    if violation is not None:
        assert violation.rule == constraint.type
        assert len(violation.text) > 20


def test_a_table_that_is_too_large_is_named_with_both_figures():
    violation = c.MaxTableSize().check(STEP, make_context(MEDIUM, tables=(BIG,)))
    assert violation is not None
    assert violation.text == "public.orders has about 2,000,000 rows, more than 1,000,000"


def test_children_are_named_with_their_rows():
    violation = c.NoCascade().check(STEP, make_context(MEDIUM, cascade_children={"items": 7, "notes": 1200}))
    assert violation is not None
    assert "items (7 rows), notes (1,200 rows)" in violation.text


@pytest.mark.parametrize(
    ("name", "context", "told"),
    [
        ("shop", {}, "there is no verified backup of this database; `aishell run backup --target shop` makes one"),
        (
            "sqlite:///x.db",
            {},
            "there is no verified backup of this database; `aishell run backup --url sqlite:///x.db` makes one",
        ),
        (
            "shop",
            {"last_backup": at("2026-11-19T23:00+00:00")},
            "the last verified backup of this database is 48 hours old, more than 24; "
            "`aishell run backup --target shop` makes one",
        ),
    ],
)
def test_a_missing_backup_is_told_with_the_command_that_makes_one(name, context, told):
    violation = NEEDS_BACKUP.check(
        STEP, make_context(MEDIUM, target=make_target(name=name), now=at("2026-11-21T23:00+00:00"), **context)
    )
    assert violation is not None
    assert violation.text == told
