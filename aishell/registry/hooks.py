"""Hooks around each tool call, from `hooks:` in aishell.yaml (`module:attribute`) or the entry point group `aishell.hooks`; and
hooks that an event runs as programs.

A hook has any of `before(call)`, `after(call, result)` and `on_state_change(run_id, old, new)`. `before` returns None, a
`Veto`, or other parameters, which pass the gates again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aishell.errors import SettingsError, UnexpectedError
from aishell.plugins import entry_points, load
from aishell.settings.hooks import Hook
from aishell.settings.targets import Target
from aishell.telemetry.tracebacks import unexpected
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
    """The hooks of a site, called in order. `programs` run in the folder `base`."""

    hooks: Sequence[Any] = field(default_factory=tuple)
    programs: Sequence[Hook] = ()
    base: Path = Path()

    @classmethod
    def load(cls, given: Sequence[str | Hook], trust: Trust | None = None, base: Path = Path()) -> Hooks:
        """Load hooks. Raises SettingsError if one cannot be imported, UntrustedError if other users can change it."""
        named = [load(name, "hook", trust) for name in given if isinstance(name, str)]
        programs = [hook for hook in given if isinstance(hook, Hook)]
        for hook in programs:
            if hook.python is not None and not callable(load(hook.python, "hook", trust)):
                raise SettingsError(
                    f"{hook.where}: the hook {hook.name!r} names {hook.python}, which is not callable",
                    hint="name a function that takes one argument, a mapping of facts by name",
                )
        objects = [*named, *(load(point, "hook") for point in entry_points(group="aishell.hooks"))]
        return cls(objects, programs, base)

    def of(self, on: str, target: Target) -> list[Hook]:
        """Return the programs that an event runs for a target."""
        return [hook for hook in self.programs if hook.on == on and hook.chooses(target.name, target.labels)]

    @property
    def names(self) -> list[str]:
        """The names of the hooks that are called around each step."""
        return [_name(hook) for hook in self.hooks]

    def before(self, call: Call) -> tuple[Mapping[str, Any], Veto | None]:
        """Call the hooks before a step, and return the parameters as they left them, and the first veto or None."""
        params = call.params
        for hook in self.hooks:
            if not hasattr(hook, "before"):
                continue
            given = Call(call.tool, params, call.target, call.run_id, call.step_id)
            try:
                reply = hook.before(given)
            except (Exception, SystemExit) as error:  # somebody else's code
                raise unexpected(error, f"the hook {_name(hook)}") from error
            if isinstance(reply, Veto):
                return params, reply
            if reply is not None:
                params = dict(reply)
        return params, None

    def after(self, call: Call, result: Any) -> list[UnexpectedError]:
        """Pass a tool's result to the hooks. Return the errors that they raised, which do not change the result."""
        return self._notify("after", call, result)

    def state_changed(self, run_id: str, old: str, new: str) -> list[UnexpectedError]:
        """Pass a recorded change of a run's state to the hooks. Return the errors that they raised."""
        return self._notify("on_state_change", run_id, old, new)

    def _notify(self, method: str, *arguments: Any) -> list[UnexpectedError]:
        raised = []
        for hook in self.hooks:
            try:
                getattr(hook, method, _ignore)(*arguments)
            except (Exception, SystemExit) as error:  # somebody else's code
                raised.append(unexpected(error, f"the hook {_name(hook)}"))
        return raised


def _ignore(*arguments: Any) -> None:
    """Do nothing, for a method that a hook does not define."""


def _name(hook: Any) -> str:
    kind = hook if isinstance(hook, type) else type(hook)
    return f"{kind.__module__}.{kind.__qualname__}"
