"""What `make run` and `make test` install, and what they say where a server is missing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Callable, Iterator
from importlib.metadata import requires
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests import fix_postgresql

ROOT = Path(__file__).parents[1]
#: The oldest Python that aishell runs on: the locks are made for it.
OLDEST = {"python_version": "3.11", "python_full_version": "3.11.0"}


def locked(file: str) -> dict[str, tuple[str, set[str]]]:
    """Name, without its extras, to version and hashes."""
    entries = re.findall(
        r"^([^\s\[]+)(?:\[\S+\])?==(\S+) \\\n((?: +--hash=.*\n)+)", (ROOT / file).read_text(), re.MULTILINE
    )
    return {name: (version, set(re.findall(r"sha256:\w+", hashes))) for name, version, hashes in entries}


def test_developers_have_what_aishell_runs_on_at_the_same_versions() -> None:
    runtime = locked("requirements.lock")
    assert runtime
    assert runtime.items() <= locked("requirements-dev.lock").items()


def test_the_runtime_lock_holds_what_aishell_needs_and_nothing_else() -> None:
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert set(needed(asked)) == set(locked("requirements.lock"))


def needed(asked: list[str]) -> Iterator[str]:
    """The names of these requirements and of all that they require."""
    left, known = [(Requirement(text), "") for text in asked], set()
    while left:
        requirement, extra = left.pop()
        if requirement.marker and not requirement.marker.evaluate({**OLDEST, "extra": extra}):
            continue
        yield canonicalize_name(requirement.name)
        for wanted in {"", *requirement.extras}:
            if (requirement.name, wanted) not in known:
                known.add((requirement.name, wanted))
                left += ((Requirement(text), wanted) for text in requires(requirement.name) or ())


def test_the_command_of_a_checkout_runs_from_anywhere(tmp_path: Path) -> None:
    place = tmp_path / "with a space"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    subprocess.run([place / "bin" / "python", ROOT / "scripts" / "link-checkout"], check=True)
    said = subprocess.run(
        [place / "bin" / "aishell", "--help"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": sysconfig.get_path("purelib")},  # what aishell needs is not installed there
        capture_output=True,
        text=True,
    )
    assert said.stdout.startswith("Usage: aishell "), said.stderr


@pytest.fixture
def install_servers(tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Runs scripts/install-servers for this user where nothing of /usr/bin is installed, no apt-get either."""

    def run(user: int, *arguments: str, ci: str = "") -> tuple[int, str]:
        (tmp_path / "id").write_text(f"#!/bin/sh\necho {user}\n")
        (tmp_path / "id").chmod(0o755)
        command = ["/bin/bash", ROOT / "scripts" / "install-servers", *arguments]
        done = subprocess.run(command, env={"PATH": str(tmp_path), "CI": ci}, capture_output=True, text=True)
        assert done.stdout == ""
        return done.returncode, done.stderr

    return run


def test_one_line_says_that_mariadb_is_missing(install_servers) -> None:
    code, said = install_servers(1000)
    assert code == 1
    assert re.fullmatch(r".*As root: apt-get install .*mariadb-backup\. .*make test ARGS=--without-mariadb\n", said)
    assert "postgresql" not in said


def test_a_user_does_without_the_distribution_s_postgresql(install_servers) -> None:
    assert install_servers(1000, "--without-mariadb") == (0, "")


@pytest.mark.parametrize(("user", "ci"), [(0, ""), (1000, "true")], ids=["root", "CI"])
def test_root_and_ci_never_do_without(install_servers, user: int, ci: str) -> None:
    code, said = install_servers(user, "--without-mariadb", ci=ci)
    assert code == 1
    assert "pgbackrest" in said


@pytest.mark.parametrize(
    ("without", "outcome", "said"),
    [(True, pytest.skip.Exception, "needs the distribution's"), (False, pytest.fail.Exception, "no distribution")],
)
def test_a_missing_server_is_skipped_only_where_tests_do_without(monkeypatch, without, outcome, said) -> None:
    monkeypatch.setitem(fix_postgresql.PROGRAMS, "distribution", None)
    monkeypatch.setattr(fix_postgresql, "DOES_WITHOUT", without)
    with pytest.raises(outcome, match=said):
        fix_postgresql._programs(SimpleNamespace(getoption=lambda name: False), "distribution")
