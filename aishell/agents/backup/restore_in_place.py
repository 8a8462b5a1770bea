"""The plan of a restore in place: a backup of what is about to be lost, the restore beside it, then the exchange. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from aishell.agents.backup.steps import BackupSteps
from aishell.backups.methods import kind_of
from aishell.engines import profile
from aishell.errors import ParameterError
from aishell.models import SAFETY_STEP, Inventory, Server, Step
from aishell.planning.estimates import estimate
from aishell.planning.variables import escaped

STEP, TOOL = "replace", "replace_database"
SAFETY = BackupSteps("size", SAFETY_STEP, "validate", "A safety backup of the present state.")
#: Options of the restore that the exchange has to know too.
_SHARED = ("owners", "jobs")
#: The identity of a PostgreSQL database: the number in it is another one for every database that is made.
_NUMBERED = re.compile(r"(system .* database )\d+( .*)", re.DOTALL)
_BESIDE = "restore it beside the database with --to, and look at it"


def steps(data: Mapping[str, Any], inventory: Inventory, restore: Step) -> list[Step]:
    """The steps around `restore`, each needing the one before it. Raises ParameterError for what cannot be done in place."""
    _require_possible(data, inventory)
    server, made = inventory.server, data["manifest"]
    before = [] if data.get("without_safety_backup") else SAFETY.of(inventory)
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
    bytes_ = made.get("needs_bytes") or made.get("source_bytes") or made["bytes"]
    exchange = Step(
        id=STEP,
        tool=TOOL,
        params=params,
        rationale=f"The restored copy replaces {server.database}; the present one is kept as {data['kept']}.",
        # A file's pages go through its journal; elsewhere nothing is copied.
        estimate=estimate(inventory, TOOL, "", bytes_, 2 * bytes_ if engine.is_file else None),
    )
    chained = [*before, restore, exchange]
    return [replace(step, index=n, needs=(chained[n - 1].id,) if n else ()) for n, step in enumerate(chained)]


def warnings(data: Mapping[str, Any], server: Server) -> Iterator[str]:
    """What a person has to know before they agree."""
    made = data["manifest"]
    if made["identity"] != server.identity:
        yield f"{server.database} is a later database of this name on the same server than the one the backup is of"
    yield f"stop the application first: what it writes to {server.database} after the safety backup began is not in it"
    if data.get("without_safety_backup"):
        yield f"no safety backup is made of what is there now: {profile(server.engine).last_copy.format(data['kept'])}"
    if data.get("until"):
        yield "a moment between two backups has no fingerprints: what comes back is not compared with anything"
    elif not data.get("compare", True):
        yield "the restored data is not compared with the backup, as was asked"
    if profile(server.engine).exchanged_by_name and data.get("terminate"):
        yield f"all sessions that are in {server.database} then are ended"


def _require_possible(data: Mapping[str, Any], inventory: Inventory) -> None:
    made, server = data["manifest"], inventory.server
    if not kind_of(made["method"]).in_place:
        raise ParameterError(
            f"{data['backup']} is of the files of a whole server, which nothing can replace while it runs",
            hint="restore it into a new data directory with --to, stop the server, and start it on that one",
        )
    if TOOL not in inventory.tools:
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
    """Whether two identities are of one database: the same, or on PostgreSQL of the same name on the same server."""
    old, new = _NUMBERED.fullmatch(then), _NUMBERED.fullmatch(now)
    return then == now or (old is not None and new is not None and old.groups() == new.groups())


def _unknown(server: Server) -> re.Match[str]:
    raise ParameterError(f"it is not known which database this is: {server.identity}")
