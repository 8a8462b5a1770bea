"""A site is code: whatever of it others could have written, or could change, is refused with the remedy, unless it is trusted."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aishell.agents.loading import load_agent
from aishell.errors import SettingsError, UntrustedError
from aishell.plugins import load
from aishell.registry.hooks import Hooks
from aishell.site import Site
from aishell.trust import Trust

#: Somebody who is neither root nor who runs the tests.
OTHER = 65533
ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not ROOT, reason="files are given to another user")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user whose site uses everything that is run: configuration, tools, hooks, programs, plans, a plugin."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    monkeypatch.delenv("SUDO_UID", raising=False)
    code = tmp_path / "code"
    for folder in ("user/aishell", "above/site/config/agents", "above/site/tools/sqlite", "bin", "state"):
        (tmp_path / folder).mkdir(parents=True)
    site = tmp_path / "above/site"
    (site / "config/aishell.yaml").write_text(f"hooks: [trust_hook:HOOK]\nprograms: {tmp_path}/bin\n")
    (site / "config/policy.yaml").write_text("")
    (site / "config/agents/maintenance.yaml").write_text("")
    (site / "tools/sqlite/note.sql").write_text("")
    (tmp_path / "bin/pg_dump").write_text("#!/bin/sh\n")
    (tmp_path / "state/state.db").write_bytes(b"")
    (code / "trust_plugin/inner").mkdir(parents=True)
    (code / "trust-1.dist-info").mkdir()
    (code / "trust-1.dist-info/METADATA").write_text("Name: trust\nVersion: 1\n")
    (code / "trust-1.dist-info/entry_points.txt").write_text("[aishell.agents]\ncensus = trust_plugin.inner:Census\n")
    (code / "trust_hook.py").write_text("HOOK = object()\n")
    (code / "trust_plugin/__init__.py").write_text("")
    (code / "trust_plugin/inner/__init__.py").write_text(
        "from aishell.agents.maintenance.agent import MaintenanceAgent\nclass Census(MaintenanceAgent): pass\n"
    )
    monkeypatch.syspath_prepend(str(code))
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith(("trust_hook", "trust_plugin"))]:
        del sys.modules[name]


def use(home: Path, *, trust: bool = False) -> None:
    """All that a command does before it reaches a database."""
    with Site.open(home / "above/site", state=home / "state/state.db", trust=trust) as site:
        Hooks.load(site.settings.hooks, site.trust)
    load_agent("census")


#: Whatever is run, and what leads to it; and whether `--trust-site` vouches for it.
RUN = {
    "above": True, "above/site": True, "above/site/config": True, "above/site/config/aishell.yaml": True,
    "above/site/config/policy.yaml": True, "above/site/config/agents": True,
    "above/site/config/agents/maintenance.yaml": True, "above/site/tools": True, "above/site/tools/sqlite": True,
    "above/site/tools/sqlite/note.sql": True, "bin": True, "bin/pg_dump": True, "state": True, "state/state.db": True,
    "code": False, "code/trust_hook.py": True, "code/trust_plugin": False, "code/trust_plugin/__init__.py": False,
    "code/trust_plugin/inner/__init__.py": False,
}  # fmt: skip


def _by_all(path: Path) -> None:
    path.chmod(stat.S_IMODE(path.stat().st_mode) | 0o002)


def _by_group(path: Path) -> None:
    if ROOT:
        os.chown(path, 0, OTHER)
    path.chmod(stat.S_IMODE(path.stat().st_mode) | 0o020)


def _owner(path: Path) -> None:
    os.chown(path, OTHER, -1)


FAULTS = [
    pytest.param(_by_all, id="everybody writes"),
    pytest.param(_by_group, id="a group writes", marks=needs_root),
    pytest.param(_owner, id="of another user", marks=needs_root),
]


def test_a_site_of_ones_own_is_used(home):
    use(home)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("place", RUN)
def test_what_others_could_have_written_is_refused(home, place, fault):
    fault(home / place)
    with pytest.raises(UntrustedError) as caught:
        use(home)
    assert str(home / place) in caught.value.message
    assert caught.value.exit_code == 2
    assert "chmod go-w" in caught.value.hint or "chown" in caught.value.hint
    (home / "user/aishell/trusted-sites").write_text(f"# ours\n\n{home}\n")
    use(home)


@pytest.mark.parametrize("place", RUN)
def test_an_option_vouches_for_the_site_and_what_it_names(home, place):
    _by_all(home / place)
    if RUN[place]:
        with pytest.raises(UntrustedError) as caught:
            use(home)
        assert "--trust-site" in caught.value.hint
        use(home, trust=True)
    else:
        with pytest.raises(UntrustedError) as caught:
            use(home, trust=True)
        assert "--trust-site" not in caught.value.hint


@needs_root
def test_under_sudo_the_invoking_user_is_the_caller(home, monkeypatch):
    _owner(home / "above/site")
    monkeypatch.setenv("SUDO_UID", str(OTHER + 1))
    with pytest.raises(UntrustedError):
        use(home)
    monkeypatch.setenv("SUDO_UID", str(OTHER))
    use(home)


def test_the_list_is_code_too(home):
    _by_all(home / "above/site")
    listed = home / "user/aishell/trusted-sites"
    listed.write_text(f"{home}/above/site\n")
    use(home)
    _by_all(listed)
    with pytest.raises(UntrustedError, match="trusted-sites"):
        use(home)


def test_a_listed_folder_vouches_for_itself_alone(home):
    _by_all(home / "above/site")
    listed = home / "user/aishell/trusted-sites"
    for text, said in ((f"{home}/above/sit\n", "above/site"), ("above/site\n", "trusted-sites:1: 'above/site'")):
        listed.write_text(text)
        with pytest.raises(UntrustedError, match=said):
            use(home)
    listed.write_text("# " + str(home))
    with pytest.raises(UntrustedError):
        use(home)


class TestLinks:
    """What a link leads to counts, and who could make it lead elsewhere."""

    @needs_root
    def test_a_link_of_anothers(self, home):
        (home / "door").mkdir(0o1777)
        (home / "door").chmod(0o1777)
        (home / "door/site").symlink_to(home / "above/site")
        Trust().check(home / "door/site")  # in a sticky folder what is ours stays ours
        os.chown(home / "door/site", OTHER, -1, follow_symlinks=False)
        with pytest.raises(UntrustedError, match="door/site belongs to"):
            Trust().check(home / "door/site")

    def test_a_folder_on_the_way_that_a_link_leads_through(self, home):
        (home / "by").mkdir()
        (home / "above/first").symlink_to("../by/second")
        (home / "by/second").symlink_to(home / "above/site")
        Trust().check(home / "above/first/config", below=True)
        _by_all(home / "by")
        with pytest.raises(UntrustedError, match=f"{home}/by can be written by everybody"):
            Trust().check(home / "above/first/config")

    def test_a_file_of_the_site_that_is_a_link(self, home):
        real = home / "elsewhere.yaml"
        real.write_text("")
        (home / "above/site/config/targets.yaml").symlink_to(real)
        use(home)
        _by_all(real)
        with pytest.raises(UntrustedError, match=r"elsewhere\.yaml can be written by everybody"):
            use(home)

    def test_links_in_a_circle(self, home):
        (home / "a").symlink_to("b")
        (home / "b").symlink_to("a")
        with pytest.raises(UntrustedError, match="cannot be followed"):
            Trust().check(home / "a")


def test_where_the_current_folder_is_gone_a_path_is_still_looked_at(home, monkeypatch):
    (home / "gone").mkdir()
    monkeypatch.chdir(home / "gone")
    (home / "gone").rmdir()
    use(home)
    _by_all(home / "above/site")
    with pytest.raises(UntrustedError):
        use(home)


def test_a_sticky_folder_is_safe_to_pass_but_no_site(home):
    (home / "above").chmod(0o1777)
    use(home)
    (home / "above/site").chmod(0o1777)
    with pytest.raises(UntrustedError):
        use(home)


@needs_root
def test_the_owners_private_group_may_write(home, monkeypatch: pytest.MonkeyPatch):
    """As on distributions where each user has a group, and umask is 002: root's group has root alone."""
    import grp

    for path in (home / "above/site", home / "above/site/config/policy.yaml"):
        os.chown(path, 0, 0)
        path.chmod(0o775)
    use(home)
    with_others = grp.struct_group(("root", "x", 0, ["root", "operator"]))
    monkeypatch.setattr(grp, "getgrgid", lambda _: with_others)
    with pytest.raises(UntrustedError, match="can be written by the group root"):
        use(home)


@needs_root
def test_an_access_list_lets_others_in(home, tmp_path):
    """Linux's own format: version 2, then tag, permissions and id of each entry (include/uapi/linux/posix_acl_xattr.h)."""
    import struct

    path = home / "above/site/config/policy.yaml"
    entries = [(0x01, 6, 2**32 - 1), (0x02, 6, OTHER), (0x04, 4, 2**32 - 1), (0x10, 6, 2**32 - 1), (0x20, 4, 2**32 - 1)]
    packed = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    try:
        os.setxattr(path, "system.posix_acl_access", packed)
    except OSError as error:
        pytest.skip(f"no access lists here: {error}")
    with pytest.raises(UntrustedError, match="whom its access list names"):
        use(home)


def test_a_module_that_is_not_there_is_for_its_import_to_tell(home):
    with pytest.raises(SettingsError, match="No module named 'trust_nowhere'"):
        load("trust_nowhere:THING", "hook")


def test_on_the_command_line(aishell):
    """A folder of somebody else's is adopted as a site by nobody, and nothing is touched."""
    aishell.configure("targets.yaml", "targets: {}\n").chmod(0o666)
    refused = aishell("targets", "list", "--output", "json").expect(2)
    assert refused.json["error"]["type"] == "UntrustedError"
    assert "targets.yaml can be written by everybody" in refused.err
    assert not aishell.state.exists()
    aishell("--trust-site", "targets", "list").expect(0)
