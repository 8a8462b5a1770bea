"""Check `monitoring:` of an agent's file, whose alerts are rules for that agent (`aishell.notifying.rules`). Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from aishell.errors import SettingsError, UsageError
from aishell.notifying.conditions import ALERT_ACTIONS, RUN_METRICS, Condition

NOTIFY, INCIDENT = ALERT_ACTIONS
#: The service that NOTIFY sends to.
ADMIN = "admin"


def alerts(monitoring: Mapping[str, Any] | None) -> Iterator[tuple[Condition, str]]:
    """Yield the alerts of an agent's file: condition and action, NOTIFY or INCIDENT.

    Raises SettingsError, with file and line, for a condition that cannot be read, or whose metric is not in `metrics`.
    """
    given = monitoring or {}
    known = given["metrics"] if given.get("metrics") is not None else RUN_METRICS
    for alert in given.get("alerts") or ():
        try:
            yield Condition.parse(alert["condition"], known), alert["action"]
        except UsageError as error:
            raise SettingsError(f"{alert['where']}: {error.message}", hint=error.hint) from error


def warnings(
    agent_type: str, monitoring: Mapping[str, Any] | None, services: Callable[[], Collection[str]]
) -> Sequence[str]:
    """Return the warning of a plan if NOTIFY is used and the service `admin` does not exist. Raises like `alerts`."""
    actions = {action for _, action in alerts(monitoring)}
    if NOTIFY not in actions or ADMIN in services():
        return ()
    where = f"`{NOTIFY}` in config/agents/{agent_type}.yaml"
    return (f"{where} notifies nobody: config/notifications.yaml has no service `{ADMIN}`",)
