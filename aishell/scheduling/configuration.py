"""The configuration of a running daemon: the last valid one, whatever its files contain meanwhile."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from aishell.agents.configuration import configured
from aishell.agents.loading import load_agent
from aishell.errors import AishellError, SettingsError
from aishell.files import Stamp, stamp
from aishell.models import new_id
from aishell.safety import constraints
from aishell.site_files import SiteFiles

#: Prefix of copies of the configuration folder. They are beside it, so that relative paths in them stay valid.
_COPY = ".aishell-config-"


def load(site: SiteFiles) -> SiteFiles:
    """Read all configuration that scheduled runs use. Raises SettingsError, with file and line."""
    policy, _ = site.policy, site.notifications
    schedules = site.schedules.by_name.values()
    stages = (stage.agent for one in schedules if one.workflow for stage in site.workflow(one.workflow).stages)
    for agent in {*stages, *(one.agent for one in schedules if not one.workflow)}:
        config = configured(site.places.config, load_agent(agent))
        constraints.build((*policy.constraints, *config.constraints), site.known)
    return site


class Configuration:
    """The site with its last valid configuration, and a copy of the files for runs that start while they are invalid."""

    def __init__(self, site: SiteFiles) -> None:
        """Raises SettingsError if the files are invalid at the start."""
        self._folder = site.places.config
        self._read = self._seen = self._stamps()
        self.site = load(site)
        self._copy: Path | None = None
        self.refused: AishellError | None = None

    def reread(self) -> bool:
        """Read the files if they have changed but not since the previous call; whether they were read.

        `refused` is then the error, if they are invalid, and `site` has the valid configuration.
        """
        stamps, before = self._stamps(), self._seen
        self._seen = stamps
        if stamps == self._read or stamps != before:
            return False
        self._read, self.refused = stamps, None
        try:
            self.site = load(self.site.again())
        except AishellError as error:
            self.refused = error
        return True

    @property
    def copy(self) -> Path | None:
        """The folder that new runs read; None for the site's own, where a run notices stricter rules."""
        return self._copy if self.refused is not None else None

    def keep(self, *, tidy: bool) -> None:
        """Copy the files as they were read. `tidy`: remove older copies, which no run uses. Raises SettingsError."""
        self._copy = None
        if not self._folder.is_dir():
            return
        made = self._folder.with_name(f"{_COPY}{new_id()[:8]}")
        try:
            made.mkdir(mode=0o700)
            shutil.copytree(self._folder, made, dirs_exist_ok=True, copy_function=_copied)
            made.chmod(0o700)
        except OSError as error:
            shutil.rmtree(made, ignore_errors=True)
            raise SettingsError(
                f"the configuration cannot be copied to {made}: {error}",
                hint="free space there: without a copy, no run starts while the files are invalid",
            ) from error
        if self._stamps() != self._read:  # they changed meanwhile: the copy may be of the new files
            shutil.rmtree(made)
            return
        self._copy = made
        if tidy:
            for old in self._folder.parent.glob(f"{_COPY}*"):
                if old != made:
                    shutil.rmtree(old, ignore_errors=True)

    def _stamps(self) -> dict[Path, Stamp | None]:
        return {path: stamp(path) for path in sorted(self._folder.rglob("*")) if path.is_file()}


def _copied(source: str, made: str) -> None:
    """A copy that nobody else can read or write: configuration may name secrets."""
    with suppress(FileNotFoundError):
        content = Path(source).read_bytes()
        with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
