"""Start the JSON log of this process if `--log-…`, AISHELL_LOG_… or `logging:` in aishell.yaml asks for it.

Otherwise nothing is imported for it, so that commands do not become slower.
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

#: Prefix of the environment variables, which override `logging:`.
_PREFIX = "AISHELL_LOG_"
#: A line that may name `logging:` and is not a comment.
_NAMED = re.compile(rb"^[^#\n]*\blogging\b", re.MULTILINE)


class _Open:
    """The log of this process."""

    lines: LogLines | None = None


def begin(site: SiteFiles, given: Mapping[str, str | None]) -> None:
    """Start logging a site's events. `given`: the `format`, `level` and `file` of the command line.

    Raises UnknownNameError for a variable with an unknown value, SettingsError for a `--log-file` that cannot be written.
    An invalid `logging:` is only a warning here: commands that need the configuration fail by themselves, and an emergency
    stop needs none.
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
    site.event_listener = _Open.lines.log_events


def log_failure(error: BaseException, known: AishellError) -> None:
    """Log the error that ends a command, if there is a log."""
    if _Open.lines is not None:
        _Open.lines.failed(error, known)


def _chosen(config: Path, given: Mapping[str, str | None]) -> Logging | None:
    """The settings in force, None if there are none. A level or a file alone implies JSON."""
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
    """Whether a file may name `logging:`. Parsing it as YAML would take longer than most commands do."""
    try:
        return _NAMED.search(file.read_bytes()) is not None
    except OSError:
        return False  # reported by commands that need the file
