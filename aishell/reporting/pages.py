"""The contents and order of a digest and of a run's report. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from aishell.commands import command
from aishell.moments import at
from aishell.reporting import figures
from aishell.reporting.figures import deleted, given_back
from aishell.reporting.health import SEVERITIES
from aishell.reporting.night import (
    COUNTS,
    KINDS,
    BacklogChange,
    Effect,
    Need,
    NightFinding,
    NightReport,
    Postponed,
    RunReport,
    RunSummary,
    StepSummary,
    WorkflowSummary,
)
from aishell.reporting.page import Block, Fact, Item, Items, KeyFacts, Page, Paragraph, ReportTable, Section, Verbatim
from aishell.reporting.units import duration, size

#: Words for statuses in reports; other statuses are shown as they are.
_WORDS = {"waiting_approval": "waits", "failure": "failed", "in_doubt": "in doubt"}
#: The statuses of a stage, in column order.
_STAGES = ("done", "failed", "skipped", "waiting", "running", "pending")
#: The most needs in a gist, and the most characters of each.
_FIRST, _SHORT = 8, 240


def digest(night: NightReport) -> Page:
    """Return the report of a night: what needs a person, what was done, how that compares."""
    return Page(
        _title(night),
        _subtitle(night),
        (
            *_head(_glance(night), _needs(night.needs)),
            *_left(night.left, several=True),
            *_backlog(night.backlog),
            *_workflows(night.workflows),
            *_done(night),
            *_compared(night),
        ),
        _foot(night.until),
    )


def gist(night: NightReport) -> Page:
    """Return the digest in short form, for chat: what needs a person, and counts of the rest."""
    first = [replace(n, text=f"{n.text[:_SHORT]} …") if len(n.text) > _SHORT else n for n in night.needs[:_FIRST]]
    needs: list[Block] = list(_needs(first))
    if len(night.needs) > _FIRST:
        needs.append(Paragraph(f"… and {len(night.needs) - _FIRST:,} more."))
    statuses = Counter(_status(run) for run in night.runs)
    ran = ", ".join(f"{number:,} {status}" for status, number in statuses.most_common())
    whole = command("digest", "--since", at(night.since), "-o", "night.html")
    sections = _head(_glance(night), needs)
    if ran:
        done = f"{len(night.runs):,} run(s) on {len(night.targets):,} target(s), not listed here: {ran}."
        sections.append(Section("What was done", (Paragraph(done),)))
    return Page(_title(night), _subtitle(night), tuple(sections), f"The whole: `{whole}`")


def _head(glance: Iterable[Fact], needs: Iterable[Block], reasoning: str = "") -> list[Section]:
    """Return the sections that begin every report."""
    words = [Paragraph(reasoning)] if reasoning else []
    return [
        Section("At a glance", (KeyFacts(tuple(glance)), *words)),
        Section("What needs a person", tuple(needs)),
    ]


def _title(night: NightReport) -> str:
    return f"Digest of {night.day}" if night.day else "Digest of the night"


def _subtitle(night: NightReport) -> str:
    period = f"{at(night.since)} to {at(night.until)}"
    ran = f"{len(night.targets)} target(s)" if night.targets else "nothing ran"
    return ", ".join(filter(None, (night.site, period, ran)))


def run_report(report: RunReport, until: str) -> Page:
    """Return the report of one run."""
    run = report.run
    period = f"{at(run.created_at)} to {at(run.ended_at)}" if run.ended_at else f"since {at(run.created_at)}"
    asked = f"schedule {run.schedule}" if run.schedule else run.requested_by
    plots = [figures.sizes(report.sizes, several=False)] if report.sizes else []
    plots += [figures.tools(report.tools)] if report.tools else []
    sections = [
        *_head(_figures(run), _needs(report.needs), run.reasoning),
        *_left(report.left, several=False),
        Section("Steps", (_steps(run.steps),)),
        *([Section("Figures", tuple(plots))] if plots else []),
        *_findings(report.findings),
    ]
    if report.own_report:
        sections.append(
            Section("The run's own report", (Verbatim("as Markdown: --format markdown", report.own_report),))
        )
    return Page(
        f"{run.agent} on {run.target}", f"run {run.run_id[:8]}, {period}, by {asked}", tuple(sections), _foot(until)
    )


def _foot(until: str) -> str:
    return f"By aishell, from state.db as of {at(until)}. Times with a Z are UTC, 1 kB is 1,024 bytes."


def _glance(night: NightReport) -> Iterator[Fact]:
    yield Fact(str(len(night.needs)), "needs a person" if len(night.needs) == 1 else "need a person", bool(night.needs))
    known = {run.run_id: run.status for run in night.runs}
    failures = [need.run_id for need in night.needs if need.kind == "failure"]
    bad = len({one for one in failures if one in known} | {one for one, status in known.items() if status == "failure"})
    unbegun = sum(1 for one in failures if one not in known)
    refused = sum(1 for status in known.values() if status == "rejected")
    outcomes = [f"{bad or 'none'} failed"]
    outcomes += [f"{refused} rejected"] if refused else []
    outcomes += [f"{unbegun} could not begin"] if unbegun else []
    yield Fact(str(len(night.runs)), f"run(s), {', '.join(outcomes)}", bool(bad or unbegun))
    yield from _effects(night.effect)
    yield Fact(duration(night.execution_time), "time of steps")


def _figures(run: RunSummary) -> Iterator[Fact]:
    wrong = run.status in ("failure", "partial", "rejected", "waiting_approval") or (
        run.status is None and not run.running
    )
    yield Fact(_status(run), "outcome", wrong)
    yield from _effects(run.effect)
    if run.execution_time is not None:
        yield Fact(duration(run.execution_time), "time")


def _effects(effect: Effect) -> Iterator[Fact]:
    yield Fact(given_back(effect) or size(0), "reclaimed")
    yield Fact(deleted(effect) or "0", "rows deleted")


def _status(run: RunSummary) -> str:
    if run.status is None:
        return "running" if run.running else "killed"
    return _WORDS.get(run.status, run.status)


def _needs(needs: Sequence[Need]) -> Iterator[Block]:
    if not needs:
        yield Paragraph("Nothing needs a person.", good=True)
        return
    items = []
    for need in needs:
        place = ", ".join(filter(None, (need.target, at(need.at) if need.at else "")))
        items.append(Item(KINDS[need.kind], need.text, place, need.remedy))
    yield Items(tuple(items))


def _left(left: Sequence[Postponed], *, several: bool) -> Iterator[Section]:
    if left:
        rows = [(one.target, one.object, one.reason) if several else (one.object, one.reason) for one in left]
        columns = "target|what|why" if several else "what|why"
        yield Section("Left for another night", (ReportTable.of(columns, rows),))


def _backlog(changes: Sequence[BacklogChange]) -> Iterator[Section]:
    if changes:
        rows = [
            (
                one.target,
                one.agent,
                f"{one.items_before:,}",
                f"{one.items:,}",
                duration(one.seconds) if one.items else "",
                _window(one),
                at(one.oldest) if one.oldest else "",
            )
            for one in changes
        ]
        columns = "target|agent|items before|items now|forecast|window|oldest"
        yield Section("Backlog", (ReportTable.of(columns, rows, 2, 3, 4),))


def _window(change: BacklogChange) -> str:
    if change.window is None:
        return ""
    return f"{duration(change.window)}{', too small' if change.window_too_small else ''}"


def _workflows(runs: Sequence[WorkflowSummary]) -> Iterator[Section]:
    """Yield each workflow run, with the number of targets by stage and status."""
    blocks: list[Block] = []
    for one in runs:
        outcome = _WORDS.get(one.status, one.status)
        head = f"{one.workflow}, begun {at(one.created_at)}: {outcome}, on {one.targets:,} target(s); {one.workflow_id[:8]}"
        known = [status for status in _STAGES if any(status in counts for counts in one.stages.values())]
        rows = [
            (stage, *(f"{counts[status]:,}" if status in counts else "" for status in known))
            for stage, counts in one.stages.items()
        ]
        blocks += [Paragraph(head), ReportTable.of("|".join(("stage", *known)), rows, *range(1, len(known) + 1))]
    if blocks:
        yield Section("Workflows", tuple(blocks))


def _done(night: NightReport) -> Iterator[Section]:
    """Yield what ran, by target, and its effect."""
    if not night.runs:
        yield Section("What was done", (Paragraph("Nothing ran."),))
        return
    plots: list[Block] = [figures.sizes(night.sizes, several=True)] if night.sizes else []
    plots += [figures.tools(night.tools)] if night.tools else []
    yield Section("What was done", tuple(plots) or (Paragraph("No step ended."),))
    for target in night.targets:
        mine = [run for run in night.runs if run.target == target]
        yield Section(target, tuple(_ran(mine)), level=3)


def _ran(runs: Sequence[RunSummary]) -> Iterator[Block]:
    rows = [
        (
            at(run.created_at),
            run.agent,
            f"{run.workflow}: {run.stage}" if run.workflow else "",
            _status(run),
            duration(run.execution_time),
            given_back(run.effect),
            deleted(run.effect),
            run.run_id[:8],
        )
        for run in runs
    ]
    yield ReportTable.of("begun|agent|workflow: stage|outcome|time|reclaimed|rows deleted|run", rows, 4, 5, 6)
    for run in runs:
        if run.reasoning and any(step.counted for step in run.steps):  # otherwise it describes an earlier night
            yield Paragraph(f"{run.run_id[:8]}: {run.reasoning}")


def _compared(night: NightReport) -> Iterator[Section]:
    if night.backups:
        yield Section("Backups", (figures.backups(night.backups),))
    plots: list[Block] = [figures.nights(night.nights)] if len(night.nights) > 1 else []
    plots += figures.trends(night.trends)
    if plots:
        yield Section("Over the nights", tuple(plots))


def _steps(steps: Iterable[StepSummary]) -> Block:
    rows = [
        (
            step.step_id,
            _WORDS.get(step.status, step.status),
            step.tool,
            step.table,
            _effect(step.effect),
            duration(step.execution_time),
            ". ".join(filter(None, (step.why, f"approved by {step.approved_by}" if step.approved_by else ""))),
        )
        for step in steps
    ]
    return (
        ReportTable.of("step|outcome|tool|table|effect|time|why", rows, 5, most=500)
        if rows
        else Paragraph("The run has no steps.")
    )


def _effect(effect: Effect) -> str:
    parts = []
    if effect.bytes_before is not None and effect.bytes_after is not None:
        about = "about " if effect.bytes_method == "statistics" else ""
        parts.append(f"{about}{size(effect.bytes_before)} → {size(effect.bytes_after)}")
    if deleted(effect):
        parts.append(f"{deleted(effect)} row(s) deleted")
    parts += [f"{number:,} {COUNTS[name]}" for name, number in effect.counts.items()]
    return ", ".join(parts)


def _findings(found: Sequence[NightFinding]) -> Iterator[Section]:
    if found:
        order = {name: number for number, name in enumerate(SEVERITIES)}
        worst = sorted(found, key=lambda one: order.get(one.severity, len(order)))
        rows = [(one.severity, one.finding, one.object or "", one.value, one.detail) for one in worst]
        yield Section(
            "Findings, before anything was done", (ReportTable.of("severity|finding|object|value|what it means", rows),)
        )
