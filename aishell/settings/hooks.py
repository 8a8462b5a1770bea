"""The hooks of `aishell.yaml` as values: what to call when something begins or ends, and for which targets."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from aishell.errors import SettingsError
from aishell.settings.schemas import ON_ERROR
from aishell.settings.validation import wrong
from aishell.settings.yamlfile import Document
from aishell.trust import Trust

_ACTIONS = ("command", "python", "tool")


@dataclass(frozen=True)
class Hook:
    """What to call, and when. Exactly one of `command`, `python` and `tool` is set.

    `target` and `label` are globs, `timeout` a duration, `where` the file and line of the hook.
    """

    on: str
    name: str
    command: tuple[str, ...] = ()
    python: str | None = None
    tool: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    target: str = "*"
    label: str = "*"
    timeout: str | int = "1m"
    where: str = ""

    @property
    def what(self) -> str:
        """What it calls, in words, without arguments: these may contain secrets."""
        if self.command:
            return f"the command {self.command[0]}"
        return f"the tool {self.tool}" if self.tool else f"{self.python}"

    def chooses(self, name: str, labels: Collection[str]) -> bool:
        """Whether the hook applies to a target."""
        return fnmatchcase(name, self.target) and (
            self.label == "*" or any(fnmatchcase(label, self.label) for label in labels)
        )

    def program(self, base: Path) -> Path:
        """Return the program of its command: its path, relative to the folder `base`, or a name found on the path.

        Raises SettingsError if it does not exist or is not executable.
        """
        word = self.command[0]
        if "/" not in word:
            found = shutil.which(word)
            if found is None:
                raise SettingsError(
                    f"{self.where}: the hook {self.name!r} names the program {word!r}, and it is not on the path",
                    hint="write its path",
                )
            return Path(found)
        path = base / Path(word).expanduser()
        if not path.is_file() or not os.access(path, os.X_OK):
            what = "cannot be started" if path.exists() else "does not exist"
            raise SettingsError(
                f"{self.where}: the hook {self.name!r} names the program {path}, and it {what}",
                hint=f"chmod +x {path}, if it is to be run" if path.is_file() else "write the path of a program",
            )
        return path

    def check(self, base: Path, trust: Trust) -> None:
        """Raise UntrustedError if others can write its program, or a file among the program's arguments.

        A program found on the path is not checked: the caller's own shell would run the same one.
        """
        program = self.program(base)
        given = [path for word in self.command[1:] if "/" in word and (path := base / word).is_file()]
        for path in [program, *given] if "/" in self.command[0] else given:
            trust.check(path)


def read_hooks(document: Document) -> tuple[str | Hook, ...]:
    """Return the hooks of a checked file, in file order. Raises SettingsError for the first invalid one."""
    read = list[str | Hook]()
    for number, data in enumerate(document.data["hooks"]):
        if isinstance(data, str):
            read.append(data)
            continue
        given = {key: value for key, value in data.items() if value is not None}
        for key, message, hint in _faults(given, [one for one in read if isinstance(one, Hook)]):
            raise wrong(document, "hooks", number, key, message=message, hint=hint)
        values = {**given, "command": tuple(given.get("command", ())), "name": _name(given)}
        read.append(Hook(**values, where=f"{document.path}:{document.line('hooks', number)}"))
    return tuple(read)


def _name(data: Mapping[str, Any]) -> str:
    """Return the hook's name, by default the event and what is called."""
    called = Path(data["command"][0]).name if "command" in data else data.get("python") or data.get("tool")
    return str(data.get("name", f"{data['on']} {called}"))


def _faults(data: Mapping[str, Any], before: Collection[Hook]) -> Iterator[tuple[str, str, str]]:
    """Yield what is wrong with a hook: key, message, hint."""
    actions = [key for key in _ACTIONS if key in data]
    hint = f"write one of {', '.join(_ACTIONS)}"
    if not actions:
        yield "on", "a hook needs something to call", hint
        return
    if len(actions) > 1:
        yield actions[-1], f"a hook has several things to call: {', '.join(actions)}", hint
        return
    if "tool" in data and data["on"] != ON_ERROR:
        hint = "write command or python; what a run does beside its work is for its agent to plan"
        yield "tool", f"a tool runs {ON_ERROR} alone, not {data['on']}", hint
    if "params" in data and "tool" not in data:
        yield "params", "params are given to a tool, and this hook names none", "leave them out"
    if "timeout" in data and "tool" in data:
        yield "timeout", "a tool has a time limit of its own: max_execution_time", "leave timeout out"
    if not int(str(data.get("timeout", 1)).rstrip("smhd")):
        yield "timeout", "a timeout of 0 s lets nothing run", "write e.g. 30s"
    if any(one.name == _name(data) for one in before):
        key = "name" if "name" in data else "on"
        yield key, f"two hooks are called {_name(data)!r}", "give each a name of its own"
