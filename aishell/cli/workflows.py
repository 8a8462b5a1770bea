"""`aishell workflows`: which there are, and what became of their runs."""

from __future__ import annotations

import click

from aishell.cli.common import OUTPUT, open_files, open_site
from aishell.cli.main import LazyGroup
from aishell.moments import at


@click.group(cls=LazyGroup)
def workflows() -> None:
    """Workflows of this site; `aishell run workflow NAME` runs one. An id may be abbreviated as long as it is unambiguous."""


@workflows.command("list", epilog="Examples:  aishell workflows list   ·   aishell workflows list --output json")
@OUTPUT
@click.pass_context
def list_(ctx: click.Context, /, output: str) -> None:
    """List every workflow with its stages in order. Exit 2 if a file is invalid."""
    from aishell.cli.listing import show_rows

    site = open_files(ctx)
    found = [(site.workflow(name), path) for name, path in sorted(site.workflow_files.items())]
    rows = [
        {
            "workflow": one.name,
            "stages": [stage.name for stage in one.stages]
            if output == "json"
            else " → ".join(s.name for s in one.stages),
            "description": one.description or None,
            "file": str(path),
        }
        for one, path in found
    ]
    show_rows(rows, output, empty="no workflows", least=("file", "description"))


@workflows.command(epilog="Examples:  aishell workflows history   ·   aishell workflows history nightly --limit 100")
@click.argument("name", metavar="[NAME]", required=False)
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
@OUTPUT
@click.pass_context
def history(ctx: click.Context, /, name: str | None, limit: int, output: str) -> None:
    """List runs of workflows, newest first. One that did not end and has no process any more is `interrupted`."""
    from aishell.cli.listing import show_rows

    site = open_files(ctx)
    found = site.workflow_runs.recent(name, limit=limit) if site.state_path.exists() else []
    rows = []
    for row in found:
        rows.append(
            {
                "workflow_id": row.id if output == "json" else row.id[:8],
                "workflow": row.workflow,
                "status": site.workflow_status(row),
                "exit_code": row.exit_code,
                "created_at": row.created_at[:19] if output == "json" else at(row.created_at),
                "requested_by": row.requested_by,
            }
        )
    show_rows(rows, output, empty="no workflow ran yet", least=("requested_by",), limit=limit)


@workflows.command(epilog="Examples:  aishell workflows show 3f2a   ·   aishell workflows show 3f2a --output json")
@click.argument("workflow_id", metavar="ID")
@OUTPUT
@click.pass_context
def show(ctx: click.Context, /, workflow_id: str, output: str) -> None:
    """Show one run of a workflow: each stage on each target, with its run."""
    from aishell.cli import workflow
    from aishell.cli.console import write_json
    from aishell.workflows.driving import result_of

    site = open_site(ctx)
    result = result_of(site, site.workflow_runs.find(workflow_id).id)
    if output == "json":
        write_json(result)
    else:
        workflow.show(result)
