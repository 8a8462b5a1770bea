"""`aishell backups`: what backups there are, how far each was proven, and what becomes of them."""

from __future__ import annotations

from typing import Any

import click

from aishell.cli.common import OUTPUT, open_site
from aishell.cli.main import LazyGroup, ShowsExamples


@click.group(cls=LazyGroup)
def backups() -> None:
    """Backups, and how far each was proven: written, checksummed, readable, restored and compared."""


@backups.command(
    "list", cls=ShowsExamples, epilog="Examples:  aishell backups list   ·   aishell backups list --output json"
)
@click.option("--target", metavar="T", help="Only of this target.")
@OUTPUT
@click.pass_context
def list_(ctx: click.Context, /, target: str | None, output: str) -> None:
    """Every backup that the catalog knows, the oldest first."""
    from dataclasses import asdict

    from aishell.cli.listing import show_rows
    from aishell.reporting.units import size

    site = open_site(ctx)
    rows: list[dict[str, Any]] = []
    for entry in site.vault.catalog.all(target):
        if output == "json":
            rows.append(asdict(entry) | {"verified": entry.verified})
            continue
        rows.append(
            {
                "backup": entry.backup_id,
                "target": entry.target,
                "kind": entry.kind,
                "size": size(entry.bytes),
                "proven": entry.problem or entry.rung.replace("-", " "),
                "on": entry.parent or "",
                "pinned": "pinned" if entry.pinned else "",
            }
        )
    show_rows(rows, output, empty=f"there is no backup in {site.vault.repository.root}")
