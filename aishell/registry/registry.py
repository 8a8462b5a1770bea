"""All tools of a site: loaded from folders, picked by server, searched by category, risk and capabilities.

A shipped file is read when its name is first looked up: a run uses a few of an engine's sixty to eighty tools, and reading
them all took a fifth of a dry run's time. A site's own files are read at once, so that errors in them are reported before
anything runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path, PurePosixPath
from threading import RLock

from aishell.errors import AishellError, PlanError, ToolFileError, UnknownNameError, UsageError
from aishell.models import Risk, Server
from aishell.registry.clauses import ENGINES
from aishell.registry.fragments import FOLDER, included
from aishell.registry.header import read_tool, read_tools
from aishell.registry.tool import UNDO, Tool
from aishell.registry.undo import undoing
from aishell.registry.wall import Wall, require_reading, wall_of
from aishell.telemetry.logs import log_detail

LockCheck = Callable[[Tool], str | None]


#: Names reserved for future tools: a site may already use them.
TO_COME = frozenset({"repair_corrupted_tables", "salvage_table", "terminate_blocker"})


@dataclass(frozen=True)
class _Unread:
    """A shipped file that has not been read: its path, its displayed name, and its engine's folder."""

    path: Path
    source: str
    engine: Path

    def read(self) -> tuple[Tool, ...]:
        return _shipped(self.path, self.source, self.engine)


class Registry:
    """The tools by engine and name. `lock_check` returns the fault in a tool's declared lock, or None."""

    def __init__(self, tools: Iterable[Tool] = (), lock_check: LockCheck | None = None) -> None:
        self._lock_check = lock_check
        self._tools: dict[tuple[str, str], list[Tool]] = {}
        self._unread: dict[tuple[str, str], list[_Unread]] = {}
        self._reading = RLock()
        for tool in tools:
            self.add(tool)

    @classmethod
    def load(
        cls, folders: Iterable[Path], *, lock_check: LockCheck | None = None, engine: str | None = None
    ) -> Registry:
        """Load every `tools/<engine>/**/*.{sql,yaml}` below the folders, or only those of `engine` and `common`.

        A site's own files must pass the wall. Raises ToolFileError for the first with a fault.
        """
        made, own = cls(lock_check=lock_check), []
        for folder in folders:
            wall = wall_of(folder)
            for path, source, place in _paths(folder, engine):
                if wall is None:
                    made._unread.setdefault((place.name, path.stem), []).append(_Unread(path, source, place))
                else:
                    own += _read(path, source, place, wall)
        for tool in own:
            made.add(tool)
        for problem in made.dangling(own):
            raise problem
        return made

    def with_texts(self, texts: Mapping[str, str]) -> Registry:
        """Return this registry with a plan's tools in place of today's, from the texts stored with the plan.

        Raises ToolFileError for a text that does not load, or that differs from today's and may do more than read.
        """
        stored = []
        for source, text in texts.items():
            engine = Path(source).parts[1]
            today = {tool.text: tool.of_site for tool in self._variants(engine, PurePosixPath(source).stem)}
            tool = read_tool(text, source, engine, wall=None if text in today else require_reading)
            stored.append(replace(tool, of_site=today.get(text, True)))
        names = {(tool.engine, tool.name) for tool in stored}
        made = Registry(stored)
        made._tools |= {key: list(tools) for key, tools in self._tools.items() if key not in names}
        made._unread = {key: files for key, files in self._unread.items() if key not in names}
        return made

    def add(self, tool: Tool) -> None:
        """Add a tool. Raises ToolFileError for a lock that contradicts its statement, or for a duplicate name on a server."""
        self._variants(tool.engine, tool.name)
        self._add(tool)

    def _add(self, tool: Tool) -> None:
        if self._lock_check is not None and (problem := self._lock_check(tool)):
            raise ToolFileError(tool.source, tool.line_of("lock"), problem)
        variants = self._tools.setdefault((tool.engine, tool.name), [])
        for other in variants:
            if not all(a.disjoint(b) for a in tool.clauses for b in other.clauses) or not tool.clauses:
                raise ToolFileError(
                    tool.source, 1, f"{tool.name} is also defined in {other.source}, for some of the same servers"
                )
        variants.append(tool)

    def _variants(self, engine: str, name: str) -> list[Tool]:
        """Return the variants of a tool for an engine, reading their files if that has not been done."""
        if (engine, name) in self._unread:
            with self._reading:  # the watcher of a step picks its tools in another thread
                for file in self._unread.get((engine, name), ()):
                    for tool in file.read():
                        self._add(tool)
                self._unread.pop((engine, name), None)
        return self._tools.get((engine, name), [])

    def dangling(self, tools: Iterable[Tool]) -> Iterator[ToolFileError]:
        """Yield an error for each tool whose `undo` names a missing tool, or a parameter that the tool does not have."""
        for tool in tools:
            if tool.undone_by is None:
                continue
            name, given = tool.undone_by.tool, tool.undone_by.params
            known = self._variants(tool.engine, name) or self._variants("common", name)
            unknown = sorted(given.keys() - (known[0].parameters.keys() if known else set()))
            if not known or unknown:
                fault = f"{name} has no parameter {unknown[0]!r}" if known else f"there is no tool {name!r}"
                yield ToolFileError(tool.source, tool.line_of("undo"), f"undo: {fault}")

    def __iter__(self) -> Iterator[Tool]:
        for key in sorted({*self._tools, *self._unread}):
            yield from self._variants(*key)

    @property
    def names(self) -> list[str]:
        return sorted({name for _, name in (*self._tools, *self._unread)})

    def known(self, server: Server) -> KnownTools:
        """Return the names of the tools for a server, which are looked up one at a time."""
        return KnownTools(self, server)

    def pick(self, name: str, server: Server) -> Tool:
        """Return the variant of a tool for this server; `undo_x` is made from the block `undo` of the tool x.

        Raises UnknownNameError, or PlanError if no variant fits.
        """
        if (tool := self._found(name, server)) is not None:
            if len(self._of(name, server)) > 1:
                servers = ", ".join(clause.text for clause in tool.clauses)
                log_detail("variant_chosen", tool=name, file=tool.source, servers=servers)
            return tool
        variants = self._of(name, server)
        if variants:
            raise PlanError(
                f"no variant of {name!r} fits {server.product} {server.version_text}",
                hint="; ".join(tool.text.splitlines()[1].removeprefix("-- ") for tool in variants),
            )
        if name in self.names:
            raise PlanError(f"the tool {name!r} does not exist for {server.engine}")
        raise UnknownNameError("tool", name, self.names)

    def has(self, name: str, server: Server) -> bool:
        return self._found(name, server) is not None

    def _of(self, name: str, server: Server) -> list[Tool]:
        return self._variants(server.engine, name) or self._variants("common", name)

    def _found(self, name: str, server: Server) -> Tool | None:
        for tool in self._of(name, server):
            if not tool.clauses or any(c.fits(server.product, server.version, server.features) for c in tool.clauses):
                return tool
        if name.startswith(UNDO) and not self._of(name, server):
            taken_back = self._found(name.removeprefix(UNDO), server)
            return undoing(taken_back) if taken_back is not None and "undo" in taken_back.blocks else None
        return None

    def variants(self, name: str) -> list[Tool]:
        """Return all tools of this name, of all engines. Raises UnknownNameError."""
        found = [tool for engine in ENGINES for tool in self._variants(engine, name)]
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
        """Return the tools of this category, of at most this risk, that need no other capabilities, for this engine."""
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


@dataclass(frozen=True)
class KnownTools:
    """The names of the tools for a server, as a container."""

    registry: Registry
    server: Server

    def __contains__(self, name: object) -> bool:
        return self.registry.has(str(name), self.server)

    def __iter__(self) -> Iterator[str]:
        return (name for name in self.registry.names if self.registry.has(name, self.server))


def tool_names(folders: Iterable[Path]) -> set[str]:
    """Return the names of all engines' tools below the folders, taken from file names, with those of their `undo_` tools and
    of future tools."""
    named = {
        name.rpartition(".")[0]
        for folder in folders
        for place, _, names in os.walk(folder)
        for name in names
        if name.endswith((".sql", ".yaml")) and not os.path.basename(place).startswith(("_", "."))  # noqa: PTH119  one of many
    }
    return {*TO_COME, *named, *(UNDO + name for name in named)}


def is_tool(inside: Path) -> bool:
    """Whether the file with this path inside a tools folder is a tool: folders that begin with `_` or `.` hold none."""
    return not any(part.startswith(("_", ".")) for part in inside.parts[:-1])


def _paths(folder: Path, engine: str | None) -> Iterator[tuple[Path, str, Path]]:
    """Yield (path, source, engine's folder) of each tool file."""
    for sub in _engine_folders(folder):
        if engine is None or sub.name in (engine, "common"):
            for path in sorted((*sub.rglob("*.sql"), *sub.rglob("*.yaml"))):
                if is_tool(path.relative_to(folder)):
                    yield path, "/".join(("tools", *path.relative_to(folder).parts)), sub


def _engine_folders(folder: Path) -> Iterator[Path]:
    """Yield the engines' folders, in order. Raises for a tool file outside them, and for a folder that is not an engine's."""
    if not folder.is_dir():
        raise UsageError(f"the tools folder {folder} does not exist")
    for stray in sorted(path for path in folder.iterdir() if path.suffix in (".sql", ".yaml")):
        where = f"move it into one of the folders {', '.join(ENGINES)}"
        raise ToolFileError(f"tools/{stray.name}", 1, f"a tool file must be in the folder of its engine: {where}")
    for sub in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(("_", "."))):
        if sub.name not in ENGINES:
            raise UnknownNameError("engine", sub.name, ENGINES, str(folder))
        yield sub


@cache
def _shipped(path: Path, source: str, engine: Path) -> tuple[Tool, ...]:
    """Return the tools of a shipped file, read once for all targets: it does not change while a process runs."""
    return tuple(_read(path, source, engine, None))


def _read(path: Path, source: str, engine: Path, wall: Wall | None) -> list[Tool]:
    try:
        return read_tools(path.read_text(encoding="utf-8"), source, engine.name, engine / FOLDER, wall)
    except UnicodeDecodeError as error:
        raise ToolFileError(source, 1, f"not UTF-8: {error}") from error


def check(folder: Path, beside: Registry) -> tuple[int, list[ToolFileError]]:
    """Return the number of files in `folder` that load (their tools are added to `beside`), and the errors in the others.

    Paths in errors begin with `folder` as given. Raises UsageError if the folder does not exist.
    """
    if not folder.is_dir():
        raise UsageError(f"the tools folder {folder} does not exist")
    added, problems, used = list[Tool](), list[ToolFileError](), set[Path]()
    for path in sorted((*folder.rglob("*.sql"), *folder.rglob("*.yaml"))):
        if not is_tool(path.relative_to(folder)):
            continue
        try:
            added += _checked(path, folder, beside, used)
        except ToolFileError as error:
            problems.append(_placed(error, folder))
        except AishellError as error:
            message = f"{error.message}; {error.hint}" if error.hint else error.message
            problems.append(ToolFileError(str(path), 1, message))
    dangling = list(beside.dangling(added))
    problems += (_placed(error, folder) for error in dangling)
    unused = (path for path in sorted(folder.glob(f"*/{FOLDER}/*.sql")) if path not in used)
    problems += (ToolFileError(str(path), 1, "no tool includes this fragment") for path in unused)
    loaded = {tool.source for tool in added} - {error.path for error in dangling}
    return len(loaded), list({problem.message: problem for problem in problems}.values())


def _checked(path: Path, folder: Path, beside: Registry, used: set[Path]) -> list[Tool]:
    """Add the tools of a file to `beside`, and the fragments that it includes to `used`; return the tools."""
    inside = path.relative_to(folder)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot be read: {error}") from error
    if len(inside.parts) < 2:
        raise UsageError("a tool must be in its engine's folder", hint=f"use one of {', '.join(sorted(ENGINES))}")
    engine = inside.parts[0]
    fragments = folder / engine / FOLDER
    used |= {fragments / f"{name}.sql" for name in included(text)}
    if engine not in ENGINES:
        raise UnknownNameError("engine", engine, ENGINES)
    wall = wall_of(folder) or require_reading
    tools = read_tools(text, "/".join(("tools", *inside.parts)), engine, fragments, wall)
    for tool in tools:
        _try_examples(tool)
        beside.add(tool)
    return tools


def _placed(error: ToolFileError, folder: Path) -> ToolFileError:
    """Return the error, with its path below `folder` as given."""
    message = error.message.removeprefix(f"{error.path}:{error.line}: ")
    return ToolFileError(str(folder.joinpath(*PurePosixPath(error.path).parts[1:])), error.line, message)


def _try_examples(tool: Tool) -> None:
    """Raise ToolFileError for an example with invalid parameters. Examples never run, so the loader does not check them."""
    for example in tool.examples:
        try:
            tool.prepare(example["params"])
        except UsageError as error:
            hint = f"; {error.hint}" if error.hint else ""
            raise ToolFileError(
                tool.source, tool.line_of("examples"), f"invalid example: {error.message}{hint}"
            ) from error
