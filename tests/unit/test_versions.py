"""The PostgreSQL servers of `make test-versions` are pinned in one place, and what is said of them elsewhere is the same."""

from __future__ import annotations

import json
import re

from tests.fix_tools import ROOT

PINNED = json.loads((ROOT / "tests" / "versions" / "package.json").read_text())["dependencies"]
VERSIONS = {name.removeprefix("postgresql-"): where.rpartition("@")[2] for name, where in PINNED.items()}


def test_the_makefile_runs_what_is_pinned():
    (chosen,) = re.findall(r"^VERSIONS \?= (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert chosen.split() == list(VERSIONS)


def test_the_lock_has_each_package_with_its_hash_and_no_address():
    packages = json.loads((ROOT / "tests" / "versions" / "package-lock.json").read_text())["packages"]
    locked = {name.removeprefix("node_modules/postgresql-"): one for name, one in packages.items() if name}
    assert {name: one["version"] for name, one in locked.items()} == VERSIONS
    assert all(one["integrity"].startswith("sha512-") and "resolved" not in one for one in locked.values())


def test_the_readme_names_the_versions_that_are_run():
    told = ", ".join(re.match(r"\d+\.\d+", version)[0] for version in VERSIONS.values())
    assert f"| {told}: every tool and the main runs" in (ROOT / "README.md").read_text()
