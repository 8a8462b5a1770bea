"""All tools of a site: loaded from folders, picked by server, found by what they may do."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

from aishell.errors import PlanError, ToolFileError, UnknownNameError, UsageError
from aishell.models import Risk, Server
from aishell.registry.fragments import FOLDER
from aishell.registry.header import ENGINES, read_tool
from aishell.registry.tool import UNDO, Tool
from aishell.registry.undo import undoing
from aishell.registry.wall import Wall, require_reading, wall_of

LockCheck = Callable[[Tool], str | None]


#: Names of tools to come: what a site says of them already is no mistake.
TO_COME = frozenset({"repair_corrupted_tables", "salvage_table", "terminate_blocker"})


class Registry:
    """Tools by engine and name. `lock_check` says what is wrong with a tool's declared lock, or None."""

    def __init__(self, tools: Iterable[Tool], lock_check: LockCheck | None = None) -> None:
        self._tools: dict[tuple[str, str], list[Tool]] = {}
        for tool in tools:
            self.add(tool, lock_check)

    @classmethod
    def load(
        cls, folders: Iterable[Path], *, lock_check: LockCheck | None = None, engine: str | None = None
    ) -> Registry:
        """Every `tools/<engine>/**/*.{sql,yaml}` below the folders; `engine` loads that one and `common` only.

        What did not come with aishell passes the wall. Raises ToolFileError for the first file that is wrong.
        """
        made = cls(_files(folders, engine), lock_check)
        for problem in made.dangling(made):
            raise problem
        return made

    def with_texts(self, texts: Mapping[str, str]) -> Registry:
        """This registry, but with the tools a plan was made with, from the texts stored beside it.

        Raises ToolFileError for a text that does not load, or is another than today's and may do more than read.
        """
        today = {tool.text: tool.of_site for tool in self}
        stored = [
            replace(
                read_tool(text, source, Path(source).parts[1], wall=None if text in today else require_reading),
                of_site=today.get(text, True),
            )
            for source, text in texts.items()
        ]
        names = {(tool.engine, tool.name) for tool in stored}
        return Registry([*stored, *(tool for tool in self if (tool.engine, tool.name) not in names)])

    def add(self, tool: Tool, lock_check: LockCheck | None = None) -> None:
        """Raises ToolFileError for a lock that contradicts the statement, or a name that stands twice for one server."""
        if lock_check is not None and (problem := lock_check(tool)):
            line = next((n for n, text in enumerate(tool.text.splitlines(), 1) if text.startswith("-- lock:")), 1)
            raise ToolFileError(tool.source, line, problem)
        variants = self._tools.setdefault((tool.engine, tool.name), [])
        for other in variants:
            if not all(a.disjoint(b) for a in tool.clauses for b in other.clauses) or not tool.clauses:
                raise ToolFileError(
                    tool.source, 1, f"{tool.name} stands in {other.source} too, for some of the same servers"
                )
        variants.append(tool)

    def dangling(self, tools: Iterable[Tool]) -> Iterator[ToolFileError]:
        """What is wrong with the other tools that take these back: one that is not there, or does not take what it is given."""
        for tool in tools:
            if tool.undone_by is None:
                continue
            name, given = tool.undone_by.tool, tool.undone_by.params
            known = self._tools.get((tool.engine, name)) or self._tools.get(("common", name)) or []
            unknown = sorted(given.keys() - (known[0].parameters.keys() if known else set()))
            if not known or unknown:
                lines = enumerate(tool.text.splitlines(), 1)
                line = next((n for n, text in lines if text.removeprefix("-- ").startswith("undo:")), 1)
                said = f"{name} has no parameter {unknown[0]!r}" if known else f"there is no tool {name!r}"
                yield ToolFileError(tool.source, line, f"undo: {said}")

    def __iter__(self) -> Iterator[Tool]:
        return (tool for variants in self._tools.values() for tool in variants)

    @property
    def names(self) -> list[str]:
        return sorted({name for _, name in self._tools})

    def pick(self, name: str, server: Server) -> Tool:
        """The variant of a tool for this server; `undo_x` is what the block `undo` of the tool x makes.

        Raises UnknownNameError, or PlanError when no variant fits.
        """
        variants = self._tools.get((server.engine, name)) or self._tools.get(("common", name))
        if variants is None and name.startswith(UNDO) and self.has(name.removeprefix(UNDO), server):
            tool = self.pick(name.removeprefix(UNDO), server)
            if "undo" in tool.blocks:
                return undoing(tool)
        if variants is None:
            if name in self.names:
                raise PlanError(f"the tool {name!r} does not exist for {server.engine}")
            raise UnknownNameError("tool", name, self.names)
        for tool in variants:
            if not tool.clauses or any(c.fits(server.product, server.version, server.features) for c in tool.clauses):
                return tool
        raise PlanError(
            f"no variant of {name!r} fits {server.product} {server.version_text}",
            hint="; ".join(tool.text.splitlines()[1].removeprefix("-- ") for tool in variants),
        )

    def has(self, name: str, server: Server) -> bool:
        try:
            self.pick(name, server)
        except UsageError:
            return False
        return True

    def variants(self, name: str) -> list[Tool]:
        """Every file of this name, all engines. Raises UnknownNameError."""
        found = [tool for (_, known), tools in self._tools.items() if known == name for tool in tools]
        if not found:
            raise UnknownNameError("tool", name, self.names)
        return found

    def find_tools(
        self,
        *,
        category: str | None = None,
        max_risk: Risk | None = None,
        capabilities: Iterable[str] | None = None,
        engine: str | None = None,
    ) -> list[Tool]:
        """Tools of this category, at most this risky, that need no other capability, for this engine."""
        held = frozenset(capabilities) if capabilities is not None else None
        found = [
            tool
            for tool in self
            if (category is None or tool.category == category)
            and (max_risk is None or tool.risk_level.rank <= max_risk.rank)
            and (held is None or tool.required_capabilities <= held)
            and (engine is None or tool.engine in (engine, "common"))
        ]
        return sorted(found, key=lambda tool: (tool.name, tool.engine, tool.source))


def tool_names(folders: Iterable[Path]) -> set[str]:
    """The names of all tools below the folders, of every engine, by their files alone, of what takes them back, and of those to
    come."""
    named = {
        name.rpartition(".")[0]
        for folder in folders
        for place, _, names in os.walk(folder)
        for name in names
        if name.endswith((".sql", ".yaml")) and not os.path.basename(place).startswith(("_", "."))  # noqa: PTH119  one of many
    }
    return {*TO_COME, *named, *(UNDO + name for name in named)}


def _files(folders: Iterable[Path], engine: str | None) -> Iterable[Tool]:
    for folder in folders:
        wall = wall_of(folder)
        yield from (_read(*found, wall) for found in _paths(folder, engine))


def is_tool(inside: Path) -> bool:
    """Whether a file at this place in a folder of tools is one: folders with `_` or `.` in front hold none."""
    return not any(part.startswith(("_", ".")) for part in inside.parts[:-1])


def _paths(folder: Path, engine: str | None) -> Iterable[tuple[Path, str, Path]]:
    """(path, source, engine's folder) of every tool file."""
    if not folder.is_dir():
        raise UsageError(f"there is no folder of tools at {folder}")
    for stray in sorted(path for path in folder.iterdir() if path.suffix in (".sql", ".yaml")):
        where = f"move it into one of the folders {', '.join(ENGINES)}"
        raise ToolFileError(f"tools/{stray.name}", 1, f"a tool stands in the folder of its engine: {where}")
    for sub in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(("_", "."))):
        if sub.name not in ENGINES:
            raise UnknownNameError("engine", sub.name, ENGINES, str(folder))
        if engine is None or sub.name in (engine, "common"):
            for path in sorted((*sub.rglob("*.sql"), *sub.rglob("*.yaml"))):
                if is_tool(path.relative_to(folder)):
                    yield path, "/".join(("tools", *path.relative_to(folder).parts)), sub


def _read(path: Path, source: str, engine: Path, wall: Wall | None) -> Tool:
    # What came with aishell stays as it is while a process lives: for several targets it is read once.
    return _shipped(path, source, engine) if wall is None else _read_now(path, source, engine, wall)


@cache
def _shipped(path: Path, source: str, engine: Path) -> Tool:
    return _read_now(path, source, engine, None)


def _read_now(path: Path, source: str, engine: Path, wall: Wall | None) -> Tool:
    try:
        return read_tool(path.read_text(encoding="utf-8"), source, engine.name, engine / FOLDER, wall)
    except UnicodeDecodeError as error:
        raise ToolFileError(source, 1, f"not UTF-8: {error}") from error
