"""Metrics in Prometheus' text format 0.0.4: the families of docs/glossary.md, from state.db and the configuration.

`exposition(site)` returns them all: `aishell metrics` prints it, and a server sends it as `/metrics` with
`CONTENT_TYPE`. It only reads. Runs are other processes, so this one counts nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from aishell.backups.store.catalog import VERIFICATION_LEVELS, newest
from aishell.errors import StateError, UsageError
from aishell.notifying import events
from aishell.reporting.health import SEVERITIES, health
from aishell.scheduling.due import coming
from aishell.scheduling.schedules import Schedule
from aishell.site_files import SiteFiles
from aishell.state.breakers import CLOSED, HALF_OPEN, OPEN
from aishell.state.readings import Readings, read
from aishell.state.schedule_runs import ScheduleState
from aishell.version import VERSION

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
#: Statuses that start at 0: Prometheus sees no increase in a counter that first appears at 1.
RUN_STATUSES = ("success", "partial", "failure", "rejected", "cancelled")
LEDGER_STATUSES = ("done", "failed", "missed", "skipped")
DELIVERY_STATUSES = ("sent", "failed")


@dataclass(frozen=True)
class MetricFamily:
    """A published metric. `kind`: counter | gauge | summary; `by`: its labels, separated by blanks."""

    kind: str
    name: str
    by: str
    help: str

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(self.by.split())


_counter, _gauge, _summary = (partial(MetricFamily, kind) for kind in ("counter", "gauge", "summary"))
FAMILIES = (
    _gauge("aishell_build_info", "version", "The release that wrote this."),
    _counter("aishell_runs_total", "agent target status", "Runs that ended; one that was resumed has ended twice."),
    _summary("aishell_run_duration_seconds", "agent target", "Working time of runs, without waiting for people."),
    _gauge("aishell_run_last_end_timestamp_seconds", "agent target status", "When the last such run ended."),
    _counter("aishell_steps_total", "tool target status", "Steps by outcome."),
    _summary("aishell_step_duration_seconds", "tool target", "Time spent on steps that ended."),
    _counter("aishell_bytes_reclaimed_total", "target", "Bytes reclaimed by steps; growth is not subtracted."),
    _counter("aishell_rows_deleted_total", "target", "Rows deleted by steps, at least."),
    _gauge("aishell_backup_age_seconds", "target", "Age of the newest backup not known to be damaged; +Inf: none."),
    _gauge("aishell_backup_verified_age_seconds", "target", "Age of the newest verified backup; +Inf: none."),
    _gauge(
        "aishell_backup_verification_level",
        "target",
        "Of the newest backup: 0 written or damaged, 1 checksummed, 2 readable, 3 restored and compared.",
    ),
    _gauge("aishell_backlog_items", "target", "Work that windows left undone."),
    _gauge("aishell_backlog_age_seconds", "target", "Time since the oldest item was left undone; 0: there is none."),
    _gauge("aishell_backlog_forecast_seconds", "target", "Expected time for the backlog, as far as it is known."),
    _gauge("aishell_approvals_waiting", "target", "Steps waiting for approval."),
    _gauge("aishell_approval_waiting_seconds", "target", "Time since the oldest pending approval was requested."),
    _gauge("aishell_breaker_open", "target", "1: no connection is tried for now; 0.5: one may be tried; 0: closed."),
    _counter("aishell_schedule_runs_total", "schedule status", "Nominal times by outcome, one for each target."),
    _gauge("aishell_schedule_lateness_seconds", "schedule", "Time since the oldest due time that was not begun."),
    _gauge("aishell_schedule_next_timestamp_seconds", "schedule", "The next nominal time."),
    _gauge("aishell_schedule_last_success_timestamp_seconds", "schedule", "When one last succeeded on every target."),
    _gauge("aishell_schedule_paused", "schedule", "1 if the schedule is paused."),
    _gauge("aishell_target_health_score", "target", "0 to 100, by the newest health check; below 50: critical."),
    _gauge("aishell_target_health_timestamp_seconds", "target", "When that health check was made."),
    _gauge("aishell_target_findings", "target severity", "Findings of that health check."),
    _counter("aishell_notifications_total", "rule status", "Notifications by outcome, with digest and heartbeat."),
    _gauge("aishell_notifications_waiting", "", "Notifications not yet delivered."),
    _gauge("aishell_incidents_open", "severity", "Open incidents."),
    _gauge("aishell_hold", "target", "1 if no new step starts; the empty target means every target."),
    _gauge("aishell_configuration_valid", "", "0 if the files of config/ cannot be used."),
    _gauge("aishell_state_bytes", "", "Size of state.db, with its write-ahead log."),
    _gauge("aishell_tick_timestamp_seconds", "", "When the daemon last checked what is due."),
)
#: Metrics of each configured target that are 0 if nothing else is known.
_FROM_ZERO = (
    "aishell_bytes_reclaimed_total", "aishell_rows_deleted_total", "aishell_backlog_items", "aishell_backlog_age_seconds",
    "aishell_backlog_forecast_seconds", "aishell_approvals_waiting", "aishell_approval_waiting_seconds",
    "aishell_breaker_open", "aishell_hold",
)  # fmt: skip
_BY_NAME = {family.name: family for family in FAMILIES}


class Samples(Collector):
    """Values by metric and labels, in the order of FAMILIES' labels; a summary's are in `NAME_sum` and `NAME_count`."""

    def __init__(self) -> None:
        self.found: dict[str, dict[tuple[str, ...], float]] = defaultdict(dict)

    def set(self, metric: str, value: float, **labels: str) -> None:
        name = metric.removesuffix("_sum").removesuffix("_count")
        self.found[metric][tuple(labels[label] for label in _BY_NAME[name].labels)] = value

    def collect(self) -> Iterator[Metric]:
        for family in FAMILIES:
            if family.kind == "summary":
                yield self._summary(family)
                continue
            kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
            made = kind(family.name, family.help, labels=family.labels)
            for labels, value in sorted(self.found.get(family.name, {}).items()):
                made.add_metric(labels, value)
            yield made

    def _summary(self, family: MetricFamily) -> Metric:
        made = SummaryMetricFamily(family.name, family.help, labels=family.labels)
        counts, sums = (self.found.get(f"{family.name}{suffix}", {}) for suffix in ("_count", "_sum"))
        for labels in sorted(counts.keys() | sums.keys()):
            made.add_metric(labels, count_value=int(counts.get(labels, 0)), sum_value=sums.get(labels, 0))
        return made


def exposition(
    site: SiteFiles,
    *,
    at: datetime | None = None,
    configuration_valid: bool | None = None,
    tick: datetime | None = None,
) -> bytes:
    """Return every family, in UTF-8. Raises StateError if the store cannot be read.

    A daemon passes whether its last read of the files was valid, and when it last checked what is due. Otherwise the
    files are read now, and there is no tick.
    """
    found, at = Samples(), at or datetime.now(UTC)
    targets, schedules, rules, valid = _configured(site)
    readings = read(site.store) if site.state_path.exists() else Readings()
    found.set("aishell_build_info", 1, version=VERSION)
    found.set("aishell_configuration_valid", valid if configuration_valid is None else configuration_valid)
    found.set("aishell_state_bytes", _bytes(site))
    if tick is not None:
        found.set("aishell_tick_timestamp_seconds", tick.timestamp())
    for target in targets:
        for metric in _FROM_ZERO:
            found.set(metric, 0, target=target)
    _totals(found, readings, schedules, rules)
    _queues(found, readings, at)
    found.set("aishell_notifications_waiting", readings.undelivered)
    for severity in events.SEVERITIES:
        found.set("aishell_incidents_open", (readings.incidents or {}).get(severity, 0), severity=severity)
    _health(found, readings)
    found.set("aishell_hold", 0, target="")
    for hold in site.held():
        found.set("aishell_hold", 1, target=hold.target)
    if valid:  # the configuration names the place of backups
        _backups(found, site, targets, at)
    _schedules(found, site, schedules, readings, at)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(found)
    return generate_latest(registry)


def _configured(site: SiteFiles) -> tuple[list[str], Mapping[str, Schedule], list[str], bool]:
    """Return the names of the targets, the schedules, the names of notification rules, and whether all files are valid.

    If not, what could be read of them.
    """
    targets: list[str] = []
    try:
        targets = site.target_names
        _ = site.policy
        schedules, notifications = site.schedules.by_name, site.notifications
        rules = [rule.name for rule in notifications.trials if rule.to]
        return (
            targets,
            schedules,
            [*rules, *(["heartbeat"] if any(s.heartbeat_url for s in schedules.values()) else [])],
            True,
        )
    except StateError:
        raise
    except UsageError:
        return targets, {}, [], False


def _bytes(site: SiteFiles) -> int:
    """Sizes by path alone: opening and closing the file would drop SQLite's locks of this process."""
    files = (site.state_path, site.state_path.with_name(f"{site.state_path.name}-wal"))
    return sum(path.stat().st_size for path in files if path.exists())


def _totals(found: Samples, readings: Readings, schedules: Mapping[str, Schedule], rules: list[str]) -> None:
    for rule in rules:
        for status in DELIVERY_STATUSES:
            found.set("aishell_notifications_total", 0, rule=rule, status=status)
    for name in schedules:
        for status in LEDGER_STATUSES:
            found.set("aishell_schedule_runs_total", 0, schedule=name, status=status)
    for total in readings.totals:
        if total.metric == "aishell_run_duration_seconds_sum":
            for status in RUN_STATUSES:
                found.set("aishell_runs_total", 0, **total.labels, status=status)
    for total in readings.totals:
        found.set(total.metric, total.value, **total.labels)


def _queues(found: Samples, readings: Readings, at: datetime) -> None:
    """Set what is pending on each target: work for a window, approvals, connections."""
    for row in readings.backlog:
        found.set("aishell_backlog_items", row.items, target=row.target)
        found.set("aishell_backlog_age_seconds", _since(row.oldest, at), target=row.target)
        found.set("aishell_backlog_forecast_seconds", row.seconds, target=row.target)
    for row in readings.waiting:
        found.set("aishell_approvals_waiting", row.waiting, target=row.target)
        found.set("aishell_approval_waiting_seconds", _since(row.oldest, at), target=row.target)
    for one in readings.breakers:
        found.set("aishell_breaker_open", {CLOSED: 0, HALF_OPEN: 0.5, OPEN: 1}[one.state(at)], target=one.target)


def _health(found: Samples, readings: Readings) -> None:
    for row in readings.health:
        known = health(row.target, row.run_id, row.at, row.output)
        found.set("aishell_target_health_score", known.score, target=row.target)
        found.set("aishell_target_health_timestamp_seconds", _seconds(row.at), target=row.target)
        for severity in SEVERITIES:
            found.set("aishell_target_findings", known.count(severity), target=row.target, severity=severity)


def _backups(found: Samples, site: SiteFiles, targets: list[str], at: datetime) -> None:
    for metric in ("aishell_backup_age_seconds", "aishell_backup_verified_age_seconds"):
        for target in targets:
            found.set(metric, float("inf"), target=target)
    entries = [entry for entry in site.backup_store.entries() if not entry.replaced]
    for entry in entries:  # oldest first
        level = 0 if entry.wrong else VERIFICATION_LEVELS.index(entry.verification_level)
        found.set("aishell_backup_verification_level", level, target=entry.target)
    for verified, name in ((False, "aishell_backup_age_seconds"), (True, "aishell_backup_verified_age_seconds")):
        for target, entry in newest(entries, verified=verified).items():
            found.set(name, _since(entry.started_at, at), target=target)


def _schedules(
    found: Samples, site: SiteFiles, schedules: Mapping[str, Schedule], readings: Readings, at: datetime
) -> None:
    known = site.ledger.known() if schedules and site.state_path.exists() else {}
    for name, one in schedules.items():
        row: ScheduleState | None = known.get(name)
        pause = None if row is None else row.pause
        skipped = site.ledger.left_out(name) if row is not None else set[datetime]()
        found.set("aishell_schedule_paused", pause is not None and pause.holds(at), schedule=name)
        following = next(coming(one, at, pause, skipped), None)
        if following is not None:
            found.set("aishell_schedule_next_timestamp_seconds", following.timestamp(), schedule=name)
        if row is not None:
            unbegun = (readings.unbegun or {}).get(name) or at.isoformat()
            undecided = next(coming(one, row.settled, pause, skipped), at)
            since = min(undecided, datetime.fromisoformat(unbegun))
            found.set("aishell_schedule_lateness_seconds", max(0.0, (at - since).total_seconds()), schedule=name)
        if (last := (readings.succeeded or {}).get(name)) is not None:
            found.set("aishell_schedule_last_success_timestamp_seconds", _seconds(last), schedule=name)


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _since(text: str, at: datetime) -> float:
    return max(0.0, (at - datetime.fromisoformat(text)).total_seconds())
