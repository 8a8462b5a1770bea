"""Where a site is found, in this order: named, AISHELL_SITE, the current folder, the user's folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from aishell.errors import UsageError
from aishell.locations import Places, built_in, find

SHIPPED = built_in("tools")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder and a user who have nothing yet."""
    monkeypatch.delenv("AISHELL_SITE", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user-config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "user-state"))
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return tmp_path


def make_site(root: Path, *, tools: bool = False) -> Path:
    (root / "config").mkdir(parents=True)
    (root / "config" / "aishell.yaml").write_text("")
    if tools:
        (root / "tools").mkdir()
    return root


def site(root: Path, *more: Path) -> Places:
    return Places(root, root / "config", root / "state.db", (SHIPPED, *more))


def test_a_named_site_goes_before_all_others(home, monkeypatch):
    named, env = make_site(home / "named"), make_site(home / "env")
    make_site(home / "here" / ".")
    monkeypatch.setenv("AISHELL_SITE", str(env))
    assert find(named) == site(named)
    assert find(str(named)) == site(named)


def test_the_environment_goes_before_the_current_folder(home, monkeypatch):
    env = make_site(home / "env")
    make_site(home / "here" / ".")
    monkeypatch.setenv("AISHELL_SITE", str(env))
    assert find() == site(env)


def test_the_current_folder_goes_before_the_users_folders(home):
    make_site(home / "here" / ".")
    assert find() == site(home / "here")


def test_otherwise_the_users_own_folders_hold(home):
    config = home / "user-config" / "aishell"
    assert find() == Places(None, config, home / "user-state" / "aishell" / "state.db", (SHIPPED,))
    (config / "tools").mkdir(parents=True)
    assert find().tools == (SHIPPED, config / "tools")


def test_a_sites_own_tools_come_beside_those_that_were_shipped(home):
    root = make_site(home / "named", tools=True)
    assert find(root) == site(root, root / "tools")


def test_the_shipped_tools_are_not_loaded_twice():
    root = SHIPPED.parent
    if (root / "config").is_dir():
        assert find(root).tools == (SHIPPED,)
    assert (SHIPPED / "README.md").is_file()


def test_a_tilde_is_the_users_home(home, monkeypatch):
    monkeypatch.setenv("HOME", str(home))
    assert find("~/named-site" if make_site(home / "named-site") else None).root == home / "named-site"


@pytest.mark.parametrize("named", [True, False])
def test_a_named_folder_that_is_no_site_is_an_error(home, monkeypatch, named):
    if not named:
        monkeypatch.setenv("AISHELL_SITE", str(home / "here"))
    with pytest.raises(UsageError) as caught:
        find(home / "here" if named else None)
    assert "is not a site" in caught.value.message
    assert "aishell init" in (caught.value.hint or "")
