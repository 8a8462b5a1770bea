"""What monitors read: the families of docs/glossary.md as Prometheus' text format 0.0.4, from state.db and the configuration.

`exposition(site)` is all of it: `aishell metrics` prints it, and a server sends it as `/metrics` with `CONTENT_TYPE`. It reads,
and writes nothing; runs are other processes, so nothing is counted in this one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from aishell.backups.store.catalog import VERIFICATION_LEVELS, newest
from aishell.errors import StateError, UsageError
from aishell.notifying import events
from aishell.reporting.health import SEVERITIES, health
from aishell.scheduling.due import coming
from aishell.scheduling.going_on import paused
from aishell.state.breakers import CLOSED, HALF_OPEN, OPEN
from aishell.state.readings import Readings, read
from aishell.state.schedule_runs import Known
from aishell.version import VERSION

if TYPE_CHECKING:
    from aishell.scheduling.schedules import Schedule
    from aishell.site_files import SiteFiles

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
#: Statuses that are 0 until they come: a counter that begins at 1 has not increased, says Prometheus.
RUN_STATUSES = ("success", "partial", "failure", "rejected", "cancelled")
LEDGER_STATUSES = ("done", "failed", "missed", "skipped")
DELIVERY_STATUSES = ("sent", "failed")


@dataclass(frozen=True)
class Family:
    """A metric as it is published. `kind`: counter | gauge | summary."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str


FAMILIES = (
    Family("aishell_build_info", "gauge", ("version",), "The release that wrote this."),
    Family(
        "aishell_runs_total",
        "counter",
        ("agent", "target", "status"),
        "Runs that ended; one that failed and was resumed has ended twice.",
    ),
    Family(
        "aishell_run_duration_seconds",
        "summary",
        ("agent", "target"),
        "Time that runs worked, without waiting for people; the count is of runs that ended.",
    ),
    Family(
        "aishell_run_last_end_timestamp_seconds",
        "gauge",
        ("agent", "target", "status"),
        "When the last such run ended.",
    ),
    Family("aishell_steps_total", "counter", ("tool", "target", "status"), "Outcomes of steps."),
    Family("aishell_step_duration_seconds", "summary", ("tool", "target"), "Time of the attempts of steps that ended."),
    Family(
        "aishell_bytes_reclaimed_total", "counter", ("target",), "Bytes that steps gave back; growth takes none off."
    ),
    Family("aishell_rows_deleted_total", "counter", ("target",), "Rows that steps deleted, at least."),
    Family(
        "aishell_backup_age_seconds", "gauge", ("target",), "Age of the newest backup with no damage known; +Inf: none."
    ),
    Family(
        "aishell_backup_verified_age_seconds", "gauge", ("target",), "Age of the newest verified backup; +Inf: none."
    ),
    Family(
        "aishell_backup_verification_level",
        "gauge",
        ("target",),
        "Of the newest backup: 0 written or wrong, 1 checksummed, 2 readable, 3 restored and compared.",
    ),
    Family("aishell_backlog_items", "gauge", ("target",), "What windows left undone."),
    Family(
        "aishell_backlog_age_seconds", "gauge", ("target",), "Time since the oldest of it was left; 0: nothing was."
    ),
    Family(
        "aishell_backlog_forecast_seconds", "gauge", ("target",), "What it is expected to take, as far as is known."
    ),
    Family("aishell_approvals_waiting", "gauge", ("target",), "Steps that wait for a person."),
    Family("aishell_approval_waiting_seconds", "gauge", ("target",), "Time since the oldest of them was asked for."),
    Family(
        "aishell_breaker_open",
        "gauge",
        ("target",),
        "1 where no connection is tried for a while, 0.5 where one is or may be tried, 0 otherwise.",
    ),
    Family(
        "aishell_schedule_runs_total",
        "counter",
        ("schedule", "status"),
        "Nominal times by what became of them, one for each target.",
    ),
    Family(
        "aishell_schedule_lateness_seconds",
        "gauge",
        ("schedule",),
        "Time since the oldest nominal time that has come and that nothing has begun.",
    ),
    Family("aishell_schedule_next_timestamp_seconds", "gauge", ("schedule",), "The next nominal time."),
    Family(
        "aishell_schedule_last_success_timestamp_seconds",
        "gauge",
        ("schedule",),
        "When a nominal time last ended with success on every target.",
    ),
    Family("aishell_schedule_paused", "gauge", ("schedule",), "1 where the schedule is paused."),
    Family(
        "aishell_target_health_score",
        "gauge",
        ("target",),
        "From 0 to 100, by the newest health check; below 50: something critical.",
    ),
    Family("aishell_target_health_timestamp_seconds", "gauge", ("target",), "When that check was made."),
    Family("aishell_target_findings", "gauge", ("target", "severity"), "Its findings."),
    Family(
        "aishell_notifications_total",
        "counter",
        ("rule", "status"),
        "Notifications by what became of them; those of no rule are `digest` and `heartbeat`.",
    ),
    Family("aishell_notifications_waiting", "gauge", (), "Notifications that are decided and not yet delivered."),
    Family("aishell_incidents_open", "gauge", ("severity",), "Alarms whose cause is not gone."),
    Family("aishell_hold", "gauge", ("target",), "1 where no new step begins; the empty target: anywhere."),
    Family("aishell_configuration_valid", "gauge", (), "0 where the files of config/ cannot be used."),
    Family("aishell_state_bytes", "gauge", (), "Size of state.db, its write-ahead log included."),
    Family("aishell_tick_timestamp_seconds", "gauge", (), "When the daemon last looked what is due."),
)
_BY_NAME = {family.name: family for family in FAMILIES}


@dataclass
class Samples:
    """Values by metric and labels, in the order of FAMILIES' labels. A summary's are under `NAME_sum` and `NAME_count`."""

    found: dict[str, dict[tuple[str, ...], float]] = field(default_factory=lambda: defaultdict(dict))

    def set(self, metric: str, value: float, **labels: str) -> None:
        name = metric.removesuffix("_sum").removesuffix("_count")
        self.found[metric][tuple(labels[label] for label in _BY_NAME[name].labels)] = value


class _Once(Collector):
    """What was read, as prometheus-client wants it."""

    def __init__(self, samples: Samples) -> None:
        self.found = samples.found

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

    def _summary(self, family: Family) -> Metric:
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
    """Every family, UTF-8. Raises StateError when the store cannot be read.

    A daemon says whether the files it last read were valid, and when it last looked what is due; without it the files are read
    now, and there was no tick.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once(samples(site, at or datetime.now(UTC), configuration_valid, tick)))
    return generate_latest(registry)


def samples(
    site: SiteFiles, at: datetime, configuration_valid: bool | None = None, tick: datetime | None = None
) -> Samples:
    """The values behind it."""
    found = Samples()
    targets, schedules, rules, valid = _configured(site)
    there = site.state_path.exists()
    readings = read(site.store) if there else Readings()
    found.set("aishell_build_info", 1, version=VERSION)
    found.set("aishell_configuration_valid", valid if configuration_valid is None else configuration_valid)
    found.set("aishell_state_bytes", _bytes(site))
    if tick is not None:
        found.set("aishell_tick_timestamp_seconds", tick.timestamp())
    for target in targets:
        found.set("aishell_bytes_reclaimed_total", 0, target=target)
        found.set("aishell_rows_deleted_total", 0, target=target)
    _totals(found, readings, schedules, rules)
    _backlog(found, readings, targets, at)
    _approvals(found, readings, targets, at)
    _breakers(found, readings, targets, at)
    found.set("aishell_notifications_waiting", readings.undelivered)
    for severity in events.SEVERITIES:
        found.set("aishell_incidents_open", (readings.incidents or {}).get(severity, 0), severity=severity)
    _health(found, readings)
    for target in ("", *targets):
        found.set("aishell_hold", 0, target=target)
    for hold in site.held():
        found.set("aishell_hold", 1, target=hold.target)
    if valid:  # where they are kept is configured
        _backups(found, site, targets, at)
    _schedules(found, site, schedules, readings, at)
    return found


def _configured(site: SiteFiles) -> tuple[list[str], Mapping[str, Schedule], list[str], bool]:
    """Names of the targets, the schedules, names of what is told, and whether all files can be used.

    What can be read of them where not.
    """
    targets: list[str] = []
    try:
        targets = site.target_names
        _ = site.policy
        schedules, told = site.schedules.by_name, site.notifications
        rules = [rule.name for rule in told.trials if rule.to]
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
    """By their names alone: closing a handle on the file would drop SQLite's locks of this process."""
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


def _backlog(found: Samples, readings: Readings, targets: list[str], at: datetime) -> None:
    for target in targets:
        for name in ("items", "age_seconds", "forecast_seconds"):
            found.set(f"aishell_backlog_{name}", 0, target=target)
    for row in readings.backlog:
        found.set("aishell_backlog_items", row.items, target=row.target)
        found.set("aishell_backlog_age_seconds", _since(row.oldest, at), target=row.target)
        found.set("aishell_backlog_forecast_seconds", row.seconds, target=row.target)


def _approvals(found: Samples, readings: Readings, targets: list[str], at: datetime) -> None:
    for target in targets:
        found.set("aishell_approvals_waiting", 0, target=target)
        found.set("aishell_approval_waiting_seconds", 0, target=target)
    for row in readings.waiting:
        found.set("aishell_approvals_waiting", row.waiting, target=row.target)
        found.set("aishell_approval_waiting_seconds", _since(row.oldest, at), target=row.target)


def _breakers(found: Samples, readings: Readings, targets: list[str], at: datetime) -> None:
    for target in targets:
        found.set("aishell_breaker_open", 0, target=target)
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
    for target in targets:
        found.set("aishell_backup_age_seconds", float("inf"), target=target)
        found.set("aishell_backup_verified_age_seconds", float("inf"), target=target)
    entries = [entry for entry in site.backup_store.entries() if not entry.replaced]
    for entry in entries:  # the oldest first
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
        row: Known | None = known.get(name)
        pause = paused(row)
        skipped = site.ledger.left_out(name) if row is not None else set[datetime]()
        found.set("aishell_schedule_paused", pause is not None and pause.holds(at), schedule=name)
        following = next(coming(one, at, pause, skipped), None)
        if following is not None:
            found.set("aishell_schedule_next_timestamp_seconds", following.timestamp(), schedule=name)
        if row is not None:
            unbegun = (readings.unbegun or {}).get(name)
            undecided = next(coming(one, row.settled, pause, skipped), at)
            since = min(undecided, datetime.fromisoformat(unbegun) if unbegun else at)
            found.set("aishell_schedule_lateness_seconds", max(0.0, (at - since).total_seconds()), schedule=name)
        if (last := (readings.succeeded or {}).get(name)) is not None:
            found.set("aishell_schedule_last_success_timestamp_seconds", _seconds(last), schedule=name)


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _since(text: str, at: datetime) -> float:
    return max(0.0, (at - datetime.fromisoformat(text)).total_seconds())
