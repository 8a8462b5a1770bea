"""A plan for people: each step with its object, reason, exact SQL and lock, and whether it needs approval."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from rich.text import Text

from aishell.cli import left_out
from aishell.cli.console import sql_lines
from aishell.cli.styled import Console
from aishell.execution.preview import Preview, StepPreview
from aishell.models import Decision, Evidence, Sent, Step
from aishell.planning.estimates import total
from aishell.planning.variables import worded
from aishell.registry.tool import Tool
from aishell.reporting.units import about, printable, size
from aishell.safety.autonomy import RULE

#: Above this many steps the preview is a summary; `--verbose` shows all.
SUMMARISE_ABOVE = 30
MAX_STATEMENTS = 5
MAX_STATEMENT = 300
_RISK = {"safe": "green", "low": "green", "medium": "yellow", "high": "red", "critical": "bold red"}
#: The style of text that a language model wrote: it is not a fact.
_MODEL = "italic magenta"
_DECISION = {
    Decision.AUTO: ("runs", "green"),
    Decision.NOTIFY: ("notifies", "green"),
    Decision.CONFIRM: ("asks", "yellow"),
    Decision.REVIEW: ("review", "red"),
    Decision.DENY: ("REFUSED", "bold red"),
}


def show(out: Console, planned: Preview, *, verbose: bool = False) -> None:
    """Print the preview: a head, the steps (or their summary), warnings."""
    _head(out, planned)
    shared = _shared_risks(planned.steps)
    if len(planned.steps) > SUMMARISE_ABOVE and not verbose:
        _summary(out, planned, shared)
    else:
        for item in planned.steps:
            _step(out, item, verbose, shared)
    for risk in sorted(shared):
        out.print(f"every step that needs approval: {printable(risk)}", style="yellow", hang=2)
    left_out.show(out, planned.plan.left_out, verbose=verbose)
    notes = [f"note: {printable(warning)}" for warning in planned.plan.warnings]
    out.print_first(notes, None if verbose else 5, "… and {} more notes (--verbose)", style="yellow", hang=6)
    if planned.called:
        names = printable(", ".join(one.name for one in planned.called))
        out.print(f"hooks (not in a dry run): {names}", style="dim")
    out.print(f"plan {planned.plan.digest[:19]}  {_total(planned.steps)}", style="dim", hang=5)
    out.print()


def _head(out: Console, planned: Preview) -> None:
    """Print the target, its server, and a language model's summary of the plan."""
    server, target = planned.inventory.server, planned.job.target
    head = Text()
    head.append(printable(target.name), style="bold")
    head.append(f"  {printable(f'{server.product} {server.version_text}')}, database {printable(server.database)}")
    head.append(f"  {target.environment}", style="red" if target.environment == "production" else "cyan")
    if server.standby or server.read_only:
        head.append("  standby" if server.standby else "  read-only", style="bold red")
    out.print(head, hang=2)
    # No count of indexes: MySQL returns one row for all of a table's, and a partitioned table has none.
    relations = f"{len(planned.inventory.tables)} relation(s), database of {size(server.database_bytes)}"
    out.print(relations, style="dim")
    out.print()
    if summary := (planned.plan.summary.get("model") or {}).get("summary"):
        out.print(f"the model says: {printable(summary)}", style=_MODEL, hang=2)
        out.print()


def _shared_risks(steps: Iterable[StepPreview]) -> frozenset[str]:
    """The risks of every step that needs approval, to be printed once."""
    asking = [frozenset(item.verdict.risks) for item in steps if item.verdict.decision.rank >= Decision.CONFIRM.rank]
    return frozenset.intersection(*asking) if len(asking) > 1 else frozenset()


def _total(steps: Iterable[StepPreview]) -> str:
    steps = list(steps)
    asking = sum(1 for item in steps if item.verdict.requires_approval)
    refused = sum(1 for item in steps if not item.verdict.safe)
    text = f"{len(steps)} steps, {_time(item.step for item in steps)}"
    text += f", {asking} will need approval" if asking else ""
    return text + (f", {refused} refused" if refused else "")


def _time(steps: Iterable[Step]) -> str:
    """The expected time of all steps together; steps of unknown time are named, not counted as 0."""
    found = total(steps)
    known = about(found.seconds).removeprefix("about ")
    if not found.unknown:
        return known if known.startswith("less") else f"up to {known}"
    if found.seconds is None:
        return "time unknown"
    named = f"{found.unknown} step{'s' if found.unknown > 1 else ''} unknown"
    return f"at least {known}, {named}" if found.seconds >= 0.05 else f"{known} and {named}"


def _step(out: Console, item: StepPreview, verbose: bool, shared: frozenset[str]) -> None:
    step, verdict = item.step, item.verdict
    word, colour = _DECISION[verdict.decision]
    line = Text.assemble(
        (f"{step.index:>3}  ", "dim"),
        (f"{printable(step.id):<28}", "bold"),
        (f"  {verdict.risk_level:<8}", _RISK[verdict.risk_level]),
        (f"  {word:<8}", colour),
        (f"  {_estimate(item)}", "dim"),
    )
    out.print(line, hang=5)
    out.print(f"     {printable(step.rationale)}")
    evidence = [f"     · {_evidence(one)}" for one in step.evidence]
    out.print_first(evidence, None if verbose else 6, "     · … and {} more", style="dim")
    if step.proposed is not None:
        out.print(f"     the model says: {printable(step.proposed)}", style=_MODEL, hang=5)
    if step.when:
        out.print(f"     only if {printable(worded(step.when))}", style="dim")
    changes = not item.tool.read_only
    if changes or verbose:
        _statements(out, item, verbose)
    if changes:
        out.print(f"       {printable(item.tool.undo_text)}", style="dim")
    for reason in (reason for reason in verdict.reasons if reason.rule == RULE):
        out.print(f"     · {RULE}: {printable(reason.text)}", style="dim")
    asks = changes and verdict.decision.rank >= Decision.CONFIRM.rank
    for risk in (risk for risk in verdict.risks if asks and risk not in shared):
        out.print(f"     ! {printable(risk)}", style="yellow")


def _statements(out: Console, item: StepPreview, verbose: bool) -> None:
    for sent in item.statements[: None if verbose else MAX_STATEMENTS]:
        lines = sql_lines(sent) if verbose else _brief(sent)
        for line in lines:  # not wrapped: rich would drop blanks inside a name
            out.print(f"       {line}", style="cyan", soft_wrap=True)
    if len(item.statements) > MAX_STATEMENTS and not verbose:
        out.print(f"       … and {len(item.statements) - MAX_STATEMENTS} more statements (--verbose)", style="dim")
    if item.unseen:
        out.print(f"       cannot be previewed exactly: {printable(item.unseen)}", style="yellow")
    from aishell.safety.gates import locks_told

    told = list(locks_told(item.tool, item.step.found))
    for number, text in enumerate(told):
        source = f"  [{item.tool.source}]" if number == len(told) - 1 else ""
        out.print(f"       lock {printable(text)}{source}", style="dim")


def _brief(sent: Sent) -> list[str]:
    """A statement on one line, after its note. The file's line breaks are dropped; names and values are unchanged."""
    lines = sql_lines(sent)
    note, rest = (lines[:1], lines[1:]) if sent.note else ([], lines)
    text = " ".join(line.strip(" ") for line in rest)
    short = text if len(text) <= MAX_STATEMENT else f"{text[:MAX_STATEMENT]} … ({len(text):,} characters, --verbose)"
    return [*note, short]


def _estimate(item: StepPreview) -> str:
    estimate = item.step.estimate
    space = f", needs {size(estimate.bytes)}" if estimate.bytes else ""
    if estimate.seconds is None:
        return f"time unknown{space}"
    return f"{about(estimate.seconds)}{space} ({estimate.based_on})"


def _evidence(evidence: Evidence) -> str:
    if evidence.withheld:
        return printable(f"{evidence.metric} unknown ({evidence.withheld})")
    off = f", {evidence.error}" if evidence.error else ""
    value = size(evidence.value) if evidence.metric.endswith("bytes") else evidence.value
    if evidence.value is None:
        value = "unknown"
    return printable(f"{evidence.metric} {value} ({evidence.method}{off})")


def _lock(tool: Tool) -> str:
    """The lock on the table itself, and the strongest one elsewhere."""
    from aishell.safety.locks import felt

    elsewhere = max((lock for role, lock in felt(tool).items() if role), key=lambda lock: lock.strength, default=None)
    return tool.lock if elsewhere is None else f"{tool.lock}; elsewhere {elsewhere.name}"


def _summary(out: Console, planned: Preview, shared: frozenset[str]) -> None:
    """Print many steps as counts by tool, then the first ones that change something."""
    from rich.table import Table  # 5 ms, which few previews need

    groups: dict[str, list[StepPreview]] = defaultdict(list)
    for item in planned.steps:
        groups[item.step.tool].append(item)
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    for name in ("tool", "steps", "risk", "will", "lock", "time", "space"):
        numbers = name in ("steps", "time", "space")
        table.add_column(name, justify="right" if numbers else "left", style="dim" if name == "lock" else "")
    for name, items in groups.items():
        words = Counter(_DECISION[item.verdict.decision][0] for item in items)
        space = max((item.step.estimate.bytes or 0 for item in items), default=0)
        risk = items[0].verdict.risk_level
        table.add_row(
            name, str(len(items)), Text(risk, style=_RISK[risk]), ", ".join(words), _lock(items[0].tool),
            _time(item.step for item in items), size(space) if space else "",
        )  # fmt: skip
    out.print(table)
    _first_changing(out, planned, shared)


def _first_changing(out: Console, planned: Preview, shared: frozenset[str]) -> None:
    changing = [item for item in planned.steps if not item.tool.read_only]
    if not changing:
        return
    out.print()
    out.print("first steps that change something:", style="dim")
    for item in changing[:5]:
        _step(out, item, False, shared)
    if len(changing) > 5:
        out.print(f"… and {len(changing) - 5} more (--verbose shows all, --output json everything)", style="dim")
