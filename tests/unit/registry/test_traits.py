"""What a way of running means is said in one place: nobody else compares `runs` of a tool with its name."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest

from aishell.models import Risk
from aishell.registry.tool import WAYS
from aishell.registry.ways import FORMS
from aishell.running.dispatch import RUNNERS
from tests.unit.making import query_tool

PACKAGE = Path(__file__).parents[3] / "aishell"


def test_every_way_has_traits_a_form_and_a_runner() -> None:
    assert WAYS.keys() == FORMS.keys() == RUNNERS.keys()


def test_nobody_compares_ways_by_their_names() -> None:
    found = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare):
                words = {one.value for one in ast.walk(node) if isinstance(one, ast.Constant)}
                asked = any(isinstance(one, ast.Attribute) and one.attr == "runs" for one in ast.walk(node))
                if asked and words & WAYS.keys():
                    found.append(f"{path.relative_to(PACKAGE)}:{node.lineno}")
    assert found == []


@pytest.mark.parametrize(
    ("runs", "risk", "idempotent", "repeatable"),
    [
        ("query", Risk.HIGH, False, True),
        ("program", Risk.HIGH, False, True),
        ("python", Risk.HIGH, False, True),
        ("each", Risk.SAFE, False, True),
        ("each", Risk.LOW, True, True),
        ("each", Risk.LOW, False, False),
        ("statement", Risk.LOW, False, False),
        ("batched", Risk.HIGH, False, False),
    ],
)
def test_what_may_be_sent_again(runs: str, risk: Risk, idempotent: bool, repeatable: bool) -> None:
    made = replace(query_tool(), runs=runs, risk_level=risk, idempotent=idempotent)
    assert made.repeatable is repeatable
