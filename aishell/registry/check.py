"""`aishell tools check`: every file of a folder of tools that would not load, where the loader stops at the first."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from aishell.errors import AishellError, ToolFileError, UnknownNameError, UsageError
from aishell.registry.clauses import ENGINES
from aishell.registry.fragments import FOLDER, included
from aishell.registry.header import read_tools
from aishell.registry.registry import Registry, is_tool
from aishell.registry.tool import Tool
from aishell.registry.wall import require_reading, wall_of


def check(folder: Path, beside: Registry) -> tuple[int, list[ToolFileError]]:
    """How many files of `folder` load beside those of a registry (they are added to it), and what is wrong with the others.

    The errors' paths are as `folder` was given. Raises UsageError when there is no such folder.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no folder of tools at {folder}")
    added, problems, used = list[Tool](), list[ToolFileError](), set[Path]()
    wall = wall_of(folder) or require_reading
    for path in sorted((*folder.rglob("*.sql"), *folder.rglob("*.yaml"))):
        inside = path.relative_to(folder)
        if not is_tool(inside):
            continue
        try:
            text, fragments = _text(path), folder / inside.parts[0] / FOLDER
            used |= {fragments / f"{name}.sql" for name in included(text)}
            tools = read_tools(text, "/".join(("tools", *inside.parts)), _engine(inside), fragments, wall)
            for tool in tools:
                _try_examples(tool)
                beside.add(tool)
        except ToolFileError as error:
            problems.append(_placed(error, folder))
        except AishellError as error:
            message = f"{error.message}; {error.hint}" if error.hint else error.message
            problems.append(ToolFileError(str(path), 1, message))
        else:
            added += tools
    problems += (_placed(error, folder) for error in beside.dangling(added))
    for path in sorted(folder.glob(f"*/{FOLDER}/*.sql")):
        if path not in used:
            problems.append(ToolFileError(str(path), 1, "no tool includes this fragment"))
    loaded = {tool.source for tool in added} - {error.path for error in beside.dangling(added)}
    return len(loaded), list({problem.message: problem for problem in problems}.values())


def _placed(error: ToolFileError, folder: Path) -> ToolFileError:
    """An error in a file of `folder`, by the path that was given."""
    message = error.message.removeprefix(f"{error.path}:{error.line}: ")
    return ToolFileError(str(folder.joinpath(*PurePosixPath(error.path).parts[1:])), error.line, message)


def _try_examples(tool: Tool) -> None:
    """Raises ToolFileError for an example that the tool would not take. Nothing runs them, so the loader does not ask."""
    for example in tool.examples:
        try:
            tool.prepare(example["params"])
        except UsageError as error:
            line = next((n for n, text in enumerate(tool.text.splitlines(), 1) if "examples:" in text), 1)
            hint = f"; {error.hint}" if error.hint else ""
            raise ToolFileError(tool.source, line, f"its example does not fit it: {error.message}{hint}") from error


def _engine(inside: Path) -> str:
    if len(inside.parts) < 2:
        raise UsageError("a tool stands in the folder of its engine", hint=f"one of {', '.join(sorted(ENGINES))}")
    if inside.parts[0] not in ENGINES:
        raise UnknownNameError("engine", inside.parts[0], ENGINES)
    return inside.parts[0]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"it cannot be read: {error}") from error
