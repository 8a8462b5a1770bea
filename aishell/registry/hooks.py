"""Hooks around each tool call, from `hooks:` in aishell.yaml (`module:attribute`) or the entry point group `aishell.hooks`.

A hook has any of `before(call)`, `after(call, result)` and `on_state_change(run_id, old, new)`. `before` returns None, a
`Veto`, or other parameters, which pass the gates again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aishell.errors import SettingsError
from aishell.plugins import entry_points, load_code
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
        loaded = [_import(name, trust) for name in names]
        return cls([*loaded, *(load_code(point.value) for point in entry_points(group="aishell.hooks"))])

    def before(self, call: Call) -> tuple[Mapping[str, Any], Veto | None]:
        """The parameters after every hook had its say, or the first veto."""
        params = call.params
        for hook in self.hooks:
            if not hasattr(hook, "before"):
                continue
            said = hook.before(Call(call.tool, params, call.target, call.run_id, call.step_id))
            if isinstance(said, Veto):
                return params, said
            if said is not None:
                params = dict(said)
        return params, None

    def after(self, call: Call, result: Any) -> None:
        for hook in self.hooks:
            if hasattr(hook, "after"):
                hook.after(call, result)

    def state_changed(self, run_id: str, old: str, new: str) -> None:
        """Tell the hooks that a run went from one state to another; it is recorded already."""
        for hook in self.hooks:
            if hasattr(hook, "on_state_change"):
                hook.on_state_change(run_id, old, new)


def _import(name: str, trust: Trust | None) -> Any:
    try:
        return load_code(str(name), trust)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(
            f"the hook {name!r} in aishell.yaml cannot be loaded: {error}", hint="write module:attribute"
        ) from error
