"""`monitoring:` of an agent's file: checked, and until something acts upon it, each plan says that nothing does. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aishell.errors import PlanError, SettingsError
from aishell.planning import conditions


def warnings(agent_type: str, monitoring: Mapping[str, Any] | None) -> Sequence[str]:
    """What a plan says of it.

    Raises SettingsError, with file and line, for a condition that cannot be read, or is about no metric that is listed.
    """
    if not monitoring:
        return ()
    metrics = [str(metric) for metric in monitoring.get("metrics") or ()]
    for alert in monitoring.get("alerts") or ():
        try:
            conditions.check(alert["condition"], metrics)
        except PlanError as error:
            raise SettingsError(f"{alert['where']}: {error.message}", hint=error.hint) from error
    return (f"`monitoring:` in config/agents/{agent_type}.yaml is not acted upon yet: nobody is told of alerts",)
