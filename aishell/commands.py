"""The commands that people can paste: lists of words, quoted for a shell in one place.

A test parses every call of `command` as the command line does: the command exists, and takes these options and no fewer.
"""

from __future__ import annotations

import re
import shlex

#: A command in a sentence; the group is what follows the name of the program.
TOLD = re.compile(r"`aishell ([^`]+)`")
#: The options before the command that this process was called with, e.g. `--site /srv/shop`: what is pasted is for the same site.
_before: list[str] = []


def before(*words: str) -> None:
    """Have each command begin with these options; they replace those of an earlier call."""
    _before[:] = words


def command(*words: object) -> str:
    """A command of aishell as it is pasted into a shell: `aishell runs resume 3f2a`."""
    return shlex.join(["aishell", *_before, *map(str, words)])


def on(target: str) -> tuple[str, str]:
    """The option that names a target, by its name or its URL: the default target may be another one."""
    return ("--url" if "://" in target else "--target"), target


def spelled(text: str) -> str:
    """A text in which commands are written: each `aishell run …` in it is for the site of this process."""
    return TOLD.sub(lambda found: f"`{command(*shlex.split(found[1]))}`", text)


def addressed(text: str, target: str) -> str:
    """A text of a tool, which knows no targets: each `aishell run …` in it is for this one."""
    return TOLD.sub(lambda found: f"`{command(*shlex.split(found[1]), *on(target))}`", text)
