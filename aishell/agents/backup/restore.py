"""The backup_restore agent (`aishell backups restore`): restore a backup into a new place, which may replace the old one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from aishell.agents.backup.steps import BackupSteps, chained, meant
from aishell.agents.base import FLAG, Agent, Draft, defaults_of
from aishell.agents.summary import left_over
from aishell.backups.methods import method_class
from aishell.engines import profile
from aishell.errors import ParameterError
from aishell.models import (
    SAFETY_STEP,
    AgentConfig,
    Estimate,
    Evidence,
    Inventory,
    Server,
    Step,
    StepResult,
    StepStatus,
    Task,
)
from aishell.moments import at
from aishell.planning.estimates import estimate
from aishell.planning.variables import escaped
from aishell.reporting.units import size
from aishell.settings.schemas import TEXT

#: The tool that removes the mark of a restore from a database.
RESET = "reset_restore_mark"
_EXCHANGE, _TOOL = "replace", "replace_database"
_SAFETY = BackupSteps("size", SAFETY_STEP, "validate", "A safety backup of the present state.")
#: Options of the restore that the exchange needs too.
_SHARED = ("owners", "jobs")
#: The identity of a PostgreSQL database; every new database has a new number.
_NUMBERED = re.compile(r"(system .* database )\d+( .*)", re.DOTALL)
_BESIDE = "restore it beside the database with --to, and look at it"


class BackupRestoreAgent(Agent):
    """One backup into one new database of a server, for SQLite into a new file; `in_place`: and that into the old one's place."""

    type: ClassVar[str] = "backup_restore"
    vocabulary: ClassVar[str] = "aishell.agents.backup.words:RESTORE"
    by_hand: ClassVar[bool] = True
    defaults: ClassVar[AgentConfig] = defaults_of(
        "backup_restore",
        "database_read database_write file_read file_write backup_create backup_restore",
        max_duration=24 * 3600,
    )
    categories: ClassVar[frozenset[str]] = frozenset({"restore"})
    inputs: ClassVar[dict[str, dict[str, Any]]] = {
        "backup": TEXT,
        "place": TEXT,
        "until": TEXT,
        "only": {"type": "array", "items": TEXT, "minItems": 1},
        "compare": FLAG,
        "in_place": FLAG,
        "kept": TEXT,  # in place: where the replaced database is kept
        "without_safety_backup": FLAG,
        "terminate": FLAG,  # in place, PostgreSQL: end the sessions in the database
        "options": {"type": "object"},  # further parameters of the engine's restore tool
        "manifest": {"type": "object"},  # facts about the backup, for the plan (see `Manifest.summary`)
        "rung": {"type": "string"},
        "rung_at": {"type": "string"},
    }

    def draft(self, task: Task, inventory: Inventory) -> Draft:
        data, server = task.input_data, inventory.server
        _require_fitting(data, server)
        restore, warnings = _restore(data, inventory), _warnings(data, server)
        if data.get("in_place"):
            steps = _exchanging(data, inventory, restore)
            return Draft(tuple(steps), (*_exchange_warnings(data, server), *warnings))
        return Draft(tuple(_with_reset(restore, data["manifest"], data["place"], inventory)), tuple(warnings))

    def summarise(self, task: Task, results: Sequence[StepResult]) -> tuple[dict[str, Any], str]:
        outputs = {r.step_id: r.output for r in results if r.status is StepStatus.DONE and r.output is not None}
        output: Mapping[str, Any] = outputs.get("restore", {})
        if task.input_data.get("in_place"):
            return _summarised(task, outputs, results)
        data = {
            "actions_count": int(bool(output)),
            "backup_id": task.input_data.get("backup"),
            "place": output.get("place"),
            "compared": bool(output.get("compared")),
            "differences": list(output.get("differences") or ()),
        }
        sentences = [f"{data['backup_id']} was restored into {data['place']}." if output else "Nothing was restored."]
        if data["compared"]:
            sentences.append("Every object matches the backup.")
        sentences += [f"Note: {note}." for note in output.get("notes") or ()]
        return data, " ".join([*sentences, *left_over(results)])


def _require_fitting(data: Mapping[str, Any], server: Server) -> None:
    """Raise ParameterError for a missing input, a backup of another engine, or a place that cannot be restored into."""
    for name in ("backup", "place", "manifest", *(("kept",) if data.get("in_place") else ())):
        if name not in data:
            raise ParameterError(
                f"the backup_restore task needs {name}", hint="the command `backups restore` fills it in"
            )
    made, place = data["manifest"], data["place"]
    if made["engine"] != server.engine:
        raise ParameterError(
            f"{data['backup']} is a backup of {made['product']} and cannot be restored into {server.product}",
            hint="name a server of its kind with --target or --url",
        )
    if profile(server.engine).is_file and "/" not in place:
        raise ParameterError(f"{place!r} is not a file path", hint="write it with its folder, e.g. ./restored.db")
    if place == server.database:
        raise ParameterError(
            f"{place} is the database itself: a backup is restored beside it, never over it",
            hint="name another place with --to, check the restored data, then rename",
        )


def _restore(data: Mapping[str, Any], inventory: Inventory) -> Step:
    """Return the restore step. Raises ParameterError for a part of the backup that its method cannot restore."""
    made, place = data["manifest"], data["place"]
    part: dict[str, Any] = {"until": escaped(data["until"])} if "until" in data else {}
    if "only" in data:
        part["only"] = [escaped(table) for table in data["only"]]
    if part and profile(inventory.server.engine).is_file:
        raise ParameterError("a SQLite backup is restored as a whole, as of its own time")
    _check_tables(data.get("only", ()), made["method"])
    bytes_, increments = _needs(made), made.get("rests_on", 0)
    which = f"the backup's manifest{f', with the {increments + 1} that it is made of' if increments else ''}"
    size_ = made.get("chain_bytes", made["bytes"])
    return Step(
        id="restore",
        tool="restore_backup",
        params={
            "backup_id": escaped(data["backup"]),
            "place": escaped(place),
            **part,
            # The fingerprints are those of the whole backup, at its own time.
            "compare": bool(data.get("compare", True)) and made.get("compared", False) and not part,
            **{name: meant(value) for name, value in data.get("options", {}).items()},
        },
        rationale=f"Into {place}, a new place; nothing that exists is touched. The backup is verified again first.",
        evidence=(
            Evidence("backup_bytes", size_, which, made["finished_at"]),
            Evidence("proven", data.get("rung", "written"), "the catalog", data.get("rung_at") or "never"),
        ),
        # A path is on this host, whose disks are not known here.
        estimate=estimate(inventory, "restore_backup", "", bytes_, None if place.startswith("/") else bytes_),
    )


def _check_tables(only: Sequence[str], method: str) -> None:
    """Raise ParameterError if a restore of these tables would fail after it has begun."""
    if only and not method_class(method).by_table:
        raise ParameterError(
            f"single tables cannot be restored from a {method} backup",
            hint="restore it into a database of its own, and take them from there",
        )
    if bare := [table for table in only if "." not in table]:
        raise ParameterError(f"the table {bare[0]!r} has no schema", hint="name it as schema.table")


def _with_reset(restore: Step, made: Mapping[str, Any], place: str, inventory: Inventory) -> list[Step]:
    """Return the restore, and a step that removes its mark from the database: only a restore that is killed needs the mark.

    In place, the exchange removes it: after the exchange, no step starts on the new database.
    """
    if not method_class(made["method"]).marks or RESET not in inventory.tools:
        return [restore]
    step = Step(
        id="reset_mark",
        tool=RESET,
        params={"database": escaped(place), "mark": f"${{run.id}}:{restore.id}"},
        index=1,
        rationale="By its mark a restore that is killed knows the database as its own; it is restored now.",
        needs=(restore.id,),
        on_error="continue",
        estimate=Estimate(0.0, None, "one change of the catalog"),
    )
    return [restore, step]


def _summarised(
    task: Task, outputs: Mapping[str, Mapping[str, Any]], results: Sequence[StepResult]
) -> tuple[dict[str, Any], str]:
    """Return the outcome of a restore in place."""
    done, restored = outputs.get(_EXCHANGE), outputs.get("restore", {})
    data: dict[str, Any] = {
        "actions_count": len(outputs),
        "backup_id": task.input_data.get("backup"),
        "place": done["database"] if done else restored.get("place"),
        "replaced": done is not None,
        "compared": bool((done or restored).get("compared")),
        "differences": [],
        "kept": done["kept"] if done else None,
        "safety_backup": outputs.get("validate", {}).get("backup_id"),
    }
    if done is None:
        sentences = ["Nothing was replaced.", *([f"It is restored beside it: {data['place']}."] if restored else [])]
        if any(one.step_id == _EXCHANGE and one.status is StepStatus.FAILED for one in results):
            # The exchange may have been interrupted halfway.
            sentences = ["The exchange failed; its error says where the data is now."]
        return data, " ".join([*sentences, *left_over(results)])
    sentences = [f"{data['backup_id']} replaced {data['place']}."]
    if data["compared"]:
        sentences.append("Every object matches the backup.")
    if done["kept"]:
        sentences.append(f"The previous one is kept as {done['kept']}; to remove it: {done['removal']}.")
    if data["safety_backup"]:
        sentences.append(f"The safety backup of it is {data['safety_backup']}.")
    if done["ended"]:
        sentences.append(f"{len(done['ended'])} session(s) were ended: {'; '.join(done['ended'][:5])}.")
    sentences += [f"Note: {note}." for note in done["notes"]]
    if not profile(task.input_data["manifest"]["engine"]).is_file:  # its increments compare files, whatever wrote them
        sentences.append("Make a full backup now: no increment goes on across this.")
    return data, " ".join([*sentences, *left_over(results)])


def _needs(made: Mapping[str, Any]) -> int:
    """Return the bytes to restore, as far as manifests have them; for an increment, with every backup it depends on."""
    return int(made.get("needs_bytes") or made.get("source_bytes") or made["bytes"])


def _warnings(data: Mapping[str, Any], server: Server) -> list[str]:
    """Return what a person should know before the restore."""
    made, warnings = data["manifest"], []
    if made["product"] != server.product:
        warnings.append(f"the backup was made on {made['product']}: {server.product} may not take all of it")
    elif tuple(int(part) for part in made["server_version"].split(".")) > server.version:
        warnings.append(
            f"the backup was made on {made['product']} {made['server_version']}, which is newer than this server "
            f"({server.version_text}): it may not take all of it"
        )
    if data.get("rung") not in ("readable", "restored-and-compared"):
        warnings.append("the backup is not verified yet; it is read in full before anything is restored")
    if not made.get("compared"):
        warnings.append("the backup was made without fingerprints: what comes back cannot be compared with what it saw")
    warnings.append(f"{size(_needs(made))} as of {at(made['started_at'])}")
    return warnings


def _exchanging(data: Mapping[str, Any], inventory: Inventory, restore: Step) -> list[Step]:
    """Return the steps of a restore in place: a backup of the present state, the restore beside it, then the exchange.

    Raises ParameterError for what cannot be done in place.
    """
    _require_exchangeable(data, inventory)
    server, made = inventory.server, data["manifest"]
    before = [] if data.get("without_safety_backup") else _SAFETY.of(inventory)
    params: dict[str, Any] = {
        "backup_id": "${steps.restore.output.backup_id}",
        "database": escaped(server.database),
        "place": "${steps.restore.output.place}",
        "kept": escaped(data["kept"]),
        "safety": "${steps.validate.output.backup_id}" if before else None,
        "compare": restore.params["compare"],
    }
    engine = profile(server.engine)
    if engine.exchanged_by_name:
        options = data.get("options", {})
        prefix, suffix = map(escaped, (_NUMBERED.fullmatch(server.identity) or _unknown(server)).groups())
        params |= {name: options[name] for name in _SHARED if name in options}
        params |= {"oid": "${steps.restore.output.identity}", "terminate": bool(data.get("terminate"))}
        params["becomes"] = f"{prefix}${{steps.restore.output.identity}}{suffix}"
    bytes_ = _needs(made)
    exchange = Step(
        id=_EXCHANGE,
        tool=_TOOL,
        params=params,
        rationale=f"The restored copy replaces {server.database}; the present one is kept as {data['kept']}.",
        # A file's pages pass through its journal; elsewhere nothing is copied.
        estimate=estimate(inventory, _TOOL, "", bytes_, 2 * bytes_ if engine.is_file else None),
    )
    return chained([*before, restore, exchange])


def _exchange_warnings(data: Mapping[str, Any], server: Server) -> Iterator[str]:
    """Yield what a person has to know before approving."""
    made = data["manifest"]
    if made["identity"] != server.identity:
        yield f"{server.database} is a later database of this name on the same server than the one the backup is of"
    yield f"stop the application first: what it writes to {server.database} after the safety backup began is not in it"
    if data.get("without_safety_backup"):
        yield f"no safety backup is made of what is there now: {profile(server.engine).last_copy.format(data['kept'])}"
    if data.get("until"):
        yield "a moment between two backups has no fingerprints: what comes back is not compared with anything"
    elif not data.get("compare", True):
        yield "the restored data is not compared with the backup, as requested"
    if profile(server.engine).exchanged_by_name and data.get("terminate"):
        yield f"all sessions that are in {server.database} then are ended"


def _require_exchangeable(data: Mapping[str, Any], inventory: Inventory) -> None:
    made, server = data["manifest"], inventory.server
    if not method_class(made["method"]).in_place:
        raise ParameterError(
            f"{data['backup']} is of the files of a whole server, which nothing can replace while it runs",
            hint="restore it into a new data directory with --to, stop the server, and start it on that one",
        )
    if _TOOL not in inventory.tools:
        raise ParameterError(f"a database of {server.product} cannot be replaced by aishell", hint=_BESIDE)
    if "only" in data:
        raise ParameterError("single tables cannot replace a database", hint=_BESIDE)
    if not _same(made["identity"], server.identity):
        raise ParameterError(
            f"{data['backup']} is of another database: {made['identity']}; this is {server.identity}", hint=_BESIDE
        )
    if data.get("compare", True) and not made.get("compared") and not data.get("until"):
        raise ParameterError(
            f"{data['backup']} was made without fingerprints, so a restored copy cannot be compared with it",
            hint="take another backup, or use --no-compare",
        )
    owners = profile(server.engine).keeps_owners and data.get("options", {}).get("owners") is not False
    if owners and not server.superuser:
        raise ParameterError(
            "only a superuser can restore owners and privileges",
            hint="connect as one; with --option owners=false all of it belongs to this role, and to nobody else",
        )


def _same(then: str, now: str) -> bool:
    """Return whether two identities are of one database: equal or, on PostgreSQL, with the same name on the same server."""
    old, new = _NUMBERED.fullmatch(then), _NUMBERED.fullmatch(now)
    return then == now or (old is not None and new is not None and old.groups() == new.groups())


def _unknown(server: Server) -> re.Match[str]:
    raise ParameterError(f"it is not known which database this is: {server.identity}")
