"""Hooks around each tool call, from `hooks:` in aishell.yaml (`module:attribute`) or the entry point group `aishell.hooks`.

A hook has any of `before(call)`, `after(call, result)` and `on_state_change(run_id, old, new)`. `before` returns None, a
`Veto`, or other parameters, which pass the gates again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aishell.errors import UnexpectedError
from aishell.plugins import entry_points, load
from aishell.traces import unexpected
from aishell.trust import Trust


@dataclass(frozen=True)
class Call:
    """A tool about to run."""

    tool: str
    params: Mapping[str, Any]
    target: str
    run_id: str
    step_id: str


@dataclass(frozen=True)
class Veto:
    """The call must not happen."""

    reason: str


@dataclass
class Hooks:
    """The hooks of a site, called in order."""

    hooks: Sequence[Any] = field(default_factory=tuple)

    @classmethod
    def load(cls, names: Sequence[str], trust: Trust | None = None) -> Hooks:
        """Raises SettingsError for a hook that cannot be imported, UntrustedError for one that others can change."""
        named = [load(str(name), "hook", trust) for name in names]
        return cls([*named, *(load(point, "hook") for point in entry_points(group="aishell.hooks"))])

    def before(self, call: Call) -> tuple[Mapping[str, Any], Veto | None]:
        """The parameters after every hook had its say, or the first veto."""
        params = call.params
        for hook in self.hooks:
            if not hasattr(hook, "before"):
                continue
            given = Call(call.tool, params, call.target, call.run_id, call.step_id)
            try:
                said = hook.before(given)
            except (Exception, SystemExit) as error:  # somebody else's code
                raise unexpected(error, f"the hook {_name(hook)}") from error
            if isinstance(said, Veto):
                return params, said
            if said is not None:
                params = dict(said)
        return params, None

    def after(self, call: Call, result: Any) -> list[UnexpectedError]:
        """Tell the hooks what a tool came to; what they raised, which changes nothing of it."""
        return self._tell("after", call, result)

    def state_changed(self, run_id: str, old: str, new: str) -> list[UnexpectedError]:
        """Tell the hooks that a run went from one state to another, as it is recorded; what they raised."""
        return self._tell("on_state_change", run_id, old, new)

    def _tell(self, what: str, *told: Any) -> list[UnexpectedError]:
        raised = []
        for hook in self.hooks:
            try:
                getattr(hook, what, _deaf)(*told)
            except (Exception, SystemExit) as error:  # somebody else's code
                raised.append(unexpected(error, f"the hook {_name(hook)}"))
        return raised


def _deaf(*told: Any) -> None:
    """A hook that does not ask for this."""


def _name(hook: Any) -> str:
    kind = hook if isinstance(hook, type) else type(hook)
    return f"{kind.__module__}.{kind.__qualname__}"
