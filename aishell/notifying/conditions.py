"""Conditions of rules: `name op number[s|m|h|d]`, e.g. `execution_time > 30m`. One metric, one comparison. Pure."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from aishell.errors import UnknownNameError, UsageError

#: What a metric describes.
RUN, TARGET, SCHEDULE, SITE = "run", "target", "schedule", "site"
SECONDS = "seconds"
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
_FORM = re.compile(rf"\s*(\w+)\s*({'|'.join(_OPERATORS)})\s*([0-9]{{1,18}}(?:\.[0-9]{{1,9}})?)([a-z]*)\s*", re.ASCII)
_EXAMPLE = "write e.g. execution_time > 30m; s, m, h and d are units of time"


@dataclass(frozen=True)
class Metric:
    """A figure that conditions can name: what it describes (RUN, TARGET, SCHEDULE, SITE) and its unit."""

    of: str
    unit: str


#: docs/glossary.md, "Conditions and the metrics they name".
METRICS: Mapping[str, Metric] = {
    "execution_time": Metric(RUN, SECONDS),
    "tables_processed": Metric(RUN, "tables"),
    "indexes_rebuilt": Metric(RUN, "indexes"),
    "statistics_updated": Metric(RUN, "tables"),
    "tables_optimized": Metric(RUN, "tables"),
    "rows_deleted": Metric(RUN, "rows"),
    "rows_archived": Metric(RUN, "rows"),
    "bytes_reclaimed": Metric(RUN, "bytes"),
    "errors_encountered": Metric(RUN, "failed steps"),
    "steps_deferred": Metric(RUN, "steps"),
    "last_backup_age": Metric(TARGET, SECONDS),
    "last_verified_backup_age": Metric(TARGET, SECONDS),
    "health_score": Metric(TARGET, "of 100"),
    "backlog_items": Metric(TARGET, "items"),
    "backlog_age": Metric(TARGET, SECONDS),
    "backlog_forecast": Metric(TARGET, SECONDS),
    "approval_waiting": Metric(TARGET, SECONDS),
    "schedule_lateness": Metric(SCHEDULE, SECONDS),
    "runs_missed": Metric(SCHEDULE, "nominal times"),
    "notification_waiting": Metric(SITE, SECONDS),
}
#: Metrics and actions of alerts in an agent's file; an agent knows only its own runs.
RUN_METRICS = tuple(name for name, metric in METRICS.items() if metric.of == RUN)
ALERT_ACTIONS = ("notify_admin", "create_incident")


@dataclass(frozen=True)
class Condition:
    """A metric compared with a number, which is in the metric's unit. `text` is how it was written."""

    metric: str
    operator: str
    number: float
    text: str

    @classmethod
    def parse(cls, text: str, known: Collection[str] = METRICS) -> Condition:
        """Raises UsageError for an invalid form, a metric that is not in `known`, or a count with a unit of time."""
        found = _FORM.fullmatch(text)
        if found is None:
            raise UsageError(f"invalid condition {text[:80]!r}", hint=_EXAMPLE)
        metric, compared, number, unit = found.groups()
        if metric not in known:
            near = UnknownNameError("metric", metric, known)
            raise UsageError(f"the condition {text!r} names an {near.message}", hint=near.hint)
        if unit not in _UNITS:
            raise UsageError(f"the condition {text!r} has an unknown unit {unit!r}", hint=_EXAMPLE)
        counted = METRICS[metric].unit
        if unit and counted != SECONDS:
            hint = f"write a number without a unit: {metric} counts {counted}"
            raise UsageError(f"the condition {text!r} compares {counted} with a time", hint=hint)
        return cls(metric, compared, float(number) * _UNITS[unit], text.strip())

    @property
    def of(self) -> str:
        """What its metric describes: RUN, TARGET, SCHEDULE or SITE."""
        return METRICS[self.metric].of

    def holds(self, value: float | None) -> bool:
        """Whether it holds for a value; False for None. Infinity means never made."""
        return value is not None and _OPERATORS[self.operator](value, self.number)
