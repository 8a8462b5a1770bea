"""Which tools of sites have been found to read: an empty file each, named by a digest, in the user's own cache folder.

Never in a site, whose owner could tell us so of any tool. Nor is it believed where others than the user could have written it.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

from aishell.registry.tool import Tool

#: The modules that a tool's passing hangs on.
_BY = ("wall.py", "reading.py", "parsing.py", "functions.py", "../databases/quoting.py")


def known(tool: Tool) -> bool:
    """Whether this user's aishell has looked at this text before, with the same rules."""
    path = _path(tool)
    return _ours(path.parent, stat.S_ISDIR) and _ours(path, stat.S_ISREG)


def remember(tool: Tool) -> None:
    """The text only reads. Where it cannot be written down, it is looked at again the next time."""
    path = _path(tool)
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))


def _path(tool: Tool) -> Path:
    import platformdirs

    told = "\0".join((_rules(), tool.engine, str(tool.source.endswith(".yaml")), tool.text))
    name = hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()
    return Path(platformdirs.user_cache_dir("aishell")) / "reading-tools" / name


@cache
def _rules() -> str:
    """The digest of what looks at tools: with other rules, another look."""
    here = Path(__file__).parent
    return hashlib.sha256(b"\0".join((here / name).read_bytes() for name in _BY)).hexdigest()


def _ours(path: Path, kind: Callable[[int], bool]) -> bool:
    """Whether it is the caller's, and nobody else can write it; a link is neither."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return kind(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022
