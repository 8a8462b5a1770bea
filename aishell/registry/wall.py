"""The wall at load: what a tool that did not come with aishell must be, since a tool tagged as reading runs unasked.

The shipped files are looked at by the tests, a site's once per digest; what that takes is imported then. Which tools of sites
were found to read is remembered by an empty file each, named by a digest, in the user's own cache folder: never in a site, whose
owner could write it for any tool, and not where anybody but the user could have written it.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from aishell import locations
from aishell.codec import digest
from aishell.errors import ToolFileError
from aishell.models import Risk
from aishell.registry.tool import Block, Tool

#: What is done with a tool before it is loaded; it raises ToolFileError.
Wall = Callable[[Tool], None]
#: The modules that decide whether a tool passes.
_BY = ("wall.py", "reading.py", "parsing.py", "functions.py", "../databases/quoting.py")


def wall_of(folder: Path) -> Wall | None:
    """The wall that the tools of a folder have to pass, none for those that came with aishell."""
    return None if folder.resolve() == locations.built_in("tools").resolve() else site


def site(tool: Tool) -> None:
    """Look at a tool of a site, if it is not known already. Raises ToolFileError."""
    from aishell.registry.reading import reading_blocks

    if tool.way.calls and tool.risk_level.rank < Risk.MEDIUM.rank:
        raise ToolFileError(
            tool.source,
            tool.line_of("risk"),
            f"a site's tool with `runs: {tool.runs}` runs code that cannot be shown to be read-only: "
            "it must be at least `risk: medium`",
        )
    if reading_blocks(tool) and not known(tool):
        require_reading(tool)
        remember(tool)


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
        message = f"the block `{block.name}` must be a single statement that only reads: {error}"
        raise ToolFileError(tool.source, block.line, message) from error
    if names and tool.risk_level.rank < Risk.MEDIUM.rank:
        raise ToolFileError(
            tool.source,
            block.line,
            f"the block `{block.name}` calls {', '.join(names)}, which is not on the list of read-only functions: "
            "the tool must be at least `risk: medium`",
        )


def reviewed(sent: Sequence[str], engine: str) -> bool:
    """Whether a person has read all that a block can be sent as, in place of the parser."""
    from aishell.registry.functions import REVIEWED

    return digest([engine, *sent]).removeprefix("sha256:") in REVIEWED.values()


def known(tool: Tool) -> bool:
    """Whether this user's aishell has looked at this text before, with the same rules."""
    path = _path(tool)
    return _ours(path.parent, stat.S_ISDIR) and _ours(path, stat.S_ISREG)


def remember(tool: Tool) -> None:
    """Record that the text only reads. If that cannot be written, the text is checked again next time."""
    path = _path(tool)
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))


def _path(tool: Tool) -> Path:
    import platformdirs

    key = "\0".join((_rules(), tool.engine, str(tool.source.endswith(".yaml")), tool.text))
    name = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    return Path(platformdirs.user_cache_dir("aishell")) / "reading-tools" / name


@cache
def _rules() -> str:
    """The digest of the checking modules: tools are checked again when these change."""
    here = Path(__file__).parent
    return hashlib.sha256(b"\0".join((here / name).read_bytes() for name in _BY)).hexdigest()


def _ours(path: Path, kind: Callable[[int], bool]) -> bool:
    """Whether it is the caller's, and nobody else can write it; a link is neither."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return kind(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022
