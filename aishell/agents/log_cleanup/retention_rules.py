"""How long the rows of each table are kept, by the task or by the rules in `config/agents/log_cleanup.yaml`. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from aishell.agents.base import is_excluded
from aishell.errors import ParameterError
from aishell.models import Table, Task
from aishell.registry.tool import PARAMETER_TYPES
from aishell.settings.schemas import TEXT, TEXTS, mapping, whole

#: The days for which rows may be kept.
RETENTION_DAYS = whole(1, 36_525)
#: The schema of `retention` in the agent's file.
CONFIGURED: dict[str, Any] = {
    "type": "array",
    "minItems": 1,
    "unique": ("tables",),
    "items": mapping(
        {
            "tables": TEXT,
            "retention_days": RETENTION_DAYS,
            "date_column": TEXT,
            "exclude": TEXTS,
            "filters": PARAMETER_TYPES["filters"],
            "archive": {"type": "boolean"},
        },
        "tables",
        "retention_days",
        title="a retention rule",
    ),
}
#: Inputs that apply only to tables that the task names.
_FOR_NAMED = ("retention_days", "date_column", "filters")


@dataclass(frozen=True)
class RetentionRule:
    """How long the rows of a table are kept. `tables` is a glob or a name."""

    tables: str
    retention_days: int
    date_column: str | None = None
    filters: tuple[Mapping[str, Any], ...] = ()
    archive: bool = False
    exclude: tuple[str, ...] = ()  # globs or names of tables that the rule leaves out


def named(task: Task) -> bool:
    """Return whether a task names its tables instead of using the configured rules."""
    return "table" in task.input_data or bool(task.input_data.get("tables"))


def rules_of(task: Task) -> list[RetentionRule]:
    """Return the rules of a task: one per table it names, else the configured ones. Raises ParameterError without any."""
    data = task.input_data
    names = [*([data["table"]] if "table" in data else []), *data.get("tables", ())]
    everywhere = data.get("exclude", ())
    configured = [_rule(rule, everywhere) for rule in data.get("rules", ())]
    if not names:
        if not configured:
            raise ParameterError(
                "no table given",
                hint="give --table and --retention-days, or write rules into config/agents/log_cleanup.yaml",
            )
        _require_none_for_named(data)
        if "archive" in data:
            return [replace(rule, archive=bool(data["archive"])) for rule in configured]
        return configured
    given = {key: data[key] for key in ("retention_days", "date_column", "filters", "archive") if key in data}
    if "retention_days" not in given:
        raise ParameterError("retention_days is missing", hint="give one, for example --retention-days 90")
    return [_rule({"tables": name, **given}, everywhere) for name in names]


def _require_none_for_named(data: Mapping[str, Any]) -> None:
    """Raise ParameterError for inputs that need a named table if none is named: each rule has its own."""
    for key in _FOR_NAMED:
        if key in data:
            raise ParameterError(
                f"{key} is given without a table",
                hint="name the tables with --table; rules in config/agents/log_cleanup.yaml have their own",
            )


def _rule(data: Mapping[str, Any], everywhere: Sequence[str]) -> RetentionRule:
    return RetentionRule(
        data["tables"],
        data["retention_days"],
        data.get("date_column"),
        tuple(data.get("filters", ())),
        bool(data.get("archive")),
        (*data.get("exclude", ()), *everywhere),
    )


def fits(tables: str, schema: str, table: str) -> bool:
    """Return whether `tables` of a rule, a name or a glob, matches a table."""
    return any(tables == name or fnmatchcase(name, tables) for name in (table, f"{schema}.{table}"))


def rule_of(table: Table, rules: Sequence[RetentionRule]) -> RetentionRule | None:
    """Return the first rule that matches a table; an exact name takes precedence over a glob, so that `we*ird` can be named."""
    rules = [rule for rule in rules if not is_excluded(table.schema, table.table, rule.exclude)]
    exact = (rule for rule in rules if rule.tables in (table.table, f"{table.schema}.{table.table}"))
    globs = (rule for rule in rules if fits(rule.tables, table.schema, table.table))
    return next(exact, None) or next(globs, None)
