"""Answers to questions about databases: what is known, each fact with its source, and nothing that is not looked up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from aishell.agents.configuration import configured
from aishell.agents.loading import load_agent
from aishell.asking.reader import Reading
from aishell.asking.telling import tell
from aishell.codec import plain
from aishell.commands import command
from aishell.errors import AishellError, ModelError
from aishell.execution.target_context import choose, table_of
from aishell.llm.correcting import mark
from aishell.llm.fitting import Section, fitted
from aishell.models import Table
from aishell.moments import at, nominal
from aishell.reporting.units import duration, size
from aishell.site import LLM

if TYPE_CHECKING:
    from aishell.site import Site

#: Facts of one kind that are told; the rest is counted.
MOST = 12
_INSTRUCTIONS = "Answer the question of a database administrator in two to six sentences, from the facts alone."


@dataclass(frozen=True)
class Fact:
    """A sentence, where it comes from, and the figures in it."""

    text: str
    source: str
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """`told`: what a language model made of the facts, with its mark; `note`: why none did."""

    question: str
    facts: tuple[Fact, ...]
    told: str | None = None
    model: Mapping[str, str] | None = None
    note: str | None = None

    def lines(self) -> Iterator[str]:
        """For people: the model's text first, as the model's, then each fact with its source."""
        if self.told is not None and self.model is not None:
            yield f"The model {self.model['name']} says, of the facts below:"
            yield from (line for line in self.told.splitlines() if line.strip())
            yield ""
        for fact in self.facts:
            yield f"{fact.text}  [{fact.source}]"
        if self.note is not None:
            yield self.note

    def as_json(self) -> dict[str, Any]:
        facts = [{"text": fact.text, "source": fact.source, "figures": plain(fact.figures)} for fact in self.facts]
        told = None if self.told is None else {"text": self.told, "model": dict(self.model or {})}
        return {"question": self.question, "facts": facts, "told": told, "note": self.note}


def answer(site: Site, reading: Reading, targets: Sequence[str] = ()) -> Answer:
    """The answer to a question that was read. `targets`: those it is about; without any, every configured one."""
    kind = reading.request.question or "other"
    names = list(targets) or _named(site, reading.request.text) or list(site.settings.targets)
    facts = tuple(_FACTS.get(kind, _everything)(site, names, reading.request.about))
    if not facts:
        facts = (Fact("Nothing is known of that yet.", str(site.state_path.name)),)
    if reading.planner != LLM or (found := site.model()) is None:
        return Answer(kind, facts, note=None if reading.planner == LLM else reading.told)
    client, chosen = found
    rows = [{"fact": fact.text, "source": fact.source} for fact in facts]
    text = fitted(
        {"question": reading.request.text}, (Section("facts", rows),), chosen.num_ctx - chosen.max_tokens - 500
    ).text
    try:
        told, completion = tell(client, "answer", _INSTRUCTIONS, text, site.heard)
    except ModelError as error:
        return Answer(kind, facts, note=f"The model {client.model} gave no answer that can be used ({error.message}).")
    return Answer(kind, facts, told, mark(completion))


def _named(site: Site, text: str) -> list[str]:
    """The configured targets that a text names."""
    words = {word.strip(".,;:!?'\"()") for word in text.casefold().split()}
    return [name for name in site.settings.targets if name.casefold() in words]


def _backups(site: Site, names: Sequence[str], about: Sequence[str]) -> Iterator[Fact]:
    """What stands between each target and a loss: its newest verified backup, what retention removes, what nothing doubles."""
    from aishell.backups.store.pruning import decisions, rules_of

    source = "catalog in state.db"
    retention = configured(site.places.config, load_agent("backup")).own.get("retention")
    rules = rules_of(retention or {})
    now = datetime.now(UTC)
    for name in names:
        entries = [one for one in site.backup_store.entries(name) if one.folder.is_dir() or one.copies]
        if not entries:
            yield Fact(f"{name} has no backup: everything in it could be lost.", source, {"backups": 0})
            continue
        good = sorted((one for one in entries if one.verified), key=lambda one: one.started_at)
        if good:
            newest = good[-1]
            age = (now - datetime.fromisoformat(newest.started_at)).total_seconds()
            yield Fact(
                f"{name}: what changed since {at(newest.started_at)} ({duration(age)} ago) is in no verified backup; "
                f"the newest is {newest.backup_id}, {newest.verification_level}, {size(newest.bytes)}.",
                source,
                {"backup_id": newest.backup_id, "age_seconds": age, "bytes": newest.bytes, "backups": len(entries)},
            )
        else:
            yield Fact(f"{name}: none of its {len(entries)} backups was verified.", source, {"backups": len(entries)})
        for one in entries:
            if one.wrong:
                yield Fact(f"{one.backup_id} counts for nothing: {one.wrong}.", source)
        if not rules.empty:
            going = [one.backup.backup_id for one in decisions(site.backup_store, name, rules, now) if one.goes]
            if going:
                yield Fact(
                    f"{name}: the retention rules would remove {len(going)} of {len(entries)} backups: {_some(going)}.",
                    f"config/agents/backup.yaml, as `{command('backups', 'prune', '--dry-run')}`",
                    {"going": len(going)},
                )
        alone = [one.backup_id for one in entries if not one.copies]
        if alone:
            text = (
                f"{name}: {len(alone)} of {len(entries)} backups are in one place only: a lost disk takes them along."
            )
            yield Fact(text, source, {"single": len(alone)})
        if not any(one.compared for one in entries):
            yield Fact(f"{name}: no backup was restored and compared yet (`{command('run', 'restore-test')}`).", source)


def _tonight(site: Site, names: Sequence[str], about: Sequence[str]) -> Iterator[Fact]:
    """What the schedules will start in the next 24 hours, with what waits for them or stops them."""
    from aishell.scheduling.outlook import times

    now = datetime.now(UTC)
    for one in site.schedules.by_name.values():
        on = [name for name in one.on(site.settings) if name in names]
        moment = next(times(site, one, now), None)
        if on and moment is not None and moment <= now + timedelta(days=1):
            what = f"the workflow {one.workflow}" if one.workflow else f"the agent {one.agent}"
            local = nominal(one.timing.local(moment))
            yield Fact(f"{one.name} starts {what} on {_some(on)} at {local}.", "config/schedules.yaml")
    if not site.schedules.by_name:
        yield Fact("There is no schedule: nothing starts by itself.", "config/schedules.yaml")
    for hold in site.held():
        yield Fact(f"{hold.text}.", "holds in state.db")
    yield from _waiting(site, names)


def _waiting(site: Site, names: Sequence[str]) -> Iterator[Fact]:
    """What windows have left undone."""
    if not site.state_path.exists():
        return
    for name, standing in site.backlog.standings().items():
        if name in names and standing.items:
            text = f"{name}: {standing.items} pieces of work did not fit into earlier windows; the next run begins with them."
            yield Fact(text, "backlog in state.db", {"items": standing.items, "seconds": standing.seconds})


def _tables(site: Site, names: Sequence[str], about: Sequence[str]) -> Iterator[Fact]:
    """What is known of the tables that a question names: their state now, what holds work on them back, what it took before."""
    for name in names:
        try:
            with site.look(site.target(name)) as job:
                server = job.refresh()
                tables = [table_of(row) for row in next(iter(job.read("inspect_tables").values()))]
                sources = {tool: job.pick(tool).source for tool in ("inspect_tables", "inspect_server")}
        except AishellError as error:
            yield Fact(f"{name} cannot be asked: {error.message}.", "connection")
            continue
        chosen = _chosen(about, tables)
        for table in chosen:
            yield _table(name, table, sources["inspect_tables"])
        if about and not chosen:
            continue
        if server.oldest_transaction_seconds:
            told = f" ({server.oldest_transaction})" if server.oldest_transaction else ""
            yield Fact(
                f"{name}: the oldest transaction is open for {duration(server.oldest_transaction_seconds)}{told}; vacuum cannot "
                "remove rows that died after it began.",
                sources["inspect_server"],
                {"oldest_transaction_seconds": server.oldest_transaction_seconds},
            )
        yield from _past(site, name, chosen)


def _chosen(about: Sequence[str], tables: Sequence[Table]) -> list[Table]:
    """The tables that are named, else the largest ones."""
    found: list[Table] = []
    for name in about:
        try:
            found += choose((name,), tables)
        except AishellError:
            continue  # of another target
    return found if about else sorted(tables, key=lambda table: -(table.bytes or 0))[:3]


def _table(name: str, table: Table, source: str) -> Fact:
    """The state of a table in a sentence, of what is known."""
    figures = {
        key: getattr(table, key)
        for key in ("rows", "bytes", "index_bytes", "dead_rows", "fragmentation_percent", "freeze_age_percent")
    }
    parts = [
        f"{table.rows:,} rows" if table.rows is not None else "",
        f"{size(table.bytes)} and {size(table.index_bytes)} of indexes" if table.bytes is not None else "",
        f"{table.dead_rows:,} dead rows" if table.dead_rows is not None else "",
        f"last vacuum {at(table.last_vacuum)}" if table.last_vacuum else "",
        f"last analyze {at(table.last_analyze)}" if table.last_analyze else "",
        f"{table.freeze_age_percent:.0f} % of the way to a forced freeze" if table.freeze_age_percent else "",
        f"no fragmentation figure: {table.withheld}" if table.withheld else "",
    ]
    return Fact(f"{name}: {table.schema}.{table.table} has {', '.join(filter(None, parts))}.", source, figures)


def _past(site: Site, name: str, tables: Sequence[Table]) -> Iterator[Fact]:
    """What steps on the tables took and came to, and notes on them."""
    if not site.state_path.exists():
        return
    from aishell.state import history

    known = history.load(site.store, name)
    for table in tables:
        label = f"{table.schema}.{table.table}"
        for (tool, about), past in sorted(known.items()):
            if about != label or not past.took:
                continue
            seconds = [one.seconds for one in past.took]
            idle = f"; the last {past.idle_runs} gained nothing" if past.idle_runs else ""
            took = f"{duration(seconds[0])} last time" if len(seconds) == 1 else (
                f"{duration(min(seconds))} to {duration(max(seconds))} in {len(seconds)} runs"
            )  # fmt: skip
            yield Fact(f"{name}: {tool} on {label} took {took}{idle}.", "history in state.db", {"seconds": seconds})
    keys = [table.key for table in tables]
    for note in site.notes.all(name):
        if note.table and note.names(keys):
            yield Fact(f"Note {note.id} by {note.by} on {note.about}: {note.text}", "notes in state.db")


def _health(site: Site, names: Sequence[str], about: Sequence[str]) -> Iterator[Fact]:
    """The health score of each target, and the findings that lower it."""
    from aishell.reporting.health import health
    from aishell.state import readings

    found = readings.read(site.store) if site.state_path.exists() else readings.Readings()
    known = {row.target: health(row.target, row.run_id, row.at, row.output) for row in found.health}
    for name in names:
        one = known.get(name)
        if one is None:
            yield Fact(
                f"{name}: no health check was run yet (`{command('run', 'maintenance', '--type', 'quick')}`).",
                "runs in state.db",
            )
            continue
        source = f"run {one.run_id[:8]} of {at(one.at)}"
        yield Fact(f"{name}: {one.score} of 100.", source, {"score": one.score})
        findings = [finding for lowered in one.lowered for finding in lowered.findings]
        for finding in findings[:MOST]:
            words = " ".join(str(finding[key]) for key in ("severity", "finding", "object") if finding.get(key))
            yield Fact(f"{name}: {words}: {finding.get('value')}", source)
        if len(findings) > MOST:
            yield Fact(f"{name}: {len(findings) - MOST} more findings.", source, {"more": len(findings) - MOST})


def _history(site: Site, names: Sequence[str], about: Sequence[str]) -> Iterator[Fact]:
    """What the newest runs on each target came to."""
    from aishell.state.recall import past_runs

    if not site.state_path.exists():
        return
    for name in names:
        for run in past_runs(site.runs, name, most=5):
            text = f"{name}: {run['agent']} of {at(run['at'])} ended with {run['status']}. {run['says']}"
            yield Fact(text.strip(), f"run {run['run']}")


def _everything(site: Site, names: Sequence[str], about: Sequence[str]) -> Iterator[Fact]:
    """For a question of no kind: the state of the targets, what was done, and what is to come."""
    for part in (_health, _history, _tonight):
        yield from part(site, names, about)
    if about:
        yield from _tables(site, names, about)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:MOST]) + (f" and {len(names) - MOST} more" if len(names) > MOST else "")


_FACTS: Mapping[str, Callable[[Site, Sequence[str], Sequence[str]], Iterator[Fact]]] = {
    "backups": _backups,
    "tonight": _tonight,
    "table": _tables,
    "health": _health,
    "history": _history,
    "other": _everything,
}
