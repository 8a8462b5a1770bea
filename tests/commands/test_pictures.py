"""The pictures of README and docs say what the commands on them say today."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.pictures.scenes import COLUMNS, DIGEST, PREVIEW, PROGRESS, PROMPT, REPORT, SCENES, Scene
from scripts.pictures.shop import Shop, shop
from scripts.pictures.svg import text_of
from tests.commands.terminal import Terminal

ROOT = Path(__file__).parents[2]
AGAIN = "the pictures are stale: make pictures"
ORDERS = 60_000
#: Colours, and what moves the cursor: to the beginning of a line that is written anew.
COLOURS, MOVES = re.compile(r"\x1b\[[0-9;]*m"), re.compile(r"(?:\x1b\[[0-9;?]*[A-Za-z]|\r)+")
#: What is another in each run: numbers with their units and what is said of their size, ids, the bar.
OTHER = re.compile(r"(?:\b(?:about|less than) )?(?:\b\d[\d.,:-]*Z?(?: (?:bytes|[kM]B|h|min|m?s)\b)?(?: (?=\d))?)+")
ID, DRAWN = re.compile(r"\b[0-9a-f]{8,}\b"), re.compile(r"[─━╺╸⠀-⣿]+")


def words(text: str) -> list[str]:
    """What stays the same from run to run."""
    return OTHER.sub("#", ID.sub("0", " ".join(DRAWN.sub(" ", text).split()))).split()


def of_picture(scene: Scene) -> str:
    return "\n".join(text_of((ROOT / "docs" / f"{scene.name}.svg").read_text()))


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, pg_current_server: object) -> Iterator[Shop]:
    with shop(tmp_path_factory.mktemp("pictures"), ORDERS) as made:
        yield made


def said(scene: Scene, here: Shop, answer: str | None = None) -> list[str]:
    """The lines that its command shows on a terminal, where a question gets an answer."""
    with Terminal(scene.command.split(), env=here.environment, cwd=str(here.folder), columns=COLUMNS) as terminal:
        if answer is not None:
            terminal.until("\n? ")
            terminal.type(answer)
        terminal.end()
        return MOVES.sub("\n", COLOURS.sub("", terminal.screen)).split("\n")


def shown(scene: Scene, lines: list[str]) -> list[str]:
    return words("\n".join(lines[scene.part(lines)]))


def test_the_pictures_say_what_the_commands_say(here: Shop) -> None:
    assert shown(PREVIEW, said(PREVIEW, here)) == words(of_picture(PREVIEW)), AGAIN
    asked = shown(PROMPT, said(PROMPT, here, "q"))
    expected = words(of_picture(PROMPT))
    assert asked[: len(expected)] == expected, AGAIN
    ran = said(PROGRESS, here)
    *ended, bar = [words(line) for line in of_picture(PROGRESS).splitlines()]
    produced = [words(line) for line in ran]
    assert [line for line in ended if line not in produced] == [], AGAIN
    assert bar[:2] in [line[:2] for line in produced], AGAIN
    assert shown(REPORT, ran) == words(of_picture(REPORT)), AGAIN
    assert shown(DIGEST, said(DIGEST, here)) == words(of_picture(DIGEST)), AGAIN


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_a_picture_is_small_loads_nothing_and_names_no_machine(scene: Scene) -> None:
    svg = (ROOT / "docs" / f"{scene.name}.svg").read_text()
    assert len(svg) < 60_000
    assert "//" not in svg.replace("http://www.w3.org/2000/svg", "").replace("postgresql://maintenance@127.0.0.1", "")
    assert not re.search(rf"/tmp|/home|/root|/dev/shm|\b{re.escape(os.uname().nodename)}\b", svg)


def test_every_picture_is_shown_somewhere() -> None:
    pages = "".join(path.read_text() for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")))
    drawings = {path.name for path in (ROOT / "docs").glob("*.svg")}
    assert drawings == {f"{scene.name}.svg" for scene in SCENES}
    assert {name for name in drawings if f"{name})" not in pages} == set()
