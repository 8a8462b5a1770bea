"""A site's `extensions/`: declared as a package's entry points are, checked before it is imported, of one site at a time."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from aishell import plugins
from aishell.agents.loading import agent_types, load_agent
from aishell.errors import SettingsError, UntrustedError
from aishell.safety import constraints
from aishell.site import Site

AGENT = """
from aishell.agents.base import Agent, Draft
from aishell.models import AgentConfig

class Census(Agent):
    '''{says}'''
    type = "census"
    defaults = AgentConfig("census", "census", frozenset())
    inputs = {{}}
    def draft(self, task, inventory): return Draft(())
    def summarise(self, task, results): return {{}}, ""
"""
DECLARED = "[aishell.agents]\ncensus = {module}:Census\n"


@pytest.fixture(autouse=True)
def afterwards():
    path = list(sys.path)
    yield
    plugins.use_extensions(Path("/nowhere"))
    assert sys.path == path


def site(folder: Path, module: str = "census", declared: str = DECLARED, says: str = "Counts.") -> Path:
    (folder / "config").mkdir(parents=True)
    made = folder / "extensions"
    made.mkdir()
    (made / f"{module}.py").write_text(AGENT.format(says=says))
    (made / "entry_points.txt").write_text(declared.format(module=module))
    return folder


def test_an_agent_is_there_with_its_site_and_not_imported_before_it_is_asked_for(tmp_path):
    with Site.open(site(tmp_path / "one")):
        assert "census" in agent_types()
        assert "census" not in sys.modules
        assert load_agent("census").__doc__ == "Counts."
    with Site.open(site(tmp_path / "two", says="Another.")):
        assert load_agent("census").__doc__ == "Another."  # the module of the same name was that of the other site
    (tmp_path / "three" / "config").mkdir(parents=True)
    with Site.open(tmp_path / "three"):
        assert "census" not in agent_types()


def test_what_others_can_write_is_refused_before_anything_is_read(tmp_path):
    folder = site(tmp_path / "one")
    (folder / "extensions" / "census.py").chmod(0o666)
    with pytest.raises(UntrustedError, match=r"census\.py"):
        Site.open(folder)
    with Site.open(folder, trust=True):
        assert load_agent("census").type == "census"


def test_a_name_that_is_taken_is_refused(tmp_path):
    with (
        Site.open(site(tmp_path / "one", declared="[aishell.agents]\nmaintenance = census:Census\n")),
        pytest.raises(SettingsError, match="an agent of that name comes with aishell"),
    ):
        agent_types()
    with (
        Site.open(site(tmp_path / "two", declared="[aishell.constraints]\nmax_table_size = census:Census\n")),
        pytest.raises(SettingsError, match="a constraint of that name comes with aishell"),
    ):
        constraints.build(())
    with (
        Site.open(site(tmp_path / "three", module="json")),
        pytest.raises(SettingsError, match=r"extensions/json\.py cannot be imported: .*has the same name"),
    ):
        load_agent("census")


def test_an_installed_package_and_a_site_have_no_agent_of_one_name(tmp_path, monkeypatch):
    package = tmp_path / "packages" / "census-1.0.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Name: census\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text(DECLARED.format(module="counting"))
    monkeypatch.setattr(sys, "path", [*sys.path, str(package.parent)])
    with Site.open(site(tmp_path / "one")):
        with pytest.raises(SettingsError, match="an installed package has one of that name"):
            agent_types()
        plugins.use_extensions(Path("/nowhere"))  # its place in sys.path goes before that of the package


@pytest.mark.parametrize(
    "text", ["census = census:Census\n", "[aishell.agents]\ncensus\n", "[aishell.agents]\na=b:c\na=d:e\n", "\xff"]
)
def test_a_file_that_is_none_is_an_error_with_its_path(tmp_path, text):
    folder = site(tmp_path / "one")
    (folder / "extensions" / "entry_points.txt").write_bytes(text.encode("latin-1"))
    with Site.open(folder), pytest.raises(SettingsError, match=r"entry_points\.txt cannot be read") as error:
        agent_types()
    assert "module:attribute" in str(error.value.hint)


def test_a_package_may_do_without_an_init(tmp_path):
    folder = site(tmp_path / "one", declared="[aishell.agents]\ncensus = figures.census:Census\n")
    (folder / "extensions" / "figures").mkdir()
    (folder / "extensions" / "census.py").rename(folder / "extensions" / "figures" / "census.py")
    with Site.open(folder):
        assert load_agent("census").type == "census"
        assert load_agent("census").type == "census"  # it is imported already


def test_a_module_that_fails_is_named_with_what_it_raised(tmp_path):
    folder = site(tmp_path / "one")
    (folder / "extensions" / "census.py").write_text("raise RuntimeError('no figures')\n")
    with Site.open(folder):
        assert "census" in agent_types()  # it is only imported when it is asked for
        with pytest.raises(SettingsError, match="no figures"):
            load_agent("census")
