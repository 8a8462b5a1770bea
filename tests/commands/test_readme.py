"""What README shows can be pasted: its first five minutes are run, its other commands are parsed, its links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.fix_aishell import Aishell
from tests.unit.cli.test_suggested_commands import parsed

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
SHELL = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
FIVE_MINUTES = next(block for block in SHELL if block.startswith("aishell init"))


def commands(block: str) -> list[list[str]]:
    """The words after `aishell` of each line; comments are for people."""
    lines = (shlex.split(line.replace("&& cd shop", ""), comments=True) for line in block.splitlines())
    return [words[1:] for words in lines if words and words[0] == "aishell"]


def test_the_first_five_minutes_go_as_printed(aishell: Aishell) -> None:
    (first, folder), *others = commands(FIVE_MINUTES)
    shop = aishell.home / folder
    aishell(first, str(shop)).expect(0)
    for words in others:
        aishell("--site", str(shop), "--state", str(shop / "state.db"), *words).expect(0)
    assert len(others) > 5


@pytest.mark.parametrize("words", [words for block in SHELL for words in commands(block)], ids=" ".join)
def test_each_command_is_one(words: list[str]) -> None:
    parsed(words)


def test_each_link_leads_to_a_page_and_its_heading() -> None:
    for page, heading in re.findall(r"\]\(([^)#:]+)(?:#([^)]+))?\)", README):
        assert (ROOT / page).exists(), page
        titles = re.findall(r"^#+ (.*)", (ROOT / page).read_text(), re.MULTILINE) if heading else []
        assert not heading or heading in [re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles]
