"""Evaluation of rules on events and on metrics. Pure: the caller records the results."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from aishell.commands import command
from aishell.notifying.conditions import RUN, SCHEDULE, TARGET
from aishell.notifying.happenings import Happening, Labels, figures, read, worded
from aishell.notifying.rules import Facets, NotificationRule, Notifications
from aishell.state.connection import Record
from aishell.state.outbox import HEARTBEAT, IncidentState, Notification, data_of


@dataclass(frozen=True)
class Judge:
    """The rules of a site, and what is configured. `heartbeats`: the schedules that report each success."""

    notifications: Notifications
    targets: Mapping[str, Collection[str]] = field(default_factory=dict)  # name -> labels
    schedules: Collection[str] = ()
    heartbeats: Collection[str] = ()

    def happened(self, event: Record) -> Iterator[Notification | IncidentState]:
        """The notifications and incidents of an audit event, by every rule."""
        yield from self._heartbeat(event)
        labels: Labels = lambda target: self.targets.get(target, ())  # noqa: E731
        for happening in read(event, labels):
            for rule in self.notifications.rules:
                if rule.when is None:
                    yield from _notifications(rule, happening)
                elif rule.when.of == RUN and happening.metrics is not None and rule.chooses(happening.about):
                    yield from _measured(rule, happening)

    def _heartbeat(self, event: Record) -> Iterator[Notification]:
        """A schedule's success: once, when the last target of a nominal time has succeeded."""
        if event.type != "schedule_decided" or not event.all_well:
            return
        data = data_of(event)
        name, nominal = data.get("schedule"), data.get("nominal")
        if data.get("decision") == "ended" and name in self.heartbeats:
            cause = f"success of {nominal}"
            yield Notification("", cause, str(name), (str(name),), "info", f"heartbeat of {name}", "", kind=HEARTBEAT)

    @property
    def watching(self) -> list[NotificationRule]:
        """The rules on metrics that are not of runs; they are evaluated without events."""
        return [rule for rule in self.notifications.rules if rule.when is not None and rule.when.of != RUN]

    def incident_states(
        self, rule: NotificationRule, values: Mapping[str, float], absent: float | None
    ) -> Iterator[IncidentState]:
        """The state of each subject of a rule of `watching`, by the `values` of its metric; `absent` if one has none."""
        assert rule.when is not None  # noqa: S101  it is one of `watching`
        for subject, about in self._subjects(rule):
            value = values.get(subject, absent)
            holds = rule.when.holds(value)
            figure = f"{rule.when.metric}{f' of {subject}' if subject else ''}: {worded(rule.when.metric, value)}"
            body = f"{figure}\ncondition: {rule.when.text}\nrule: {rule.name}\n{_more(rule.when.metric)}"
            title = f"{f'{subject}: ' if subject else ''}{rule.when.text}"
            yield IncidentState(rule.name, subject, holds, rule.own_severity, title, body, rule.to, rule.every, about)

    def _subjects(self, rule: NotificationRule) -> Iterator[tuple[str, dict[str, str]]]:
        kind = rule.when.of if rule.when is not None else ""
        if kind == TARGET:
            for name, labels in self.targets.items():
                if rule.chooses(Facets(target=name, labels=labels)):
                    yield name, {"target": name}
        elif kind == SCHEDULE:
            for name in self.schedules:
                if rule.chooses(Facets(schedule=name)):
                    yield name, {"schedule": name}
        else:
            yield "", {}


def _notifications(rule: NotificationRule, happening: Happening) -> Iterator[Notification]:
    for event in happening.events:
        severity = happening.severity_of(event)
        if rule.wants(event, severity, happening.about):
            about = happening.about
            subject = " ".join(word for word in (event, about.agent, about.target, about.schedule) if word)
            body = f"{happening.body}\nrule: {rule.name}"
            yield Notification(
                rule.name, happening.cause, subject, rule.to, severity, happening.title, body, rule.every
            )
            return  # one message, even if several of its events match


def _measured(rule: NotificationRule, happening: Happening) -> Iterator[Notification | IncidentState]:
    """A condition on runs: a notification for each run where it holds, or an incident until a run where it does not."""
    assert rule.when is not None  # noqa: S101  checked by the caller
    assert happening.metrics is not None  # noqa: S101
    metric, about = rule.when.metric, happening.about
    value = happening.metrics[metric]
    holds = rule.when.holds(value)
    title = f"{about.target}: {about.agent}: {rule.when.text}"
    lines = [
        f"{metric}: {worded(metric, value)}",
        f"condition: {rule.when.text}",
        *figures(happening.metrics, rule.figures),
        happening.body,
        f"rule: {rule.name}",
    ]
    body = "\n".join(dict.fromkeys("\n".join(lines).splitlines()))  # a figure may also be in the body
    if rule.incident:
        facets = {"target": about.target, "schedule": about.schedule, "agent": about.agent}
        yield IncidentState(rule.name, about.target, holds, rule.own_severity, title, body, rule.to, rule.every, facets)
    elif holds:
        subject = f"{about.agent} {about.target}"
        yield Notification(rule.name, happening.cause, subject, rule.to, rule.own_severity, title, body, rule.every)


def _more(metric: str) -> str:
    """The command that shows more about a metric."""
    looks = {
        command("backups", "list"): ("last_backup_age", "last_verified_backup_age"),
        command("targets", "health"): ("health_score",),
        command("backlog", "list"): ("backlog_items", "backlog_age", "backlog_forecast"),
        command("approvals", "list"): ("approval_waiting",),
        command("schedule", "history"): ("schedule_lateness", "runs_missed"),
        command("notify", "list"): ("notification_waiting",),
    }
    return f"more: {next(look for look, metrics in looks.items() if metric in metrics)}"
