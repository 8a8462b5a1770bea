"""Where callables of shipped tools are now: a pending plan stores the text of its tools, which has the old names."""

from __future__ import annotations

#: Module -> its place now, for modules in tool files of 0.1 from before `docs/decisions/0030-rooms.md`.
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
    """Return the current name of `module:attribute`."""
    module, colon, attribute = reference.partition(":")
    return f"{_MOVED.get(module, module)}{colon}{attribute}"
