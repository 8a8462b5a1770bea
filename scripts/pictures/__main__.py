"""Makes the pictures: `make pictures`."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from rich.text import Text

from scripts.pictures.scenes import DIGEST, PREVIEW, PROGRESS, PROMPT, REPORT, Scene
from scripts.pictures.screen import Screen
from scripts.pictures.shop import Shop, shop
from scripts.pictures.svg import drawn

DOCS = Path(__file__).parents[2] / "docs"
#: As many as take long enough for a picture of the progress.
ORDERS = 600_000


def save(scene: Scene, lines: list[Text]) -> None:
    """Draw the part of the screen that the scene shows."""
    part = lines[scene.part([line.plain for line in lines])]
    path = DOCS / f"{scene.name}.svg"
    path.write_text(drawn(part, title=scene.command, name=scene.name), encoding="utf-8")
    print(f"{path.relative_to(DOCS.parent)}: {len(part)} lines, {path.stat().st_size / 1024:.0f} kB")


def take(shop: Shop) -> None:
    """Run the commands one after another."""
    with Screen(PREVIEW.command, shop) as screen:
        save(PREVIEW, screen.until(PREVIEW.until))
    with Screen(PROMPT.command, shop) as screen:
        save(PROMPT, screen.until(PROMPT.until))
        screen.type("q")
        screen.until(None)
    with Screen(PROGRESS.command, shop) as screen:
        save(PROGRESS, screen.until(PROGRESS.until))
        save(REPORT, screen.until(REPORT.until))
    with Screen(DIGEST.command, shop) as screen:
        save(DIGEST, screen.until(DIGEST.until))


def main() -> int:
    """Take all of them: 0, or 1 where there is no terminal to take them of."""
    if shutil.which("tmux") is None:
        print("the pictures are taken of tmux, which was not found: apt-get install tmux", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="aishell-pictures-") as home, shop(Path(home), ORDERS) as here:
        take(here)
    return 0


if __name__ == "__main__":
    sys.exit(main())
