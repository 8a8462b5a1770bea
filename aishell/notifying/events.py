"""The events that rules can name as `event:`, with their severity and the keys to choose them by. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: Lowest first.
SEVERITIES = ("info", "warning", "critical")
INFO, WARNING, CRITICAL = SEVERITIES
#: The keys by which a rule can choose events of a kind.
_RUN = frozenset({"target", "label", "schedule"})
_SCHEDULE = frozenset({"schedule"})
_TARGET = frozenset({"target", "label"})


@dataclass(frozen=True)
class Event:
    """A kind of event. `severity`: its highest severity. `chosen_by`: the keys of a rule that can choose it."""

    severity: str
    chosen_by: frozenset[str]


#: docs/glossary.md, "Events".
EVENTS: Mapping[str, Event] = {
    "run_succeeded": Event(INFO, _RUN),
    "run_failed": Event(CRITICAL, _RUN),
    "run_partial": Event(WARNING, _RUN),
    "run_rejected": Event(WARNING, _RUN),
    "run_in_doubt": Event(CRITICAL, _RUN),
    "backup_failed": Event(CRITICAL, _RUN),
    "approval_requested": Event(WARNING, _RUN),
    "approval_expired": Event(WARNING, _RUN),
    "schedule_missed": Event(WARNING, _SCHEDULE),
    "schedule_failed": Event(CRITICAL, _SCHEDULE),
    "target_unreachable": Event(WARNING, _TARGET),
    "breaker_opened": Event(CRITICAL, _TARGET),
    "breaker_closed": Event(INFO, _TARGET),
    "window_too_small": Event(WARNING, _RUN),
    "hold_placed": Event(WARNING, _TARGET),
    "configuration_refused": Event(CRITICAL, frozenset()),
    "daemon_started": Event(INFO, frozenset()),
    "daemon_stopped": Event(WARNING, frozenset()),
    "audit_broken": Event(CRITICAL, frozenset()),
    "incident_opened": Event(CRITICAL, _RUN),
    "incident_closed": Event(INFO, _RUN),
}


def reaches(severity: str, least: str | None) -> bool:
    """Whether a severity is at least another one."""
    return least is None or SEVERITIES.index(severity) >= SEVERITIES.index(least)
