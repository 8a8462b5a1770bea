"""How many people a step takes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from aishell.execution.authorize import _people
from aishell.models import Decision, Risk, Verdict


@pytest.mark.parametrize("level", ["permissive", "moderate", "strict"])
@pytest.mark.parametrize("risk", list(Risk))
@pytest.mark.parametrize("decision", [Decision.CONFIRM, Decision.REVIEW])
def test_two_where_a_critical_step_is_reviewed_at_the_strict_level(level: str, risk: Risk, decision: Decision):
    run = SimpleNamespace(job=SimpleNamespace(level=level))
    verdict = Verdict(risk, decision, True, (), (), ())
    wanted = 2 if (level, risk, decision) == ("strict", Risk.CRITICAL, Decision.REVIEW) else 1
    assert _people(run, verdict) == wanted  # type: ignore[arg-type]
