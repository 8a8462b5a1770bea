"""Shared by the commands on backups: the safety gates outside of a run, and the confirmation before changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from aishell.cli.asking import ask, confirm
from aishell.cli.common import interactive
from aishell.cli.streams import say
from aishell.errors import DeniedError, UnknownNameError, UsageError
from aishell.models import Decision
from aishell.reporting.units import printable

if TYPE_CHECKING:
    from aishell.backups.store.catalog import CatalogEntry
    from aishell.models import Verdict
    from aishell.services.offline_backups import Keeper
    from aishell.settings.targets import Target
    from aishell.site import Site


def keeper(site: Site) -> Keeper:
    """The Keeper, which verifies, restores and removes the backups of a site without their databases."""
    from aishell.agents.backup.agent import BackupAgent
    from aishell.agents.configuration import configured
    from aishell.safety.policy import tighter
    from aishell.services.offline_backups import Keeper
    from aishell.settings.targets import Target

    def known(name: str) -> Target:
        try:
            return site.target(name)
        except UnknownNameError:
            return Target(name, "")  # no longer configured: treated as production, the default environment

    config = configured(site.places.config, BackupAgent())
    level = tighter(site.settings.safety_level, config.safety_level)
    return Keeper(site.backup_store, site.registry, config, site.policy, level, known)


def entries_of(site: Site, target: str | None) -> list[CatalogEntry]:
    """The backups of a target, or all. Raises UnknownNameError for a target that has no backup and is not configured."""
    entries = site.backup_store.entries()
    known = {entry.target for entry in entries} | set(site.settings.targets)
    if target is not None and target not in known:
        raise UnknownNameError("target", target, known)
    return [entry for entry in entries if target in (None, entry.target)]


def agree(site: Site, verdicts: Mapping[str, Verdict], question: str, *, yes: bool, output: str) -> bool:
    """Whether to proceed, by the verdict on each target. `--yes` answers as far as policy allows; a review requires the name.

    Raises DeniedError if policy refuses, UsageError if there is no one to ask.
    """
    from aishell.safety.gates import preapproved

    reasons = (reason for verdict in verdicts.values() for reason in verdict.reasons)
    asking = (reason for reason in reasons if reason.decision.rank >= Decision.CONFIRM.rank)
    asks = "; ".join(dict.fromkeys(f"{reason.text} ({reason.rule})" for reason in asking))
    if any(not verdict.safe for verdict in verdicts.values()):
        raise DeniedError(f"refused: {asks}")
    if yes and all(not v.requires_approval or preapproved(v, yes, site.policy) for v in verdicts.values()):
        return True
    if not interactive(False, output):
        hint = "run it at a terminal: policy does not accept --yes here" if yes else "confirm with --yes"
        why = f" ({asks})" if asks else ""
        raise UsageError(f"{question.rstrip('?')}: there is no one to ask{why}", hint=hint)
    if asks:
        say(f"needs approval because: {printable(asks)}", err=True)
    return _answered(verdicts, printable(question))


def _answered(verdicts: Mapping[str, Verdict], question: str) -> bool:
    """A person's answer; a review requires the name of each target."""
    reviewed = [name for name, verdict in verdicts.items() if verdict.decision is Decision.REVIEW]
    for name in reviewed:
        if ask(f"{question} Review: type the target's name ({printable(name)}): ") != name:
            raise DeniedError("that is not the target's name; nothing was done")
    return bool(reviewed) or confirm(question)
