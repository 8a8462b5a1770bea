"""YAML that remembers where each key stands, so that an error can name file and line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

from aishell.errors import SettingsError

_LOOK = "look at this line and those above it: quotes, brackets, indentation"
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
    node: yaml.Node | None = None
    lines: dict[tuple[str, ...], int] = {}
    data = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is not None:
            _walk(node, (), lines, path)
            # Of the nodes that were walked: reading the text is most of the time.
            data = loader.construct_document(node)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        problem = getattr(error, "problem", None) or str(error)
        raise SettingsError(f"{path}:{line}: malformed YAML: {problem}", hint=_LOOK) from error
    except (ValueError, KeyError, AttributeError) as error:  # a value that is not what it looks like: 2021-13-45
        line = _unreadable(node) if node is not None else 1
        raise SettingsError(f"{path}:{line}: malformed YAML: {error}", hint=_LOOK) from error
    return Document(path, data, lines)


def _walk(
    node: yaml.Node,
    at: tuple[str, ...],
    lines: dict[tuple[str, ...], int],
    path: str,
    above: tuple[yaml.Node, ...] = (),
) -> None:
    if any(node is parent for parent in above):
        raise SettingsError(f"{path}:{node.start_mark.line + 1}: an anchor refers to itself")
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*at, str(key.value))
            if here in lines:
                raise SettingsError(
                    f"{path}:{key.start_mark.line + 1}: the key {key.value!r} stands twice", hint="write it once"
                )
            lines[here] = key.start_mark.line + 1
            _walk(value, here, lines, path, (*above, node))
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            lines[(*at, str(number))] = value.start_mark.line + 1
            _walk(value, (*at, str(number)), lines, path, (*above, node))


def _unreadable(node: yaml.Node) -> int:
    """The line of the first value that cannot be made, 0 when there is none."""
    if isinstance(node, yaml.ScalarNode):
        try:
            _Loader("").construct_object(node)
        except (yaml.YAMLError, ValueError, KeyError, AttributeError):
            return int(node.start_mark.line + 1)
        return 0
    values = [v for pair in node.value for v in pair] if isinstance(node, yaml.MappingNode) else node.value
    return next((line for value in values if (line := _unreadable(value))), 0)
