"""`config/schedules.yaml` as values: what runs when, on which targets, and the days on which nothing runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from aishell.agents.checking import check_task
from aishell.codec import digest
from aishell.errors import UnknownNameError
from aishell.models import Risk
from aishell.scheduling.times import RANGES, Cron, Every, Timing, Window, seconds
from aishell.settings.files import checked, read
from aishell.settings.schemas import SCHEDULES
from aishell.settings.settings import Settings
from aishell.settings.validation import Known, wrong
from aishell.settings.yamlfile import Document

FILE = "schedules.yaml"
GRACE = timedelta(minutes=15)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


@dataclass(frozen=True)
class Blackout:
    """Days on which schedules do not run, `first` and `last` included; empty `schedules`: all of them."""

    first: date
    last: date
    reason: str = ""
    schedules: frozenset[str] = frozenset()

    def covers(self, schedule: str, day: date) -> bool:
        return self.first <= day <= self.last and (not self.schedules or schedule in self.schedules)

    @property
    def text(self) -> str:
        """For people: which days, and why."""
        days = f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"
        return f"blackout {days}{f': {self.reason}' if self.reason else ''}"


@dataclass(frozen=True)
class Schedule:
    """One agent, when, and on what. `missed`: skip | once | once_if_open (docs/schedules.md).

    `workflow`: the workflow to run on each target instead; `agent` is then empty.
    """

    name: str
    timing: Timing
    agent: str
    workflow: str | None = None
    input: Mapping[str, Any] = field(default_factory=dict)
    targets: tuple[str, ...] = ()
    label: str | None = None
    missed: str = "skip"
    grace: timedelta = GRACE
    approve_up_to: Risk | None = None
    blackouts: tuple[Blackout, ...] = ()
    heartbeat_url: str | None = field(default=None, repr=False)  # called after each success
    digest: str = ""  # of the file

    def on(self, settings: Settings) -> list[str]:
        """The names of its targets as they are now configured."""
        if self.label is None:
            return list(self.targets)
        return [name for name, target in settings.targets.items() if self.label in target.labels]

    def blackout(self, moment: datetime) -> Blackout | None:
        """The blackout that a moment's day is in."""
        day = self.timing.day(moment)
        return next((one for one in self.blackouts if one.covers(self.name, day)), None)


@dataclass(frozen=True)
class Schedules:
    """All schedules of a site by name, in the order of the file."""

    by_name: Mapping[str, Schedule] = field(default_factory=dict)
    max_concurrent: int = 4
    path: str = FILE
    max_concurrent_per_host: int | None = None

    def named(self, name: str) -> Schedule:
        """Raises UnknownNameError."""
        if name not in self.by_name:
            raise UnknownNameError("schedule", name, self.by_name, self.path)
        return self.by_name[name]


def load_schedules(
    config: Path,
    known: Known,
    agents: Callable[[], Collection[str]],
    most: Callable[[], Risk],
    workflow: Callable[[str], object],
) -> Schedules:
    """The schedules of a config folder; none where there is no file.

    `known`: targets and labels; `agents`: types of agents; `most`: the highest risk that the policy lets be approved in advance;
    `workflow` raises for an unknown or invalid workflow.
    Raises SettingsError, with file and line, for whatever would otherwise fail at night.
    """
    path = str(config / FILE)
    document = read(config / FILE, path)
    if document is None:
        return Schedules(path=path)
    document = replace(document, data=_days_as_text(document.data))
    names = {"schedule": lambda: list(map(str, document.data.get("schedules") or ()))}
    data = checked(document, SCHEDULES, {**known, **names})
    given = data.get("schedules") or {}
    blackouts = tuple(_blackout(document, number, one) for number, one in enumerate(data.get("blackouts") or ()))
    zone = data.get("time_zone") or "UTC"
    for name, one in given.items():
        if one.get("approve_up_to") and Risk(one["approve_up_to"]).rank > most().rank:
            message = f"`approve_up_to: {one['approve_up_to']}` exceeds what the policy lets be approved in advance"
            hint = f"write {most()}, or raise preapprove_max_risk in policy.yaml"
            raise wrong(document, "schedules", name, "approve_up_to", message=message, hint=hint)
    made = {
        str(name): _schedule(document, str(name), one, zone, blackouts, agents, workflow) for name, one in given.items()
    }
    at_a_time = data.get("max_concurrent") or Schedules.max_concurrent
    return Schedules(made, at_a_time, path, data.get("max_concurrent_per_host"))


def _days_as_text(value: Any) -> Any:
    """YAML reads `2026-12-24` as a date; here days stay text until they are checked."""
    if isinstance(value, dict):
        return {key: _days_as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_days_as_text(item) for item in value]
    return value.isoformat() if type(value) is date else value


def _day(document: Document, text: str, *at: object) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise wrong(document, *at, message=f"invalid day {text!r}: {error}", hint="write e.g. 2026-12-24") from error


def _blackout(document: Document, number: int, given: Any) -> Blackout:
    at = ("blackouts", number)
    if isinstance(given, str):
        day = _day(document, given, *at)
        return Blackout(day, day)
    first, last = (_day(document, given[key], *at, key) for key in ("from", "to"))
    if last < first:
        message = f"the blackout ends on {last}, before it begins"
        raise wrong(document, *at, "to", message=message, hint=f"write {first} or later")
    return Blackout(first, last, given.get("reason") or "", frozenset(given.get("schedules") or ()))


def _schedule(
    document: Document,
    name: str,
    data: Mapping[str, Any],
    zone: str,
    blackouts: tuple[Blackout, ...],
    agents: Callable[[], Collection[str]],
    workflow: Callable[[str], object],
) -> Schedule:
    at = ("schedules", name)
    if not _NAME.fullmatch(name):
        message = f"invalid schedule name {name!r}"
        raise wrong(document, *at, message=message, hint="write letters, digits, `_`, `.` and `-`")
    pairs = (
        ("cron", "every", "when it runs"),
        ("agent", "workflow", "what is run"),
        ("targets", "label", "on what it runs"),
    )
    for one, other, why in pairs:
        given = [key for key in (one, other) if data.get(key) is not None]
        if len(given) != 1:
            message = f"the schedule {name!r} has {'both' if given else 'neither'} `{one}` {'and' if given else 'nor'} `{other}`"
            later = sorted(given, key=lambda key: document.line(*at, key))[1:]
            raise wrong(document, *at, *later, message=message, hint=f"write one of them: {why}")
    timing = _timing(document, at, data, data.get("time_zone") or zone)
    missed = data.get("missed") or ("once_if_open" if timing.window else "skip")
    if missed == "once_if_open" and timing.window is None:
        message = "`missed: once_if_open` needs a window"
        raise wrong(document, *at, "missed", message=message, hint='add window: "22:00-05:30", or write skip or once')
    agent = ""
    if data.get("workflow") is None:
        agent = check_task(document, at, data, agents)
    else:
        _check_workflow(document, at, data, workflow)
    return Schedule(
        name=name,
        timing=timing,
        agent=agent,
        workflow=data.get("workflow"),
        input=data.get("input") or {},
        targets=tuple(data.get("targets") or ()),
        label=data.get("label"),
        missed=missed,
        grace=_duration(document, data["grace"], *at, "grace") if data.get("grace") is not None else GRACE,
        approve_up_to=Risk(data["approve_up_to"]) if data.get("approve_up_to") else None,
        blackouts=blackouts,
        heartbeat_url=data.get("heartbeat_url"),
        digest=digest(document.data),
    )


def _check_workflow(
    document: Document, at: tuple[object, ...], data: Mapping[str, Any], workflow: Callable[[str], object]
) -> None:
    """Raises SettingsError for an unknown or invalid workflow, and for inputs."""
    if data.get("input"):
        message, hint = "`input` is not allowed with `workflow`", "write it into the stages of the workflow"
        raise wrong(document, *at, "input", message=message, hint=hint)
    try:
        workflow(data["workflow"])
    except UnknownNameError as error:
        raise wrong(document, *at, "workflow", message=error.message, hint=error.hint) from error


def _timing(document: Document, at: tuple[object, ...], data: Mapping[str, Any], zone: str) -> Timing:
    rule: Cron | Every
    if data.get("cron") is not None:
        try:
            rule = Cron(data["cron"])
        except ValueError as error:
            message = f"invalid cron expression {data['cron'][:60]!r}: {error}"
            hint = f'write five fields, e.g. "30 2 * * mon-fri": {RANGES}'
            raise wrong(document, *at, "cron", message=message, hint=hint) from error
    else:
        rule = Every(int(_duration(document, data["every"], *at, "every").total_seconds()))
        if not rule.seconds:
            raise wrong(document, *at, "every", message="the interval must not be 0 s", hint="write e.g. 15m")
    window = None
    if data.get("window") is not None:
        try:
            window = Window.parse(data["window"])
        except ValueError as error:
            raise wrong(document, *at, "window", message=str(error), hint='write e.g. "22:00-05:30"') from error
    timing = Timing(rule, ZoneInfo(zone), window)
    if not timing.opens_ever(datetime.now(UTC)):
        key = "cron" if data.get("cron") is not None else "every"
        message = f"the window {data['window']} never opens for this schedule: none of its times is in it"
        raise wrong(document, *at, "window", message=message, hint=f"change `window` or `{key}`; both are in {zone}")
    return timing


def _duration(document: Document, text: Any, *at: object) -> timedelta:
    length = timedelta(seconds=seconds(text))
    if length > timedelta(days=366):
        raise wrong(document, *at, message=f"{at[-1]} is out of range: {text}", hint="write at most 366d")
    return length
