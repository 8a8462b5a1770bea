"""The wheel carries everything: tools and configuration travel in it, nothing of the checkout is needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the built wheel unpacked in it; its dependencies are those of this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", REPOSITORY, "--no-deps", "--no-build-isolation", "-w", folder], check=True)
    (wheel,) = folder.glob("aishell-*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", folder / "site", wheel], check=True)
    return folder / "site"


def run(installed: Path, where: Path, code: str) -> str:
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "AISHELL"))},
        "PYTHONPATH": str(installed),
        "HOME": str(where),
    }
    done = subprocess.run([sys.executable, "-c", code], cwd=where, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_brings_its_own_tools_and_configuration(installed: Path, tmp_path: Path) -> None:
    code = "import aishell, aishell.locations as l; print(aishell.__file__, l.built_in('tools'), l.built_in('config'))"
    for place in run(installed, tmp_path, code).split():
        assert Path(place).is_relative_to(installed)
    imports = "from types import SimpleNamespace as N; from aishell.backups.store.repository import carried"
    code = f"{imports}; print(*dict(carried({{}})))"
    assert run(installed, tmp_path, code.format("N(method='sqlite')")).split() == ["RESTORE.md", "restore-sqlite.py"]


def test_a_site_made_by_the_wheel_maintains_its_sample(installed: Path, tmp_path: Path) -> None:
    call = "import sys; sys.argv = ['aishell', *{!r}]; from aishell.cli.main import main; main()"
    run(installed, tmp_path, call.format(["init", "shop"]))
    shown = run(installed, tmp_path / "shop", call.format(["run", "maintenance", "--type", "full", "--output", "json"]))
    assert '"status": "success"' in shown
    assert "sample.db" in shown
    assert "prefers-color-scheme" in run(installed, tmp_path / "shop", call.format(["digest", "--format", "html"]))
