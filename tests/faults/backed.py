"""Databases of a few rows that are backed up by commands which are killed: what must be seen right after, and in the end."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bloated import held
from tests.faults.killing import KILLED, Sweep, new_site
from tests.fix_aishell import Aishell
from tests.servers import processes, wait_until

FILL = (
    "CREATE TABLE orders (id integer PRIMARY KEY, note varchar(50))",
    "INSERT INTO orders VALUES (1, 'a'), (2, ''), (3, NULL)",
)
CONTENT = "SELECT id, note FROM orders ORDER BY id"
#: Engine -> what tells what of ours is on a server that must not stay there.
LEFT: Mapping[str, Sequence[str]] = {
    "postgresql": (
        "SELECT datname FROM pg_database WHERE datname LIKE 'aishell\\_scratch%'",
        "SELECT slot_name FROM pg_replication_slots WHERE temporary",
        "SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'aishell%'",
        "SELECT objid::text FROM pg_locks WHERE locktype = 'advisory'",
    ),
    "mysql": ("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE 'aishell\\_scratch%'",),
    "sqlite": (),
}
#: A run that is finished once its last word is written down.
ENDED = "completed"


@dataclass
class Backed:
    """One database, and a site that keeps its backups; its commands run in children that end themselves at a commit."""

    site: Aishell
    db: Any

    @classmethod
    def made(cls, aishell: Aishell, db: Any, name: str) -> Backed:
        """With a new site and a table of three rows."""
        site = new_site(aishell, name, db.url)
        if db.url.startswith("postgresql"):
            site.configure("aishell.yaml", f"programs: {db.server.bin}\n")
        for statement in FILL:
            db.execute(statement)
        return cls(site, db)

    @property
    def root(self) -> Path:
        return self.site.site / "backups"

    def on_it(self, *words: str) -> tuple[str, ...]:
        """A command on the database that asks nobody."""
        return (*words, "--url", self.db.url, "--environment", "test", "--yes", "--output", "json")

    def back_up(self, *more: str) -> str:
        """Make a backup; its id."""
        ended = self.site(*self.on_it("run", "backup", *more)).expect(0)
        return str(ended.json["output_data"]["backup_id"])

    def change(self) -> None:
        """One more row."""
        self.db.execute("INSERT INTO orders SELECT MAX(id) + 1, 'more' FROM orders")

    def content(self) -> list[Any]:
        return list(self.db.execute(CONTENT))

    def listed(self) -> list[dict[str, Any]]:
        """What is listed, all of it in the folder under its name; whatever hides there is not."""
        entries = list(self.site("backups", "list", "--output", "json").expect(0).json)
        for entry in entries:
            assert (Path(entry["path"]) / "manifest.json").is_file(), entry
            assert not Path(entry["path"]).name.startswith("."), entry
        return entries

    def killed_at_every_commit(
        self, command: Callable[[int], tuple[str, ...]], sweep: Sweep, look: Callable[[int], None], known: int
    ) -> int:
        """Kill a command at the commits of a sweep, and finish it, until it ends before it comes to one; how often it was killed.

        `command` and `look` are told how often it was tried; `look` when nothing is to be half-made any more. `known` are the
        commits that it has at least.
        """
        killed = 0
        for number, fault in enumerate(sweep.faults(known), 1):
            self.change()
            runs = len(self._runs())
            ended = self.site(*command(number), fault=fault)
            if ended.code == KILLED:
                killed += 1
                assert [entry for entry in self.listed() if entry["verified"]], "a verified one was removed"
                self._finish(command(number), runs)
            else:
                assert ended.expect(0).json["status"] == "success"
            self.assert_nothing_left()
            look(number)
            if ended.code != KILLED:
                assert fault.at > known, "it has more commits than that"
                break
        self.site("audit", "verify").expect(0)
        return killed

    def _runs(self) -> list[tuple[str, str]]:
        """(id, state), the newest last."""
        if not self.site.state.exists():
            return []
        return self.site.rows("SELECT id, state FROM runs ORDER BY created_at, id")

    def _finish(self, command: tuple[str, ...], before: int) -> None:
        """Resume the run that was killed; where there was none yet, the command again."""
        runs = self._runs()
        if len(runs) == before:
            self.site(*command).expect(0)
        elif runs[-1][1] != ENDED:
            resumed = self.site("runs", "resume", runs[-1][0], "--output", "json")
            assert resumed.expect(0).json["status"] == "success"

    def assert_nothing_left(self) -> None:
        """No folder, database, slot, session, lock or program of a run that is over."""
        hidden = [path for place in (self.root, *self.root.glob("[!.]*")) for path in place.glob(".*")]
        assert hidden == []
        assert [path for path in self.site.lock_files() if held(path)] == []
        assert processes(f"{self.site.home}/") == []
        for query in LEFT[self.db.url.partition(":")[0]]:
            wait_until(lambda query=query: list(self.db.execute(query)) == [], f"nothing left of ours: {query}")

    def manifest(self, backup_id: str) -> dict[str, Any]:
        (path,) = self.root.rglob(f"{backup_id}/manifest.json")
        return dict(json.loads(path.read_text().rstrip().rpartition("\n")[0]))
