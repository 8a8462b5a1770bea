"""The wall at load: what a tool that did not come with aishell must be, since a tool tagged as reading runs unasked.

The shipped files are looked at by the tests, a site's once per digest (`registry/seen.py`): what that takes is imported then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from aishell import locations
from aishell.codec import digest
from aishell.errors import ToolFileError
from aishell.models import Risk
from aishell.registry.tool import Block, Tool

#: What is done with a tool before it is loaded; it raises ToolFileError.
Wall = Callable[[Tool], None]


def wall_of(folder: Path) -> Wall | None:
    """The wall that the tools of a folder have to pass, none for those that came with aishell."""
    return None if folder.resolve() == locations.built_in("tools").resolve() else site


def site(tool: Tool) -> None:
    """Look at a tool of a site, if it is not known already. Raises ToolFileError."""
    from aishell.registry import seen
    from aishell.registry.reading import reading_blocks

    if tool.way.calls and tool.risk_level.rank < Risk.MEDIUM.rank:
        raise ToolFileError(
            tool.source,
            _line(tool, "risk:"),
            f"a site's tool with `runs: {tool.runs}` is code, of which nobody can tell that it only reads: "
            "it must be at least `risk: medium`",
        )
    if reading_blocks(tool) and not seen.known(tool):
        require_reading(tool)
        seen.remember(tool)


def require_reading(tool: Tool) -> None:
    """Raises ToolFileError for a reading block that may do more than read."""
    from aishell.registry import parsing
    from aishell.registry.reading import reading_blocks, texts

    for block in reading_blocks(tool):
        for engine in (tool.engine,) if tool.engine != "common" else parsing.ENGINES:
            sent = list(texts(tool, block, engine))
            if not reviewed(sent, engine):
                for text in sent:
                    _require_reading(tool, block, text, engine)


def _require_reading(tool: Tool, block: Block, text: str, engine: str) -> None:
    from aishell.registry import parsing

    try:
        names = parsing.unlisted(text, engine)
    except parsing.NotReadingError as error:
        message = f"the block `{block.name}` must be one statement that reads: {error}"
        raise ToolFileError(tool.source, block.line, message) from error
    if names and tool.risk_level.rank < Risk.MEDIUM.rank:
        raise ToolFileError(
            tool.source,
            block.line,
            f"the block `{block.name}` calls {', '.join(names)}, not on the list of functions that only read: "
            "the tool must be at least `risk: medium`",
        )


def reviewed(sent: Sequence[str], engine: str) -> bool:
    """Whether a person has read all that a block can be sent as, in place of the parser."""
    from aishell.registry.functions import REVIEWED

    return digest([engine, *sent]).removeprefix("sha256:") in REVIEWED.values()


def _line(tool: Tool, key: str) -> int:
    return next((n for n, text in enumerate(tool.text.splitlines(), 1) if text.removeprefix("-- ").startswith(key)), 1)
