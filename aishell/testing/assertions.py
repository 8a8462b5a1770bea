"""Assertions on a plan or a run: each raises AssertionError that names what was found instead.

`of` is the result of a command (`--output json`), or what `aishell.Site` returned: a Preview, a Plan, a RunResult.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from aishell.codec import plain
from aishell.models import Plan, RunResult
from aishell.testing.scratch import Ended

if TYPE_CHECKING:
    from aishell.execution.preview import Preview

    Planned = Ended | RunResult | Preview | Plan
    Ran = Ended | RunResult


def _document(of: Planned) -> dict[str, Any]:
    """Return the JSON contract of a result; for a Plan only the parts that it has."""
    if isinstance(of, Ended):
        return dict(of.json)
    if isinstance(of, Plan):
        return {"plan": {"steps": plain(of.steps)}, "output_data": {"left_out": plain(of.left_out)}}
    if not isinstance(of, RunResult):
        from aishell.execution.preview import as_result

        of = as_result(of)
    return dict(plain(of))


def _step(of: Planned, step_id: str) -> dict[str, Any]:
    steps = {step["id"]: step for step in _document(of)["plan"]["steps"]}
    if step_id not in steps:
        raise AssertionError(f"no step {step_id!r} in the plan: {', '.join(steps) or 'it is empty'}")
    return dict(steps[step_id])


def _found(pattern: str | None, texts: Sequence[str]) -> bool:
    return pattern is None or any(re.search(pattern, text) for text in texts)


def assert_tools(of: Planned, *tools: str) -> None:
    """Assert that the plan has exactly these steps, by the tools that they call, in this order."""
    planned = tuple(step["tool"] for step in _document(of)["plan"]["steps"])
    if planned != tools:
        raise AssertionError(
            f"the plan's tools are {', '.join(planned) or 'none'}; expected {', '.join(tools) or 'none'}"
        )


def assert_order(of: Planned, *tools: str) -> None:
    """Assert that the plan has each of these tools, and that all steps of one come before the first of the next."""
    planned = [step["tool"] for step in _document(of)["plan"]["steps"]]
    for tool in tools:
        if tool not in planned:
            raise AssertionError(f"no step of {tool} in the plan: {', '.join(planned) or 'it is empty'}")
    for first, then in pairwise(tools):
        if len(planned) - 1 - planned[::-1].index(first) > planned.index(then):
            raise AssertionError(f"not all of {first} comes before {then}: {', '.join(planned)}")


def assert_left_out(of: Planned, tool: str, object: str | None = None, *, because: str | None = None) -> None:
    """Assert that the plan leaves out a tool's work on an object (`schema.table`), for a reason matching `because`."""
    left = _document(of)["output_data"].get("left_out", [])
    for one in left:
        if one["tool"] == tool and object in (None, one["object"]) and _found(because, [one["reason"]]):
            return
    found = "; ".join(f"{one['tool']} of {one['object']}: {one['reason']}" for one in left)
    raise AssertionError(
        f"the plan does not leave out {tool} of {object or 'anything'}; left out: {found or 'nothing'}"
    )


def assert_decision(
    of: Planned, step_id: str, decision: str, *, rule: str | None = None, because: str | None = None
) -> None:
    """Assert the gates' decision on a step: `auto`, `notify`, `confirm`, `review` or `deny`.

    `rule` is the rule behind it, such as a constraint's type; `because` is a regular expression found in its text.
    """
    step = _step(of, step_id)
    if "verdict" not in step:
        raise AssertionError("a plan alone has no verdicts: give the preview of it, or what a command left")
    verdict = step["verdict"]
    if verdict["decision"] == decision and any(
        rule in (None, reason["rule"]) and _found(because, [reason["text"]]) for reason in verdict["reasons"] or [_NONE]
    ):
        return
    found = "; ".join(f"{reason['rule']}: {reason['text']}" for reason in verdict["reasons"])
    expected = f"{decision} of {rule or 'any rule'}"
    raise AssertionError(f"{step_id} is {verdict['decision']}, because of {found or 'nothing'}; expected {expected}")


_NONE: Mapping[str, str] = {"rule": "", "text": ""}


def assert_ran(of: Ran, statuses: Mapping[str, str] | None = None, *, exit_code: int = 0) -> None:
    """Assert the exit code and, if given, exactly these statuses of the steps that ended, by their ids."""
    if isinstance(of, Ended):
        of.expect(exit_code)
    elif of.exit_code != exit_code:
        raise AssertionError(f"exit {of.exit_code}, not {exit_code}: {of.reasoning} {plain(of.error) or ''}")
    actions = _document(of)["actions_taken"]
    ended = {action["step_id"]: action["status"] for action in actions}
    if statuses is not None and ended != dict(statuses):
        found = "; ".join(
            f"{one['step_id']}: {one['status']} {one['error'] or one['reason'] or ''}".strip() for one in actions
        )
        raise AssertionError(f"the steps ended as {found or 'none'}; expected {dict(statuses)}")


def assert_output(of: Ran, step_id: str, **fields: Any) -> None:
    """Assert that a step of the run returned these fields with these values; it may have returned others."""
    outputs = {action["step_id"]: action["output"] for action in _document(of)["actions_taken"]}
    if step_id not in outputs:
        raise AssertionError(f"no step {step_id!r} in the run: {', '.join(outputs) or 'none ran'}")
    output = outputs[step_id] or {}
    for name, value in fields.items():
        if name not in output:
            raise AssertionError(f"{step_id} returned no {name!r}: {output}")
        if output[name] != plain(value):
            raise AssertionError(f"{step_id} returned {name}={output[name]!r}, not {value!r}")
