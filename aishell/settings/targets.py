"""`targets.yaml` as values: the databases that aishell may work on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from aishell.databases.urls import read_url
from aishell.errors import UnknownNameError, UsageError
from aishell.models import server_of
from aishell.settings.files import checked, document_of, fields_of
from aishell.settings.schemas import TARGETS
from aishell.settings.validation import wrong
from aishell.settings.whole_servers import database_in, in_database, name_of, reached, wanted
from aishell.settings.yamlfile import Document
from aishell.trust import configured_secret

PRODUCTION = "production"


@dataclass(frozen=True)
class PgBackRest:
    """A target's stanza in a pgBackRest repository. `config`: its configuration file, None for pgBackRest's default."""

    stanza: str
    config: str | None = None
    repo: int = 1


@dataclass(frozen=True)
class Target:
    """A database that aishell may work on. Without an environment it counts as production."""

    name: str
    url: str = field(repr=False)
    environment: str = PRODUCTION
    labels: tuple[str, ...] = ()
    time_zone: str = "UTC"
    password_env: str | None = None
    password_file: str | None = None
    password_command: tuple[str, ...] = ()  # a program and its arguments; run for each connection, prints the password
    inspection_url: str | None = field(default=None, repr=False)
    free_disk_bytes: int | None = None  # for a server whose disk cannot be seen from this host
    binlog: str = ""  # MySQL: LOCAL keeps maintenance statements out of the binary log
    pgbackrest: PgBackRest | None = None  # PostgreSQL: backups are made with it
    databases: tuple[str, ...] = ()  # not empty: a whole server. Globs of its databases; those with a ! are left out
    host: str | None = None  # the machine that the work loads; None: from the URL
    server: str = ""  # the whole server that this database belongs to (`whole_servers`)

    @property
    def names(self) -> tuple[str, ...]:
        """The names by which rules can match it: its own and its server's."""
        return (self.name, self.server) if self.server else (self.name,)

    @property
    def machine(self) -> str:
        """The machine that the work loads: `host`, else the URL's first host; empty for this host and for files."""
        if self.host is not None:
            return self.host
        url = read_url(self.url)
        return "" if url.local else url.host or ""

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    def password(self) -> str | None:
        """Return the password from the environment, a file or a program; None if the URL or the driver's files have it.

        Raises SettingsError, and DatabaseError if the program fails.
        """
        secret = configured_secret(
            f"target {self.name!r}",
            variable=self.password_env,
            file=self.password_file,
            what="the password file",
            may_be_empty=True,
        )
        if self.password_command:
            from aishell.databases.passwords import told

            return told(self.password_command)
        return secret

    def takes(self, database: str) -> bool:
        """Whether this is a whole server whose globs choose the database."""
        return bool(self.databases) and wanted(self.databases, database)

    def of(self, database: str) -> Target:
        """Return the target of one database of this server. Only its name and URLs differ."""
        inspection = in_database(self.inspection_url, database) if self.inspection_url else None
        url, name = in_database(self.url, database), name_of(self.name, database)
        return replace(self, name=name, url=url, inspection_url=inspection, databases=(), server=self.name)

    def server_faults(self, others: Iterable[str]) -> Iterator[tuple[str, str, str | None]]:
        """Yield what is wrong with it as a whole server, as in `faults`. `others`: the names of all targets."""
        for name in others:
            if server_of(name) == self.name:
                yield (
                    "databases",
                    f"the target {name!r} is called as one of its databases would be",
                    "give it another name",
                )
        if self.pgbackrest is not None:
            yield "databases", "pgbackrest backs up a whole server, and not database by database", "make it two targets"
        for key, url in (("url", self.url), ("inspection_url", self.inspection_url)):
            if url is not None and "dbname=" in url.partition("?")[2]:
                yield (
                    key,
                    "the database of a whole server stands in the query",
                    "write it behind the host, or leave it out",
                )

    def faults(self) -> Iterator[tuple[str, str, str | None]]:
        """Yield what is wrong with its URLs and the sources of its password: key, message, hint."""
        named = [name for name in ("password_env", "password_file", "password_command") if getattr(self, name)]
        for key, url in (("url", self.url), ("inspection_url", self.inspection_url)):
            try:
                has_password = url is not None and read_url(url, key).password is not None
            except UsageError as error:
                yield key, error.message, error.hint
                continue
            if key == "url" and len(named) + has_password > 1:
                places = [*named, *(["url"] if has_password else [])]
                yield places[0], f"the password is named in several places: {', '.join(places)}", "name it in one"

    def without_password(self) -> Target:
        """Return a copy without any source of a password."""
        return replace(self, password_env=None, password_file=None, password_command=())


class Targets(Mapping[str, Target]):
    """The targets of a site by name. Iteration yields those in `targets.yaml`; lookup also finds servers' databases."""

    def __init__(self, configured: Mapping[str, Target] | None = None) -> None:
        self._configured = dict(configured or {})

    def __getitem__(self, name: str) -> Target:
        if name in self._configured:
            return self._configured[name]
        server = self._configured.get(server_of(name))
        database = None if server is None else database_in(server.name, name)
        if server is None or database is None or not server.takes(database):
            raise KeyError(name)
        return server.of(database)

    def __iter__(self) -> Iterator[str]:
        return iter(self._configured)

    def __len__(self) -> int:
        return len(self._configured)

    def fits(self, glob: str) -> bool:
        """Whether a glob can match a target, including databases that were not seen yet."""
        return any(
            fnmatchcase(name, glob) or (one.databases and glob.startswith(f"{name}/"))
            for name, one in self._configured.items()
        )


def check_environment(environment: str) -> str:
    """Return an environment's name. Raises UnknownNameError for a misspelt production: it would lose its protection."""
    if environment != PRODUCTION and environment.casefold().startswith(("prod", "prd")):
        raise UnknownNameError("environment", environment, [PRODUCTION])
    return environment


def load_targets(config: Path) -> Targets:
    """Return `targets.yaml` of a config folder. Raises SettingsError with file and line."""
    document = document_of(config, "targets.yaml")
    given = checked(document, TARGETS).get("targets") or {}
    return Targets({str(name): _target(str(name), data, document, config, given) for name, data in given.items()})


def _target(name: str, data: Mapping[str, Any], document: Document, config: Path, others: Iterable[object]) -> Target:
    values = fields_of(data)
    if values["url"].startswith("sqlite:///") and not values["url"].startswith("sqlite:////"):
        path = (config.parent / values["url"].removeprefix("sqlite:///")).absolute()  # relative to the site
        values["url"] = f"sqlite:///{path}"
    if "pgbackrest" in values:
        values["pgbackrest"] = PgBackRest(**fields_of(values["pgbackrest"]))
    target = Target(name=name, **values)
    try:
        check_environment(target.environment)
    except UnknownNameError as error:
        raise wrong(document, "targets", name, "environment", message=error.message, hint=error.hint) from error
    for key, message, hint in target.faults():
        raise wrong(document, "targets", name, key, message=message, hint=hint)
    if not target.databases:
        return target
    for key, message, hint in target.server_faults(map(str, others)):
        raise wrong(document, "targets", name, key, message=message, hint=hint)
    return replace(target, url=reached(target.url))
