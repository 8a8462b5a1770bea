"""`aishell init`: a folder with commented configuration, a place for your own tools, and a sample database."""

from __future__ import annotations

from pathlib import Path

import click

from aishell.cli.main import ShowsExamples
from aishell.cli.streams import say
from aishell.commands import before, command
from aishell.errors import UsageError
from aishell.reporting.units import printable

README = """# An aishell site

`config/` lists the databases and says what may be done to them. `tools/` holds your own operations. `state.db` is created by
the first run and keeps runs, approvals and the audit log; do not commit it. Begin with `aishell doctor`.
"""
TOOLS_README = """# Operations of this site

One operation per file, `<engine>/<name>.sql`; the engine is `postgresql`, `mysql`, `sqlite` or `common`. A leading comment holds
the contract; named blocks of SQL follow. `aishell tools show update_table_statistics` prints a built-in tool, and
`aishell tools check` reports errors with file and line. Files here are added to the built-in tools; they replace none.
"""
IGNORED = """\
state.db*
sample.db*
.aishell-locks/
.aishell-config-*/
daemon.sock
archives/
backups/
schedule-logs/
workflow-logs/
"""


@click.command(cls=ShowsExamples, epilog="Examples:  aishell init   ·   aishell init /srv/shop")
@click.argument("folder", metavar="[DIR]", type=click.Path(file_okay=False, path_type=Path), default=Path())
def init(folder: Path) -> None:
    """Make a site: commented configuration, a folder for your own tools, and a sample database that needs maintenance.

    Existing files are left unchanged.
    """
    from aishell.sample import make

    made: list[str] = []
    kept: list[str] = []
    try:
        for name, text in _files().items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with path.open("x", encoding="utf-8") as file:
                    file.write(text)
            except FileExistsError:
                kept.append(name)
            else:
                made.append(name)
    except OSError as error:
        raise UsageError(f"a site cannot be created in {folder}: {error.strerror or error}") from error
    if (folder / "sample.db").exists():
        kept.append("sample.db")
    else:
        make(folder / "sample.db")
        made.append("sample.db")
    for title, names in (("created", made), ("already exists, unchanged", kept)):
        for name in names:
            say(f"{title}: {printable(folder / name)}")
    before(*(() if folder.resolve() == Path.cwd() else ("--site", str(folder))))
    say()
    say("next:")
    say(printable(f"  {command('doctor')}"))
    say(printable(f"  {command('run', 'maintenance', '--type', 'full', '--dry-run')}"))


def _files() -> dict[str, str]:
    """Path in the site -> its text."""
    from aishell.locations import built_in

    config = built_in("config")
    found = {
        f"config/{path.relative_to(config).as_posix()}": path.read_text(encoding="utf-8")
        for path in sorted(config.rglob("*.yaml"))
    }
    return {**found, "tools/README.md": TOOLS_README, "README.md": README, ".gitignore": IGNORED}
