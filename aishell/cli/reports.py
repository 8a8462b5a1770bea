"""`aishell digest` and `aishell runs report`: a night or one run, as text, Markdown, JSON or HTML."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aishell.cli.common import open_files
from aishell.cli.console import write_json
from aishell.cli.main import ShowsExamples
from aishell.cli.streams import Sentences, say, say_lines
from aishell.errors import UsageError
from aishell.files import write_whole
from aishell.moments import given
from aishell.reporting.page import Page
from aishell.reporting.units import printable
from aishell.state.locks import is_held

if TYPE_CHECKING:
    from aishell.site_files import SiteFiles


FORMAT = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "json", "html"]),
    help="Format (default: by the ending of FILE, else text). html is a single self-contained page.",
)
OUT = click.option(
    "-o", "--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write it to FILE."
)


@click.command(
    cls=ShowsExamples,
    epilog="Examples:  aishell digest   ·   aishell digest -o night.html   ·   aishell digest --since 7d --format markdown",
)
@click.option(
    "--since",
    default="24h",
    show_default=True,
    metavar="WHEN",
    help="Start of the report: an age (12h, 7d), or a day or time in UTC (2026-11-22, '2026-11-22 18:00').",
)
@FORMAT
@OUT
@click.pass_context
def digest(ctx: click.Context, /, since: str, form: str | None, out: Path | None) -> None:
    """Report on one night over all targets: what needs a person, what was done, how it compares.

    It is made from state.db alone; no database is contacted. Open matters are listed however old they are.
    """
    from aishell.digest import night_of
    from aishell.reporting import pages
    from aishell.reporting.night import document

    site, until = open_files(ctx), datetime.now(UTC)
    night = night_of(site, _moment(since, until), until)
    _deliver(pages.digest(night), document(night), form, out)


@click.command(
    cls=ShowsExamples,
    epilog="Examples:  aishell runs report 3f2a   ·   aishell runs report 3f2a --format html -o run.html   ·   "
    "aishell runs report 3f2a --explain",
)
@click.argument("run_id", metavar="ID")
@click.option(
    "--explain",
    is_flag=True,
    help="Add a summary by the configured language model; one with figures that are not in the report is refused.",
)
@FORMAT
@OUT
@click.pass_context
def report(ctx: click.Context, /, run_id: str, explain: bool, form: str | None, out: Path | None) -> None:
    """Report what a run found and did, step by step, with sizes before and after, and what needs a person."""
    from aishell.reporting import pages
    from aishell.reporting.gathering import gather_run
    from aishell.reporting.night import document

    site = open_files(ctx)
    now = datetime.now(UTC)
    run = gather_run(site.store, site.runs.find(run_id).id, now, running=lambda one: is_held(site.run_lock(one)))
    found = document(run)
    if explain:
        found["explained"] = _explained(site, found, form, out)
    _deliver(pages.run_report(run, now.isoformat()), found, form, out)


def _explained(site: SiteFiles, report: Mapping[str, Any], form: str | None, out: Path | None) -> dict[str, Any] | None:
    """Print a language model's summary of a report and return its JSON; None if it gave no usable one.

    Raises SettingsError if no model is configured, UsageError for a format that has no place for it.
    """
    from aishell.asking.telling import explained
    from aishell.errors import ModelError
    from aishell.llm.correcting import mark
    from aishell.reporting.formats import JSON, meant

    if out is not None or (form or meant(out)) not in ("text", JSON):
        raise UsageError("--explain needs the format text or json", hint="leave out --out and other formats")
    client, chosen = site.require_model()
    heading = "Summary of the report below by the model {model}:"
    shown = None if form == JSON else Sentences.on_terminal(heading, style="magenta")
    show = None if shown is None else partial(shown, client.model)
    try:
        text, completion = explained(client, report, chosen.num_ctx, site.record_model_answer, show)
    except ModelError as error:
        say(printable(f"no summary: {error.message}; the report itself is complete"), style="yellow", err=True)
        return None
    finally:
        if shown is not None:
            shown.end()
    if form != JSON and shown is None:
        say(printable(heading.format(model=completion.model)), style="magenta")
        say(printable(" ".join(text.split())), style="magenta")
        say()
    return {"text": text, "model": mark(completion)}


def _moment(text: str, now: datetime) -> datetime:
    """The time of `--since` in UTC: a duration before `now`, a day or a time. Raises UsageError."""
    from aishell.scheduling.times import seconds

    hint = "write a duration (12h, 7d), a day, or a day and a time: '2026-11-22 18:00'"
    try:
        begin = now - timedelta(seconds=seconds(text))
    except OverflowError as error:
        raise UsageError(f"--since {text!r} is out of range", hint=hint) from error
    except ValueError:
        begin = given(text, of="--since", hint=hint)
    if begin >= now:
        raise UsageError(f"--since {text!r} is in the future", hint=hint)
    return begin


def _deliver(page: Page, document: dict[str, Any], form: str | None, out: Path | None) -> None:
    """Print a report, or write it to a file, mode 0600, whole or not at all. Raises UsageError if it cannot be written."""
    from aishell.reporting.formats import JSON, meant, written

    form = form or meant(out)
    if out is None and form == JSON:
        write_json(document)
        return
    text = written(form, page, document)
    if out is None:
        say_lines(text.removesuffix("\n"))
        return
    try:
        write_whole(out, text)
    except OSError as error:
        raise UsageError(f"the report cannot be written to {out}: {error.strerror}") from error
    say(f"written: {printable(out)}")
