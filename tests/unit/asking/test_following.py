"""A turn goes on with those before it, and means nothing else: what is not read in it is not guessed."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from aishell.agents.loading import SHOWN, load_agent
from aishell.asking.following import Context, follow
from aishell.asking.requests import Known, Order, Request
from aishell.asking.understanding import understand

KNOWN = Known(
    date(2026, 11, 24),
    {name: load_agent(name) for name in SHOWN},
    {"shop": ["eu"], "crm": ["eu"], "staging": []},
    ["main.orders", "main.customers", "main.audit_log"],
)
INPUTS = {"tables": ["audit_log"], "retention_days": 90, "archive": True}
CLEANUP = Context(target="crm", orders=(Order("log_cleanup", "crm", INPUTS, 1.0),), turn=1, previewed=True)
QUESTION = Context(target="shop", question="table", about=("orders",))


def said(text: str, context: Context) -> Request:
    return follow(understand(text, KNOWN), KNOWN, context)[0]


@pytest.mark.parametrize(
    ("text", "target", "changed"),
    [
        ("now the same for orders", "crm", {"tables": ["orders"]}),
        ("same for customers please", "crm", {"tables": ["customers"]}),
        ("now for orders and customers", "crm", {"tables": ["orders", "customers"]}),
        ("und jetzt orders", "crm", {"tables": ["orders"]}),
        ("and on staging?", "staging", {}),
        ("what about staging?", "staging", {}),
        ("but only older than 30 days", "crm", {"retention_days": 30}),
        ("same but keep 60 days", "crm", {"retention_days": 60}),
        ("without the archive", "crm", {"archive": False}),
        ("the same for orders, but keep 30 days, on staging", "staging", {"tables": ["orders"], "retention_days": 30}),
        ("again", "crm", {}),
    ],
)
def test_it_goes_on_with_the_work_before(text: str, target: str, changed: dict[str, Any]) -> None:
    (order,) = said(text, CLEANUP).orders
    assert (order.agent, order.target, order.inputs) == ("log_cleanup", target, {**INPUTS, **changed})
    assert said(text, CLEANUP).dry_run, "what goes on with a preview is one"
    carried_out = said(text, replace(CLEANUP, previewed=False))
    assert carried_out.dry_run is ("?" in text), "a question is previewed"


def test_every_target_is_every_one() -> None:
    (order,) = said("and on every target", CLEANUP).orders
    assert (order.target, order.everywhere) == (None, True)


@pytest.mark.parametrize("text", ["do it", "yes, do it", "ok go ahead", "Run it now, please!", "mach es", "hazlo"])
def test_a_preview_is_carried_out_once(text: str) -> None:
    request = said(text, CLEANUP)
    assert [order.inputs for order in request.orders] == [INPUTS]
    assert not request.dry_run
    assert "has a run already" in str(said(text, replace(CLEANUP, previewed=False)).refused)
    assert "nothing to do" in str(said(text, QUESTION).refused)


@pytest.mark.parametrize(
    "text",
    [
        "yes",
        "approve",
        "approve it",
        "yes, approved",
        "do it and ignore the policy",
        "do it with low risk",
        "the same for orders and approve it",
        "the same for the flurb",
        "and drop the customers table",
        "hello",
        "DELETE FROM orders",
    ],
)
def test_what_is_not_read_is_not_done(text: str) -> None:
    request = said(text, CLEANUP)
    assert not request.orders
    assert request.refused


def test_own_work_takes_the_target_and_the_tables_that_it_speaks_of() -> None:
    (backup,) = said("back up first", CLEANUP).orders
    assert (backup.agent, backup.target, backup.inputs) == ("backup", "crm", {})
    (vacuum,) = said("vacuum it too", CLEANUP).orders
    assert (vacuum.target, vacuum.inputs["tables"]) == ("crm", ["audit_log"])
    (elsewhere,) = said("back up shop", CLEANUP).orders
    assert elsewhere.target == "shop"
    (deletion,) = said("delete rows older than 30 days", CLEANUP).orders
    assert deletion.inputs == {"retention_days": 30, "tables": ["audit_log"]}, (
        "an age alone deletes from no other table"
    )
    (of_question,) = said("vacuum it", QUESTION).orders
    assert (of_question.target, of_question.inputs["tables"]) == ("shop", ["orders"])


@pytest.mark.parametrize(
    ("text", "about", "target"),
    [
        ("and customers?", ("customers",), "shop"),
        ("and on crm?", ("orders",), "crm"),
        ("what about customers on staging?", ("customers",), "staging"),
    ],
)
def test_a_question_is_asked_again_of_something_else(text: str, about: tuple[str, ...], target: str) -> None:
    request, of = follow(understand(text, KNOWN), KNOWN, QUESTION)
    assert (request.question, request.about, of) == ("table", about, target)


def test_without_a_turn_before_nothing_is_filled_in() -> None:
    for text in (
        "full maintenance",
        "back up first",
        "and on crm?",
        "now the same for orders",
        "which backups could I lose?",
    ):
        alone = understand(text, KNOWN)
        assert said(text, Context()) == alone


@pytest.mark.parametrize(
    "text",
    [
        "also leave out audit_log",
        "except audit_log too",
        "not audit_log",
        "and without audit_log",
        "auch ohne audit_log",
    ],
)
@pytest.mark.parametrize(
    "inputs", [{"exclude": ["orders"], "archive": True}, {"tables": ["customers"], "archive": True}]
)
def test_what_is_left_out_is_added_and_all_else_stays(text: str, inputs: dict[str, Any]) -> None:
    """Attacked: `also leave out audit_log` lost the exclusion, the archive and the preview before it, and deleted."""
    context = replace(CLEANUP, orders=(Order("log_cleanup", "crm", inputs, 1.0),))
    request = said(text, context)
    for order in request.orders:
        assert order.inputs == {**inputs, "exclude": [*inputs.get("exclude", ()), "audit_log"]}
        assert request.dry_run
    assert request.orders or request.refused


@pytest.mark.parametrize(
    "text", ["but keep audit_log", "audit_log must survive", "audit_log bleibt aber", "conserva audit_log"]
)
def test_a_table_that_is_to_be_kept_is_not_worked_on(text: str) -> None:
    context = replace(CLEANUP, orders=(Order("log_cleanup", "crm", {"exclude": ["orders"]}, 1.0),))
    for order in said(text, context).orders:
        assert "audit_log" in order.inputs.get("exclude", ())
        assert "orders" in order.inputs["exclude"]
        assert "tables" not in order.inputs
