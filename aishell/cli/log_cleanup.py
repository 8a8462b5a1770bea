"""`aishell run log-cleanup`: old rows out of growing tables."""

from __future__ import annotations

from typing import Any

import click

from aishell.cli.common import parse_inputs, run_options, target_options
from aishell.cli.run import AgentCommand, run_agent
from aishell.errors import UsageError

#: What stands between column and value on the command line, longest first, and the filter's operator.
_SIGNS = ("!=", "<=", ">=", "=", "<", ">")


def inputs(
    tables: tuple[str, ...],
    exclude: tuple[str, ...],
    retention_days: int | None,
    date_column: str | None,
    conditions: tuple[str, ...],
    archive: bool,
    archive_to: str | None,
    archive_format: str | None,
    max_rows: int | None,
    batch_target_ms: float | None,
    sleep: float | None,
    shrink: bool,
    pairs: tuple[str, ...],
) -> dict[str, Any]:
    """The agent's inputs; an option goes before `--set` of the same key. Raises UsageError for a condition it cannot read."""
    made = parse_inputs(pairs)
    given = {
        "retention_days": retention_days,
        "date_column": date_column,
        "archive": True if archive or archive_to or archive_format else None,
        "archive_to": archive_to,
        "archive_format": archive_format,
        "max_rows": max_rows,
        "batch_target_ms": batch_target_ms,
        "sleep": sleep,
        "shrink": shrink or None,
    }
    made |= {key: value for key, value in given.items() if value is not None}
    if tables:
        made["tables"] = list(tables)
    if exclude:
        made["exclude"] = list(exclude)
    if conditions:
        made["filters"] = [*made.get("filters", []), *map(condition, conditions)]
    return made


@click.command(
    "log-cleanup",
    cls=AgentCommand,
    agent="log_cleanup",
    inputs=inputs,
    epilog="Examples:  aishell run log-cleanup --discover   ·   "
    "aishell run log-cleanup --table app_log --retention-days 90 --dry-run   ·   "
    "aishell run log-cleanup --table app_log --retention-days 30 --where level=debug --until 05:30 --yes",
)
@click.option("--table", "tables", multiple=True, metavar="T", help="The table; globs and schema.table allowed.")
@click.option(
    "--exclude", multiple=True, metavar="T", help="Delete nothing from these tables; globs and schema.table allowed."
)
@click.option("--retention-days", type=int, metavar="N", help="Delete rows older than this many days.")
@click.option("--date-column", metavar="C", help="Column that holds a row's date (default: found by type and name).")
@click.option(
    "--where",
    "conditions",
    multiple=True,
    metavar="COLUMN=VALUE",
    help="Only rows that match; operators: = != < <= > >=.",
)
@click.option("--archive", is_flag=True, help="Archive the rows in a verified file before deleting them.")
@click.option("--archive-to", metavar="FOLDER", help="Subfolder of the archive folder; implies --archive.")
@click.option(
    "--archive-format", metavar="FORMAT", type=click.Choice(["jsonl", "csv", "parquet"]), help="jsonl, csv or parquet."
)
@click.option("--max-rows", type=int, metavar="N", help="Delete at most this many rows.")
@click.option(
    "--batch-target-ms", type=float, metavar="MS", help="Target duration of a batch in milliseconds (default: 50)."
)
@click.option("--sleep", type=float, metavar="SECONDS", help="Pause between batches.")
@click.option(
    "--shrink",
    is_flag=True,
    help="Afterwards rewrite a SQLite file, or a MariaDB or MySQL table, that lost 30 % or more.",
)
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="Any input of the agent.")
@click.option(
    "--discover",
    is_flag=True,
    help="Only list tables that look like logs, with age, growth and disk use; change nothing.",
)
@target_options
@run_options
@click.pass_context
def log_cleanup(ctx: click.Context, /, discover: bool, **options: Any) -> None:
    """Delete rows of log tables past their retention, in small batches."""
    if discover:
        from aishell.cli.discovery import discover_all

        assert isinstance(ctx.command, AgentCommand)  # noqa: S101  as declared above
        ctx.exit(discover_all(ctx, ctx.command.taken(options), **options))
    run_agent(ctx, options)


def condition(text: str) -> dict[str, Any]:
    """`level=debug` as a filter; `column=null` is `is null`. Raises UsageError for a text without an operator."""
    from aishell.yamlfile import parse

    places = [(text.index(sign), -len(sign), sign) for sign in _SIGNS if sign in text]
    if not places or min(places)[0] == 0:
        raise UsageError(f"--where {text!r} is not a condition", hint="write COLUMN=VALUE, e.g. --where level=debug")
    at, _, sign = min(places)
    column, value = text[:at].strip(), parse(text[at + len(sign) :], "--where").data
    if value is None:
        return {"column": column, "operator": {"=": "is null", "!=": "is not null"}.get(sign, sign)}
    written = text[at + len(sign) :].strip()
    if isinstance(value, (int, float)) and not isinstance(value, bool) and str(value) != written:
        value = written  # 007 and 12:30 are numbers to YAML, and may be texts to the column
    if isinstance(value, list):
        return {"column": column, "operator": {"=": "in", "!=": "not in"}.get(sign, sign), "value": value}
    return {"column": column, "operator": sign, "value": value}
