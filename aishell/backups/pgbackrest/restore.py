"""A PostgreSQL data directory that pgbackrest has put back from its repository, where nothing was before."""

from __future__ import annotations

import shlex
from datetime import datetime
from pathlib import Path

from aishell.backups.create.making import Work, total
from aishell.backups.methods import Chain
from aishell.backups.pgbackrest.reach import Reach
from aishell.backups.postgresql import recovery
from aishell.backups.postgresql.new_cluster import NewCluster
from aishell.backups.restore import scratch_server
from aishell.backups.store.manifest import BackupManifest
from aishell.errors import BackupError
from aishell.moments import given


def restore(work: Work, chain: Chain, named: str, until: str | None) -> None:
    """A new data directory, under its name when it is whole; a server of the same version recovers at its first start.

    Nothing of the source is touched: tablespaces go beside the data, links inside it become folders. The restored server goes
    on fetching WAL from the repository, and archives nothing.
    """
    new = NewCluster.of(work, named)
    manifest, moment = _chosen(chain, until)
    reach = Reach.of(manifest.details)
    if new.is_there():
        return
    new.require_room(manifest.source_bytes or 0)
    with new.made():
        for folder in (new.unfinished, new.waiting):
            folder.mkdir(mode=0o700)
            scratch_server.own(folder, reach.user())
        reach.run(
            work,
            "fetch_set",
            label=manifest.position["label"],
            place=new.unfinished,
            spaces=new.waiting,
            type="immediate" if moment is None else "time",
            moment=moment,
            fetch=_fetch(work, reach, new.place),
            size=lambda: total(new.unfinished.rglob("*")),
            expected=manifest.source_bytes or 0,
        )
        recovery.configure(new, _settings(moment), False)
        _relink(new)
        scratch_server.own(new.unfinished, reach.user())


def _chosen(chain: Chain, until: str | None) -> tuple[BackupManifest, str | None]:
    """The set to begin with, and the moment as PostgreSQL takes it. Raises BackupError for one that these backups do not hold."""
    links = [manifest for _, manifest in chain]
    if until is None:
        return links[-1], None
    moment = given(until)
    first, last = links[0].details["ended_at"], links[-1].details["reaches"]
    begun = [one for one in links if datetime.fromisoformat(one.details["ended_at"]) <= moment]
    if not begun or moment > datetime.fromisoformat(last):
        raise BackupError(
            f"{until} cannot be restored from {links[-1].backup_id}: that holds what was from {first} to {last}",
            hint="a later increment reaches further",
        )
    later = links[links.index(begun[-1]) + 1 :]
    new = {space for one in later for space in one.details["tablespaces"]} - set(begun[-1].details["tablespaces"])
    if new:  # recovery makes it where it was: on the source's own machine, over the source's files
        raise BackupError(
            f"a tablespace was made between {begun[-1].backup_id} and {until}", hint="restore to another moment"
        )
    return begun[-1], moment.strftime("%Y-%m-%d %H:%M:%S.%f+00")


def _settings(moment: str | None) -> dict[str, str]:
    """What the restored server is told. The one target comes last: a server refuses even an empty other one behind it."""
    name, value = ("recovery_target", "immediate") if moment is None else ("recovery_target_time", moment)
    return {other: text for other, text in recovery.QUIET.items() if other != name} | {name: value}


def _fetch(work: Work, reach: Reach, place: Path) -> str:
    """What the restored server gets its WAL with: pgbackrest would name the folder that it was restored into."""
    words = [
        work.clients.path("fetch_set"),
        *([f"--config={reach.config}"] if reach.config else []),
        f"--stanza={reach.stanza}",
        f"--repo={reach.repo}",
        f"--pg1-path={place}",
        "archive-get",
    ]
    return f'{shlex.join(words).replace("%", "%%")} %f "%p"'


def _relink(new: NewCluster) -> None:
    """The links to tablespaces lead to where those will be."""
    for link in (new.unfinished / recovery.SPACES).iterdir():
        place = new.spaces / link.readlink().relative_to(new.waiting)
        link.unlink()
        link.symlink_to(place)
    if not any(new.waiting.iterdir()):
        new.waiting.rmdir()
