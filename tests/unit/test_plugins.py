"""Entry points of other packages are found as importlib.metadata finds them, and it is asked where there may be one."""

from __future__ import annotations

import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from aishell.plugins import entry_points

GROUP = "aishell.agents"
DECLARED = "[console_scripts]\nx = x:main\n\n[aishell.agents]\ncensus = census:Census\n"


def names(group: str = GROUP) -> list[str]:
    return [point.name for point in entry_points(group)]


@pytest.fixture(params=["census-1.0.dist-info", "census.egg-info"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a package's metadata, in a place of sys.path."""
    monkeypatch.syspath_prepend(str(tmp_path))
    made = tmp_path / request.param
    made.mkdir()
    (made / ("METADATA" if "dist" in request.param else "PKG-INFO")).write_text("Name: census\nVersion: 1.0\n")
    return made


def test_what_a_package_declares_is_there(folder):
    (folder / "entry_points.txt").write_text(DECLARED)
    assert names() == ["census"]
    assert names("aishell.hooks") == []


@pytest.mark.parametrize("text", [None, "", "[console_scripts]\naishell = aishell.cli.main:main\n"])
def test_nobody_is_asked_where_nothing_is_declared(folder, monkeypatch, text):
    monkeypatch.setattr(sys, "path", [str(folder.parent), str(folder.parent / "not there")])
    monkeypatch.setattr(metadata, "entry_points", lambda **_: pytest.fail("asked"))
    if text is not None:
        (folder / "entry_points.txt").write_text(text)
    assert names() == []


def test_a_package_in_an_archive_is_seen(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "census.zip", "w") as archive:
        archive.writestr("census-1.0.dist-info/METADATA", "Name: census\nVersion: 1.0\n")
        archive.writestr("census-1.0.dist-info/entry_points.txt", DECLARED)
    monkeypatch.syspath_prepend(str(tmp_path / "census.zip"))
    assert names() == ["census"]
