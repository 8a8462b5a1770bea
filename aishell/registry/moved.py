"""Where callables of shipped tools stand now: a plan that waits carries its tools' text, which names them as they were."""

from __future__ import annotations

#: Module → where it went, of the modules that a tool file of 0.1 before the rooms of `docs/decisions/0030-rooms.md` names.
_MOVED = {
    "aishell.backups.checking": "aishell.backups.verify.checking",
    "aishell.backups.copies": "aishell.backups.store.copies",
    "aishell.backups.pruning": "aishell.backups.store.pruning",
    "aishell.backups.restoring": "aishell.backups.restore.restore",
    "aishell.backups.unproven": "aishell.backups.store.pruning",
    "aishell.backups.mariadb.exchange": "aishell.backups.mariadb.replace",
    "aishell.backups.mariadb.residue": "aishell.backups.mariadb.dump",
}


def current(reference: str) -> str:
    """`module:attribute` as it is now."""
    module, colon, attribute = reference.partition(":")
    return f"{_MOVED.get(module, module)}{colon}{attribute}"
