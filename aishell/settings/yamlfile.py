"""YAML with the line of each key, so that errors can name file and line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from aishell.errors import SettingsError

_LOOK = "look at this line and those above it: quotes, brackets, indentation"
#: More than any file of a site needs: values (those repeated by anchors count each time) and levels of nesting.
MOST_VALUES, DEEPEST = 100_000, 100
#: A longer text is checked for depth before it is parsed: libyaml crashes the process at some 50,000 levels.
_LONG = 5_000
_BOOLEAN, _TEXT = "tag:yaml.org,2002:bool", "tag:yaml.org,2002:str"
#: A value that begins with an asterisk and is not an alias: a cron expression, a glob.
_STAR = re.compile(r"(?:^|[:,\[-])\s*\*(?![A-Za-z0-9])")
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml: ten times faster, if compiled in


@dataclass(frozen=True)
class Document:
    """Parsed YAML and the 1-based line of each key by its path, e.g. `("targets", "shop", "url")`."""

    path: str
    data: Any
    lines: dict[tuple[str, ...], int] = field(default_factory=dict)

    def line(self, *keys: object) -> int:
        """Return the line of a key, or of its nearest parent that has one."""
        wanted = tuple(map(str, keys))
        while wanted and wanted not in self.lines:
            wanted = wanted[:-1]
        return self.lines.get(wanted, 1)


def parse(text: str, path: str) -> Document:
    """Parse YAML. Raises SettingsError with file and line if the text is malformed or repeats a key."""
    node: yaml.Node | None = None
    lines: dict[tuple[str, ...], int] = {}
    data = None
    try:
        if len(text) > _LONG:
            _look_through(text, path)
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is not None:
            _walk(node, (), lines, path)
            # Built from the nodes already parsed: parsing takes most of the time.
            data = loader.construct_document(node)
    except RecursionError as error:
        raise _too_much(path, 1, f"nested more than {DEEPEST} levels deep") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        problem = getattr(error, "problem", None) or str(error)
        raise SettingsError(f"{path}:{line}: malformed YAML: {problem}", hint=_hint(text, line)) from error
    except (ValueError, KeyError, AttributeError) as error:  # an invalid value of a recognised type: 2021-13-45
        line = _unreadable(node) if node is not None else 1
        raise SettingsError(f"{path}:{line}: malformed YAML: {error}", hint=_LOOK) from error
    return Document(path, data, lines)


def _hint(text: str, line: int) -> str:
    """Return the hint for a malformed line, with a remedy for two common slips."""
    lines = text.splitlines()
    here = lines[line - 1] if line <= len(lines) else ""
    if "\t" in here[: len(here) - len(here.lstrip())]:
        return "the line begins with a TAB: indent with blanks"
    if _STAR.search(here):
        return "a value that begins with * is quoted: '* * * * *'"
    return _LOOK


def _look_through(text: str, path: str) -> None:
    """Raise SettingsError for a text that is nested too deeply to parse."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                line = event.start_mark.line + 1 if event.start_mark else 1
                raise _too_much(path, line, f"nested more than {DEEPEST} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _too_much(path: str, line: int, what: str) -> SettingsError:
    return SettingsError(f"{path}:{line}: malformed YAML: {what}", hint="no file of a site needs that")


def _walk(
    node: yaml.Node,
    at: tuple[str, ...],
    lines: dict[tuple[str, ...], int],
    path: str,
    above: tuple[yaml.Node, ...] = (),
) -> None:
    if len(lines) > MOST_VALUES:
        raise _too_much(path, node.start_mark.line + 1, f"more than {MOST_VALUES:,} values, its anchors' repeated")
    if len(above) > DEEPEST:
        raise _too_much(path, node.start_mark.line + 1, f"nested more than {DEEPEST} levels deep")
    if any(node is parent for parent in above):
        raise SettingsError(f"{path}:{node.start_mark.line + 1}: an anchor references itself")
    for here, place, value in _children(node, at):
        if here in lines:
            raise SettingsError(f"{path}:{place.start_mark.line + 1}: duplicate key {here[-1]!r}", hint="write it once")
        lines[here] = place.start_mark.line + 1
        _walk(value, here, lines, path, (*above, node))


def _children(node: yaml.Node, at: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], yaml.Node, yaml.Node]]:
    """Yield each value that a node holds: its path, the node that gives its line, the value."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.tag == _BOOLEAN:  # YAML 1.1 reads `on`, `off`, `yes` and `no` as booleans; as keys they are words
                key.tag = _TEXT
            yield (*at, str(key.value)), key, value
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield (*at, str(number)), value, value


def _unreadable(node: yaml.Node) -> int:
    """Return the line of the first value that cannot be constructed, 0 without one."""
    if isinstance(node, yaml.ScalarNode):
        try:
            _Loader("").construct_object(node)
        except (yaml.YAMLError, ValueError, KeyError, AttributeError):
            return int(node.start_mark.line + 1)
        return 0
    values = [v for pair in node.value for v in pair] if isinstance(node, yaml.MappingNode) else node.value
    return next((line for value in values if (line := _unreadable(value))), 0)
