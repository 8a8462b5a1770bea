"""One look at what is to be told: causes since the last look, how things stand, and what is due. `tell` never raises for that.

The daemon calls `tell` as a job; `aishell run`, `runs resume` and `schedule run-due` do at their end (`told_at_end`).
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

Said = Callable[[str], None]
#: The metrics of backups, and whether they are about verified ones.
BACKUP_AGES = {"last_backup_age": False, "last_verified_backup_age": True}


@dataclass(frozen=True)
class Deliveries:
    """What a look came to: messages that were decided, sent, and not sent."""

    decided: int = 0
    sent: int = 0
    failed: int = 0


def tell(site: SiteFiles, at: datetime | None = None, *, patience: float = PATIENCE) -> Deliveries:
    """Decide what is to be told, and deliver what is due. Raises AishellError where configuration or state cannot be read.

    That a service cannot be reached is recorded and tried again, and no error.
    """
    at = at or datetime.now(UTC)
    asked = wanted(site)
    if not site.state_path.exists():
        return Deliveries()
    decided = _decide(site, at) if asked else 0
    if not asked:
        site.outbox.stop()
    tried = list(_deliver(site, at, patience))
    if made := _decide_digest(site, at):  # after what was tried: it tells what could not be delivered
        decided += made
        tried += _deliver(site, at, patience)
    Digests(site.store).tidy()
    site.outbox.prune(site.settings.keep_notifications)
    return Deliveries(decided, sum(tried), len(tried) - sum(tried))


@contextmanager
def told_at_end(site: SiteFiles, say: Said, *, scheduled: bool = False) -> Iterator[None]:
    """Tell of what happens within when it ends, also by an error; what hinders that is said, and no error.

    `scheduled`: heartbeats of schedules are to be sent, though there are no rules.
    Raises SettingsError at its beginning, before anything is done, where notifications or schedules are configured wrongly.
    """
    if not (wanted(site) if scheduled else site.notifications.rules):
        yield
        return
    # Before anything happens, and not before: a run that is refused makes no store.
    site.at_opening = lambda store: Outbox(store).begin()
    if "store" in site.__dict__:
        site.outbox.begin()
    try:
        yield
    except KeyboardInterrupt:
        raise  # whoever leaves now waits for nobody's mail server; the next look tells of it
    except BaseException:
        _tell_or_say(site, say)
        raise
    _tell_or_say(site, say)


def _tell_or_say(site: SiteFiles, say: Said) -> None:
    try:
        told = tell(site)
    except Exception as error:  # whatever it is, the work is done and has its own exit code
        known = error if isinstance(error, AishellError) else unexpected(error)
        say(f"notifications could not be sent: {known.message}")
        return
    if told.failed:
        say(
            f"{told.failed} notification(s) could not be delivered and will be tried again: `{command('notify', 'list')}`"
        )


def wanted(site: SiteFiles) -> bool:
    """Whether anything of the site is to be told to anybody. Raises SettingsError."""
    return bool(site.notifications.rules or site.notifications.digest or _heartbeats(site))


def _heartbeats(site: SiteFiles) -> dict[str, str]:
    """Schedule -> the URL that is called after each success."""
    return {name: one.heartbeat_url for name, one in site.schedules.by_name.items() if one.heartbeat_url}


def _decide(site: SiteFiles, at: datetime) -> int:
    site.outbox.begin()
    targets = {name: site.settings.targets[name].labels for name in site.target_names}
    judge = Judge(site.notifications, targets, list(site.schedules.by_name), _heartbeats(site))
    watching = judge.watching
    standings = [
        standing
        for rule in watching
        if rule.when is not None
        for standing in judge.standing(rule, *_measured(site, rule.when.metric, at))
    ]
    names = {rule.name for rule in site.notifications.rules}
    made = site.outbox.watch(standings, names, {rule.name for rule in watching}, at)
    return made + site.outbox.decide(TYPES, judge.happened, at)


def _measured(site: SiteFiles, metric: str, at: datetime) -> tuple[Mapping[str, float], float | None]:
    """A metric by what it is of, and its value where nothing is known of one."""
    if metric == "health_score":
        scores = ((row.target, health(row.target, row.run_id, row.at, row.output).score) for row in checks(site.store))
        return {target: float(score) for target, score in scores}, None
    if metric in BACKUP_AGES:
        from aishell.backups.store.catalog import newest

        # Looked for on the disk: one whose folder is gone is none.
        found = newest(site.backup_store.entries(), verified=BACKUP_AGES[metric])
        begun = {target: datetime.fromisoformat(one.started_at) for target, one in found.items()}
        return {target: (at - since).total_seconds() for target, since in begun.items()}, inf
    return measure(site.store, metric, at)


def _decide_digest(site: SiteFiles, at: datetime) -> int:
    """Have the digest of a night sent whose time has come."""
    digest, digests = site.notifications.digest, Digests(site.store)
    if digest is None:
        return 0
    day, due = digest.due(at)
    since = digests.since(day, due, at)
    if since is None:
        return 0
    # Once a day, and every run at whose end people are told comes by here.
    from aishell.digest import night_of
    from aishell.reporting import pages
    from aishell.reporting.formats import written

    night = night_of(site, since, at, digest.told(day, due, at))
    page = written(digest.format, pages.digest(night), {})
    gist = written(TEXT if digest.format == HTML else digest.format, pages.gist(night), {})
    number = len(night.needs)
    needs = f"{number} need{'s' if number == 1 else ''} a person" if number else "nothing needs a person"
    title = f"aishell on {socket.gethostname()}: digest of {day}: {needs}"
    said = ("warning" if number else "info", title, gist)
    return digests.decide(day, since, at, page, digest.format, said, digest.to)


def _deliver(site: SiteFiles, at: datetime, patience: float) -> Iterator[bool]:
    """Deliver what is due; whether each that was tried was sent."""
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
    """What a digest is, beside its gist."""
    digest = Digests(site.store).of(row.cause) if row.kind == DIGEST else None
    if digest is None or digest.page is None:
        return {}
    name = f"digest-{digest.night}{ENDINGS[digest.format][0]}"
    return {"page": digest.page, "format": digest.format, "name": name}


def try_out(site: SiteFiles, rules: Iterable[NotificationRule]) -> Iterator[tuple[str, str, Delivery]]:
    """Send a test message by rules, past the outbox; rule, service and what became of it, in the order of the rules."""
    asked = [(rule, service) for rule in rules for service in rule.to]
    parcels = defaultdict[str, list[dict[str, str | int]]](list)
    for number, (rule, service) in enumerate(asked):
        told = f"condition {rule.when.text}" if rule.when else ", ".join(rule.events) or "one report a night"
        body = f"A test of {rule.name} ({told}) on host {socket.gethostname()}. Nothing has happened."
        parcels[service].append({"number": number, "severity": "info", "title": f"test of {rule.name}", "body": body})
    services = site.notifications.services
    brought = deliver(Parcel(name, partial(url_of, services[name]), messages) for name, messages in parcels.items())
    ended = {one.number: one for one in brought}
    for number, (rule, service) in enumerate(asked):
        untried = Delivery(number, False, "not tried: the message before it did not come to an end")
        yield rule.name, service, ended.get(number, untried)
