"""How logs write their dates: every way is recognised, and the cut-off in it lies exactly between older and newer."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aishell.agents.log_cleanup.dates import (
    Cutoff,
    could_be_time,
    kind_of_type,
    method_class,
    refuse_type,
    seconds_of,
    written,
)
from aishell.agents.log_cleanup.retention_rules import RetentionRule
from aishell.agents.log_cleanup.tables import LogTable
from aishell.errors import ParameterError
from aishell.models import Table

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
#: Whole seconds, as a database's clock gives a cut-off; ULIDs begin with a digit below 8.
MOMENTS = st.integers(631_152_000, 6_942_672_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
GAPS = st.timedeltas(timedelta(milliseconds=1), timedelta(days=4000))


def cutoff(moment: datetime, zone: str = "UTC") -> Cutoff:
    return Cutoff(moment.isoformat(), f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S}", zone)


def microseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def ulid(moment: datetime) -> str:
    milliseconds = microseconds(moment) // 1000
    return "".join(CROCKFORD[milliseconds >> shift & 31] for shift in range(45, -1, -5)) + "0123456789ABCDEF"


def uuid7(moment: datetime) -> str:
    return str(uuid.UUID(int=microseconds(moment) // 1000 << 80 | 7 << 76 | 0xABC << 64 | 2 << 62 | 0xABCDEF))


def text(shape: str) -> Any:
    zone = {
        "": UTC,
        "Z": UTC,
        "+02:00": timezone(timedelta(hours=2)),
        "-0330": timezone(-timedelta(hours=3, minutes=30)),
    }
    separator, ending = shape[0], shape[1:]
    return lambda moment: f"{moment.astimezone(zone[ending]):%Y-%m-%d{separator}%H:%M:%S.%f}{ending}"


#: kind -> how a moment is written so.
WAYS: dict[str, Any] = {
    "epoch_s": lambda moment: str(Decimal(microseconds(moment)) / 10**6),
    "epoch_ms": lambda moment: str(microseconds(moment) // 1000),
    "epoch_us": lambda moment: str(microseconds(moment)),
    "epoch_ns": lambda moment: str(microseconds(moment) * 1000),
    "ulid:upper": ulid,
    "ulid:lower": lambda moment: ulid(moment).lower(),
    "uuid7:lower": uuid7,
    "uuid7:upper": lambda moment: uuid7(moment).upper(),
    **{f"text:{shape}": text(shape) for shape in (" ", "T", "TZ", " Z", "T+02:00", " -0330")},
}


@pytest.mark.parametrize("kind", WAYS)
@given(moment=MOMENTS, gap=GAPS)
def test_the_cutoff_parts_older_from_newer(kind, moment, gap):
    value = WAYS[kind]
    limit = written(kind, cutoff(moment))
    as_written = Decimal if isinstance(limit, int) else str
    assert as_written(value(moment - gap)) < limit
    assert not as_written(value(moment)) < limit
    assert not as_written(value(moment + gap)) < limit


@pytest.mark.parametrize("kind", WAYS)
@given(moment=MOMENTS)
def test_a_value_is_recognised_and_read_back(kind, moment):
    value = WAYS[kind](moment)
    assert method_class("sqlite", "", value, value, "it") == kind
    assert seconds_of(kind, value) == pytest.approx(moment.timestamp(), abs=0.001)
    assert seconds_of(kind, str(written(kind, cutoff(moment)))) == pytest.approx(moment.timestamp(), abs=4 * 3600)


@given(moment=MOMENTS)
def test_a_date_is_that_of_the_day(moment):
    assert written("text:", cutoff(moment)) == written("date", cutoff(moment)) == f"{moment:%Y-%m-%d}"


@pytest.mark.parametrize(
    ("utc", "local"),
    [
        ("2026-10-25T00:30:00+00:00", "2026-10-25 02:30:00"),  # the first of the two half past twos
        ("2026-10-25T01:30:00+00:00", "2026-10-25 02:30:00"),  # and the second
        ("2026-03-29T01:30:00+00:00", "2026-03-29 03:30:00"),  # half past two did not happen
        ("2025-12-31T23:30:00+00:00", "2026-01-01 00:30:00"),
    ],
)
def test_local_times_are_the_servers_and_instants_are_utc(utc, local):
    limit = cutoff(datetime.fromisoformat(utc), "Europe/Berlin")
    assert limit.local == local
    assert written("local", limit) == local
    assert written("date", limit) == local[:10]
    assert written("instant", limit) == utc.replace("T", " ")
    assert written("text:TZ", limit) == utc[:19]
    assert str(limit) == f"{utc[:19].replace('T', ' ')} UTC ({local} Europe/Berlin)"


def test_in_utc_it_is_said_once():
    assert str(cutoff(datetime(2026, 1, 1, tzinfo=UTC))) == "2026-01-01 00:00:00 UTC"


@pytest.mark.parametrize(
    ("declared", "kind"),
    [
        ("timestamp with time zone", "instant"),
        ("timestamp without time zone", "local"),
        ("timestamp(6)", "local"),
        ("DATETIME(3)", "local"),
        ("date", "date"),
        ("bigint", None),
        ("text", None),
        ("time", None),
        ("", None),
    ],
)
def test_what_a_type_tells(declared, kind):
    assert kind_of_type(declared) == kind


def test_a_type_binds_everybody_but_sqlite():
    assert method_class("mysql", "datetime", "whatever", "it holds", "it") == "local"
    assert method_class("sqlite", "datetime", "1777593600", "1777593601", "it") == "epoch_s"


NO_TIMES = """n/a 0 -5 20260101 1.7e9 12:00 2026-01 01/02/2026 C3A9 infinity 550e8400-e29b-41d4-a716-446655440000
    01ARZ3NDEKTSV4RRFFQ69G5FAU 018F7e2c-0000-7000-8000-000000000000 01ARZ3NDEKTSv4RRFFQ69G5FAV"""


@pytest.mark.parametrize("value", ["", "2026-01-01 10:00 UTC", *NO_TIMES.split()])
def test_what_is_no_time_or_has_no_order_is_refused(value):
    with pytest.raises(ParameterError, match="is not a date column"):
        method_class("sqlite", "", value, value, "it")


@pytest.mark.parametrize(
    ("oldest", "newest"),
    [
        ("1777593600", "2026-05-01 00:00:00"),
        ("1577836800", "1777593600000"),
        ("2026-05-01 00:00:00", "2026-05-01T00:00:00"),
        ("2026-05-01T00:00:00Z", "2026-06-01T00:00:00+02:00"),
        ("018f7e2c-ab00-7000-8000-000000000000", "018F7E2C-AB00-7000-8000-000000000000"),
    ],
)
def test_ends_of_two_kinds_are_refused(oldest, newest):
    with pytest.raises(ParameterError, match="in more than one format"):
        method_class("sqlite", "", oldest, newest, "it")


@pytest.mark.parametrize(
    ("kind", "value"), [("instant", "-infinity"), ("text:", "2026-13-45"), ("epoch_s", "soon"), ("local", "")]
)
def test_what_cannot_be_read_gives_no_estimate(kind, value):
    assert seconds_of(kind, value) is None


@pytest.mark.parametrize("declared", ["json", "boolean", "time", "tsvector"])
def test_types_that_never_hold_a_time(declared):
    with pytest.raises(ParameterError, match="its type is"):
        refuse_type(declared, "it")


def test_columns_are_ranked_by_type_and_name():
    ranked = [
        could_be_time("created_at", "timestamp with time zone"),
        could_be_time("updated_at", "datetime"),
        could_be_time("sent", "date"),
        could_be_time("created_at", "bigint"),
        could_be_time("message", "text"),
    ]
    assert ranked == sorted(ranked, reverse=True)
    assert ranked[0] > ranked[1] > ranked[2] > ranked[-1] == 0


@pytest.mark.parametrize(
    ("declared", "before"),
    [("bigint", 1767225600), ("character varying", "1767225600"), ("TEXT", "1767225600"), ("", 1767225600)],
)
def test_numbers_in_a_text_column_are_texts(declared, before):
    log = LogTable(Table("public", "log", "table"), RetentionRule("log", 90), "at", declared, indexed=True)
    limit = cutoff(datetime(2026, 1, 1, tzinfo=UTC))
    assert replace(log, kind="epoch_s", cutoff=limit).before == before
