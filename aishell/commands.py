"""Commands that people can paste: lists of words, quoted for a shell in one place.

A test parses every call of `command` as the command line does: the command exists and takes exactly such options.
"""

from __future__ import annotations

import re
import shlex

#: A command in a sentence; the group is the text after the program's name.
TOLD = re.compile(r"`aishell ([^`]+)`")
#: The options before the command in this process, e.g. `--site /srv/shop`: pasted commands must be for the same site.
_before: list[str] = []


def before(*words: str) -> None:
    """Set the options that each command begins with, replacing those of an earlier call."""
    _before[:] = words


def command(*words: object) -> str:
    """Return a command of aishell for pasting into a shell: `aishell runs resume 3f2a`."""
    return shlex.join(["aishell", *_before, *map(str, words)])


def on(target: str) -> tuple[str, str]:
    """Return the option that names a target by name or URL: the default target may be another one."""
    return ("--url" if "://" in target else "--target"), target


def spelled(text: str) -> str:
    """Return a text with each `aishell run …` in it made a command for this process's site."""
    return TOLD.sub(lambda found: f"`{command(*shlex.split(found[1]))}`", text)


def addressed(text: str, target: str) -> str:
    """Return a tool's text, which names no target, with each `aishell run …` in it made a command for this one."""
    return TOLD.sub(lambda found: f"`{command(*shlex.split(found[1]), *on(target))}`", text)
