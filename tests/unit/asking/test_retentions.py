"""Several tables with an age each: every table gets its own, and none an age that is said of another."""

from __future__ import annotations

from datetime import date

import pytest

from aishell.agents.loading import BUILT_IN, load_agent
from aishell.asking.requests import Known
from aishell.asking.understanding import understand

AGENTS = {name: load_agent(name) for name in BUILT_IN}
KNOWN = Known(date(2026, 11, 24), AGENTS, {"shop": ()}, ("audit_log", "app_log", "events"))
UNSEEN = Known(KNOWN.today, AGENTS, KNOWN.targets)


def kept(text: str, known: Known) -> dict[str, int]:
    """The days that the rows of each table are kept."""
    request = understand(text, known)
    return {table: order.inputs["retention_days"] for order in request.orders for table in order.inputs["tables"]}


@pytest.mark.parametrize("known", [KNOWN, UNSEEN], ids=["tables known", "tables not known"])
@pytest.mark.parametrize(
    "text",
    [
        "keep {0} days of audit_log but only {1} of app_log, both on shop",
        "keep {0} days of audit_log and {1} of app_log on shop",
        "keep {0} of audit_log and {1} days of app_log on shop",
        "keep {0} days of audit_log and {1} days of app_log on shop",
        "keep audit_log for {0} days and app_log for {1} on shop",
        "on shop, keep {0} days of audit_log, {1} of app_log",
        "delete rows of audit_log older than {0} days and of app_log older than {1} on shop",
        "delete audit_log rows older than {0} days on shop. Delete app_log rows older than {1} days.",
        "behalte {0} Tage von audit_log, aber nur {1} von app_log auf shop",
        "delete in audit_log what is older than {0} days and in app_log what is older than {1} days on shop",
        "conserva {0} días de audit_log pero solo {1} de app_log en shop",
    ],
)
@pytest.mark.parametrize("days", [(90, 30), (7, 400)])
def test_each_table_has_its_own_age(text: str, known: Known, days: tuple[int, int]) -> None:
    assert kept(text.format(*days), known) == dict(zip(("audit_log", "app_log"), days, strict=True))


def test_three_tables_have_three_ages() -> None:
    text = "keep 90 days of audit_log, 30 of app_log and 7 of events on shop"
    assert kept(text, KNOWN) == {"audit_log": 90, "app_log": 30, "events": 7}


@pytest.mark.parametrize(
    "text",
    [
        "audit_log 90 days, app_log 30, events 7: delete everything older on shop",
        "delete what is older than 90 or 30 days from audit_log and app_log on shop",
        "delete rows of app_log older than 30 to 90 days on shop",
        "delete rows of app_log older than 30-90 days on shop",
        "lösche in audit_log, was älter als 90 Tage ist, und in app_log, was älter als 30 Tage ist, auf shop",
    ],
)
def test_ages_that_cannot_be_told_apart_delete_no_more(text: str) -> None:
    request = understand(text, KNOWN)
    assert request.refused or all(order.inputs["retention_days"] >= 90 for order in request.orders)


@pytest.mark.parametrize(
    "text",
    [
        "delete rows older than 90 days from app_log on shop, at most 5000 rows",
        "delete rows older than 90 days from app_log on shop in batches of 500 ms",
        "full maintenance of app_log on shop, indexes over 30 percent",
    ],
)
def test_a_number_of_something_else_is_no_age(text: str) -> None:
    assert {order.inputs.get("retention_days") for order in understand(text, KNOWN).orders} <= {90, None}
