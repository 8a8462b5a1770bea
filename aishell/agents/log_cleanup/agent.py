"""The log_cleanup agent: old rows out of growing tables, in batches that nobody notices (spec: agents.md)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from aishell.agents.base import Agent, Draft, Question
from aishell.agents.log_cleanup import plan, questions, summary
from aishell.agents.log_cleanup.retention_rules import named, rules_of
from aishell.models import AgentConfig, Inventory, Risk, Step, StepResult, Task
from aishell.registry.tool import PARAMETER_TYPES
from aishell.settings_schemas import MOST_BYTES, RETENTION_DAYS, number, whole
from aishell.verdicts import Decision, Reason, Verdict

#: Keeping rows for less than this asks (agents.md).
CAREFUL_DAYS = 7


class LogCleanupAgent(Agent):
    """Retention of log tables: preconditions, deletion in batches, what follows from it, and a look at what is left."""

    type: ClassVar[str] = "log_cleanup"
    defaults: ClassVar[AgentConfig] = AgentConfig(
        agent_id="log_cleanup_agent",
        agent_type="log_cleanup",
        capabilities=frozenset(
            {"database_read", "database_write", "schema_analyze", "query_optimize", "file_write", "schema_modify"}
        ),
        max_duration=3600,
        constraints=({"type": "production_hours"},),
    )
    _globs: ClassVar[dict[str, Any]] = {"type": "array", "items": {"type": "string", "minLength": 1}}
    _rule: ClassVar[dict[str, Any]] = {
        "retention_days": RETENTION_DAYS,
        "date_column": {"type": "string", "minLength": 1},
        "filters": PARAMETER_TYPES["filters"],
        "archive": {"type": "boolean"},
    }
    inputs: ClassVar[dict[str, dict[str, Any]]] = {
        "table": {"type": "string", "minLength": 1},
        "tables": {"type": "array", "items": {"type": "string", "minLength": 1}},
        "exclude": _globs,
        **_rule,
        "archive_to": {"type": "string", "minLength": 1},
        "archive_format": {"enum": ["jsonl", "csv", "parquet"]},
        "batch_target_ms": number(1, 60_000),
        "max_rows": whole(1, MOST_BYTES),
        "sleep": number(0, 3600),
        "shrink": {"type": "boolean"},
        "rules": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"tables": {"type": "string", "minLength": 1}, "exclude": _globs, **_rule},
                "required": ["tables", "retention_days"],
                "additionalProperties": False,
            },
        },
    }

    def tables(self, task: Task) -> Sequence[str]:
        return [rule.tables for rule in rules_of(task)]

    def needs_tables(self, task: Task) -> bool:
        return named(task)

    def questions(self, task: Task, inventory: Inventory) -> Sequence[Question]:
        return questions.questions(task, inventory)

    def draft(self, task: Task, inventory: Inventory) -> Draft:
        return plan.Planner(task, inventory).draft()

    def validate_safety(self, step: Step) -> Verdict | None:
        kept = next((item.value for item in step.evidence if item.metric == "retention_days"), CAREFUL_DAYS)
        if kept >= CAREFUL_DAYS:
            return None
        text = f"rows are kept for {kept} day(s) only, less than {CAREFUL_DAYS}"
        return Verdict(Risk.MEDIUM, Decision.CONFIRM, True, (Reason("short retention", text, Decision.CONFIRM),))

    def summarise(self, task: Task, results: Sequence[StepResult]) -> tuple[dict[str, Any], str]:
        return summary.summarise(task, results)
