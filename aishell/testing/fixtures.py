"""The test kit's fixtures for pytest. PYTEST_DONT_REWRITE: it has no `assert`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from aishell import sample
from aishell.testing.scratch import ScratchSite


@pytest.fixture
def aishell_site(tmp_path: Path) -> Iterator[ScratchSite]:
    """An empty site for one test."""
    with ScratchSite(tmp_path / "home") as site:
        yield site


@pytest.fixture(scope="session")
def aishell_sample_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample database, made once per session; tests get copies."""
    path = tmp_path_factory.mktemp("sample") / "sample.db"
    sample.make(path)
    return path


@pytest.fixture
def aishell_sample(aishell_site: ScratchSite, aishell_sample_file: Path) -> ScratchSite:
    """A site for one test, with the target `sample`: a copy of the sample database at `site.site / "sample.db"`."""
    path = aishell_site.site / "sample.db"
    shutil.copyfile(aishell_sample_file, path)
    aishell_site.add_target("sample", f"sqlite:///{path}", environment="local")
    return aishell_site
