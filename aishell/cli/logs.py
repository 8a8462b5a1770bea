"""Whether this process logs in lines of JSON, as `--log-…`, AISHELL_LOG_… or `logging:` of aishell.yaml say.

Where it does not, nothing of that is imported: commands must not get slower for it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from aishell.cli.streams import say
from aishell.errors import AishellError, SettingsError, UnknownNameError
from aishell.reporting.units import printable

if TYPE_CHECKING:
    from pathlib import Path

    from aishell.cli.log_lines import LogLines
    from aishell.settings.settings import Logging
    from aishell.site_files import SiteFiles

#: What begins the names of environment variables that go before `logging:`.
_PREFIX = "AISHELL_LOG_"
#: A line that may name `logging:`, and is no comment.
_NAMED = re.compile(rb"^[^#\n]*\blogging\b", re.MULTILINE)


class _Open:
    """The log of this process."""

    lines: LogLines | None = None


def begin(site: SiteFiles, given: Mapping[str, str | None]) -> None:
    """Log what happens in a site from here on. `given`: the `format`, `level` and `file` of the command line.

    Raises UnknownNameError for a variable with an unknown value, SettingsError for a `--log-file` that cannot be written.
    A wrong `logging:` is only a warning here: commands that need the configuration fail by themselves, and an emergency stop
    needs none.
    """
    try:
        wanted = _chosen(site.places.config, given)
        if wanted is None or wanted.format != "json":
            return
        from aishell.cli.log_lines import LogLines

        if _Open.lines is None:
            _Open.lines = LogLines.open(wanted.level, wanted.file)
    except SettingsError as error:
        if given.get("file"):
            raise
        say(printable(f"nothing is logged: {error.message}"), err=True)
        return
    site.hears = _Open.lines.hear


def log_failure(error: BaseException, known: AishellError) -> None:
    """A command ends by an error: an event of its own, where anything is logged."""
    if _Open.lines is not None:
        _Open.lines.failed(error, known)


def _chosen(config: Path, given: Mapping[str, str | None]) -> Logging | None:
    """The settings in force; None where nothing names any. Who names a level or a file wants lines."""
    named = {
        name: given.get(name) or os.environ.get(f"{_PREFIX}{name.upper()}") or None
        for name in ("format", "level", "file")
    }
    if named["level"] or named["file"]:
        named["format"] = named["format"] or "json"
    file = config / "aishell.yaml"
    if not any(named.values()) and not _mentions(file):
        return None
    from dataclasses import replace

    from aishell.settings.schemas import LOG_FORMATS, LOG_LEVELS
    from aishell.settings.settings import load_logging

    for name, known in (("format", LOG_FORMATS), ("level", LOG_LEVELS)):
        if (value := named[name]) is not None and value not in known:
            raise UnknownNameError(f"{_PREFIX}{name.upper()}", value, known)
    return replace(load_logging(config), **{name: value for name, value in named.items() if value is not None})


def _mentions(file: Path) -> bool:
    """Whether a file may name `logging:`: to read it as YAML takes longer than most commands do."""
    try:
        return _NAMED.search(file.read_bytes()) is not None
    except OSError:
        return False  # reported by what needs the file
