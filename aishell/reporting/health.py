"""The health score of a target, from 0 to 100, by the findings of its newest health check. Pure.

    100 − critical − min(40, 5 × warnings) − min(10, 1 × notes), and not below 0
    critical: 0 if there is none, else 60, and 10 for each further one

A score below 50 means that a finding is critical; 50 or more means that none is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SEVERITIES = ("critical", "warning", "info")
FIRST_CRITICAL, FURTHER_CRITICAL = 60, 10
#: severity -> points per finding, and the most for all of them.
_TAKEN = {"warning": (5, 40), "info": (1, 10)}


@dataclass(frozen=True)
class Lowered:
    """The points that findings of one severity take off the score."""

    severity: str
    points: int
    findings: tuple[Mapping[str, Any], ...]  # finding, severity, object, value, detail


@dataclass(frozen=True)
class Health:
    """The score of a target, by one health check of a run."""

    target: str
    run_id: str
    at: str
    score: int
    lowered: tuple[Lowered, ...]  # most severe first

    def count(self, severity: str) -> int:
        return next((len(one.findings) for one in self.lowered if one.severity == severity), 0)


def health(target: str, run_id: str, at: str, output: str) -> Health:
    """Return the score for the `output` of a health check, as stored."""
    return scored(target, run_id, at, json.loads(output).get("findings") or ())


def scored(target: str, run_id: str, at: str, findings: Sequence[Mapping[str, Any]]) -> Health:
    """Return the score for findings. An unknown severity counts as a warning."""
    groups: dict[str, list[Mapping[str, Any]]] = {severity: [] for severity in SEVERITIES}
    for one in findings:
        groups.get(str(one.get("severity")), groups["warning"]).append(one)
    lowered = tuple(Lowered(name, _points(name, len(found)), tuple(found)) for name, found in groups.items() if found)
    return Health(target, run_id, at, max(0, 100 - sum(one.points for one in lowered)), lowered)


def _points(severity: str, count: int) -> int:
    if severity == "critical":
        return FIRST_CRITICAL + FURTHER_CRITICAL * (count - 1)
    each, most = _TAKEN[severity]
    return min(most, each * count)
