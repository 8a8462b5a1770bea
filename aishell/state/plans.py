"""Plans as JSON: stored with a run or saved to a file, and read with the same digest."""

from __future__ import annotations

import json
from typing import Any

from aishell.codec import canonical
from aishell.errors import UsageError
from aishell.models import Estimate, Evidence, LeftOut, Plan, Step, Task

FORMAT = 1


def dump_plan(plan: Plan) -> str:
    """Return a plan as the text of a file."""
    return canonical({"format": FORMAT, "digest": plan.digest, "plan": plan})


def read_plan(text: str, where: str) -> Plan:
    """Return the plan in a file's text. Raises UsageError if the text is not a plan or was edited."""
    try:
        data = json.loads(text)
        if data["format"] != FORMAT:
            raise ValueError(f"it has format {data['format']!r}, and this aishell reads {FORMAT}")
        plan, saved = _plan(data["plan"]), data["digest"]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{where} is not a saved plan: {error}", hint="save one with the command `plan` and --out FILE"
        ) from error
    if plan.digest != saved:
        raise UsageError(
            f"{where} was edited after it was saved",
            hint="plan again; a plan is applied as it was approved or not at all",
        )
    return plan


def load_plan(text: str) -> Plan:
    """Return the plan stored with a run."""
    return _plan(json.loads(text))


def _plan(data: dict[str, Any]) -> Plan:
    steps = tuple(_step(item) for item in data["steps"])
    lists = {name: tuple(data.get(name, ())) for name in ("warnings", "objects")}
    left_out = tuple(_left_out(item) for item in data.get("left_out", ()))
    return Plan(**{**data, **lists, "task": Task(**data["task"]), "steps": steps, "left_out": left_out})


def _left_out(data: dict[str, Any]) -> LeftOut:
    return LeftOut(**{**data, "privileges": tuple(data["privileges"]), "grants": tuple(data["grants"])})


def _step(data: dict[str, Any]) -> Step:
    return Step(
        **{
            **data,
            "needs": tuple(data["needs"]),
            "evidence": tuple(Evidence(**item) for item in data["evidence"]),
            "estimate": Estimate(**data["estimate"]),
            "found": tuple(data["found"]) if data["found"] is not None else None,
        }
    )
