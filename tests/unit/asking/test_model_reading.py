"""A model's reading is held to what the rules have read."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from aishell.agents.loading import load_agent
from aishell.asking.model_reading import bounded
from aishell.asking.requests import Known, Order, Request
from aishell.errors import ModelAnswerError

KNOWN = Known(
    date(2026, 11, 24), {name: load_agent(name) for name in ("log_cleanup", "maintenance")}, {"shop": (), "crm": ()}
)
RULES = Order("log_cleanup", "shop", {"tables": ["orders"], "retention_days": 90}, 0.95)
REQUEST = Request("keep 90 days of orders on shop, in 9 steps, not of crm", (RULES,))


def answer(agent: str = "log_cleanup", target: str = "shop", **inputs: Any) -> dict[str, Any]:
    one = {"agent": agent, "target": target, "inputs": inputs, "why": "x"}
    return {"tasks": [one], "question": None, "about": [], "unclear": None}


def test_what_agrees_is_taken() -> None:
    read, reasons = bounded(answer(tables=["orders"], retention_days=90), REQUEST, KNOWN)
    assert (read.orders[0].inputs, reasons) == (RULES.inputs, ("x",))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (answer(tables=["orders"], retention_days=9), "the text asks for log_cleanup"),
        (answer("maintenance", maintenance_type="quick"), "the text asks for log_cleanup"),
        (answer(target="crm", tables=["orders"], retention_days=90), "does not name the target 'crm'"),
        (answer(tables=["customers"], retention_days=90), "does not have 'customers'"),
    ],
)
def test_what_contradicts_the_rules_is_refused(given: Any, told: str) -> None:
    with pytest.raises(ModelAnswerError, match=told):
        bounded(given, REQUEST, KNOWN)
