"""aishell: a database maintenance operations agent for PostgreSQL, MySQL/MariaDB and SQLite.

>>> with aishell.Site.open("path/to/site") as site:
...     preview = site.plan(aishell.Task("maintenance", "sample"))
...     result = site.run(preview, approve=my_callback)

The names in `__all__` are the public API, for programs that drive aishell, and for others' agents, constraints and
Python tools. docs/python-api.md documents them; everything else in the package may change in any release. For tests of
extensions there is `aishell.testing`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aishell.version import VERSION as __version__

if TYPE_CHECKING:
    from aishell.agents.base import Agent, Draft, Option, Question, Surroundings
    from aishell.codec import plain
    from aishell.databases.base import Session, Statement
    from aishell.errors import (
        AishellError,
        DatabaseError,
        DeniedError,
        HeldError,
        OutgrownError,
        ParameterError,
        PlanError,
        SettingsError,
        StateError,
        StepError,
        TargetBusyError,
        TargetUnavailableError,
        UnexpectedError,
        UnknownNameError,
        UntrustedError,
        UsageError,
    )
    from aishell.execution.preview import Preview, StepPreview
    from aishell.models import (
        AgentConfig,
        Decision,
        Estimate,
        Evidence,
        Finding,
        Index,
        Inventory,
        LeftOut,
        Plan,
        Reason,
        Risk,
        RunResult,
        RunState,
        Sent,
        Server,
        Step,
        StepResult,
        StepStatus,
        Table,
        Task,
        Verdict,
    )
    from aishell.registry.tool import Tool
    from aishell.running.context import Context as ToolContext
    from aishell.safety.approval import Approve, Edit, Later, Reject, Request, Skip
    from aishell.safety.constraints import Constraint, ConstraintContext, Violation
    from aishell.settings.targets import Target
    from aishell.settings.validation import Fault
    from aishell.site import Site

#: The module of each public name, as `module: names` in this package; `Own=Other` is published as `Other`.
_HOMES = (
    "agents.base: Agent Draft Option Question Surroundings",
    "databases.base: Session Statement",
    "errors: AishellError DatabaseError DeniedError HeldError OutgrownError ParameterError PlanError"
    " SettingsError StateError StepError TargetBusyError TargetUnavailableError UnexpectedError UnknownNameError"
    " UntrustedError UsageError",
    "execution.preview: Preview StepPreview",
    "codec: plain",
    "models: AgentConfig Decision Estimate Evidence Finding Index Inventory LeftOut Plan Reason Risk RunResult RunState Sent"
    " Server Step StepResult StepStatus Table Task Verdict",
    "registry.tool: Tool",
    "running.context: Context=ToolContext",
    "safety.approval: Approve Edit Later Reject Request Skip",
    "safety.constraints: Constraint ConstraintContext Violation",
    "settings.targets: Target",
    "settings.validation: Fault",
    "site: Site",
)
_WHERE = {
    name.rpartition("=")[2]: (module, name.partition("=")[0])
    for module, names in (home.split(":") for home in _HOMES)
    for name in names.split()
}

__all__ = [
    "Agent",
    "AgentConfig",
    "AishellError",
    "Approve",
    "Constraint",
    "ConstraintContext",
    "DatabaseError",
    "Decision",
    "DeniedError",
    "Draft",
    "Edit",
    "Estimate",
    "Evidence",
    "Fault",
    "Finding",
    "HeldError",
    "Index",
    "Inventory",
    "Later",
    "LeftOut",
    "Option",
    "OutgrownError",
    "ParameterError",
    "Plan",
    "PlanError",
    "Preview",
    "Question",
    "Reason",
    "Reject",
    "Request",
    "Risk",
    "RunResult",
    "RunState",
    "Sent",
    "Server",
    "Session",
    "SettingsError",
    "Site",
    "Skip",
    "StateError",
    "Statement",
    "Step",
    "StepError",
    "StepPreview",
    "StepResult",
    "StepStatus",
    "Surroundings",
    "Table",
    "Target",
    "TargetBusyError",
    "TargetUnavailableError",
    "Task",
    "Tool",
    "ToolContext",
    "UnexpectedError",
    "UnknownNameError",
    "UntrustedError",
    "UsageError",
    "Verdict",
    "Violation",
    "__version__",
    "plain",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    # `aishell --help` must stay fast: public names are imported on first use.
    if name not in _WHERE:
        raise AttributeError(f"module 'aishell' has no attribute {name!r}")
    from importlib import import_module

    module, own = _WHERE[name]
    return getattr(import_module(f"aishell.{module}"), own)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
