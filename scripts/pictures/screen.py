"""A terminal that a picture can be taken of: tmux, version 3.3 or newer, without its status line."""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from types import TracebackType
from typing import Self

from rich.ansi import AnsiDecoder
from rich.text import Text

from scripts.pictures.scenes import COLUMNS
from scripts.pictures.shop import Shop

ROWS = 40
#: Between two looks; bars are drawn ten times a second.
LOOK_SECONDS = 0.02
HANG_SECONDS = 60
_OPTIONS = {
    "status": "off",
    "remain-on-exit": "on",
    "remain-on-exit-format": "",
    "history-limit": "1000",
    "default-terminal": "tmux-256color",
}


class Screen:
    """A command that runs in the shop, on a terminal of its own."""

    def __init__(self, command: str, shop: Shop) -> None:
        self._command = command
        self._folder = tempfile.TemporaryDirectory(prefix="aishell-screen-")
        self._tmux = ["tmux", "-S", f"{self._folder.name}/tmux", "-f", "/dev/null"]
        options = [word for name, value in _OPTIONS.items() for word in ("set-option", "-g", name, value, ";")]
        size = ["-x", str(COLUMNS), "-y", str(ROWS)]
        start = ["new-session", "-d", *size, "-c", str(shop.folder), f"exec {command}"]
        subprocess.run([*self._tmux, "start-server", ";", *options, *start], env=shop.environment, check=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ask("kill-server")
        self._folder.cleanup()

    def until(self, pattern: str | None) -> list[Text]:
        """The lines, with their colours, when one matches, or when the command has ended.

        Raises RuntimeError when that does not come.
        """
        end = time.monotonic() + HANG_SECONDS
        while True:
            dead = self._ask("display-message", "-p", "#{pane_dead}").strip() == "1"
            lines = list(AnsiDecoder().decode(self._ask("capture-pane", "-e", "-p", "-S", "-")))
            if dead if pattern is None else any(re.search(pattern, line.plain) for line in lines):
                return lines
            if dead or time.monotonic() > end:
                what = "ended" if dead else f"ran for {HANG_SECONDS} s"
                said = "\n".join(line.plain for line in lines)
                raise RuntimeError(f"`{self._command}` {what}, and no line matched {pattern or 'its end'}:\n{said}")
            time.sleep(LOOK_SECONDS)

    def type(self, line: str) -> None:
        """Press the keys of a line, and Enter."""
        self._ask("send-keys", line, "Enter")

    def _ask(self, *words: str) -> str:
        return subprocess.run([*self._tmux, *words], capture_output=True, text=True, check=True).stdout
