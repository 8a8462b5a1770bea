"""The wall at load: checks of tools that were not shipped with aishell, since a tool that only reads runs without approval.

Tests check the shipped files. A site's files are checked once per digest, and only then is the code for it imported. A tool that
was found to read only is recorded by an empty file, named by a digest, in the user's own cache folder: never in a site, whose
owner could write one for any tool, and not where anyone but the user could have written it.
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

#: A check of a tool before it is loaded; it raises ToolFileError.
Wall = Callable[[Tool], None]
#: The modules that decide whether a tool passes.
_BY = (
    *("wall.py", "reading.py", "parsing.py", "functions.py", "lists.py", "tool.py"),
    *("../databases/quoting.py", "../databases/sqlite_guard.py"),
    *(f"../engines/{name}.py" for name in ("base", "postgresql", "mysql", "sqlite")),
)


def wall_of(folder: Path) -> Wall | None:
    """Return the wall that the tools of a folder must pass, None for shipped tools."""
    return None if folder.resolve() == locations.built_in("tools").resolve() else site


def site(tool: Tool) -> None:
    """Check a site's tool, unless it was checked before. Raises ToolFileError."""
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
    """Raise ToolFileError for a reading block that may do more than read."""
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
    """Whether a person has reviewed all texts that a block can be sent as, in place of the parser."""
    from aishell.registry.functions import REVIEWED

    return digest([engine, *sent]).removeprefix("sha256:") in REVIEWED.values()


def known(tool: Tool) -> bool:
    """Whether this user's aishell has checked this text before, with the same rules."""
    path = _path(tool)
    return _ours(path.parent, stat.S_ISDIR) and _ours(path, stat.S_ISREG)


def remember(tool: Tool) -> None:
    """Record that the text only reads. If the record cannot be written, the text is checked again next time."""
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
    """Return the digest of the checking modules: tools are checked again when these or the parser change."""
    from importlib import metadata  # 10 ms

    here = Path(__file__).parent
    parts = (metadata.version("sqlglot").encode(), *((here / name).read_bytes() for name in _BY))
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _ours(path: Path, kind: Callable[[int], bool]) -> bool:
    """Whether the path is of this kind, belongs to the caller and is writable by no one else; false for a link."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return kind(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022
