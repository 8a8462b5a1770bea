"""Paths of a site: its configuration, tools and state, and the data shipped with the package."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from aishell.commands import command
from aishell.errors import UsageError


@dataclass(frozen=True)
class Places:
    """`root` is the site's folder, None for the user's own folders or the built-in defaults."""

    root: Path | None
    config: Path
    state: Path
    tools: tuple[Path, ...]

    @property
    def extensions(self) -> Path:
        """The folder of the site's own Python: agents, constraints and functions for its tools."""
        return (self.root or self.config) / "extensions"


def built_in(name: str) -> Path:
    """Return aishell's own `tools` or `config`: beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).parent
    inside = package / "_data" / name
    return inside if inside.is_dir() else package.parent / name


def find(site: str | Path | None = None) -> Places:
    """Find the site: named by `site` or AISHELL_SITE, else the current folder, else the user's folders or the defaults.

    Raises UsageError if the named folder is not a site.
    """
    named = site or os.environ.get("AISHELL_SITE")
    if named:
        root = Path(named).expanduser()
        if not (root / "config").is_dir():
            raise UsageError(
                f"{root} is not a site: it has no folder `config`", hint=f"make one with `{command('init', root)}`"
            )
        return _of(root)
    if Path("config/aishell.yaml").is_file():
        return _of(Path.cwd())
    import platformdirs

    config = Path(platformdirs.user_config_dir("aishell"))
    state = Path(platformdirs.user_state_dir("aishell")) / "state.db"
    return Places(None, config, state, _tools(config / "tools"))


def state_file(named: str) -> Path:
    """Return the path of the named state store. Raises UsageError for a URL: a store is a file."""
    scheme, url, _ = named.partition("://")
    if url:
        raise UsageError(
            f"the state store is a file, not a {scheme}:// URL",
            hint="name its path, such as --state /var/lib/aishell/state.db",
        )
    return Path(named).expanduser()


def _of(root: Path) -> Places:
    return Places(root, root / "config", root / "state.db", _tools(root / "tools"))


def _tools(own: Path) -> tuple[Path, ...]:
    """Return aishell's tools and, if it exists, the site's folder."""
    shipped = built_in("tools")
    if not own.is_dir() or own.resolve() == shipped.resolve():
        return (shipped,)
    return shipped, own
