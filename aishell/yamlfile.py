"""YAML that remembers where each key stands, so that an error can name file and line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

from aishell.errors import SettingsError

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml: ten times faster where it is compiled in


@dataclass(frozen=True)
class Document:
    """Parsed YAML and the 1-based line of each key by its path, e.g. `("targets", "shop", "url")`."""

    path: str
    data: Any
    lines: dict[tuple[str, ...], int] = field(default_factory=dict)

    def line(self, *keys: object) -> int:
        """The line of a key, or of the nearest parent that has one."""
        wanted = tuple(map(str, keys))
        while wanted and wanted not in self.lines:
            wanted = wanted[:-1]
        return self.lines.get(wanted, 1)


def parse(text: str, path: str) -> Document:
    """Raises SettingsError with file and line when the text is no YAML or says a key twice."""
    try:
        node = yaml.compose(text, Loader=_Loader)
        data = yaml.load(text, Loader=_Loader)  # noqa: S506  the safe loader, in C
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        problem = getattr(error, "problem", None) or str(error)
        raise SettingsError(f"{path}:{line}: malformed YAML: {problem}") from error
    lines: dict[tuple[str, ...], int] = {}
    if node is not None:
        _walk(node, (), lines, path)
    return Document(path, data, lines)


def _walk(node: yaml.Node, at: tuple[str, ...], lines: dict[tuple[str, ...], int], path: str) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*at, str(key.value))
            if here in lines:
                raise SettingsError(f"{path}:{key.start_mark.line + 1}: the key {key.value!r} stands twice")
            lines[here] = key.start_mark.line + 1
            _walk(value, here, lines, path)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            lines[(*at, str(number))] = value.start_mark.line + 1
            _walk(value, (*at, str(number)), lines, path)
