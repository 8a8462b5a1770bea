"""What killed runs have left in the database and in files: which run left it, and whether it can be removed. Reads only."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from aishell.backups.leftovers import fates_of, leftovers
from aishell.backups.store.backup_store import BackupStore
from aishell.backups.store.manifest import BackupManifest
from aishell.claims import Claim, run_of_scratch
from aishell.codec import unpack
from aishell.commands import command
from aishell.execution.target_context import INSPECTION, Job
from aishell.models import Residue, Row, RunState
from aishell.running import dispatch
from aishell.running.context import Context
from aishell.state.run_fates import KnownRun, RunFate, RunFates

TOOL = "inspect_residue"
SCRATCH, MARK, UNFINISHED, KEPT, SLOT, INDEX = (
    "scratch database", "restore mark", "unfinished restore", "kept database", "replication slot", "invalid index",
)  # fmt: skip
_OTHERS = "no run of this site gives such a name or mark"


def residue(job: Job, backup_store: BackupStore, archives: Path) -> list[Residue]:
    """Everything that killed runs have left on a target that was inspected. Raises DatabaseError."""
    return [*in_database(job, backup_store), *leftovers(backup_store, archives, job.target.name)]


def in_database(job: Job, backup_store: BackupStore) -> list[Residue]:
    """What is left in the database and on its server, without what is in use or belongs to a run that is still running."""
    if not job.registry.has(TOOL, job.known_server()):
        return []
    rows: dict[str, list[Row]] = defaultdict(list)
    for found in job.read(TOOL).values():
        for row in found:
            rows[str(row["kind"])].append(row)
    fates = fates_of(backup_store)
    looked: dict[str, Callable[[Row], Residue | None]] = {
        SCRATCH: lambda row: _scratch(row, fates),
        MARK: lambda row: _marked(row, fates, "reset_restore_mark"),
        UNFINISHED: lambda row: _marked(row, fates, "drop_unfinished_restore"),
    }
    listed = [one for kind, look in looked.items() for row in rows[kind] if (one := look(row)) is not None]
    return [
        *listed,
        *_kept(job, rows[KEPT], fates),
        *_slots(job, backup_store, rows[SLOT], fates),
        *_indexes(job, backup_store, rows[INDEX], fates),
    ]


def _scratch(row: Row, fates: RunFates) -> Residue | None:
    run, mark = run_of_scratch(row["name"]), row["mark"]
    if run is None:
        return None
    known = fates.of(run)
    claim = None if mark is None else Claim.of(mark)
    if mark is not None and (claim is None or claim.run_id != known.run_id):
        return replace(_of(row, known), kept=_OTHERS, certain=False)
    return None if known.fate is RunFate.ALIVE else _of(row, known, "drop_scratch_database", database=row["name"])


def _marked(row: Row, fates: RunFates, tool: str) -> Residue | None:
    """A database with the claim of a restore. `tool` gets the mark as it is stored where the mark identifies the database."""
    claim = Claim.of(row["mark"])
    if claim is None:
        return replace(_of(row, KnownRun(RunFate.UNKNOWN)), kept=_OTHERS)
    known = fates.of(claim.run_id)
    mark = row["mark"] if row["kind"] == UNFINISHED else str(claim)
    return None if known.fate is RunFate.ALIVE else _of(row, known, tool, database=row["name"], mark=mark)


def _kept(job: Job, rows: Sequence[Row], fates: RunFates) -> Iterator[Residue]:
    """Databases in which a restore in place keeps what it replaces: never dropped, and no residue once the run completed."""
    names = {row["name"]: row for row in rows}
    for known in fates.on(job.target.name, "backup_restore") if names else ():
        steps = json.loads(known.run.plan)["steps"] if known.run else ()
        row = next((names[kept] for step in steps if (kept := step["params"].get("kept")) in names), None)
        if row is None or known.run is None or known.fate is RunFate.ALIVE or known.run.state == RunState.COMPLETED:
            continue
        why = f"the run {known.run.id[:8]} kept in it what it was to replace: check its contents before you drop it"
        yield replace(_of(row, known), kept=known.kept or why)


def _slots(job: Job, backup_store: BackupStore, rows: Sequence[Row], fates: RunFates) -> Iterator[Residue]:
    """Slots that no backup needs; none while a backup runs, whose own slot is neither active nor named by a backup yet."""
    if not rows:
        return
    from aishell.backups.postgresql.wal import slot_name

    made = [manifest for _, manifest in backup_store.repository.all()]
    whole = [one for one in made if isinstance(one, BackupManifest)]
    needed = {one.details.get("slot") for one in whole}
    root, identity = backup_store.repository.root, job.known_server().identity
    ours = {slot_name(identity, job.target.name, root), *(slot_name(one.identity, one.target, root) for one in whole)}
    runs = list(fates.on(job.target.name, "backup"))
    if any(known.fate is RunFate.ALIVE for known in runs):
        return
    waits = _resumable(runs)  # resumed, it may have made its backup
    for row in (row for row in rows if row["name"] not in needed):
        one = _of(row, KnownRun(RunFate.OVER), "drop_replication_slot", slot=row["name"])
        if row["name"] not in ours:
            why = "it belongs to another target or site; if to none, drop it by hand"
            yield replace(one, certain=False, kept=why)
        elif len(whole) < len(made):
            see = command("backups", "verify")
            yield replace(one, kept=f"a backup whose manifest cannot be read may need it; see `{see}`")
        else:
            yield replace(one, kept=waits.kept, run_id=waits.run_id) if waits else one


def _resumable(runs: Sequence[KnownRun]) -> KnownRun | None:
    return next((known for known in runs if known.fate is RunFate.RESUMABLE), None)


def rebuilt(backup_store: BackupStore, target: str) -> dict[tuple[str, str], tuple[str, ...]]:
    """The indexes that a run of this site has begun to rebuild on a target, by their tables."""
    names: dict[tuple[str, str], set[str]] = defaultdict(set)
    for _, params, found in fates_of(backup_store).rebuilding(target):
        names[params["schema"], params["table"]] |= {row["index_name"] for row in unpack(found)}
    return {table: tuple(sorted(some)) for table, some in names.items()}


def _indexes(job: Job, backup_store: BackupStore, rows: Sequence[Row], fates: RunFates) -> Iterator[Residue]:
    """Invalid indexes: certain where `drop_invalid_indexes` finds them to be copies that a rebuild of ours made."""
    if not rows:
        return
    runs: dict[tuple[str, str], list[KnownRun]] = defaultdict(list)
    for known, params, _ in fates.rebuilding(job.target.name):
        runs[params["schema"], params["table"]].append(known)
    recorded = rebuilt(backup_store, job.target.name)
    tables: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        tables[row["schema"], row["table"]].append(row)
    for table, copies in tables.items():
        if not any(known.fate is RunFate.ALIVE for known in runs[table]):
            yield from _copies(job, table, copies, list(recorded.get(table, ())), runs[table])


def _copies(
    job: Job, table: tuple[str, str], rows: Sequence[Row], recorded: list[str], runs: Sequence[KnownRun]
) -> Iterator[Residue]:
    """The copies of the indexes of one table, on which `runs` have rebuilt some."""
    tool, params = job.pick("drop_invalid_indexes"), {"schema": table[0], "table": table[1], "recorded": recorded}
    context = Context(job.inspector or job.database, f"aishell:inspect {tool.source}", INSPECTION)
    ours = {str(one["oid"]) for one in dispatch.find(tool, tool.prepare(params), context) or ()}
    waits = _resumable(runs)
    for row in rows:
        one = replace(_of(row, KnownRun(RunFate.OVER), tool.name, **params), name=".".join((*table, row["name"])))
        if row["oid"] in ours:
            known = waits or runs[0]
            yield replace(one, run_id=known.run_id, since=known.since, kept=waits.kept if waits else None)
        else:
            yield replace(one, certain=False, kept="no index rebuild recorded here accounts for it")


def _of(row: Row, known: KnownRun, tool: str = "", **params: object) -> Residue:
    return Residue(
        kind=row["kind"],
        name=row["name"],
        run_id=known.run_id,
        since=row["since"] or known.since,
        bytes=int(row["bytes"]) if row["bytes"] is not None else None,
        kept=known.kept,
        certain=known.fate is not RunFate.UNKNOWN,
        tool=tool,
        params=params,
    )
