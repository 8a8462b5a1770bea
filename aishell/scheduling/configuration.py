"""The configuration of a running daemon: the last that was right, whatever is written into its files meanwhile."""

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

#: What copies of the configuration are called, beside the folder that they are of: relative paths in them mean the same.
_COPY = ".aishell-config-"


def load(site: SiteFiles) -> SiteFiles:
    """Read all that a night can meet. Raises SettingsError, with file and line."""
    policy, _ = site.policy, site.notifications
    schedules = site.schedules.by_name.values()
    stages = (stage.agent for one in schedules if one.workflow for stage in site.workflow(one.workflow).stages)
    for agent in {*stages, *(one.agent for one in schedules if not one.workflow)}:
        config = configured(site.places.config, load_agent(agent))
        constraints.build((*policy.constraints, *config.constraints), site.known)
    return site


class Configuration:
    """The site as it was last right, and a copy of its files for the runs that begin while they are wrong."""

    def __init__(self, site: SiteFiles) -> None:
        """Raises SettingsError where they are wrong from the beginning."""
        self._folder = site.places.config
        self._read = self._seen = self._stamps()
        self.site = load(site)
        self._copy: Path | None = None
        self.refused: AishellError | None = None

    def reread(self) -> bool:
        """Read the files where they have changed, and not since the last look; whether they were read.

        `refused` says then why they do not count, `site` what counts.
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
        """The folder that runs read, None for the site's own: a run sees what is made stricter there while it goes on."""
        return self._copy if self.refused is not None else None

    def keep(self, *, tidy: bool) -> None:
        """Copy the files as they were read. `tidy`: no run reads an older copy. Raises SettingsError."""
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
                hint="while its files are wrong, no run will begin",
            ) from error
        if self._stamps() != self._read:  # written into since they were read: the copy may be of that
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
