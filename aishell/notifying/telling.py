"""One look at what is to be told: causes since the last look, how things stand, and what is due. `tell` never raises for that.

The daemon calls `tell` as a job; `aishell run`, `runs resume` and `schedule run-due` do at their end (`notified_at_end`).
"""

from __future__ import annotations

import socket
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from math import inf

from aishell.commands import command
from aishell.errors import AishellError
from aishell.notifying.delivering import MOST, PATIENCE, Parcel, deliver, url_of
from aishell.notifying.happenings import TYPES
from aishell.notifying.judging import Judge
from aishell.notifying.rules import NotificationRule
from aishell.notifying.sending import HTML, TEXT, Delivery
from aishell.reporting.formats import ENDINGS
from aishell.reporting.health import health
from aishell.site_files import SiteFiles
from aishell.state.connection import Record
from aishell.state.digests import Digests
from aishell.state.measures import measure
from aishell.state.outbox import DIGEST, HEARTBEAT, Outbox
from aishell.state.readings import checks
from aishell.telemetry.tracebacks import unexpected

Report = Callable[[str], None]
#: The metrics of backups, and whether they are about verified ones.
BACKUP_AGES = {"last_backup_age": False, "last_verified_backup_age": True}


@dataclass(frozen=True)
class Deliveries:
    """Numbers of messages decided, sent, and not sent."""

    decided: int = 0
    sent: int = 0
    failed: int = 0


def tell(site: SiteFiles, at: datetime | None = None, *, patience: float = PATIENCE) -> Deliveries:
    """Decide new notifications and deliver due ones. Raises AishellError if configuration or state cannot be read.

    An unreachable service is not an error: it is recorded and tried again.
    """
    at = at or datetime.now(UTC)
    enabled = wanted(site)
    if not site.state_path.exists():
        return Deliveries()
    decided = _decide(site, at) if enabled else 0
    if not enabled:
        site.outbox.stop()
    tried = list(_deliver(site, at, patience))
    if made := _decide_digest(site, at):  # after the others: it reports what could not be delivered
        decided += made
        tried += _deliver(site, at, patience)
    Digests(site.store).tidy()
    site.outbox.prune(site.settings.keep_notifications)
    return Deliveries(decided, sum(tried), len(tried) - sum(tried))


@contextmanager
def notified_at_end(site: SiteFiles, report: Report, *, scheduled: bool = False) -> Iterator[None]:
    """Send notifications when the block ends, also by an error. A failure to send is reported, not raised.

    `scheduled`: also send heartbeats of schedules, even without rules.
    Raises SettingsError before the block if notifications or schedules are misconfigured.
    """
    if not (wanted(site) if scheduled else site.notifications.rules):
        yield
        return
    # When the store is opened: a run that is refused creates no store.
    site.at_opening = lambda store: Outbox(store).begin()
    if "store" in site.__dict__:
        site.outbox.begin()
    try:
        yield
    except KeyboardInterrupt:
        raise  # do not wait for a mail server now; the next call sends it
    except BaseException:
        _tell_or_report(site, report)
        raise
    _tell_or_report(site, report)


def _tell_or_report(site: SiteFiles, report: Report) -> None:
    try:
        counts = tell(site)
    except Exception as error:  # the command's work is done and has its own exit code
        known = error if isinstance(error, AishellError) else unexpected(error)
        report(f"notifications could not be sent: {known.message}")
        return
    if counts.failed:
        report(
            f"{counts.failed} notification(s) could not be delivered and will be tried again: `{command('notify', 'list')}`"
        )


def wanted(site: SiteFiles) -> bool:
    """Whether the site has rules, a digest or heartbeats. Raises SettingsError."""
    return bool(site.notifications.rules or site.notifications.digest or _heartbeats(site))


def _heartbeats(site: SiteFiles) -> dict[str, str]:
    """Schedule -> the URL requested after each success."""
    return {name: one.heartbeat_url for name, one in site.schedules.by_name.items() if one.heartbeat_url}


def _decide(site: SiteFiles, at: datetime) -> int:
    site.outbox.begin()
    targets = {name: site.settings.targets[name].labels for name in site.target_names}
    judge = Judge(site.notifications, targets, list(site.schedules.by_name), _heartbeats(site))
    watching = judge.watching
    states = [
        state
        for rule in watching
        if rule.when is not None
        for state in judge.incident_states(rule, *_measured(site, rule.when.metric, at))
    ]
    names = {rule.name for rule in site.notifications.rules}
    made = site.outbox.watch(states, names, {rule.name for rule in watching}, at)
    return made + site.outbox.decide(TYPES, judge.happened, at)


def _measured(site: SiteFiles, metric: str, at: datetime) -> tuple[Mapping[str, float], float | None]:
    """The values of a metric by subject, and its value for subjects without one."""
    if metric == "health_score":
        scores = ((row.target, health(row.target, row.run_id, row.at, row.output).score) for row in checks(site.store))
        return {target: float(score) for target, score in scores}, None
    if metric in BACKUP_AGES:
        from aishell.backups.store.catalog import newest

        # Checked on disk: a backup without its folder does not count.
        found = newest(site.backup_store.entries(), verified=BACKUP_AGES[metric])
        begun = {target: datetime.fromisoformat(one.started_at) for target, one in found.items()}
        return {target: (at - since).total_seconds() for target, since in begun.items()}, inf
    return measure(site.store, metric, at)


def _decide_digest(site: SiteFiles, at: datetime) -> int:
    """Put the digest into the outbox if it is due; the number of messages."""
    digest, digests = site.notifications.digest, Digests(site.store)
    if digest is None:
        return 0
    day, due = digest.due(at)
    since = digests.since(day, due, at)
    if since is None:
        return 0
    # Imported here: needed once a day, but every run gets this far.
    from aishell.digest import night_of
    from aishell.reporting import pages
    from aishell.reporting.formats import written

    night = night_of(site, since, at, digest.heading(day, due, at))
    page = written(digest.format, pages.digest(night), {})
    gist = written(TEXT if digest.format == HTML else digest.format, pages.gist(night), {})
    number = len(night.needs)
    needs = f"{number} need{'s' if number == 1 else ''} a person" if number else "nothing needs a person"
    title = f"aishell on {socket.gethostname()}: digest of {day}: {needs}"
    message = ("warning" if number else "info", title, gist)
    return digests.decide(day, since, at, page, digest.format, message, digest.to)


def _deliver(site: SiteFiles, at: datetime, patience: float) -> Iterator[bool]:
    """Deliver due messages; for each that was tried, whether it was sent."""
    due = site.outbox.claim(lambda severity: site.notifications.held_back(severity, at), at, MOST)
    left = {row.id for row in due}
    parcels = defaultdict[tuple[str, str], list[Record]](list)
    heartbeats = _heartbeats(site)
    for row in due:
        known = heartbeats if row.kind == HEARTBEAT else site.notifications.services
        if row.service not in known:
            what = "heartbeat_url of the schedule" if row.kind == HEARTBEAT else "service"
            site.outbox.failed(row.id, f"the {what} {row.service!r} is no longer configured", at, for_good=True)
            left.remove(row.id)
            continue
        parcels[row.kind, row.service].append(row)
    for one in deliver((_parcel(site, *place, rows) for place, rows in parcels.items()), patience):
        left.discard(one.number)
        if one.sent:
            site.outbox.sent(one.number)
        else:
            site.outbox.failed(one.number, one.reason, at)
        yield one.sent
    for number in left:
        site.outbox.untried(number, at)


def _parcel(site: SiteFiles, kind: str, service: str, rows: list[Record]) -> Parcel:
    messages: list[dict[str, str | int]] = [
        {"number": row.id, "severity": row.severity, "title": row.title, "body": row.body, **_report(site, row)}
        for row in rows
    ]
    if kind == HEARTBEAT:
        return Parcel(service, partial(_heartbeats(site).__getitem__, service), messages, heartbeat=True)
    return Parcel(service, partial(url_of, site.notifications.services[service]), messages)


def _report(site: SiteFiles, row: Record) -> dict[str, str]:
    """The report of a digest's message; empty for others."""
    digest = Digests(site.store).of(row.cause) if row.kind == DIGEST else None
    if digest is None or digest.page is None:
        return {}
    name = f"digest-{digest.night}{ENDINGS[digest.format][0]}"
    return {"page": digest.page, "format": digest.format, "name": name}


def try_out(site: SiteFiles, rules: Iterable[NotificationRule]) -> Iterator[tuple[str, str, Delivery]]:
    """Send test messages without the outbox; rule, service and outcome, in the order of the rules."""
    trials = [(rule, service) for rule in rules for service in rule.to]
    parcels = defaultdict[str, list[dict[str, str | int]]](list)
    for number, (rule, service) in enumerate(trials):
        cause = f"condition {rule.when.text}" if rule.when else ", ".join(rule.events) or "one report a night"
        body = f"A test of {rule.name} ({cause}) on host {socket.gethostname()}. Nothing has happened."
        parcels[service].append({"number": number, "severity": "info", "title": f"test of {rule.name}", "body": body})
    services = site.notifications.services
    delivered = deliver(Parcel(name, partial(url_of, services[name]), messages) for name, messages in parcels.items())
    ended = {one.number: one for one in delivered}
    for number, (rule, service) in enumerate(trials):
        untried = Delivery(number, False, "not tried: the message before it was not delivered")
        yield rule.name, service, ended.get(number, untried)
