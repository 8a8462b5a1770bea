"""The backup agent: make a backup, verify it, test its restore on request, and remove expired backups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar

from aishell.agents.backup.steps import chained, meant, proof, read, sized
from aishell.agents.base import FLAG, Agent, Draft, Option, Surroundings, defaults_of, described
from aishell.agents.summary import left_over, outputs_of
from aishell.errors import ParameterError
from aishell.models import AgentConfig, Evidence, Inventory, Params, Step, StepResult, Task
from aishell.planning.estimates import estimate
from aishell.planning.variables import escaped
from aishell.reporting.units import size
from aishell.settings.schemas import TEXT, mapping, number, whole
from aishell.settings.validation import Fault

#: The tool that copies the files of a whole server rather than the rows of a database.
PHYSICAL = "backup_cluster"
#: The tool that does so for a target configured for pgbackrest.
PGBACKREST = "backup_pgbackrest"
_KEPT = whole(0, 100_000)
#: The rules by which backups are kept (`backups.store.retention`), and how many may be removed in one run.
RULES: dict[str, Any] = {
    **dict.fromkeys(("count", "daily", "weekly", "monthly", "yearly"), _KEPT),
    "days": number(0, 36_525),
    "at_most": _KEPT,
}
RETENTION = {**mapping(RULES), "minProperties": 1}


class BackupAgent(Agent):
    """One backup of the target, kept in the site's folder of backups."""

    type: ClassVar[str] = "backup"
    vocabulary: ClassVar[str] = "aishell.agents.backup.words:WORDS"
    defaults: ClassVar[AgentConfig] = defaults_of(
        "backup", "database_read file_read file_write backup_create backup_restore", max_duration=6 * 3600
    )
    inputs: ClassVar[dict[str, dict[str, Any]]] = {
        "backup_type": {
            "enum": ["full", "incremental"],
            "title": "backup type",
            "description": "Type of backup (default: full).",
        },
        "destination": described(TEXT, "Subfolder of the backup store."),
        "parent": described(TEXT, "Backup that an incremental one builds on (default: the newest verified one)."),
        "physical": described(
            FLAG, "Copy the files of the whole server instead of the rows of this database; not for SQLite."
        ),
        "compare": described(FLAG, "Record a fingerprint of every table, to compare a restored copy with."),
        "restore_test": described(FLAG, "Restore it into a scratch place, compare, and remove the copy."),
        "cleanup_old": described(FLAG, "Then remove backups past their retention."),
        "options": {
            "type": "object",
            "description": "A parameter of the engine's tool, e.g. jobs=4; `aishell tools show backup_database_full` lists them.",
        },
        "retention": described(RETENTION, "A retention rule in place of the configured ones, e.g. count=7."),
        "copy": FLAG,  # to the second places of the site
        "copies_days": {"type": "number", "exclusiveMinimum": 0, "maximum": 366},  # older copies are read again
        "pgbackrest": {"type": "object"},  # from the target's configuration (see `settings.PgBackRest`)
    }
    options: ClassVar[dict[str, Option]] = {
        "backup_type": Option("--type"),
        "destination": Option(metavar="FOLDER"),
        "parent": Option(metavar="BACKUP"),
        "physical": Option("--physical"),
        "restore_test": Option("--restore-test"),
        "cleanup_old": Option("--cleanup-old"),
        "options": Option("--option", "NAME=VALUE", reads="assignments"),
        "retention": Option("--retention", "RULE=N", reads="assignments"),
        "copy": Option(""),
        "copies_days": Option(""),
    }
    help = "Back up a database, read the backup in full, and on request restore and compare it."
    examples: ClassVar[tuple[str, ...]] = (
        "aishell run backup --type full --dry-run",
        "aishell run backup --type full --restore-test --yes",
        "aishell run backup --type incremental --cleanup-old --retention count=7 --yes",
    )
    categories: ClassVar[frozenset[str]] = frozenset({"backup"})

    settings: ClassVar[dict[str, dict[str, Any]]] = {"retention": mapping(RULES)}

    def check_settings(self, own: Mapping[str, Any]) -> Iterable[Fault]:
        rules = own.get("retention")
        if rules is not None and not any(rules.get(rule) for rule in RULES if rule != "at_most"):
            hint = "write a rule above 0, e.g. count: 7, or leave retention out: nothing is removed then"
            yield Fault(("retention",), "this retention keeps nothing", hint)

    def completed(self, inputs: Params, around: Surroundings) -> dict[str, Any]:
        given = super().completed(inputs, around)
        if around.target.pgbackrest:
            given.setdefault("pgbackrest", asdict(around.target.pgbackrest))
        if rules := around.config.own.get("retention"):
            given.setdefault("retention", dict(rules))
        if around.settings.backup_copies:
            given.setdefault("copy", True)
            given.setdefault("copies_days", around.settings.backup_copies_days)
        if "destination" in given:  # a place outside is refused before anything is touched
            around.backups.repository.folder(around.target.name, given["destination"])
        return given

    def draft(self, task: Task, inventory: Inventory) -> Draft:
        data = task.input_data
        if data.get("cleanup_old") and not data.get("retention"):
            raise ParameterError(
                "cleanup_old needs a retention rule",
                hint="set `retention: {count: 7}` in config/agents/backup.yaml",
            )
        if data.get("parent") and data.get("backup_type") != "incremental":
            raise ParameterError("parent is for incremental backups", hint="add --type incremental")
        warnings = []
        made = "${steps.backup.output.backup_id}"
        steps = [sized("size"), _backup(task, inventory), read("validate", "backup")]
        if data.get("restore_test"):
            steps.append(proof(made, inventory))
        if data.get("copy") and steps[1].tool == PGBACKREST:
            warnings.append("it is not copied to the second places: a second repository of pgbackrest's is for that")
        elif data.get("copy"):
            steps.append(
                Step(
                    id="copy",
                    tool="copy_backup",
                    params={"backup_id": made},
                    rationale="A second copy, in case the first place is lost.",
                )
            )
        if data.get("copy") and data.get("copies_days"):
            steps.append(
                Step(
                    id="copies",
                    tool="verify_copies",
                    params={"days": data["copies_days"], "again": True},
                    rationale=f"Copies elsewhere may decay, so each is read again every {data['copies_days']:g} days.",
                )
            )
        if data.get("cleanup_old"):
            steps.append(
                Step(
                    id="cleanup",
                    tool="cleanup_old_backups",
                    params={"retention": dict(data["retention"])},
                    rationale="The new backup is verified, so backups that no rule keeps can be removed.",
                )
            )
        # Each needs the one before it: a failed backup is neither copied nor a reason to remove another.
        return Draft(tuple(chained(steps)), tuple(warnings), serving=frozenset({"size"}))

    def summarise(self, task: Task, results: Sequence[StepResult]) -> tuple[dict[str, Any], str]:
        outputs = outputs_of(results)
        made, proof = outputs.get("backup", {}), outputs.get("restore_test") or outputs.get("validate") or {}
        removed = outputs.get("cleanup", {}).get("removed", [])
        data = {
            "actions_count": len(outputs),
            "backup_id": made.get("backup_id"),
            "backup_path": made.get("backup_path"),
            "backup_bytes": made.get("bytes"),
            "source_bytes": made.get("source_bytes"),
            "rung": proof.get("rung") or made.get("rung"),
            "copies": [copied["place"] for copied in outputs.get("copy", {}).get("copied", [])],
            "removed": removed,
        }
        sentences = ["No backup was made."]
        if made:
            sentences = [f"{made['backup_id']} has {size(made['bytes'])} and is {data['rung'].replace('-', ' ')}."]
        again = outputs.get("copies", {})
        if again.get("read"):
            number = len(again["read"])
            sentences.append(f"{number} older {'copy was' if number == 1 else 'copies were'} read again.")
        for one in again.get("copied", ()):
            sentences.append(f"Note: the copy of {one['backup_id']} in {one['place']} was damaged, and was made anew.")
        if data["copies"]:
            sentences.append(f"It was copied to {', '.join(dict.fromkeys(data['copies']))} and compared there.")
        if removed:
            sentences.append(f"{len(removed)} old backup(s) were removed.")
        sentences += [f"Note: {warning}." for warning in made.get("warnings") or ()]
        return data, " ".join([*sentences, *left_over(results)])


def _backup(task: Task, inventory: Inventory) -> Step:
    data, server = task.input_data, inventory.server
    kind = data.get("backup_type", "full")
    if data.get("pgbackrest") and data.get("physical", True):
        return _by_pgbackrest(task, inventory, kind)
    bytes_, tool = server.database_bytes, f"backup_database_{kind}"
    chosen = {name: escaped(data[name]) for name in ("destination", "parent") if name in data}
    chosen |= {name: meant(value) for name, value in data.get("options", {}).items()}
    if "compare" in data:
        chosen["compare"] = data["compare"]
    if kind == "full" and data.get("physical"):
        tool = PHYSICAL
        if tool not in inventory.tools:
            raise ParameterError(f"{server.product} {server.version_text} has no physical backups here")
    elif kind == "full":
        chosen["expected_bytes"] = "${steps.size.output.bytes}"
    return Step(
        id="backup",
        tool=tool,
        params=chosen,
        rationale="A consistent snapshot of everything, while the application continues."
        if kind == "full"
        else "Everything that has changed since the last verified backup.",
        evidence=(Evidence("database_bytes", bytes_, "as the server tells it", inventory.measured_at),),
        estimate=estimate(inventory, tool, "", bytes_),  # room is checked when it begins
    )


def _by_pgbackrest(task: Task, inventory: Inventory, kind: str) -> Step:
    data, server = task.input_data, inventory.server
    if PGBACKREST not in inventory.tools:
        raise ParameterError(
            f"{server.product} {server.version_text} is not backed up by pgbackrest",
            hint="take `pgbackrest:` out of the target",
        )
    if "parent" in data:
        raise ParameterError("pgbackrest chooses itself what an increment goes on from", hint="leave --parent out")
    chosen = {**data["pgbackrest"], **data.get("options", {})}
    chosen |= {"destination": data["destination"]} if "destination" in data else {}
    what = "Everything" if kind == "full" else "What has changed since the newest set in its repository"
    return Step(
        id="backup",
        tool=PGBACKREST,
        params={name: meant(value) for name, value in chosen.items()} | {"type": "full" if kind == "full" else "incr"},
        rationale=f"{what}, by pgbackrest: the target is configured for its stanza {data['pgbackrest']['stanza']}.",
        evidence=(Evidence("database_bytes", server.database_bytes, "as the server tells it", inventory.measured_at),),
        estimate=estimate(inventory, PGBACKREST, "", server.database_bytes, None),
    )
