"""The databases of a site's whole servers: asked for once per command, and not by commands that only look at the site."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager

from aishell.databases.connections import unavailable
from aishell.databases.sameness import same_database
from aishell.databases.urls import read_url
from aishell.engines import profile
from aishell.errors import AishellError, DatabaseError, UsageError
from aishell.execution.target_context import Job
from aishell.settings.targets import Target
from aishell.settings.whole_servers import files_in, named_in
from aishell.site_files import SiteFiles
from aishell.state import servers


class Servers:
    """The databases of the servers asked so far. `look`: opens a job that can only inspect a target."""

    def __init__(self, site: SiteFiles, look: Callable[[Target], AbstractContextManager[Job]]) -> None:
        self._site, self._look = site, look
        self._answers: dict[str, list[str] | AishellError] = {}

    def databases(self, server: Target, beside: Collection[str] = ()) -> list[str]:
        """The names of the targets of a server's databases, without those that another target in `beside` already names.

        Raises TargetUnavailableError where the server cannot be reached, and UsageError where `databases` chooses none.
        """
        if server.name not in self._answers:
            try:
                self._answers[server.name] = self._ask(server)
            except AishellError as error:
                self._answers[server.name] = error
        answer = self._answers[server.name]
        if isinstance(answer, AishellError):
            raise answer
        others = [*self._before(server, beside)]
        return [one.name for one in map(server.of, answer) if not any(_same(one, other) for other in others)]

    def expand(self, names: Sequence[str | None]) -> list[str | None]:
        """The targets with each server replaced by its databases; None is the site's default target.

        A server that cannot be reached stays in the list, and a run on it fails with the reason, so that the others can run.
        """
        found: dict[str | None, None] = {}
        beside = [name for name in names if name is not None]
        for name in names:
            target = self._site.settings.targets.get(name or self._site.settings.default_target or "")
            if target is None or not target.databases:
                found[name] = None
                continue
            try:
                found |= dict.fromkeys(self.databases(target, beside))
            except AishellError:
                found[target.name] = None
        return list(found)

    def refusal(self, server: Target) -> AishellError:
        """The error for a command on a whole server that takes a single database."""
        try:
            names = self.databases(server)
        except AishellError as error:
            return error
        shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
        message = f"{server.name} is a whole server, and this command takes one database"
        return UsageError(message, hint=f"name one of them: {shown}")

    def _ask(self, server: Target) -> list[str]:
        url = read_url(server.url)
        there = files_in(url) if profile(url.engine).is_file else self._listed(server)
        chosen = [name for name in there if server.takes(name)]
        if not chosen:
            globs = ", ".join(server.databases)
            raise UsageError(
                f"`databases: [{globs}]` matches none of the {len(there)} database(s) of {server.name}",
                hint=f"correct {self._site.places.config / 'targets.yaml'}",
            )
        if self._site.state_path.exists():
            with self._site.store.write() as connection:
                servers.remember(connection, server.name, chosen)
        return chosen

    def _listed(self, server: Target) -> list[str]:
        with self._look(server) as job:
            if self._site.state_path.exists():
                limit = job.database.credentials.connect_timeout
                job.database.pools.breaker = self._site.breakers.of(server.name, limit)
            try:
                return [str(row["database"]) for row in job.read("inspect_databases")["databases"]]
            except DatabaseError as error:
                if error.kind != "connect":
                    raise
                raise unavailable(job.database.credentials, error, server.name) from error

    def _before(self, server: Target, beside: Collection[str]) -> Iterator[Target]:
        """The targets that take precedence over a server's: single databases, and servers that were named before it."""
        earlier = True
        for name in beside:
            target = self._site.settings.targets.get(name)
            earlier = earlier and name != server.name
            if target is not None and target.name != server.name and (earlier or not target.databases):
                yield target


def _same(one: Target, other: Target) -> bool:
    """Whether two targets are the same database; `other` may be a whole server that includes it."""
    mine, theirs = read_url(one.url), read_url(other.url)
    if other.databases:
        name = named_in(mine)
        if not other.takes(name):
            return False
        theirs = read_url(other.of(name).url)
    return same_database(mine, theirs)
