"""The log_cleanup agent: delete old rows of growing tables, in small batches (spec: agents.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

from aishell.agents.base import FLAG, NAMES, Agent, Draft, Option, Question, Surroundings, defaults_of, described
from aishell.agents.log_cleanup import plan, questions, summary
from aishell.agents.log_cleanup.retention_rules import CONFIGURED, RETENTION_DAYS, fits, named, rules_of
from aishell.archives.shelf import inside
from aishell.models import (
    OK,
    WARNING,
    AgentConfig,
    Decision,
    Finding,
    Inventory,
    Params,
    Reason,
    Risk,
    Row,
    Step,
    StepResult,
    Task,
    Verdict,
)
from aishell.registry.tool import PARAMETER_TYPES
from aishell.settings.schemas import MOST_BYTES, TEXT, TEXTS, number, whole

#: A retention of fewer days needs approval (agents.md).
CAREFUL_DAYS = 7


class LogCleanupAgent(Agent):
    """Retention of log tables: preconditions, deletion in batches, what follows from it, and a look at what is left."""

    type: ClassVar[str] = "log_cleanup"
    vocabulary: ClassVar[str] = "aishell.agents.log_cleanup.words:WORDS"
    defaults: ClassVar[AgentConfig] = defaults_of(
        "log_cleanup",
        "database_read database_write schema_analyze query_optimize file_write schema_modify",
        max_duration=3600,
    )
    _rule: ClassVar[dict[str, Any]] = {
        "retention_days": RETENTION_DAYS,
        "date_column": TEXT,
        "filters": PARAMETER_TYPES["filters"],
        "archive": FLAG,
    }
    inputs: ClassVar[dict[str, dict[str, Any]]] = {
        "table": TEXT,
        "tables": described(NAMES, "The table; globs and schema.table allowed."),
        "exclude": described(NAMES, "Delete nothing from these tables; globs and schema.table allowed."),
        "retention_days": described(RETENTION_DAYS, "Delete rows older than this many days."),
        "date_column": described(TEXT, "Column that holds a row's date (default: found by type and name)."),
        "filters": described(PARAMETER_TYPES["filters"], "Only rows that match; operators: = != < <= > >=."),
        "archive": described(FLAG, "Archive the rows in a verified file before deleting them."),
        "archive_to": described(TEXT, "Subfolder of the archive folder; implies --archive."),
        "archive_format": {
            "enum": ["jsonl", "csv", "parquet"],
            "title": "archive format",
            "description": "Format of the archive (default: jsonl); implies --archive.",
        },
        "max_rows": described(whole(1, MOST_BYTES), "Delete at most this many rows."),
        "batch_target_ms": described(number(1, 60_000), "Target duration of a batch in milliseconds (default: 50)."),
        "sleep": described(number(0, 3600), "Pause between batches."),
        "shrink": described(
            FLAG, "Afterwards rewrite a SQLite file, or a MariaDB or MySQL table, that lost 30 % or more."
        ),
        "rules": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"tables": TEXT, "exclude": NAMES, **_rule},
                "required": ["tables", "retention_days"],
                "additionalProperties": False,
            },
        },
    }

    options: ClassVar[dict[str, Option]] = {
        "table": Option(""),
        "tables": Option("--table", "T"),
        "exclude": Option(metavar="T"),
        "retention_days": Option(metavar="N"),
        "date_column": Option(metavar="C"),
        "filters": Option("--where", "COLUMN=VALUE", reads="conditions"),
        "archive": Option("--archive"),
        "archive_to": Option(metavar="FOLDER", implies={"archive": True}),
        "archive_format": Option(implies={"archive": True}),
        "max_rows": Option(metavar="N"),
        "batch_target_ms": Option(metavar="MS"),
        "sleep": Option(metavar="SECONDS"),
        "shrink": Option("--shrink"),
    }
    help = "Delete rows of log tables past their retention, in small batches."
    examples: ClassVar[tuple[str, ...]] = (
        "aishell run log-cleanup --discover",
        "aishell run log-cleanup --table app_log --retention-days 90 --dry-run",
        "aishell run log-cleanup --table app_log --retention-days 30 --where level=debug --until 05:30 --yes",
    )
    extends_command = "aishell.cli.discovery:add"
    categories: ClassVar[frozenset[str]] = frozenset({"database_read", "database_write", "database_ddl"})
    settings: ClassVar[dict[str, dict[str, Any]]] = {"exclude": TEXTS, "retention": CONFIGURED}

    def completed(self, inputs: Params, around: Surroundings) -> dict[str, Any]:
        given = super().completed(inputs, around)
        if rules := around.config.own.get("retention"):
            given.setdefault("rules", [dict(rule) for rule in rules])
        if "archive_to" in given:
            place = inside(around.archives, given["archive_to"])
            given["archive_to"] = str(place.relative_to(around.archives.resolve()))
        return given

    def examine(self, around: Surroundings, rows: Callable[[str], Sequence[Row]]) -> Iterable[Finding]:
        rules = around.config.own.get("retention") or ()
        names = [(row["schema"], row["table"]) for row in rows("inspect_tables")] if rules else []
        idle = [rule["tables"] for rule in rules if not any(fits(rule["tables"], *name) for name in names)]
        if not rules:
            return
        text = f"{len(rules) - len(idle)} of {len(rules)} retention rule(s) find a table here"
        if not idle:
            yield Finding(OK, self.type, text)
            return
        # With several targets, or the databases of a whole server, a rule may be for the tables of another.
        level = OK if len(around.settings.targets) > 1 or around.target.server else WARNING
        remedy = "correct `tables` in config/agents/log_cleanup.yaml, or remove the rule"
        yield Finding(level, self.type, f"{text}; none is called {', '.join(idle)}", None if level == OK else remedy)

    def tables(self, task: Task) -> Sequence[str]:
        return [rule.tables for rule in rules_of(task)]

    def needs_tables(self, task: Task) -> bool:
        return named(task)

    def questions(self, task: Task, inventory: Inventory) -> Sequence[Question]:
        return questions.questions(task, inventory)

    def draft(self, task: Task, inventory: Inventory) -> Draft:
        return plan.LogCleanupPlanner(task, inventory).draft()

    def validate_safety(self, step: Step) -> Verdict | None:
        kept = next((item.value for item in step.evidence if item.metric == "retention_days"), CAREFUL_DAYS)
        if kept >= CAREFUL_DAYS:
            return None
        text = f"rows are kept for {kept} day(s) only, less than {CAREFUL_DAYS}"
        return Verdict(Risk.MEDIUM, Decision.CONFIRM, True, (Reason("short retention", text, Decision.CONFIRM),))

    def summarise(self, task: Task, results: Sequence[StepResult]) -> tuple[dict[str, Any], str]:
        return summary.summarise(task, results)
