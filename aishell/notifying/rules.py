"""`config/notifications.yaml` as values: services, and the rules that decide who is notified of what."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from fnmatch import fnmatchcase
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from aishell.agents.configuration import configured
from aishell.agents.loading import load_agent
from aishell.agents.monitoring import ADMIN, INCIDENT, alerts
from aishell.errors import UnknownNameError, UsageError
from aishell.models import server_of
from aishell.moments import at
from aishell.notifying.conditions import RUN, SCHEDULE, SITE, TARGET, Condition
from aishell.notifying.events import CRITICAL, EVENTS, WARNING, reaches
from aishell.scheduling.times import Window, instant, seconds
from aishell.settings.files import checked, read
from aishell.settings.schemas import NOTIFICATIONS
from aishell.settings.validation import Known, wrong
from aishell.settings.yamlfile import Document

FILE = "notifications.yaml"
#: A digest sent later than this is marked as late.
LATE = timedelta(minutes=15)
_UTC = ZoneInfo("UTC")
#: The keys of a rule that choose events by what they concern.
CHOOSING = ("target", "label", "schedule")
#: What a metric describes -> the keys that can choose a condition on it.
_CHOSEN_BY = {RUN: CHOOSING, TARGET: ("target", "label"), SCHEDULE: ("schedule",), SITE: ()}


@dataclass(frozen=True)
class Service:
    """Where the URL of a service, a secret, is found outside of the site's files. Exactly one of the three is set."""

    name: str
    url_env: str | None = None
    url_file: str | None = None
    url_command: tuple[str, ...] = ()


@dataclass(frozen=True)
class Facets:
    """What an event or metric concerns; rules choose by it."""

    target: str = ""
    labels: Collection[str] = ()
    schedule: str = ""
    agent: str = ""


@dataclass(frozen=True)
class NotificationRule:
    """Whom to notify of which `events` or condition. `severity`: the least severity of events, or that of the condition.

    `agent`: only its runs. `incident`: a condition on runs opens an incident, which the next run where it does not hold
    closes; other conditions always do.
    """

    name: str
    to: tuple[str, ...]
    events: tuple[str, ...] = ()
    when: Condition | None = None
    severity: str | None = None
    target: str = "*"
    label: str = "*"
    schedule: str = "*"
    every: timedelta | None = None
    agent: str | None = None
    incident: bool = False
    figures: tuple[str, ...] = ()  # metrics of a run to include in messages

    def chooses(self, about: Facets) -> bool:
        """Whether its globs match."""
        return (
            self.agent in (None, about.agent)
            and any(fnmatchcase(name, self.target) for name in (about.target, server_of(about.target)))
            and (self.label == "*" or any(fnmatchcase(label, self.label) for label in about.labels))
            and fnmatchcase(about.schedule, self.schedule)
        )

    def wants(self, event: str, severity: str, about: Facets) -> bool:
        """Whether it notifies of an event."""
        return event in self.events and reaches(severity, self.severity) and self.chooses(about)

    @property
    def own_severity(self) -> str:
        """The severity of its condition."""
        return self.severity or WARNING


@dataclass(frozen=True)
class NightlyDigest:
    """`digest:` of notifications.yaml: one report for each local day of the zone, due `at` a time of day."""

    at: time
    to: tuple[str, ...]
    format: str
    zone: ZoneInfo

    def due(self, now: datetime) -> tuple[date, datetime]:
        """The latest day whose digest is due, and when it became due.

        Each day has one instant: the first of two if the time of day is repeated, the end of the gap if it is skipped.
        """
        today = now.astimezone(self.zone).date() + timedelta(days=1)  # a skipped day ends with the next
        for day in (today - number * timedelta(days=1) for number in count()):
            moment = instant(datetime.combine(day, self.at), self.zone)
            if moment <= now:
                return day, moment
        raise AssertionError("days go back without an end")

    def heading(self, day: date, due: datetime, now: datetime) -> str:
        """Its day, `2026-11-23`, with both times if it is late."""
        if now - due <= LATE:
            return f"{day}"
        return f"{day}, late: due at {at(due.astimezone(self.zone))}, made at {at(now.astimezone(self.zone))}"


@dataclass(frozen=True)
class Notifications:
    """Services by name, rules (of the file, and alerts of agents' files), and the nightly digest."""

    services: Mapping[str, Service] = field(default_factory=dict)
    rules: tuple[NotificationRule, ...] = ()
    quiet_hours: Window | None = None
    digest: NightlyDigest | None = None
    zone: ZoneInfo = _UTC
    path: str = FILE

    @property
    def trials(self) -> tuple[NotificationRule, ...]:
        """What can be tested: the rules and the digest."""
        return (*self.rules, *([NotificationRule("digest", self.digest.to)] if self.digest is not None else []))

    def named(self, name: str) -> NotificationRule:
        """Raises UnknownNameError."""
        found = {rule.name: rule for rule in reversed(self.trials)}
        if name not in found:
            raise UnknownNameError("rule", name, found, self.path)
        return found[name]

    def held_back(self, severity: str, moment: datetime) -> datetime | None:
        """The end of the quiet hours that delay a message of this severity; None if it can be sent now."""
        if self.quiet_hours is None or severity == CRITICAL:
            return None
        return self.quiet_hours.end(moment, self.zone)


def load_notifications(config: Path, known: Known) -> Notifications:
    """Services and rules of a config folder, including the alerts of its agents' files.

    `known`: targets, labels and schedules. Raises SettingsError, with file and line.
    """
    path = str(config / FILE)
    document = read(config / FILE, path) or Document(path, {})
    data = checked(document, NOTIFICATIONS, known)
    services = {str(name): _service(document, str(name), one) for name, one in (data.get("services") or {}).items()}
    if services and find_spec("apprise") is None:
        message = "notifications need apprise, which is not installed"
        raise wrong(document, "services", message=message, hint="pip install 'aishell[notifications]'")
    rules = [_rule(document, number, one, services) for number, one in enumerate(data.get("rules") or ())]
    window = None
    if data.get("quiet_hours") is not None:
        try:
            window = Window.parse(data["quiet_hours"])
        except ValueError as error:
            raise wrong(document, "quiet_hours", message=str(error), hint='write e.g. "22:00-06:00"') from error
    zone = ZoneInfo(data.get("time_zone") or "UTC")
    digest = _digest(document, data["digest"], services, zone) if data.get("digest") else None
    return Notifications(services, (*rules, *_of_agents(config, services)), window, digest, zone, path)


def _service(document: Document, name: str, data: Mapping[str, Any] | None) -> Service:
    given = {key: value for key, value in (data or {}).items() if value is not None}
    if len(given) != 1:
        problem = "names its URL in several places" if given else "does not name its URL"
        message = f"the service {name!r} {problem}"
        later = sorted(given, key=lambda key: document.line("services", name, key))[1:2]
        hint = "write one of url_env, url_file and url_command"
        raise wrong(document, "services", name, *later, message=message, hint=hint)
    return Service(name, given.get("url_env"), given.get("url_file"), tuple(given.get("url_command") or ()))


def _digest(document: Document, data: Mapping[str, Any], services: Collection[str], zone: ZoneInfo) -> NightlyDigest:
    _check_services(document, ("digest",), data["to"], services)
    hour, minute = data["at"].split(":")
    return NightlyDigest(time(int(hour), int(minute)), tuple(data["to"]), data.get("format") or "html", zone)


def _check_services(
    document: Document, at: tuple[object, ...], names: Collection[str], services: Collection[str]
) -> None:
    """Raises SettingsError where `to` names anything but a service."""
    for place, name in enumerate(names):
        if "://" in name:  # a URL holds a secret, which no message shows
            message, hint = "`to` holds a URL", "name a service of `services`"
            raise wrong(document, *at, "to", place, message=message, hint=hint)
        if name not in services:
            near = UnknownNameError("service", name, services)
            raise wrong(document, *at, "to", place, message=near.message, hint=near.hint)


def _rule(document: Document, number: int, data: Mapping[str, Any], services: Collection[str]) -> NotificationRule:
    at = ("rules", number)
    _check_services(document, at, data["to"], services)
    given = [key for key in ("event", "when") if data.get(key) is not None]
    if len(given) != 1:
        message = f"the rule {data['name']!r} has {'both `event` and' if given else 'neither `event` nor'} `when`"
        later = sorted(given, key=lambda key: document.line(*at, key))[1:]
        raise wrong(document, *at, *later, message=message, hint="write one of them")
    events = data.get("event") or ()
    events = (events,) if isinstance(events, str) else tuple(events)
    condition = None
    if data.get("when") is not None:
        try:
            condition = Condition.parse(data["when"])
        except UsageError as error:
            raise wrong(document, *at, "when", message=error.message, hint=error.hint) from error
    _check_choice(document, at, data, events, condition)
    every = timedelta(seconds=seconds(data["every"])) if data.get("every") is not None else None
    if every is not None and not timedelta(0) < every <= timedelta(days=366):
        raise wrong(document, *at, "every", message=f"every is out of range: {data['every']}", hint="write 1s to 366d")
    chosen = {key: data[key] for key in ("severity", *CHOOSING) if data.get(key) is not None}
    return NotificationRule(data["name"], tuple(data["to"]), events, condition, every=every, **chosen)


def _check_choice(
    document: Document, at: tuple[object, ...], data: Mapping[str, Any], events: tuple[str, ...], when: Condition | None
) -> None:
    """Raises SettingsError for a key by which the rule's events or metric cannot be chosen."""
    about = {name: EVENTS[name].chosen_by for name in events} if when is None else {when.metric: _CHOSEN_BY[when.of]}
    chosen = [key for key in CHOOSING if data.get(key) is not None]
    for key, name in ((key, name) for key in chosen for name in about if key not in about[name]):
        fits = " or ".join(one for one in CHOOSING if one in about[name])
        hint = f"choose it by {fits}" if fits else f"leave {key} out"
        raise wrong(document, *at, key, message=f"`{name}` cannot be chosen by {key}", hint=hint)
    _check_severity(document, at, data, events)


def _check_severity(
    document: Document, at: tuple[object, ...], data: Mapping[str, Any], events: Collection[str]
) -> None:
    """Raises SettingsError for a rule whose severity is above that of its events."""
    for name in events:
        severity = EVENTS[name].severity
        if not reaches(severity, data.get("severity")):
            message = f"`{name}` is {severity}, which is less severe than {data['severity']}"
            raise wrong(document, *at, "severity", message=message, hint=f"write {severity}, or leave it out")


def _of_agents(config: Path, services: Collection[str]) -> Iterator[NotificationRule]:
    """The alerts of the agents' files as rules; they notify the service ADMIN, if there is one."""
    for path in sorted((config / "agents").glob("*.yaml")):
        agent = path.stem
        monitoring = configured(config, load_agent(agent)).monitoring
        for condition, action in alerts(monitoring):
            yield NotificationRule(
                f"{agent}: {condition.text} ({action})",
                (ADMIN,) if ADMIN in services else (),
                when=condition,
                severity=CRITICAL if action == INCIDENT else WARNING,
                agent=agent,
                incident=action == INCIDENT,
                figures=tuple((monitoring or {}).get("metrics") or ()),
            )
