"""What stands in a site's folder: configuration and state. Commands that only look at what was done need no more."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from aishell import locations

if TYPE_CHECKING:
    from aishell.backups.vault import Vault
    from aishell.settings import Policy, Settings
    from aishell.state.approvals import Approvals
    from aishell.state.runs import Runs
    from aishell.state.store import Store


class SiteFiles:
    """Configuration and state of one folder, each read when it is asked for. Use as a context manager, or call `close`."""

    def __init__(self, places: locations.Places, *, state: Path | None = None) -> None:
        self.places = places
        self.state_path = state or places.state

    @classmethod
    def open(cls, path: str | Path | None = None, *, state: Path | None = None) -> Self:
        """The site at `path`, or the one found as `locations.find` says. Reads nothing yet."""
        return cls(locations.find(path), state=state)

    def close(self) -> None:
        if "store" in self.__dict__:
            self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @cached_property
    def settings(self) -> Settings:
        from aishell.settings import load_settings

        return load_settings(self.places.config)

    @cached_property
    def policy(self) -> Policy:
        from aishell.settings import load_policy

        return load_policy(self.places.config)

    @cached_property
    def store(self) -> Store:
        from aishell.state.store import Store

        return Store.open(self.state_path)

    @cached_property
    def runs(self) -> Runs:
        from aishell.state.runs import Runs

        return Runs(self.store)

    @cached_property
    def approvals(self) -> Approvals:
        from aishell.state.approvals import Approvals

        return Approvals(self.store)

    @property
    def archives(self) -> Path:
        """The folder of archives: as configured, else `archives` beside the state."""
        base = self.places.root or self.places.state.parent
        return base / (self.settings.archives or "archives")

    @cached_property
    def vault(self) -> Vault:
        """The backups of the site: in the folder that is configured, else `backups` beside the state."""
        from aishell.backups.vault import Vault

        base = self.places.root or self.places.state.parent
        return Vault.of(self.settings, base, lambda: self.store, self.state_path.exists)

    def run_lock(self, run_id: str) -> Path:
        """The file that the process driving a run holds locked."""
        return self.locks / f"run-{run_id}.lock"

    @property
    def locks(self) -> Path:
        """The folder of lock files."""
        return self.state_path.parent / ".aishell-locks"
