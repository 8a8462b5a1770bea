"""`aishell init`: a folder with commented configuration, room for own tools, and a database to try things on."""

from __future__ import annotations

from pathlib import Path

import click

from aishell.cli.main import ShowsExamples
from aishell.cli.streams import say
from aishell.commands import before, command
from aishell.errors import UsageError
from aishell.reporting.units import printable

README = """# An aishell site

`config/` says which databases there are and what may be done to them, `tools/` takes operations of your own, `state.db` (made
at the first run, not to be committed) remembers runs, approvals and the audit log. Begin with `aishell doctor`.
"""
TOOLS_README = """# Operations of this site

One operation per file, `<engine>/<name>.sql` with engine `postgresql`, `mysql`, `sqlite` or `common`: the contract in the
leading comment, then named blocks of SQL. `aishell tools show update_table_statistics` prints one that came with aishell;
`aishell tools check` names file and line of what is wrong here. A file here is loaded beside those; it replaces none of them.
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
    """Make a site: commented configuration, a folder for own tools, and a sample database that needs maintenance.

    Existing files are kept as they are.
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
        raise UsageError(f"no site can be made in {folder}: {error.strerror or error}") from error
    if (folder / "sample.db").exists():
        kept.append("sample.db")
    else:
        make(folder / "sample.db")
        made.append("sample.db")
    for title, names in (("made", made), ("kept as it was", kept)):
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
